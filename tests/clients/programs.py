"""Client programs of other languages: each runs all its scenarios and prints a line about each."""
import os
import re
import shutil
import subprocess

import pytest

from jvm import HERE, build_dir

# What every program does, by the same names where its client can do it.
RECORDS = [f"records_come_back_exactly_as_sent_{codec}"
           for codec in ("none", "gzip", "snappy", "lz4", "zstd")]
ACKS = [f"acks_{acks}_delivers" for acks in ("0", "1", "all")]


def need(*tools):
    """Skip the module's tests on a machine without these."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"this machine has no {tool}", allow_module_level=True)


def need_go():
    need("go")
    wanted = re.search(r"(?m)^go ([\d.]+)", (HERE / "go" / "go.mod").read_text())[1]
    found = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True,
                           env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.strip()
    numbers = re.findall(r"\d+", found)
    if [int(n) for n in numbers] < [int(n) for n in wanted.split(".")]:
        pytest.skip(f"this machine has {found}, go {wanted} is needed", allow_module_level=True)


def prepare(name):
    """Build the program of the folder `name`; where its parts are."""
    subprocess.run([str(HERE / "prepare"), str(build_dir()), name], check=True)
    return build_dir() / f"clients-{name.replace('/', '-')}"


def lines_of(command, env=None, timeout_s=240):
    """What a program prints, also when it comes to no end."""
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env,
                              timeout=timeout_s, check=False)
        return (done.stdout + done.stderr).splitlines()
    except subprocess.TimeoutExpired as err:
        return (err.stdout or b"").decode().splitlines() + ["timed out"]


def run_go(name, bootstrap):
    return lines_of([prepare(f"go/{name}") / "program", bootstrap])


def expect_pass(lines, name):
    found = [line for line in lines if line.split(":")[0] in (f"PASS {name}", f"FAIL {name}")]
    assert found, "no result:\n" + "\n".join(lines[-20:])
    assert found[0].startswith("PASS"), found[0]
