"""The disk of one node fills up: it refuses what it cannot keep, everything else goes on, and with
the room it all comes back by itself. That node is the active controller, too: its metadata lives on
the same disk."""
import os
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   ResourceType)

from load import Load, check_history, read_all
from millrace_cluster import until
from raw import api, records

PARTITIONS = 3
STORAGE_ERROR = 56


def write(cluster, node, topic, size=100):
    """The error code of one record with acks=1."""
    with cluster.connect(node) as conn:
        return api.produce(conn, topic, records.batch([os.urandom(size)]), acks=1).error


def create_on(cluster, node, name):
    """A topic of one partition that this node leads, with a few records."""
    others = [n for n in cluster.ids() if n != node]
    spec = api.topic_spec(name, -1, -1, assignments=[(0, [node, *others])])
    with cluster.connect(node) as conn:
        assert api.create_topics(conn, [spec])[name].error == 0
    cluster.await_isr(name, 3)
    for _ in range(20):
        assert write(cluster, node, name) == 0
    return name


def check_what_goes_on(cluster, node, admin, trimmed, spare):
    with cluster.connect(node) as conn:
        got = api.fetch(conn, [(trimmed, 0, 0)])
        assert got.partitions[0].error == 0 and got.partitions[0].records, "it cannot be read"
    resource = ConfigResource(ResourceType.TOPIC, trimmed, incremental_configs=[
        ConfigEntry("retention.ms", "3600000", incremental_operation=AlterConfigOpType.SET)])
    admin.incremental_alter_configs([resource])[resource].result(30)
    gone = TopicPartition(trimmed, 0, 10)
    assert admin.delete_records([gone])[gone].result(30).low_watermark == 10
    admin.delete_topics([spare])[spare].result(30)
    until(lambda: not list(cluster.data(node).glob(f"{spare}-*")), what="the topic's files gone")


def test_a_full_disk_refuses_and_recovers_by_itself(powered):
    cluster, disks = powered
    victim = cluster.controller()
    topic = cluster.create_topic("full", PARTITIONS, min_insync_replicas="2")
    trimmed, spare = (create_on(cluster, victim, name) for name in ("trimmed", "spare"))
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap()})
    with Load(cluster.bootstrap(), topic, PARTITIONS, delivery_timeout_ms=120000) as load:
        load.await_acks(time.monotonic(), 60)
        disks[victim].fill()
        until(lambda: write(cluster, victim, trimmed, 40000) == STORAGE_ERROR,
              what="a refused record")
        check_what_goes_on(cluster, victim, admin, trimmed, spare)
        cluster.kill(victim)
        cluster.start(victim)
        until(lambda: cluster.leader(trimmed) != -1, what="a leader")
        assert not cluster.ended_unasked()
        disks[victim].make_room()
        load.await_acks(time.monotonic(), 90)
        cluster.await_isr(topic, 3, 90)
        until(lambda: write(cluster, cluster.leader(trimmed), trimmed) == 0, what="a record taken")
        load.finish()
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(cluster.bootstrap(), topic, PARTITIONS))
