"""Nodes restarted in turn, and leaders that stand still for a moment, under producers that retry.

MILLRACE_ROUNDS times more rounds and topics; the nightly run has many.
"""
import collections
import contextlib
import os
import random
import threading
import time

from load import Load, check_history, read_all
from millrace_cluster import SLOWER, until
from raw import api

ROUNDS = int(os.environ.get("MILLRACE_ROUNDS", "1"))
TOPICS = min(100, 20 * ROUNDS)
LEADERLESS_S = 5
PATIENCE_MS = 200  # for how long a leader may wait for its followers before it says so


class Leaders(threading.Thread):
    """Looks at every partition all the time: how long was one without a leader?"""

    def __init__(self, cluster, topics):
        super().__init__(name="leaders", daemon=True)
        self.cluster, self.topics = cluster, set(topics)
        self.stopping = threading.Event()
        self.since, self.longest_s, self.looks = {}, 0, 0

    def run(self):
        while not self.stopping.wait(0.05):
            with contextlib.suppress(Exception):
                self._look()

    def _look(self):
        found = self.cluster.metadata(self.cluster.live()[0]).topics
        now = time.monotonic()
        self.looks += 1
        for topic in found:
            for p in topic.partitions.values() if topic.name in self.topics else ():
                if p.error == 0 and p.leader >= 0:
                    self.since.pop((topic.name, p.index), None)
                else:
                    began = self.since.setdefault((topic.name, p.index), now)
                    self.longest_s = max(self.longest_s, now - began)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


def create_many(cluster, names):
    specs = [api.topic_spec(name, 1, 3, configs={"min.insync.replicas": "2"}) for name in names]
    with cluster.connect(1, timeout_s=60) as conn:
        answers = api.create_topics(conn, specs, timeout_ms=60000)
    assert {a.error for a in answers.values()} == {0}


def await_all_isrs(cluster, names, size):
    def complete():
        found = [t for t in cluster.metadata(cluster.live()[0]).topics if t.name in names]
        return len(found) == len(names) and all(
            p.error == 0 and p.leader >= 0 and len(p.isr) == size
            for t in found for p in t.partitions.values())
    until(complete, 60, f"ISRs of {size} everywhere")


def identities(cluster):
    return {cluster.metadata(node).cluster_id for node in cluster.live()}


def epochs(cluster, topics):
    """The oldest that any node tells of each partition."""
    out = {}
    for node in cluster.live():
        for topic in cluster.metadata(node).topics:
            for p in topic.partitions.values() if topic.name in topics else ():
                key = (topic.name, p.index)
                out[key] = min(p.epoch, out.get(key, p.epoch))
    return out


def test_b14_c10_c15_rolling_restart_leaves_no_partition_without_a_leader(shared):
    names = {f"rolled-{i}" for i in range(TOPICS)}
    create_many(shared, sorted(names))
    await_all_isrs(shared, names, 3)
    identity, before = identities(shared), epochs(shared, names)
    loaded = shared.create_topic("rolled-under-load", 6, min_insync_replicas="2")
    with Load(shared.bootstrap(), loaded, 6, rate=200) as load, Leaders(shared, names) as leaders:
        load.await_acks()
        for _ in range(ROUNDS):
            for node in shared.ids():
                shared.stop(node)
                load.await_acks(time.monotonic())
                shared.start(node)
                shared.await_isr(loaded, 3)
                await_all_isrs(shared, names, 3)
    print(f"{len(names)} topics: none without a leader for longer than "
          f"{leaders.longest_s * 1000:.0f} ms in {leaders.looks} looks")
    assert len(identity) == 1 and identities(shared) == identity
    after = epochs(shared, names)
    assert all(after[partition] >= epoch for partition, epoch in before.items()), "epochs went back"
    assert leaders.looks > 10 and leaders.longest_s < LEADERLESS_S * SLOWER
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(shared.bootstrap(), loaded, 6))


def test_c32_c36_producers_that_must_retry_keep_their_order_without_gaps_or_doubles(shared):
    """A follower stands still for longer than the producers give the leader: they send again what
    it has in its log already, five batches in flight. And a leader dies and comes back."""
    topic = shared.create_topic("retried", 2, min_insync_replicas="2")
    rng = random.Random(32)
    loads = [Load(shared.bootstrap(), topic, 2, rate=200, request_timeout_ms=PATIENCE_MS,
                  max_in_flight=5) for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for number, load in enumerate(loads):
            load.keys = f"p{number}-"
            stack.enter_context(load)
        for number in range(3 * ROUNDS):
            leader = shared.leader(topic, number % 2)
            victim = rng.choice([n for n in shared.ids() if n != leader])
            shared.pause(victim)
            time.sleep((2 + rng.random()) * PATIENCE_MS / 1000)
            shared.resume(victim)
            for load in loads:
                load.await_acks(time.monotonic())
        victim = shared.leader(topic)
        shared.kill(victim)
        shared.start(victim)
        shared.await_isr(topic, 3)
        for load in loads:
            load.await_acks(time.monotonic())
    acks = [a for load in loads for a in load.acks]
    for load in loads:
        assert load.fatal is None and not load.failures
    found = read_all(shared.bootstrap(), topic, 2)
    check_history(acks, found)
    offsets = collections.defaultdict(list)
    for r in found:
        offsets[r.partition].append(r.offset)
    for partition, seen in offsets.items():
        assert seen == list(range(len(seen))), f"offsets of {partition} have gaps"
