"""Requests that are well formed and still wrong: Kafka's error, and the connection lives on.

Then those that cannot be read: the connection ends, and no other.
"""
import struct
import uuid

import pytest

from raw import api, groups, wire
from raw.records import batch

NOBODY = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")


@pytest.fixture
def leader(target, topic):
    with target.leader(topic) as conn:
        yield conn
        assert api.api_versions(conn, 3).error == 0, "the connection lives on"


@pytest.fixture
def coordinator(target, group):
    with target.coordinator(group) as conn:
        yield conn
        assert api.api_versions(conn, 3).error == 0, "the connection lives on"


# ---- stale or future leader epochs


def test_leader_epoch_of_the_past_is_74_and_of_the_future_75(target, leader, topic):
    epoch = api.metadata(leader, [topic], 9).topics[0].partitions[0].epoch
    for asked, error in ((epoch, 0), (epoch + 1, 75), (1 << 30, 75), (-1, 0)):
        assert fetch_with_epoch(leader, topic, asked) == error
        assert list_with_epoch(leader, topic, asked).error == error
        assert api.offset_for_leader_epoch(leader, topic, 0, asked).error == error
    if epoch > 0:
        assert fetch_with_epoch(leader, topic, epoch - 1) == 74


def fetch_with_epoch(conn, topic, epoch):
    w = api.writer(wire.FETCH, 9).i32(-1).i32(0).i32(1).i32(1 << 20).i8(0).i32(0).i32(-1)
    w.array([0], lambda _: w.string(topic).array(
        [0], lambda _: w.i32(0).i32(epoch).i64(0).i64(-1).i32(1 << 20)))
    r = conn.call(wire.FETCH, 9, w.array([], None).done())
    return api.read_fetch(r, 9).partitions[0].error


def list_with_epoch(conn, topic, epoch):
    return list_offsets(conn, [(topic, 0, epoch, -1)])[0]


def list_offsets(conn, asked):
    """Several partitions of one request: (topic, partition, leader epoch, timestamp) of each."""
    w = api.writer(wire.LIST_OFFSETS, 5).i32(-1).i8(0)
    w.array(asked, lambda a: w.string(a[0]).array(
        [0], lambda _: w.i32(a[1]).i32(a[2]).i64(a[3])))
    r = conn.call(wire.LIST_OFFSETS, 5, w.done())
    r.i32()
    read = lambda: api.Answer(index=r.i32(), error=r.i16(), timestamp=r.i64(), offset=r.i64(),
                              epoch=r.i32())
    return [p for _, parts in r.array(lambda: (r.string(), r.array(read))) for p in parts]


# ---- what is named twice, or is not there


def test_partition_asked_for_twice_in_list_offsets_is_42(leader, topic):
    """Kafka answers it once, we as often as it was asked for."""
    for asked in ([(topic, 0, -1, -1), (topic, 0, -1, -2)], [(topic, 0, -1, -1)] * 3):
        assert {p.error for p in list_offsets(leader, asked)} == {42}
    found = list_offsets(leader, [(topic, 3, -1, -1), (topic, 0, -1, -1)])
    assert {p.index: p.error for p in found} == {3: 3, 0: 0}


@pytest.mark.parametrize("partition", [-1, -(1 << 31), 1, (1 << 31) - 1])
def test_partition_out_of_range_is_3_everywhere(leader, topic, partition):
    assert api.produce(leader, topic, batch([b"x"]), partition=partition).error == 3
    assert api.fetch(leader, [(topic, partition, 0)]).partitions[0].error == 3
    assert api.list_offsets(leader, topic, -1, partition=partition).error == 3
    assert api.offset_for_leader_epoch(leader, topic, 0, partition=partition).error == 3


@pytest.mark.parametrize("name", ["no-such", "", "a b", "..", "x" * 300, "ü"],
                         ids=lambda name: name[:7] or "empty")
def test_topic_that_cannot_exist_is_unknown(leader, coordinator, group, name):
    assert api.produce(leader, name, batch([b"x"])).error == 3
    assert api.fetch(leader, [(name, 0, 0)]).partitions[0].error == 3
    assert api.list_offsets(leader, name, -1).error == 3
    assert api.offset_for_leader_epoch(leader, name, 0).error == 3
    assert groups.offset_commit(coordinator, group, name, 1) == 3
    assert groups.offset_fetch(coordinator, group, {name: [0]})[name, 0].offset == -1
    assert api.delete_topics(leader, [name]) == {name: 3}


