#!/usr/bin/env python3
"""How long writes stand still, as a producer sees it, when a node fails: Millrace and Apache Kafka.

usage: failover [--targets millrace,kafka] [--rounds 50] [--cases kill-leader,…]

Three nodes, six partitions with three replicas each, a producer with acks=all. A round: one node
fails, all must go on, it comes back, all are in sync. Two figures of a round: the longest time in
which some partition acknowledged nothing to the producer, and how long the brokers themselves took
until another node named leaders and ISRs without it. Prints a table and asserts nothing.

Where a node falls silent (freeze, cut) the producer waits for its own socket.timeout.ms, 2 s here
and a minute by default: librdkafka sends nothing to a new leader before it gave up on the old one.
"""
import argparse
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time

from confluent_kafka.admin import AdminClient, NewTopic

from kafka_cluster import KafkaCluster
from load import Load
from network import HOME, Network
from nodes import Nodes
from raw import api, groups
from raw.wire import DESCRIBE_QUORUM, Closed, Connection, Writer

PARTITIONS, RATE = 6, 600
GROUP = "failover-group"
CASES = ["kill-leader", "kill-controller", "kill-coordinator", "stop-leader", "stop-controller",
         "freeze-leader", "freeze-controller", "cut-leader", "cut-controller"]


class Millrace(Nodes):
    """With the defaults of the server, but what a cluster of three would set anyway."""

    def __init__(self, folder, network, binary):
        super().__init__(folder, network, binary)
        self.settings = {"default.replication.factor": 3, "min.insync.replicas": 2}


class Kafka(KafkaCluster):
    def __init__(self, folder, network, _binary):
        super().__init__(folder, {"plain.jvm": "1", "offsets.topic.num.partitions": 6}, "1g")
        self.network = network

    def host(self, node):
        return self.network.address(node)

    def prefix(self, node):
        return self.network.command(node)

    def ids(self):
        return list(self.nodes())

    def spawn(self, node):
        self.start(node, wait=False)

    def end(self):
        self.down()


TARGETS = {"millrace": Millrace, "kafka": Kafka}


def until(look, timeout_s, what):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            found = look()
        except (OSError, Closed):
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(what)


class Target:
    def __init__(self, name, binary, folder, network):
        self.network = network
        self.cluster = TARGETS[name](folder, network, binary)
        self.cluster.up(3)
        self.admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap()})

    def create(self, topic):
        spec = NewTopic(topic, PARTITIONS, 3, config={"min.insync.replicas": "2"})
        self.admin.create_topics([spec])[topic].result(30)
        self.await_in_sync(topic)

    def partitions(self, topic):
        return self.admin.list_topics(topic, timeout=10).topics[topic].partitions

    def await_in_sync(self, topic):
        until(lambda: all(len(p.isrs) == 3 and p.leader > 0
                          for p in self.partitions(topic).values()), 120, "all in sync")

    def victim(self, role, topic, number):
        if role == "leader":
            return self.partitions(topic)[number % PARTITIONS].leader
        asked = {"controller": quorum_leader, "coordinator": coordinator}[role]
        return until(lambda: self._ask(asked), 60, role)

    def _ask(self, question):
        for node in self.cluster.ids():
            with Connection(self.cluster.address(node), timeout_s=5) as conn:
                return question(conn)

    def fail(self, how, node):
        """What brings it back."""
        if how == "kill":
            self.cluster.kill(node)
            return lambda: self.cluster.spawn(node)
        if how == "stop":
            self.cluster.stop(node)
            return lambda: self.cluster.spawn(node)
        if how == "freeze":
            self.cluster.pause(node)
            return lambda: self.cluster.resume(node)
        ends = [HOME, *(n for n in self.cluster.ids() if n != node)]
        pairs = [pair for n in ends for pair in ((n, node), (node, n))]
        for pair in pairs:
            self.network.cut(*pair)
        return lambda: [self.network.mend(*pair) for pair in pairs]


