"""Groups of the consumer protocol whose coordinator dies (C57): what was told stays true."""
import pytest

from millrace_cluster import until
from raw import consumer_groups
from raw.consumer_groups import Member

MOVED = (14, 15, 16)  # the coordinator loads, is not available, is another one


@pytest.fixture(scope="module")
def settings():
    return {"group_consumer_assignment_interval_ms": "0"}


def coordinator(cluster, group):
    return cluster.connect(cluster.coordinator(group), timeout_s=5)


def members_of(cluster, group, topic, count):
    return [Member(lambda: coordinator(cluster, group), group, f"m{i}", [topic],
                   instance=f"i{i}" if i == 0 else None) for i in range(count)]


def beat(member):
    """The answer of a coordinator that is one."""
    def ask():
        answer = member.beat()
        return None if answer.error in MOVED else answer
    return until(ask, what="an answer of the coordinator")


def describe(cluster, group):
    def ask():
        with coordinator(cluster, group) as conn:
            told = consumer_groups.describe(conn, group)
        return None if told.error in MOVED else told
    told = until(ask, what="a description of the group")
    return (told.state, told.epoch, told.assignment_epoch,
            {m.id: (m.epoch, m.instance, m.assigned, m.target) for m in told.members.values()})


def settle(cluster, group, members):
    def stable():
        for member in members:
            assert beat(member).error == 0
        owned = [m.partitions() for m in members]
        assert sum(map(len, owned)) == len(set().union(*owned)), "a partition of two members"
        return describe(cluster, group)[0] == "Stable"
    until(stable, what="a stable group")


def test_c57_members_epochs_and_assignments_outlive_their_coordinator(shared):
    topic, group = shared.create_topic("outlive", 6), "outlive"
    members = members_of(shared, group, topic, 3)
    for member in members:
        assert member.join().error == 0
    settle(shared, group, members)
    before = describe(shared, group)
    shared.kill(shared.coordinator(group))
    for member in members:
        answer = beat(member)
        assert (answer.error, answer.epoch, answer.assignment) == (0, member.epoch, None)
    assert describe(shared, group) == before
    shared.up_again()


def test_c57_what_was_not_given_up_yet_is_nobody_elses_at_the_next_coordinator(shared):
    topic, group = shared.create_topic("halfway", 6), "halfway"
    one, two = members_of(shared, group, topic, 2)
    assert one.join().error == 0 and len(one.partitions()) == 6
    assert two.join().error == 0 and not two.partitions()
    had = one.owned
    answer = one.beat()
    assert sum(len(p) for _, p in answer.assignment) == 3  # told, and not done
    shared.kill(shared.coordinator(group))
    assert beat(two).error == 0 and not two.partitions()
    kept, one.owned = one.owned, had
    assert beat(one).error == 0
    assert beat(two).error == 0 and not two.partitions()
    one.owned = kept
    settle(shared, group, [one, two])
    assert len(one.partitions()) == len(two.partitions()) == 3
    shared.up_again()