def test_unknown_topic_id_is_100_everywhere(leader, coordinator, group):
    assert api.produce(leader, NOBODY, batch([b"x"]), 13).error == 100
    assert api.fetch(leader, [(NOBODY, 0, 0)], 13).partitions[0].error == 100
    assert api.metadata(leader, [NOBODY], 12).topics[0].error == 100
    assert groups.offset_commit(coordinator, group, NOBODY, 1, version=10) == 100
    found = groups.offset_fetch(coordinator, group, {NOBODY: [0]}, 10)
    assert (found[NOBODY, 0].error, found[NOBODY, 0].offset) == (100, -1)


@pytest.mark.parametrize("version", [10, 11])
def test_metadata_before_version_12_takes_no_topic_ids(leader, topic, version):
    found = api.metadata(leader, [NOBODY], version).topics
    assert [t.error for t in found] == [42]


def delete_by(conn, *topics):
    """Version 6: (name, id) of each; the errors."""
    w = api.writer(wire.DELETE_TOPICS, 6)
    w.array(topics, lambda t: w.string(t[0]).raw(t[1].bytes).tags()).i32(10000).tags()
    r = conn.call(wire.DELETE_TOPICS, 6, w.done())
    r.i32()
    return [x[2] for x in r.array(lambda: (r.string(), r.uuid(), r.i16(), r.string(), r.tags()))]


def test_topics_to_delete_that_are_named_wrongly(target, leader, topic):
    zero = uuid.UUID(int=0)
    assert delete_by(leader, (None, NOBODY)) == [100]
    assert delete_by(leader, ("no-such", zero)) == [3]
    own = target.topic_id(topic)
    for twice in ([(topic, zero)] * 2, [(None, own)] * 2, [(topic, zero), (None, own)]):
        assert set(delete_by(leader, *twice)) == {42}
    assert delete_by(leader, (topic, own)) == [42]
    assert target.topic_id(topic) == own


def test_group_requests_of_an_empty_group_id(coordinator):
    assert groups.join_group(coordinator, "", version=0).error == 24
    assert groups.sync_group(coordinator, "", 1, "m").error == 24
    assert groups.heartbeat(coordinator, "", 1, "m") == 24
    assert groups.leave_group(coordinator, "", "m") == 24


def test_member_that_is_named_twice_leaves_once(coordinator, group):
    joined = groups.join_fully(coordinator, group)
    groups.sync_group(coordinator, group, joined.generation, joined.member, {joined.member: b"a"})
    w = api.writer(wire.LEAVE_GROUP, 3).string(group)
    w.array([joined.member, joined.member, "nobody"], lambda m: w.string(m).string(None))
    r = coordinator.call(wire.LEAVE_GROUP, 3, w.done())
    assert (r.i32(), r.i16()) == (0, 0)
    errors = [x[2] for x in r.array(lambda: (r.string(), r.string(), r.i16()))]
    assert errors == [0, 25, 25]


@pytest.fixture
def static(coordinator, group):
    """A group of one static member, "one"."""
    joined = groups.join_group(coordinator, group, version=5, instance="one")
    assert groups.sync_group(coordinator, group, joined.generation, joined.member,
                             {joined.member: b"a"}, 3, "one").error == 0
    return joined


@pytest.mark.parametrize("words", [("x", "range"), ("consumer", "x"), (None, None)])
def test_sync_that_names_another_protocol_is_23(coordinator, group, static, words):
    w = api.writer(wire.SYNC_GROUP, 5).string(group).i32(static.generation).string(static.member)
    w.string("one").string(words[0]).string(words[1]).array([], None).tags()
    assert groups.read_sync(coordinator.call(wire.SYNC_GROUP, 5, w.done()), 5).error == 23


def test_heartbeats_of_an_unknown_instance_or_of_another_member(coordinator, group, static):
    beat = lambda member, instance, more=0: groups.heartbeat(
        coordinator, group, static.generation + more, member, 3, instance)
    assert beat(static.member, "one") == beat(static.member, None) == 0
    assert beat(static.member, "two") == 25
    assert beat("other", "one") == 82
    assert beat(static.member, "one", 1) == beat(static.member, "one", -2) == 22


