"""What clients may rely on while nodes die, stand still, come back, or come back with nothing."""
import shutil
import threading
import time

import pytest
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry,
                                   ConfigResource)

from load import Load, check_history, read_all
from millrace_cluster import SLOWER, until
from raw import api, records, wire
from raw.records import batch
from raw.wire import Closed

PARTITIONS = 6
FETCH_WAIT_S = 1  # more than replica.fetch.wait.max.ms


def produce(cluster, topic, *values, node=None, acks=-1, **fields):
    with cluster.connect(node or cluster.leader(topic)) as conn:
        return api.produce(conn, topic, batch(list(values), **fields), acks=acks)


def values(cluster, topic, partition=0):
    """The values in the log as the leader serves them, each batch with a right checksum."""
    out, offset = [], 0
    with cluster.connect(cluster.leader(topic, partition)) as conn:
        while True:
            part = api.fetch(conn, [(topic, partition, offset)]).partitions[0]
            assert part.error == 0
            found = records.batches(part.records)
            if not found:
                assert offset == part.high_watermark
                return out
            for b in found:
                assert b.crc_is_right and b.base_offset == offset
                out += b.values()
                offset += b.last_offset_delta + 1


def end_offset(cluster, topic):
    with cluster.connect(cluster.leader(topic)) as conn:
        return api.list_offsets(conn, topic, -1).offset


# ---- a leader that stands still


def led_by(cluster, name, leader):
    """A new topic of one partition that this node leads."""
    others = [n for n in cluster.ids() if n != leader]
    spec = api.topic_spec(name, -1, -1, assignments=[(0, [leader, *others])],
                          configs={"min.insync.replicas": "2"})
    with cluster.connect(leader) as conn:
        assert api.create_topics(conn, [spec])[name].error == 0
    cluster.await_isr(name, 3)
    return name


@pytest.mark.parametrize("number", range(5))
def test_c02_paused_leader_is_replaced_and_acknowledges_nothing_when_it_wakes(shared, number):
    """F14: what waits in its socket when it wakes was sent to one that leads no more. Mostly
    it is the controller as well, which is tempted to give itself its lease back."""
    controller = shared.controller()
    old = controller if number else next(n for n in shared.ids() if n != controller)
    topic = led_by(shared, f"zombie-{number}", old)
    assert produce(shared, topic, b"before", node=old).error == 0
    conns = {acks: shared.connect(old) for acks in (1, -1)}
    for conn in conns.values():
        assert api.api_versions(conn).error == 0
    shared.pause(old)
    sent = {acks: conn.send(wire.PRODUCE, 7, api.produce_body(
        topic, batch([b"to the zombie, acks=%d" % acks]), acks=acks))
        for acks, conn in conns.items()}
    witness = next(n for n in shared.ids() if n != old)
    begin = time.monotonic()
    new = shared.await_leader(topic, node=witness, other_than=old)
    print(f"a new leader after {time.monotonic() - begin:.1f} s")
    assert produce(shared, topic, b"meanwhile", node=new).error == 0
    shared.resume(old)
    for acks, conn in conns.items():
        answer = api.read_produce(conn.receive(wire.PRODUCE, 7, sent[acks]), 7)
        assert answer.error == 6, f"acks={acks}: the deposed leader said {answer.error}"
        conn.close()
    shared.await_isr(topic, 3)
    assert values(shared, topic) == [b"before", b"meanwhile"]


def test_c02_tail_that_only_a_paused_leader_has_is_cut(make_cluster):
    """It took records that no other has, with acks=1, and then stood still. Its lease has to last
    for as long as that takes here, while it is the only one that runs."""
    nodes = make_cluster(3, broker_session_timeout_ms="6000")
    topic = nodes.create_topic("tail", min_insync_replicas="1")
    old = nodes.leader(topic)
    followers = [n for n in nodes.ids() if n != old]
    assert produce(nodes, topic, b"first").error == 0
    for node in followers:
        nodes.pause(node)
    time.sleep(FETCH_WAIT_S)  # until no fetch of theirs waits there for an answer
    assert produce(nodes, topic, b"lonely", node=old, acks=1).error == 0
    nodes.pause(old)
    for node in followers:
        nodes.resume(node)
    new = nodes.await_leader(topic, node=followers[0], other_than=old)
    assert produce(nodes, topic, b"second", node=new).error == 0
    nodes.resume(old)
    nodes.await_isr(topic, 3)
    assert values(nodes, topic) == [b"first", b"second"]
    nodes.kill(new)
    nodes.await_leader(topic, node=old, other_than=new)
    assert values(nodes, topic) == [b"first", b"second"]


