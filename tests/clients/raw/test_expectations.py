"""What tools and frameworks expect of a broker without a word in the schema (B16-B22, C22, C51)."""
import struct

import pytest

from raw import api, groups, records, wire
from raw.api import topic_spec
from raw.records import batch
from target import until

READ_COMMITTED = 1
OFFSETS_TOPIC = "__consumer_offsets"


# ---- topics that come with the first question for them


@pytest.mark.parametrize("version", range(4))
def test_b16_metadata_creates_without_being_asked_to_before_version_4(target, admin, version):
    name = target.unique("auto")
    assert api.metadata(admin, [name], version).topics[0].error in (0, 3, 5)
    until(lambda: api.metadata(admin, [name], 4).topics[0].error == 0)


@pytest.mark.parametrize("version", [4, 8, 13])
def test_b16_new_topic_is_there_or_told_with_a_retriable_error(target, admin, version):
    """Until its leader is known; then every node leads to it."""
    name = target.unique("auto")
    seen = set()

    def created():
        topic, = api.metadata(admin, [name], version, auto_create=True).topics
        seen.add(topic.error)
        return topic.error == 0 and all(p.leader >= 0 for p in topic.partitions.values())

    until(created)
    assert seen <= {0, 3, 5}
    with target.leader(name) as conn:
        assert until(lambda: api.produce(conn, name, batch([b"x"])).error == 0)


def test_b16_several_missing_topics_of_one_request_are_all_created(target, admin):
    names = [target.unique("auto") for _ in range(5)]
    api.metadata(admin, names, 4, auto_create=True)
    until(lambda: all(t.error == 0 for t in api.metadata(admin, names, 4).topics))


# ---- the topic that offsets are kept in elsewhere


def test_b17_coordinator_is_found_without_a_topic_of_offsets(target, group):
    """Offsets live in the metadata log here. What Burrow or kminion read from the topic itself
    they do not find, and hear so; nobody makes an empty one by asking for it."""
    with target.coordinator(group) as conn:
        assert groups.offset_commit(conn, group, target.new_topic("t"), 1) == 0
        if target.is_kafka:
            return
        found = api.metadata(conn, [OFFSETS_TOPIC], 4, auto_create=True).topics[0]
        assert (found.error, found.partitions) == (3, {})
        assert api.fetch(conn, [(OFFSETS_TOPIC, 0, 0)]).partitions[0].error == 3
        assert OFFSETS_TOPIC not in {t.name for t in api.metadata(conn, None, 4).topics}


# ---- Connect, Schema Registry, Streams


def read_to_end(conn, name):
    """As Schema Registry reads its topic: up to the end offset, whatever is in between."""
    end = api.list_offsets(conn, name, -1, isolation=READ_COMMITTED).offset
    position, values = 0, {}
    while position < end:
        part, = api.fetch(conn, [(name, 0, position)], 11, isolation=READ_COMMITTED,
                          max_wait_ms=5000).partitions
        assert part.error == 0
        for b in records.batches(part.records):
            values.update({key: value for _, key, value, _ in b.records()})
            position = b.base_offset + b.last_offset_delta + 1
    return values


def test_b19_connect_and_schema_registry_get_their_compacted_topic_by_defaults(target, admin):
    name = target.unique("_schemas")
    spec = topic_spec(name, -1, -1, configs={"cleanup.policy": "compact"})
    made = api.create_topics(admin, [spec], version=5)[name]
    assert (made.error, made.partitions, made.replicas) == (0, 4, 3)
    assert api.describe_cluster(admin).brokers
    policy = api.describe_configs(admin, 2, name, keys=["cleanup.policy"]).configs
    assert policy["cleanup.policy"].value == "compact"
    with target.leader(name) as conn:
        until(lambda: api.list_offsets(conn, name, -1).error == 0)
        for value in (b"1", b"2"):
            assert api.produce(conn, name, batch([value], keys=[b"subject"])).error == 0
        assert api.produce(conn, name, batch([value], keys=[b"noop"])).error == 0
        assert read_to_end(conn, name) == {b"subject": b"2", b"noop": b"2"}


