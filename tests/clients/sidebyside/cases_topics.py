"""Topics and where they are: creation, deletion, Metadata, DescribeCluster, ListOffsets, …"""
from cases_admin import versions
from compare import by


@versions("CreateTopics")
def create_topics(side, version):
    def create(name, partitions=1, factor=1, assignments=(), configs=(), **more):
        answer = side.change(1, "CreateTopics", version, timeout_ms=10000, topics=[{
            "name": name, "num_partitions": partitions, "replication_factor": factor,
            "assignments": [{"partition_index": p, "broker_ids": ids} for p, ids in assignments],
            "configs": [{"name": k, "value": v} for k, v in configs]}], **more)
        for topic in answer["topics"]:
            if topic.get("configs"):
                topic["configs"] = by("name", [c for c in topic["configs"]
                                               if c["name"] != "write.caching"])
        return answer

    n = f"c{version}"
    yield create(f"{n}-a", 3, 3)
    yield create(f"{n}-a", 3, 3)
    yield create(f"{n}-b", 1, 1, configs=[("retention.ms", "5000")], validate_only=True)
    yield create(f"{n}-b", 1, 1, configs=[("retention.ms", "5000"), ("cleanup.policy", "compact")])
    yield create(f"{n}.c")
    yield create(f"{n}_c")
    yield create(f"{n}-d", 0)
    yield create(f"{n}-d", -2)
    yield create(f"{n}-d", 1, 0)
    yield create(f"{n}-d", 1, -2)
    yield create(f"{n}-d", 1, 4)
    yield create(f"{n}-d", 20000, 1)
    yield create("a b")
    yield create("")
    yield create(".")
    yield create("x" * 250)
    yield create("__cluster_metadata")
    yield create(f"{n}-d", configs=[("no.such.name", "1")])
    yield create(f"{n}-d", configs=[("retention.ms", "abc")])
    yield create(f"{n}-d", configs=[("retention.ms", None)])
    yield create(f"{n}-e", -1, -1, assignments=[(0, [1, 2]), (1, [2, 3])])
    yield create(f"{n}-f", 2, -1, assignments=[(0, [1, 2]), (1, [2, 3])])
    yield create(f"{n}-f", -1, 2, assignments=[(0, [1, 2]), (1, [2, 3])])
    yield create(f"{n}-f", -1, -1, assignments=[(0, [1, 2]), (1, [2])])
    yield create(f"{n}-f", -1, -1, assignments=[(0, [1, 9])])
    yield create(f"{n}-f", -1, -1, assignments=[(0, [1, 1])])
    yield create(f"{n}-f", -1, -1, assignments=[(0, [])])
    yield create(f"{n}-f", -1, -1, assignments=[(1, [1])])
    yield create(f"{n}-f", -1, -1, assignments=[(0, [1]), (0, [2])])
    if version >= 4:
        yield create(f"{n}-g", -1, -1)
    yield side.change(1, "CreateTopics", version, timeout_ms=10000, topics=[])
    twice = {"name": f"{n}-h", "num_partitions": 1, "replication_factor": 1}
    answer = side.change(1, "CreateTopics", version, timeout_ms=10000, topics=[twice, twice])
    yield answer["topics"][0]["error_code"]


@versions("DeleteTopics")
def delete_topics(side, version):
    def delete(*names):
        if version >= 6:
            wanted = {"topics": [{"name": n} for n in names]}
        else:
            wanted = {"topic_names": list(names)}
        answer = side.change(1, "DeleteTopics", version, timeout_ms=10000, **wanted)
        answer["responses"] = by("name", answer["responses"])
        return answer

    t, u = side.topic(), side.topic()
    yield delete("no-such-topic")
    yield delete("a b")
    yield delete(t, "no-such-topic")
    yield delete(t)
    yield delete()
    answer = delete(u, u)
    yield answer["responses"][0]["error_code"]
    if version >= 6:
        none = side.call(1, "DeleteTopics", version, timeout_ms=10000, topics=[{"name": None}])
        yield none
    yield side.call(1, "Metadata", 8, topics=[{"name": t}])["topics"]


