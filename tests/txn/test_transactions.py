"""What transactions promise, with clients and with single requests."""
import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

import txn
from millrace_cluster import until
from raw import api, groups, records


def committed(cluster, group, topic):
    with cluster.connect(cluster.coordinator(group)) as conn:
        return groups.offset_fetch(conn, group, {topic: [0]})[(topic, 0)].offset


def test_committed_records_are_read_and_aborted_ones_are_not(cluster, topic, name):
    made = txn.producer(cluster, name)
    expected = {0: [], 1: []}
    for number in range(6):
        made.begin_transaction()
        for partition in (0, 1):
            txn.send(made, topic, [f"{number}-{i}" for i in range(3)], partition)
            if number % 2 == 0:
                expected[partition] += [f"{number}-{i}" for i in range(3)]
        if number % 2 == 0:
            made.commit_transaction(30)
        else:
            made.abort_transaction(30)
    assert txn.read_all(cluster, topic) == expected
    every = txn.read_all(cluster, topic, isolation="read_uncommitted")
    assert [len(every[p]) for p in (0, 1)] == [18, 18]


def test_c40_aborted_list_is_sorted_and_covers_batches_before_the_fetch(cluster, topic, name):
    with txn.Raw(cluster, f"{name}-a") as a, txn.Raw(cluster, f"{name}-b") as b, \
            txn.Raw(cluster, f"{name}-c") as c:
        for one in (a, b, c):
            assert one.add(topic) == txn.NONE
        for number in range(3):
            for one in (a, b, c):
                assert one.produce(topic, b"%d" % number).error == txn.NONE
        assert c.end(False) == b.end(True) == a.end(False) == txn.NONE
        until(lambda: txn.is_settled(cluster, topic), what="all transactions decided")
        with cluster.connect(cluster.leader(topic)) as conn:
            found = api.fetch(conn, [(topic, 0, 5)], 11, isolation=1).partitions[0]
            assert found.aborted == [(a.id, 0), (c.id, 2)]
            aborted = {a.id, c.id}
            kept = [batch for batch in records.batches(found.records)
                    if batch.producer_id not in aborted and not batch.attributes & 0x20]
            assert [batch.producer_id for batch in kept] == [b.id]


def test_c42_second_producer_fences_the_first_and_aborts_what_it_left(cluster, topic, name):
    first = txn.producer(cluster, name)
    first.begin_transaction()
    txn.send(first, topic, ["lost"])
    second = txn.producer(cluster, name)
    second.begin_transaction()
    txn.send(second, topic, ["kept"])
    with pytest.raises(KafkaException):
        first.commit_transaction(30)
    second.commit_transaction(30)
    assert txn.read_all(cluster, topic)[0] == ["kept"]


def test_c42_requests_of_an_old_epoch_are_refused(cluster, topic, name):
    with txn.Raw(cluster, name) as old, txn.Raw(cluster, name) as new:
        assert (new.id, new.epoch) == (old.id, old.epoch + 1)
        assert old.add(topic) == txn.INVALID_PRODUCER_EPOCH
        assert old.end(True) == txn.INVALID_PRODUCER_EPOCH
        assert new.add(topic) == txn.NONE
        assert new.produce(topic, b"new").error == txn.NONE
        assert old.produce(topic, b"old").error == txn.INVALID_PRODUCER_EPOCH
        assert new.end(True) == txn.NONE


def test_c38_transaction_whose_producer_is_gone_is_aborted_after_its_timeout(cluster, topic, name):
    with txn.Raw(cluster, name, timeout_ms=1000) as gone:
        assert gone.add(topic) == txn.NONE
        assert gone.produce(topic, b"left").error == txn.NONE
        assert not txn.is_settled(cluster, topic)
        until(lambda: txn.is_settled(cluster, topic), 20, "the abort")
        assert txn.read_all(cluster, topic)[0] == []
        assert gone.end(True) == txn.INVALID_PRODUCER_EPOCH
        assert gone.produce(topic, b"late").error == txn.INVALID_PRODUCER_EPOCH


