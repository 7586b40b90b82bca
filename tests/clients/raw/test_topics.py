"""Metadata, topics, configs, DescribeCluster (C63, C64, C67, T19, T20)."""
import uuid

import pytest

from raw import api, groups, records
from raw.api import topic_spec
from target import until


def create(conn, *specs, **fields):
    return {name: t.error for name, t in api.create_topics(conn, specs, **fields).items()}


def seen(conn, name):
    """The topic in this node's metadata, or None."""
    return next((t for t in api.metadata(conn, [name], 4).topics if t.error == 0), None)


@pytest.mark.parametrize("version", range(2, 8))
def test_c63_topic_created_in_every_version_is_seen_on_every_node_at_once(target, admin, version):
    name = target.unique("t")
    spec = topic_spec(name, 2, 3, configs={"retention.ms": "1000000"})
    assert create(admin, spec, version=version) == {name: 0}
    for address in target.addresses:
        with target.connect(address) as conn:
            topic = target.at_once(lambda: seen(conn, name))
            assert sorted(topic.partitions) == [0, 1]
            assert all(p.leader >= 0 for p in topic.partitions.values())
            assert all(len(p.replicas) == 3 for p in topic.partitions.values())


def test_c63_duplicate_topic_is_36(admin, topic):
    assert create(admin, topic_spec(topic)) == {topic: 36}


def test_c63_more_replicas_than_brokers_is_38(target, admin):
    name = target.unique("t")
    assert create(admin, topic_spec(name, 1, 9)) == {name: 38}


def test_c63_replication_factor_zero_is_38(target, admin):
    name = target.unique("t")
    assert create(admin, topic_spec(name, 1, 0)) == {name: 38}


@pytest.mark.parametrize("config", [{"retention.ms": "abc"}, {"no.such.config": "1"},
                                    {"cleanup.policy": "eat"}, {"min.insync.replicas": "0"},
                                    {"compression.type": "rar"}], ids=str)
def test_c63_bad_or_unknown_config_is_40(target, admin, config):
    name = target.unique("t")
    assert create(admin, topic_spec(name, configs=config)) == {name: 40}
    assert api.metadata(admin, [name], 4).topics[0].error == 3


@pytest.mark.parametrize("count", [0, -2])
def test_c63_partition_count_below_one_is_37(target, admin, count):
    name = target.unique("t")
    assert create(admin, topic_spec(name, count)) == {name: 37}


@pytest.mark.parametrize("name", ["a b", "", ".", "..", "a/b", "ü", "n" * 250, "a,b"],
                         ids=lambda name: name[:4] or "empty")
def test_c63_bad_topic_name_is_17(admin, name):
    assert create(admin, topic_spec(name)) == {name: 17}


def test_c63_longest_topic_name_of_249_is_taken(target, admin):
    name = target.unique("t").ljust(249, "n")
    assert create(admin, topic_spec(name)) == {name: 0}


def test_c63_names_that_differ_only_in_dot_and_underscore_collide(target, admin):
    name = target.unique("t")
    assert create(admin, topic_spec(f"{name}.x")) == {f"{name}.x": 0}
    assert create(admin, topic_spec(f"{name}_x")) == {f"{name}_x": 17}


def test_c63_defaults_for_minus_one(target, admin):
    name = target.unique("t")
    answer = api.create_topics(admin, [topic_spec(name, -1, -1)], version=5)[name]
    assert (answer.error, answer.partitions, answer.replicas) == (0, 4, 3)


def test_c63_answer_names_configs_and_the_topic_id_that_metadata_names(target, admin):
    name = target.unique("t")
    spec = topic_spec(name, configs={"retention.ms": "77777"})
    answer = api.create_topics(admin, [spec], version=7)[name]
    assert target.at_once(lambda: target.topic_id(name) == answer.id != uuid.UUID(int=0))
    configs = {c[0]: (c[1], c[3]) for c in answer.configs}
    assert configs["retention.ms"] == ("77777", 1)
    assert configs["cleanup.policy"] == ("delete", 5)


def test_c63_valid_and_invalid_topics_get_their_own_results(target, admin):
    good, bad = target.unique("t"), target.unique("t")
    assert create(admin, topic_spec(good), topic_spec(bad, 0)) == {good: 0, bad: 37}
    assert target.at_once(lambda: seen(admin, good))


def test_c63_topic_twice_in_one_request_is_42(target, admin):
    name = target.unique("t")
    assert create(admin, topic_spec(name), topic_spec(name)) == {name: 42}


