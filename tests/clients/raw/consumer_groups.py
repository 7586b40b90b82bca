"""The requests of the consumer protocol (KIP-848), and a member that does what a client does."""
from types import SimpleNamespace as Answer

from raw import wire
from raw.api import writer


def heartbeat_body(group, member, epoch, instance=None, rack=None, rebalance_ms=-1, topics=None,
                   regex=None, assignor=None, owned=None, version=1):
    """owned: [(topic id, [partition, …])], as an answer has it."""
    w = writer(wire.CONSUMER_GROUP_HEARTBEAT, version)
    w.string(group).string(member).i32(epoch).string(instance).string(rack).i32(rebalance_ms)
    w.array(topics, w.string)
    if version >= 1:
        w.string(regex)
    w.string(assignor)
    w.array(owned, lambda t: w.uuid(t[0]).array(t[1], w.i32).tags())
    return w.tags().done()


def heartbeat(conn, group, member, epoch, version=1, **fields):
    r = conn.call(wire.CONSUMER_GROUP_HEARTBEAT, version,
                  heartbeat_body(group, member, epoch, version=version, **fields))

    def read_topic():
        topic = (r.uuid(), r.array(r.i32))
        r.tags()
        return topic

    r.i32()
    out = Answer(error=r.i16(), message=r.string(), member=r.string(), epoch=r.i32(),
                 interval_ms=r.i32(), assignment=None)
    if r.i8() >= 0:
        out.assignment = r.array(read_topic)
        r.tags()
    r.tags()
    assert r.at_end()
    return out


def describe(conn, group, version=1):
    """One group: state, epochs, and its members by id with the number of their partitions."""
    w = writer(wire.CONSUMER_GROUP_DESCRIBE, version)
    w.array([group], w.string).raw(b"\0")
    r = conn.call(wire.CONSUMER_GROUP_DESCRIBE, version, w.tags().done())

    def read_assignment():
        topics = r.array(lambda: (r.uuid(), r.string(), r.array(r.i32), r.tags()))
        r.tags()
        return {(name, p) for _, name, partitions, _ in topics for p in partitions}

    def read_member():
        m = Answer(id=r.string(), instance=r.string(), rack=r.string(), epoch=r.i32(),
                   client=r.string(), host=r.string(), topics=r.array(r.string), regex=r.string(),
                   assigned=read_assignment(), target=read_assignment(),
                   type=r.i8() if version >= 1 else None)
        r.tags()
        return m

    def read_group():
        g = Answer(error=r.i16(), message=r.string(), id=r.string(), state=r.string(),
                   epoch=r.i32(), assignment_epoch=r.i32(), assignor=r.string(),
                   members={m.id: m for m in r.array(read_member)}, operations=r.i32())
        r.tags()
        return g

    r.i32()
    return r.array(read_group)[0]


class Member:
    """What a client remembers. `connect()` gives a connection to the coordinator."""

    def __init__(self, connect, group, name, topics=None, **fields):
        self.connect, self.group, self.name = connect, group, name
        self.topics, self.fields = topics, fields
        self.epoch, self.owned = 0, []

    def join(self):
        self.epoch, self.owned = 0, []
        return self.beat(rebalance_ms=30000, topics=self.topics, **self.fields)

    def beat(self, epoch=None, **fields):
        fields.setdefault("owned", self.owned)
        fields.setdefault("instance", self.fields.get("instance"))
        with self.connect() as conn:
            answer = heartbeat(conn, self.group, self.name,
                               self.epoch if epoch is None else epoch, **fields)
        if answer.error == 0 and answer.epoch >= 0:
            self.epoch = answer.epoch
            self.owned = self.owned if answer.assignment is None else answer.assignment
        return answer

    def partitions(self):
        return {(topic, p) for topic, partitions in self.owned for p in partitions}
