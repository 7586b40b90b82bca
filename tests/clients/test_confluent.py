"""confluent-kafka for Python (librdkafka): the whole scenario, and what each setting promises."""
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from confluent_kafka import (OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, ConfigResource, NewTopic, OffsetSpec,
                                   ResourceType)

from scenario import CODECS, sample_records
from target import until


@pytest.fixture
def producer_of(bootstrap):
    def make(**config):
        return Producer({"bootstrap.servers": bootstrap, "linger.ms": 5,
                         "message.max.bytes": 1_048_588,  # the broker's own bound
                         **{k.replace("_", "."): v for k, v in config.items()}})
    return make


@pytest.fixture
def consumer_of(bootstrap):
    made = []

    def make(group, **config):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group,
                             "auto.offset.reset": "earliest", "enable.auto.commit": False,
                             **{k.replace("_", "."): v for k, v in config.items()}})
        made.append(consumer)
        return consumer

    yield make
    for consumer in made:
        try:
            consumer.close()
        except RuntimeError:
            pass  # the test closed it


def send(producer, topic, records, partition=0):
    """Produce all, wait for every acknowledgement; the offsets in the order sent."""
    offsets, errors = {}, []

    def note(index):
        def done(err, msg):
            if err:
                errors.append(err)
            else:
                offsets[index] = msg.offset()
        return done

    for index, (key, value, headers, timestamp) in enumerate(records):
        producer.produce(topic, value, key, partition, on_delivery=note(index),
                         timestamp=timestamp, headers=headers)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not errors, errors
    return [offsets[index] for index in range(len(records))]


def take(consumer, count, timeout_s=30):
    """The next `count` messages."""
    out = []
    deadline = time.monotonic() + timeout_s
    while len(out) < count:
        assert time.monotonic() < deadline, f"{len(out)} of {count} messages in {timeout_s} s"
        for msg in consumer.consume(count - len(out), 0.5):
            assert msg.error() is None, msg.error()
            out.append(msg)
    return out


def read_all(consumer, topic, count, partition=0):
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    return take(consumer, count)


def as_sent(msg):
    return msg.key(), msg.value(), msg.headers() or [], msg.timestamp()[1]


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_exactly_as_sent(producer_of, consumer_of, topic, group, codec):
    records = sample_records(codec, big=True)
    offsets = send(producer_of(compression_type=codec, acks="all"), topic, records)
    assert offsets == list(range(len(records)))
    got = read_all(consumer_of(group), topic, len(records))
    assert [as_sent(m) for m in got] == records
    assert [m.offset() for m in got] == offsets


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_each_acks_level_delivers(producer_of, consumer_of, topic, group, acks):
    records = sample_records(acks)
    producer = producer_of(acks=acks)
    for key, value, headers, timestamp in records:
        producer.produce(topic, value, key, 0, timestamp=timestamp, headers=headers)
    assert producer.flush(30) == 0
    assert [as_sent(m) for m in read_all(consumer_of(group), topic, len(records))] == records


def test_idempotent_producer_keeps_order_without_gaps(producer_of, consumer_of, topic, group):
    records = [(b"%d" % i, b"v%d" % i, [], 1_700_000_000_000) for i in range(2000)]
    producer = producer_of(enable_idempotence=True, batch_num_messages=20)
    assert send(producer, topic, records) == list(range(2000))
    got = read_all(consumer_of(group), topic, 2000)
    assert [m.value() for m in got] == [r[1] for r in records]


def test_group_of_two_shares_partitions_and_restarts_from_the_commit(
        target, producer_of, consumer_of, group):
    topic = target.new_topic("pair", partitions=4)
    producer = producer_of(acks="all")
    for part in range(4):
        send(producer, topic, [(b"k", b"%d-%d" % (part, i), [], 1000) for i in range(25)], part)
    first, second = consumer_of(group), consumer_of(group)
    first.subscribe([topic])
    got = take(first, 100)
    assert len(first.assignment()) == 4
    first.commit(offsets=[TopicPartition(topic, p, 20) for p in range(4)], asynchronous=False)
    second.subscribe([topic])

    def balanced():
        first.poll(0.05), second.poll(0.05)
        return len(first.assignment()) == len(second.assignment()) == 2

    until(balanced, what="two partitions each")
    owned = {p.partition for c in (first, second) for p in c.assignment()}
    assert owned == {0, 1, 2, 3}
    first.close(), second.close()
    third = consumer_of(group)
    third.subscribe([topic])
    rest = take(third, 20)
    assert sorted((m.partition(), m.offset()) for m in rest) == [
        (p, o) for p in range(4) for o in range(20, 25)]
    assert len({(m.partition(), m.offset()) for m in got}) == 100


