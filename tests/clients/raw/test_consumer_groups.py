"""Groups of the consumer protocol on the wire (C57)."""
import pytest

from raw import api, consumer_groups, groups, wire
from raw.consumer_groups import Member
from raw.wire import Closed
from target import until

UNKNOWN_MEMBER, INVALID_REQUEST, GROUP_NOT_FOUND = 25, 42, 69
FENCED_INSTANCE, FENCED_EPOCH, UNRELEASED_INSTANCE, UNSUPPORTED_ASSIGNOR = 82, 110, 111, 112
STALE_EPOCH, BAD_EXPRESSION = 113, 128


@pytest.fixture
def topic(target):
    return target.new_topic("modern", 4)


@pytest.fixture
def member_of(target, group):
    def make(name, *topics, **fields):
        return Member(lambda: target.coordinator(group), group, name, list(topics), **fields)
    return make


def settle(*members):
    """Heartbeats until nobody has anything to give up or to get."""
    def stable():
        answers = [m.beat() for m in members]
        assert all(a.error == 0 for a in answers), answers
        owned = [m.partitions() for m in members]
        assert sum(map(len, owned)) == len(set().union(*owned)), "a partition of two members"
        with members[0].connect() as conn:
            return consumer_groups.describe(conn, members[0].group).state == "Stable"
    until(stable, what="a stable group")


@pytest.mark.parametrize("version", [0, 1])
def test_c57_partitions_go_from_one_to_the_other_only_when_given_up(target, group, topic, version):
    with target.coordinator(group) as conn:
        first = consumer_groups.heartbeat(conn, group, "a", 0, version, rebalance_ms=30000,
                                          topics=[topic], owned=[])
        assert (first.error, len(first.assignment[0][1])) == (0, 4)
        second = consumer_groups.heartbeat(conn, group, "b", 0, version, rebalance_ms=30000,
                                           topics=[topic], owned=[])
        assert (second.error, second.assignment) == (0, [])
        told = until(lambda: consumer_groups.heartbeat(
            conn, group, "a", first.epoch, version, owned=first.assignment).assignment)
        assert len(told[0][1]) == 2
        waiting = consumer_groups.heartbeat(conn, group, "b", second.epoch, version, owned=[])
        assert not waiting.assignment, "what the first still has"
        given_up = consumer_groups.heartbeat(conn, group, "a", first.epoch, version, owned=told)
        assert given_up.epoch == second.epoch
        got = until(lambda: consumer_groups.heartbeat(conn, group, "b", second.epoch, version,
                                                      owned=[]).assignment)
        assert set(got[0][1]) == {0, 1, 2, 3} - set(told[0][1])


def test_c57_fenced_member_comes_back_with_epoch_0(member_of, topic):
    one, two = member_of("one", topic), member_of("two", topic)
    assert one.join().error == two.join().error == 0
    settle(one, two)
    assert one.beat(one.epoch + 1).error == FENCED_EPOCH
    assert one.beat(one.epoch - 1, owned=None).error == FENCED_EPOCH
    again = one.join()
    assert (again.error, sum(len(p) for _, p in again.assignment)) == (0, 2)
    settle(one, two)


def test_c57_leaving_is_for_good_or_for_a_while(member_of, topic):
    one = member_of("one", topic, instance="i")
    two, same = member_of("two", topic), member_of("same", topic, instance="i")
    assert one.join().error == two.join().error == 0
    settle(one, two)
    assert same.join().error == UNRELEASED_INSTANCE
    assert one.beat(-2).error == 0
    had = one.partitions()
    assert same.join().error == 0 and same.partitions() == had
    assert one.beat().error == FENCED_INSTANCE
    assert same.beat(-1).error == 0
    settle(two)
    assert len(two.partitions()) == 4
    assert two.beat(-1).error == 0
    assert two.beat().error == UNKNOWN_MEMBER


def test_c57_wrong_expressions_are_refused_and_right_ones_follow_topics(target, member_of):
    prefix = target.unique("expr")
    for wrong in ("(", "a**", "(?=a)a", "(a)\\1", "[z-a]", "a{1001}", "\\K"):
        assert member_of("wrong", regex=wrong).join().error == BAD_EXPRESSION, wrong
    one = member_of("one", regex=f"{prefix}-.*")
    one.topics = None
    assert one.join().error == 0 and not one.partitions()
    target.new_topic(prefix, 3)
    until(lambda: one.beat().error == 0 and len(one.partitions()) == 3)
    with one.connect() as conn:
        told = consumer_groups.describe(conn, one.group)
    assert told.members["one"].regex == f"{prefix}-.*"


def test_commits_and_fetches_are_checked_by_member_epoch(member_of, topic):
    one = member_of("one", topic)
    assert one.join().error == 0
    with one.connect() as conn:
        def commit(epoch, member="one", version=9):
            return groups.offset_commit(conn, one.group, topic, 5, generation=epoch, member=member,
                                        version=version)
        assert commit(one.epoch) == 0
        assert commit(one.epoch + 1) == STALE_EPOCH
        assert commit(one.epoch, "nobody") == UNKNOWN_MEMBER
        assert commit(-1, "") == UNKNOWN_MEMBER


def test_what_no_client_sends_is_refused(target, member_of, group, topic):
    one = member_of("one", topic)
    assert one.beat(3).error == GROUP_NOT_FOUND
    assert one.beat(-1).error == GROUP_NOT_FOUND
    assert one.beat(0, rebalance_ms=-1, topics=[topic]).error == INVALID_REQUEST
    assert one.beat(0, rebalance_ms=1, topics=None).error == INVALID_REQUEST
    assert one.beat(0, rebalance_ms=1, topics=[topic], owned=None).error == INVALID_REQUEST
    assert one.beat(0, rebalance_ms=1, topics=[topic], rack=" ").error == INVALID_REQUEST
    assert one.beat(-2).error == INVALID_REQUEST
    assert one.beat(-3).error == INVALID_REQUEST
    assert one.beat(0, rebalance_ms=1, topics=[topic], assignor="x").error == UNSUPPORTED_ASSIGNOR
    with one.connect() as conn:
        assert consumer_groups.describe(conn, group).error == GROUP_NOT_FOUND
        body = consumer_groups.heartbeat_body(group, "m", 0, topics=[topic])
        conn.send(wire.CONSUMER_GROUP_HEARTBEAT, 1, body.replace(b"\x02", b"\xff\xff\xff\xff\x0f"))
        with pytest.raises(Closed):
            conn.receive(wire.CONSUMER_GROUP_HEARTBEAT, 1, conn.next_id)
    with target.connect() as conn:
        assert api.api_versions(conn).error == 0


def test_a_group_is_of_one_kind_at_a_time(target, member_of, group, topic):
    one = member_of("one", topic)
    assert one.join().error == 0
    with target.coordinator(group) as conn:
        assert groups.join_group(conn, group, version=3).error == 23  # no consumer's metadata
        assert groups.heartbeat(conn, group, one.epoch, "one") == UNKNOWN_MEMBER
        assert groups.describe_group(conn, group).state == "Dead"
        assert one.beat(-1).error == 0
        joined = groups.join_fully(conn, group)
        assert joined.error == 0
        assert consumer_groups.describe(conn, group).error == GROUP_NOT_FOUND
        assert one.beat(2).error == GROUP_NOT_FOUND
