"""Nodes are killed one after the other under load: nothing acknowledged is lost, and it goes on."""
import os
import time

from load import Load, check_history, read_all

PARTITIONS = 6
ROUNDS = int(os.environ.get("MILLRACE_KILL_ROUNDS", "10"))


def test_killed_nodes_lose_nothing_that_was_acknowledged(cluster):
    topic = cluster.create_topic("killed", PARTITIONS, min_insync_replicas="2")
    with Load(cluster.bootstrap(), topic, PARTITIONS) as load:
        load.await_acks()
        gaps = []
        for number in range(ROUNDS):
            for what, victim in (("leader", cluster.leader(topic, number % PARTITIONS)),
                                 ("controller", None)):
                victim = victim or cluster.controller()
                gaps.append((what, *one_kill(cluster, load, topic, victim)))
                print("round %d: killed the %s: %.0f ms without any, %.0f ms of one partition" %
                      (number, what, gaps[-1][1] * 1000, gaps[-1][2] * 1000), flush=True)
    load.finish()
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(cluster.bootstrap(), topic, PARTITIONS))
    assert len(load.acks) == load.sent


def one_kill(cluster, load, topic, victim):
    """Kill it, wait until all goes on, bring it back; the longest gaps."""
    begin = time.monotonic()
    cluster.kill(victim)
    killed = time.monotonic()
    load.await_acks(killed)
    end = time.monotonic()
    for node in cluster.live():
        seen = cluster.seen_by(node, topic)
        assert all(p.leader not in (-1, victim) and p.error == 0 for p in seen.values())
    cluster.start(victim)
    cluster.await_isr(topic, 3)
    return load.longest_gap(begin, end)
