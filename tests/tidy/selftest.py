#!/usr/bin/env python3
"""Shows that every check of tidy.py can fail: a tree without findings, then one fault at a time.

Each case names a check, the files that it adds to the clean tree, and how many findings that check
must have. Every check must occur in a case.
"""
import os
import sys
import tempfile

import tidy

CLEAN = {
    "README.md": "# A tree\n",
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nColumnLimit: 100\n"
                     "BreakBeforeBraces: Linux\n"
                     "AllowShortFunctionsOnASingleLine: None\n",
    "proto/README.md": "# proto\n",
    "proto/wire.h": "/* Bytes. */\n#pragma once\n\nint wire_read(const char *at);\n",
    "proto/base/README.md": "# base\n",
    "proto/base/check.h": "/* Checks. */\n#pragma once\n",
    "coord/README.md": "# coord\n",
    "coord/quorum.h": "/* Quorum. */\n#pragma once\n",
    "coord/quorum_internal.h": "/* Quorum, inside. */\n#pragma once\n#include <raft.h>\n",
    "replication/README.md": "# replication\n",
    "replication/log.h": "/* Log. */\n#pragma once\n\n#include \"proto/wire.h\"\n",
    "replication/isr.c": "/* Pure. */\n#include \"replication/log.h\"\n",
    "replication/fs.c": "/* Files. */\nstatic int sync_it(int fd)\n{\n    return fsync(fd);\n}\n",
    "broker/README.md": "# broker\n",
    "broker/node.c": "/* A node; it never calls malloc() or strcpy(). */\n"
                     "#include \"coord/quorum.h\"\n#include \"replication/log.h\"\n\n"
                     "static const char *const TEXT = \"system(1), // no comment\";\n",
    "tests/README.md": "# tests\n",
    "tests/run": "#!/usr/bin/env bash\nset -e\necho \"$1\"\n",
    "tests/lib/README.md": "# lib\n",
    "tests/lib/tool.py": "import sys\n\nprint(sys.argv, \"http://127.0.0.1:9092/\")\n",
}


def body(lines):
    return "/* x */\nint f(void)\n{\n" + "    f();\n" * lines + "}\n"


def c(line):
    return f"/* x */\n{line}\n"


def page(**rows):
    """tests/cases.md; T and B are complete, a row's cells are given."""
    numbers = [f"T{n:02}" for n in range(1, 23)] + [f"B{n:02}" for n in range(1, 24)]
    cells = {**{n: " |  | not here: yet" for n in numbers}, "C01": " | `a.py::f` | ", **rows}
    return "".join(f"| {n} | x{c} |\n" for n, c in cells.items())


