"""Consumer groups on the wire (B02-B07, B21, C46)."""
import time

import pytest

from raw import api, groups, wire
from target import until


@pytest.fixture
def coordinator(target, group):
    with target.coordinator(group) as conn:
        yield conn


def settle(conn, group, **fields):
    """A group of one member in a stable generation."""
    joined = groups.join_fully(conn, group, **fields)
    assert joined.error == 0
    assert groups.sync_group(conn, group, joined.generation, joined.member,
                             {joined.member: b"all"}).error == 0
    return joined


@pytest.mark.parametrize("version", range(7))
def test_find_coordinator_in_every_version(target, admin, group, version):
    target.coordinator(group).close()
    found = groups.find_coordinator(admin, group, version)
    assert (found.error, found.key) == (0, group)
    assert found.address in target.addresses


def test_find_coordinator_is_the_same_from_every_node(target, group):
    target.coordinator(group).close()
    found = set()
    for address in target.addresses:
        with target.connect(address) as conn:
            found.add(until(lambda: groups.find_coordinator(conn, group)).address)
    assert len(found) == 1


def test_other_nodes_say_16(target, group, shared_topic):
    with target.coordinator(group) as conn:
        home = conn.address
    for address in set(target.addresses) - {home}:
        with target.connect(address) as conn:
            assert groups.join_group(conn, group, version=0).error == 16
            assert groups.heartbeat(conn, group, 1, "m") == 16
            assert groups.offset_commit(conn, group, shared_topic, 1) == 16
            assert groups.describe_group(conn, group).error == 16


@pytest.mark.parametrize("version", range(4, 10))
def test_b02_first_join_gets_a_member_id_and_joins_with_it(target, group, version):
    with target.coordinator(group, client_id="me") as conn:
        first = groups.join_group(conn, group, version=version)
        assert first.error == 79
        assert first.member.startswith("me-") and len(first.member) == len("me-") + 36
        second = groups.join_group(conn, group, first.member, version)
        assert (second.error, second.member, second.leader) == (0, first.member, first.member)
        assert second.members == {first.member: b"m"}
        assert second.protocol == "range"


@pytest.mark.parametrize("version", range(4))
def test_b02_join_before_version_4_is_admitted_at_once(coordinator, group, version):
    joined = groups.join_group(coordinator, group, version=version)
    assert joined.error == 0 and joined.generation == 1 and joined.member


def test_whole_life_of_a_member_in_each_version(target):
    for sync, beat, leave in ((0, 0, 0), (1, 1, 1), (3, 3, 2), (4, 4, 3), (5, 4, 5)):
        group = target.unique("group")
        with target.coordinator(group) as conn:
            joined = groups.join_fully(conn, group, 7)
            answer = groups.sync_group(conn, group, 1, joined.member, {joined.member: b"A"},
                                       version=sync)
            assert (answer.error, answer.assignment) == (0, b"A")
            assert groups.heartbeat(conn, group, 1, joined.member, version=beat) == 0
            assert groups.leave_group(conn, group, joined.member, version=leave) == 0
            assert groups.describe_group(conn, group).state == "Empty"


def test_b04_leader_gets_all_members_and_followers_none(target, coordinator, group, topic):
    first = settle(coordinator, group, protocols=[("range", b"1"), ("sticky", b"1s")])
    with target.connect(coordinator.address) as conn:
        member = groups.join_group(conn, group, protocols=[("sticky", b"2s")]).member
        pending = conn.send(wire.JOIN_GROUP, 4, groups.join_body(
            group, member, protocols=[("sticky", b"2s")]))
        until(lambda: groups.heartbeat(coordinator, group, 1, first.member) == 27)
        again = groups.join_group(coordinator, group, first.member,
                                  protocols=[("range", b"1"), ("sticky", b"1s")])
        other = groups.read_join(conn.receive(wire.JOIN_GROUP, 4, pending), 4)
        assert again.generation == other.generation == 2
        assert again.protocol == other.protocol == "sticky", "the one that both support"
        assert again.leader == other.leader == first.member
        assert again.members == {first.member: b"1s", member: b"2s"}
        assert other.members == {}
        waiting = conn.send(wire.SYNC_GROUP, 2, groups.sync_body(group, 2, member))
        assert groups.offset_commit(coordinator, group, topic, 1, 2, first.member) == 27
        mine = groups.sync_group(coordinator, group, 2, first.member,
                                 {first.member: b"one", member: b"two"})
        theirs = groups.read_sync(conn.receive(wire.SYNC_GROUP, 2, waiting), 2)
        assert (mine.assignment, theirs.assignment) == (b"one", b"two")


