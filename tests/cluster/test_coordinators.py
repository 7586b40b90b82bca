"""Groups while their coordinator dies, leaves or stands still: what was committed is what is told.

MILLRACE_ROUNDS times more rounds of each; the nightly run has many.
"""
import os
import random
import threading
import time

import pytest

from load import Load
from members import MOVED, Group
from millrace_cluster import SLOWER, until
from raw import groups, wire
from raw.wire import Closed
from rawmember import Hall

ROUNDS = int(os.environ.get("MILLRACE_ROUNDS", "1"))
SETTINGS = {"group_initial_rebalance_delay_ms": "0", "group_min_session_timeout_ms": "500"}
LOADING = 14


@pytest.fixture(scope="module")
def settings():
    return SETTINGS


def commit(cluster, group, topic, offset):
    """Committed and acknowledged, by a consumer without a group."""
    def attempt():
        with cluster.connect(cluster.coordinator(group), timeout_s=5) as conn:
            return groups.offset_commit(conn, group, topic, offset) == 0
    until(attempt, what="a commit")


def told(cluster, node, group, topic):
    """What one node says now: an offset, or None when it does not speak for the group."""
    try:
        with cluster.connect(node, timeout_s=5) as conn:
            found = groups.fetch_committed(conn, group, {topic: [0]}, 7)
    except (OSError, Closed):
        return None
    if found.error:
        assert found.error in MOVED, f"node {node} said {found.error}"
        return None
    return found.offsets[topic, 0].offset


def ask_until_told(cluster, nodes, group, topic, expected):
    """All of them, as fast as they answer: none may say anything but this offset."""
    def look():
        answers = {n: told(cluster, n, group, topic) for n in nodes}
        assert set(answers.values()) <= {None, expected}, answers
        return expected in answers.values()
    until(look, 30, "the committed offset")


def test_c13_offset_committed_before_a_kill_is_told_exactly_from_then_on(shared):
    topic = shared.create_topic("exactly", min_insync_replicas="2")
    group = "exactly"
    for number in range(1, ROUNDS + 1):
        commit(shared, group, topic, number)
        victim = shared.coordinator(group)
        shared.kill(victim)
        ask_until_told(shared, shared.live(), group, topic, number)
        starting = threading.Thread(target=shared.start, args=(victim,))
        starting.start()
        while starting.is_alive():
            ask_until_told(shared, shared.ids(), group, topic, number)
        starting.join()
        ask_until_told(shared, shared.ids(), group, topic, number)


def test_c13_offset_committed_before_all_were_killed_is_told_exactly(shared):
    topic = shared.create_topic("all-gone", min_insync_replicas="2")
    for number in range(1, ROUNDS + 1):
        commit(shared, "all-gone", topic, number)
        for node in shared.ids():
            shared.kill(node)
        starting = threading.Thread(target=shared.up_again)
        starting.start()
        ask_until_told(shared, shared.ids(), "all-gone", topic, number)
        starting.join()


def test_c13_former_coordinator_that_stands_still_tells_nothing_old(make_cluster):
    """A broker joins and takes groups over from one that lives, is not fenced, and has not heard of
    it: until it has, the new coordinator does not speak."""
    cluster = make_cluster(3, broker_session_timeout_ms=20000 * SLOWER, **SETTINGS)
    topic = cluster.create_topic("handed-on", min_insync_replicas="2")
    former = next(n for n in cluster.ids() if n != cluster.controller())
    names = [f"g{i}" for i in range(150)]
    with cluster.connect(former) as conn:
        mine = [g for g in names if groups.offset_commit(conn, g, topic, 1) == 0]
    waiting = cluster.connect(former)
    assert groups.find_coordinator(waiting, mine[0]).error == 0
    cluster.pause(former)
    joined = int(cluster.run("add"))
    with cluster.connect(joined) as conn:
        at = {g: groups.find_coordinator(conn, g).node for g in mine}
        moved = [g for g, node in at.items() if node == joined]
        assert moved, "no group went from the one that stands still to the one that joined"
        for group in moved:
            assert groups.offset_commit(conn, group, topic, 2) == LOADING
            assert groups.fetch_committed(conn, group, {topic: [0]}, 7).error == LOADING
    sent = waiting.send(wire.OFFSET_FETCH, 7,
                        groups.offset_fetch_body(moved[0], {topic: [0]}, 7))
    cluster.resume(former)
    with cluster.connect(joined) as conn:
        until(lambda: groups.offset_commit(conn, moved[0], topic, 2) == 0, what="a commit")
        answer = groups.read_committed(waiting.receive(wire.OFFSET_FETCH, 7, sent), 7)
        assert answer.error in MOVED or answer.offsets[topic, 0].offset == 1, "asked before it"
        assert groups.fetch_committed(waiting, moved[0], {topic: [0]}, 7).error in MOVED
        assert told(cluster, joined, moved[0], topic) == 2
    waiting.close()


