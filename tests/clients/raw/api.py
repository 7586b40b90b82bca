"""The requests that the tests send, each in whatever version is asked for."""
from types import SimpleNamespace as Answer

from raw import wire
from raw.wire import Writer, is_flexible


def writer(key, version):
    return Writer(is_flexible(key, version))


def api_versions_body(version, name="raw", software_version="1", cluster_id=None, node_id=-1):
    w = writer(wire.API_VERSIONS, version)
    if version >= 3:
        w.string(name).string(software_version)
    if version >= 5:
        w.string(cluster_id).i32(node_id)
    return w.tags().done()


def read_api_versions(r, version):
    error = r.i16()
    keys = r.array(lambda: (r.i16(), r.i16(), r.i16(), r.tags())) or []
    out = Answer(error=error, keys={k: (low, high) for k, low, high, _ in keys}, tags={})
    if version >= 1:
        r.i32()
    if version >= 3:
        out.tags = r.tags()
    return out


def api_versions(conn, version=0, **fields):
    r = conn.call(wire.API_VERSIONS, version, api_versions_body(version, **fields))
    return read_api_versions(r, version)


def metadata(conn, topics, version=4, auto_create=False):
    """Topics by name or by uuid; None asks for all of them (where the version can)."""
    w = writer(wire.METADATA, version)

    def write_topic(topic):
        by_id = not isinstance(topic, str)
        if version >= 10:
            w.raw(topic.bytes if by_id else bytes(16))
            topic = None if by_id else topic
        w.string(topic).tags()

    w.array(topics, write_topic)
    if version >= 4:
        w.i8(auto_create)
    if 8 <= version <= 10:
        w.i8(0)
    if version >= 8:
        w.i8(0)
    return read_metadata(conn.call(wire.METADATA, version, w.tags().done()), version)


def read_metadata(r, version):
    out = Answer(cluster_id=None, controller=-1, error=0)
    if version >= 3:
        r.i32()
    brokers = r.array(lambda: (r.i32(), f"{r.string()}:{r.i32()}",
                               r.string() if version >= 1 else None, r.tags()))
    out.brokers = {b[0]: b[1] for b in brokers}
    if version >= 2:
        out.cluster_id = r.string()
    if version >= 1:
        out.controller = r.i32()

    def read_partition():
        p = Answer(error=r.i16(), index=r.i32(), leader=r.i32(), epoch=-1)
        if version >= 7:
            p.epoch = r.i32()
        p.replicas, p.isr = r.array(r.i32), r.array(r.i32)
        p.offline = r.array(r.i32) if version >= 5 else []
        r.tags()
        return p

    def read_topic():
        t = Answer(error=r.i16(), name=r.string(), id=r.uuid() if version >= 10 else None,
                   internal=r.boolean() if version >= 1 else False)
        t.partitions = {p.index: p for p in r.array(read_partition)}
        if version >= 8:
            r.i32()
        r.tags()
        return t

    out.topics = r.array(read_topic)
    if 8 <= version <= 10:
        r.i32()
    if version >= 13:
        out.error = r.i16()
    r.tags()
    out.whole = r.at_end()
    return out


def topic_spec(name, partitions=1, replicas=1, assignments=(), configs=()):
    return Answer(name=name, partitions=partitions, replicas=replicas, assignments=assignments,
                  configs=list(dict(configs).items()))


def create_topics(conn, specs, version=4, validate_only=False, timeout_ms=10000):
    """{name: answer}; a name asked for twice is in it once."""
    w = writer(wire.CREATE_TOPICS, version)

    def write_assignment(pair):
        w.i32(pair[0]).array(pair[1], w.i32).tags()

    def write_spec(s):
        w.string(s.name).i32(s.partitions).i16(s.replicas).array(s.assignments, write_assignment)
        w.array(s.configs, lambda c: w.string(c[0]).string(c[1]).tags()).tags()

    w.array(specs, write_spec).i32(timeout_ms).i8(validate_only).tags()
    r = conn.call(wire.CREATE_TOPICS, version, w.done())
    if version >= 2:
        r.i32()

    def read_topic():
        t = Answer(name=r.string(), id=r.uuid() if version >= 7 else None, error=r.i16(),
                   message=r.string())
        if version >= 5:
            t.partitions, t.replicas = r.i32(), r.i16()
            t.configs = r.array(lambda: (r.string(), r.string(), r.i8(), r.i8(), r.i8(), r.tags()))
        r.tags()
        return t

    return {t.name: t for t in r.array(read_topic)}


