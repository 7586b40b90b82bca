"""Print a CTestTestfile that runs the unit tests of the sanitizer builds: sanitized.py BUILD_DIR."""
import json
import pathlib
import subprocess
import sys

ENVIRONMENT = {
    "asan": "ASAN_OPTIONS=abort_on_error=0:detect_leaks=1;UBSAN_OPTIONS=print_stacktrace=1",
    "tsan": "TSAN_OPTIONS=halt_on_error=1",
}


def unit_tests(folder):
    listing = subprocess.run(
        ["ctest", "--show-only=json-v1", "-L", "^unit$"],
        cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(listing.stdout)["tests"]


def main():
    build = pathlib.Path(sys.argv[1])
    for name, environment in ENVIRONMENT.items():
        for test in unit_tests(build / name):
            command = " ".join(f'"{word}"' for word in test["command"])
            print(f'add_test({name}_{test["name"]} {command})')
            print(f'set_tests_properties({name}_{test["name"]} PROPERTIES '
                  f'LABELS "{name}" TIMEOUT 300 ENVIRONMENT "{environment}")')


main()
