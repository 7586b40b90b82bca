"""The admin APIs: each function is run against both sides in every version, and yields answers."""
from compare import by


def versions(name):
    def mark(function):
        function.api = name
        return function
    return mark


TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def resource(type_, name, *ops):
    return {"resource_type": type_, "resource_name": name,
            "configs": [{"name": n, "config_operation": o, "value": v} for n, o, v in ops]}


@versions("IncrementalAlterConfigs")
def incremental_alter_configs(side, version):
    def alter(*resources, validate_only=False, node=1):
        return side.change(node, "IncrementalAlterConfigs", version, resources=list(resources),
                           validate_only=validate_only)

    t = side.topic()
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "5000")))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "7000")), validate_only=True)
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "x")), validate_only=True)
    yield shown(side, TOPIC, t, "retention.ms", "cleanup.policy")
    yield alter(resource(TOPIC, t, ("cleanup.policy", APPEND, "compact")))
    yield shown(side, TOPIC, t, "cleanup.policy")
    yield alter(resource(TOPIC, t, ("cleanup.policy", SUBTRACT, "delete")))
    yield shown(side, TOPIC, t, "cleanup.policy")
    yield alter(resource(TOPIC, t, ("cleanup.policy", DELETE, None)))
    yield alter(resource(TOPIC, t, ("retention.bytes", DELETE, None)))
    yield shown(side, TOPIC, t, "cleanup.policy", "retention.bytes")

    yield alter(resource(TOPIC, "no-such-topic", ("retention.ms", SET, "1")))
    yield alter(resource(TOPIC, "a b", ("retention.ms", SET, "1")))
    yield alter(resource(TOPIC, "", ("retention.ms", SET, "1")))
    yield alter(resource(TOPIC, t, ("no.such.name", SET, "1")))
    yield alter(resource(TOPIC, t, ("no.such.name", DELETE, None)))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "abc")))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "-2")))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, None)))
    yield alter(resource(TOPIC, t, ("retention.ms", APPEND, "5")))
    yield alter(resource(TOPIC, t, ("cleanup.policy", SET, "vanish")))
    yield alter(resource(TOPIC, t, ("cleanup.policy", APPEND, None)))
    yield alter(resource(TOPIC, t, ("retention.ms", 9, "5")))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "5"), ("retention.ms", SET, "6")))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "5"), ("segment.ms", SET, "x")))
    yield alter(resource(TOPIC, t, ("retention.ms", SET, "5")),
                resource(TOPIC, t, ("segment.ms", SET, "6")))
    yield alter(resource(TOPIC, t, ("segment.ms", SET, "6")),
                resource(TOPIC, "no-such-topic", ("segment.ms", SET, "6")))
    yield shown(side, TOPIC, t, "retention.ms", "segment.ms")
    yield alter(resource(TOPIC, t))
    yield alter(resource(99, t, ("a", SET, "b")))
    yield alter()


@versions("IncrementalAlterConfigs")
def incremental_alter_configs_of_brokers(side, version):
    def alter(*resources, validate_only=False, node=1):
        return side.change(node, "IncrementalAlterConfigs", version, resources=list(resources),
                           validate_only=validate_only)

    yield alter(resource(BROKER, "1", ("log.retention.ms", SET, "5000")))
    yield alter(resource(BROKER, "", ("log.retention.ms", SET, "6000")))
    yield shown(side, BROKER, "1", "log.retention.ms")
    yield shown(side, TOPIC, side.topic(), "retention.ms")
    yield alter(resource(BROKER, "1", ("log.retention.ms", DELETE, None)))
    yield alter(resource(BROKER, "", ("log.retention.ms", DELETE, None)))
    yield alter(resource(BROKER, "2", ("log.retention.ms", SET, "5000")))
    yield alter(resource(BROKER, "one", ("log.retention.ms", SET, "5000")))
    yield alter(resource(BROKER, "77", ("log.retention.ms", SET, "5000")))
    yield alter(resource(BROKER, "1", ("log.retention.ms", SET, "abc")))
    yield alter(resource(BROKER, "1", ("node.id", SET, "4")))
    yield alter(resource(BROKER, "1", ("listeners", SET, "x")), validate_only=True)
    yield alter(resource(BROKER, "1", ("log.retention.ms", SET, None)))
    yield alter(resource(BROKER, "1", ("min.insync.replicas", SET, "2")))
    yield alter(resource(BROKER, "", ("min.insync.replicas", DELETE, None)))
    yield alter(resource(BROKER, "1", ("some.plugin.name", SET, "x")))
    yield alter(resource(BROKER, "1", ("some.plugin.name", DELETE, None)))
    yield alter(resource(LOGGER, "1", ("root", SET, "LOUD")))
    yield alter(resource(LOGGER, "1", ("no.such.logger", SET, "INFO")))
    yield alter(resource(LOGGER, "2", ("root", SET, "INFO")))
    yield alter(resource(LOGGER, "1", ("root", DELETE, None)))
    yield alter(resource(LOGGER, "1", ("root", APPEND, "INFO")))


