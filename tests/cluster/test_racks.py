"""Consumers that read from the replica in their own rack (KIP-392, F74)."""
import json
import time

import confluent_kafka
import pytest

from millrace_cluster import until
from raw import api, records

VERSION = 12


@pytest.fixture
def racks(make_cluster):
    """Three nodes in three racks; node n is in rack-n."""
    cluster = make_cluster(
        3, replica_selector_class="org.apache.kafka.common.replica.RackAwareReplicaSelector")
    for node in cluster.ids():
        cluster.stop(node)
        cluster.start(node, env={"KAFKA_BROKER_RACK": f"rack-{node}"})
        until(lambda: cluster.active(node) == {1, 2, 3}, what="all brokers back")
    return cluster


def fetch(cluster, node, topic, offset, **fields):
    with cluster.connect(node) as conn:
        return api.fetch(conn, [(topic, 0, offset)], VERSION, **fields).partitions[0]


def test_leader_sends_a_consumer_to_the_follower_in_its_rack(racks):
    topic = racks.create_topic("racks")
    leader = racks.leader(topic)
    near = next(n for n in racks.ids() if n != leader)
    with racks.connect(leader) as conn:
        assert api.produce(conn, topic, records.batch([b"a"])).error == 0
    sent = fetch(racks, leader, topic, 0, rack=f"rack-{near}")
    assert (sent.error, sent.preferred, sent.records) == (0, near, b"")
    for rack in (f"rack-{leader}", "rack-none", ""):
        stays = fetch(racks, leader, topic, 0, rack=rack)
        assert (stays.error, stays.preferred) == (0, -1) and stays.records
    # It is told at once, though it would wait for data.
    begin = time.monotonic()
    sent = fetch(racks, leader, topic, 1, rack=f"rack-{near}", max_wait_ms=10000)
    assert sent.preferred == near and time.monotonic() - begin < 5
    # A follower that is gone is nobody's best.
    racks.kill(near)
    racks.await_isr(topic, 2)
    stays = fetch(racks, racks.leader(topic), topic, 0, rack=f"rack-{near}")
    assert stays.preferred == -1 and stays.records


def test_follower_serves_new_records_without_waiting_for_its_next_poll(racks):
    """A follower is told of a watermark that moved when consumers may read from it."""
    topic = racks.create_topic("fresh")
    leader = racks.leader(topic)
    near = next(n for n in racks.ids() if n != leader)
    took = []
    with racks.connect(leader) as producer, racks.connect(near) as consumer:
        for offset in range(20):
            assert api.produce(producer, topic, records.batch([b"x"])).error == 0
            begin = time.monotonic()
            got = api.fetch(consumer, [(topic, 0, offset)], VERSION, max_wait_ms=10000)
            took.append(time.monotonic() - begin)
            assert got.partitions[0].error == 0 and got.partitions[0].records
    assert sorted(took)[10] < 0.25, took


def test_librdkafka_reads_from_its_rack_and_over_the_followers_death(racks):
    topic = racks.create_topic("readers", min_insync_replicas="2")
    leader = racks.leader(topic)
    near = next(n for n in racks.ids() if n != leader)
    told, values = {}, []
    producer = confluent_kafka.Producer({"bootstrap.servers": racks.bootstrap(), "acks": "all"})
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": racks.bootstrap(), "group.id": "racks", "client.rack": f"rack-{near}",
        "auto.offset.reset": "earliest", "statistics.interval.ms": 200,
        "stats_cb": lambda text: told.update(json.loads(text))})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])

    def poll():
        message = consumer.poll(0.05)
        if message is not None:
            assert message.error() is None, message.error()
            values.append(message.value())

    def reads_from_near():
        poll()
        partitions = told.get("topics", {}).get(topic, {}).get("partitions", {})
        return partitions.get("0", {}).get("broker") == near

    def send(first, end):
        for number in range(first, end):
            producer.produce(topic, str(number).encode(), partition=0)
        assert producer.flush(30) == 0

    send(0, 100)
    until(reads_from_near, 30, "fetching from the follower in the rack")
    send(100, 200)
    racks.kill(near)
    send(200, 300)
    until(lambda: poll() or len(values) >= 300, 60, "all records")
    consumer.close()
    assert values == [str(n).encode() for n in range(300)]
