"""The power of all nodes fails under load: what was acknowledged is there afterwards."""
import os
import random
import time

from load import Load, check_history, read_all
from millrace_cluster import ScriptFailed

PARTITIONS = 4
ROUNDS = int(os.environ.get("MILLRACE_POWER_ROUNDS", "1"))
LOSSY_ROUNDS = 10


def power_cycle(cluster, disks, in_the_dark=lambda: None):
    """All at once, with everything that was not synced lost; then up again."""
    cluster.wanted_down.update(disks)
    for disk in disks.values():
        disk.cut_power()
    in_the_dark()
    for node in disks:
        try:
            cluster.kill(node)
        except ScriptFailed:
            assert cluster.state(node) == "stopped"  # its metadata's disk failed, it gave up
    for disk in disks.values():
        disk.unmount()
        disk.mount()
    cluster.up_again()


def test_a_power_cut_of_all_nodes_loses_nothing_acknowledged(powered):
    cluster, disks = powered
    topic = cluster.create_topic("powered", PARTITIONS, min_insync_replicas="2")
    with Load(cluster.bootstrap(), topic, PARTITIONS) as load:
        for number in range(ROUNDS):
            load.await_acks(time.monotonic(), 60)
            time.sleep(random.uniform(0.2, 1.5))
            before = len(load.acks)
            power_cycle(cluster, disks)
            load.await_acks(time.monotonic(), 60)
            print(f"round {number}: {before} acknowledged before the cut", flush=True)
        load.finish()
    assert load.fatal is None
    check_history(load.acks, read_all(cluster.bootstrap(), topic, PARTITIONS))


def test_the_same_cut_shows_what_write_caching_can_lose(powered):
    """That the test above can fail."""
    cluster, disks = powered
    for number in range(LOSSY_ROUNDS):
        topic = cluster.create_topic(f"cached-{number}", PARTITIONS, write_caching="true")
        with Load(cluster.bootstrap(), topic, PARTITIONS, rate=3000,
                  delivery_timeout_ms=15000) as load:
            load.await_acks(time.monotonic(), 60)
            time.sleep(random.uniform(0.2, 0.6))
            power_cycle(cluster, disks, load.stopping.set)
        for partition in range(PARTITIONS):
            cluster.await_leader(topic, partition)
        seen = {(r.key, r.number) for r in read_all(cluster.bootstrap(), topic, PARTITIONS)}
        lost = sum((a.key, a.number) not in seen for a in load.acks)
        print(f"round {number}: {lost} of {len(load.acks)} lost", flush=True)
        if lost:
            return
    raise AssertionError("nothing was lost with write.caching: does the cut lose anything?")
