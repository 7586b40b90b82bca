"""The cluster under test as the tests see it: where it is, who leads what, fresh names."""
import itertools
import os
import time
import uuid

from raw import api, groups
from raw.wire import Connection

SETTLE_S = 20


def until(attempt, timeout_s=SETTLE_S, what="the expected state"):
    """Call `attempt` until it answers something true; the answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = attempt()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s} s"
        time.sleep(0.02)


class Target:
    def __init__(self, bootstrap, kind):
        self.bootstrap = bootstrap
        self.addresses = bootstrap.split(",")
        self.kind = kind
        self.run = f"{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.numbers = itertools.count(1)
        self.connections = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for conn in self.connections:
            conn.close()

    @property
    def is_kafka(self):
        return self.kind == "kafka"

    def at_once(self, attempt):
        """The answer of `attempt`, which must be true the first time: here a broker's answer to an
        admin request is visible everywhere. Apache Kafka gets there a little later."""
        if self.is_kafka:
            return until(attempt)
        answer = attempt()
        assert answer, "not visible at once"
        return answer

    def unique(self, name):
        return f"{name}-{self.run}-{next(self.numbers)}"

    def connect(self, address=None, **fields):
        conn = Connection(address or self.addresses[0], **fields)
        self.connections.append(conn)
        return conn

    def new_topic(self, name="topic", partitions=1, replicas=3, **configs):
        """Create a topic, wait for its leaders and full ISRs, and return its name."""
        name = self.unique(name)
        configs = {key.replace("_", "."): value for key, value in configs.items()}
        with self.connect() as conn:
            replicas = min(replicas, len(self.addresses))
            spec = api.topic_spec(name, partitions, replicas, configs=configs)
            answer = api.create_topics(conn, [spec])[name]
            assert answer.error == 0, f"CreateTopics {name}: {answer.error} {answer.message}"
        for address in self.addresses:
            with self.connect(address) as conn:
                until(lambda: self._is_ready(conn, name, partitions, replicas),
                      what=f"{name} with all its leaders")
        return name

    @staticmethod
    def _is_ready(conn, name, partitions, replicas):
        found = api.metadata(conn, [name], 4).topics[0]
        return (found.error == 0 and len(found.partitions) == partitions and
                all(p.error == 0 and p.leader >= 0 and len(p.isr) == replicas
                    for p in found.partitions.values()))

    def leader(self, topic, partition=0, **fields):
        """A new connection to the partition's leader."""
        with self.connect() as conn:
            answer = api.metadata(conn, [topic], 4)
        return self.connect(answer.brokers[answer.topics[0].partitions[partition].leader], **fields)

    def follower(self, topic, partition=0):
        with self.connect() as conn:
            answer = api.metadata(conn, [topic], 4)
        leader = answer.topics[0].partitions[partition].leader
        return self.connect(next(a for node, a in answer.brokers.items() if node != leader))

    def topic_id(self, topic):
        with self.connect() as conn:
            return api.metadata(conn, [topic], 12).topics[0].id

    def coordinator(self, group, **fields):
        """A new connection to the group's coordinator, once there is one that serves."""
        with self.connect() as conn:
            found = until(lambda: self._coordinator(conn, group), what="a group coordinator")
        return self.connect(found.address, **fields)

    def _coordinator(self, conn, group):
        found = groups.find_coordinator(conn, group)
        if found.error:
            return None
        with self.connect(found.address) as other:
            ready = groups.describe_group(other, group).error not in (14, 15, 16)
        return found if ready else None

    def producer_id(self, conn):
        """A fresh idempotent producer id, once the cluster hands them out."""
        def ask():
            answer = api.init_producer_id(conn)
            return answer if answer.error == 0 else None
        return until(ask, what="a producer id")
