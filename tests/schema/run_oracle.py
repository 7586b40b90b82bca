#!/usr/bin/env python3
"""Have Kafka's own codec read and write what ours wrote.   run_oracle.py VECTORS-PROGRAM"""
import pathlib
import re
import shutil
import subprocess
import sys

import kafka_jar

HERE = pathlib.Path(__file__).resolve().parent


def main():
    if shutil.which("java") is None:
        kafka_jar.skip("there is no java")
    class_path = f"{kafka_jar.clients()}:{kafka_jar.slf4j()}"
    vectors = subprocess.run([sys.argv[1]], check=True, stdout=subprocess.PIPE, text=True).stdout
    errors = (HERE.parents[1] / "proto/errors.h").read_text()
    for name, code in re.findall(r"X\((\w+), (-?\d+), ", errors):
        vectors += f"error {code} {name}\n"
    done = subprocess.run(["java", "-cp", class_path, str(HERE / "Oracle.java")], input=vectors,
                          text=True)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