@versions("Metadata")
def metadata(side, version):
    def ask(names, **more):
        if version >= 4:
            more["allow_auto_topic_creation"] = False
        topics = None if names is None else [{"name": n} for n in names]
        answer = side.call(1, "Metadata", version, topics=topics, **more)
        answer["brokers"] = by("node_id", answer["brokers"])
        for topic in answer["topics"]:
            topic["partitions"] = by("partition_index", topic["partitions"])
        return answer

    t = side.topic(partitions=3)
    yield ask([t])
    yield ask(["no-such-topic"])
    yield ask(["a b"])
    yield ask([""])
    yield ask([t, t])
    if version >= 1:
        yield ask([])
    if 8 <= version <= 10:
        yield ask([t], include_cluster_authorized_operations=True)
    if version >= 8:
        yield ask([t], include_topic_authorized_operations=True)


@versions("DescribeCluster")
def describe_cluster(side, version):
    def ask(**more):
        answer = side.call(1, "DescribeCluster", version, **more)
        answer["brokers"] = by("broker_id", answer["brokers"])
        return answer

    yield ask()
    yield ask(include_cluster_authorized_operations=True)
    if version >= 1:
        yield ask(endpoint_type=2)
        yield ask(endpoint_type=7)


@versions("ListOffsets")
def list_offsets(side, version):
    t = side.topic()

    def ask(name, partition, timestamp, node=1, **more):
        part = {"partition_index": partition, "timestamp": timestamp, **more}
        return side.call(node, "ListOffsets", version, replica_id=-1, topics=[
            {"name": name, "partitions": [part]}])

    for timestamp in (-1, -2, -3, -4, -5, -6, -7, 0, 5):
        yield ask(t, 0, timestamp)
    yield ask(t, 7, -1)
    yield ask("no-such-topic", 0, -1)
    yield ask(t, 0, -1, node=2)
    if version >= 4:
        yield ask(t, 0, -1, current_leader_epoch=0)
        yield ask(t, 0, -1, current_leader_epoch=9)


@versions("OffsetForLeaderEpoch")
def offset_for_leader_epoch(side, version):
    t = side.topic()

    def ask(name, partition, epoch, current=-1, node=1):
        answer = side.call(node, "OffsetForLeaderEpoch", version, topics=[
            {"topic": name, "partitions": [{"partition": partition, "leader_epoch": epoch,
                                            "current_leader_epoch": current}]}])
        return answer

    yield ask(t, 0, 0)
    yield ask(t, 0, 5)
    yield ask(t, 0, -1)
    yield ask(t, 0, 0, current=0)
    yield ask(t, 0, 0, current=9)
    yield ask(t, 7, 0)
    yield ask("no-such-topic", 0, 0)
    yield ask(t, 0, 0, node=2)


@versions("ApiVersions")
def api_versions(side, version):
    def ask(**more):
        if version >= 3:
            more = {"client_software_name": "raw", "client_software_version": "1", **more}
        answer = side.call(1, "ApiVersions", version, **more)
        for key in ("api_keys", "supported_features", "finalized_features"):
            answer.pop(key, None)  # they say what there is, not how it is asked for
        return answer

    yield ask()
    if version >= 3:
        yield ask(client_software_name="a b")
        yield ask(client_software_name="")
        yield ask(client_software_version="-1")
    if version >= 5:
        yield ask(cluster_id="another")


@versions("InitProducerId")
def init_producer_id(side, version):
    def ask(**more):
        answer = side.call(1, "InitProducerId", version, **more)
        answer["producer_id"] = answer["producer_id"] >= 0
        return answer

    if version > 5:
        return
    side.call(1, "InitProducerId", version, transactional_id=None)
    yield ask(transactional_id="", transaction_timeout_ms=1000)
    if version >= 3:
        yield ask(transactional_id=None, producer_id=7, producer_epoch=-1)
        yield ask(transactional_id=None, producer_id=-1, producer_epoch=3)
