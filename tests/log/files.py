#!/usr/bin/env python3
"""Our log folders read by Apache Kafka, and its read by us.   files.py LOGTOOL

Both sides print every batch, record, epoch, producer, aborted transaction and timestamp look-up of
a folder in the same lines. Folders that are compared: one that we wrote, dumped by Kafka's own
DumpLogSegments with every check it has; one of a Kafka broker that was killed; the same after our
recovery; one of a Kafka that stopped cleanly.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import kafka_log

# What DumpLogSegments says when something is wrong.
COMPLAINTS = re.compile(
    r"mismatch|non-consecutive|out of order|trailing|invalid|corrupt|exception|not found|error",
    re.IGNORECASE)


def logtool(*args):
    done = subprocess.run([sys.argv[1], *map(str, args)], stdout=subprocess.PIPE, text=True,
                          timeout=300, check=True)
    return done.stdout


def partition_lines(folder, name):
    return logtool("print", folder, name.rsplit("-", 1)[0])


def copy(source, target):
    shutil.copytree(source, target)
    return target


def without_empty_epochs(text):
    """Kafka forgets an epoch without records when it loads a log; we keep it on purpose."""
    end = text.splitlines()[0].split()[3]
    return re.sub(rf"^epoch \d+ {end}\n", "", text, flags=re.MULTILINE)


def same(title, ours, theirs):
    ours, theirs = without_empty_epochs(ours), without_empty_epochs(theirs)
    print(f"{title}: {len(ours.splitlines())} lines")
    if ours == theirs:
        return
    a, b = ours.splitlines(), theirs.splitlines()
    for i in range(max(len(a), len(b))):
        left, right = (x[i] if i < len(x) else "(nothing)" for x in (a, b))
        if left != right:
            sys.exit(f"FAILED {title}: line {i + 1}: ours \"{left}\", Kafka's \"{right}\"")


def dump_commands(folder):
    """DumpLogSegments on every file of a partition's folder, with the checks of its kind."""
    def files(suffix):
        return ",".join(str(path) for path in sorted(folder.glob(f"*{suffix}")))
    return [["dump", "--deep-iteration", "--print-data-log", "--files", files(".log")],
            ["dump", "--files", files(".index")],
            ["dump", "--index-sanity-check", "--files", files(".index")],
            ["dump", "--files", files(".timeindex")],
            ["dump", "--index-sanity-check", "--files", files(".timeindex")],
            ["dump", "--files", files(".txnindex")],
            ["dump", "--files", files(".snapshot")]]


def check_dumps(answers):
    # It compares the first offset of every segment with -1, also in Kafka's own logs.
    accident = r"Non-consecutive offsets in .*\n( +-1 is followed by \d+\n)+"
    answers = [re.sub(accident, "", answer) for answer in answers]
    log, _, index_check, _, time_check, txns, snapshots = answers
    for answer in answers:
        for line in answer.splitlines():
            if COMPLAINTS.search(line):
                sys.exit(f"FAILED: Kafka's dump says: {line}")
    assert log.count("baseOffset: ") >= 400, log[:2000]
    assert index_check.count("passed sanity check") >= 4, index_check
    assert time_check.count("passed sanity check") >= 4, time_check
    assert txns.count("producerId: ") >= 10, txns
    assert snapshots.count("producerId: ") >= 10, snapshots


def ours_read_by_kafka(work):
    folder = work / "ours"
    folder.mkdir()
    logtool("write", folder, 1)
    expected = partition_lines(copy(folder, work / "ours-copy"), "ours-0")
    partition = copy(folder, work / "ours-dump") / "ours-0"
    theirs, facts, *dumps = kafka_log.run(["print", folder, "ours-0"], ["facts", folder],
                                          *dump_commands(partition))
    same("ours, read by both", expected, theirs)
    end = expected.split()[3]
    for line in (f"recovery-point-offset-checkpoint {{ours-0={end}}}",
                 f"replication-offset-checkpoint {{ours-0={end}}}",
                 "log-start-offset-checkpoint {ours-0=3}", "cleaner-offset-checkpoint {}",
                 "clean true", "meta 1 cluster-of-logtool true"):
        assert line in facts.splitlines(), facts
    check_dumps(dumps)


def kafkas_read_by_us(work):
    cluster = kafka_log.cluster(work / "kafka")
    try:
        bootstrap = cluster.up(1)
        kafka_log.run(["fill", bootstrap, "theirs"])
        data = work / "kafka" / "node-1" / "data"
        cluster.kill(1)
        killed = copy(data, work / "killed")
        recovered = copy(data, work / "recovered")
        cluster.start(1)
        cluster.stop(1)
        stopped = copy(data, work / "stopped")
    finally:
        cluster.down()
    ours_killed = partition_lines(recovered, "theirs-0")
    assert len(ours_killed.splitlines()) > 10000
    after = copy(recovered, work / "after")
    ours_stopped = partition_lines(copy(stopped, work / "stopped-ours"), "theirs-0")
    killed, after, stopped = kafka_log.run(["print", killed, "theirs-0"],
                                           ["print", after, "theirs-0"],
                                           ["print", stopped, "theirs-0"])
    same("Kafka's, killed", ours_killed, killed)
    same("Kafka's, killed, recovered by us", ours_killed, after)
    same("Kafka's, stopped", ours_stopped, stopped)


def main():
    kafka_log.need_java()
    with tempfile.TemporaryDirectory(prefix="millrace-log-") as work:
        ours_read_by_kafka(pathlib.Path(work))
        kafkas_read_by_us(pathlib.Path(work))
    print("same")


if __name__ == "__main__":
    main()