def test_consumer_protocol_group_of_two_is_described_and_restarts_from_the_commit(
        bootstrap, producer_of, consumer_of, target, group):
    topic = target.new_topic("modern", 4)
    for partition in range(4):
        send(producer_of(), topic, sample_records(partition, 10), partition)
    modern = {"group_protocol": "consumer"}
    first = consumer_of(group, **modern)
    second = consumer_of(group, group_remote_assignor="range", **modern)
    first.subscribe([topic])
    assert len(take(first, 40)) == 40
    second.subscribe([topic])

    def shares():
        first.poll(0.05)
        second.poll(0.05)
        return len(first.assignment()) == len(second.assignment()) == 2

    until(shares, what="two partitions each")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    told = admin.describe_consumer_groups([group])[group].result(10)
    assert str(told.type).endswith("CONSUMER") and len(told.members) == 2
    assert all(len(m.target_assignment.topic_partitions) == 2 for m in told.members)
    first.commit(offsets=[TopicPartition(topic, p.partition, 7) for p in first.assignment()],
                 asynchronous=False)
    second.commit(offsets=[TopicPartition(topic, p.partition, 7) for p in second.assignment()],
                  asynchronous=False)
    first.close()
    second.close()
    third = consumer_of(group, **modern)
    third.subscribe([topic])
    assert sorted(m.offset() for m in take(third, 12)) == sorted([7, 8, 9] * 4)


def test_consumer_protocol_expression_follows_new_topics(consumer_of, target, group):
    prefix = target.unique("expr")
    consumer = consumer_of(group, group_protocol="consumer")
    target.new_topic(f"{prefix}-one", 2)
    consumer.subscribe([f"^{prefix}.*"])

    def has(count):
        consumer.poll(0.05)
        return len(consumer.assignment()) == count

    until(lambda: has(2), what="the partitions of the first topic")
    target.new_topic(f"{prefix}-two", 3)  # its name begins with this, and then has a number
    until(lambda: has(5), what="those of both")


def test_offsets_by_time(producer_of, consumer_of, topic, group):
    base = int(time.time() * 1000) - 60_000  # older records might be deleted
    send(producer_of(acks="all"), topic, [(None, b"v", [], base + 1000 * i) for i in range(1, 6)])
    consumer = consumer_of(group)
    for asked, offset in ((0, 0), (1000, 0), (1001, 1), (5000, 4), (5001, -1)):
        found, = consumer.offsets_for_times([TopicPartition(topic, 0, base + asked)], 10)
        assert found.offset == offset
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 5)


def test_record_of_2_mb_is_too_large_and_the_connection_lives_on(producer_of, topic):
    producer = producer_of(message_max_bytes=10_000_000, acks="all")
    errors = []
    producer.produce(topic, bytes(2_000_000), on_delivery=lambda err, _: errors.append(err))
    assert producer.flush(30) == 0
    assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert send(producer, topic, [(None, b"small", [], 1000)]) == [0]


def test_auto_offset_reset(producer_of, consumer_of, topic, target):
    send(producer_of(acks="all"), topic, [(None, b"old", [], 1000)])
    earliest = consumer_of(target.unique("g"), auto_offset_reset="earliest")
    earliest.subscribe([topic])
    assert take(earliest, 1)[0].value() == b"old"

    none = consumer_of(target.unique("g"), auto_offset_reset="error")
    none.subscribe([topic])
    msg = until(lambda: none.poll(0.5), what="an error")
    assert msg.error().code() == KafkaError._AUTO_OFFSET_RESET

    latest = consumer_of(target.unique("g"), auto_offset_reset="latest")
    latest.subscribe([topic])

    until(lambda: latest.poll(0.05) or latest.assignment())
    producer = producer_of(acks="all")

    def sent_and_got():
        send(producer, topic, [(None, b"new", [], 1000)])
        return latest.poll(0.2)

    assert until(sent_and_got).value() == b"new"


def test_fetch_min_bytes_waits(producer_of, consumer_of, topic, group):
    send(producer_of(acks="all"), topic, [(None, b"small", [], 1000)])
    consumer = consumer_of(group, fetch_min_bytes=100_000, fetch_wait_max_ms=1500)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert consumer.poll(0.9) is None, "the broker waits for more"
    assert until(lambda: consumer.poll(0.5)).value() == b"small"


MEMBER = textwrap.dedent("""
    import sys
    from confluent_kafka import Consumer
    bootstrap, group, topic = sys.argv[1:]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group,
                         "session.timeout.ms": 2000, "heartbeat.interval.ms": 300,
                         "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while True:
        consumer.poll(0.1)
        print(len(consumer.assignment()), flush=True)
""")