def test_c12_no_partition_falls_silent_while_leaders_and_coordinators_move(shared):
    topic = shared.create_topic("moves", 12, min_insync_replicas="2")
    rng = random.Random(12)
    with Load(shared.bootstrap(), topic, 12, rate=300) as load, \
            Group(shared.bootstrap(), topic, "movers", members=2) as group:
        group.await_records_after(0, load, timeout_s=30)
        for number in range(2 * ROUNDS):
            victim = shared.coordinator("movers") if number % 2 else shared.leader(topic, number)
            end = rng.choice([shared.kill, shared.stop])
            end(victim)
            advanced(group, load)
            shared.start(victim)
            shared.await_isr(topic, 3)
            advanced(group, load)
        load.finish()
        group.await_all(load)
    assert load.fatal is None and not load.failures
    group.check(load)


def advanced(group, load):
    """Within 30 s every partition gives the group something new, and its commit follows."""
    began = time.monotonic()
    before = dict(group.acknowledged)
    group.await_records_after(began, load, timeout_s=30)
    until(lambda: all(group.acknowledged.get(p, 0) > before.get(p, -1)
                      for p in range(load.partitions)), 30, "a commit of every partition")


def test_c46_group_is_stable_soon_whatever_its_members_did(shared):
    """Members come, leave, or are gone without a word, many at once."""
    topic_partitions, session_ms = 7, 1000 * SLOWER
    rng = random.Random(46)
    with Hall(shared, "restless", topic_partitions, session_ms) as hall:
        for _ in range(ROUNDS):
            for _ in range(12):
                hall.event(rng)
                time.sleep(rng.random() * 0.1)
            hall.await_settled(timeout_s=10 + 2 * session_ms / 1000)


def static(conn, group, member="", **fields):
    return groups.join_group(conn, group, member, version=5, instance="one",
                             session_ms=30000, **fields)


def test_c51_static_member_is_known_to_the_next_coordinator(shared):
    group = "static"
    with shared.connect(shared.coordinator(group)) as conn:
        until(lambda: groups.describe_group(conn, group).error == 0)
        first = static(conn, group)
        assert first.error == 0
        groups.sync_group(conn, group, first.generation, first.member, {first.member: b"mine"},
                          version=3, instance="one")
    beat = lambda conn, who: groups.heartbeat(conn, group, first.generation, who, version=3,
                                              instance="one")
    for _ in range(ROUNDS):
        old = shared.coordinator(group)
        shared.kill(old)
        with shared.connect(until(lambda o=old: other(shared, group, o))) as conn:
            until(lambda c=conn: groups.describe_group(c, group).error == 0)
            assert beat(conn, first.member) == 0, "not fenced by itself"
            again = static(conn, group)
            assert (again.error, again.generation) == (0, first.generation)
            assert again.member != first.member
            found = groups.sync_group(conn, group, again.generation, again.member, version=3,
                                      instance="one")
            assert (found.error, found.assignment) == (0, b"mine")
            assert beat(conn, first.member) == 82 and beat(conn, again.member) == 0
        first = again
        shared.start(old)


def other(cluster, group, than):
    found = cluster.coordinator(group)
    return found if found != than else None