def delete_topics(conn, names, version=3):
    w = writer(wire.DELETE_TOPICS, version)

    def write_topic(name):
        if version >= 6:
            w.string(name).raw(bytes(16)).tags()
        else:
            w.string(name)

    w.array(names, write_topic).i32(10000).tags()
    r = conn.call(wire.DELETE_TOPICS, version, w.done())
    r.i32()

    def read_result():
        name = r.string()
        if version >= 6:
            r.uuid()
        error = r.i16()
        if version >= 5:
            r.string()
        r.tags()
        return name, error

    return dict(r.array(read_result))


def delete_records(conn, topic, offset, partition=0):
    """(low watermark, error)"""
    w = writer(wire.DELETE_RECORDS, 1)
    w.array([0], lambda _: w.string(topic).array([0], lambda _: w.i32(partition).i64(offset)))
    r = conn.call(wire.DELETE_RECORDS, 1, w.i32(10000).done())
    r.i32()
    _, low, error = r.array(lambda: (r.string(), r.array(
        lambda: (r.i32(), r.i64(), r.i16()))))[0][1][0]
    return low, error


def produce_body(topic, records, version=7, partition=0, acks=-1, txn=None, timeout_ms=10000):
    """topic is a name, or a uuid from version 13 on."""
    w = writer(wire.PRODUCE, version)
    w.string(txn).i16(acks).i32(timeout_ms)

    def write_topic(_):
        (w.uuid if version >= 13 else w.string)(topic)
        w.array([0], lambda _: w.i32(partition).bytes(records).tags()).tags()

    return w.array([0], write_topic).tags().done()


def read_produce(r, version):
    def read_partition():
        p = Answer(index=r.i32(), error=r.i16(), base_offset=r.i64(), append_time=r.i64(),
                   log_start=-1, record_errors=[], message=None)
        if version >= 5:
            p.log_start = r.i64()
        if version >= 8:
            p.record_errors = r.array(lambda: (r.i32(), r.string(), r.tags())[:2])
            p.message = r.string()
        p.current_leader = read_current_leader(r.tags().get(0))
        return p

    def read_topic():
        r.uuid() if version >= 13 else r.string()
        partitions = r.array(read_partition)
        r.tags()
        return partitions

    answer = r.array(read_topic)[0][0]
    answer.throttle = r.i32()
    answer.endpoints = read_endpoints(r.tags().get(0))
    return answer


def read_current_leader(tag):
    """(leader, leader epoch) of a refused partition (KIP-951), None when not told."""
    r = wire.Reader(tag or b"", True)
    return (r.i32(), r.i32()) if tag else None


def read_endpoints(tag):
    """{node: host:port} of the leaders named in the answer (KIP-951)."""
    if not tag:
        return {}
    r = wire.Reader(tag, True)
    nodes = r.array(lambda: (r.i32(), r.string(), r.i32(), r.string(), r.tags()))
    return {node: f"{host}:{port}" for node, host, port, _, _ in nodes}


def produce(conn, topic, records, version=7, **fields):
    """The answer for the one partition written to."""
    body = produce_body(topic, records, version, **fields)
    return read_produce(conn.call(wire.PRODUCE, version, body), version)


def fetch_body(partitions, version=4, max_wait_ms=0, min_bytes=1, max_bytes=1 << 26,
               partition_max_bytes=1 << 20, isolation=0, session=(0, -1), rack=""):
    """partitions: [(topic name or uuid, partition, offset)] in the order to ask for them."""
    w = writer(wire.FETCH, version)
    if version < 15:
        w.i32(-1)
    w.i32(max_wait_ms).i32(min_bytes).i32(max_bytes).i8(isolation)
    if version >= 7:
        w.i32(session[0]).i32(session[1])

    def write_partition(part):
        w.i32(part[1])
        if version >= 9:
            w.i32(-1)
        w.i64(part[2])
        if version >= 12:
            w.i32(-1)
        if version >= 5:
            w.i64(-1)
        w.i32(partition_max_bytes).tags()

    def write_topic(part):
        (w.uuid if version >= 13 else w.string)(part[0])
        w.array([part], write_partition).tags()

    w.array(partitions, write_topic)
    if version >= 7:
        w.array([], None)
    if version >= 11:
        w.string(rack)
    return w.tags().done()


def read_fetch(r, version):
    out = Answer(throttle=r.i32(), error=0, session=0)
    if version >= 7:
        out.error, out.session = r.i16(), r.i32()

    def read_partition():
        p = Answer(index=r.i32(), error=r.i16(), high_watermark=r.i64(), last_stable=r.i64(),
                   log_start=-1)
        if version >= 5:
            p.log_start = r.i64()
        p.aborted = r.array(lambda: (r.i64(), r.i64(), r.tags())[:2])
        p.preferred = r.i32() if version >= 11 else -1
        p.records = r.bytes() or b""
        p.current_leader = read_current_leader(r.tags().get(1))
        return p

    def read_topic():
        name = r.uuid() if version >= 13 else r.string()
        parts = r.array(read_partition)
        r.tags()
        for p in parts:
            p.topic = name
        return parts

    out.partitions = [p for topic in r.array(read_topic) for p in topic]
    out.endpoints = read_endpoints(r.tags().get(0))
    return out


