#!/usr/bin/env python3
"""Mend what tidy.py finds and a program can mend: long comment lines, format, the config table.

    tests/tidy/fix.py [FILE ...]     default: every file with such a finding

A comment line (or one of a paragraph in Markdown) that is too long gives its last words to the next
line of the paragraph. Pictures, tables and code are left alone; what remains is for a person.
"""
import os
import re
import subprocess
import sys

import tidy

C_LIKE = (".c", ".h", ".def", ".java")


def split(line, path):
    """(what begins the line, what begins a line that continues it, text), None: leave it alone."""
    if path.endswith(C_LIKE):
        match = re.match(r"(\s*)(/\*\*? |\* |// )(\s*)(\S.*)$", line)
        if not match:
            return None
        indent, mark, more, text = match.groups()
        # A picture or a table has runs of spaces inside.
        if re.search(r"\S {3,}\S", text):
            return None
        follow = indent + (" * " if mark.startswith("/*") else mark) + more
        return indent + mark + more, follow, text
    if path.endswith(".md"):
        match = re.match(r"((?:[-*] |\d+\. )?)(\S.*)$", line) or re.match(r"( {1,3})(\S.*)$", line)
        if not match or line.startswith(("#", "|")):
            return None
        return match.group(1), " " * len(match.group(1)), match.group(2)
    match = re.match(r"(\s*# )(\S.*)$", line)
    return (match.group(1), match.group(1), match.group(2)) if match else None


def continues(line, follow):
    """Whether the line goes on in the paragraph that has `follow` before each line."""
    text = line[len(follow):]
    return (line.startswith(follow) and text[:1].strip() != "" and
            not re.match(r"[-*] |\d+\. ", text) and not re.search(r"\S {3,}\S", text))


def rewrap(lines, path):
    at = 0
    while at < len(lines):
        line = lines[at]
        parts = split(line, path) if len(line) > tidy.COLUMNS_MAX else None
        at += 1
        if parts is None:
            continue
        begin, follow, _ = parts
        cut = line.rfind(" ", len(begin), tidy.COLUMNS_MAX + 1)
        head, rest = line[:cut], line[cut + 1:]
        if rest == "*/": # not alone
            cut = head.rfind(" ")
            head, rest = head[:cut], head[cut + 1:] + " */"
        if cut < len(begin) + 20:
            continue
        lines[at - 1] = head.rstrip()
        closed = path.endswith(C_LIKE) and rest.endswith("*/")
        if not closed and at < len(lines) and continues(lines[at], follow):
            lines[at] = follow + rest + " " + lines[at][len(follow):]
        else:
            lines.insert(at, follow + rest)


def main():
    tree = tidy.Tree(tidy.ROOT)
    checks = (tidy.columns, tidy.c_format)
    paths = sys.argv[1:] or sorted({found[0] for check in checks for found in check(tree)})
    os.chdir(tidy.ROOT)
    for path in paths:
        with open(path, encoding="utf-8") as f:
            before = f.read()
        lines = [line.rstrip() for line in before.split("\n")]
        rewrap(lines, path)
        if "\n".join(lines) != before:
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(lines))
        if path.endswith((".c", ".h")):
            subprocess.run(["clang-format-14", "-i", path], check=True)
    subprocess.run([sys.executable, "tests/tidy/config_table.py", "--write"], check=True)
    subprocess.run([sys.executable, "-B", "tests/tidy/cases_table.py"], check=False)
    return subprocess.run([sys.executable, "tests/tidy/tidy.py", "--only", "columns",
                           "c_format"]).returncode


if __name__ == "__main__":
    sys.exit(main())
