"""Print a CTestTestfile for the tests of the sanitizer builds: sanitized.py BUILD_DIR.

The unit tests of each, the simulation under AddressSanitizer (it has one thread), and nodes under
ThreadSanitizer that are killed, stopped and abused.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = {
    "asan": "ASAN_OPTIONS=abort_on_error=0:detect_leaks=1;UBSAN_OPTIONS=print_stacktrace=1;"
            f"LSAN_OPTIONS=suppressions={HERE}/lsan.suppressions:print_suppressions=0",
    "tsan": f"TSAN_OPTIONS=halt_on_error=1:suppressions={HERE}/tsan.suppressions",
}


WANTED = {"asan": ["unit", "sim_seeds"], "tsan": ["unit"]}
TSAN_CLUSTER = ("kill", "shutdown", "abuse")


def tests_of(folder, wanted):
    listing = subprocess.run(
        ["ctest", "--show-only=json-v1"],
        cwd=folder, check=True, capture_output=True, text=True)
    for test in json.loads(listing.stdout)["tests"]:
        labels = next((p["value"] for p in test["properties"] if p["name"] == "LABELS"), [])
        if test["name"] in wanted or set(labels) & set(wanted):
            yield test


def main():
    build = pathlib.Path(sys.argv[1])
    for name, environment in ENVIRONMENT.items():
        for test in tests_of(build / name, WANTED[name]):
            command = " ".join(f'"{word}"' for word in test["command"])
            print(f'add_test({name}_{test["name"]} {command})')
            print(f'set_tests_properties({name}_{test["name"]} PROPERTIES '
                  f'LABELS "{name}" TIMEOUT 300 ENVIRONMENT "{environment}")')
    for name in TSAN_CLUSTER:
        run = HERE.parent / "cluster" / "run"
        environment = ";".join((
            ENVIRONMENT["tsan"], f"MILLRACE={build}/tsan/millrace",
            f"MILLRACE_BUILD_DIR={build}/gcc/clients", "MILLRACE_TEST_SLOWER=3",
            "MILLRACE_KILL_ROUNDS=2"))
        print(f'add_test(tsan_cluster_{name} "{run}" "-q" "test_{name}.py")')
        print(f'set_tests_properties(tsan_cluster_{name} PROPERTIES '
              f'LABELS "tsan" RUN_SERIAL TRUE TIMEOUT 600 ENVIRONMENT "{environment}")')


main()
