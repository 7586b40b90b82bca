"""Clients that look all the time: nothing that was once seen may change or go back."""
import collections
import threading
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from load import Seen
from raw import api
from raw.wire import Closed

LATEST = -1


class Tail(threading.Thread):
    """Reads along, from the beginning, as a consumer of no group: what it got was replicated."""

    def __init__(self, bootstrap, topic, partitions):
        super().__init__(name="tail", daemon=True)
        self.seen, self.wrong = [], []
        self.stopping = threading.Event()
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "tail", "enable.auto.commit": False,
            "auto.offset.reset": "error", "check.crcs": True, "log_level": 2,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 3000,
            "topic.metadata.refresh.interval.ms": 1000})
        self.consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])

    def run(self):
        next_offsets = collections.Counter()
        while not self.stopping.is_set():
            for message in self.consumer.consume(500, 0.1):
                if message.error() is None:
                    self._take(message, next_offsets)
                elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                    self.wrong.append(str(message.error()))
        self.consumer.close()

    def _take(self, message, next_offsets):
        partition, offset = message.partition(), message.offset()
        if offset < next_offsets[partition]:
            self.wrong.append(f"{partition}/{offset} after {next_offsets[partition] - 1}")
        next_offsets[partition] = offset + 1
        self.seen.append(Seen(partition, offset, message.key().decode(), int(message.value())))


class Ends(threading.Thread):
    """Asks the leaders for the ends of the partitions: no answer may be less than one before it,
    or than what was acknowledged before the question (acks=all)."""

    def __init__(self, cluster, topic, partitions, load):
        super().__init__(name="ends", daemon=True)
        self.cluster, self.topic, self.partitions, self.load = cluster, topic, partitions, load
        self.answers, self.wrong = 0, []
        self.stopping = threading.Event()

    def run(self):
        highest, counted, leaders = collections.Counter(), 0, {}
        while not self.stopping.wait(0.05):
            acks = self.load.acks if self.load is not None else []
            for ack in acks[counted:]:
                highest[ack.partition] = max(highest[ack.partition], ack.offset + 1)
                counted += 1
            for partition in range(self.partitions):
                before = highest[partition]
                end = self._ask(partition, leaders)
                if end is None:
                    continue
                self.answers += 1
                if end < before:
                    self.wrong.append(f"{partition}: {end} after {before} from node "
                                      f"{leaders[partition]} at {time.strftime('%T')}")
                highest[partition] = max(before, end)

    def _ask(self, partition, leaders):
        """None when nobody answers just now."""
        try:
            if partition not in leaders:
                for node in self.cluster.ids():
                    self._learn(node, leaders)
            with self.cluster.connect(leaders[partition], timeout_s=0.5) as conn:
                found = api.list_offsets(conn, self.topic, LATEST, partition=partition)
            if found.error == 0:
                return found.offset
        except (OSError, Closed, KeyError):
            pass
        leaders.pop(partition, None)
        return None

    def _learn(self, node, leaders):
        try:
            with self.cluster.connect(node, timeout_s=0.5) as conn:
                topic = api.metadata(conn, [self.topic], 9).topics[0]
        except (OSError, Closed):
            return
        for number, partition in topic.partitions.items():
            if partition.leader >= 0:
                leaders[number] = partition.leader
