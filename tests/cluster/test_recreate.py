"""A topic is deleted and made anew while a node is away: nothing of the old one comes back."""
from confluent_kafka import Producer

from load import read_all
from millrace_cluster import until
from raw import api


def produce(cluster, topic, keys):
    errors = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap(), "acks": "all"})
    for key in keys:
        producer.produce(topic, key=key, value="0", partition=0,
                         on_delivery=lambda e, _: errors.append(e) if e else None)
    producer.flush(60)
    assert not errors


def test_a_node_that_was_away_takes_the_new_topic_and_drops_the_old(make_cluster):
    cluster = make_cluster(3)
    topic = cluster.create_topic("again", 1)
    produce(cluster, topic, ["old"] * 100)
    cluster.kill(3)
    until(lambda: cluster.active(1) == {1, 2}, what="node 3 to be gone")
    with cluster.connect(1) as conn:
        assert api.delete_topics(conn, [topic]) == {topic: 0}
        spec = api.topic_spec(topic, -1, -1, assignments=[(0, [1, 2, 3])])
        answer = api.create_topics(conn, [spec])[topic]
        assert answer.error == 0, answer.message
    produce(cluster, topic, ["new"] * 7)
    cluster.start(3)
    cluster.await_isr(topic, 3)
    cluster.stop(1)
    cluster.stop(2)
    cluster.start(2)
    cluster.await_isr(topic, 2)
    assert [r.key for r in read_all(cluster.bootstrap(), topic, 1)] == ["new"] * 7
    assert not list(cluster.data(3).glob(f"{topic}-0.*"))
