"""millrace on the command line: what it says of itself, and when it refuses to start."""
import contextlib
import os
import socket
import subprocess
import time

import pytest

from millrace_cluster import SLOWER, until
from ports import port_block
from raw import api
from raw.records import batch
from raw.wire import Connection

BINARY = os.environ.get("MILLRACE", "millrace")
WAIT_S = 10 * SLOWER


def run(*words, **fields):
    environment = {**os.environ, **fields.pop("environment", {})}
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=WAIT_S,
                          check=False, env=environment, **fields)


class Setup:
    """A node's properties in a folder of its own; ports that are free."""

    def __init__(self, folder):
        self.folder = folder
        self.port = port_block()
        self.keys = {
            "node.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
                         f"CONTROLLER://127.0.0.1:{self.port + 1000}",
            "controller.quorum.voters": f"1@127.0.0.1:{self.port + 1000}",
            "log.dirs": folder / "data",
        }

    def write(self, **changes):
        path = self.folder / "server.properties"
        keys = {**self.keys, **{k.replace("__", "."): v for k, v in changes.items()}}
        path.write_text("".join(f"{k}={v}\n" for k, v in keys.items() if v is not None))
        return str(path)

    def refused(self, *words, environment=None, **changes):
        """What it says when it does not start."""
        done = run("server", self.write(**changes), *words, environment=environment or {})
        assert done.returncode == 1, done.stderr
        return done.stderr

    @contextlib.contextmanager
    def running(self, *words, environment=None, **changes):
        command = [BINARY, "server", self.write(**changes), *words]
        with running(command, self.folder, f"127.0.0.1:{self.port}", environment) as log:
            yield log


@contextlib.contextmanager
def running(command, folder, address, environment=None):
    """A process that serves; yields a function that gives its log. It has to end on SIGTERM."""
    path = folder / "log"
    with open(path, "w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out,
                                   env={**os.environ, **(environment or {})})
    try:
        until(lambda: served(process, address), what="an answer")
        yield path.read_text
        process.terminate()
        assert process.wait(WAIT_S) == 0, path.read_text()
    finally:
        process.kill()
        process.wait()


def served(process, address):
    assert process.poll() is None, "the process ended"
    with Connection(address, timeout_s=2) as conn:
        return api.api_versions(conn).error == 0


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path)


# ---- what it says of itself


def test_version():
    for word in ("version", "--version"):
        done = run(word)
        assert done.returncode == 0 and done.stdout.startswith("millrace ")
        assert done.stdout.split()[1][0].isdigit()


def test_help_shows_how_to_begin():
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for word in ("millrace server", "millrace dev", "millrace version", "--set", "node.id=",
                 "listeners=", "controller.quorum.voters=", "log.dirs=", "KAFKA_NODE_ID",
                 "SIGTERM"):
        assert word in done.stdout, word


@pytest.mark.parametrize("words", [(), ("serve",), ("server",), ("--port", "1")])
def test_anything_else_is_told_where_help_is_with_status_1(words):
    done = run(*words)
    assert done.returncode == 1 and done.stdout == ""
    assert "millrace --help" in done.stderr or "millrace server" in done.stderr


def test_unknown_words_after_the_file_are_refused(setup):
    assert 'what is "--verbose"' in setup.refused("--verbose")
    assert 'what is "--set"' in setup.refused("--set")


def test_file_that_is_not_there_is_named(tmp_path):
    done = run("server", str(tmp_path / "nothing.properties"))
    assert done.returncode == 1
    assert "nothing.properties" in done.stderr and "No such file" in done.stderr


def test_dev_serves_without_any_configuration(tmp_path):
    """On ports of ours here, since 9092 may be in use."""
    port = port_block()
    command = [BINARY, "dev",
               "--set", f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}",
               "--set", f"controller.quorum.voters=1@127.0.0.1:{port + 1}"]
    begin = time.monotonic()
    with running(command, tmp_path, f"127.0.0.1:{port}"):
        print(f"millrace dev was ready after {(time.monotonic() - begin) * 1000:.0f} ms")
        assert (tmp_path / "millrace-data").is_dir()
        with Connection(f"127.0.0.1:{port}") as conn:
            api.metadata(conn, ["first"], 4, auto_create=True)
            until(lambda: api.metadata(conn, ["first"], 4).topics[0].error == 0)
            assert api.produce(conn, "first", batch([b"x"])).error == 0
    with running(command, tmp_path, f"127.0.0.1:{port}"):
        with Connection(f"127.0.0.1:{port}") as conn:
            assert api.list_offsets(conn, "first", -1).offset == 1, "it keeps its data"


