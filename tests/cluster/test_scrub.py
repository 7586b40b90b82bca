"""Bytes rot in closed segments: it is found, told, and healed from another replica."""
import os

from confluent_kafka import Consumer, Producer, TopicPartition

from millrace_cluster import until

FIRST = "00000000000000000000.log"
RECORDS = 800
RECORD_BYTES = 4096


def fill(cluster, topic, partitions):
    """Several segments a partition; {(partition, offset): value}."""
    written, errors = {}, []
    producer = Producer({"bootstrap.servers": cluster.bootstrap(), "acks": "all", "linger.ms": 5,
                         "batch.size": 65536})

    def done(error, message):
        if error:
            errors.append(error)
        else:
            written[message.partition(), message.offset()] = message.value()

    for number in range(RECORDS * partitions):
        producer.produce(topic, os.urandom(RECORD_BYTES), partition=number % partitions,
                         on_delivery=done)
        producer.poll(0)
    producer.flush(60)
    assert not errors and len(written) == RECORDS * partitions
    return written


def read(cluster, topic, partitions):
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap(), "group.id": "reader",
                         "enable.auto.commit": False, "check.crcs": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    seen = {}

    def all_there():
        for message in consumer.consume(500, 0.2):
            assert message.error() is None, message.error()
            seen[message.partition(), message.offset()] = message.value()
        return len(seen) >= RECORDS * partitions

    until(all_there, 60, "all records")
    consumer.close()
    return seen


def segment(cluster, node, topic, partition):
    return cluster.data(node) / f"{topic}-{partition}" / FIRST


def flip_a_byte(path):
    with open(path, "r+b") as f:
        f.seek(path.stat().st_size // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))


def content(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def test_damage_in_a_leader_and_in_a_follower_is_found_and_healed(make_cluster):
    cluster = make_cluster(3, log_scrub_bytes_per_second=1 << 30, log_scrub_interval_ms=500)
    topic = cluster.create_topic("rotten", 2, segment_bytes="1048576", min_insync_replicas="2")
    written = fill(cluster, topic, 2)
    leaders = [cluster.leader(topic, p) for p in range(2)]
    follower = next(n for n in cluster.ids() if n != leaders[1])
    for partition, victim in ((0, leaders[0]), (1, follower)):
        good = content(segment(cluster, victim, topic, partition))
        flip_a_byte(segment(cluster, victim, topic, partition))
        path = segment(cluster, victim, topic, partition)
        until(lambda: f'a cold segment is damaged segment={path.parent}' in cluster.log(victim),
              what="the damage in the log")
        until(lambda: list(cluster.data(victim).glob(f"{topic}-{partition}.*-stray")),
              what="the damaged replica set aside")
        until(lambda: content(path) == good, what="the segment as it was")
    cluster.await_isr(topic, 3)
    assert cluster.leader(topic, 0) != leaders[0], "it went on leading"
    assert read(cluster, topic, 2) == written
