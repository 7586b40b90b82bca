"""What quotas do to the client that is over them, and to nobody else (C76)."""
import struct
import time

import pytest

from raw import api, wire
from raw.records import batch

RATE = 100_000
BURST = 10 * RATE  # a client that was silent may use ten seconds' worth at once


def set_quota(conn, client_id, key, rate):
    """For this client id (None: the default one) of any user; rate None: no more."""
    w = api.writer(wire.ALTER_CLIENT_QUOTAS, 0)
    w.array([0], lambda _: w.array([0], lambda _: w.string("client-id").string(client_id)).array(
        [0], lambda _: w.string(key).raw(struct.pack(">d", rate or 0)).i8(rate is None)))
    r = conn.call(wire.ALTER_CLIENT_QUOTAS, 0, w.i8(0).done())
    r.i32()
    assert r.i32() == 1 and r.i16() == 0, r.string()


@pytest.fixture
def client_id(target):
    return target.unique("client")


@pytest.fixture
def quota(admin, client_id):
    made = []

    def make(key, rate=RATE, who=client_id):
        set_quota(admin, who, key, rate)
        made.append((who, key))

    yield make
    for who, key in made:
        set_quota(admin, who, key, None)


def produce_over_quota(conn, topic):
    """Bytes sent until an answer throttled; the time that it said, and how long it took itself."""
    sent = 0
    while True:
        records = batch([bytes(20000)])
        began = time.monotonic()
        answer = api.produce(conn, topic, records)
        took_ms = (time.monotonic() - began) * 1000
        sent += len(records)
        assert answer.error == 0 and sent < 3 * BURST
        if answer.throttle:
            return sent, answer.throttle, took_ms


def test_c76_producer_over_its_rate_is_answered_first_and_then_not_read_from(
        target, topic, client_id, quota):
    quota("producer_byte_rate")
    with target.leader(topic, client_id=client_id) as conn, target.leader(topic) as other:
        sent, throttle_ms, took_ms = produce_over_quota(conn, topic)
        assert BURST * 0.9 < sent < BURST * 1.5
        assert took_ms < throttle_ms + 100
        began = time.monotonic()
        waiting = conn.send(wire.PRODUCE, 7, api.produce_body(topic, batch([b"x"])))
        assert api.produce(other, topic, batch([b"y"])).throttle == 0
        conn.receive(wire.PRODUCE, 7, waiting)
        assert time.monotonic() - began > (throttle_ms - took_ms) / 1000 * 0.8


def test_c76_all_connections_of_a_client_id_share_its_quota(target, topic, client_id, quota):
    quota("producer_byte_rate")
    with target.leader(topic, client_id=client_id) as one:
        produce_over_quota(one, topic)
    with target.leader(topic, client_id=client_id) as another:
        assert api.produce(another, topic, batch([bytes(5000)])).throttle > 0


def test_c76_consumer_over_its_rate_gets_nothing_and_all_of_it_later(
        target, topic, client_id, quota):
    with target.leader(topic) as producer:
        for _ in range(15):
            assert api.produce(producer, topic, batch([bytes(100_000)])).error == 0
    quota("consumer_byte_rate")
    with target.leader(topic, client_id=client_id) as conn:
        first = api.fetch(conn, [(topic, 0, 0)], 7, partition_max_bytes=10_000_000)
        assert first.throttle == 0
        got = len(first.partitions[0].records)
        assert 0 < got <= BURST, "one answer has no more than the quota of ten seconds"
        offset = got // 100_000
        second = api.fetch(conn, [(topic, 0, offset)], 7, partition_max_bytes=150_000)
        assert second.throttle > 0 and not any(p.records for p in second.partitions)
        third = api.fetch(conn, [(topic, 0, offset)], 7, partition_max_bytes=150_000)
        while third.throttle:
            third = api.fetch(conn, [(topic, 0, offset)], 7, partition_max_bytes=150_000)
        assert third.partitions[0].records


def test_c76_batch_larger_than_the_quota_gives_at_once_is_not_held_back_for_ever(
        target, topic, client_id, quota):
    """Apache Kafka holds it back for ever."""
    if target.is_kafka:
        pytest.skip("a consumer hangs there")
    with target.leader(topic) as producer:
        for _ in range(2):
            assert api.produce(producer, topic, batch([bytes(100_000)])).error == 0
    quota("consumer_byte_rate", 1000)
    with target.leader(topic, client_id=client_id) as conn:
        first = api.fetch(conn, [(topic, 0, 0)], 7)
        assert first.throttle > 0 and len(first.partitions[0].records) > 100_000
    with target.leader(topic, client_id=client_id) as conn:
        second = api.fetch(conn, [(topic, 0, 1)], 7)
        assert second.throttle > 0 and not any(p.records for p in second.partitions)


def test_c76_quota_that_is_removed_holds_nobody_back(target, topic, client_id, admin):
    set_quota(admin, client_id, "producer_byte_rate", RATE)
    with target.leader(topic, client_id=client_id) as conn:
        produce_over_quota(conn, topic)
    set_quota(admin, client_id, "producer_byte_rate", None)
    with target.leader(topic, client_id=client_id) as conn:
        assert api.produce(conn, topic, batch([bytes(50000)])).throttle == 0


def test_c76_more_specific_quota_counts(target, topic, client_id, quota):
    quota("producer_byte_rate", 1, who=None)
    quota("producer_byte_rate", 1e9)
    with target.leader(topic, client_id=client_id) as conn:
        assert api.produce(conn, topic, batch([bytes(50000)])).throttle == 0
    with target.leader(topic, client_id=f"{client_id}-other") as conn:
        assert api.produce(conn, topic, batch([bytes(50000)])).throttle > 0
