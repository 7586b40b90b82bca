"""Clients that send fixed versions, or take what we advertise for a release of Kafka (T09-T15).

The versions are those that each client was seen to send, or has in its source.
"""
from types import SimpleNamespace as Versions

import pytest

from raw import api, groups, records, wire
from raw.records import batch
from target import until

NAMES = {
    "metadata": wire.METADATA, "produce": wire.PRODUCE, "fetch": wire.FETCH,
    "list_offsets": wire.LIST_OFFSETS, "find": wire.FIND_COORDINATOR, "join": wire.JOIN_GROUP,
    "sync": wire.SYNC_GROUP, "beat": wire.HEARTBEAT, "leave": wire.LEAVE_GROUP,
    "commit": wire.OFFSET_COMMIT, "committed": wire.OFFSET_FETCH, "create": wire.CREATE_TOPICS,
    "delete": wire.DELETE_TOPICS, "init": wire.INIT_PRODUCER_ID,
}


def client(*words, greets=0):
    """client("metadata 1", ...): the version of each request; `greets`: of ApiVersions."""
    pairs = {name: int(version) for name, version in map(str.split, words)}
    return Versions(greets=greets, **{"init": None, **pairs})


def walk(target, v, ignores_minima=False):
    """What a producer and a consumer in a group do, in the versions of one client."""
    name, group = target.unique("walk"), target.unique("group")
    with target.connect() as conn:
        if v.greets is not None:
            served = api.api_versions(conn, v.greets).keys
            for word, version in vars(v).items():
                if word in NAMES and version is not None:
                    low, high = served[NAMES[word]]
                    assert version <= high and (ignores_minima or version >= low), word
        spec = api.topic_spec(name, 1, min(3, len(target.addresses)))
        assert api.create_topics(conn, [spec], v.create)[name].error == 0
        topic_id = until(lambda: known_id(target, name))
        leader = until(lambda: find_leader(conn, name, v))
    by_id = {"produce": 13, "fetch": 13, "commit": 10, "committed": 10}
    ref = {word: topic_id if getattr(v, word) >= first else name for word, first in by_id.items()}
    with target.connect(leader) as conn:
        produce(conn, v, ref["produce"])
        read_back(conn, v, ref["fetch"], name)
    with target.coordinator(group) as conn:
        consume(conn, v, group, ref)
        assert api.delete_topics(conn, [name], v.delete) == {name: 0}


def known_id(target, name):
    found = target.topic_id(name)
    return found if found.int else None


def find_leader(conn, name, v):
    found = api.metadata(conn, [name], v.metadata)
    topic, = found.topics
    part = topic.partitions.get(0)
    return found.brokers[part.leader] if part and part.error == 0 and part.leader >= 0 else None


def produce(conn, v, topic):
    producer = (-1, -1, -1)
    if v.init is not None:
        given = until(lambda: next((p for p in [api.init_producer_id(conn, v.init)]
                                    if p.error == 0), None))
        producer = (given.id, given.epoch, 0)
    assert until(lambda: api.produce(conn, topic, batch([b"a", b"b"], producer=producer),
                                     v.produce).error == 0)


def read_back(conn, v, topic, name):
    assert api.list_offsets(conn, name, -2, v.list_offsets).offset == 0
    got, = api.fetch(conn, [(topic, 0, 0)], v.fetch, max_wait_ms=5000).partitions
    assert got.error == 0
    assert [x for b in records.batches(got.records) for x in b.values()] == [b"a", b"b"]


def consume(conn, v, group, ref):
    assert groups.find_coordinator(conn, group, v.find).address == conn.address
    joined = groups.join_fully(conn, group, v.join)
    assert joined.error == 0 and joined.leader == joined.member
    assignment = groups.sync_group(conn, group, joined.generation, joined.member,
                                   {joined.member: b"mine"}, v.sync)
    assert (assignment.error, assignment.assignment) == (0, b"mine")
    assert groups.heartbeat(conn, group, joined.generation, joined.member, v.beat) == 0
    at = lambda: groups.offset_fetch(conn, group, {ref["committed"]: [0]},
                                     v.committed)[ref["committed"], 0]
    assert (at().offset, at().error) == (-1, 0)
    assert groups.offset_commit(conn, group, ref["commit"], 2, joined.generation, joined.member,
                                v.commit) == 0
    assert (at().offset, at().error) == (2, 0)
    assert groups.leave_group(conn, group, joined.member, v.leave) == 0


def test_t09_kafka_go_reader_with_its_hard_coded_versions(target):
    """It asks for a coordinator before it asks for versions, and never looks at the minima."""
    group = target.unique("group")
    with target.connect() as conn:
        assert until(lambda: groups.find_coordinator(conn, group, 0).error == 0)
    walk(target, client("metadata 1", "find 0", "join 2", "sync 0", "beat 0", "leave 0",
                        "commit 2", "committed 1", "list_offsets 1", "fetch 10", "produce 7",
                        "create 2", "delete 1"), ignores_minima=True)
    with target.coordinator(group) as conn:
        assert groups.list_groups(conn, 1)[0] == 0


def test_t09_kafka_go_writer_and_client(target):
    walk(target, client("metadata 8", "find 0", "join 7", "sync 0", "beat 0", "leave 0",
                        "commit 7", "committed 5", "list_offsets 1", "fetch 11", "produce 8",
                        "create 2", "delete 1"), ignores_minima=True)


@pytest.mark.parametrize("produce_version", range(3, 8))
def test_t10_rskafka_fetches_in_version_4_only(target, produce_version):
    walk(target, client("metadata 4", "find 0", "join 0", "sync 0", "beat 0", "leave 0",
                        "commit 2", "committed 1", "list_offsets 3", "fetch 4",
                        f"produce {produce_version}", "create 5", "delete 5", greets=3))