@pytest.mark.parametrize("role", ["leader", "follower", "controller"])
def test_f14_f15_f16_pause_longer_than_a_session_loses_nothing(shared, role):
    topic = shared.create_topic(f"paused-{role}", PARTITIONS, min_insync_replicas="2")
    with Load(shared.bootstrap(), topic, PARTITIONS, socket_timeout_ms=2000,
              topic_metadata_refresh_interval_ms=1000) as load:
        load.await_acks()
        leader = shared.leader(topic)
        victim = {"leader": leader, "controller": shared.controller(),
                  "follower": next(n for n in shared.ids() if n != leader)}[role]
        begin = time.monotonic()
        shared.pause(victim)
        witness = next(n for n in shared.ids() if n != victim)
        until(lambda: all(p.leader not in (-1, victim) for p in
                          shared.seen_by(witness, topic).values()), what="new leaders")
        load.await_acks(time.monotonic(), timeout_s=60)
        shared.resume(victim)
        shared.await_isr(topic, 3)
        load.await_acks(time.monotonic())
        print(f"{role} paused: %.1f s without any, %.1f s of one partition" %
              load.longest_gap(begin, time.monotonic()))
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(shared.bootstrap(), topic, PARTITIONS))


# ---- fewer in sync than asked for


def test_c09_fewer_in_sync_than_asked_for_is_19_at_once_and_acks_1_works(shared):
    topic = shared.create_topic("under", min_insync_replicas="3")
    leader = shared.leader(topic)
    shared.kill(next(n for n in shared.ids() if n != leader))
    until(lambda: len(shared.seen_by(leader, topic)[0].isr) == 2)
    shared.create_topic("later", replicas=1)  # by then the leader itself has taken that over
    begin = time.monotonic()
    answer = produce(shared, topic, b"all")
    assert answer.error == 19 and time.monotonic() - begin < 2 * SLOWER
    assert end_offset(shared, topic) == 0, "refused before it was appended"
    assert produce(shared, topic, b"one", acks=1).error == 0
    shared.up_again()
    shared.await_isr(topic, 3)
    assert produce(shared, topic, b"all").error == 0
    assert values(shared, topic) == [b"one", b"all"]


def test_c09_isr_that_shrinks_while_a_write_waits_is_20(shared):
    topic = shared.create_topic("shrinks", min_insync_replicas="3")
    leader = shared.leader(topic)
    follower = next(n for n in shared.ids() if n not in (leader, shared.controller()))
    shared.pause(follower)
    answer = produce(shared, topic, b"x", node=leader)
    assert answer.error == 20
    shared.resume(follower)
    shared.await_isr(topic, 3)
    assert values(shared, topic) == [b"x"], "it was appended all the same"


