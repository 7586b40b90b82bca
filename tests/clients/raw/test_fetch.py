"""Fetch, ListOffsets, OffsetForLeaderEpoch (B08-B11, C22, C29, T19, T21)."""
import time
import uuid

import pytest

from raw import api, records, wire
from raw.records import batch
from target import until


@pytest.fixture
def leader(target, topic):
    with target.leader(topic) as conn:
        yield conn


def append(conn, topic, values, **fields):
    answer = api.produce(conn, topic, batch(values, **fields))
    assert answer.error == 0
    return answer.base_offset


def fetch_one(conn, topic, offset, version=4, **fields):
    return api.fetch(conn, [(topic, 0, offset)], version, **fields).partitions[0]


def offset_at(conn, topic, timestamp, **fields):
    answer = api.list_offsets(conn, topic, timestamp, **fields)
    assert answer.error == 0
    return answer.offset, answer.timestamp


@pytest.mark.parametrize("version", range(4, 19))
def test_every_fetch_version_returns_what_was_produced(target, leader, topic, version):
    append(leader, topic, [b"a", b"b"])
    append(leader, topic, [b"c"])
    name = target.topic_id(topic) if version >= 13 else topic
    got = fetch_one(leader, name, 0, version)
    assert (got.error, got.topic, got.high_watermark, got.last_stable) == (0, name, 3, 3)
    if version >= 5:
        assert got.log_start == 0
    assert [v for b in records.batches(got.records) for v in b.values()] == [b"a", b"b", b"c"]


def test_t19_unknown_topic_id_is_100(leader):
    assert fetch_one(leader, uuid.uuid4(), 0, 13).error == 100


def test_unknown_topic_or_partition_is_3(leader, topic):
    assert fetch_one(leader, "no-such-topic", 0).error == 3
    assert api.fetch(leader, [(topic, 5, 0)]).partitions[0].error == 3


@pytest.mark.parametrize("version", [4, 10])
def test_follower_answers_6_to_those_who_know_of_leaders_only(target, topic, version):
    with target.follower(topic) as conn:
        assert fetch_one(conn, topic, 0, version).error == 6


@pytest.mark.parametrize("version", [11, 12, 18])
def test_kip_392_follower_serves_what_is_committed(target, leader, topic, version):
    append(leader, topic, [b"a", b"b"])
    name = target.topic_id(topic) if version >= 13 else topic
    with target.follower(topic) as conn:
        got = until(lambda: next((f for f in [fetch_one(conn, name, 0, version, max_wait_ms=5000)]
                                  if f.records or f.error), None))
        assert (got.error, got.preferred) == (0, -1)
        assert [v for b in records.batches(got.records) for v in b.values()] == [b"a", b"b"]
        assert fetch_one(conn, name, 3, version).error == 1


def test_b14_refused_fetch_names_the_leader_and_where_it_is(target):
    topic = target.new_topic("alone", replicas=1)
    with target.follower(topic) as conn: # of another topic: it has no replica of this one
        told = api.metadata(conn, [topic], 4)
        leader = told.topics[0].partitions[0].leader
        answer = api.fetch(conn, [(target.topic_id(topic), 0, 0)], 16)
        refused, = answer.partitions
        assert (refused.error, refused.current_leader[0]) == (6, leader)
        assert answer.endpoints == {leader: told.brokers[leader]}


def test_b09_first_batch_is_returned_whole_however_small_the_limits(leader, topic):
    append(leader, topic, [bytes(5000), bytes(5000)])
    append(leader, topic, [b"next"])
    got = fetch_one(leader, topic, 0, max_bytes=1, partition_max_bytes=1)
    assert [b.count for b in records.batches(got.records)] == [2]


def test_b09_partition_limit_alone_is_soft_for_the_first_batch(leader, topic):
    append(leader, topic, [bytes(5000)])
    got = fetch_one(leader, topic, 0, partition_max_bytes=1)
    assert len(records.batches(got.records)) == 1


def test_c29_large_record_is_not_included_when_it_is_not_first(target):
    name = target.new_topic("big", partitions=2, replicas=1, max_message_bytes="6000000")
    if leader_of(target, name, 0) != leader_of(target, name, 1):
        # One node has to lead both: place them by hand.
        name = target.unique("big")
        with target.connect() as conn:
            spec = api.topic_spec(name, -1, -1, assignments=[(0, [1]), (1, [1])],
                                  configs={"max.message.bytes": "6000000"})
            assert api.create_topics(conn, [spec])[name].error == 0
            until(lambda: all(leader_of(target, name, p) == 1 for p in (0, 1)))
    with target.leader(name) as conn:
        until(lambda: api.list_offsets(conn, name, -1, partition=1).error == 0)
        small = batch([b"small"])
        big = batch([bytes(5 << 20)])
        assert api.produce(conn, name, small, partition=0).error == 0
        assert api.produce(conn, name, big, partition=1).error == 0

        def sizes(parts):
            answer = api.fetch(conn, parts, 4, max_bytes=1024, partition_max_bytes=1024)
            return {p.index: len(records.batches(p.records)) for p in answer.partitions}

        assert sizes([(name, 0, 0), (name, 1, 0)]) == {0: 1, 1: 0}
        assert sizes([(name, 1, 0), (name, 0, 0)]) == {1: 1, 0: 0}
        assert sizes([(name, 0, 1), (name, 1, 0)]) == {0: 0, 1: 1}, "first of a non-empty one"


