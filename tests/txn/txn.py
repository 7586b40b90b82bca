"""Transactions in raw requests and with confluent-kafka."""
import time
from types import SimpleNamespace as Answer

from confluent_kafka import Consumer, Producer, TopicPartition

from millrace_cluster import SLOWER, until
from raw import api, groups, records
from raw.wire import Writer

ADD_PARTITIONS, ADD_OFFSETS, END_TXN, WRITE_MARKERS, TXN_COMMIT = 24, 25, 26, 27, 28
TRANSACTIONAL, READ_COMMITTED = 0x10, 1
NONE, COORDINATOR_LOADING, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE = 0, 14, 47, 48
INVALID_PRODUCER_ID_MAPPING, INVALID_TXN_TIMEOUT, CONCURRENT, FENCED = 49, 50, 51, 90
ABORTABLE = 120


def producer(cluster, txn_id, **config):
    made = Producer({"bootstrap.servers": cluster.bootstrap(), "transactional.id": txn_id,
                     "retry.backoff.ms": 20, "reconnect.backoff.ms": 20,
                     "reconnect.backoff.max.ms": 200, "log_level": 0,
                     **{k.replace("_", "."): v for k, v in config.items()}})
    made.init_transactions(30)
    return made


def send(made, topic, values, partition=0):
    failures = []
    for value in values:
        made.produce(topic, value, partition=partition,
                     on_delivery=lambda err, _: err and failures.append(err))
    assert made.flush(30) == 0 and not failures, failures


def read_all(cluster, topic, partitions=2, isolation="read_committed"):
    """The values of each partition, up to where this isolation ends now."""
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap(), "group.id": "reader",
                         "isolation.level": isolation, "enable.auto.commit": False,
                         "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    values, open_ones = {p: [] for p in range(partitions)}, set(range(partitions))
    deadline = time.monotonic() + 30 * SLOWER
    while open_ones:
        assert time.monotonic() < deadline, f"the end of {topic} did not come"
        for message in consumer.consume(500, 0.2):
            if message.error():
                open_ones.discard(message.partition())
            else:
                values[message.partition()].append(message.value().decode())
    consumer.close()
    return values


def coordinator(cluster, txn_id):
    """The node id of the transaction's coordinator."""
    def look():
        with cluster.connect(cluster.live()[0], timeout_s=5) as conn:
            found = groups.find_coordinator(conn, txn_id, kind=1)
        return found if found.error == 0 and found.node in cluster.live() else None
    return until(look, what=f"a coordinator of {txn_id}").node


class Raw:
    """A producer made of single requests, each with the epoch it is told."""

    def __init__(self, cluster, txn_id, timeout_ms=60000):
        self.cluster, self.txn_id = cluster, txn_id
        self.conn = cluster.connect(coordinator(cluster, txn_id))
        found = api.init_producer_id(self.conn, 4, txn_id, timeout_ms)
        assert found.error == 0, found
        self.id, self.epoch = found.id, found.epoch
        self.sequences = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def _who(self, writer, epoch):
        return writer.string(self.txn_id).i64(self.id).i16(self.epoch if epoch is None else epoch)

    def add(self, topic, partitions=(0,), epoch=None):
        w = self._who(Writer(), epoch)
        w.array([topic], lambda t: w.string(t).array(partitions, w.i32))
        r = self.conn.call(ADD_PARTITIONS, 0, w.done())
        r.i32()
        return r.array(lambda: (r.string(), r.array(lambda: (r.i32(), r.i16()))))[0][1][0][1]

    def end(self, commit, epoch=None, version=1):
        w = self._who(Writer(), epoch).i8(commit)
        r = self.conn.call(END_TXN, version, w.done())
        r.i32()
        return r.i16()

    def add_group(self, group):
        w = self._who(Writer(), None).string(group)
        r = self.conn.call(ADD_OFFSETS, 0, w.done())
        r.i32()
        return r.i16()

    def commit_offset(self, group, topic, offset, epoch=None):
        with self.cluster.connect(self.cluster.coordinator(group)) as conn:
            w = Writer().string(self.txn_id).string(group).i64(self.id)
            w.i16(self.epoch if epoch is None else epoch)
            w.array([topic], lambda t: w.string(t).array(
                [0], lambda p: w.i32(p).i64(offset).string("")))
            r = conn.call(TXN_COMMIT, 0, w.done())
            r.i32()
            return r.array(lambda: (r.string(), r.array(lambda: (r.i32(), r.i16()))))[0][1][0][1]

    def produce(self, topic, value, partition=0, epoch=None, version=7):
        epoch = self.epoch if epoch is None else epoch
        sequence = self.sequences.get((partition, epoch), 0)
        batch = records.batch([value], attributes=TRANSACTIONAL,
                              producer=(self.id, epoch, sequence))
        with self.cluster.connect(self.cluster.leader(topic, partition)) as conn:
            found = api.produce(conn, topic, batch, version, partition=partition, txn=self.txn_id)
        if found.error == 0:
            self.sequences[(partition, epoch)] = sequence + 1
        return found


def state_of(cluster, topic, partition=0):
    """Where both isolations end."""
    with cluster.connect(cluster.leader(topic, partition)) as conn:
        return Answer(
            end=api.list_offsets(conn, topic, -1, partition=partition).offset,
            stable=api.list_offsets(conn, topic, -1, partition=partition,
                                    isolation=READ_COMMITTED).offset)


def is_settled(cluster, topic, partition=0):
    """No transaction is open."""
    found = state_of(cluster, topic, partition)
    return found.end >= 0 and found.end == found.stable