# ---- settings


def test_set_wins_over_the_environment_and_that_over_the_file(setup):
    def partitions(*words, **environment):
        with setup.running(*words, environment=environment, num__partitions=2):
            with Connection(f"127.0.0.1:{setup.port}") as conn:
                name = f"topic-{len(words)}-{len(environment)}"
                api.metadata(conn, [name], 4, auto_create=True)
                return until(lambda: len(api.metadata(conn, [name], 4).topics[0].partitions))

    assert partitions() == 2
    assert partitions(KAFKA_NUM_PARTITIONS="3") == 3
    assert partitions("--set", "num.partitions=4", KAFKA_NUM_PARTITIONS="3") == 4


def test_unknown_key_is_a_warning(setup):
    with setup.running(no__such__key="1", environment={"KAFKA_NOR_THIS": "1"}) as log:
        assert "unknown configuration key, ignored key=no.such.key" in log()


WRONG = {
    "node.id": ("one", "a number"),
    "num.partitions": ("0", "a number from 1"),
    "auto.create.topics.enable": ("maybe", "true or false"),
    "listeners": ("127.0.0.1:9092", "NAME://host:port"),
    "advertised.listeners": ("PLAINTEXT://0.0.0.0:9092", "an address that clients can connect to"),
    "process.roles": ("controller", "broker,controller or broker"),
    "inter.broker.listener.name": ("OTHER", "the name of one of `listeners`"),
    "controller.quorum.voters": ("one@127.0.0.1:10092", "id@host:port"),
    "log.level": ("LOUD", "DEBUG, INFO, WARN or ERROR"),
}


@pytest.mark.parametrize("key", WRONG)
def test_bad_value_stops_the_start_and_tells_what_is_right(setup, key):
    value, right = WRONG[key]
    said = setup.refused(**{key.replace(".", "__"): value})
    assert f'bad configuration value key={key} value="{value}" right="' in said
    assert right in said


def test_bad_value_in_the_environment_or_after_set_is_told_too(setup):
    said = setup.refused(environment={"KAFKA_NUM_PARTITIONS": "many"})
    assert 'key=num.partitions value="many"' in said
    assert 'key=num.partitions value="few"' in setup.refused("--set", "num.partitions=few")
    assert 'right="key=value"' in setup.refused("--set", "num.partitions")


def test_node_id_that_is_missing_is_asked_for(setup):
    assert "key=node.id" in setup.refused(node__id=None)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", ""])
def test_c67_any_address_is_never_advertised(setup, host):
    said = setup.refused(advertised__listeners=f"PLAINTEXT://{host}:9092")
    assert "key=advertised.listeners" in said and "leave the key out" in said


# ---- what is in use, or somebody else's


def test_data_folder_in_use_is_refused(setup, tmp_path):
    with setup.running():
        other = Setup(tmp_path)
        said = other.refused()
        assert "in use by another process" in said and str(tmp_path / "data") in said
        with Connection(f"127.0.0.1:{setup.port}") as conn:
            assert api.api_versions(conn).error == 0, "the first one goes on"


def test_data_folder_of_another_node_is_refused(setup):
    with setup.running():
        pass
    said = setup.refused(node__id=2,
                         controller__quorum__voters=f"2@127.0.0.1:{setup.port + 1000}")
    assert "node" in said and "1" in said and str(setup.folder / "data") in said
    with setup.running():
        pass


def test_data_folder_of_another_cluster_is_refused(setup):
    with setup.running():
        pass
    said = setup.refused(cluster__id="AAAAAAAAAAAAAAAAAAAAAA")
    assert "AAAAAAAAAAAAAAAAAAAAAA" in said and "cluster" in said
    with setup.running():
        pass


@pytest.mark.parametrize("offset", [0, 1000], ids=["clients", "quorum"])
def test_port_that_is_taken_is_named(setup, offset):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", setup.port + offset))
        taken.listen(1)
        said = setup.refused()
        assert str(setup.port + offset) in said and "Address already in use" in said
    with setup.running():
        pass


def test_data_folder_that_cannot_be_made_is_named(setup):
    (setup.folder / "file").write_text("")
    assert "cannot make the data folder" in setup.refused(log__dirs=setup.folder / "file" / "data")
