"""The requests of consumer groups (the classic protocol)."""
from types import SimpleNamespace as Answer

from raw import wire
from raw.api import writer


def find_coordinator(conn, key, version=1, kind=0):
    w = writer(wire.FIND_COORDINATOR, version)
    if version <= 3:
        w.string(key)
    if version >= 1:
        w.i8(kind)
    if version >= 4:
        w.array([key], w.string)
    r = conn.call(wire.FIND_COORDINATOR, version, w.tags().done())
    if version >= 1:
        r.i32()
    if version >= 4:
        return r.array(lambda: Answer(key=r.string(), node=r.i32(),
                                      address=f"{r.string()}:{r.i32()}", error=r.i16(),
                                      message=r.string(), tags=r.tags()))[0]
    out = Answer(key=key, error=r.i16(), message=r.string() if version >= 1 else None)
    out.node, out.address = r.i32(), f"{r.string()}:{r.i32()}"
    return out


def join_body(group, member="", version=4, protocols=(("range", b"m"),), session_ms=10000,
              rebalance_ms=10000, kind="consumer", instance=None):
    w = writer(wire.JOIN_GROUP, version)
    w.string(group).i32(session_ms)
    if version >= 1:
        w.i32(rebalance_ms)
    w.string(member)
    if version >= 5:
        w.string(instance)
    w.string(kind).array(protocols, lambda p: w.string(p[0]).bytes(p[1]).tags())
    if version >= 8:
        w.string(None)
    return w.tags().done()


def read_join(r, version):
    if version >= 2:
        r.i32()
    out = Answer(error=r.i16(), generation=r.i32())
    if version >= 7:
        r.string()
    out.protocol, out.leader = r.string(), r.string()
    if version >= 9:
        r.boolean()
    out.member = r.string()

    def read_member():
        name = r.string()
        if version >= 5:
            r.string()
        pair = (name, r.bytes())
        r.tags()
        return pair

    out.members = dict(r.array(read_member))
    return out


def join_group(conn, group, member="", version=4, **fields):
    r = conn.call(wire.JOIN_GROUP, version, join_body(group, member, version, **fields))
    return read_join(r, version)


def join_fully(conn, group, version=4, **fields):
    """Join as clients do: the first try gets the member id, the second joins."""
    first = join_group(conn, group, "", version, **fields)
    return join_group(conn, group, first.member, version, **fields) if first.error == 79 else first


def sync_body(group, generation, member, assignments=(), version=2, instance=None):
    w = writer(wire.SYNC_GROUP, version)
    w.string(group).i32(generation).string(member)
    if version >= 3:
        w.string(instance)
    if version >= 5:
        w.string("consumer").string("range")
    w.array(list(dict(assignments).items()), lambda a: w.string(a[0]).bytes(a[1]).tags())
    return w.tags().done()


def read_sync(r, version):
    if version >= 1:
        r.i32()
    out = Answer(error=r.i16())
    if version >= 5:
        r.string(), r.string()
    out.assignment = r.bytes()
    return out


def sync_group(conn, group, generation, member, assignments=(), version=2, instance=None):
    body = sync_body(group, generation, member, assignments, version, instance)
    return read_sync(conn.call(wire.SYNC_GROUP, version, body), version)


def heartbeat(conn, group, generation, member, version=2, instance=None):
    w = writer(wire.HEARTBEAT, version)
    w.string(group).i32(generation).string(member)
    if version >= 3:
        w.string(instance)
    r = conn.call(wire.HEARTBEAT, version, w.tags().done())
    if version >= 1:
        r.i32()
    return r.i16()


def leave_body(group, member, version=1):
    w = writer(wire.LEAVE_GROUP, version)
    w.string(group)
    if version >= 3:
        def write_member(name):
            w.string(name).string(None)
            if version >= 5:
                w.string(None)
            w.tags()
        w.array([member], write_member)
    else:
        w.string(member)
    return w.tags().done()


def leave_group(conn, group, member, version=1):
    r = conn.call(wire.LEAVE_GROUP, version, leave_body(group, member, version))
    if version >= 1:
        r.i32()
    error = r.i16()
    if version >= 3 and error == 0:
        error = r.array(lambda: (r.string(), r.string(), r.i16(), r.tags()))[0][2]
    return error


def delete_body(group):
    w = writer(wire.DELETE_GROUPS, 1)
    return w.array([group], w.string).done()


def read_deleted(r):
    r.i32()
    return r.array(lambda: (r.string(), r.i16()))[0][1]


