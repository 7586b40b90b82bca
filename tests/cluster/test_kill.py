"""Nodes are killed one after the other under load: nothing acknowledged is lost, and it goes on."""
import os
import time

from load import Load, check_history, read_all
from members import Group

PARTITIONS = 6
ROUNDS = int(os.environ.get("MILLRACE_KILL_ROUNDS", "10"))
GROUP = "killed-group"
MODERN_GROUP = "killed-modern-group"  # of the consumer protocol


def test_killed_nodes_lose_nothing_that_was_acknowledged(cluster, capsys):
    topic = cluster.create_topic("killed", PARTITIONS, min_insync_replicas="2")
    gaps = []
    with Load(cluster.bootstrap(), topic, PARTITIONS) as load, \
            Group(cluster.bootstrap(), topic, GROUP) as group, \
            Group(cluster.bootstrap(), topic, MODERN_GROUP, modern=True) as modern:
        group.await_records_after(0, load)
        modern.await_records_after(0, load)
        for number in range(ROUNDS):
            for role in ("leader", "controller", "coordinator"):
                victim = {"leader": lambda n: cluster.leader(topic, n % PARTITIONS),
                          "controller": lambda _: cluster.controller(),
                          "coordinator": lambda n: cluster.coordinator(
                              MODERN_GROUP if n % 2 else GROUP)}[role](number)
                gaps.append((*one_kill(cluster, load, topic, victim), number, role))
                print("round %d: killed the %s, node %d: %.0f ms without any acknowledgement, "
                      "%.0f ms of one partition" % (number, role, victim, gaps[-1][0] * 1000,
                                                    gaps[-1][1] * 1000), flush=True)
        for each in (group, modern):
            each.await_records_after(time.monotonic(), load)
        load.finish()
        for each in (group, modern):
            each.await_all(load)
    with capsys.disabled():
        report(gaps)
    assert load.fatal is None and not load.failures
    records = read_all(cluster.bootstrap(), topic, PARTITIONS)
    check_history(load.acks, records)
    assert len(load.acks) == load.sent
    group.check(load)
    modern.check(load)


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


def report(gaps):
    longest, _, number, role = max(gaps)
    print(f"\nfigure: {len(gaps)} kills, longest gap without an acknowledgement: "
          f"{longest * 1000:.0f} ms (round {number}, {role}); "
          f"of one partition: {max(g[1] for g in gaps) * 1000:.0f} ms")