CASE = {"tests/cases.md": page(), "tests/a.py": "def f():\n    pass\n"}
HOST = "deb" + ".debian.org"
CASES = [ # check, findings, files
    ("includes", 1, {"proto/a.c": c('#include "broker/node.h"')}),
    ("includes", 1, {"coord/a.c": c('#include "replication/log.h"')}),
    ("includes", 1, {"replication/a.c": c('#include "coord/quorum.h"')}),
    ("includes", 1, {"coord/a.c": c('#include "broker/node.h"')}),
    ("includes", 1, {"proto/a.c": c('#include "wire.h"')}),
    ("includes", 1, {"proto/a.c": c('#include "proto/gone.h"')}),
    ("includes", 1, {"broker/a.c": c('#include "coord/quorum_internal.h"')}),
    ("includes", 1, {"broker/a.c": c("#include <raft/uv.h>")}),
    ("includes", 1, {"coord/a.c": c("#include <event2/event.h>")}),
    ("includes", 1, {"replication/a.c": c("#include <sqlite3.h>")}),
    ("banned_calls", 1, {"proto/a.c": c("void f(void) { strcpy(a, b); }")}),
    ("banned_calls", 1, {"proto/a.c": c("void f(void) { snprintf(a, 1, b); sprintf (a, b); }")}),
    ("banned_calls", 1, {"coord/a.c": c("void *f(void) { return malloc(1); }")}),
    ("banned_calls", 1, {"broker/a.c": c("void f(void) { bufferevent_write(b, x, 1); }")}),
    ("banned_calls", 1, {"broker/a.c": c("void f(void) { assert(x); }")}),
    ("banned_calls", 1, {"broker/a.c": c("long f(void) { return time(NULL); }")}),
    ("banned_calls", 1, {"coord/a.c": c("void f(void) { pthread_create(a, b, c, d); }")}),
    ("banned_calls", 1, {"replication/a.c": c("void f(void) { fsync(1); }")}),
    ("banned_calls", 1, {"replication/partition.c": c("void f(void) { clock_now_ms(); }")}),
    ("banned_calls", 1, {"coord/group_classic.c": c("void f(void) { pthread_self(); }")}),
    ("typedefs", 1, {"proto/a.h": c("#pragma once\ntypedef struct wire wire_t;")}),
    ("typedefs", 1, {"proto/a.h": c("#pragma once\ntypedef struct wire {")}),
    ("typedefs", 0, {"proto/a.h": c("#pragma once\ntypedef void done(void *arg, int err);")}),
    ("header_guards", 1, {"proto/a.h": "/* x */\nint a;\n"}),
    ("header_guards", 1, {"proto/a.h": "#pragma once\nint a;\n"}),
    ("file_sizes", 0, {"proto/a.c": "\n" * 1000}),
    ("file_sizes", 1, {"proto/a.c": "\n" * 1001}),
    ("file_sizes", 1, {"proto/README.md": "\n" * 101}),
    ("function_sizes", 0, {"proto/a.c": body(68)}),
    ("function_sizes", 1, {"proto/a.c": body(69)}),
    ("function_sizes", 1, {"tests/lib/tool.py": "def f():\n" + "    f()\n" * 70}),
    ("function_sizes", 1, {"tests/run": "#!/bin/sh\nf() {\n" + "  f\n" * 69 + "}\n"}),
    ("columns", 0, {"proto/a.c": "/* " + "x" * 94 + " */\n"}),
    ("columns", 1, {"proto/a.c": "/* " + "x" * 95 + " */\n"}),
    ("columns", 1, {"tests/run": "#!/bin/sh\n# " + "x" * 99 + "\n"}),
    ("columns", 1, {"proto/README.md": "x" * 101 + "\n| " + "x" * 101 + " |\n"}),
    ("columns", 1, {"proto/a.c": "int a; \n"}),
    ("columns", 1, {"proto/a.c": "\tint a;\n"}),
    ("readmes", 1, {"proto/README.md": None}),
    ("readmes", 1, {"tests/lib/README.md": None}),
    ("readmes", 1, {"tests/more/deep/down/a.py": ""}),
    ("unfinished", 1, {"proto/a.c": c("/* TO" "DO: later */")}),
    ("unfinished", 1, {"README.md": "FIX" "ME\n"}),
    ("machine_paths", 1, {"tests/run": "#!/bin/sh\nls /wo" "rk/main\n"}),
    ("machine_paths", 1, {"README.md": "see /ro" "ot/x\n"}),
    ("machine_paths", 1, {"README.md": f"from {HOST}\n"}),
    ("machine_paths", 1, {"README.md": "from https://" "mirror.local.site/x\n"}),
    ("machine_paths", 0, {"README.md": "http://localhost:1/ http://$HOST/ http://a.example.com\n"}),
    ("cases", 0, CASE),
    ("cases", 1, {"tests/a.py": "def test_c01_x():\n    pass\n"}),
    ("cases", 1, {**CASE, "tests/b.py": "def test_c01_x():\n    pass\n"}),
    ("cases", 1, {**CASE, "tests/b.c": "static void c99_x(void **state)\n{\n}\n"}),
    ("cases", 1, {**CASE, "tests/a.py": "def g():\n    pass\n"}),
    ("cases", 1, {**CASE, "tests/cases.md": page(T07=" | `gone.py::f` | ")}),
    ("cases", 1, {**CASE, "tests/cases.md": page(T07=" | `a.py::f[gone]` | ")}),
    ("cases", 0, {**CASE, "tests/cases.md": page(T07=" | `a.py` | ")}),
    ("cases", 1, {**CASE, "tests/cases.md": page(T07=" |  | later")}),
    ("cases", 1, {**CASE, "tests/cases.md": page().replace("B23", "C02")}),
    ("c_format", 1, {"proto/a.c": "int  a;\n"}),
    ("shell", 1, {"tests/run": "#!/usr/bin/env bash\nls $1\n"}),
    ("python", 1, {"tests/lib/tool.py": "import os\n"}),
]


def findings(files, name):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            if text is not None:
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as f:
                    f.write(text)
        return list(tidy.CHECKS[name](tidy.Tree(root)))


def main():
    passed, failed = 0, 0
    cases = [(name, 0, {}) for name in tidy.CHECKS] + CASES
    cases += [(name, 1, {}) for name in tidy.CHECKS if name not in {case[0] for case in CASES}]
    for name, expected, files in cases:
        found = findings({**CLEAN, **files}, name)
        if len(found) == expected:
            passed += 1
        else:
            failed += 1
            print(f"{name} with {sorted(files) or 'the clean tree'}: {expected} expected, {found}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
