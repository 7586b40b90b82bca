"""Finds Kafka's client jar in the local Maven repository, or has Maven fetch it."""
import os
import pathlib
import shutil
import subprocess
import sys

VERSION = "4.4.0"
SLF4J = "1.7.36"
SKIPPED = 77


def local_path(group, artifact, version):
    home = pathlib.Path(os.environ.get("MAVEN_REPOSITORY", pathlib.Path.home() / ".m2/repository"))
    return home / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"


def jar(group, artifact, version):
    path = local_path(group, artifact, version)
    if path.exists():
        return path
    if shutil.which("mvn") is None:
        skip(f"{artifact} {version} is not there, and neither is mvn")
    done = subprocess.run(
        ["mvn", "-q", "-B", "dependency:get", "-Dtransitive=false",
         f"-Dartifact={group}:{artifact}:{version}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if not path.exists():
        skip(f"Maven could not fetch {artifact} {version}: {done.stdout.strip()[-300:]}")
    return path


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(SKIPPED)


def clients():
    return jar("org.apache.kafka", "kafka-clients", VERSION)


def slf4j():
    return jar("org.slf4j", "slf4j-api", SLF4J)