def fetch(conn, partitions, version=4, **fields):
    body = fetch_body(partitions, version, **fields)
    return read_fetch(conn.call(wire.FETCH, version, body), version)


def list_offsets(conn, topic, timestamp, version=5, partition=0, isolation=0):
    w = writer(wire.LIST_OFFSETS, version)

    def write_partition(_):
        w.i32(partition)
        if version >= 4:
            w.i32(-1)
        w.i64(timestamp).tags()

    w.i32(-1)
    if version >= 2:
        w.i8(isolation)
    w.array([0], lambda _: w.string(topic).array([0], write_partition).tags())
    if version >= 10:
        w.i32(5000)
    r = conn.call(wire.LIST_OFFSETS, version, w.tags().done())
    if version >= 2:
        r.i32()

    def read_partition():
        p = Answer(index=r.i32(), error=r.i16(), timestamp=r.i64(), offset=r.i64(), epoch=-1)
        if version >= 4:
            p.epoch = r.i32()
        r.tags()
        return p

    return r.array(lambda: (r.string(), r.array(read_partition), r.tags()))[0][1][0]


def offset_for_leader_epoch(conn, topic, epoch, current_epoch=-1, version=2, partition=0):
    w = writer(wire.OFFSET_FOR_LEADER_EPOCH, version)
    if version >= 3:
        w.i32(-1)
    w.array([0], lambda _: w.string(topic).array(
        [0], lambda _: w.i32(partition).i32(current_epoch).i32(epoch).tags()).tags())
    r = conn.call(wire.OFFSET_FOR_LEADER_EPOCH, version, w.tags().done())
    r.i32()
    read = lambda: Answer(error=r.i16(), index=r.i32(), epoch=r.i32(), end_offset=r.i64(),
                          tags=r.tags())
    return r.array(lambda: (r.string(), r.array(read), r.tags()))[0][1][0]


def init_producer_id(conn, version=1, txn=None, timeout_ms=60000, producer=(-1, -1)):
    w = writer(wire.INIT_PRODUCER_ID, version)
    w.string(txn).i32(timeout_ms)
    if version >= 3:
        w.i64(producer[0]).i16(producer[1])
    if version >= 6:
        w.i8(0).i8(0)
    r = conn.call(wire.INIT_PRODUCER_ID, version, w.tags().done())
    return Answer(throttle=r.i32(), error=r.i16(), id=r.i64(), epoch=r.i16())


def describe_configs(conn, kind, name, keys=None, version=1, synonyms=False):
    w = writer(wire.DESCRIBE_CONFIGS, version)
    w.array([0], lambda _: w.i8(kind).string(name).array(keys, w.string).tags())
    if version >= 1:
        w.i8(synonyms)
    if version >= 3:
        w.i8(0)
    r = conn.call(wire.DESCRIBE_CONFIGS, version, w.tags().done())
    r.i32()

    def read_config():
        c = Answer(name=r.string(), value=r.string(), read_only=r.boolean(), source=r.i8(),
                   sensitive=r.boolean(), synonyms=[])
        if version >= 1:
            c.synonyms = r.array(lambda: (r.string(), r.string(), r.i8(), r.tags())[:3])
        if version >= 3:
            r.i8(), r.string()
        r.tags()
        return c

    def read_resource():
        res = Answer(error=r.i16(), message=r.string(), kind=r.i8(), name=r.string())
        res.configs = {c.name: c for c in r.array(read_config)}
        r.tags()
        return res

    return r.array(read_resource)[0]


def describe_cluster(conn, version=0):
    w = writer(wire.DESCRIBE_CLUSTER, version).i8(0)
    if version >= 1:
        w.i8(1)
    if version >= 2:
        w.i8(0)
    r = conn.call(wire.DESCRIBE_CLUSTER, version, w.tags().done())
    out = Answer(throttle=r.i32(), error=r.i16(), message=r.string())
    if version >= 1:
        r.i8()
    out.cluster_id, out.controller = r.string(), r.i32()

    def read_broker():
        pair = (r.i32(), f"{r.string()}:{r.i32()}")
        r.string()
        if version >= 2:
            r.i8()
        r.tags()
        return pair

    out.brokers = dict(r.array(read_broker))
    return out
