"""Print a CTestTestfile for the unit tests of the sanitizer builds: sanitized.py BUILD_DIR."""
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