@versions("IncrementalAlterConfigs")
def incremental_alter_configs_of_others(side, version):
    def alter(*resources):
        return side.change(2, "IncrementalAlterConfigs", version, resources=list(resources))

    yield alter(resource(GROUP, "g", ("consumer.session.timeout.ms", SET, "50000")))
    yield shown(side, GROUP, "g", "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms")
    yield alter(resource(GROUP, "g", ("consumer.session.timeout.ms", SET, "5")))
    yield alter(resource(GROUP, "g", ("no.such.name", SET, "5")))
    yield alter(resource(GROUP, "", ("consumer.session.timeout.ms", SET, "50000")))
    yield alter(resource(GROUP, "g", ("consumer.session.timeout.ms", DELETE, None)))
    yield alter(resource(METRICS, "m", ("interval.ms", SET, "1000")))
    yield shown(side, METRICS, "m", "interval.ms", "match")
    yield alter(resource(METRICS, "m", ("interval.ms", SET, "1")))
    yield alter(resource(METRICS, "m", ("no.such.name", SET, "1")))
    yield alter(resource(METRICS, "m", ("match", SET, "client_id=a.*")))
    yield alter(resource(METRICS, "m", ("match", SET, "what=a.*")))
    yield alter(resource(METRICS, "", ("interval.ms", SET, "1000")))
    yield alter(resource(METRICS, "m", ("interval.ms", DELETE, None), ("match", DELETE, None)))
    yield shown(side, METRICS, "m", "interval.ms", "match")


@versions("AlterConfigs")
def alter_configs(side, version):
    def alter(type_, name, *pairs, **more):
        return side.change(1, "AlterConfigs", version, resources=[
            {"resource_type": type_, "resource_name": name,
             "configs": [{"name": k, "value": v} for k, v in pairs]}], **more)

    t = side.topic(configs={"retention.ms": "5000"})
    yield alter(TOPIC, t, ("segment.ms", "100000"), validate_only=True)
    yield alter(TOPIC, t, ("segment.ms", "100000"))
    yield shown(side, TOPIC, t, "retention.ms", "segment.ms")
    yield alter(TOPIC, t, ("segment.ms", "x"))
    yield alter(TOPIC, t, ("segment.ms", None))
    yield alter(TOPIC, t, ("no.such.name", "1"))
    yield alter(TOPIC, "no-such-topic", ("segment.ms", "100000"))
    yield alter(BROKER, "2", ("log.retention.ms", "1"))
    yield alter(BROKER, "1", ("node.id", "1"))
    yield alter(LOGGER, "1", ("root", "INFO"))
    yield alter(99, "1", ("root", "INFO"))
    yield alter(TOPIC, t)
    yield shown(side, TOPIC, t, "retention.ms", "segment.ms")


def shown(side, type_, name, *keys, node=1):
    answer = side.call(node, "DescribeConfigs", 4, include_synonyms=True, resources=[
        {"resource_type": type_, "resource_name": name, "configuration_keys": list(keys)}])
    for result in answer["results"]:
        result["configs"] = by("name", result["configs"])
    return answer


@versions("DescribeConfigs")
def describe_configs(side, version):
    def describe(type_, name, keys, **more):
        answer = side.call(1, "DescribeConfigs", version, resources=[
            {"resource_type": type_, "resource_name": name, "configuration_keys": keys}], **more)
        for result in answer["results"]:
            result["configs"] = by("name", [c for c in result["configs"]
                                            if c["name"] != "write.caching"])
        return answer

    t = side.topic()
    yield describe(TOPIC, t, ["cleanup.policy", "max.message.bytes", "segment.bytes", "nope"])
    yield describe(TOPIC, t, [])
    everything = describe(TOPIC, t, None)
    yield [(c["name"], c["value"]) for c in everything["results"][0]["configs"]]
    yield describe(TOPIC, "no-such-topic", None)
    yield describe(TOPIC, "a b", None)
    yield describe(BROKER, "2", None)
    yield describe(BROKER, "x", None)
    yield describe(BROKER, "", ["log.retention.ms"])
    yield describe(BROKER, "1", ["num.partitions", "default.replication.factor"])
    yield describe(LOGGER, "2", None)
    yield describe(GROUP, "", None)
    yield describe(METRICS, "", None)
    yield describe(99, "x", None)