def test_c07_last_replica_standing_loses_nothing_below_the_high_watermark(make_cluster):
    """Five nodes, so that the quorum outlives the partition: 4 leads, 5 and 3 follow."""
    cluster = make_cluster(5)
    spec = api.topic_spec("elr", -1, -1, assignments=[(0, [4, 5, 3])],
                          configs={"min.insync.replicas": "2"})
    with cluster.connect(1) as conn:
        assert api.create_topics(conn, [spec])["elr"].error == 0
    cluster.await_isr("elr", 3)
    acknowledged = []
    for value, node, left in ((b"of three", 5, {4, 3}), (b"of two", 3, {4})):
        assert produce(cluster, "elr", value).error == 0
        acknowledged.append(value)
        cluster.kill(node)
        until(lambda n=left: set(cluster.seen_by(1, "elr")[0].isr) == n, what="a smaller ISR")
    # Answered when every live broker has taken over all that came before: the leader knows its ISR.
    cluster.create_topic("later", replicas=1)
    assert produce(cluster, "elr", b"refused").error == 19
    assert end_offset(cluster, "elr") == 2
    cluster.kill(4)
    cluster.start(5)  # has not all of it, and must not lead, however long nobody else is there
    time.sleep(1)
    assert cluster.seen_by(1, "elr")[0].leader == -1
    cluster.start(3)
    cluster.start(4)
    cluster.await_isr("elr", 3)
    assert produce(cluster, "elr", b"goes on").error == 0
    assert values(cluster, "elr") == acknowledged + [b"goes on"]


# ---- idempotence over a change of leaders