def test_b19_streams_purges_its_repartition_topic(target, topic):
    with target.leader(topic) as conn:
        for _ in range(4):
            assert api.produce(conn, topic, batch([b"x"])).error == 0
        assert api.delete_records(conn, topic, 3) == (3, 0)
        assert api.list_offsets(conn, topic, -2).offset == 3
        assert api.fetch(conn, [(topic, 0, 1)]).partitions[0].error == 1
        assert api.delete_records(conn, topic, -1) == (4, 0), "-1 is the high watermark"
        assert api.delete_records(conn, topic, 9) == (-1, 1)
        assert api.delete_records(conn, topic, 0, partition=7)[1] == 3
    with target.follower(topic) as conn:
        assert api.delete_records(conn, topic, 0)[1] == 6


def test_b19_offsets_of_a_group_are_deleted_by_topic(target, group, topic):
    with target.coordinator(group) as conn:
        assert groups.offset_commit(conn, group, topic, 5) == 0
        w = api.writer(wire.OFFSET_DELETE, 0).string(group)
        w.array([topic], lambda t: w.string(t).array([0, 3], w.i32))
        r = conn.call(wire.OFFSET_DELETE, 0, w.done())
        assert r.i16() == 0
        r.i32()
        parts = r.array(lambda: (r.string(), r.array(lambda: (r.i32(), r.i16()))))[0][1]
        assert dict(parts)[0] == 0
        assert groups.offset_fetch(conn, group, {topic: [0]})[topic, 0].offset == -1


def test_c22_offset_for_a_time_before_the_log_begins_is_where_it_begins(target, topic):
    with target.leader(topic) as conn:
        for stamp in (2, 4, 6, 8):
            assert api.produce(conn, topic, batch([b"v"], timestamps=[stamp])).error == 0
        assert api.delete_records(conn, topic, 2) == (2, 0)
        for asked in (0, 2, 5, 6):
            found = api.list_offsets(conn, topic, asked)
            assert (found.error, found.offset, found.timestamp) == (0, 2, 6)
        assert api.list_offsets(conn, topic, 8).offset == 3


# ---- what is not here yet is not offered


@pytest.mark.parametrize("key", [17, 36], ids=["SaslHandshake", "SaslAuthenticate"])
def test_b22_sasl_is_not_advertised_where_it_is_not_served(target, admin, key):
    """On a plaintext listener Kafka advertises both, and refuses the mechanism."""
    if target.is_kafka:
        return
    assert key not in api.api_versions(admin, 3).keys
    with target.connect() as conn:
        conn.send(key, 0, struct.pack(">h", 5) + b"PLAIN")
        assert conn.is_closed()
    assert api.api_versions(admin, 3).error == 0


def test_b23_tls_hello_on_a_plaintext_port_is_hung_up_on(target):
    with target.connect() as conn:
        conn.send_bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300))
        assert conn.is_closed()


# ---- static members


def join_static(conn, group, member="", **fields):
    joined = groups.join_group(conn, group, member, version=5, instance="one", **fields)
    assert joined.error == 0
    return joined


def test_c51_restarted_static_member_gets_its_assignment_without_a_rebalance(target, group):
    with target.coordinator(group) as conn:
        first = join_static(conn, group)
        groups.sync_group(conn, group, first.generation, first.member, {first.member: b"mine"},
                          version=3, instance="one")
        again = join_static(conn, group)
        assert again.generation == first.generation and again.member != first.member
        found = groups.sync_group(conn, group, again.generation, again.member, version=3,
                                  instance="one")
        assert (found.error, found.assignment) == (0, b"mine")
        beat = lambda who: groups.heartbeat(conn, group, first.generation, who, version=3,
                                            instance="one")
        assert beat(first.member) == 82, "the one before is fenced"
        assert beat(again.member) == 0
        late = groups.sync_group(conn, group, first.generation, first.member, version=3,
                                 instance="one")
        assert late.error == 82
        assert groups.join_group(conn, group, first.member, 5, instance="one").error == 82
