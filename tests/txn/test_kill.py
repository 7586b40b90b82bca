"""Copies stay exact while the coordinators and leaders of their transactions are killed."""
import pathlib
import subprocess
import sys
import threading

import kafka_cluster
import txn
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from millrace_cluster import SLOWER, until

PARTITIONS, KILLS, RATE = 3, 3, 50
HERE = pathlib.Path(__file__).resolve().parent
COPY_TIMEOUT_S = 60 * SLOWER


class Feed(threading.Thread):
    """Counts into the source at a steady rate, the partitions in turn, until it is told to end."""

    def __init__(self, cluster, topic):
        super().__init__(name="feed", daemon=True)
        self.topic, self.sent, self.failures = topic, 0, []
        self.stopping = threading.Event()
        self.producer = Producer({"bootstrap.servers": cluster.bootstrap(), "log_level": 0,
                                  "enable.idempotence": True, "linger.ms": 5})

    def run(self):
        while not self.stopping.wait(1 / RATE):
            for partition in range(PARTITIONS):
                self.producer.produce(self.topic, str(self.sent + partition), partition=partition,
                                      on_delivery=self._done)
            self.sent += PARTITIONS
            self.producer.poll(0)

    def _done(self, err, _):
        if err:
            self.failures.append(err)

    def finish(self):
        """How many records there are."""
        self.stopping.set()
        self.join()
        assert self.producer.flush(30 * SLOWER) == 0 and not self.failures, self.failures
        return self.sent


def kill_them(cluster, target, txn_id, group):
    """Kill whoever matters most, one after the other, while records are copied."""
    def seen():
        return sum(txn.state_of(cluster, target, p).stable for p in range(PARTITIONS))

    roles = (lambda: txn.coordinator(cluster, txn_id), lambda: cluster.coordinator(group),
             lambda: cluster.leader(target), cluster.controller)
    until(lambda: seen() > 0, 90, "the first copy")  # a JVM may take long to start
    for number in range(KILLS):
        before = seen()
        until(lambda: seen() > before, 30, "more copies")
        victim = roles[number % len(roles)]()
        print(f"kill {number}: node {victim}, the copy ends at {seen()}", flush=True)
        cluster.kill(victim)
        for partition in range(PARTITIONS):
            until(lambda: cluster.partition(target, partition).leader != victim,
                  what="another leader")
        cluster.start(victim)
        cluster.await_isr(target, 3)


def check(cluster, target, count):
    copied = txn.read_all(cluster, target, PARTITIONS)
    for partition, values in copied.items():
        assert values == [str(n) for n in range(partition, count, PARTITIONS)]
    for partition in range(PARTITIONS):
        until(lambda: txn.is_settled(cluster, target, partition), what="no open transaction")


class Copy(threading.Thread):
    """The loop of confluent-kafka: what fails is aborted and begun again behind what is committed.

    It commits no offsets: librdkafka 2 keeps a request for a group's coordinator that was killed
    until its timeout of a minute. The Java loop does.
    """

    def __init__(self, cluster, source, target, txn_id):
        super().__init__(name="copy", daemon=True)
        self.cluster, self.source, self.target, self.txn_id = cluster, source, target, txn_id
        self.copied, self.aborts, self.error = 0, 0, None
        self.count = None  # of all records, once it is known

    def run(self):
        try:
            self._run()
        except Exception as err:  # for the main thread
            self.error = err
            raise

    def _run(self):
        consumer = Consumer({"bootstrap.servers": self.cluster.bootstrap(),
                             "group.id": self.txn_id, "enable.auto.commit": False,
                             "isolation.level": "read_committed", "log_level": 0,
                             "auto.offset.reset": "earliest"})
        made = None
        while self.count is None or self.copied < self.count:
            try:
                if made is None:
                    made = txn.producer(self.cluster, self.txn_id)
                    self._seek(consumer)
                self._copy_some(consumer, made)
            except KafkaException as err:
                print("again:", err, flush=True)
                self.aborts += 1
                made = None  # a new one aborts what this one left
        consumer.close()

    def _seek(self, consumer):
        found = txn.read_all(self.cluster, self.target, PARTITIONS)
        self.copied = sum(len(values) for values in found.values())
        consumer.assign([TopicPartition(self.source, partition, len(values))
                         for partition, values in found.items()])

    def _copy_some(self, consumer, made):
        messages = [m for m in consumer.consume(30, 0.2) if not m.error()]
        if not messages:
            return
        made.begin_transaction()
        for message in messages:
            made.produce(self.target, message.value(), partition=message.partition())
        made.commit_transaction(30)
        self.copied += len(messages)


def topics(cluster, name):
    return [cluster.create_topic(f"{name}-{end}", PARTITIONS, min_insync_replicas="2")
            for end in ("in", "out")]


def test_f04_confluent_kafka_copies_exactly_once_through_kills(cluster, name):
    source, target = topics(cluster, name)
    feed = Feed(cluster, source)
    copy = Copy(cluster, source, target, name)
    feed.start()
    copy.start()
    kill_them(cluster, target, name, f"{name}-group")
    copy.count = feed.finish()
    copy.join(COPY_TIMEOUT_S)
    assert copy.error is None and not copy.is_alive()
    print(f"{copy.count} records, {copy.aborts} transactions were begun again")
    check(cluster, target, copy.count)


def test_f04_java_client_copies_exactly_once_through_kills(cluster, name, tmp_path):
    source, target = topics(cluster, name)
    words = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", kafka_cluster.class_path(),
             str(HERE / "CopyLoop.java"), cluster.bootstrap(), source, target, f"{name}-group",
             name]
    feed = Feed(cluster, source)
    feed.start()
    with open(tmp_path / "said", "w+") as said, \
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=said,
                             stderr=subprocess.STDOUT, text=True) as loop:
        try:
            kill_them(cluster, target, name, f"{name}-group")
            count = feed.finish()
            loop.communicate(f"{count}\n", timeout=COPY_TIMEOUT_S)
        finally:
            loop.kill()
            said.seek(0)
            text = said.read()
            sys.stdout.write(text[-4000:])
    assert f"DONE {count}" in text
    check(cluster, target, count)
