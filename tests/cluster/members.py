"""A consumer group that remembers what it was given and committed, and a watch on its offsets."""
import collections
import threading
import time

from confluent_kafka import Consumer, KafkaException

from load import Seen
from millrace_cluster import SLOWER, until
from raw import groups
from raw.wire import Closed, Connection

COMMIT_EVERY_S = 0.2
CLASSIC = {"session.timeout.ms": 6000 * SLOWER, "heartbeat.interval.ms": 500}
MODERN = {"group.protocol": "consumer"}  # KIP-848: the broker says the times
MOVED = (14, 15, 16)  # the coordinator loads, is not available, is another one


class Member(threading.Thread):
    """One consumer: polls, and commits what it has seen."""

    def __init__(self, group):
        super().__init__(name="member", daemon=True)
        self.group = group
        self.consumer = Consumer({
            "bootstrap.servers": group.bootstrap, "group.id": group.name,
            "enable.auto.commit": False, "auto.offset.reset": "earliest",
            **(MODERN if group.modern else CLASSIC),
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 1000, "check.crcs": True, "log_level": 2})
        self.positions = {}

    def run(self):
        self.consumer.subscribe([self.group.topic], on_revoke=self._on_revoke)
        committed_s = time.monotonic()
        while not self.group.stopping.is_set():
            for message in self.consumer.consume(500, 0.05):
                if message.error() is None:
                    self._take(message)
            if time.monotonic() - committed_s >= COMMIT_EVERY_S:
                self._commit()
                committed_s = time.monotonic()
        self._commit()
        self.consumer.close()

    def _on_revoke(self, consumer, partitions):
        self._commit()
        self.positions.clear()

    def _take(self, message):
        self.group.seen.append(Seen(message.partition(), message.offset(),
                                    message.key().decode(), int(message.value())))
        self.positions[message.partition()] = message.offset() + 1

    def _commit(self):
        """What is acknowledged counts; a commit that failed may still come, or be refused."""
        if not self.positions:
            return
        try:
            for done in self.consumer.commit(asynchronous=False):
                if done.error is None:
                    self.group.commit_acknowledged(done.partition, done.offset)
        except KafkaException as failed:
            self.group.failures.append(str(failed))


class Watch(threading.Thread):
    """Asks for the committed offsets all the time: none may go back, or be less than one that was
    acknowledged before the question."""

    def __init__(self, group):
        super().__init__(name="watch", daemon=True)
        self.group = group
        self.answers, self.wrong = 0, []

    def run(self):
        highest = collections.Counter()
        while not self.group.stopping.wait(0.05):
            with self.group.lock:
                for partition, offset in self.group.acknowledged.items():
                    highest[partition] = max(highest[partition], offset)
            for partition, offset in self._ask().items():
                if offset < highest[partition]:
                    self.wrong.append(f"{partition}: {offset} after {highest[partition]}")
                highest[partition] = max(highest[partition], offset)

    def _ask(self):
        """{partition: offset}, {} when nobody answers now."""
        try:
            with self._coordinator() as conn:
                found = groups.offset_fetch(conn, self.group.name, None)
        except (OSError, Closed, TypeError):  # TypeError: an error in place of the topics
            return {}
        if any(p.error for p in found.values()):
            return {}
        self.answers += 1
        return {partition: p.offset for (_, partition), p in found.items()}

    def _coordinator(self):
        for address in self.group.bootstrap.split(","):
            try:
                with Connection(address, timeout_s=1) as conn:
                    found = groups.find_coordinator(conn, self.group.name)
                if found.error == 0:
                    return Connection(found.address, timeout_s=1)
            except (OSError, Closed):
                continue
        raise Closed()


class Group:
    def __init__(self, bootstrap, topic, name, members=2, modern=False):
        """modern: of the consumer protocol."""
        self.bootstrap, self.topic, self.name, self.modern = bootstrap, topic, name, modern
        self.seen, self.failures, self.acknowledged = [], [], {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.members = [Member(self) for _ in range(members)]
        self.watch = Watch(self)

    def commit_acknowledged(self, partition, offset):
        with self.lock:
            self.acknowledged[partition] = max(offset, self.acknowledged.get(partition, 0))

    def __enter__(self):
        for thread in (*self.members, self.watch):
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in (*self.members, self.watch):
            thread.join()

    def await_records_after(self, moment_s, load, timeout_s=60):
        """Until the group was given a record of every partition that was sent after this moment."""
        load.await_acks(moment_s)
        wanted = {}
        for ack in list(load.acks):
            if ack.sent_s > moment_s and ack.offset is not None:
                wanted.setdefault(ack.partition, ack.offset)

        def given():
            highest = {}
            for record in list(self.seen):
                highest[record.partition] = max(record.offset, highest.get(record.partition, -1))
            return all(highest.get(p, -1) >= offset for p, offset in wanted.items())
        until(given, timeout_s, "a record of each partition for the group")

    def await_all(self, load, timeout_s=60):
        """Until the committed offsets are behind the last acknowledged record of each partition."""
        last = {}
        for a in load.acks:
            last[a.partition] = max(a.offset or 0, last.get(a.partition, 0))
        until(lambda: all(self.acknowledged.get(p, 0) > offset for p, offset in last.items()),
              timeout_s, "commits up to the end")

    def check(self, load):
        """Nothing went back, and every acknowledged record was given to the group."""
        assert not self.watch.wrong, f"committed offsets went back: {self.watch.wrong[:5]}"
        given = {(r.key, r.number) for r in self.seen}
        missed = [a for a in load.acks if (a.key, a.number) not in given]
        assert not missed, f"{len(missed)} records never came to the group: {missed[:5]}"
