"""Load that remembers everything: what was sent, acknowledged when and where, and what is there."""
import collections
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from millrace_cluster import SLOWER, until

Ack = collections.namedtuple("Ack", "key number partition offset sent_s acked_s")
Seen = collections.namedtuple("Seen", "partition offset key number")


class Load(threading.Thread):
    """An idempotent producer with acks=all: keys in turn, each with its own count, at a rate."""

    def __init__(self, bootstrap, topic, partitions, rate=500, **settings):
        super().__init__(name="load", daemon=True)
        self.topic, self.partitions, self.rate = topic, partitions, rate
        self.acks, self.failures, self.sent = [], [], 0
        self.fatal, self.numbers = None, collections.Counter()
        self.keys = "key-"  # what the names of its keys begin with
        self.stopping = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all",
            "linger.ms": 1, "delivery.timeout.ms": 60000 * SLOWER, "error_cb": self._on_error,
            "log_level": 2,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20,
            **{k.replace("_", "."): v for k, v in settings.items()}})

    def _on_error(self, error):
        if error.fatal():
            self.fatal = error

    def run(self):
        begin = time.monotonic()
        while not self.stopping.is_set():
            due = int((time.monotonic() - begin) * self.rate)
            while self.sent < due and not self.stopping.is_set():
                self._send(self.sent % (2 * self.partitions))
            self.producer.poll(0.002)

    def _send(self, index):
        """Two keys to a partition; not by their hash, so that every partition has its share."""
        key = f"{self.keys}{index}"
        number, now_s = self.numbers[key], time.monotonic()

        def done(error, message):
            if error:
                self.failures.append((key, number, str(error)))
            else:
                self.acks.append(Ack(key, number, message.partition(), message.offset(), now_s,
                                     time.monotonic()))
        try:
            self.producer.produce(self.topic, key=key, value=str(number), on_delivery=done,
                                  partition=index % self.partitions)
        except BufferError:
            self.producer.poll(0.05)
            return
        self.numbers[key] += 1
        self.sent += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.finish()

    def finish(self):
        """No more records; wait for the answers to those under way."""
        self.stopping.set()
        if self.is_alive():
            self.join()
        self.producer.flush(60 * SLOWER)

    def await_acks(self, after_s=0, timeout_s=30):
        """Until every partition acknowledged a record that was sent after this moment."""
        wanted, checked = set(range(self.partitions)), 0

        def look():
            nonlocal checked
            assert self.fatal is None, f"the producer cannot go on: {self.fatal}"
            end = len(self.acks)
            wanted.difference_update(
                a.partition for a in self.acks[checked:end] if a.sent_s > after_s)
            checked = end
            return not wanted
        until(look, timeout_s, f"an acknowledgement from each partition, still {wanted},")

    def longest_gap(self, begin_s, end_s):
        """(the longest time without any acknowledgement, the longest of one partition)."""
        times = collections.defaultdict(lambda: [begin_s])
        for ack in list(self.acks):
            if begin_s <= ack.acked_s <= end_s:
                times[None].append(ack.acked_s)
                times[ack.partition].append(ack.acked_s)
        longest = {k: max((b - a for a, b in zip(t, t[1:] + [end_s])), default=0)
                   for k, t in times.items()}
        return longest.pop(None, end_s - begin_s), max(longest.values(), default=0)


def read_all(bootstrap, topic, partitions, timeout_s=60):
    """Every record up to the ends of the partitions, by a consumer that belongs to no group."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "reader-of-all", "enable.auto.commit": False,
        "enable.partition.eof": True, "auto.offset.reset": "error", "check.crcs": True,
        "log_level": 2})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    records, ended = [], set()
    deadline = time.monotonic() + timeout_s * SLOWER
    try:
        while len(ended) < partitions:
            assert time.monotonic() < deadline, f"read {len(records)} records, ends of {ended}"
            for message in consumer.consume(1000, 0.5):
                if message.error() is None:
                    records.append(Seen(message.partition(), message.offset(),
                                        message.key().decode(), int(message.value())))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
                else:
                    raise KafkaException(message.error())
    finally:
        consumer.close()
    return records


def check_history(acks, records):
    """Every acknowledged record is there once, where the acknowledgement said, and in its order.

    One whose batch was sent again after five later ones is acknowledged without its offset.
    """
    at = {}
    for r in records:
        place = (r.partition, r.offset)
        assert place not in at, f"two records at {place}"
        at[place] = (r.key, r.number)
    places = collections.defaultdict(list)
    for r in sorted(records, key=lambda r: (r.partition, r.offset)):
        places[(r.key, r.number)].append((r.partition, r.offset))
    lost = [a for a in acks if (a.key, a.number) not in places]
    assert not lost, f"{len(lost)} acknowledged records are not there: {lost[:5]}"
    moved = [a for a in acks if a.offset is not None and
             at.get((a.partition, a.offset)) != (a.key, a.number)]
    assert not moved, f"{len(moved)} records are not where they were acknowledged: {moved[:5]}"
    twice = {k: v for k, v in places.items() if len(v) > 1}
    assert not twice, f"{len(twice)} records are there more than once: {list(twice.items())[:5]}"
    last = {}
    for (partition, offset), (key, number) in sorted(at.items()):
        before = last.get(key, -1)
        assert number == before + 1, \
            f"{key}: {number} follows {before} at {partition}/{offset}: out of order, or a gap"
        last[key] = number
