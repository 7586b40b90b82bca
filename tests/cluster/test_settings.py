"""What a setting of the server promises to clients: groups, idle connections, topics, listeners."""
import contextlib
import struct
import time

import pytest

from millrace_cluster import SLOWER, until
from raw import api, groups, wire
from raw.records import batch
from raw.wire import Connection
from test_command_line import BINARY, Setup, running

DELAY_MS, IDLE_MS, REQUEST_MAX = 700, 800, 200_000


@pytest.fixture(scope="module")
def settings():
    return {"group_initial_rebalance_delay_ms": DELAY_MS, "connections_max_idle_ms": IDLE_MS,
            "auto_create_topics_enable": "false", "socket_request_max_bytes": REQUEST_MAX}


def test_b03_first_rebalance_waits_for_more_members(shared):
    group = "delayed"
    node = shared.coordinator(group)
    with shared.connect(node) as first, shared.connect(node) as second:
        until(lambda: groups.describe_group(first, group).error == 0)
        names = [groups.join_group(conn, group).member for conn in (first, second)]
        began = time.monotonic()
        sent = [conn.send(wire.JOIN_GROUP, 4, groups.join_body(group, name))
                for conn, name in zip((first, second), names)]
        joined = [groups.read_join(conn.receive(wire.JOIN_GROUP, 4, s), 4)
                  for conn, s in zip((first, second), sent)]
        waited_s = time.monotonic() - began
        assert DELAY_MS / 1000 - 0.05 < waited_s < 5 * SLOWER
        assert [(j.error, j.generation) for j in joined] == [(0, 1), (0, 1)]
        assert sorted(m for j in joined for m in j.members) == sorted(names)


def test_b20_idle_and_half_open_connections_are_closed(shared):
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(shared.connect(1, timeout_s=10 * SLOWER)) for _ in range(3)]
        for conn, sent in zip(conns, (b"", b"\x00\x00", b"\x00\x00\x00\x40half a request")):
            conn.send_bytes(sent)
        for conn in conns:
            assert conn.is_closed()
            assert time.monotonic() - began > IDLE_MS / 1000 - 0.1


def test_b20_connection_that_is_used_or_waits_for_its_answer_stays(shared):
    topic = shared.create_topic("waited-for")
    with shared.connect(shared.leader(topic)) as conn:
        for _ in range(8):
            time.sleep(IDLE_MS / 4000)
            assert api.api_versions(conn, 3).error == 0
        began = time.monotonic()
        got = api.fetch(conn, [(topic, 0, 0)], max_wait_ms=2 * IDLE_MS)
        assert got.partitions[0].error == 0
        assert time.monotonic() - began > 1.9 * IDLE_MS / 1000


def test_c64_without_auto_create_a_missing_topic_stays_missing(shared):
    for version in (1, 4, 12):
        for node in shared.ids():
            with shared.connect(node) as conn:
                topic, = api.metadata(conn, ["missing"], version, auto_create=True).topics
                assert topic.error == 3


def test_c28_request_larger_than_the_server_takes_closes_the_connection_only(shared):
    topic = shared.create_topic("narrow")
    node = shared.leader(topic)
    with shared.connect(node) as other:
        assert api.api_versions(other, 3).error == 0
        with shared.connect(node) as conn:
            body = api.produce_body(topic, batch([bytes(REQUEST_MAX)]))
            conn.send(wire.PRODUCE, 7, body)
            assert conn.is_closed()
        with shared.connect(node) as conn:
            conn.send_bytes(struct.pack(">i", REQUEST_MAX + 1))
            assert conn.is_closed()
        answer = api.produce(other, topic, batch([bytes(REQUEST_MAX - 1000)]))
        assert (answer.error, answer.base_offset) == (0, 0)


# ---- two listeners


def two_listeners(setup, node, advertised):
    """INTERNAL and EXTERNAL on ports of their own; the second node joins the first one's quorum."""
    inner, outer, quorum = (setup.port + offset + node for offset in (0, 10, 1000))
    told = f"INTERNAL://127.0.0.1:{inner},EXTERNAL://localhost:{outer}"
    voters = {"controller.quorum.voters": f"1@127.0.0.1:{setup.port + 1001}"}
    keys = {
        "node.id": node, "inter.broker.listener.name": "INTERNAL",
        "listeners": f"INTERNAL://127.0.0.1:{inner},EXTERNAL://127.0.0.1:{outer},"
                     f"CONTROLLER://127.0.0.1:{quorum}",
        "listener.security.protocol.map":
            "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "advertised.listeners": told if advertised else None,
        "log.dirs": setup.folder / f"data-{node}",
    }
    if node > 1:
        keys |= {"process.roles": "broker",
                 "controller.quorum.bootstrap.servers": f"127.0.0.1:{setup.port + 1001}"}
        voters = {}
    folder = setup.folder / f"node-{node}"
    folder.mkdir()
    path = folder / "server.properties"
    path.write_text("".join(f"{k}={v}\n" for k, v in (keys | voters).items() if v is not None))
    return path, folder, f"127.0.0.1:{inner}", f"127.0.0.1:{outer}"


@pytest.mark.parametrize("advertised", [True, False], ids=["advertised", "nothing_advertised"])
def test_c67_clients_of_each_listener_are_led_to_that_listener(tmp_path, advertised):
    setup = Setup(tmp_path)
    nodes = [two_listeners(setup, node, advertised) for node in (1, 2)]
    with contextlib.ExitStack() as stack:
        for path, folder, inner, _ in nodes:
            stack.enter_context(running([BINARY, "server", str(path)], folder, inner))
        inner = {n: node[2] for n, node in enumerate(nodes, 1)}
        outer = {n: node[3].replace("127.0.0.1", "localhost") if advertised else node[3]
                 for n, node in enumerate(nodes, 1)}
        for number, node in enumerate(nodes, 1):
            for address, expected in ((node[2], inner), (node[3], outer)):
                with Connection(address) as conn:
                    until(lambda c=conn: len(api.metadata(c, []).brokers) == 2)
                    assert api.metadata(conn, []).brokers == expected, number
                    assert api.describe_cluster(conn).brokers == expected
                    found = until(lambda c=conn: coordinator(c))
                    assert found.address == expected[found.node]


def coordinator(conn):
    found = groups.find_coordinator(conn, "any")
    return found if found.error == 0 else None
