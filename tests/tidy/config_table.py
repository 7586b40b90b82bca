#!/usr/bin/env python3
"""deploy/config.md has a row for every key of broker/config.def, with its default and its range.

    config_table.py            compare; status 1 and what differs when they do not agree
    config_table.py --write    make the table anew; what is said of each key stays, new keys get a
                               blank to fill in

Also: every key in deploy/config/*.properties is one that the server knows, and `$MILLRACE config`
prints the same keys and defaults.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEFINITIONS = os.path.join(ROOT, "broker", "config.def")
TABLE = os.path.join(ROOT, "deploy", "config.md")
ENTRY = re.compile(r'^(INT|BOOL|TEXT)\((\w+),\s*"([^"]+)",\s*(.*?)\)\s*(?:/\*.*)?$', re.M | re.S)
NUMBERS = {"INT32_MAX": 2**31 - 1, "INT64_MAX": 2**63 - 1}
OTHER_NAMES = {"log.dir", "broker.id", "log.retention.hours", "log.retention.minutes",
               "log.roll.hours", "log.roll.jitter.hours"}
HEAD = "| key | default | allowed | what it does |\n|---|---|---|---|\n"


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def number(text):
    value = eval(text, {"__builtins__": {}}, NUMBERS)
    return {2**63 - 1: "no limit", 2**31 - 1: "2147483647"}.get(value, str(value))


def definitions():
    """(key, default, allowed) in the order of config.def."""
    # Statements may go over several lines; one begins at the start of a line.
    for kind, _, key, rest in ENTRY.findall(read(DEFINITIONS)):
        if kind == "INT":
            default, low, high = (number(part.strip()) for part in rest.split(","))
            default = "" if key == "node.id" else default
            yield key, default, f"{low} to {high}" if high != "no limit" else f"{low} or more"
        elif kind == "BOOL":
            yield key, rest.strip(), "true, false"
        else:
            yield key, "" if rest.strip() == "NULL" else rest.strip().strip('"'), ""


def rows(text):
    """key -> the cells of its row."""
    found = re.findall(r"^\| `([^`]+)` \|(.*)\|$", text, re.M)
    return {key: [cell.strip() for cell in rest.split(" | ")] for key, rest in found}


def code(text):
    return f"`{text}`" if text else ""


def table(known):
    lines = []
    for key, default, allowed in definitions():
        said = known[key][-1] if key in known else ""
        lines.append(f"| `{key}` | {code(default)} | {allowed} | {said} |\n")
    return HEAD + "".join(lines)


def compare():
    text = read(TABLE)
    findings = []
    known, wanted = rows(text), {key: (default, allowed) for key, default, allowed in definitions()}
    if len(wanted) != len(re.findall(r"^(?:INT|BOOL|TEXT)\(", read(DEFINITIONS), re.M)):
        findings.append("broker/config.def has a line that this script cannot read")
    for key in sorted(set(known) ^ set(wanted)):
        where = "broker/config.def" if key in wanted else "deploy/config.md"
        findings.append(f"{key} is in {where} only")
    for key in sorted(set(known) & set(wanted)):
        default, allowed = wanted[key]
        if known[key][:2] != [code(default), allowed]:
            findings.append(f"{key}: the table says {known[key][:2]}, the server "
                            f"{[code(default), allowed]}")
    for path in sorted(glob.glob(os.path.join(ROOT, "deploy", "config", "*.properties"))):
        for key in re.findall(r"^#?([a-z][\w.]*)=", read(path), re.M):
            if key not in wanted and key not in OTHER_NAMES:
                findings.append(f"{os.path.relpath(path, ROOT)}: the server knows no {key}")
    return findings


def compare_binary(binary):
    """What the binary itself says of its keys."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
    out = subprocess.run([binary, "config"], check=True, capture_output=True, text=True,
                         env=environment).stdout
    printed = dict(line.lstrip("#").split("=", 1) for line in out.splitlines())
    said = {key: default for key, default, _ in definitions()}
    for key in sorted(set(printed) | set(said)):
        shown = "no limit" if printed.get(key) == str(2**63 - 1) else printed.get(key)
        if key != "node.id" and shown != said.get(key):
            yield f"{key}: the binary says {shown}, broker/config.def {said.get(key)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make the table anew")
    args = parser.parse_args()
    if args.write:
        text = read(TABLE)
        start = text.index(HEAD.splitlines()[0])
        end = re.compile(r"^(?!\|)", re.M).search(text, start).start()
        with open(TABLE, "w", encoding="utf-8") as f:
            f.write(text[:start] + table(rows(text)) + text[end:])
        return 0
    findings = compare()
    if os.environ.get("MILLRACE"):
        findings += compare_binary(os.environ["MILLRACE"])
    for finding in findings:
        print(f"{finding}  (tests/tidy/config_table.py --write)")
    print(f"{len(list(definitions()))} keys, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