def test_c63_validate_only_creates_nothing(target, admin):
    name = target.unique("t")
    assert create(admin, topic_spec(name), validate_only=True) == {name: 0}
    assert create(admin, topic_spec(name, 0), validate_only=True) == {name: 37}
    assert api.metadata(admin, [name], 4).topics[0].error == 3


def test_c63_manual_assignment_is_followed(target, admin):
    name = target.unique("t")
    nodes = sorted(api.metadata(admin, [], 4).brokers)
    spec = topic_spec(name, -1, -1, assignments=[(0, nodes[1:]), (1, nodes[:2])])
    assert create(admin, spec) == {name: 0}
    parts = target.at_once(lambda: seen(admin, name)).partitions
    assert (parts[0].replicas, parts[1].replicas) == (nodes[1:], nodes[:2])


@pytest.mark.parametrize("assignment, error", [
    ([(0, [1, 1])], 39), ([(0, [1]), (2, [1])], 39), ([(0, [99])], 39), ([(0, [])], 39),
    ([(0, [1, 2]), (1, [1])], 39)],
    ids=["same_node_twice", "gap_in_partitions", "unknown_node", "no_node", "uneven"])
def test_c63_bad_manual_assignment(target, admin, assignment, error):
    name = target.unique("t")
    assert create(admin, topic_spec(name, -1, -1, assignments=assignment)) == {name: error}


def test_c63_assignment_together_with_counts_is_42(target, admin):
    name = target.unique("t")
    assert create(admin, topic_spec(name, 1, 1, assignments=[(0, [1])])) == {name: 42}


def test_c63_metadata_topic_name_of_the_quorum_is_42(admin):
    assert create(admin, topic_spec("__cluster_metadata")) == {"__cluster_metadata": 42}


def test_c63_more_partitions_are_answered_topic_by_topic(target, admin):
    good, same, twice = (target.new_topic("t", partitions=2) for _ in range(3))
    asked = [(good, 4), (same, 2), ("no-such", 3), (twice, 3), (twice, 4)]
    w = api.writer(37, 0)
    w.array(asked, lambda t: w.string(t[0]).i32(t[1]).i32(-1))
    r = admin.call(37, 0, w.i32(10000).i8(0).done())
    r.i32()
    answers = r.array(lambda: (r.string(), r.i16(), r.string())[:2])
    assert dict(answers) == {good: 0, same: 37, "no-such": 3, twice: 42}
    for address in target.addresses:
        with target.connect(address) as conn:
            assert target.at_once(lambda: len(seen(conn, good).partitions) == 4)
            assert len(seen(conn, twice).partitions) == 2


def test_deleted_topic_is_gone_from_every_node(target, admin, topic):
    assert api.delete_topics(admin, [topic, "no-such-topic"]) == {topic: 0, "no-such-topic": 3}
    for address in target.addresses:
        with target.connect(address) as conn:
            until(lambda: api.metadata(conn, [topic], 4).topics[0].error == 3)


def test_t19_topic_deleted_and_created_again_has_a_new_id_and_the_old_one_is_100(target, admin):
    name = target.new_topic("t")
    old = target.topic_id(name)
    assert api.delete_topics(admin, [name]) == {name: 0}
    until(lambda: api.metadata(admin, [name], 4).topics[0].error == 3)
    until(lambda: create(admin, topic_spec(name, replicas=3)) == {name: 0})
    assert target.topic_id(name) != old
    with target.leader(name) as conn:
        assert until(lambda: api.list_offsets(conn, name, -1).error == 0)
        answer = api.produce(conn, old, records.batch([b"x"]), version=13)
        assert answer.error == 100
        assert api.fetch(conn, [(old, 0, 0)], version=13).partitions[0].error == 100
        assert api.list_offsets(conn, name, -1).offset == 0


def test_c64_metadata_with_auto_create_makes_the_topic_with_the_defaults(target, admin):
    name = target.unique("auto")
    assert api.metadata(admin, [name], 4, auto_create=True).topics[0].error in (0, 3, 5)
    topic = until(lambda: seen(admin, name))
    assert len(topic.partitions) == 4
    assert all(len(p.replicas) == 3 for p in topic.partitions.values())
    configs = api.describe_configs(admin, 2, name).configs
    assert configs["retention.ms"].value == "604800000"
    assert configs["retention.ms"].source == 5


def test_c64_metadata_without_auto_create_creates_nothing(target, admin):
    name = target.unique("auto")
    assert api.metadata(admin, [name], 4, auto_create=False).topics[0].error == 3
    assert api.metadata(admin, [name], 4, auto_create=False).topics[0].error == 3


def test_c64_produce_never_creates_a_topic(target, admin):
    name = target.unique("auto")
    assert api.produce(admin, name, records.batch([b"x"])).error == 3
    assert api.metadata(admin, [name], 4).topics[0].error == 3


