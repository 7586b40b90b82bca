"""A node comes back under its id with an empty disk: another one in its place."""
import re
import shutil
import time

from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry,
                                   ConfigResource)

from load import Load, check_history, read_all
from millrace_cluster import until
from raw import api
from raw.records import batch

PARTITIONS = 6
BOUND_S = 30


def identity(cluster, node):
    """(its id in the quorum, the id of its log folder)"""
    folder = cluster.data(node)
    raft = re.search(r"raft.id=(\d+)", (folder / "quorum" / "quorum.properties").read_text())
    disk = re.search(r"directory.id=(\S+)", (folder / "meta.properties").read_text())
    return raft.group(1), disk.group(1)


def produce(cluster, topic, value):
    with cluster.connect(cluster.leader(topic)) as conn:
        return api.produce(conn, topic, batch([value])).error


def test_c06_replaced_node_has_another_identity_and_is_filled_in_time(shared):
    topic = shared.create_topic("replaced", PARTITIONS, min_insync_replicas="2")
    with Load(shared.bootstrap(), topic, PARTITIONS) as load:
        load.await_acks()
        before = identity(shared, 2)
        shared.kill(2)
        shutil.rmtree(shared.data(2))
        load.await_acks(time.monotonic())
        begin = time.monotonic()
        shared.start(2)
        shared.await_isr(topic, 3, BOUND_S)
        print(f"filled after {time.monotonic() - begin:.1f} s")
        after = identity(shared, 2)
        assert before[0] != after[0] and before[1] != after[1]
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(shared.bootstrap(), topic, PARTITIONS))
    until(lambda: "voter=1" in shared.log(2).rpartition("joined the quorum")[2],
          what="its vote")


def test_f48_replaced_disk_of_the_last_in_sync_does_not_empty_the_others(make_cluster):
    """Four nodes, so that the quorum outlives the partition: 4 leads, 1 stays behind."""
    cluster = make_cluster(4)
    spec = api.topic_spec("last", -1, -1, assignments=[(0, [4, 1])],
                          configs={"min.insync.replicas": "1"})
    with cluster.connect(2) as conn:
        assert api.create_topics(conn, [spec])["last"].error == 0
    cluster.await_isr("last", 2)
    assert produce(cluster, "last", b"of both") == 0
    cluster.kill(1)
    until(lambda: cluster.seen_by(2, "last")[0].isr == [4], what="the leader alone")
    assert produce(cluster, "last", b"of one") == 0
    cluster.kill(4)
    shutil.rmtree(cluster.data(4))
    cluster.start(1)
    for _ in range(2):  # its second start finds a folder that it made itself
        cluster.start(4)
        until(lambda: "on a disk that is gone" in cluster.log(4), what="its word for it")
        time.sleep(1)  # time to lead, if it did
        assert cluster.seen_by(2, "last")[0].leader == -1
        cluster.kill(4)
        (cluster.dir / "node-4" / "log").write_text("")
    cluster.start(4)
    # The way out that it names: what only it had is lost, the rest is not.
    entry = ConfigEntry("unclean.leader.election.enable", "true",
                        incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, "last", incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": cluster.address(2)})
    admin.incremental_alter_configs([resource])[resource].result(10)
    assert cluster.await_leader("last", node=2, other_than=4) == 1
    cluster.await_isr("last", 2)
    with cluster.connect(1) as conn:
        assert api.list_offsets(conn, "last", -1).offset == 1
