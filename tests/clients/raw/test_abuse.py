"""Broken frames by the hundred, and slow peers: other connections never notice (C31)."""
import random
import socket

import pytest

from raw import api, groups, wire
from raw.records import batch

FRAMES = 1500
PER_CONNECTION = 15


def header(key, version):
    head = key.to_bytes(2, "big") + version.to_bytes(2, "big") + bytes(4) + b"\x00\x01f"
    return head + (b"\x00" if wire.is_flexible(key, version) else b"")


def corpus(topic):
    """Right frames of many kinds, to be broken."""
    one = batch([b"value"] * 3, headers=[(b"h", b"v")])
    requests = [(wire.PRODUCE, v, api.produce_body(topic, one, v)) for v in (3, 7, 9, 12)]
    requests += [(wire.FETCH, v, api.fetch_body([(topic, 0, 0)], v)) for v in (4, 7, 11, 12)]
    requests += [(wire.API_VERSIONS, v, api.api_versions_body(v)) for v in (0, 3, 5)]
    requests += [(wire.JOIN_GROUP, v, groups.join_body("fuzzed", version=v)) for v in (0, 5, 9)]
    requests += [(wire.SYNC_GROUP, v, groups.sync_body("fuzzed", 1, "m", {"m": b"a"}, v))
                 for v in (0, 5)]
    for version in (1, 9, 12):
        w = api.writer(wire.METADATA, version)
        w.array([topic], lambda t: (w.raw(bytes(16)) if version >= 10 else w).string(t).tags())
        requests.append((wire.METADATA, version, w.i8(0).i8(0).tags().done()))
    return [header(key, version) + body for key, version, body in requests]


def broken(rng, frame):
    """The frame with a few bytes changed, cut, doubled, or with a huge number put in."""
    frame = bytearray(frame)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(4 if rng.random() < 0.95 else 0, len(frame))
        kind = rng.randrange(4)
        if kind == 0:
            frame[place] = rng.randrange(256)
        elif kind == 1:
            frame[place:place + 4] = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
        elif kind == 2:
            del frame[place + 1:place + 1 + rng.randrange(20)]
        else:
            frame[place:place] = frame[place:place + rng.randrange(20)]
    return bytes(frame)


def test_c31_node_stays_up_under_broken_frames(target, admin, shared_topic):
    rng = random.Random(31)
    frames = corpus(shared_topic)
    for _ in range(FRAMES // PER_CONNECTION):
        with target.leader(shared_topic, timeout_s=0.2) as conn:
            for _ in range(PER_CONNECTION):
                conn.send_frame(broken(rng, rng.choice(frames)))
            try:
                conn.sock.shutdown(socket.SHUT_WR)
                while conn.sock.recv(1 << 16):
                    pass
            except (TimeoutError, OSError):
                pass  # hung up on, or a request that waits: either is right
    with target.leader(shared_topic) as conn:
        assert api.produce(conn, shared_topic, batch([b"after"])).error == 0
    assert api.api_versions(admin, 3).error == 0


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x00\x10\x00", b"\x00\x00\x10\x00half"],
                         ids=["nothing", "part_of_the_length", "length_only", "half_a_frame"])
def test_half_open_connections_do_not_disturb_others(target, admin, sent):
    conns = [target.connect() for _ in range(50)]
    for conn in conns:
        conn.send_bytes(sent)
    assert api.api_versions(admin, 3).error == 0
    for conn in conns:
        conn.close()


def test_client_that_never_reads_its_answers_does_not_disturb_others(target, shared_topic):
    with target.leader(shared_topic) as writer:
        api.produce(writer, shared_topic, batch([bytes(500_000)]))
        offset = api.list_offsets(writer, shared_topic, -1).offset - 1
        greedy = target.leader(shared_topic)
        greedy.sock.settimeout(0.5)
        body = api.fetch_body([(shared_topic, 0, offset)])
        for _ in range(200):
            greedy.send(wire.FETCH, 4, body)
        assert api.produce(writer, shared_topic, batch([b"x"])).error == 0
        greedy.close()