def test_joins_of_a_member_that_is_not_the_instance(coordinator, group, static):
    join = lambda instance: groups.join_group(coordinator, group, "other", 5, instance=instance)
    assert (join("one").error, join("two").error) == (82, 25)


def test_commits_that_name_half_a_member(coordinator, group, topic, static):
    commit = lambda *who: groups.offset_commit(coordinator, group, topic, 1, *who)
    assert commit(-1, static.member) == 22
    assert commit(static.generation, "") == 25
    assert commit(static.generation, static.member) == 0


def test_instances_that_leave(coordinator, group, static):
    def leave(*members):
        w = api.writer(wire.LEAVE_GROUP, 3).string(group)
        w.array(members, lambda m: w.string(m[0]).string(m[1]))
        r = coordinator.call(wire.LEAVE_GROUP, 3, w.done())
        assert (r.i32(), r.i16()) == (0, 0)
        return [x[2] for x in r.array(lambda: (r.string(), r.string(), r.i16()))]

    assert leave() == []
    assert leave(("", "two"), ("other", "one")) == [25, 82]
    assert leave(("", "one")) == [0]
    assert groups.heartbeat(coordinator, group, static.generation, static.member) == 25


def test_coordinators_of_no_group_or_of_one_asked_for_twice(leader, group):
    for keys in ([], [group, group, ""]):
        w = api.writer(wire.FIND_COORDINATOR, 4).i8(0)
        r = leader.call(wire.FIND_COORDINATOR, 4, w.array(keys, w.string).tags().done())
        r.i32()
        found = r.array(lambda: (r.string(), r.i32(), r.string(), r.i32(), r.i16(), r.string(),
                                 r.tags()))
        assert [x[0] for x in found] == keys and {x[4] for x in found} <= {0}


def test_resource_described_twice_is_described(leader, topic):
    w = api.writer(wire.DESCRIBE_CONFIGS, 1)
    w.array([topic, topic], lambda t: w.i8(2).string(t).array(["retention.ms"], w.string)).i8(0)
    r = leader.call(wire.DESCRIBE_CONFIGS, 1, w.done())
    r.i32()
    assert r.i32() in (1, 2) and r.i16() == 0


def test_partition_committed_twice_in_one_request_keeps_the_last(coordinator, group, topic):
    w = api.writer(wire.OFFSET_COMMIT, 2).string(group).i32(-1).string("").i64(-1)
    w.array([0], lambda _: w.string(topic).array(
        [5, 9], lambda offset: w.i32(0).i64(offset).string("")))
    r = coordinator.call(wire.OFFSET_COMMIT, 2, w.done())
    assert r.array(lambda: (r.string(), r.array(lambda: (r.i32(), r.i16()))))[0][1] == [
        (0, 0), (0, 0)]
    assert groups.offset_fetch(coordinator, group, {topic: [0]})[topic, 0].offset == 9


@pytest.mark.parametrize("offset", [-1, -5, -(1 << 63)])
def test_offset_below_zero_is_not_committed(target, coordinator, group, topic, offset):
    """Kafka keeps it, and then tells it as if nothing had been committed, or worse."""
    error = groups.offset_commit(coordinator, group, topic, offset)
    assert error == (0 if target.is_kafka else 42)


@pytest.mark.parametrize("what", [-1, 3, 99])
def test_coordinator_of_an_unknown_kind_is_42(leader, group, what):
    assert groups.find_coordinator(leader, group, 1, what).error == 42
    assert groups.find_coordinator(leader, group, 4, what).error == 42


def test_share_coordinator_before_its_version_is_42(leader, group):
    assert groups.find_coordinator(leader, group, 5, kind=2).error == 42


@pytest.mark.parametrize("producer", [(5, -1), (-1, 5)])
def test_half_a_producer_is_42(leader, producer):
    assert api.init_producer_id(leader, 3, producer=producer).error == 42


def test_c43_transactional_id_that_is_empty_is_42(leader):
    assert api.init_producer_id(leader, 1, txn="").error == 42