def test_killed_consumer_is_out_after_its_session_timeout(target, bootstrap, consumer_of, group):
    topic = target.new_topic("killed", partitions=2)
    member = subprocess.Popen([sys.executable, "-c", MEMBER, bootstrap, group, topic],
                              stdout=subprocess.PIPE)
    try:
        until(lambda: member.stdout.readline().strip() == b"2", what="both partitions")
        member.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        other = consumer_of(group)
        other.subscribe([topic])

        def has_both():
            other.poll(0.05)
            return len(other.assignment()) == 2

        until(has_both, what="the partitions of the dead member")
        assert 1 < time.monotonic() - killed < 8
    finally:
        member.kill()
        member.wait()


def test_consumer_that_stops_polling_is_out_after_max_poll_interval(target, consumer_of, group):
    topic = target.new_topic("lazy", partitions=2)
    lazy = consumer_of(group, max_poll_interval_ms=2000, session_timeout_ms=2000,
                       heartbeat_interval_ms=300)
    lazy.subscribe([topic])

    def lazy_has_both():
        lazy.poll(0.05)
        return len(lazy.assignment()) == 2

    until(lazy_has_both)
    stopped = time.monotonic()
    other = consumer_of(group)
    other.subscribe([topic])

    def other_has_both():
        other.poll(0.05)
        return len(other.assignment()) == 2

    until(other_has_both, what="the partitions of the member that stopped polling")
    assert 1 < time.monotonic() - stopped < 12
    msg = until(lambda: lazy.poll(0.1))
    assert msg.error().code() == KafkaError._MAX_POLL_EXCEEDED


def test_commit_of_a_member_that_was_thrown_out_is_refused(target, consumer_of, group):
    topic = target.new_topic("stale", partitions=1)
    one = consumer_of(group)
    one.subscribe([topic])
    until(lambda: one.poll(0.05) or one.assignment())
    one.unsubscribe()
    one.close()
    two = consumer_of(group)
    two.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    found, = two.committed([TopicPartition(topic, 0)], 10)
    assert found.offset == 3


def test_admin_client(bootstrap, target):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    name = target.unique("admin")
    new = NewTopic(name, 3, 3, config={"retention.ms": "3600000"})
    admin.create_topics([new])[name].result(15)
    with pytest.raises(KafkaException) as caught:
        admin.create_topics([new])[name].result(15)
    assert caught.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    found = target.at_once(lambda: admin.list_topics(name, 10).topics[name].partitions)
    assert len(found) == 3
    resource = ConfigResource(ResourceType.TOPIC, name)
    configs = admin.describe_configs([resource])[resource].result(15)
    assert configs["retention.ms"].value == "3600000"
    ends = admin.list_offsets({TopicPartition(name, 0): OffsetSpec.latest()})
    assert ends[TopicPartition(name, 0)].result(15).offset == 0
    assert len(admin.describe_cluster().result(15).nodes) == len(target.addresses)
    admin.delete_topics([name])[name].result(15)
    until(lambda: name not in admin.list_topics(timeout=10).topics)


def test_admin_sees_groups(bootstrap, target, consumer_of, topic, group):
    consumer = consumer_of(group)
    consumer.subscribe([topic])
    until(lambda: consumer.poll(0.05) or consumer.assignment())
    admin = AdminClient({"bootstrap.servers": bootstrap})
    assert group in {g.group_id for g in admin.list_consumer_groups().result(15).valid}
    found = admin.describe_consumer_groups([group])[group].result(15)
    assert (found.state.name, len(found.members)) == ("STABLE", 1)


def test_unknown_topic_and_partition_are_told(producer_of, consumer_of, topic, group):
    producer = producer_of(message_timeout_ms=3000, topic_metadata_propagation_max_ms=500)
    errors = []
    with pytest.raises(KafkaException):
        producer.list_topics(topic, 10)
        producer.produce(topic, b"x", partition=7, on_delivery=lambda err, _: errors.append(err))
        producer.flush(10)
        raise KafkaException(errors[0])
    assert not errors or errors[0].code() == KafkaError._UNKNOWN_PARTITION
    consumer = consumer_of(group, allow_auto_create_topics=False)
    consumer.subscribe(["no-such-topic-here"])
    msg = until(lambda: consumer.poll(0.5), what="an error")
    assert msg.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_producer_creates_a_missing_topic(producer_of, target):
    name = target.unique("auto")
    assert send(producer_of(acks="all"), name, [(None, b"x", [], 1000)]) == [0]
    assert len(producer_of().list_topics(name, 10).topics[name].partitions) == 4


def test_many_producers_at_once_lose_nothing(producer_of, consumer_of, topic, group):
    def run(number):
        send(producer_of(acks="all"), topic,
             [(b"%d" % number, b"%d-%d" % (number, i), [], 1000) for i in range(200)])

    threads = [threading.Thread(target=run, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = read_all(consumer_of(group), topic, 1000)
    for number in range(5):
        mine = [m.value() for m in got if m.key() == b"%d" % number]
        assert mine == [b"%d-%d" % (number, i) for i in range(200)]