@versions("CreatePartitions")
def create_partitions(side, version):
    def create(name, count, assignments=None, **more):
        rows = None if assignments is None else [{"broker_ids": row} for row in assignments]
        return side.change(1, "CreatePartitions", version, timeout_ms=10000, topics=[
            {"name": name, "count": count, "assignments": rows}], **more)

    t = side.topic()
    yield create(t, 2, validate_only=True)
    yield create(t, 1)
    yield create(t, 0)
    yield create(t, -1)
    yield create(t, 2, [[2, 3, 1]])
    yield create(t, 4, [[2, 3, 1]])
    yield create(t, 3, [[2, 3, 1], [3, 1, 2]])
    yield create(t, 3, [[2, 3]])
    yield create(t, 3, [[2, 3, 9]])
    yield create(t, 3, [[2, 2, 3]])
    yield create(t, 3, [[]])
    yield create(t, 3, [])
    yield create(t, 20000)
    yield create("no-such-topic", 3)
    yield create("a b", 3)
    answer = side.change(1, "CreatePartitions", version, timeout_ms=10000, topics=[
        {"name": t, "count": 5, "assignments": None}, {"name": t, "count": 6, "assignments": None}])
    answer["results"] = by("name", answer["results"])
    yield answer["results"][0]["error_code"]
    yield side.change(1, "CreatePartitions", version, timeout_ms=10000, topics=[])
    yield len(side.call(1, "Metadata", 8, topics=[{"name": t}])["topics"][0]["partitions"])


@versions("DeleteRecords")
def delete_records(side, version):
    t = side.topic()
    compacted = side.topic(configs={"cleanup.policy": "compact"})

    def delete(name, partition, offset, node=1):
        return side.change(node, "DeleteRecords", version, timeout_ms=5000, topics=[
            {"name": name, "partitions": [{"partition_index": partition, "offset": offset}]}])

    yield delete(t, 0, 0)
    yield delete(t, 0, -1)
    yield delete(t, 0, 1)
    yield delete(t, 0, -2)
    yield delete(t, 1, 0)
    yield delete(t, -1, 0)
    yield delete("no-such-topic", 0, 0)
    yield delete(t, 0, 0, node=2)
    yield delete(compacted, 0, 0)


@versions("ElectLeaders")
def elect_leaders(side, version):
    t = side.topic(partitions=2)

    def elect(partitions, election_type=0):
        more = {"election_type": election_type} if version >= 1 else {}
        answer = side.change(1, "ElectLeaders", version, timeout_ms=5000,
                             topic_partitions=partitions, **more)
        answer["replica_election_results"] = by("topic", answer["replica_election_results"])
        return answer

    yield elect([{"topic": t, "partitions": [0, 1]}])
    yield elect([{"topic": t, "partitions": [0, 7]}])
    yield elect([{"topic": "no-such-topic", "partitions": [0]}])
    yield elect([{"topic": t, "partitions": []}])
    yield elect([])
    yield elect(None)
    if version >= 1:
        yield elect([{"topic": t, "partitions": [0]}], 1)
        yield elect(None, 1)
        yield elect([{"topic": t, "partitions": [0]}], 5)


@versions("DescribeTopicPartitions")
def describe_topic_partitions(side, version):
    t = side.topic(partitions=3)
    u = side.topic(partitions=2)

    def describe(names, limit=2000, cursor=None):
        more = {} if cursor is None else {
            "cursor": {"topic_name": cursor[0], "partition_index": cursor[1]}}
        answer = side.call(1, "DescribeTopicPartitions", version, topics=[
            {"name": n} for n in names], response_partition_limit=limit, **more)
        if answer != "closed":
            for topic in answer["topics"]:
                topic["topic_authorized_operations"] = None
        return answer

    yield describe([t, u])
    yield describe([u, t, t])
    yield describe([t, u], limit=2)
    yield describe([t, u], limit=3)
    yield describe([t, u], limit=4)
    yield describe([t, u], cursor=(t, 2))
    yield describe([t, u], cursor=(t, 3))
    yield describe([t, u], cursor=(u, 0))
    yield describe([t, u], cursor=("zzz", 0))
    yield describe([t], cursor=(t, -1))
    yield describe(["no-such-topic", t])
    yield describe(["a b"])
    yield describe([t], limit=0)
    yield describe([t], limit=-5)


