#!/usr/bin/env python3
"""The house rules as a test: which folder may include which, sizes, banned calls, READMEs, format.

    tests/tidy/tidy.py [--root FOLDER] [--only CHECK ...] [--list]

Looks at the files that git tracks (all files where the folder is no git checkout). Every finding is
one line `file:line: check: what is wrong`; the status is 1 when there is one. A check is a function
from a Tree to findings, registered by @check; selftest.py shows for each that it can fail.
"""
import argparse
import ast
import os
import re
import shutil
import subprocess
import sys

import cases_table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
README_LINES_MAX = 100

# Who may include whom, and the one folder where each library may be seen.
MAY_INCLUDE = {
    "proto": {"proto"},
    "replication": {"replication", "proto"},
    "coord": {"coord", "proto"},
    "broker": {"broker", "coord", "replication", "proto"},
    "tests": {"tests", "broker", "coord", "replication", "proto"},
}
LIBRARY_HOME = {"event2": "broker", "raft.h": "coord", "raft": "coord", "uv.h": "coord",
                "sqlite3.h": "coord", "pcre2.h": "coord"}
GENERATED = {"proto/messages.h"}
SOURCE_FOLDERS = ("proto", "replication", "coord", "broker")

# Modules whose time, bytes and threads are given to them, so that the simulator owns them.
PURE = re.compile(r"(replication/(partition|isr|fetcher|waiters)|"
                  r"coord/(controller|placement|slots|elect|group\w*|offsets|txn\w*))\.c$")

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


class Tree:
    """The files of one tree, read once."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self.tracked() or self.walked())
        self.texts = {}

    def tracked(self):
        if not os.path.exists(os.path.join(self.root, ".git")):
            return []
        out = subprocess.run(["git", "-C", self.root, "ls-files", "-z"], capture_output=True,
                             check=True).stdout.decode()
        return [f for f in out.split("\0") if f and os.path.isfile(os.path.join(self.root, f))]

    def walked(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if f not in (".git", "__pycache__")]
            for name in files:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def text(self, path):
        if path not in self.texts:
            with open(os.path.join(self.root, path), "rb") as f:
                self.texts[path] = f.read().decode("utf-8", errors="replace")
        return self.texts[path]

    def lines(self, path):
        return list(enumerate(self.text(path).splitlines(), 1))

    def code(self, path):
        """C lines with comments and the insides of literals blanked, numbers kept."""
        return list(enumerate(blank_c(self.text(path)).splitlines(), 1))

    def c_files(self, *folders):
        return [f for f in self.files if f.endswith((".c", ".h"))
                and (not folders or f.split("/")[0] in folders)]

    def scripts(self, interpreter, suffix):
        """Files of a language, by their name's end or their first line."""
        first = re.compile(r"#!.*\b" + interpreter)
        return [f for f in self.files if f.endswith(suffix)
                or ("." not in os.path.basename(f) and first.match(self.text(f)[:80]))]

    def python_files(self):
        return self.scripts("python3?", ".py")

    def shell_files(self):
        return self.scripts("(ba)?sh", ".sh")

    def text_files(self):
        return [f for f in self.files if "\0" not in self.text(f)[:8000]]


LITERAL_OR_COMMENT = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.DOTALL)


def blank_c(text):
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    # The name in an #include is no literal.
    kept = re.sub(r'(#\s*include\s+)"([^"\n]*)"', r"\1<\2>", text)
    return LITERAL_OR_COMMENT.sub(blank, kept)


# ---- what depends on what ----------------------------------------------------------------------


