"""One of the two clusters, asked by raw requests."""
import itertools
import pathlib
import subprocess
import time

from messages import APIS, decode, encode
from ports import port_block
from raw.wire import Closed, Connection

ROOT = pathlib.Path(__file__).resolve().parents[3]
SETTINGS = {"default.replication.factor": "3", "num.partitions": "1", "min.insync.replicas": "1",
            "auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": "0"}
SETTLE_S, SETTLE_S_MAX = 0.2, 10  # Apache Kafka answers before every broker knows


def succeeded(answer):
    """Whether any part of it did: then there is something that every broker must hear of."""
    if isinstance(answer, dict):
        return answer.get("error_code") == 0 or any(map(succeeded, answer.values()))
    return isinstance(answer, list) and any(map(succeeded, answer))


class Side:
    def __init__(self, script, folder, is_kafka):
        sets = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
        self.is_kafka = is_kafka
        self.command = [str(ROOT / script), "--dir", str(folder), "--port", str(port_block()),
                        *sets]
        self.connections = {}
        self.numbers = itertools.count(1)

    def start(self):
        self._script("up", 3)
        self.addresses = self._script("bootstrap").split(",")

    def stop(self):
        for conn in self.connections.values():
            conn.close()
        subprocess.run([*self.command, "down", "--wipe"], check=False, timeout=60)

    def _script(self, *words):
        done = subprocess.run([*self.command, *map(str, words)], capture_output=True, text=True,
                              timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def call(self, node, name, version, **values):
        """The answer as a dict; "closed" where the broker hangs up."""
        body = encode(name, version, values)
        key = APIS[name].key
        if node not in self.connections:
            self.connections[node] = Connection(self.addresses[node - 1])
        conn = self.connections[node]
        try:
            correlation_id = conn.send(key, version, body)
            answer = conn.receive(key, version, correlation_id)
        except Closed:
            self.connections.pop(node).close()
            return "closed"
        return decode(name, version, answer.data[answer.position:])

    def change(self, node, name, version, **values):
        """A call, and a pause until every broker knows what it changed."""
        answer = self.call(node, name, version, **values)
        if self.is_kafka and succeeded(answer) and not values.get("validate_only"):
            self._settle()
        return answer

    def _settle(self):
        """Until every node has the metadata log as far as it is now, and a moment to apply it."""
        deadline = time.monotonic() + SETTLE_S_MAX
        goal = None
        while time.monotonic() < deadline:
            answer = self.call(1, "DescribeQuorum", 1, topics=[
                {"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}])
            quorum = answer["topics"][0]["partitions"][0]
            goal = goal or quorum["high_watermark"]
            if all(v["log_end_offset"] >= goal for v in quorum["current_voters"]):
                break
            time.sleep(0.02)
        time.sleep(SETTLE_S)

    def topic(self, partitions=1, replicas=((1, 2, 3), (2, 3, 1), (3, 1, 2)), configs=()):
        """A new topic whose partition p is led by the first of replicas[p]."""
        name = f"t{next(self.numbers)}"
        answer = self.change(1, "CreateTopics", 5, timeout_ms=10000, topics=[{
            "name": name, "num_partitions": -1, "replication_factor": -1,
            "assignments": [{"partition_index": p, "broker_ids": list(replicas[p % 3])}
                            for p in range(partitions)],
            "configs": [{"name": k, "value": v} for k, v in dict(configs).items()]}])
        assert answer["topics"][0]["error_code"] == 0, answer
        return name
