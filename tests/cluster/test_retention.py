"""Old records go, by age and by size, on every replica; what may not go stays."""
import os
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import pytest

from millrace_cluster import until
from raw import api, records

OFFSET_OUT_OF_RANGE, INVALID_TIMESTAMP = 1, 32
YEARS_MS = 10 * 365 * 86400 * 1000
SEGMENT = 1 << 20


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    from conftest import clusters
    made = clusters(tmp_path_factory.mktemp("retention"), lambda: True)
    yield next(made)(3, log_retention_check_interval_ms=200,
                     replica_high_watermark_checkpoint_interval_ms=200)
    for _ in made:
        pass


def fill(cluster, topic, megabytes, timestamp=None):
    producer = Producer({"bootstrap.servers": cluster.bootstrap(), "acks": "all", "linger.ms": 5,
                         "batch.size": 65536})
    errors = []
    for _ in range(megabytes * 64):
        producer.produce(topic, os.urandom(16384), partition=0, timestamp=timestamp or 0,
                         on_delivery=lambda e, _: errors.append(e) if e else None)
        producer.poll(0)
    producer.flush(60)
    assert not errors, errors[0]


def start_and_end(cluster, topic):
    with cluster.connect(cluster.leader(topic)) as conn:
        return (api.list_offsets(conn, topic, -2).offset, api.list_offsets(conn, topic, -1).offset)


def segments(cluster, node, topic, suffix=".log"):
    return sorted(cluster.data(node).glob(f"{topic}-0/*{suffix}"))


def all_replicas_begin_at(cluster, topic, offset):
    """No replica keeps a whole segment below it."""
    return all(segments(cluster, n, topic)
               and int(segments(cluster, n, topic)[0].stem) >= offset for n in cluster.ids())


def test_old_records_go_on_all_replicas_and_a_consumer_goes_where_the_log_begins(nodes):
    topic = nodes.create_topic("aged", retention_ms="3600000", segment_bytes=str(SEGMENT),
                               file_delete_delay_ms="1")
    old = int(time.time() * 1000) - 2 * 3600000
    fill(nodes, topic, 3, old)
    _, end = start_and_end(nodes, topic)
    until(lambda: start_and_end(nodes, topic) == (end, end), what="all of it gone")
    until(lambda: all_replicas_begin_at(nodes, topic, end), what="their files gone")
    fill(nodes, topic, 1)
    with nodes.connect(nodes.leader(topic)) as conn:
        assert api.fetch(conn, [(topic, 0, 0)]).partitions[0].error == OFFSET_OUT_OF_RANGE
    consumer = Consumer({"bootstrap.servers": nodes.bootstrap(), "group.id": "late",
                         "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = until(lambda: consumer.poll(0.2), what="a record")
    assert message.error() is None and message.offset() == end
    consumer.close()


def test_c20_a_timestamp_of_the_future_does_not_keep_old_records(nodes):
    topic = nodes.create_topic("future", retention_ms="2000", segment_bytes=str(SEGMENT))
    now = int(time.time() * 1000)
    with nodes.connect(nodes.leader(topic)) as conn:
        refused = api.produce(conn, topic, records.batch([b"x"], timestamps=[now + YEARS_MS]))
    assert refused.error == INVALID_TIMESTAMP
    fill(nodes, topic, 1)
    _, end = start_and_end(nodes, topic)
    until(lambda: start_and_end(nodes, topic) == (end, end), what="all of it gone")


def test_c20_the_brokers_time_counts_with_log_append_time(nodes):
    topic = nodes.create_topic("stamped", retention_ms="2000", segment_bytes=str(SEGMENT),
                               message_timestamp_type="LogAppendTime")
    fill(nodes, topic, 2, int(time.time() * 1000) + YEARS_MS)
    _, end = start_and_end(nodes, topic)
    until(lambda: start_and_end(nodes, topic) == (end, end), what="all of it gone")


def test_retention_bytes_keeps_at_least_that_much(nodes):
    topic = nodes.create_topic("sized", retention_bytes=str(2 * SEGMENT),
                               segment_bytes=str(SEGMENT), file_delete_delay_ms="1")
    fill(nodes, topic, 6)

    def sizes():
        return [sum(p.stat().st_size for p in segments(nodes, n, topic)) for n in nodes.ids()]

    until(lambda: all(size < 4 * SEGMENT for size in sizes()), what="the oldest gone")
    time.sleep(1)  # several looks more: nothing else may go
    assert all(size >= 2 * SEGMENT for size in sizes())
    start, end = start_and_end(nodes, topic)
    assert 0 < start < end


def test_files_of_deleted_segments_stay_for_their_delay(nodes):
    topic = nodes.create_topic("delayed", retention_ms="1000", segment_bytes=str(SEGMENT),
                               file_delete_delay_ms="2000")
    fill(nodes, topic, 2, int(time.time() * 1000) - 60000)
    node = nodes.leader(topic)
    until(lambda: segments(nodes, node, topic, ".log.deleted"), what="a segment renamed")
    renamed = time.monotonic()
    until(lambda: not segments(nodes, node, topic, ".deleted"), what="its files gone")
    assert time.monotonic() - renamed > 1


def test_records_are_deleted_up_to_the_high_watermark_and_no_further(nodes):
    topic = nodes.create_topic("trimmed", segment_bytes=str(SEGMENT))
    fill(nodes, topic, 2)
    _, end = start_and_end(nodes, topic)
    admin = AdminClient({"bootstrap.servers": nodes.bootstrap()})

    def delete(offset):
        where = TopicPartition(topic, 0, offset)
        return admin.delete_records([where])[where].result(30).low_watermark

    for beyond in (end + 1, end + 1000):
        with pytest.raises(KafkaException) as refused:
            delete(beyond)
        assert refused.value.args[0].code() == OFFSET_OUT_OF_RANGE
    assert start_and_end(nodes, topic) == (0, end)
    assert delete(5) == 5
    assert delete(3) == 5, "it does not come back"
    assert delete(-1) == end
    assert start_and_end(nodes, topic) == (end, end)
    until(lambda: all_replicas_begin_at(nodes, topic, 1), what="whole segments gone")