@pytest.mark.parametrize("what, error", [(2, 114), (7, 115)])
def test_describe_cluster_of_other_endpoints(leader, what, error):
    w = api.writer(wire.DESCRIBE_CLUSTER, 1).i8(0).i8(what).tags()
    r = leader.call(wire.DESCRIBE_CLUSTER, 1, w.done())
    r.i32()
    assert r.i16() == error


@pytest.mark.parametrize("what, name, error", [
    (4, "abc", 42), (4, "77", 42), (2, "a b", 17), (2, "no-such", 3), (99, "x", 42)])
def test_configs_of_what_is_not_there(leader, what, name, error):
    assert api.describe_configs(leader, what, name).error == error


def test_groups_of_unknown_states_and_types_are_none(coordinator):
    w = api.writer(wire.LIST_GROUPS, 5)
    w.array(["NoSuchState"], w.string).array([], None).tags()
    r = coordinator.call(wire.LIST_GROUPS, 5, w.done())
    r.i32()
    assert r.i16() == 0
    assert r.uvarint() == 1, "an empty list"


@pytest.mark.parametrize("size", [0, -1, -(1 << 31)])
def test_fetch_of_no_bytes_is_answered(target, leader, topic, size):
    """A limit below zero is an internal error to Kafka; to us it is a limit of nothing."""
    assert api.produce(leader, topic, batch([b"x"])).error == 0
    got, = api.fetch(leader, [(topic, 0, 0)], max_bytes=size, partition_max_bytes=size).partitions
    assert got.error == (-1 if target.is_kafka and size < 0 else 0)


@pytest.mark.parametrize("wait_ms", [-1, -(1 << 31)])
def test_negative_time_to_wait_is_none(leader, topic, wait_ms):
    got = api.fetch(leader, [(topic, 0, 0)], max_wait_ms=wait_ms, min_bytes=1 << 20)
    assert got.partitions[0].error == 0
    answer = api.produce(leader, topic, batch([b"x"]), timeout_ms=wait_ms)
    assert answer.error in (0, 7), "appended, and perhaps not waited for"


# ---- more than was asked for

BEHIND = {
    "metadata": (wire.METADATA, 1, struct.pack(">i", 0)),
    "flexible_metadata": (wire.METADATA, 9, b"\x01\x00\x00\x00\x00"),
    "api_versions": (wire.API_VERSIONS, 0, b""),
    "heartbeat": (wire.HEARTBEAT, 0, struct.pack(">h1sih1s", 1, b"g", 1, 1, b"m")),
}


@pytest.mark.parametrize("name", BEHIND)
def test_bytes_behind_a_request_are_ignored(leader, name):
    key, version, body = BEHIND[name]
    assert leader.call(key, version, body + bytes(5)).data


@pytest.mark.parametrize("tags", [b"\x01\x63\x02ab", b"\x02\x05\x01a\x07\x01b"],
                         ids=["one", "two"])
def test_tags_that_nobody_knows_are_skipped(leader, tags):
    body = api.Writer(True).string("a").string("1").done() + tags
    assert api.read_api_versions(leader.call(wire.API_VERSIONS, 3, body), 3).error == 0


# ---- a great many of what is right once

MANY = 100_000


def many_of_each(topic):
    names = [f"{i:x}" for i in range(MANY)]
    w = lambda: wire.Writer()
    spec = lambda out: lambda n: out.string(n).i32(0).i16(1).i32(0).i32(0)
    resource = lambda out: lambda n: out.i8(2).string(n).i32(0)
    out = w()
    yield wire.CREATE_TOPICS, 2, out.array(names, spec(out)).i32(1000).i8(1).done()
    out = w()
    yield wire.DELETE_TOPICS, 1, out.array(names, out.string).i32(1000).done()
    out = w().i32(-1).i32(1).string(topic)
    yield wire.LIST_OFFSETS, 1, out.array(range(1, MANY), lambda p: out.i32(p).i64(-1)).done()
    for key in (33, 44):  # AlterConfigs, IncrementalAlterConfigs
        out = w()
        yield key, 0, out.array(names, resource(out)).i8(1).done()
    out = w()
    yield 37, 0, out.array(names, lambda n: out.string(n).i32(2).i32(-1)).i32(1000).i8(1).done()
    yield wire.JOIN_GROUP, 0, groups.join_body("g", version=0, protocols=[(n, b"") for n in names])


