#!/usr/bin/env python3
"""The same log compacted by us and by Apache Kafka's cleaner.   compaction.py LOGTOOL

Keys, tombstones, idempotent producers, committed and aborted transactions, all codecs. Each pass
gets more data and a later time, so that tombstones and markers get their horizon and go; one series
has a map that holds few keys, so that a pass takes many rounds. After each pass both must have kept
the same records in the same batches, the same producers and the same aborted transactions. Ours may
have more batches without records: the last one of a segment stays, so that segments meet.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import kafka_log

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
PASSES = 3
# Seed, kind, bytes of the map. With a full map and transactions Kafka's rounds are not the best
# ones: the batch behind an aborted transaction that ended before the dirty part counts as aborted
# there.
SERIES = ((1, "txns", 1 << 20), (2, "txns", 1 << 20), (3, "plain", 24 * 30))


def logtool(*args):
    return subprocess.run([sys.argv[1], *map(str, args)], stdout=subprocess.PIPE, text=True,
                          timeout=300, check=True).stdout


def comparable(text):
    """Without CRCs (compressors differ) and without batches that have no record."""
    lines = []
    for line in text.splitlines():
        if line.startswith("batch "):
            words = line.split()
            if words[-1] == "0":
                continue
            line = " ".join(words[:3] + words[4:])
        if not re.match(r"segment |newest |time |stable ", line):
            lines.append(line)
    return lines


def compact(work, seed, kind, map_bytes):
    """All passes over one folder: [(title, copy of what went in, Kafka's arguments, ours)]."""
    folder, passes = work / f"ours-{seed}", []
    folder.mkdir()
    for number in range(1, PASSES + 1):
        logtool("add", folder, seed * 100 + number, kind)
        theirs = shutil.copytree(folder, work / f"theirs-{seed}-{number}")
        args = (START_MS + number * DAY_MS, DAY_MS // 2, map_bytes)
        before = logtool("print", folder).count("\nrecord ")
        rounds = logtool("compact", folder, *args)
        passes.append((f"seed {seed}, pass {number}", theirs, args, before, rounds,
                       logtool("print", folder)))
    return passes


def compare(title, before, ours, kafkas):
    for i in range(max(len(ours), len(kafkas))):
        pair = [x[i] if i < len(x) else "(nothing)" for x in (ours, kafkas)]
        if pair[0] != pair[1]:
            sys.exit(f"FAILED {title}: line {i + 1}: ours \"{pair[0]}\", Kafka's \"{pair[1]}\"")
    kept = sum(line.startswith("record ") for line in ours)
    rounds = sum(line.startswith("cleaned ") for line in ours)
    print(f"{title}: {rounds} rounds, {before} records before, {kept} after")
    assert 0 < kept < before


def main():
    kafka_log.need_java()
    with tempfile.TemporaryDirectory(prefix="millrace-compact-") as work:
        passes = [one for series in SERIES for one in compact(pathlib.Path(work), *series)]
        commands = []
        for _, theirs, args, _, _, _ in passes:
            commands += [["compact", theirs, "ours-0", *args], ["print", theirs, "ours-0"]]
        answers = kafka_log.run(*commands)
        for i, (title, _, _, before, rounds, after) in enumerate(passes):
            compare(title, before, comparable(rounds + after),
                    comparable(answers[2 * i] + answers[2 * i + 1]))
    print("same")


if __name__ == "__main__":
    main()