def quorum_leader(conn):
    w = Writer(flexible=True)
    w.array([0], lambda _: w.string("__cluster_metadata").array(
        [0], lambda p: w.i32(p).tags()).tags()).tags()
    r = conn.call(DESCRIBE_QUORUM, 0, w.done())
    if r.i16() != 0:
        return None
    r.uvarint(), r.string(), r.uvarint(), r.i32()  # one topic, one partition
    return r.i32() if r.i16() == 0 else None


def coordinator(conn):
    found = groups.find_coordinator(conn, GROUP)
    return found.node if found.error == 0 else None


class Leaders(threading.Thread):
    """When another node first names leaders and ISRs that are all without this one."""

    def __init__(self, target, topic, node):
        super().__init__(daemon=True)
        self.topic, self.node, self.changed_s = topic, node, None
        witness = next(n for n in target.cluster.ids() if n != node)
        self.conn = Connection(target.cluster.address(witness), timeout_s=60)
        self.start()

    def run(self):
        with self.conn:
            while self.changed_s is None:
                found = api.metadata(self.conn, [self.topic], 9).topics[0].partitions
                if found and all(p.leader not in (-1, self.node) and self.node not in p.isr
                                 for p in found.values()):
                    self.changed_s = time.monotonic()
                time.sleep(0.002)


def one_round(target, load, topic, case, number):
    """(ms at the producer, ms at the brokers)"""
    how, role = case.split("-")
    node = target.victim(role, topic, number)
    leaders = Leaders(target, topic, node)
    begin = time.monotonic()
    back = target.fail(how, node)
    leaders.join(120)
    load.await_acks(time.monotonic(), 120)
    gap = load.longest_gap(begin, time.monotonic())[1]
    back()
    target.await_in_sync(topic)
    load.await_acks(time.monotonic(), 120)
    return gap * 1000, (leaders.changed_s - begin) * 1000


def measure(target, case, rounds):
    topic = f"failover-{case}"
    target.create(topic)
    until(lambda: target._ask(coordinator), 60, "a coordinator")
    gaps = []
    with Load(target.cluster.bootstrap(), topic, PARTITIONS, RATE, delivery_timeout_ms=180000,
              topic_metadata_refresh_interval_ms=1000, socket_timeout_ms=2000) as load:
        load.await_acks(time.monotonic(), 60)
        for number in range(rounds):
            time.sleep(0.5)
            gaps.append(one_round(target, load, topic, case, number))
            print(f"  {case} {number}: %.0f ms, the brokers %.0f ms" % gaps[-1], file=sys.stderr,
                  flush=True)
    return gaps


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def print_table(results, cases, rounds):
    names = list(results)
    print(f"ms, {rounds} rounds each".ljust(20) +
          "".join(f"{name + ' p50':>14}{'p99':>7}{'leaders p50':>13}{'p99':>7}" for name in names))
    for case in cases:
        text = ""
        for name in names:
            for part, width in ((0, 14), (1, 13)):
                values = [gap[part] for gap in results[name].get(case, ())]
                text += (f"{statistics.median(values):>{width}.0f}{percentile(values, 0.99):>7.0f}"
                         if values else f"{'-':>{width}}{'-':>7}")
        print(f"{case:20}{text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--dir", help="where the data goes (default: the temporary folder)")
    parser.add_argument("--binary", required=True)
    args = parser.parse_args()
    cases, results, network = args.cases.split(","), {}, Network((1, 2, 3))
    for name in args.targets.split(","):
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"failover-{name}-", dir=args.dir))
        target, results[name] = Target(name, args.binary, folder, network), {}
        try:
            for case in cases:
                results[name][case] = measure(target, case, args.rounds)
        except (TimeoutError, AssertionError) as err:
            print(f"failover: {name}: {err}", file=sys.stderr)
        finally:
            target.cluster.end()
            shutil.rmtree(folder, ignore_errors=True)
    print_table(results, cases, args.rounds)


if __name__ == "__main__":
    main()