def leader_of(target, name, partition):
    with target.connect() as conn:
        topic = api.metadata(conn, [name], 4).topics[0]
        return topic.partitions[partition].leader if partition in topic.partitions else None


def test_b10_offset_inside_a_batch_returns_the_batch_from_its_base(leader, topic):
    append(leader, topic, [b"a", b"b", b"c"])
    got, = records.batches(fetch_one(leader, topic, 2).records)
    assert (got.base_offset, got.values()) == (0, [b"a", b"b", b"c"])


def test_b09_fetch_at_the_end_is_empty_and_no_error(leader, topic):
    append(leader, topic, [b"a"])
    got = fetch_one(leader, topic, 1)
    assert (got.error, got.high_watermark, got.records) == (0, 1, b"")


@pytest.mark.parametrize("offset", [2, -1, -5, 1 << 62])
def test_b09_offset_out_of_range_is_1(leader, topic, offset):
    append(leader, topic, [b"a"])
    got = fetch_one(leader, topic, offset)
    assert (got.error, got.high_watermark, got.records) == (1, -1, b"")


def test_b13_aborted_list_is_null_for_uncommitted_and_empty_for_committed(leader, topic):
    append(leader, topic, [b"a"])
    assert fetch_one(leader, topic, 0, isolation=0).aborted is None
    assert fetch_one(leader, topic, 0, isolation=1).aborted == []


def test_fetch_min_bytes_waits_until_max_wait(leader, topic):
    append(leader, topic, [b"a"])
    began = time.monotonic()
    got = fetch_one(leader, topic, 0, max_wait_ms=400, min_bytes=100000)
    assert 0.35 < time.monotonic() - began < 5
    assert len(records.batches(got.records)) == 1


def test_fetch_min_bytes_is_woken_by_the_bytes_that_fill_it(target, leader, topic):
    body = api.fetch_body([(topic, 0, 0)], max_wait_ms=10000, min_bytes=3000)
    with target.leader(topic) as writer:
        sent = leader.send(wire.FETCH, 4, body)
        append(writer, topic, [bytes(2000)])
        time.sleep(0.2)
        began = time.monotonic()
        append(writer, topic, [bytes(2000)])
        got = api.read_fetch(leader.receive(wire.FETCH, 4, sent), 4).partitions[0]
        assert time.monotonic() - began < 5
        assert len(records.batches(got.records)) == 2


def test_parked_fetch_is_woken_by_an_append(target, leader, topic):
    sent = leader.send(wire.FETCH, 4, api.fetch_body([(topic, 0, 0)], max_wait_ms=10000))
    with target.leader(topic) as writer:
        append(writer, topic, [b"now"])
    began = time.monotonic()
    got = api.read_fetch(leader.receive(wire.FETCH, 4, sent), 4).partitions[0]
    assert records.batches(got.records)[0].values() == [b"now"]
    assert time.monotonic() - began < 5


def test_error_in_one_partition_answers_a_waiting_fetch_at_once(leader, topic):
    began = time.monotonic()
    api.fetch(leader, [(topic, 0, 99)], 4, max_wait_ms=10000)
    assert time.monotonic() - began < 5


def test_b11_incremental_session_returns_only_what_changed(target, leader, topic):
    other = target.new_topic("other")
    append(leader, topic, [b"a"])
    full = api.fetch(leader, [(topic, 0, 0)], 7, session=(0, 0))
    assert full.error == 0
    if full.session == 0:
        return  # no session was given, which is legal
    again = api.fetch(leader, [(topic, 0, 1)], 7, session=(full.session, 1))
    assert (again.error, again.session, again.partitions) == (0, full.session, [])
    append(leader, topic, [b"b"])
    more = api.fetch(leader, [], 7, session=(full.session, 2))
    assert records.batches(more.partitions[0].records)[0].values() == [b"b"]
    assert other