def test_c34_answer_lost_with_the_leader_is_given_again_by_the_next_one(shared):
    topic = shared.create_topic("again", min_insync_replicas="2")
    with shared.connect(1) as conn:
        pid = api.init_producer_id(conn)
    sent = [batch([b"%d" % i] * 2, producer=(pid.id, pid.epoch, 2 * i)) for i in range(6)]
    old = shared.leader(topic)
    with shared.connect(old) as conn:
        for index, data in enumerate(sent[:5]):
            assert api.produce(conn, topic, data).base_offset == 2 * index
    shared.kill(old)
    new = shared.await_leader(topic, other_than=old)
    with shared.connect(new) as conn:
        for index, data in enumerate(sent[:5]):
            answer = api.produce(conn, topic, data)
            assert (answer.error, answer.base_offset) == (0, 2 * index)
        gap = batch([b"gap"], producer=(pid.id, pid.epoch, 12))
        # For a moment what lies between may be on its way: librdkafka takes 45 for the end.
        assert api.produce(conn, topic, gap).error == 6
        until(lambda: api.produce(conn, topic, gap).error == 45, 10, "the truth")
        assert api.produce(conn, topic, sent[5]).base_offset == 10
    assert values(shared, topic) == [b"%d" % (i // 2) for i in range(12)]
    shared.start(old)
    shared.await_isr(topic, 3)


def set_min_isr(cluster, topic, least):
    entry = ConfigEntry("min.insync.replicas", str(least),
                        incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap()})
    admin.incremental_alter_configs([resource])[resource].result(10)


def test_c34_what_was_under_way_behind_a_refused_batch_is_no_gap(shared):
    """The reason of the refusal passes between two batches of one producer."""
    topic = shared.create_topic("behind", min_insync_replicas="3")
    leader = shared.leader(topic)
    shared.kill(next(n for n in shared.ids() if n != leader))
    until(lambda: len(shared.seen_by(leader, topic)[0].isr) == 2)
    with shared.connect(leader) as conn:
        pid = api.init_producer_id(conn)
        first, second, third = (batch([b"x"], producer=(pid.id, pid.epoch, n)) for n in range(3))
        assert api.produce(conn, topic, first, acks=1).error == 0
        for _ in range(5):  # where the machine is too slow, it is a gap after all
            assert api.produce(conn, topic, second).error == 19
            begin = time.monotonic()
            set_min_isr(shared, topic, 2)
            error = api.produce(conn, topic, third).error
            slow = time.monotonic() - begin > 0.9
            set_min_isr(shared, topic, 3)
            if not slow:
                break
        assert error == 6
        until(lambda: api.produce(conn, topic, third, acks=1).error == 45, 10, "the truth")
    shared.up_again()


# ---- all at once, and with nothing left


def test_f05_all_killed_at_once_come_back_with_everything(shared):
    topic = shared.create_topic("all-at-once", PARTITIONS, min_insync_replicas="2")
    with Load(shared.bootstrap(), topic, PARTITIONS) as load:
        for _ in range(3):
            load.await_acks(time.monotonic(), timeout_s=60)
            killers = [threading.Thread(target=shared.kill, args=(n,)) for n in shared.ids()]
            for killer in killers:
                killer.start()
            for killer in killers:
                killer.join()
            shared.up_again()
        load.await_acks(time.monotonic(), timeout_s=60)
    assert load.fatal is None and not load.failures
    shared.await_isr(topic, 3)
    check_history(load.acks, read_all(shared.bootstrap(), topic, PARTITIONS))


@pytest.mark.parametrize("role", ["follower", "controller"])
def test_c06_node_that_lost_its_disk_heals_by_itself(shared, role):
    """F48: it comes back under its id with nothing; the two others lost nothing meanwhile."""
    topic = shared.create_topic(f"wiped-{role}", PARTITIONS, min_insync_replicas="2")
    identity = shared.metadata(1).cluster_id
    with Load(shared.bootstrap(), topic, PARTITIONS) as load:
        load.await_acks()
        controller = shared.controller()
        victim = controller if role == "controller" else next(
            n for n in shared.ids() if n != controller)
        shared.kill(victim)
        shutil.rmtree(shared.data(victim))
        load.await_acks(time.monotonic())
        begin = time.monotonic()
        shared.start(victim)
        shared.await_isr(topic, 3)
        print(f"healed after {time.monotonic() - begin:.1f} s")
        load.await_acks(time.monotonic())
    assert load.fatal is None and not load.failures
    assert shared.metadata(victim).cluster_id == identity
    # It votes again, and has all of it: the cluster lives on with it and one other.
    other = next(n for n in shared.ids() if n != victim)
    until(lambda: "voter=1" in shared.log(victim).rpartition("joined the quorum")[2],
          what="its vote")
    shared.kill(other)
    shared.await_isr(topic, 2)
    assert produce(shared, topic, b"0", keys=[b"late"]).error == 0
    seen = [r for r in read_all(shared.bootstrap(), topic, PARTITIONS) if r.key != "late"]
    check_history(load.acks, seen)
    shared.start(other)
    shared.await_isr(topic, 3)


# ---- the quorum


def test_c68_with_one_of_three_dead_all_admin_work_goes_on(shared):
    victim = shared.controller()
    shared.kill(victim)
    node = shared.live()[0]
    until(lambda: victim not in shared.active(node), what="its end, known")
    with shared.connect(node) as conn:
        assert api.create_topics(conn, [api.topic_spec("two", 2, 2)])["two"].error == 0
        assert api.create_topics(conn, [api.topic_spec("four", 1, 4)])["four"].error == 38
        assert api.produce(shared.connect(shared.leader("two")), "two", batch([b"x"])).error == 0
        assert api.init_producer_id(conn).error == 0
        assert api.delete_topics(conn, ["two"]) == {"two": 0}
    shared.up_again()


def test_c68_with_two_of_three_dead_admin_work_fails_in_time_and_it_heals(shared):
    topic = shared.create_topic("survives", min_insync_replicas="2")
    assert produce(shared, topic, b"before").error == 0
    shared.kill(1)
    shared.kill(2)
    begin = time.monotonic()
    with shared.connect(3, timeout_s=30) as conn:
        spec = api.topic_spec("never", 1, 1)
        assert api.create_topics(conn, [spec], timeout_ms=1000)["never"].error != 0
        assert api.metadata(conn, [topic], 9).topics[0].error in (0, 5), "it still answers"
    print(f"refused after {time.monotonic() - begin:.1f} s")
    assert time.monotonic() - begin < 10 * SLOWER
    begin = time.monotonic()
    answer = produce_or_closed(shared, topic)
    assert answer != 0 and time.monotonic() - begin < 15 * SLOWER
    shared.up_again()
    shared.await_isr(topic, 3)
    assert produce(shared, topic, b"after").error == 0
    kept = values(shared, topic)
    assert kept[0] == b"before" and kept[-1] == b"after"


def produce_or_closed(cluster, topic):
    try:
        with cluster.connect(3, timeout_s=30) as conn:
            return api.produce(conn, topic, batch([b"lonely"]), timeout_ms=2000).error
    except Closed:
        return "closed"
