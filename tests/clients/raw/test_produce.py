"""Produce: what is refused and how, limits, acks, idempotence (B01, B12, C27, C28, C31, C34)."""
import pytest

from raw import api, records, wire
from raw.records import CONTROL, batch, now_ms
from target import until

HOUR_MS = 3600 * 1000


@pytest.fixture
def leader(target, topic):
    with target.leader(topic) as conn:
        yield conn


def end_of(conn, topic):
    return api.list_offsets(conn, topic, -1).offset


def fetched(conn, topic, offset=0):
    return records.batches(api.fetch(conn, [(topic, 0, offset)]).partitions[0].records)


@pytest.mark.parametrize("version", range(3, 14))
def test_every_produce_version_appends_and_answers(target, leader, topic, version):
    name = target.topic_id(topic) if version >= 13 else topic
    for expected in (0, 2):
        answer = api.produce(leader, name, batch([b"a", b"b"]), version)
        assert (answer.error, answer.base_offset, answer.append_time) == (0, expected, -1)
        if version >= 5:
            assert answer.log_start == 0
    assert end_of(leader, topic) == 4


@pytest.mark.parametrize("acks", [1, -1])
def test_produce_is_answered_with_the_offset(leader, topic, acks):
    assert api.produce(leader, topic, batch([b"x"]), acks=acks).base_offset == 0
    assert api.produce(leader, topic, batch([b"x"]), acks=acks).base_offset == 1


def test_b01_acks_0_has_no_answer_and_appends(leader, topic):
    leader.send(wire.PRODUCE, 7, api.produce_body(topic, batch([b"x"]), acks=0))
    assert api.api_versions(leader, 0).error == 0, "the next answer is the next request's"
    until(lambda: end_of(leader, topic) == 1)


def test_b01_acks_0_that_fails_closes_the_connection(leader, topic):
    leader.send(wire.PRODUCE, 7, api.produce_body(topic, batch([b"x"], bad_crc=True), acks=0))
    assert leader.is_closed()


def test_acks_2_is_21(leader, topic):
    assert api.produce(leader, topic, batch([b"x"]), acks=2).error == 21
    assert end_of(leader, topic) == 0


def test_unknown_topic_or_partition_is_3(leader, topic):
    assert api.produce(leader, "no-such-topic", batch([b"x"])).error == 3
    assert api.produce(leader, topic, batch([b"x"]), partition=9).error == 3
    assert api.produce(leader, topic, batch([b"x"]), partition=-1).error == 3


def test_produce_to_a_follower_is_6(target, topic):
    with target.follower(topic) as conn:
        assert api.produce(conn, topic, batch([b"x"])).error == 6


def test_c36_refused_batch_of_a_producer_was_not_appended(target, topic, leader):
    """The answer that it is no leader must leave the sequence free for the one that is."""
    pid = target.producer_id(leader)
    data = batch([b"x"], producer=(pid.id, pid.epoch, 0))
    with target.follower(topic) as conn:
        for acks in (-1, 1):
            assert api.produce(conn, topic, data, acks=acks).error == 6
    assert end_of(leader, topic) == 0
    answer = api.produce(leader, topic, data)
    assert (answer.error, answer.base_offset, end_of(leader, topic)) == (0, 0, 1)


def test_b14_refused_produce_names_the_leader_and_where_it_is(target, topic):
    with target.follower(topic) as conn:
        told = api.metadata(conn, [topic], 4)
        leader = told.topics[0].partitions[0].leader
        answer = api.produce(conn, topic, batch([b"x"]), version=10)
        assert (answer.error, answer.current_leader[0]) == (6, leader)
        assert answer.endpoints == {leader: told.brokers[leader]}
        older = api.produce(conn, topic, batch([b"x"]), version=9)
        assert (older.error, older.current_leader, older.endpoints) == (6, None, {})


