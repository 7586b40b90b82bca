#!/usr/bin/env python3
"""tests/cases.md names, for each trap and trouble by its number, the tests that prove it.

    cases_table.py    add the tests that bear a row's number in their names, drop those that are
                      gone; what was named by hand stays

The check itself is tidy.py's `cases`: a row has tests, or says `not here: ` and why. Every test
that is named exists, and every test with a number in its name stands in that number's row.
"""
import os
import re
import sys

PAGE = "tests/cases.md"
NUMBERED = re.compile(r"(?:test_)?((?:[ctb]\d\d_)+)[a-z0-9_]+")
FUNCTION = re.compile(r"^\s*(?:(?:async )?def|static void) (\w+)\(", re.M)
ROW = re.compile(r"^\| ([TBC]\d\d) \|(.*)\|$", re.M)
COMPLETE = {"T": 22, "B": 23}  # all of these; of C the page has those that there are
NOT_HERE = "not here: "


def numbered_tests(tree):
    """number -> the tests with it in their names, as file::name below tests/."""
    out = {}
    for path in tree.files:
        if not path.startswith("tests/") or not path.endswith((".py", ".c")):
            continue
        for name in FUNCTION.findall(tree.text(path)):
            found = NUMBERED.fullmatch(name)
            for number in re.findall(r"[ctb]\d\d", found[1]) if found else ():
                entry = f"{path.removeprefix('tests/')}::{name}"
                out.setdefault(number.upper(), []).append(entry)
    return {number: sorted(tests) for number, tests in out.items()}


def rows(page):
    """number -> (what it is, [tests], remark)"""
    out = {}
    for number, rest in ROW.findall(page):
        what, tests, remark = (cell.strip() for cell in rest.split(" | "))
        out[number] = (what, re.findall(r"`([^`]+)`", tests), remark)
    return out


def exists(tree, test):
    """A function, or one case of it (its word is in the file), or a whole program."""
    path, _, name = test.partition("::")
    path = f"tests/{path}"
    if path not in tree.files:
        return False
    name, _, case = name.partition("[")
    text = tree.text(path)
    return (not name or name in FUNCTION.findall(text)) and case.rstrip("]") in text


def findings(tree):
    """What is wrong, one line each."""
    numbered = numbered_tests(tree)
    if PAGE not in tree.files:
        yield from (f"there is no page for {tests[0]}" for tests in numbered.values())
        return
    found = rows(tree.text(PAGE))
    wanted = {f"{letter}{n:02}" for letter, last in COMPLETE.items() for n in range(1, last + 1)}
    for number in sorted((wanted | set(numbered)) - set(found)):
        yield f"{number} has no row"
    for number, (_, tests, remark) in found.items():
        if not tests and not remark.startswith(NOT_HERE):
            yield f"{number} has no test, and does not say `{NOT_HERE}…`"
        for test in tests:
            if not exists(tree, test):
                yield f"{number}: there is no test {test}"
        for test in sorted(set(numbered.get(number, [])) - set(tests)):
            yield f"{number} does not name {test}; tests/tidy/cases_table.py mends that"


def written(tree):
    numbered = numbered_tests(tree)

    def row(match):
        number = match[1]
        what, tests, remark = rows(match[0])[number]
        by_hand = [t for t in tests if exists(tree, t) and t not in numbered.get(number, [])]
        cell = "<br>".join(f"`{t}`" for t in numbered.get(number, []) + by_hand)
        return f"| {number} | {what} | {cell} | {remark} |"
    return ROW.sub(row, tree.text(PAGE))


def main():
    import tidy  # which imports this module
    page = written(tidy.Tree(tidy.ROOT))
    with open(os.path.join(tidy.ROOT, PAGE), "w", encoding="utf-8") as f:
        f.write(page)
    wrong = list(findings(tidy.Tree(tidy.ROOT)))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