@versions("DescribeLogDirs")
def describe_log_dirs(side, version):
    t = side.topic(partitions=2)
    for wanted in ([{"topic": t, "partitions": [1, 0]}], [{"topic": t, "partitions": [9]}],
                   [{"topic": "no-such-topic", "partitions": [0]}], []):
        answer = side.call(1, "DescribeLogDirs", version, topics=wanted)
        for folder in answer["results"]:
            for topic in folder["topics"]:
                topic["partitions"] = by("partition_index", topic["partitions"])
        yield answer


@versions("AlterReplicaLogDirs")
def alter_replica_log_dirs(side, version):
    t = side.topic()
    answer = side.call(1, "DescribeLogDirs", 4, topics=[])
    there = answer["results"][0]["log_dir"]

    def alter(path, name, partition):
        return side.call(1, "AlterReplicaLogDirs", version, dirs=[
            {"path": path, "topics": [{"name": name, "partitions": [partition]}]}])

    yield alter(there, t, 0)
    yield alter("/no/such/folder", t, 0)
    yield side.call(1, "AlterReplicaLogDirs", version, dirs=[])


@versions("AlterPartitionReassignments")
def alter_partition_reassignments(side, version):
    t = side.topic(partitions=2)

    def alter(replicas, name=t, partition=0, **more):
        return side.change(1, "AlterPartitionReassignments", version, timeout_ms=10000, topics=[
            {"name": name, "partitions": [{"partition_index": partition, "replicas": replicas}]}],
            **more)

    yield alter([1, 2, 9])
    yield alter([1, 1, 2])
    yield alter([])
    yield alter([-1])
    yield alter(None)
    yield alter([1, 2], partition=7)
    yield alter([1, 2], name="no-such-topic")
    yield alter([2, 1, 3])
    if version >= 1:
        yield alter([2, 1], allow_replication_factor_change=False)
    yield alter([2, 1])
    yield alter(None, partition=1)
    yield side.change(1, "AlterPartitionReassignments", version, timeout_ms=10000, topics=[])
    answer = side.call(1, "Metadata", 8, topics=[{"name": t}])
    yield [p["replica_nodes"] for p in by("partition_index",
                                          answer["topics"][0]["partitions"])]


@versions("ListPartitionReassignments")
def list_partition_reassignments(side, version):
    t = side.topic()
    yield side.call(1, "ListPartitionReassignments", version, topics=None)
    yield side.call(1, "ListPartitionReassignments", version, topics=[
        {"name": t, "partition_indexes": [0, 5]}, {"name": "none", "partition_indexes": [0]}])


@versions("UnregisterBroker")
def unregister_broker(side, version):
    yield side.call(1, "UnregisterBroker", version, broker_id=77)
    yield side.call(1, "UnregisterBroker", version, broker_id=-1)


@versions("UpdateFeatures")
def update_features(side, version):
    def update(*updates, **more):
        return side.call(1, "UpdateFeatures", version, timeout_ms=5000,
                         feature_updates=list(updates), **more)

    yield update({"feature": "no.such.feature", "max_version_level": 1})
    yield update({"feature": "metadata.version", "max_version_level": 999})
    yield update({"feature": "metadata.version", "max_version_level": 30})
    yield update({"feature": "", "max_version_level": 30})
    if version >= 1:
        yield update({"feature": "metadata.version", "max_version_level": 33, "upgrade_type": 9})
        yield update({"feature": "metadata.version", "max_version_level": 33}, validate_only=True)
    yield update()


@versions("ListConfigResources")
def list_config_resources(side, version):
    def listed(*types):
        more = {"resource_types": list(types)} if version >= 1 else {}
        answer = side.call(1, "ListConfigResources", version, **more)
        answer["config_resources"] = by("resource_name", answer["config_resources"])
        return answer

    side.change(1, "IncrementalAlterConfigs", 1, resources=[
        resource(METRICS, "listed", ("interval.ms", SET, "1000"))])
    if version == 0:
        yield listed()
        return
    for types in ([METRICS], [BROKER], [LOGGER], [BROKER, METRICS], [99]):
        yield listed(*types)
    everything = listed()
    yield everything["error_code"], sorted({r["resource_type"]
                                            for r in everything["config_resources"]})


