"""One of a node's two log folders dies: its replicas go, the others stay, the leaders move."""
import subprocess
import time

import pytest

from disks import Disk
from load import Load, check_history, read_all
from millrace_cluster import Cluster, until
from raw.wire import Writer

PARTITIONS = 8
VICTIM = 2
STORAGE_ERROR = 56
DESCRIBE_LOG_DIRS = 35


@pytest.fixture
def two_folders(tmp_path):
    """(cluster whose nodes have two log folders each, the disk of the second one of VICTIM)"""
    cluster = Cluster(tmp_path / "cluster", log_dirs="data,second")
    disk = Disk(tmp_path / "disk.img", cluster.dir / f"node-{VICTIM}" / "second", 96)
    try:
        yield cluster.up(3), disk
        faults = cluster.faults()
        assert not faults, "\n".join(faults)
    finally:
        cluster.end()
        disk.unmount()


def replicas_in(cluster, topic, folder):
    home = cluster.dir / f"node-{VICTIM}" / folder
    return {int(p.name.rpartition("-")[2]) for p in home.glob(f"{topic}-*") if p.is_dir()}


def isr_members(cluster, topic):
    """{partition: is VICTIM in sync}"""
    return {i: VICTIM in p.isr for i, p in cluster.seen_by(1, topic).items()}


def dies(disk, how):
    if how == "EIO":
        disk.cut_power()
    else:
        subprocess.run(["mount", "-o", "remount,abort", disk.mount_point], check=True)


@pytest.mark.parametrize("how", ["EIO", "read-only"])
def test_a_dead_folder_takes_down_only_its_replicas(two_folders, how):
    cluster, disk = two_folders
    topic = cluster.create_topic("spread", PARTITIONS, min_insync_replicas="2")
    idle = cluster.create_topic("idle", PARTITIONS)
    dead, alive = replicas_in(cluster, topic, "second"), replicas_in(cluster, topic, "data")
    assert len(dead) == len(alive) == PARTITIONS / 2
    with Load(cluster.bootstrap(), topic, PARTITIONS) as load:
        load.await_acks(time.monotonic(), 60)
        dies(disk, how)
        for name in (topic, idle):
            gone = replicas_in(cluster, name, "data")
            wanted = {p: p in gone for p in range(PARTITIONS)}
            until(lambda: isr_members(cluster, name) == wanted, 30, f"{name} without the dead")
        load.await_acks(time.monotonic(), 60)
        load.finish()
    leaders = {p: cluster.leader(topic, p) for p in range(PARTITIONS)}
    assert all(leaders[p] != VICTIM for p in dead)
    assert any(leaders[p] == VICTIM for p in alive), "it leads nothing any more"
    check_history(load.acks, read_all(cluster.bootstrap(), topic, PARTITIONS))
    check_description(cluster, topic, alive)
    fresh = cluster.create_topic("fresh", 4)
    assert replicas_in(cluster, fresh, "data") == set(range(4))
    comes_back(cluster, disk, [topic, idle])


def describe_log_dirs(cluster):
    """{folder: (error, {(topic, partition)})}"""
    with cluster.connect(VICTIM) as conn:
        r = conn.call(DESCRIBE_LOG_DIRS, 1, Writer().array(None, None).done())
    r.i32()

    def read_topic():
        name = r.string()
        return [(name, p) for p, *_ in r.array(
            lambda: (r.i32(), r.i64(), r.i64(), r.boolean()))]

    def read_folder():
        error, folder = r.i16(), r.string()
        return folder, (error, {pair for topic in r.array(read_topic) for pair in topic})

    return dict(r.array(read_folder))


def check_description(cluster, topic, alive):
    found = describe_log_dirs(cluster)
    by_name = {path.rpartition("/")[2]: answer for path, answer in found.items()}
    assert by_name["second"] == (STORAGE_ERROR, set())
    error, replicas = by_name["data"]
    assert error == 0 and {p for name, p in replicas if name == topic} == alive


def comes_back(cluster, disk, topics):
    cluster.kill(VICTIM)
    disk.unmount()
    disk.repair()
    disk.mount()
    cluster.start(VICTIM)
    for topic in topics:
        cluster.await_isr(topic, 3, 60)
