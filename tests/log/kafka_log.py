"""Runs KafkaLog.java: several commands in one JVM."""
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib" / "kafka"))

import kafka_cluster  # noqa: E402

SKIPPED = 77


def need_java():
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            print(f"SKIPPED: there is no {program}")
            sys.exit(SKIPPED)


def cluster(folder):
    return kafka_cluster.KafkaCluster(folder)


def run(*commands):
    """What each command printed."""
    words = []
    for command in commands:
        words += (["+"] if words else []) + [str(word) for word in command]
    done = subprocess.run(
        ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", kafka_cluster.class_path(),
         f"-Dlog4j2.configurationFile={HERE.parent}/lib/kafka/log4j2.xml",
         "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", str(HERE / "KafkaLog.java"), *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400)
    parts, rest = [], done.stdout
    for command in commands:
        end = f"== done {command[0]}\n"
        at = rest.find(end)
        if done.returncode != 0 or at < 0:
            sys.exit(f"FAILED: Kafka's {' '.join(map(str, command))}:\n{done.stdout[-3000:]}")
        parts.append(rest[:at])
        rest = rest[at + len(end):]
    return parts