@check
def includes(tree):
    """Includes are root-relative, of an existing file, and go down only."""
    pattern = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')
    for path in tree.c_files():
        top = path.split("/")[0]
        allowed = MAY_INCLUDE.get(top)
        for number, line in tree.lines(path):
            match = pattern.match(line)
            if not match:
                continue
            quoted, name = match.group(1) == '"', match.group(2)
            first = name.split("/")[0]
            if not quoted:
                home = LIBRARY_HOME.get(first)
                if home and top in SOURCE_FOLDERS and top != home:
                    yield path, number, f"<{name}> belongs to {home}/ alone"
                continue
            if top == "tests" and os.path.exists(
                    os.path.join(tree.root, os.path.dirname(path), name)):
                continue
            if first not in MAY_INCLUDE:
                if top != "tests":
                    yield path, number, f'"{name}" is not root-relative'
            elif allowed is not None and first not in allowed:
                yield path, number, f"{top}/ may not include {name}"
            elif name.endswith(".h") and name not in GENERATED and name not in tree.files:
                if not os.path.exists(os.path.join(tree.root, name)):
                    yield path, number, f'"{name}" is no file of this tree'
            if top in SOURCE_FOLDERS and name.endswith("_internal.h") and first != top:
                yield path, number, f'"{name}" is for {first}/ alone'


BANNED = {
    r"strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strncpy|strncat": "snprintf, or struct slice",
    r"strtok|atoi|atol|atoll|atof|scanf|fscanf|vsscanf": "strtoll with every error checked",
    r"rand|srand|random|drand48": "proto/base/rng.h",
    r"system|popen|vfork|tmpnam|tempnam|mktemp": "nothing: no shells, no guessable names",
    r"gmtime|localtime|ctime|asctime|strerror_r|gethostbyname|inet_ntoa": "the re-entrant one",
    r"alloca|setjmp|longjmp|sigsetjmp|siglongjmp": "nothing",
    r"assert": "CHECK, which stays in release builds",
    r"bufferevent_\w+|evbuffer_read": "recv into a buffer of the frame's size (4 KiB a call there)",
}
BANNED_OUTSIDE = [ # calls, the files where they may stand, what to use elsewhere
    (r"malloc|calloc|realloc|reallocarray|strdup|strndup", r"proto/base/", "mem_alloc and friends"),
    (r"pthread_create|pthread_mutex_\w+", r"proto/base/", "proto/base/thread.h"),
    (r"gettimeofday|time|sleep", r"proto/base/", "proto/base/clock.h"),
    (r"fsync|fdatasync|sync_file_range|ftruncate|pwritev?2?|preadv?2?",
     r"replication/fs\.c$|coord/quorum_marker\.c$|proto/", "the table in replication/fs.h"),
]
PURE_BANNED = (r"clock_\w+|pthread_\w+|open|openat|fopen|read|write|pread|pwrite|recv|send|socket|"
               r"usleep|nanosleep|getenv|fs_real")


def call_pattern(names):
    return re.compile(r"(?<![\w.>])(" + names + r")\s*\(")


@check
def banned_calls(tree):
    """Calls that style forbids everywhere, outside their one home, or in pure modules."""
    rules = [(call_pattern(names), "", instead) for names, instead in BANNED.items()]
    rules += [(call_pattern(names), home, instead) for names, home, instead in BANNED_OUTSIDE]
    for path in tree.c_files(*SOURCE_FOLDERS):
        pure = call_pattern(PURE_BANNED) if PURE.search(path) else None
        for number, line in tree.code(path):
            for pattern, home, instead in rules:
                match = pattern.search(line)
                if match and not (home and re.match(home, path)):
                    yield path, number, f"{match.group(1)}() is banned here; use {instead}"
            match = pure and pure.search(line)
            if match:
                yield path, number, f"{match.group(1)}() in a pure module"


@check
def typedefs(tree):
    """No typedef for structs or pointers; function types may have one."""
    pattern = re.compile(r"\s*typedef\s+(struct|union|enum)\b[^(]*;|\s*typedef\b[^(]*\*[^(]*;|"
                         r"\s*typedef\s+(struct|union|enum)\b[^(;]*\{")
    for path in tree.c_files(*SOURCE_FOLDERS):
        for number, line in tree.code(path):
            if pattern.match(line):
                yield path, number, "typedef of a struct or pointer; write it out"


