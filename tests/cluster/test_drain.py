"""Brokers that go for good: drained first, then unregistered; and when that is refused."""
import os
import subprocess
import time

from load import Load, check_history, read_all
from millrace_cluster import until
from raw import api

BINARY = os.environ.get("MILLRACE", "millrace")
PARTITIONS = 6


def drain(cluster, node, *words, through=1):
    properties = cluster.dir / f"node-{through}" / "server.properties"
    return subprocess.run([BINARY, "cluster", "drain", properties, str(node), *words],
                          capture_output=True, text=True, timeout=120, check=False)


def test_c61_drained_broker_gives_everything_away_under_load_and_goes(cluster):
    topic = cluster.create_topic("drained", PARTITIONS, min_insync_replicas="2")
    cluster.run("add")
    until(lambda: any(4 in p.replicas for p in cluster.seen_by(1, topic).values()),
          60, "replicas on the new broker")
    with Load(cluster.bootstrap(), topic, PARTITIONS) as load:
        load.await_acks()
        done = drain(cluster, 4)
        assert done.returncode == 0 and "unregistered" in done.stdout, done.stderr
        print(done.stdout)
        assert cluster.active(1) == {1, 2, 3}
        for node in (1, 2, 3):
            assert all(set(p.replicas) == {1, 2, 3} for p in cluster.seen_by(node, topic).values())
        until(lambda: "unregistered" in cluster.log(4), what="the broker's own word for it")
        time.sleep(1)  # it says hello meanwhile
        assert cluster.active(1) == {1, 2, 3}, "it does not come back by itself"
        cluster.stop(4)
        load.await_acks(time.monotonic())
    cluster.await_isr(topic, 3)
    assert load.fatal is None and not load.failures
    check_history(load.acks, read_all(cluster.bootstrap(), topic, PARTITIONS))
    # Its id is free again once somebody says so.
    assert drain(cluster, 4, "--cancel").returncode == 0
    cluster.start(4)
    assert cluster.active(1) == {1, 2, 3, 4}


def test_c61_drain_is_refused_with_the_reason(shared):
    voter = drain(shared, 2)
    assert voter.returncode == 1 and "votes in the quorum" in voter.stderr
    unknown = drain(shared, 77)
    assert unknown.returncode == 1 and "BROKER_ID_NOT_REGISTERED" in unknown.stderr
    assert drain(shared, "x").returncode == 1


def test_c61_drain_is_refused_where_the_others_cannot_carry_it(make_cluster):
    cluster = make_cluster(4)
    spec = api.topic_spec("wide", 1, 4)
    with cluster.connect(1) as conn:
        assert api.create_topics(conn, [spec])["wide"].error == 0
    done = drain(cluster, 4, through=4)
    assert done.returncode == 1, done.stdout
    assert "has 4 replicas, and without broker 4 there are only 3" in done.stderr
    assert cluster.active(1) == {1, 2, 3, 4}