def test_b05_commit_is_taken_while_the_group_prepares_a_rebalance(
        target, coordinator, group, topic):
    first = settle(coordinator, group)
    with target.connect(coordinator.address) as conn:
        member = groups.join_group(conn, group).member
        conn.send(wire.JOIN_GROUP, 4, groups.join_body(group, member))
        until(lambda: groups.heartbeat(coordinator, group, 1, first.member) == 27)
        assert groups.offset_commit(coordinator, group, topic, 5, 1, first.member) == 0
        assert groups.describe_group(coordinator, group).state == "PreparingRebalance"


def test_c46_leave_completes_a_pending_join_at_once(target, coordinator, group):
    first = settle(coordinator, group, rebalance_ms=60000, session_ms=30000)
    with target.connect(coordinator.address) as conn:
        member = groups.join_group(conn, group).member
        pending = conn.send(wire.JOIN_GROUP, 4, groups.join_body(group, member,
                                                                 rebalance_ms=60000))
        until(lambda: groups.heartbeat(coordinator, group, 1, first.member) == 27)
        began = time.monotonic()
        assert groups.leave_group(coordinator, group, first.member) == 0
        joined = groups.read_join(conn.receive(wire.JOIN_GROUP, 4, pending), 4)
        assert joined.error == 0 and list(joined.members) == [member]
        assert time.monotonic() - began < 5


def test_c46_silent_member_is_out_after_its_session_timeout(target, coordinator, group):
    first = settle(coordinator, group, session_ms=1500, rebalance_ms=30000)
    assert groups.heartbeat(coordinator, group, 1, first.member) == 0
    began = time.monotonic()
    with target.connect(coordinator.address) as conn:
        joined = groups.join_fully(conn, group, session_ms=10000, rebalance_ms=30000)
        assert joined.error == 0 and list(joined.members) == [joined.member]
    assert 1 < time.monotonic() - began < 8
    assert groups.heartbeat(coordinator, group, joined.generation, first.member) == 25


def test_c46_group_is_stable_with_one_owner_after_many_joins_and_leaves(coordinator, group):
    for generation in range(1, 20):
        joined = groups.join_fully(coordinator, group)
        assert (joined.error, list(joined.members)) == (0, [joined.member])
        groups.sync_group(coordinator, group, joined.generation, joined.member,
                          {joined.member: b"a"})
        assert groups.leave_group(coordinator, group, joined.member) == 0
    assert groups.describe_group(coordinator, group).state == "Empty"


def test_join_errors(coordinator, group):
    join = lambda *args, **fields: groups.join_group(coordinator, *args, **fields).error
    assert join("", version=0) == 24
    assert join(group, version=0, session_ms=1) == 26
    assert join(group, version=0, session_ms=1 << 30) == 26
    assert join(group, "nobody", version=0) == 25
    settle(coordinator, group)
    assert join(group, version=0, protocols=[("other", b"")]) == 23
    assert join(group, version=0, kind="connect") == 23
    assert join(group, "nobody", version=4) == 25


def test_no_protocols_at_all_is_23(coordinator, group):
    assert groups.join_group(coordinator, group, version=0, protocols=[]).error == 23
    assert groups.join_group(coordinator, group, version=0, kind="").error == 23


def test_sync_and_heartbeat_errors(coordinator, group):
    assert groups.heartbeat(coordinator, group, 1, "nobody") == 25
    assert groups.sync_group(coordinator, group, 1, "nobody").error == 25
    joined = settle(coordinator, group)
    assert groups.heartbeat(coordinator, group, 1, joined.member) == 0
    assert groups.heartbeat(coordinator, group, 7, joined.member) == 22
    assert groups.heartbeat(coordinator, group, 1, "nobody") == 25
    assert groups.sync_group(coordinator, group, 7, joined.member).error == 22
    assert groups.leave_group(coordinator, group, "nobody") == 25
    assert groups.leave_group(coordinator, group, "nobody", version=3) == 25


def test_sync_of_a_stable_group_returns_the_assignment_again(coordinator, group):
    joined = settle(coordinator, group)
    assert groups.sync_group(coordinator, group, 1, joined.member).assignment == b"all"


@pytest.mark.parametrize("version", range(2, 10))
def test_b07_simple_consumer_commits_without_a_group(coordinator, group, topic, version):
    assert groups.offset_commit(coordinator, group, topic, 10 + version, version=version,
                                text="note") == 0
    found = groups.offset_fetch(coordinator, group, {topic: [0]})[topic, 0]
    assert (found.offset, found.text, found.error) == (10 + version, "note", 0)