ONE = batch([b"x"])
REFUSED = {
    "bad_crc_is_2": (2, batch([b"x"], bad_crc=True)),
    "magic_1_is_87": (87, batch([b"x"], magic=1)),
    "magic_3_is_2": (2, batch([b"x"], magic=3)),
    "control_batch_is_87": (87, batch([b"x"], attributes=CONTROL)),
    "last_offset_delta_too_large_is_87": (87, batch([b"x"], last_offset_delta=5)),
    "last_offset_delta_too_small_is_87": (87, batch([b"x", b"y"], last_offset_delta=0)),
    "count_too_large_is_87": (87, batch([b"x"], count=2, last_offset_delta=1)),
    "two_batches_are_87": (87, ONE + ONE),
    "empty_records_are_87": (87, b""),
    "truncated_batch_is_87": (87, ONE[:-1]),
    "base_offset_not_zero_is_87": (87, batch([b"x"], base_offset=5)),
    "no_records_in_the_batch_is_87": (87, batch([], last_offset_delta=0, timestamps=None)),
    "far_future_timestamp_is_32": (32, batch([b"x"], timestamps=[now_ms() + 2 * HOUR_MS])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_c31_bad_batch_is_refused_and_nothing_is_appended(leader, topic, name):
    error, data = REFUSED[name]
    assert api.produce(leader, topic, data, version=8).error == error
    assert end_of(leader, topic) == 0
    assert api.produce(leader, topic, ONE, version=8).error == 0


def test_c31_unknown_codec_is_refused(target, leader, topic):
    """Apache Kafka answers -1 here, its own wart; ours says what it is."""
    answer = api.produce(leader, topic, batch([b"x"], codec=5), version=8)
    assert answer.error == (-1 if target.is_kafka else 76)
    assert end_of(leader, topic) == 0


def test_c31_garbage_in_place_of_compressed_records_is_refused(leader, topic):
    for codec in (2, 3, 4):
        data = batch([b"some value"], codec=codec)
        assert api.produce(leader, topic, data, version=8).error in (-1, 2, 87)
    assert end_of(leader, topic) == 0
    assert api.produce(leader, topic, ONE).error == 0


def test_c31_timestamps_within_the_bounds_are_taken(leader, topic):
    for timestamp in (now_ms() + HOUR_MS // 2, 0, -1):
        assert api.produce(leader, topic, batch([b"x"], timestamps=[timestamp])).error == 0


def test_c31_bad_timestamp_is_told_for_its_record(leader, topic):
    data = batch([b"x", b"y"], timestamps=[now_ms(), now_ms() + 2 * HOUR_MS])
    answer = api.produce(leader, topic, data, version=8)
    assert answer.error == 32
    assert [index for index, _ in answer.record_errors] == [1]


def test_c27_record_without_a_key_for_a_compacted_topic_is_87_and_named(target):
    name = target.new_topic("compacted", cleanup_policy="compact")
    with target.leader(name) as conn:
        answer = api.produce(conn, name, batch([b"x", b"y"], keys=[b"k", None]), version=8)
        assert answer.error == 87
        assert answer.record_errors[0][0] == 1 and answer.record_errors[0][1]
        assert end_of(conn, name) == 0
        assert api.produce(conn, name, batch([b"x"], keys=[b"k"]), version=8).error == 0


def test_c28_too_large_for_the_topic_is_10_and_the_connection_lives_on(target):
    name = target.new_topic("small", max_message_bytes="51200")
    with target.leader(name) as conn:
        assert api.produce(conn, name, batch([bytes(10 << 20)])).error == 10
        assert end_of(conn, name) == 0
        assert api.produce(conn, name, batch([bytes(50000)])).error == 0


def test_c28_rejected_batch_does_not_consume_the_sequence(target):
    name = target.new_topic("small", max_message_bytes="1000")
    with target.leader(name) as conn:
        pid = target.producer_id(conn)
        producer = (pid.id, pid.epoch, 0)
        assert api.produce(conn, name, batch([bytes(2000)], producer=producer)).error == 10
        assert api.produce(conn, name, batch([b"x"], producer=producer)).base_offset == 0


def test_c28_size_is_the_whole_batch_against_the_limit(target):
    one = batch([bytes(900)])
    name = target.new_topic("exact", max_message_bytes=str(len(one)))
    with target.leader(name) as conn:
        assert api.produce(conn, name, one).error == 0
        assert api.produce(conn, name, batch([bytes(901)])).error == 10


def test_b12_broker_stamps_offset_and_epoch_and_leaves_the_rest(leader, topic):
    api.produce(leader, topic, batch([b"first"]))
    sent = batch([b"a", b"b"], keys=[b"k", None], headers=[(b"h", b"1"), (b"n", None)], codec=1)
    assert api.produce(leader, topic, sent).base_offset == 1
    got, = fetched(leader, topic, 1)
    assert got.data[16:] == sent[16:]
    assert got.base_offset == 1 and got.leader_epoch >= 0 and got.crc_is_right
    assert got.records() == [(1, b"k", b"a", [(b"h", b"1"), (b"n", None)]),
                             (2, None, b"b", [(b"h", b"1"), (b"n", None)])]


def test_b12_log_append_time_is_stamped_by_the_broker(target):
    name = target.new_topic("append", message_timestamp_type="LogAppendTime")
    with target.leader(name) as conn:
        before = now_ms()
        answer = api.produce(conn, name, batch([b"a", b"b"], timestamps=[5, 3]))
        assert before - 50 <= answer.append_time <= now_ms() + 50
        got, = fetched(conn, name)
        assert got.attributes & 8 and got.crc_is_right
        assert got.max_timestamp == answer.append_time
        assert api.list_offsets(conn, name, before - 60000).offset == 0


def test_b12_topic_compression_recompresses(target):
    name = target.new_topic("gz", compression_type="gzip")
    with target.leader(name) as conn:
        assert api.produce(conn, name, batch([b"a" * 1000, b"b" * 1000])).error == 0
        got, = fetched(conn, name)
        assert got.attributes & 7 == 1 and got.crc_is_right
        assert got.values() == [b"a" * 1000, b"b" * 1000]


def test_several_partitions_get_their_own_results(target):
    name = target.new_topic("many", partitions=2, replicas=1)
    w = api.writer(wire.PRODUCE, 7).string(None).i16(-1).i32(5000)
    with target.leader(name) as conn:
        w.array([0], lambda _: w.string(name).array(
            [0, 7], lambda index: w.i32(index).bytes(ONE)))
        r = conn.call(wire.PRODUCE, 7, w.done())
        read = lambda: (r.i32(), r.i16(), r.i64(), r.i64(), r.i64())[:2]
        assert r.array(lambda: (r.string(), r.array(read)))[0][1] == [(0, 0), (7, 3)]


def test_c34_duplicate_of_the_last_five_batches_gets_the_original_offset(target, leader, topic):
    pid = target.producer_id(leader)
    sent = [batch([b"a", b"b"], producer=(pid.id, 0, 2 * i)) for i in range(6)]
    for index, data in enumerate(sent):
        assert api.produce(leader, topic, data).base_offset == 2 * index
    for index in (5, 1, 3, 2, 4):
        answer = api.produce(leader, topic, sent[index])
        assert (answer.error, answer.base_offset) == (0, 2 * index)
    # Known to be there though its offset is forgotten: clients take 46 as done, 45 as a failure.
    assert api.produce(leader, topic, sent[0]).error == (45 if target.is_kafka else 46)
    assert end_of(leader, topic) == 12


def test_c34_answer_lost_with_the_connection_is_given_again(target, leader, topic):
    pid = target.producer_id(leader)
    data = batch([b"x"] * 5, producer=(pid.id, 0, 0))
    with target.leader(topic) as conn:
        conn.send(wire.PRODUCE, 7, api.produce_body(topic, data))
    until(lambda: end_of(leader, topic) == 5)
    answer = api.produce(leader, topic, data)
    assert (answer.error, answer.base_offset) == (0, 0)
    assert end_of(leader, topic) == 5


def test_c34_gap_in_the_sequence_is_45(target, leader, topic):
    pid = target.producer_id(leader)
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 0, 0))).error == 0
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 0, 2))).error == 45
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 0, 1))).error == 0