@pytest.mark.parametrize("greets", [2, 1, 0])
def test_t11_kafkajs(target, greets):
    walk(target, client("metadata 6", "produce 7", "fetch 11", "list_offsets 3", "join 5",
                        "sync 3", "beat 3", "leave 3", "commit 5", "committed 4", "find 2",
                        "create 3", "delete 1", greets=greets))


def test_t12_aiokafka_asks_in_version_0_on_every_connection(target):
    for address in target.addresses:
        with target.connect(address) as conn:
            assert all(low <= high for low, high in api.api_versions(conn, 0).keys.values())
    walk(target, client("metadata 5", "produce 7", "fetch 11", "list_offsets 3", "find 1",
                        "join 5", "sync 3", "beat 1", "leave 1", "commit 3", "committed 3",
                        "create 3", "delete 1"))


def test_t12_kafka_python_2_begins_with_metadata_0(target):
    with target.connect() as conn:
        assert api.metadata(conn, [], 0).brokers
    walk(target, client("metadata 1", "produce 7", "fetch 4", "list_offsets 1", "find 0",
                        "join 2", "sync 1", "beat 1", "leave 1", "commit 2", "committed 1",
                        "create 3", "delete 3"))


# (key, version) -> a release; the newest that is served is what kafka-python takes us for.
TELL_TALES = [(35, 5), (2, 11), (0, 13), (48, 0), (29, 2), (0, 8), (1, 11), (2, 5), (1, 10), (1, 8),
              (1, 7), (3, 5), (3, 4), (9, 2), (3, 2)]
# What clients use of such a release when nothing is secured and no group is of a new kind.
CLIENT_KEYS = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28,
               29, 30, 31, 32, 33, 34, 35, 37, 42, 43, 44, 45, 46, 47, 48, 49, 50, 60, 61, 65, 66]


def test_t12_release_that_we_are_taken_for_is_served_without_gaps(admin):
    keys = api.api_versions(admin, 0).keys
    for key, version in TELL_TALES:
        low, high = keys[key]
        assert low <= version <= high, f"api key {key}"
    assert not set(CLIENT_KEYS) - set(keys)


def test_t13_sarama_negotiates_by_itself(target):
    walk(target, client("metadata 11", "produce 9", "fetch 12", "list_offsets 6", "find 3",
                        "join 7", "sync 5", "beat 4", "leave 4", "commit 8", "committed 7",
                        "create 5", "delete 5", greets=3))


def test_t13_old_sarama_sends_what_its_configured_release_implies(target):
    """config.Version = 1.0 and 2.1: it does not ask."""
    walk(target, client("metadata 5", "produce 3", "fetch 4", "list_offsets 1", "find 0",
                        "join 1", "sync 0", "beat 0", "leave 0", "commit 2", "committed 1",
                        "create 2", "delete 1", greets=None))
    walk(target, client("metadata 7", "produce 7", "fetch 10", "list_offsets 1", "find 1",
                        "join 1", "sync 0", "beat 0", "leave 0", "commit 2", "committed 1",
                        "create 2", "delete 1", greets=None))


def test_t14_franz_go_steps_down_to_the_version_that_it_is_told(target):
    with target.connect() as conn:
        sent = conn.send(wire.API_VERSIONS, 6, api.api_versions_body(5))
        r = wire.Reader(conn.receive_frame())
        assert (r.i32(), r.i16()) == (sent, 35)
        told = {key: high for key, _, high in r.array(lambda: (r.i16(), r.i16(), r.i16()))}
        assert api.api_versions(conn, told[wire.API_VERSIONS]).keys, "an empty list is an error"
    walk(target, client("metadata 13", "init 5", "produce 13", "fetch 18", "list_offsets 11",
                        "find 6", "join 9", "sync 5", "beat 4", "leave 5", "commit 10",
                        "committed 10", "create 7", "delete 6", greets=5))


# What Kafka's Java client of today needs from the oldest broker that it still talks to (KIP-896).
JAVA_NEEDS = {
    wire.PRODUCE: 3, wire.FETCH: 4, wire.LIST_OFFSETS: 1, wire.METADATA: 0, wire.OFFSET_COMMIT: 2,
    wire.OFFSET_FETCH: 1, wire.CREATE_TOPICS: 2, wire.DELETE_TOPICS: 1,
    wire.OFFSET_FOR_LEADER_EPOCH: 2, 29: 1, 30: 1, 31: 1, wire.DESCRIBE_CONFIGS: 1, 34: 1, 35: 1,
}


@pytest.mark.parametrize("key", JAVA_NEEDS, ids=lambda key: f"api{key}")
def test_t15_oldest_versions_that_java_clients_need_are_served(admin, key):
    low, high = api.api_versions(admin, 3).keys[key]
    assert low <= JAVA_NEEDS[key] <= high


JAVA = {
    "2.8": client("metadata 11", "produce 9", "fetch 12", "list_offsets 6", "find 3", "join 7",
                  "sync 5", "beat 4", "leave 4", "commit 8", "committed 7", "create 7", "delete 6",
                  greets=3),
    "3.9": client("metadata 12", "init 5", "produce 11", "fetch 17", "list_offsets 9", "find 6",
                  "join 9", "sync 5", "beat 4", "leave 5", "commit 9", "committed 9", "create 7",
                  "delete 6", greets=4),
    "4.4": client("metadata 13", "init 5", "produce 13", "fetch 18", "list_offsets 11", "find 6",
                  "join 9", "sync 5", "beat 4", "leave 5", "commit 9", "committed 9", "create 7",
                  "delete 6", greets=5),
}


@pytest.mark.parametrize("release", JAVA)
def test_t15_java_client_of_each_age(target, release):
    walk(target, JAVA[release])