def test_b11_unknown_session_is_70_and_wrong_epoch_is_71(leader, topic):
    assert api.fetch(leader, [(topic, 0, 0)], 7, session=(1234567, 1)).error == 70
    full = api.fetch(leader, [(topic, 0, 0)], 7, session=(0, 0))
    if full.session:
        assert api.fetch(leader, [(topic, 0, 0)], 7, session=(full.session, 9)).error == 71


def test_b11_sessionless_fetch_gets_no_session(leader, topic):
    assert api.fetch(leader, [(topic, 0, 0)], 7, session=(0, -1)).session == 0


@pytest.mark.parametrize("version", range(1, 12))
def test_b08_earliest_and_latest_in_every_version(leader, topic, version):
    append(leader, topic, [b"a", b"b"])
    assert offset_at(leader, topic, -2, version=version) == (0, -1)
    assert offset_at(leader, topic, -1, version=version) == (2, -1)


def test_b08_special_timestamps_below_their_version_are_35(leader, topic):
    for timestamp, version in ((-3, 6), (-4, 7), (-5, 8), (-6, 10)):
        assert api.list_offsets(leader, topic, timestamp, version=version).error == 35


def test_b08_earliest_local_and_latest_tiered(leader, topic):
    append(leader, topic, [b"a"])
    assert offset_at(leader, topic, -4, version=8)[0] == 0
    assert offset_at(leader, topic, -5, version=9)[0] == -1


def test_b08_latest_for_read_committed_is_the_last_stable_offset(leader, topic):
    append(leader, topic, [b"a"])
    assert offset_at(leader, topic, -1, isolation=1) == (1, -1)


def test_b08_unknown_partition_is_3(leader, topic):
    assert api.list_offsets(leader, topic, -1, partition=4).error == 3


def test_b08_follower_answers_6(target, topic):
    with target.follower(topic) as conn:
        assert api.list_offsets(conn, topic, -1).error == 6


@pytest.mark.parametrize("codec", [0, 1], ids=["plain", "gzip"])
def test_c22_timestamps_out_of_order_find_the_first_at_or_after(leader, topic, codec):
    append(leader, topic, [b"a", b"b", b"c"], timestamps=[10, 5, 7], codec=codec)
    append(leader, topic, [b"d", b"e"], timestamps=[6, 20], codec=codec)
    for asked in (0, 1, 6, 10):
        assert offset_at(leader, topic, asked) == (0, 10)
    for asked in (11, 20):
        assert offset_at(leader, topic, asked) == (4, 20)
    assert offset_at(leader, topic, 21) == (-1, -1)
    assert offset_at(leader, topic, -1) == (5, -1)
    assert offset_at(leader, topic, -3, version=7) == (4, 20)


@pytest.mark.parametrize("shape", ["one_batch", "four_batches", "gzip"])
def test_c22_offsets_for_times(leader, topic, shape):
    stamps = [2, 4, 6, 8]
    if shape == "four_batches":
        for stamp in stamps:
            append(leader, topic, [b"v"], timestamps=[stamp])
    else:
        append(leader, topic, [b"v"] * 4, timestamps=stamps, codec=int(shape == "gzip"))
    expected = {0: (0, 2), 2: (0, 2), 3: (1, 4), 4: (1, 4), 5: (2, 6), 7: (3, 8), 8: (3, 8),
                9: (-1, -1)}
    for asked, answer in expected.items():
        assert offset_at(leader, topic, asked) == answer
    assert offset_at(leader, topic, -3, version=7) == (3, 8)


def test_c22_empty_partition_has_no_offset_for_any_time(leader, topic):
    assert offset_at(leader, topic, 0) == (-1, -1)
    assert offset_at(leader, topic, -3, version=7) == (-1, -1)


@pytest.mark.parametrize("version", range(2, 5))
def test_t21_offset_for_leader_epoch_of_the_current_epoch_is_the_end(leader, topic, version):
    append(leader, topic, [b"a", b"b"])
    got, = records.batches(fetch_one(leader, topic, 0).records)
    answer = api.offset_for_leader_epoch(leader, topic, got.leader_epoch, version=version)
    assert (answer.error, answer.epoch, answer.end_offset) == (0, got.leader_epoch, 2)


def test_t21_epochs_that_never_were(leader, topic):
    append(leader, topic, [b"a"])
    answer = api.offset_for_leader_epoch(leader, topic, 1000)
    assert (answer.error, answer.epoch, answer.end_offset) == (0, -1, -1)
    assert api.offset_for_leader_epoch(leader, topic, 0, current_epoch=1000).error == 75


def test_b12_read_after_write_by_every_acks_level(leader, topic):
    for index, acks in enumerate((1, -1)):
        assert api.produce(leader, topic, batch([b"v"]), acks=acks).error == 0
        got = fetch_one(leader, topic, index, max_wait_ms=5000)
        assert records.batches(got.records)[0].values() == [b"v"]