@check
def header_guards(tree):
    """Headers begin with a comment and are included once."""
    for path in tree.c_files(*SOURCE_FOLDERS):
        if path.endswith(".h") and "#pragma once" not in tree.text(path):
            yield path, 1, "no #pragma once"
        if not tree.text(path).startswith("/*"):
            yield path, 1, "does not begin with a comment that says what it is"


# ---- sizes -------------------------------------------------------------------------------------


@check
def file_sizes(tree):
    """No source file over 1000 lines, no folder's README over 100."""
    for path in tree.text_files():
        count = len(tree.text(path).splitlines())
        if path.endswith("README.md"):
            if count > README_LINES_MAX:
                yield path, count, f"{count} lines, a README has at most {README_LINES_MAX}"
        elif count > FILE_LINES_MAX and not path.endswith((".tsv", ".json", ".txt", ".md")):
            yield path, count, f"{count} lines, at most {FILE_LINES_MAX}"


def c_functions(tree, path):
    """(name, first line, lines) of every function body: Linux braces, so both in column 0."""
    lines = tree.code(path)
    start, name = None, None
    for number, line in lines:
        if start is None:
            match = re.match(r"[A-Za-z_].*?(\w+)\s*\(", line)
            if match:
                name = match.group(1)
            if line == "{":
                start = number
        elif line.startswith("}"):
            yield name or "?", start, number - start + 1
            start, name = None, None


@check
def function_sizes(tree):
    """No function over 70 lines, in C, Python or shell."""
    found = [(path, *f) for path in tree.c_files() for f in c_functions(tree, path)]
    for path in tree.python_files():
        for node in ast.walk(ast.parse(tree.text(path))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.append((path, node.name, node.lineno, node.end_lineno - node.lineno + 1))
    for path in tree.shell_files():
        start, name = None, None
        for number, line in tree.lines(path):
            match = re.match(r"(\w+)\(\)\s*\{", line)
            if match:
                start, name = number, match.group(1)
            elif line == "}" and start:
                found.append((path, name, start, number - start + 1))
                start = None
    for path, name, number, count in found:
        if count > FUNCTION_LINES_MAX:
            yield path, number, f"{name} has {count} lines, at most {FUNCTION_LINES_MAX}"


@check
def columns(tree):
    """No line over 100 columns, no tab in C or Python, no space at a line's end."""
    names = (".c", ".h", ".def", ".py", ".md", ".msg", ".java", ".cmake", "CMakeLists.txt", ".yml",
             ".properties", ".service")
    chosen = {f for f in tree.files if f.endswith(names)}
    for path in sorted(chosen | set(tree.shell_files()) | set(tree.python_files())):
        table = path.endswith(".md")
        for number, line in tree.lines(path):
            if len(line) > COLUMNS_MAX and not (table and line.startswith("|")):
                yield path, number, f"{len(line)} columns, at most {COLUMNS_MAX}"
            if line != line.rstrip():
                yield path, number, "space at the end"
            if "\t" in line and path.endswith((".c", ".h", ".py", ".def")):
                yield path, number, "a tab"


# ---- texts -------------------------------------------------------------------------------------


@check
def readmes(tree):
    """Every folder down to the second level has a README; deploy's tells of all below it."""
    folders = {os.path.dirname(f) for f in tree.files}
    parents = {"/".join(f.split("/")[:depth]) for f in folders for depth in (1, 2)}
    for folder in sorted(folders | parents):
        if folder.startswith(".") or folder.count("/") > 1:
            continue
        if os.path.dirname(folder) != "deploy" and \
                not os.path.exists(os.path.join(tree.root, folder, "README.md")):
            yield folder or ".", 1, "this folder has no README.md"


MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.$}/])/(work|root|tmp/mr|home/\w+)/[\w.]")
URL = re.compile(r"\b(?:https?|ftp)://(\[?[\w.:-]+)")
NAMESPACES = {"maven.apache.org", "www.w3.org"}  # names inside XML, nothing is fetched from them
HOSTS = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:debian|pypi|pythonhosted|npmjs|maven|golang|crates|"
                   r"docker|ubuntu|quay|ghcr)\.(?:org|com|io|net)\b")


