"""kafka-python: the whole scenario with a client that shares no code with the others."""
import time

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import (KafkaError, MessageSizeTooLargeError, NoOffsetForPartitionError,
                          TopicAlreadyExistsError)

from scenario import CODECS, sample_records
from target import until


def records_for(seed, **fields):
    """The common records, less what this client cannot send: null headers, and null for both."""
    return [(key, value, [h for h in headers if h[1] is not None], timestamp)
            for key, value, headers, timestamp in sample_records(seed, **fields)
            if (key, value) != (None, None)]


@pytest.fixture
def producer_of(bootstrap):
    made = []

    def make(**config):
        made.append(KafkaProducer(bootstrap_servers=bootstrap.split(","), **config))
        return made[-1]

    yield make
    for producer in made:
        producer.close(5)


@pytest.fixture
def consumer_of(bootstrap):
    made = []

    def make(*topics, **config):
        config = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **config}
        consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), **config)
        made.append(consumer)
        for topic in topics:
            consumer.partitions_for_topic(topic)  # it assigns nothing before it knows the topic
        if topics:
            consumer.subscribe(topics)
        return consumer

    yield make
    for consumer in made:
        consumer.close(timeout_ms=3000)


def send(producer, topic, records, partition=0):
    futures = [producer.send(topic, value, key, headers, partition, timestamp)
               for key, value, headers, timestamp in records]
    return [future.get(30).offset for future in futures]


# A poll that ends while kafka-python takes in its assignment makes it join again, and so for ever
# on a slow machine: it gets time.
POLL_MS = 1000


def take(consumer, count, timeout_s=30):
    out = []
    deadline = time.monotonic() + timeout_s
    while len(out) < count:
        assert time.monotonic() < deadline, f"{len(out)} of {count} messages in {timeout_s} s"
        for messages in consumer.poll(POLL_MS).values():
            out += messages
    return out


def read_all(consumer, topic, count):
    part = TopicPartition(topic, 0)
    consumer.assign([part])
    consumer.seek_to_beginning(part)
    return take(consumer, count)


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_exactly_as_sent(producer_of, consumer_of, topic, codec):
    records = records_for(codec, big=True)
    producer = producer_of(compression_type=None if codec == "none" else codec, acks="all")
    assert send(producer, topic, records) == list(range(len(records)))
    got = read_all(consumer_of(), topic, len(records))
    assert [(m.key, m.value, list(m.headers), m.timestamp) for m in got] == records


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_each_acks_level_delivers(producer_of, consumer_of, topic, acks):
    records = records_for(acks)
    producer = producer_of(acks=acks, enable_idempotence=False)
    for key, value, headers, timestamp in records:
        producer.send(topic, value, key, headers, 0, timestamp)
    producer.flush(30)
    got = read_all(consumer_of(), topic, len(records))
    assert [(m.key, m.value, list(m.headers), m.timestamp) for m in got] == records


def test_default_producer_is_idempotent_and_works(producer_of, consumer_of, topic):
    records = [(None, b"%d" % i, [], 1000) for i in range(500)]
    assert send(producer_of(), topic, records) == list(range(500))
    assert [m.value for m in read_all(consumer_of(), topic, 500)] == [r[1] for r in records]


def test_group_of_two_shares_partitions_and_restarts_from_the_commit(
        target, producer_of, consumer_of, group):
    topic = target.new_topic("pair", partitions=4)
    producer = producer_of(acks="all")
    for part in range(4):
        send(producer, topic, [(None, b"%d" % i, [], 1000) for i in range(10)], part)
    first = consumer_of(topic, group_id=group, heartbeat_interval_ms=200)
    take(first, 40)
    first.commit()
    send(producer, topic, [(None, b"later", [], 1000)], 2)
    second = consumer_of(topic, group_id=group, heartbeat_interval_ms=200)
    seen = []

    def balanced():
        for consumer in (first, second):
            seen.extend(m for part in consumer.poll(POLL_MS).values() for m in part)
        return len(first.assignment()) == len(second.assignment()) == 2

    until(balanced, what="two partitions each")
    assert first.assignment() | second.assignment() == {TopicPartition(topic, p) for p in range(4)}
    until(lambda: balanced() and seen, what="the later record")
    assert {(m.partition, m.offset) for m in seen} == {(2, 10)}


def test_offsets_by_time(producer_of, consumer_of, topic):
    base = int(time.time() * 1000) - 60_000  # older records might be deleted
    send(producer_of(acks="all"), topic, [(None, b"v", [], base + 1000 * i) for i in range(1, 6)])
    part = TopicPartition(topic, 0)
    consumer = consumer_of()
    for asked, offset in ((0, 0), (1001, 1), (5000, 4)):
        assert consumer.offsets_for_times({part: base + asked})[part].offset == offset
    assert consumer.offsets_for_times({part: base + 5001})[part] is None
    assert consumer.beginning_offsets([part]) == {part: 0}
    assert consumer.end_offsets([part]) == {part: 5}


def test_record_of_2_mb_is_too_large_and_the_connection_lives_on(producer_of, topic):
    producer = producer_of(max_request_size=10_000_000, enable_idempotence=False)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, bytes(2_000_000), partition=0).get(20)
    assert producer.send(topic, b"small", partition=0).get(20).offset == 0


def test_auto_offset_reset_none_raises(consumer_of, topic, group):
    consumer = consumer_of(topic, group_id=group, auto_offset_reset="none")
    with pytest.raises((NoOffsetForPartitionError, KafkaError)):
        until(lambda: consumer.poll(500))


def test_auto_offset_reset_latest_skips_what_was_there(producer_of, consumer_of, topic, group):
    producer = producer_of()
    send(producer, topic, [(None, b"old", [], 1000)])
    consumer = consumer_of(topic, group_id=group, auto_offset_reset="latest")
    part = TopicPartition(topic, 0)
    until(lambda: consumer.poll(100) or consumer.assignment())
    assert consumer.position(part) == 1
    send(producer, topic, [(None, b"new", [], 1000)])
    assert take(consumer, 1)[0].value == b"new"


def test_admin_client(bootstrap, target, consumer_of):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        name = target.unique("admin")
        admin.create_topics([NewTopic(name, 3, 3)])
        with pytest.raises(TopicAlreadyExistsError):
            admin.create_topics([NewTopic(name, 3, 3)])
        assert target.at_once(lambda: consumer_of().partitions_for_topic(name)) == {0, 1, 2}
        admin.delete_topics([name])
        until(lambda: name not in admin.list_topics())
    finally:
        admin.close()
