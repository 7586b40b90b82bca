"""The disk of one node fills up under load: nothing acknowledged is lost, and it comes back."""
import time

from load import Load, check_history, read_all

PARTITIONS = 3


def test_a_full_disk_refuses_and_recovers_by_itself(powered):
    cluster, disks = powered
    topic = cluster.create_topic("full", PARTITIONS, min_insync_replicas="2")
    with Load(cluster.bootstrap(), topic, PARTITIONS, delivery_timeout_ms=120000) as load:
        load.await_acks(time.monotonic(), 60)
        victim = cluster.leader(topic, 0)
        disks[victim].fill()
        time.sleep(5)
        disks[victim].make_room()
        if cluster.state(victim) == "stopped":  # its metadata found no room either
            cluster.start(victim)
        load.await_acks(time.monotonic(), 90)
        cluster.await_isr(topic, 3, 90)
        load.finish()
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(cluster.bootstrap(), topic, PARTITIONS))
