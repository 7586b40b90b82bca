"""Kafka's transaction tool ends a transaction that hangs."""
import re

import txn
from tools import Tools


def test_kafkas_transaction_tool_lists_describes_and_aborts(cluster, topic, name):
    with Tools(cluster.bootstrap()) as tools, txn.Raw(cluster, name) as one:
        assert one.add(topic) == txn.NONE
        assert one.produce(topic, b"hanging").error == txn.NONE
        listed = tools.run("kafka-transactions", "list")
        assert listed.status == 0 and re.search(rf"{name}\s+\d+\s+{one.id}\s+Ongoing", listed.text)
        told = tools.run("kafka-transactions", "describe", "--transactional-id", name)
        assert told.status == 0 and f"{topic}-0" in told.text, told
        writers = tools.run("kafka-transactions", "describe-producers", "--topic", topic,
                            "--partition", "0")
        assert writers.status == 0 and re.search(rf"^{one.id}\s", writers.text, re.M), writers
        done = tools.run("kafka-transactions", "abort", "--topic", topic, "--partition", "0",
                         "--start-offset", "0")
        assert done.status == 0, done
        assert txn.is_settled(cluster, topic)
        assert txn.read_all(cluster, topic)[0] == []
