"""Clusters whose nodes have a disk each."""
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "cluster"), str(TESTS / "lib"), str(TESTS / "clients")]

from disks import Disk  # noqa: E402
from millrace_cluster import Cluster  # noqa: E402

DISK_MB = 192


@pytest.fixture
def powered(tmp_path):
    """(cluster of three, its disks by node)"""
    cluster = Cluster(tmp_path / "cluster")
    disks = {}
    try:
        for node in (1, 2, 3):
            disks[node] = Disk(tmp_path / f"disk-{node}.img", cluster.data(node), DISK_MB)
        yield cluster.up(3), disks
        faults = cluster.faults()
        assert not faults, "\n".join(faults)
    finally:
        cluster.end()
        for disk in disks.values():
            disk.unmount()
