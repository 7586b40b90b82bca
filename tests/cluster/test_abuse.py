"""Whatever one connection does, the node lives on and nobody else's connection pays for it."""
import contextlib
import pathlib
import socket
import struct
import threading
import time

import pytest

from load import Load, check_history, read_all
from millrace_cluster import SLOWER
from raw import api, groups, wire
from raw.records import batch

PARTITIONS = 3
MEMORY_MAX_KB = 400 * 1024
REQUEST_MAX = 100 * 1024 * 1024  # socket.request.max.bytes


@pytest.fixture(scope="module")
def working(shared_nodes):
    """A producer and a caller that work on all through this file, on connections of their own."""
    topic = shared_nodes.create_topic("unharmed", PARTITIONS, min_insync_replicas="2")
    with Load(shared_nodes.bootstrap(), topic, PARTITIONS, rate=100) as load, \
            Witness(shared_nodes) as witness:
        load.await_acks()
        yield load
    assert load.fatal is None and not load.failures
    assert not witness.errors, witness.errors
    check_history(load.acks, read_all(shared_nodes.bootstrap(), topic, PARTITIONS))
    print(f"the slowest of {witness.calls} answers to the witness: {witness.slowest_s:.2f} s")


class Witness(threading.Thread):
    """One connection that is asked all the time, and must never be lost or forgotten."""

    def __init__(self, cluster):
        super().__init__(name="witness", daemon=True)
        self.conn = cluster.connect(1, timeout_s=20 * SLOWER)
        self.stopping = threading.Event()
        self.errors, self.calls, self.slowest_s = [], 0, 0

    def run(self):
        while not self.stopping.wait(0.02):
            begin = time.monotonic()
            try:
                assert api.api_versions(self.conn, 3).error == 0
            except Exception as err:  # pylint: disable=broad-except
                self.errors.append(repr(err))
                return
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            self.calls += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()
        self.conn.close()


@pytest.fixture
def target(shared, working):
    """The node under abuse; afterwards it is the same process, of a sane size, and serves."""
    pid = shared.pid(1)
    yield shared
    assert shared.pid(1) == pid
    with shared.connect(1) as conn:
        assert api.api_versions(conn, 3).error == 0
    assert peak_memory_kb(pid) < MEMORY_MAX_KB * SLOWER
    before = time.monotonic()
    working.await_acks(before)


def peak_memory_kb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def closes(cluster, data, timeout_s=5):
    """Whether the node hangs up on these bytes without an answer."""
    with cluster.connect(1, timeout_s=timeout_s * SLOWER) as conn:
        conn.send_bytes(data)
        return conn.is_closed()


def frame(key, version, body=b"", client=b"\x00\x04abus", correlation=7):
    data = struct.pack(">hhi", key, version, correlation) + client + body
    return struct.pack(">i", len(data)) + data


# ---- frames


@pytest.mark.parametrize("size", [-1, -(1 << 31), 0, 1, 7, REQUEST_MAX + 1, (1 << 31) - 1])
def test_wrong_length_closes_the_connection(target, size):
    assert closes(target, struct.pack(">i", size) + bytes(max(0, min(size, 64))))


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    b"\xff" * 1000], ids=["http", "tls", "ones"])
def test_other_protocols_are_hung_up_on(target, data):
    assert closes(target, data)


def test_closed_connection_leaves_one_line_with_the_reason(target):
    before = target.log(1).count("connection closed")
    assert closes(target, frame(999, 0))
    lines = target.log(1).count("connection closed") - before
    assert lines == 1 and 'reason="' in target.log(1).rpartition("connection closed")[2]


@pytest.mark.parametrize("key", [-1, 999, 4, 5, 7, 32767])
def test_unknown_key_closes_the_connection(target, key):
    assert closes(target, frame(key, 0))


def test_unserved_version_of_every_key_closes_the_connection(target):
    with target.connect(1) as conn:
        served = api.api_versions(conn, 3).keys
    for key, (_, high) in served.items():
        for version in (high + 1, 32767, -1):
            if key == wire.API_VERSIONS:
                continue
            assert closes(target, frame(key, version)), (key, version)


def test_unserved_version_of_api_versions_gets_an_answer(target):
    with target.connect(1) as conn:
        conn.send_bytes(frame(wire.API_VERSIONS, 99, b"\x00", correlation=5))
        answer = wire.Reader(conn.receive_frame())
        assert (answer.i32(), answer.i16()) == (5, 35)
        assert api.api_versions(conn, 3).error == 0, "the connection lives on"


def test_body_cut_anywhere_closes_the_connection(target):
    one = batch([b"value"])
    for key, version, body in (
            (wire.PRODUCE, 7, api.produce_body("unharmed", one, 7)),
            (wire.PRODUCE, 9, api.produce_body("unharmed", one, 9)),
            (wire.FETCH, 12, api.fetch_body([("unharmed", 0, 0)], 12)),
            (wire.JOIN_GROUP, 9, groups.join_body("cut", version=9))):
        client = b"\x00\x04abus" + (b"\x00" if wire.is_flexible(key, version) else b"")
        for cut in range(0, len(body) - 1, 5):
            assert closes(target, frame(key, version, body[:cut], client)), (key, version, cut)


def metadata_frame(version, body):
    flexible = wire.is_flexible(wire.METADATA, version)
    return frame(wire.METADATA, version, body, b"\x00\x04abus" + (b"\x00" if flexible else b""))