def test_c64_bad_name_is_17_and_not_created(admin):
    assert api.metadata(admin, ["a b"], 4, auto_create=True).topics[0].error == 17


def test_t20_all_topics_and_no_topics(admin, shared_topic):
    def names(*request):
        return {t.name for t in api.metadata(admin, *request).topics}
    assert shared_topic in names(None, 1)
    assert names([], 1) == set()
    assert shared_topic in names([], 0)
    assert shared_topic in names(None, 12)
    assert names([], 12) == set()


@pytest.mark.parametrize("version", range(14))
def test_t20_metadata_tells_the_same_in_every_version(target, admin, shared_topic, version):
    base = api.metadata(admin, [shared_topic], 1)
    answer = api.metadata(admin, [shared_topic], version)
    assert answer.whole and answer.error == 0
    assert answer.brokers == base.brokers and len(base.brokers) == len(target.addresses)
    topic, = answer.topics
    assert (topic.error, topic.name, topic.internal) == (0, shared_topic, False)
    part = topic.partitions[0]
    assert (part.error, part.offline) == (0, [])
    assert part.leader == base.topics[0].partitions[0].leader
    assert sorted(part.isr) == sorted(part.replicas) == sorted(base.brokers)
    if version >= 7:
        assert part.epoch >= 0


def test_t20_metadata_by_topic_id(target, admin, shared_topic):
    found, = api.metadata(admin, [target.topic_id(shared_topic)], 12).topics
    assert (found.error, found.name) == (0, shared_topic)
    lost, = api.metadata(admin, [uuid.uuid4()], 12).topics
    assert (lost.error, lost.name) == (100, None)


def test_b15_controller_id_names_a_live_broker(admin):
    answer = api.metadata(admin, [], 4)
    assert answer.controller in answer.brokers


def test_b15_create_topics_works_on_every_node(target):
    for address in target.addresses:
        name = target.unique("t")
        with target.connect(address) as conn:
            assert create(conn, topic_spec(name)) == {name: 0}


def test_c67_answers_name_the_address_that_the_client_came_through(target, group):
    """All nodes have one listener here: its addresses are what the bootstrap list says."""
    for address in target.addresses:
        with target.connect(address) as conn:
            assert sorted(api.metadata(conn, [], 4).brokers.values()) == sorted(target.addresses)
            assert sorted(api.describe_cluster(conn).brokers.values()) == sorted(target.addresses)
            found = until(lambda: next((c for c in [groups.find_coordinator(conn, group)]
                                        if c.error == 0), None))
            assert found.address in target.addresses


@pytest.mark.parametrize("version", range(3))
def test_describe_cluster_in_every_version(target, admin, version):
    answer = api.describe_cluster(admin, version)
    assert answer.error == 0
    assert answer.cluster_id == api.metadata(admin, [], 4).cluster_id
    assert sorted(answer.brokers.values()) == sorted(target.addresses)
    assert answer.controller in answer.brokers


@pytest.mark.parametrize("version", range(1, 5))
def test_b18_topic_configs_have_the_well_known_names_with_their_source(target, admin, version):
    name = target.new_topic("t", retention_ms="123456")
    answer = api.describe_configs(admin, 2, name, version=version, synonyms=True)
    assert answer.error == 0
    for config in ("cleanup.policy", "retention.bytes", "segment.bytes", "max.message.bytes",
                   "min.insync.replicas", "compression.type", "message.timestamp.type",
                   "delete.retention.ms", "unclean.leader.election.enable"):
        assert config in answer.configs
    changed = answer.configs["retention.ms"]
    assert (changed.value, changed.source) == ("123456", 1)
    assert changed.synonyms[0] == ("retention.ms", "123456", 1)
    assert answer.configs["cleanup.policy"].source == 5
    assert answer.configs["cleanup.policy"].value == "delete"


def test_b18_describe_configs_returns_only_the_keys_asked_for(admin, topic):
    answer = api.describe_configs(admin, 2, topic, keys=["retention.ms", "cleanup.policy"])
    assert sorted(answer.configs) == ["cleanup.policy", "retention.ms"]


def test_b18_configs_of_an_unknown_topic_are_3(admin):
    assert api.describe_configs(admin, 2, "no-such-topic").error == 3


def test_b18_broker_configs_are_asked_by_the_node_id_as_a_string(admin):
    answer = api.metadata(admin, [], 4)
    node = next(n for n, address in answer.brokers.items() if address == admin.address)
    configs = api.describe_configs(admin, 4, str(node)).configs
    assert configs["num.partitions"].value == "4"
    assert configs["default.replication.factor"].value == "3"
