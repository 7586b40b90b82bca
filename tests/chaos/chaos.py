#!/usr/bin/env python3
"""Three nodes, clients that remember everything, and faults from a seed.

usage: run [--hours N | --seconds N] [--seed S] [--rounds N]

A round: topics, load, faults for a while, then all is mended, and what the clients saw is checked.
Rounds follow each other on the same cluster, each with the next seed. Ends with status 1 and the
findings when something is wrong; keeps the folder with logs and data then.
"""
import argparse
import pathlib
import shutil
import sys
import tempfile
import time

import checker
from faults import Nemesis
from load import Load, read_all
from members import Group
from network import Network
from nodes import Nodes
from watch import Ends, Tail

PARTITIONS = 6
ROUND_S = 60
RATE = 200
RECOVERY_S = 5  # after a fault, an election may still choose who had not all yet
PATIENT = {"delivery_timeout_ms": 120000, "socket_timeout_ms": 3000,
           "topic_metadata_refresh_interval_ms": 1000}


class Round:
    """One history: two topics, their load, a group, watchers, a nemesis."""

    def __init__(self, cluster, number, seed):
        self.cluster, self.seed = cluster, seed
        self.all, self.one = f"all-{number}", f"one-{number}"
        self.group_name = f"group-{number}"
        for topic, least in ((self.all, "2"), (self.one, "1")):
            cluster.create_topic(topic, PARTITIONS, min_insync_replicas=least)
        bootstrap = cluster.bootstrap()
        self.load = Load(bootstrap, self.all, PARTITIONS, RATE, **PATIENT)
        self.load_one = Load(bootstrap, self.one, PARTITIONS, RATE, **{
            **PATIENT, "enable_idempotence": False, "acks": "1"})
        self.group = Group(bootstrap, self.all, self.group_name)
        self.tails = [Tail(bootstrap, t, PARTITIONS) for t in (self.all, self.one)]
        self.ends = Ends(cluster, self.all, PARTITIONS, self.load)
        self.nemesis = Nemesis(cluster, (self.all, self.one), self.group_name, seed)
        self.begin_s = time.monotonic()

    def run(self, seconds):
        watchers = [*self.tails, self.ends]
        with self.load, self.load_one, self.group:
            for thread in watchers:
                thread.start()
            self.load.await_acks()
            self.nemesis.run(seconds)
            healed = self.nemesis.await_well()
            self.load.await_acks(time.monotonic())
            self.load_one.await_acks(time.monotonic())
            self.load.finish()
            self.load_one.finish()
            self.group.await_all(self.load)
        for thread in watchers:
            thread.stopping.set()
            thread.join()
        return healed

    def check(self):
        bootstrap = self.cluster.bootstrap()
        records = read_all(bootstrap, self.all, PARTITIONS)
        of_one = read_all(bootstrap, self.one, PARTITIONS)
        wrong = [*self._check_all(records), *self._check_one(of_one), *self.cluster.faults()]
        for watcher in (*self.tails, self.ends):
            wrong += [f"C7/C9: {type(watcher).__name__}: {w}" for w in watcher.wrong]
        return wrong

    def _check_all(self, records):
        acks, seen = self.load.acks, [*self.tails[0].seen, *self.group.seen]
        wrong = [
            *checker.one_value_per_offset(records, acks, seen),
            *checker.acknowledged_kept(acks, records),
            *checker.all_still_there(seen, records),
            *checker.no_phantom(records, self.load.numbers),
            *checker.no_duplicate(records),
            *checker.producer_order(records),
            *checker.real_time_order(acks),
        ]
        wrong += [f"C13: committed offsets went back: {w}" for w in self.group.watch.wrong]
        if self.load.fatal or self.load.failures:
            wrong.append(f"acks=all could not be sent: {self.load.fatal} "
                         f"{self.load.failures[:3]}")
        given = {(r.partition, r.offset) for r in self.group.seen}
        wrong += [f"C8: {a.partition}/{a.offset} never came to the group" for a in acks
                  if (a.partition, a.offset) not in given]
        return wrong

    def _check_one(self, records):
        lag_s = int(self.cluster.settings["replica.lag.time.max.ms"]) / 1000
        self.lost, late = checker.lost_only_around_faults(
            self.load_one.acks, records,
            lambda s: self.nemesis.lasted(s, lag_s, RECOVERY_S))
        return [
            *checker.one_value_per_offset(records, self.tails[1].seen),
            *checker.all_still_there(self.tails[1].seen, records),
            *checker.no_phantom(records, self.load_one.numbers), *late,
        ]

    def report(self, healed):
        gap, of_one = self.load.longest_gap(self.begin_s, self.load.acks[-1].acked_s)
        print(f"seed {self.seed}: {len(self.nemesis.history)} faults; acks=all "
              f"{len(self.load.acks)} kept; acks=1 {len(self.load_one.acks)}, {self.lost} lost; "
              f"{len(self.group.acknowledged)} partitions committed, {self.group.watch.answers} "
              f"looks; {self.ends.answers} ends; longest gap {gap:.1f} s, of a partition "
              f"{of_one:.1f} s; well again after {healed:.1f} s", flush=True)


def same_on_all_disks(cluster, topics):
    """C17: after a stop of all, the bytes of the logs, whichever segments they are cut into."""
    wrong = []
    for topic in topics:
        for partition in range(PARTITIONS):
            logs = []
            for node in cluster.ids():
                folder = cluster.folder_of(node, topic, partition)
                logs.append(b"".join(p.read_bytes() for p in sorted(folder.glob("*.log"))))
            if len(set(logs)) > 1:
                wrong.append(f"C17: {topic}-{partition} differs: {[len(x) for x in logs]} bytes")
    return wrong


def rounds_of(args):
    """(number, seed, seconds) of each."""
    end = time.monotonic() + args.hours * 3600
    number = 0
    while number == 0 or time.monotonic() < end:
        yield number, args.seed + number, args.seconds or ROUND_S
        number += 1


def run(args, folder, binary):
    cluster = Nodes(folder, Network((1, 2, 3)), binary)
    wrong, begin, faults = [], time.monotonic(), 0
    try:
        cluster.up()
        for number, seed, seconds in rounds_of(args):
            print(f"round {number}: seed {seed}, {seconds:.0f} s of faults", flush=True)
            history = Round(cluster, number, seed)
            healed = history.run(seconds)
            wrong = history.check()
            faults += len(history.nemesis.history)
            history.report(healed)
            if wrong:
                break
        if not wrong:
            for node in cluster.ids():
                cluster.stop(node)
            wrong = [*same_on_all_disks(cluster, (history.all, history.one)), *cluster.faults()]
    except AssertionError as e:
        wrong.append(f"C19: {e}")
        wrong += cluster.faults()
    finally:
        cluster.end()
    print(f"{faults} faults in {(time.monotonic() - begin) / 60:.1f} minutes, "
          f"{len(wrong)} findings")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0, help="go on with new rounds so long")
    parser.add_argument("--seconds", type=float, help=f"of faults in a round ({ROUND_S})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", help="where the folder is made (default: the temporary folder)")
    parser.add_argument("--binary", required=True)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="chaos-", dir=args.dir))
    wrong = run(args, folder, args.binary)
    if not wrong:
        shutil.rmtree(folder)
        return 0
    for line in wrong[:20]:
        print(line)
    print(f"{len(wrong)} findings with seed {args.seed}; logs and data are in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
