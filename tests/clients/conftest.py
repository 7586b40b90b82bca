"""One cluster for the whole session, shared by all tests; topics and groups have unique names.

Where it comes from, first that applies:
  --bootstrap / BOOTSTRAP         a cluster that already runs (host:port,...)
  MILLRACE_TEST_TARGET=kafka      a real Apache Kafka, to check the tests themselves
  else                            three Millrace nodes by deploy/cluster
"""
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from target import Target

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib" / "kafka"))

from kafka_cluster import free_ports  # noqa: E402

SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.assignment.interval.ms": "0",
    "num.partitions": "4",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
}
NODE_PIDS = []  # of the cluster that this session started


def pytest_addoption(parser):
    parser.addoption("--bootstrap", default=os.environ.get("BOOTSTRAP"))


@pytest.fixture(scope="session")
def kind():
    return os.environ.get("MILLRACE_TEST_TARGET", "millrace")


@pytest.fixture(scope="session")
def bootstrap(request, kind, tmp_path_factory):
    given = request.config.getoption("--bootstrap")
    if given:
        yield given
        return
    script = ROOT / ("tests/lib/kafka/cluster" if kind == "kafka" else "deploy/cluster")
    folder = tmp_path_factory.mktemp("cluster")
    command = [str(script), "--dir", str(folder / "state"), "--port", str(free_port_range())]
    sets = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    try:
        ask(*command, *sets, "up", "3")
        NODE_PIDS[:] = [ask(*command, "pid", node) for node in "123"]
        yield ask(*command, "bootstrap")
        if ended_nodes() or request.session.testsfailed:
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():
                for node in "123":
                    print(f"\n---- the end of node {node}'s log")
                    print(ask(*command, "logs", node)[-3000:])
    finally:
        subprocess.run([*command, "down", "--wipe"], check=False, timeout=60)


def ended_nodes():
    return [pid for pid in NODE_PIDS if not is_running(pid)]


def is_running(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def pytest_sessionfinish(session, exitstatus):
    """Where everything was skipped, ctest shall hear of it (5: of whole files)."""
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    if exitstatus in (0, 5) and "skipped" in stats and "passed" not in stats:
        session.exitstatus = 77


@pytest.fixture(autouse=True)
def nodes_live():
    """Nothing that follows the death of a node means anything: stop there."""
    yield
    if ended_nodes():
        pytest.exit("a node ended during this test", returncode=1)


def ask(*command):
    """What a command of the cluster script prints; its own words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        pytest.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}", returncode=1)
    return done.stdout.strip()


def free_port_range():
    """A first port such that deploy/cluster's ports (p.. and p+1000..) are free now."""
    for port in free_ports(50):
        if port + 1010 > 65535:
            continue
        try:
            for offset in (0, 1, 2, 3, 1000, 1001, 1002, 1003):
                with socket.socket() as sock:
                    sock.bind(("127.0.0.1", port + offset))
            return port
        except OSError:
            continue
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def target(bootstrap, kind):
    with Target(bootstrap, kind) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shared_topic(target):
    """A topic of one partition and three replicas that any test may append to."""
    return target.new_topic("shared")


@pytest.fixture
def topic(target):
    return target.new_topic("topic")


@pytest.fixture
def group(target):
    return target.unique("group")


@pytest.fixture
def admin(target):
    """A connection to some broker, for this test alone."""
    with target.connect() as conn:
        yield conn
