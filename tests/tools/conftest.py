"""One cluster of three nodes and one JVM for all tests; names of topics are each test's own."""
import itertools
import json
import os
import pathlib
import subprocess
import time

import pytest

from ports import port_block
from tools import Tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = {
    "num.partitions": "1",
    "default.replication.factor": "3",
    "min.insync.replicas": "1",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
}
NUMBERS = itertools.count(1)


class Cluster:
    """Either script has the same words."""

    def __init__(self, script, folder):
        sets = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
        self.command = [str(script), "--dir", str(folder), "--port", str(port_block()), *sets]

    def run(self, *words):
        done = subprocess.run([*self.command, *map(str, words)], capture_output=True, text=True,
                              timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def is_kafka():
    return os.environ.get("MILLRACE_TEST_TARGET") == "kafka"


@pytest.fixture(scope="session")
def cluster(is_kafka, tmp_path_factory):
    script = ROOT / ("tests/lib/kafka/cluster" if is_kafka else "deploy/cluster")
    it = Cluster(script, tmp_path_factory.mktemp("cluster") / "state")
    try:
        it.run("up", 3)
        yield it
    finally:
        subprocess.run([*it.command, "down", "--wipe"], check=False, timeout=60)


@pytest.fixture(scope="session")
def tools(cluster, is_kafka):
    with Tools(cluster.run("bootstrap"), 0.5 if is_kafka else 0) as it:
        yield it


@pytest.fixture
def topic(tools):
    """A topic of three partitions and replicas."""
    name = f"topic-{next(NUMBERS)}"
    done = tools.run("kafka-topics", "--create", "--topic", name, "--partitions", 3,
                     "--replication-factor", 3)
    assert done.status == 0, done
    return name


@pytest.fixture
def json_file(tmp_path):
    """Writes what a tool wants to read from a file; its path."""
    def write(content):
        path = tmp_path / f"{next(NUMBERS)}.json"
        path.write_text(json.dumps(content))
        return path
    return write


@pytest.fixture(scope="session")
def until():
    """until(attempt): what a tool answers, once `attempt` finds it good."""
    def wait(run, good, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while True:
            done = run()
            if good(done):
                return done
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {done}"
            time.sleep(0.1)
    return wait