@check
def unfinished(tree):
    """No marks of unfinished work."""
    for path in tree.text_files():
        for number, line in tree.lines(path):
            if MARKS.search(line):
                yield path, number, f'mark of unfinished work: "{MARKS.search(line).group()}"'


@check
def machine_paths(tree):
    """No paths of one machine, no addresses of registries or mirrors."""
    for path in tree.text_files():
        for number, line in tree.lines(path):
            if MACHINE_PATHS.search(line):
                yield path, number, f'path of one machine: "{MACHINE_PATHS.search(line).group()}"'
            hosts = [m.group(1) for m in URL.finditer(line)] + HOSTS.findall(line)
            for host in hosts:
                name = host.split(":")[0]
                if name not in NAMESPACES and not is_local(name):
                    yield path, number, f'address of a host: "{host}"'


def is_local(name):
    return name.startswith(("127.", "[")) or "." not in name or name == "0.0.0.0" or \
        re.search(r"(^|\.)(example|test|invalid|example\.(com|org|net))$", name) is not None


@check
def cases(tree):
    """tests/cases.md names tests that exist, and all that bear a number."""
    for what in cases_table.findings(tree):
        yield cases_table.PAGE, 0, what


# ---- tools -------------------------------------------------------------------------------------


def run_tool(tree, tool, arguments, files, pattern):
    """Findings of a program; a program that is not there is a finding, too."""
    if not files:
        return
    if shutil.which(tool) is None:
        yield tool, 0, "is not installed; deploy/install --tests does it"
        return
    done = subprocess.run([tool, *arguments, *files], cwd=tree.root, capture_output=True, text=True)
    found = False
    for line in (done.stdout + done.stderr).splitlines():
        match = re.match(pattern, line)
        if match:
            found = True
            yield match.group(1), int(match.group(2)), match.group(3)
    if done.returncode != 0 and not found:
        yield tool, 0, (done.stdout + done.stderr).strip()[:500]


def on_debian_12():
    with open("/etc/os-release", encoding="utf-8") as f:
        return "VERSION_CODENAME=bookworm\n" in f.readlines()


@check
def c_format(tree):
    """Clean under the clang-format of Debian 12; others differ in details."""
    if shutil.which("clang-format-14") is None and not on_debian_12():
        print("c_format is left out: no clang-format-14 on this system")
        return
    yield from run_tool(tree, "clang-format-14", ["--dry-run", "-Werror", "--style=file"],
                        tree.c_files(), r"(.+?):(\d+):\d+: error: (.*)")


@check
def shell(tree):
    """Shell scripts pass shellcheck."""
    yield from run_tool(tree, "shellcheck", ["--format=gcc", "--severity=style"],
                        tree.shell_files(), r"(.+?):(\d+):\d+: (.*)")


@check
def python(tree):
    """Python passes pyflakes."""
    yield from run_tool(tree, "pyflakes3", [], tree.python_files(), r"(.+?):(\d+):\d+:? (.*)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=ROOT)
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--list", action="store_true", help="print the checks and end")
    args = parser.parse_args()
    if args.list:
        for name, function in CHECKS.items():
            print(f"{name:16} {function.__doc__}")
        return 0
    tree = Tree(args.root)
    count = 0
    for name in args.only:
        for path, number, what in CHECKS[name](tree):
            print(f"{path}:{number}: {name}: {what}")
            count += 1
    print(f"{len(tree.files)} files, {len(args.only)} checks, {count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
