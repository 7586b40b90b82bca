"""Apache Kafka's own command-line tools, all in one JVM (Tools.java): a start costs 1.5 s."""
import pathlib
import struct
import subprocess
import sys
import threading
import time

RUN_TIMEOUT_S = 90
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib" / "kafka"))

import kafka_cluster  # noqa: E402

CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "org.apache.kafka.tools.ConfigCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
}
BOOTSTRAP_FIRST = ("kafka-features", "kafka-metadata-quorum", "kafka-transactions")


class Result:
    def __init__(self, words, status, text):
        self.words, self.status, self.text = words, status, text
        self.lines = text.splitlines()

    def __repr__(self):
        return f"{' '.join(self.words)}\nstatus {self.status}\n{self.text}"


class Tools:
    def __init__(self, bootstrap, settle_s=0):
        """settle_s: the pause after each tool; Apache Kafka answers before all brokers know."""
        self.bootstrap = bootstrap
        self.settle_s = settle_s
        self.java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                     "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                     "-cp", kafka_cluster.class_path()]
        self.process = subprocess.Popen([*self.java, str(HERE / "Tools.java")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def run(self, name, *words, stdin="", bootstrap="--bootstrap-server"):
        """Run a tool; `bootstrap`: how it wants to be told where the cluster is (None: not)."""
        words = [str(word) for word in words]
        if bootstrap and name in BOOTSTRAP_FIRST:
            words = [bootstrap, self.bootstrap, *words]
        elif bootstrap:
            words += [bootstrap, self.bootstrap]
        texts = [CLASSES[name], stdin, *words]
        packed = [text.encode() for text in texts]
        self.process.stdin.write(struct.pack(">i", len(packed)) + b"".join(
            struct.pack(">i", len(text)) + text for text in packed))
        self.process.stdin.flush()
        watchdog = threading.Timer(RUN_TIMEOUT_S, self.process.kill)
        watchdog.start()
        try:
            return Result([name, *words], *self._answer())
        finally:
            watchdog.cancel()
            time.sleep(self.settle_s)

    def run_alone(self, name, *words):
        """In a JVM of its own: for tools that do their last work when the JVM ends."""
        with self.start(name, *words) as process:
            try:
                text, _ = process.communicate(timeout=RUN_TIMEOUT_S)
            finally:
                process.kill()
        return Result([name, *map(str, words)], process.returncode, text)

    def start(self, name, *words):
        """A tool that goes on in a JVM of its own."""
        return subprocess.Popen(
            [*self.java, CLASSES[name], *map(str, words), "--bootstrap-server", self.bootstrap],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _answer(self):
        status, size = struct.unpack(">ii", self._read(8))
        return status, self._read(size).decode()

    def _read(self, size):
        data = self.process.stdout.read(size)
        assert len(data) == size, "the JVM of the tools ended"
        return data


if __name__ == "__main__":  # whether the tools are there: run says SKIPPED if not
    try:
        kafka_cluster.class_path()
    except (OSError, subprocess.CalledProcessError) as err:
        sys.exit(f"{err}")