def test_request_that_names_a_great_many_things_holds_nobody_up(target, topic):
    """What takes their square in time takes minutes. (Apache Kafka takes longer than this, too.)"""
    if target.is_kafka:
        return
    with target.leader(topic, timeout_s=10) as conn:
        for key, version, body in many_of_each(topic):
            conn.call(key, version, body)
        assert api.api_versions(conn, 3).error == 0


# ---- what cannot be read

I32 = struct.Struct(">i")


def text(value):
    return struct.pack(">h", len(value)) + value


# Up to a count that must not be null, and is what it can be least.
BEFORE_THE_COUNT = {
    "produce": (wire.PRODUCE, 3, text(b"t") + struct.pack(">hi", 1, 1000)),
    "fetch": (wire.FETCH, 4, struct.pack(">iiiib", -1, 0, 0, 0, 0)),
    "list_offsets": (wire.LIST_OFFSETS, 1, I32.pack(-1)),
    "offset_for_leader_epoch": (wire.OFFSET_FOR_LEADER_EPOCH, 2, b""),
    "create_topics": (wire.CREATE_TOPICS, 2, b""),
    "delete_topics": (wire.DELETE_TOPICS, 1, b""),
    "describe_configs": (wire.DESCRIBE_CONFIGS, 1, b""),
    "join_group": (wire.JOIN_GROUP, 0, text(b"g") + I32.pack(10000) + text(b"") + text(b"c")),
    "sync_group": (wire.SYNC_GROUP, 0, text(b"g") + I32.pack(1) + text(b"m")),
    "leave_group": (wire.LEAVE_GROUP, 3, text(b"g")),
    "offset_commit": (wire.OFFSET_COMMIT, 2, text(b"g") + I32.pack(1) + text(b"m") + bytes(8)),
    "offset_fetch": (wire.OFFSET_FETCH, 1, text(b"g")),
    "describe_groups": (wire.DESCRIBE_GROUPS, 0, b""),
}


@pytest.mark.parametrize("count", [-1, -2, -(1 << 31), (1 << 31) - 1])
@pytest.mark.parametrize("name", BEFORE_THE_COUNT)
def test_c31_count_below_zero_or_beyond_the_frame_closes_the_connection(target, admin, name,
                                                                       count):
    key, version, head = BEFORE_THE_COUNT[name]
    with target.connect() as conn:
        conn.send(key, version, head + I32.pack(count) + bytes(16))
        assert conn.is_closed()
    assert api.api_versions(admin, 3).error == 0


# Up to a name that must not be null.
BEFORE_THE_NAME = {
    "fetch": (wire.FETCH, 4, struct.pack(">iiiibi", -1, 0, 0, 0, 0, 1)),
    "find_coordinator": (wire.FIND_COORDINATOR, 0, b""),
    "join_group": (wire.JOIN_GROUP, 0, b""),
    "sync_group": (wire.SYNC_GROUP, 0, b""),
    "heartbeat": (wire.HEARTBEAT, 0, b""),
    "leave_group": (wire.LEAVE_GROUP, 0, b""),
    "offset_commit": (wire.OFFSET_COMMIT, 2, b""),
    "offset_fetch": (wire.OFFSET_FETCH, 1, b""),
    "describe_groups": (wire.DESCRIBE_GROUPS, 0, I32.pack(1)),
    "create_topics": (wire.CREATE_TOPICS, 2, I32.pack(1)),
    "delete_topics": (wire.DELETE_TOPICS, 1, I32.pack(1)),
    "metadata": (wire.METADATA, 1, I32.pack(1)),
}


@pytest.mark.parametrize("size", [-1, -2, 32767])
@pytest.mark.parametrize("name", BEFORE_THE_NAME)
def test_c31_name_that_is_null_or_beyond_the_frame_closes_the_connection(target, admin, name,
                                                                        size):
    key, version, head = BEFORE_THE_NAME[name]
    with target.connect() as conn:
        conn.send(key, version, head + struct.pack(">h", size) + bytes(40))
        assert conn.is_closed()
    assert api.api_versions(admin, 3).error == 0