def test_c38_late_batch_opens_no_transaction(cluster, topic, name):
    with txn.Raw(cluster, name) as one:
        assert one.produce(topic, b"never added").error == txn.INVALID_TXN_STATE
        assert one.add(topic) == txn.NONE
        assert one.produce(topic, b"in time").error == txn.NONE
        assert one.end(True) == txn.NONE
        until(lambda: txn.is_settled(cluster, topic), what="the commit")
        assert one.produce(topic, b"late").error == txn.INVALID_TXN_STATE
        assert one.produce(topic, b"late", version=11).error == txn.ABORTABLE
        assert txn.is_settled(cluster, topic)
        assert txn.read_all(cluster, topic)[0] == ["in time"]


@pytest.mark.parametrize("timeout_ms", [0, -1, 900001])
def test_c43_timeout_out_of_bounds_is_50(cluster, name, timeout_ms):
    with cluster.connect(txn.coordinator(cluster, name)) as conn:
        found = api.init_producer_id(conn, 4, name, timeout_ms)
        assert found.error == txn.INVALID_TXN_TIMEOUT


def test_errors_of_requests_that_do_not_fit(cluster, topic, name):
    with txn.Raw(cluster, name) as one:
        assert one.end(True) == txn.INVALID_TXN_STATE
        assert one.add("no-such-topic") == 3
        one.id += 1000000
        assert one.add(topic) == txn.INVALID_PRODUCER_ID_MAPPING
        assert one.end(True) == txn.INVALID_PRODUCER_ID_MAPPING
        one.id -= 1000000
        others = [n for n in cluster.live() if n != txn.coordinator(cluster, name)]
        with cluster.connect(others[0]) as conn:
            assert api.init_producer_id(conn, 4, name).error == 16
        one.txn_id = ""
        assert one.add(topic) == 42


def test_f85_end_that_is_sent_again_answers_the_same(cluster, topic, name):
    with txn.Raw(cluster, name) as one:
        assert one.add(topic) == txn.NONE
        assert one.produce(topic, b"v").error == txn.NONE
        assert one.end(True) == txn.NONE
        until(lambda: txn.is_settled(cluster, topic), what="the commit")
        assert one.end(True) == txn.NONE
        assert one.end(False) == txn.INVALID_TXN_STATE


def test_f88_offsets_come_with_the_commit_only(cluster, topic, name):
    group = f"{name}-group"
    with txn.Raw(cluster, name) as one:
        assert one.commit_offset(group, topic, 5) == txn.INVALID_TXN_STATE
        assert one.add_group(group) == txn.NONE
        assert one.commit_offset(group, topic, 5) == txn.NONE
        assert committed(cluster, group, topic) < 0
        assert one.end(False) == txn.NONE
        assert committed(cluster, group, topic) < 0
        assert one.add_group(group) == txn.NONE
        assert one.commit_offset(group, topic, 7) == txn.NONE
        assert one.commit_offset(group, topic, 9, epoch=one.epoch + 1) == txn.INVALID_PRODUCER_EPOCH
        assert one.end(True) == txn.NONE
        assert committed(cluster, group, topic) == 7


def test_f88_offsets_of_a_member_that_left_are_refused(cluster, topic, name):
    group = f"{name}-group"
    made = txn.producer(cluster, name)
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap(), "group.id": group,
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    until(lambda: consumer.poll(0.2) is None and consumer.assignment(), what="an assignment")
    who = consumer.consumer_group_metadata()
    made.begin_transaction()
    made.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], who, 30)
    made.commit_transaction(30)
    assert committed(cluster, group, topic) == 1
    consumer.close()
    made.begin_transaction()
    with pytest.raises(KafkaException):
        made.send_offsets_to_transaction([TopicPartition(topic, 0, 2)], who, 30)
    made.abort_transaction(30)
    assert committed(cluster, group, topic) == 1


def test_commit_is_visible_when_it_is_answered(cluster, topic, name):
    made = txn.producer(cluster, name)
    slowest = 0
    for number in range(20):
        made.begin_transaction()
        txn.send(made, topic, [str(number)])
        begin = time.monotonic()
        made.commit_transaction(30)
        slowest = max(slowest, time.monotonic() - begin)
    assert txn.read_all(cluster, topic)[0] == [str(n) for n in range(20)]
    print(f"slowest commit: {slowest * 1000:.0f} ms")