@versions("AlterClientQuotas")
def client_quotas(side, version):
    def alter(entity, *ops, **more):
        answer = side.change(1, "AlterClientQuotas", version, entries=[{
            "entity": [{"entity_type": k, "entity_name": v} for k, v in entity],
            "ops": [{"key": k, "value": v or 0.0, "remove": v is None} for k, v in ops]}], **more)
        answer["entries"][0]["entity"] = by("entity_type", answer["entries"][0]["entity"])
        return answer

    def described(*components, strict=False):
        answer = side.call(2, "DescribeClientQuotas", version, strict=strict, components=[
            {"entity_type": t, "match_type": m, "match": n} for t, m, n in components])
        for entry in answer["entries"] or ():
            entry["entity"] = by("entity_type", entry["entity"])
            entry["values"] = by("key", entry["values"])
        if answer["entries"]:
            answer["entries"].sort(key=str)
        return answer

    user = f"u{version}"
    yield alter([("user", user)], ("producer_byte_rate", 1000.0), ("request_percentage", 12.5))
    yield alter([("user", user), ("client-id", "web")], ("consumer_byte_rate", 7.0))
    yield alter([("user", None), ("client-id", f"c{version}")], ("consumer_byte_rate", 8.0))
    yield alter([("user", user)], ("request_percentage", 99.0), validate_only=True)
    yield described(("user", 0, user))
    yield described(("user", 0, user), strict=True)
    yield described(("client-id", 0, f"c{version}"))
    yield described(("user", 1, None), ("client-id", 0, f"c{version}"))
    yield described(("user", 0, user), ("client-id", 2, None))
    yield described(("user", 0, "nobody"))
    yield described(("user", 0, None))
    yield described(("user", 1, "x"))
    yield described(("user", 5, None))
    yield described(("user", 0, "a"), ("user", 0, "b"))
    yield described(("ip", 0, "1.2.3.4"), ("user", 0, "b"))
    yield described(("what", 0, "b"))
    yield described(("", 0, "b"))
    yield alter([("user", user)], ("producer_byte_rate", 1.5))
    yield alter([("user", user)], ("producer_byte_rate", -1.0))
    yield alter([("user", user)], ("no_such_quota", 1.0))
    yield alter([("user", "")], ("producer_byte_rate", 1.0))
    yield alter([("what", "x")], ("producer_byte_rate", 1.0))
    yield alter([], ("producer_byte_rate", 1.0))
    yield alter([("ip", "1.2.3.4")], ("connection_creation_rate", 5.0))
    yield alter([("ip", "1.2.3.4")], ("producer_byte_rate", 5.0))
    yield alter([("ip", "1.2.3.4"), ("user", "x")], ("connection_creation_rate", 5.0))
    yield alter([("ip", "not an address")], ("connection_creation_rate", 5.0))
    yield alter([("user", user)], ("producer_byte_rate", None), ("request_percentage", None))
    yield alter([("user", user)], ("producer_byte_rate", None))
    yield described(("user", 0, user), strict=True)


@versions("DescribeUserScramCredentials")
def describe_user_scram_credentials(side, version):
    yield side.call(1, "DescribeUserScramCredentials", version, users=None)
    yield side.call(1, "DescribeUserScramCredentials", version, users=[])
    yield side.call(1, "DescribeUserScramCredentials", version, users=[{"name": "a"}])
    answer = side.call(1, "DescribeUserScramCredentials", version,
                       users=[{"name": "a"}, {"name": "a"}])
    yield answer["results"][0]


@versions("DescribeAcls")
def acls(side, version):
    anything = {"operation": 1, "permission_type": 1}
    yield side.call(1, "DescribeAcls", version, resource_type_filter=1, **anything)
    one = {"resource_type": 2, "resource_name": "t", "principal": "User:a", "host": "*",
           "operation": 3, "permission_type": 3}
    yield side.call(1, "CreateAcls", version, creations=[one, one])
    yield side.call(1, "DeleteAcls", version, filters=[{"resource_type_filter": 1, **anything}])


@versions("DescribeProducers")
def describe_producers(side, version):
    t = side.topic(partitions=2)

    def describe(name, *partitions):
        return side.call(1, "DescribeProducers", version, topics=[
            {"name": name, "partition_indexes": list(partitions)}])

    yield describe(t, 0)
    yield describe(t, 7)
    yield describe("no-such-topic", 0)


@versions("DescribeQuorum")
def describe_quorum(side, version):
    def describe(name, partition):
        answer = side.call(1, "DescribeQuorum", version, topics=[
            {"topic_name": name, "partitions": [{"partition_index": partition}]}])
        for topic in answer["topics"]:
            for p in topic["partitions"]:
                p["current_voters"] = sorted(v["replica_id"] for v in p["current_voters"])
                p["high_watermark"] = p["high_watermark"] > 0
                p["leader_id"] = p["leader_id"] in (1, 2, 3)
        for node in answer.get("nodes", ()):
            node["listeners"] = len(node["listeners"])
        if "nodes" in answer:
            answer["nodes"] = by("node_id", answer["nodes"])
        return answer

    yield describe("__cluster_metadata", 0)
    yield describe("__cluster_metadata", 1)
    yield describe("no-such-topic", 0)