def test_c34_unknown_producer_may_begin_anywhere(target, leader, topic):
    pid = target.producer_id(leader)
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 0, 7))).error == 0


def test_c34_new_epoch_begins_at_0_and_fences_the_old(target, leader, topic):
    pid = target.producer_id(leader)
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 0, 0))).error == 0
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 1, 1))).error == 45
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 1, 0))).error == 0
    assert api.produce(leader, topic, batch([b"x"], producer=(pid.id, 0, 1))).error == 47


def test_c34_sequence_wraps_to_0(target, leader, topic):
    pid = target.producer_id(leader)
    last = (1 << 31) - 1
    first = batch([b"a", b"b"], producer=(pid.id, 0, last - 1))
    assert api.produce(leader, topic, first).error == 0
    assert api.produce(leader, topic, batch([b"c"], producer=(pid.id, 0, 0))).base_offset == 2
    assert api.produce(leader, topic, first).base_offset == 0


def test_c34_five_batches_in_flight_keep_their_order(target, leader, topic):
    pid = target.producer_id(leader)
    sent = [leader.send(wire.PRODUCE, 7, api.produce_body(
        topic, batch([b"%d" % i], producer=(pid.id, 0, i)))) for i in range(5)]
    for index, request in enumerate(sent):
        answer = api.read_produce(leader.receive(wire.PRODUCE, 7, request), 7)
        assert (answer.error, answer.base_offset) == (0, index)


@pytest.mark.parametrize("version", range(6))
def test_t16_every_default_producer_gets_its_own_id(target, admin, version):
    target.producer_id(admin)
    first, second = (api.init_producer_id(admin, version) for _ in range(2))
    assert (first.error, first.epoch) == (0, 0)
    assert second.id > first.id >= 0


def test_t16_producer_ids_of_different_nodes_differ(target):
    ids = set()
    for address in target.addresses:
        with target.connect(address) as conn:
            ids.update(target.producer_id(conn).id for _ in range(3))
    assert len(ids) == 3 * len(target.addresses)