def delete_group(conn, group):
    return read_deleted(conn.call(wire.DELETE_GROUPS, 1, delete_body(group)))


def offset_commit_body(group, topic, offset, generation=-1, member="", version=2, text="",
                       partition=0):
    """topic is a name, or a uuid from version 10 on."""
    w = writer(wire.OFFSET_COMMIT, version)
    by_id = version >= 10
    w.string(group).i32(generation).string(member)
    if version >= 7:
        w.string(None)
    if version <= 4:
        w.i64(-1)

    def write_partition(_):
        w.i32(partition).i64(offset)
        if version >= 6:
            w.i32(-1)
        w.string(text).tags()

    w.array([0], lambda _: (w.uuid if by_id else w.string)(topic).array(
        [0], write_partition).tags())
    return w.tags().done()


def offset_commit(conn, group, topic, offset, generation=-1, member="", version=2, **fields):
    by_id = version >= 10
    body = offset_commit_body(group, topic, offset, generation, member, version, **fields)
    r = conn.call(wire.OFFSET_COMMIT, version, body)
    if version >= 3:
        r.i32()
    return r.array(lambda: (r.uuid() if by_id else r.string(),
                            r.array(lambda: (r.i32(), r.i16(), r.tags()))))[0][1][0][1]


def offset_fetch(conn, group, topics, version=5):
    """topics: {name: [partitions]}, or None for all; the answer: {(name, partition): answer}."""
    return fetch_committed(conn, group, topics, version).offsets


def fetch_committed(conn, group, topics, version=5):
    """The same with the error of the group; topics by uuid from version 10 on."""
    body = offset_fetch_body(group, topics, version)
    return read_committed(conn.call(wire.OFFSET_FETCH, version, body), version)


def read_committed(r, version):
    if version >= 3:
        r.i32()
    by_id = version >= 10

    def read_partition():
        p = Answer(index=r.i32(), offset=r.i64(), epoch=-1)
        if version >= 5:
            p.epoch = r.i32()
        p.text, p.error = r.string(), r.i16()
        r.tags()
        return p

    def read_topics():
        topics = r.array(lambda: (r.uuid() if by_id else r.string(), r.array(read_partition),
                                  r.tags()))
        return {(name, p.index): p for name, parts, _ in topics or () for p in parts}

    if version >= 8:
        answers = r.array(lambda: (r.string(), read_topics(), r.i16(), r.tags()))
        return Answer(offsets=answers[0][1], error=answers[0][2])
    return Answer(offsets=read_topics(), error=r.i16() if version >= 2 else 0)


def offset_fetch_body(group, topics, version):
    w = writer(wire.OFFSET_FETCH, version)
    pairs = None if topics is None else list(topics.items())

    def write_topic(pair):
        (w.uuid if version >= 10 else w.string)(pair[0])
        w.array(pair[1], w.i32).tags()

    def write_group(_):
        w.string(group)
        if version >= 9:
            w.string(None).i32(-1)
        w.array(pairs, write_topic).tags()

    if version >= 8:
        w.array([0], write_group).i8(0)
    else:
        w.string(group).array(pairs, write_topic)
        if version == 7:
            w.i8(0)
    return w.tags().done()


def describe_group(conn, group, version=0):
    w = writer(wire.DESCRIBE_GROUPS, version)
    w.array([group], w.string)
    if version >= 3:
        w.i8(0)
    r = conn.call(wire.DESCRIBE_GROUPS, version, w.tags().done())
    if version >= 1:
        r.i32()

    def read_member():
        name = r.string()
        if version >= 4:
            r.string()
        m = Answer(member=name, client_id=r.string(), host=r.string(), metadata=r.bytes(),
                   assignment=r.bytes())
        r.tags()
        return m

    def read_group():
        g = Answer(error=r.i16())
        if version >= 6:
            g.message = r.string()
        g.group, g.state, g.kind, g.protocol = r.string(), r.string(), r.string(), r.string()
        g.members = r.array(read_member)
        if version >= 3:
            r.i32()
        r.tags()
        return g

    return r.array(read_group)[0]


def list_groups(conn, version=0):
    w = writer(wire.LIST_GROUPS, version)
    if version >= 4:
        w.array([], None)
    if version >= 5:
        w.array([], None)
    r = conn.call(wire.LIST_GROUPS, version, w.tags().done())
    if version >= 1:
        r.i32()
    error = r.i16()

    def read_group():
        pair = (r.string(), r.string())
        if version >= 4:
            r.string()
        if version >= 5:
            r.string()
        r.tags()
        return pair

    return error, dict(r.array(read_group))