AMPLIFIED = {
    "array_of_2_billion": metadata_frame(4, struct.pack(">i", (1 << 31) - 1)),
    "array_of_minus_2": metadata_frame(4, struct.pack(">i", -2) + b"\x01"),
    "compact_array_of_4_billion": metadata_frame(9, b"\xff\xff\xff\xff\x0f"),
    "varint_without_an_end": metadata_frame(9, b"\xff" * 20),
    "string_of_32767": metadata_frame(4, struct.pack(">ih", 1, 32767) + b"x"),
    "string_of_minus_2": metadata_frame(4, struct.pack(">ih", 1, -2) + b"\x01"),
    "a_billion_tags": metadata_frame(9, b"\x01\x01\x00\x00" + b"\xff\xff\xff\xff\x07"),
    "one_tag_of_2_gigabytes": metadata_frame(9, b"\x01\x01\x00\x00\x01\x05\xff\xff\xff\xff\x07"),
    "client_id_beyond_the_frame": frame(wire.METADATA, 4, b"", struct.pack(">h", 32767)),
    "client_id_of_minus_5": frame(wire.METADATA, 4, b"\xff\xff\xff\xff\x01",
                                  struct.pack(">h", -5)),
}


@pytest.mark.parametrize("name", AMPLIFIED)
def test_count_that_the_frame_cannot_hold_closes_the_connection(target, name):
    assert closes(target, AMPLIFIED[name])


def test_a_megabyte_of_empty_topics_is_answered_or_refused_without_growing(target):
    """Each entry takes two bytes here and many times that once decoded."""
    body = struct.pack(">i", 500_000) + b"\x00\x00" * 500_000 + b"\x00"
    with target.connect(1, timeout_s=20 * SLOWER) as conn:
        conn.send_bytes(metadata_frame(4, body))
        with contextlib.suppress(wire.Closed):
            conn.receive_frame()


# ---- connections


def test_bytes_one_at_a_time_make_a_request(target):
    with target.connect(1) as conn:
        for byte in frame(wire.API_VERSIONS, 0, correlation=9):
            conn.send_bytes(bytes([byte]))
        assert wire.Reader(conn.receive_frame()).i32() == 9


def test_half_closed_connection_still_gets_its_answer(target):
    with target.connect(1) as conn:
        conn.send_bytes(frame(wire.API_VERSIONS, 0, correlation=11))
        conn.sock.shutdown(socket.SHUT_WR)
        assert wire.Reader(conn.receive_frame()).i32() == 11
        assert conn.is_closed()


def test_five_hundred_connections_come_and_go(target):
    pid = target.pid(1)
    before = descriptors(pid)
    conns = [target.connect(1) for _ in range(500)]
    for index, conn in enumerate(conns):
        conn.send_bytes((b"", b"\x00", b"\x00\x00\x00\x20half", b"\xff\xff\xff\xff")[index % 4])
    with target.connect(1) as conn:
        assert api.api_versions(conn, 3).error == 0
    for index, conn in enumerate(conns):
        if index % 3 == 0:  # a reset instead of an end
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()
    deadline = time.monotonic() + 10 * SLOWER
    while descriptors(pid) > before + 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descriptors(pid) <= before + 20, "closed connections keep no descriptor"


def test_large_frames_that_never_end_take_no_memory_until_they_come(target):
    before = peak_memory_kb(target.pid(1))
    conns = [target.connect(1) for _ in range(40)]
    for conn in conns:
        conn.send_bytes(struct.pack(">i", REQUEST_MAX - 1) + bytes(1000))
    with target.connect(1) as conn:
        assert api.api_versions(conn, 3).error == 0
    for conn in conns:
        conn.close()
    assert peak_memory_kb(target.pid(1)) - before < 100 * 1024


def test_requests_without_end_whose_answers_nobody_reads_are_held_back(target):
    """10,000 requests for all topics: reading stops, memory does not grow."""
    with target.connect(1, timeout_s=2) as conn:
        request = metadata_frame(4, struct.pack(">i", -1) + b"\x00")
        conn.sock.settimeout(1)
        with contextlib.suppress(TimeoutError, OSError):
            for _ in range(100):
                conn.sock.sendall(request * 100)
        with target.connect(1) as other:
            assert api.api_versions(other, 3).error == 0


def test_broker_to_broker_calls_from_a_stranger_do_no_harm(target):
    """The client port hears the internal keys, too: what they do not like they refuse."""
    for key in range(20000, 20004):
        for body in (b"", bytes(40), b"\xff" * 40):
            with target.connect(1, timeout_s=2) as conn:
                conn.send_bytes(frame(key, 0, b"\x00" + body))
                with contextlib.suppress(wire.Closed, TimeoutError):
                    conn.receive_frame()
    assert set(target.metadata(1).brokers) == {1, 2, 3}


def test_quorum_port_hangs_up_on_strangers(target):
    """HTTP, zeros, ones and a client's request to where the nodes talk among themselves."""
    for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(4096), b"\xff" * 4096,
                 frame(wire.API_VERSIONS, 3), struct.pack(">i", (1 << 31) - 1) + bytes(64)):
        with socket.create_connection(("127.0.0.1", target.port + 1000), 5) as sock:
            sock.settimeout(1)
            with contextlib.suppress(OSError):
                sock.sendall(data)
                while sock.recv(1 << 16):
                    pass
    assert target.controller() in (1, 2, 3)
