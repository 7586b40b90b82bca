"""SIGTERM: leaderships move first, nothing is lost or refused, and it always comes to its end."""
import subprocess
import time

import pytest

from load import Load, check_history, read_all
from millrace_cluster import SLOWER, ScriptFailed

PARTITIONS = 12
BOUND_S = 20  # a stop that waits for nobody is done after two or three; 40 s were seen once


def test_c11_stop_hands_over_so_that_no_client_waits(shared):
    """The stopped one leads, is the controller, and coordinates."""
    topic = shared.create_topic("handed-over", PARTITIONS, min_insync_replicas="2")
    with Load(shared.bootstrap(), topic, PARTITIONS) as load:
        load.await_acks()
        for number in range(3):
            victim = shared.controller()
            begin = time.monotonic()
            shared.stop(victim)
            load.await_acks(time.monotonic())
            for node in shared.live():
                assert all(p.leader not in (-1, victim) for p in
                           shared.seen_by(node, topic).values())
            print("stop %d took no acknowledgement for %.0f ms, one partition for %.0f ms" % (
                number, *(g * 1000 for g in load.longest_gap(begin, time.monotonic()))))
            shared.start(victim)
            shared.await_isr(topic, 3)
    assert load.fatal is None and not load.failures
    assert "could not hand leaderships over" not in "".join(map(shared.log, shared.ids()))
    check_history(load.acks, read_all(shared.bootstrap(), topic, PARTITIONS))


def test_c11_stop_loses_nothing_that_the_leader_alone_acknowledged(shared):
    """acks=1: before it hands over, the followers have all, and it takes no more."""
    topic = shared.create_topic("drained", PARTITIONS, min_insync_replicas="1")
    with Load(shared.bootstrap(), topic, PARTITIONS, rate=2000, enable_idempotence=False,
              acks=1) as load:
        load.await_acks()
        for number in range(3):
            victim = shared.leader(topic, number)
            begin = time.monotonic()
            shared.stop(victim)
            load.await_acks(time.monotonic())
            print("stop %d took no acknowledgement for %.0f ms, one partition for %.0f ms" % (
                number, *(g * 1000 for g in load.longest_gap(begin, time.monotonic()))))
            assert "followers have all" in shared.log(victim)
            shared.start(victim)
            shared.await_isr(topic, 3)
    assert not load.failures
    there = {(r.key, r.number) for r in read_all(shared.bootstrap(), topic, PARTITIONS)}
    lost = [a for a in load.acks if (a.key, a.number) not in there]
    assert not lost, f"{len(lost)} of {len(load.acks)} are not there: {lost[:5]}"


def bounded_stop(cluster, node):
    cluster.wanted_down.add(node)
    begin = time.monotonic()
    try:
        cluster.run("--timeout", BOUND_S * SLOWER, "stop", node)
    except ScriptFailed as failed:
        pytest.fail(f"{failed}\n{cluster.log(node)[-2000:]}")
    print(f"stopped after {time.monotonic() - begin:.1f} s")


def test_stop_ends_while_another_node_stands_still(shared):
    shared.create_topic("stands-still", PARTITIONS)
    for paused, stopped in ((1, 2), (2, 3), (3, 1)):
        shared.pause(paused)
        bounded_stop(shared, stopped)
        shared.resume(paused)
        shared.start(stopped)
        shared.await_isr("stands-still", 3)


def test_stop_ends_while_the_controller_stands_still(shared):
    controller = shared.controller()
    shared.pause(controller)
    bounded_stop(shared, next(n for n in shared.ids() if n != controller))
    shared.resume(controller)
    shared.up_again()


def test_stop_ends_without_a_quorum(shared):
    for others in ("kill", "pause"):
        for node in (1, 2):
            shared.wanted_down.add(node)
            shared.run(others, node)
        bounded_stop(shared, 3)
        for node in (1, 2):
            if others == "pause":
                shared.run("resume", node)
        shared.up_again()


def test_stop_ends_a_node_that_has_not_found_its_cluster(make_cluster):
    cluster = make_cluster(3)
    for node in (1, 2, 3):
        cluster.kill(node)
    with pytest.raises(ScriptFailed, match="not ready"):
        cluster.run("--timeout", 1, "start", 1)
    bounded_stop(cluster, 1)


def test_stop_ends_while_clients_hold_on(shared):
    """Open connections, and fetches that wait for data which does not come."""
    topic = shared.create_topic("quiet", 3)
    consumer = subprocess.Popen(
        ["kcat", "-b", shared.bootstrap(), "-C", "-t", topic, "-X", "fetch.wait.max.ms=30000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        idle = [shared.connect(2) for _ in range(20)]
        bounded_stop(shared, 2)
        for conn in idle:
            conn.close()
        shared.start(2)
    finally:
        consumer.kill()
        consumer.wait()