def test_b07_simple_consumer_is_refused_while_the_group_has_members(coordinator, group, topic):
    joined = settle(coordinator, group)
    assert groups.offset_commit(coordinator, group, topic, 1) == 25
    assert groups.leave_group(coordinator, group, joined.member) == 0
    assert groups.offset_commit(coordinator, group, topic, 1) == 0


def test_offset_commit_errors(coordinator, group, topic):
    commit = lambda *args, **fields: groups.offset_commit(coordinator, *args, **fields)
    assert commit(group, topic, 1, generation=5, member="m") == 22
    assert commit(group, topic, 1, text="x" * 5000) == 12
    assert commit(group, "no-such-topic", 1) == 3
    assert commit(group, topic, 1, partition=9) == 3
    joined = settle(coordinator, group)
    assert commit(group, topic, 1, generation=1, member="nobody") == 25
    assert commit(group, topic, 1, generation=9, member=joined.member) == 22
    assert commit(group, topic, 1, generation=1, member=joined.member) == 0


@pytest.mark.parametrize("version", range(1, 8))
def test_b06_never_committed_is_minus_1_without_an_error(coordinator, group, topic, version):
    found = groups.offset_fetch(coordinator, group, {topic: [0]}, version)[topic, 0]
    assert (found.offset, found.epoch, found.text, found.error) == (-1, -1, "", 0)
    ghost = groups.offset_fetch(coordinator, group, {"no-such": [4]}, version)["no-such", 4]
    assert (ghost.offset, ghost.error) == (-1, 0)


@pytest.mark.parametrize("version", range(2, 8))
def test_b06_null_topics_ask_for_all_offsets(coordinator, group, topic, version):
    assert groups.offset_fetch(coordinator, group, None, version) == {}
    assert groups.offset_commit(coordinator, group, topic, 77) == 0
    found = groups.offset_fetch(coordinator, group, None, version)
    assert {key: answer.offset for key, answer in found.items()} == {(topic, 0): 77}


def test_committed_offset_outlives_the_member(coordinator, group, topic):
    joined = settle(coordinator, group)
    assert groups.offset_commit(coordinator, group, topic, 42, 1, joined.member) == 0
    assert groups.leave_group(coordinator, group, joined.member) == 0
    assert groups.offset_fetch(coordinator, group, {topic: [0]})[topic, 0].offset == 42


@pytest.mark.parametrize("version", range(6))
def test_b21_unknown_group_is_dead_without_an_error(coordinator, group, version):
    found = groups.describe_group(coordinator, group, version)
    assert (found.error, found.state, found.members) == (0, "Dead", [])


def test_b21_unknown_group_is_69_from_version_6(coordinator, group):
    found = groups.describe_group(coordinator, group, 6)
    assert (found.error, found.state) == (69, "Dead")


@pytest.mark.parametrize("version", range(7))
def test_describe_group_shows_its_members(target, group, version):
    with target.coordinator(group, client_id="shown") as conn:
        joined = settle(conn, group)
        found = groups.describe_group(conn, group, version)
        assert (found.error, found.state, found.kind, found.protocol) == (
            0, "Stable", "consumer", "range")
        member, = found.members
        assert (member.member, member.client_id) == (joined.member, "shown")
        assert (member.metadata, member.assignment) == (b"m", b"all")
        assert member.host


@pytest.mark.parametrize("version", range(6))
def test_list_groups_in_every_version(coordinator, group, version):
    settle(coordinator, group)
    error, found = groups.list_groups(coordinator, version)
    assert error == 0 and found[group] == "consumer"


def test_long_poll_of_a_join_does_not_hold_up_other_connections(target, coordinator, group):
    settle(coordinator, group, session_ms=5000, rebalance_ms=5000)
    with target.connect(coordinator.address) as conn:
        member = groups.join_group(conn, group).member
        conn.send(wire.JOIN_GROUP, 4, groups.join_body(group, member))
        began = time.monotonic()
        assert api.api_versions(coordinator, 3).error == 0
        assert time.monotonic() - began < 2


def test_group_deleted_while_its_last_member_leaves_is_gone(coordinator, group):
    joined = settle(coordinator, group)
    left = coordinator.send(wire.LEAVE_GROUP, 1, groups.leave_body(group, joined.member))
    deleted = coordinator.send(wire.DELETE_GROUPS, 1, groups.delete_body(group))
    coordinator.receive(wire.LEAVE_GROUP, 1, left)
    assert groups.read_deleted(coordinator.receive(wire.DELETE_GROUPS, 1, deleted)) == 0
    assert groups.describe_group(coordinator, group).state == "Dead"
    assert group not in groups.list_groups(coordinator)[1]
    assert groups.delete_group(coordinator, group) == 69
    settle(coordinator, group)
    assert groups.delete_group(coordinator, group) == 68
