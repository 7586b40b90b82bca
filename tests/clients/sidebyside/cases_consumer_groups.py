"""Groups of the consumer protocol (KIP-848): their heartbeats, and what reads them."""
import itertools
import struct
import time
import uuid

NUMBERS = itertools.count(1)
KEEP = {"instance_id": None, "rack_id": None, "rebalance_timeout_ms": -1,
        "subscribed_topic_names": None, "subscribed_topic_regex": None, "server_assignor": None,
        "topic_partitions": None}
SETTLE_S = 15


def versions(name):
    def mark(function):
        function.api = name
        return function
    return mark


class Group:
    """A group and its members, told apart by a name; ids and partitions are shown by them."""

    def __init__(self, side, version, partitions=4):
        self.side, self.version = side, version
        self.name = f"g{next(NUMBERS)}-{version}"
        self.topic = side.topic(partitions)
        self.epochs, self.owned, self.ids = {}, {}, {}

    def call(self, name, version, **values):
        """On the coordinator; both sides may want to be asked twice in the beginning."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            found = self.side.call(1, "FindCoordinator", 4, key_type=0,
                                   coordinator_keys=[self.name])["coordinators"][0]
            if found["error_code"] == 0:
                answer = self.side.call(found["node_id"], name, version, **values)
                if answer.get("error_code") not in (14, 15, 16):
                    return answer
            assert time.monotonic() < deadline, found
            time.sleep(0.1)

    def beat(self, member, epoch=None, **fields):
        """A heartbeat as a client sends it; the answer with the member's name in it."""
        values = {**KEEP, "topic_partitions": self.owned.get(member, []),
                  "group_id": self.name, "member_id": self.ids.setdefault(member, f"id-{member}"),
                  "member_epoch": self.epochs.get(member, 0) if epoch is None else epoch}
        if self.version < 1:
            values.pop("subscribed_topic_regex")
            fields.pop("subscribed_topic_regex", None)
        answer = self.call("ConsumerGroupHeartbeat", self.version, **{**values, **fields})
        if answer["error_code"] == 0:
            self.epochs[member] = answer["member_epoch"]
            self.ids[member] = answer["member_id"] or self.ids[member]
            if answer["assignment"] is not None:
                self.owned[member] = answer["assignment"]["topic_partitions"]
        return shown(answer)

    def join(self, member, **fields):
        """How many partitions it has at once is left out: Kafka's coordinator may not know the
        topic yet."""
        self.owned[member] = []
        answer = self.beat(member, 0, **{"rebalance_timeout_ms": 30000, "topic_partitions": [],
                                         "subscribed_topic_names": [self.topic], **fields})
        return {**answer, "partitions": answer["partitions"] is not None}

    def settle(self, *members):
        """Heartbeats until all members have their share; then who has how many, at which epoch."""
        deadline = time.monotonic() + SETTLE_S
        while self.describe()["group_state"] != "Stable":
            assert time.monotonic() < deadline, self.describe()
            for member in members:
                self.beat(member)
            time.sleep(0.1)
        return [(m, self.epochs[m], count(self.owned[m])) for m in members]

    def describe(self):
        return self.call("ConsumerGroupDescribe", self.version, group_ids=[self.name],
                         include_authorized_operations=False)["groups"][0]

    def commit(self, member, epoch, version=9, partition=0):
        answer = self.call("OffsetCommit", version, group_id=self.name, group_instance_id=None,
                           generation_id_or_member_epoch=epoch, member_id=member, topics=[{
                               "name": self.topic, "partitions": [{
                                   "partition_index": partition, "committed_offset": 0,
                                   "committed_leader_epoch": -1, "committed_metadata": ""}]}])
        return answer["topics"][0]["partitions"][0]["error_code"]

    def fetch(self, member, epoch):
        answer = self.call("OffsetFetch", 9, require_stable=False, groups=[{
            "group_id": self.name, "member_id": member, "member_epoch": epoch,
            "topics": [{"name": self.topic, "partition_indexes": [0]}]}])
        return answer["groups"][0]["error_code"]


def subscription(topic, owned=(), version=1):
    """A classic consumer's metadata: topics, no data, what it has of this topic."""
    name = struct.pack(">h", len(topic)) + topic.encode()
    out = struct.pack(">hi", version, 1) + name + struct.pack(">i", -1)
    return out + struct.pack(">i", bool(owned)) + (name + partitions(owned) if owned else b"")


def partitions(numbers):
    return struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)


def assignment(topic, numbers):
    name = struct.pack(">h", len(topic)) + topic.encode()
    return struct.pack(">hi", 1, 1) + name + partitions(numbers) + struct.pack(">i", -1)


def assigned(data):
    """How many partitions an assignment has."""
    topics = struct.unpack(">i", data[2:6])[0] if data else 0
    size = struct.unpack(">h", data[6:8])[0] if topics else 0
    return struct.unpack(">i", data[8 + size:12 + size])[0] if topics else 0


class Classic:
    """A member of the classic protocol in such a group."""

    def __init__(self, group, instance=None):
        self.group, self.id, self.generation, self.owned = group, "", -1, ()
        self.instance = instance

    def join(self, **fields):
        values = {"session_timeout_ms": 30000, "rebalance_timeout_ms": 30000,
                  "protocol_type": "consumer", "member_id": self.id, "reason": None,
                  "group_instance_id": self.instance, "protocols": [{
                      "name": "range", "metadata": subscription(self.group.topic, self.owned)}]}
        answer = self.group.call("JoinGroup", 9, group_id=self.group.name, **{**values, **fields})
        if answer["error_code"] in (0, 79):
            self.id = answer["member_id"]
        if answer["error_code"] == 0:
            self.generation = answer["generation_id"]
        self.leads = answer["leader"] == self.id != ""
        return {key: answer[key] for key in ("error_code", "generation_id", "protocol_type",
                                             "protocol_name", "skip_assignment")}

    def sync(self, assignments=(), **fields):
        values = {"generation_id": self.generation, "member_id": self.id,
                  "group_instance_id": self.instance, "protocol_type": "consumer",
                  "protocol_name": "range", "assignments": [
                      {"member_id": m, "assignment": a} for m, a in assignments]}
        answer = self.group.call("SyncGroup", 5, group_id=self.group.name, **{**values, **fields})
        return {"error_code": answer["error_code"], "partitions": assigned(answer["assignment"])}

    def beat(self, generation=None):
        return self.group.call("Heartbeat", 4, group_id=self.group.name, member_id=self.id,
                               generation_id=self.generation if generation is None else generation,
                               group_instance_id=self.instance)["error_code"]

    def leave(self):
        answer = self.group.call("LeaveGroup", 5, group_id=self.group.name, members=[
            {"member_id": self.id, "group_instance_id": self.instance, "reason": None}])
        return answer["error_code"], answer["members"][0]["error_code"]

    def settle_in(self):
        """Into a classic group of one, with all partitions."""
        return (self.join(), self.join(),
                self.sync([(self.id, assignment(self.group.topic, range(4)))]))


def count(assignment):
    return sum(len(topic["partitions"]) for topic in assignment or [])


def shown(answer):
    """An answer whose ids are each side's own, and whose partitions may be any."""
    out = {key: answer[key] for key in ("error_code", "member_epoch", "heartbeat_interval_ms")}
    assignment = answer["assignment"]
    out["partitions"] = None if assignment is None else count(assignment["topic_partitions"])
    return out


@versions("ConsumerGroupHeartbeat")
def members_come_and_go(side, version):
    g = Group(side, version)
    yield g.join("a")
    yield g.beat("a")
    yield g.beat("a", rebalance_timeout_ms=30000, subscribed_topic_names=[g.topic])
    time.sleep(1.1)  # the shortest time between two assignments
    yield g.join("b")
    yield g.settle("a", "b")
    time.sleep(1.1)
    yield g.beat("a", -1)
    yield g.settle("b")
    yield g.beat("a", 1)
    yield g.beat("a", -1)
    yield g.beat("b", -1)
    yield g.describe()["group_state"]
    yield g.beat("b", 2)


@versions("ConsumerGroupHeartbeat")
def epochs_are_fenced(side, version):
    g = Group(side, version)
    yield g.beat("nobody", 1)
    yield g.beat("nobody", -1)
    yield g.join("a")
    yield g.beat("nobody", 1)
    before = g.epochs["a"]
    yield g.beat("a", before + 1)
    time.sleep(1.1)
    yield g.join("b")
    yield g.settle("a", "b")
    yield g.beat("a", before)  # what it had until the last answer, with what it has
    yield g.beat("a", before, topic_partitions=None)
    yield g.beat("a", before - 1)
    yield g.join("a")  # a fenced member's way back
    yield g.settle("a", "b")


@versions("ConsumerGroupHeartbeat")
def static_members(side, version):
    g = Group(side, version)
    yield g.join("a", instance_id="i")
    yield g.join("b", instance_id="i")
    yield g.beat("a", instance_id="i")
    first = g.epochs["a"]
    yield g.join("a", instance_id="i")
    yield g.beat("b", first, instance_id="i")
    yield g.beat("a", first, instance_id="other")
    yield g.beat("b", -2, instance_id="i")
    yield g.beat("a", -2, instance_id="i")
    yield g.beat("a", first, instance_id="i")
    yield g.join("b", instance_id="i")
    yield g.beat("a", first, instance_id="i")
    yield g.beat("b", instance_id="i")
    yield g.beat("b", -1, instance_id="i")
    yield g.describe()["group_state"]


@versions("ConsumerGroupHeartbeat")
def what_is_no_request(side, version):
    g = Group(side, version)
    yield g.join("a", rebalance_timeout_ms=-1)
    yield g.join("a", topic_partitions=None)
    yield g.join("a", topic_partitions=[{"topic_id": uuid.UUID(int=1), "partitions": [0]}])
    yield g.join("a", subscribed_topic_names=None)
    yield g.join("a", group_id="")
    yield g.join("a", instance_id="")
    yield g.join("a", rack_id="")
    yield g.join("a", member_id="")
    yield g.beat("a", 1, member_id="")
    yield g.beat("a", -1, member_id="")
    yield g.beat("a", -2)
    yield g.beat("a", -3)
    yield g.join("c", server_assignor="sticky")
    yield g.join("c", server_assignor="range")
    yield g.join("c", subscribed_topic_names=[])
    yield g.join("d", subscribed_topic_names=["no-such-topic"])
    if version >= 1:
        yield g.join("e", subscribed_topic_names=None, subscribed_topic_regex="(")
        yield g.join("e", subscribed_topic_names=None, subscribed_topic_regex="(?=a)a")
        yield g.join("e", subscribed_topic_names=None, subscribed_topic_regex="a**")
        yield g.join("e", subscribed_topic_names=None, subscribed_topic_regex="\\1")


@versions("ConsumerGroupDescribe")
def groups_are_described(side, version):
    g = Group(side, version)

    def described():
        group = dict(g.describe())
        for member in group["members"]:
            for key in ("client_host", "member_id"):
                member.pop(key)
            for key in ("assignment", "target_assignment"):
                member[key] = [(t["topic_name"] == g.topic, t["partitions"])
                               for t in member[key]["topic_partitions"]]
            member["subscribed_topic_names"] = len(member["subscribed_topic_names"])
        group.pop("group_id")
        return group
    yield described()
    yield g.call("ConsumerGroupDescribe", version, group_ids=[""],
                 include_authorized_operations=True)
    yield g.join("a", rack_id="r", instance_id="i")
    yield described()
    yield g.call("DescribeGroups", 5, groups=[g.name], include_authorized_operations=False)[
        "groups"][0]["group_state"]
    yield g.call("DescribeGroups", 6, groups=[g.name], include_authorized_operations=False)[
        "groups"][0]["error_code"]
    listed = g.call("ListGroups", 5, states_filter=[], types_filter=["Consumer"])["groups"]
    yield [{**entry, "group_id": ""} for entry in listed if entry["group_id"] == g.name]
    listed = g.call("ListGroups", 5, states_filter=["stable"], types_filter=[])["groups"]
    yield [entry["group_type"] for entry in listed if entry["group_id"] == g.name]
    yield g.call("DeleteGroups", 2, groups_names=[g.name])["results"][0]["error_code"]
    yield g.beat("a", -1)
    yield g.describe()["group_state"]
    yield g.call("DeleteGroups", 2, groups_names=[g.name])["results"][0]["error_code"]
    yield g.describe()["error_code"]


@versions("ConsumerGroupHeartbeat")
def a_group_moves_to_the_consumer_protocol_and_back(side, version):
    g = Group(side, version)
    c = Classic(g)
    yield c.settle_in()
    yield c.beat()
    yield g.join("a")
    yield g.describe()["group_state"]
    yield sorted(m.get("member_type", -1) for m in g.describe()["members"])
    yield c.beat(c.generation + 7)
    yield c.beat()
    yield g.commit(c.id, c.generation)
    yield g.commit(c.id, c.generation + 1)
    yield c.sync()
    yield c.sync(generation_id=c.generation + 3)
    yield c.join()  # it gave all up
    yield c.sync(protocol_name="sticky")
    yield c.sync()
    yield c.beat()
    yield g.settle("a")
    yield c.beat()
    d = Classic(g)
    yield d.join(protocols=[{"name": "other", "metadata": subscription(g.topic)}])
    yield d.join(protocol_type="connect")
    yield d.join(session_timeout_ms=1)
    yield d.join()
    time.sleep(1.1)  # the shortest time between two assignments
    yield d.join()["error_code"]
    yield d.leave()
    yield d.leave()
    yield g.beat("a", -1)
    yield g.describe()["error_code"]
    yield g.call("DescribeGroups", 5, groups=[g.name], include_authorized_operations=False)[
        "groups"][0]["group_state"]
    yield c.beat() in (22, 27)  # its generation may be the group's epoch or not
    yield c.join()["error_code"]
    yield c.leads
    yield c.leave()


@versions("ConsumerGroupHeartbeat")
def what_is_no_consumer_group_stays_classic(side, version):
    g = Group(side, version)
    c = Classic(g)
    yield c.join(protocol_type="connect", protocols=[{"name": "x", "metadata": b"1"}])
    yield c.join(protocol_type="connect", protocols=[{"name": "x", "metadata": b"1"}])
    yield g.join("a")
    yield g.describe()["error_code"]
    yield c.leave()
    yield g.join("a")  # nobody is in it: it is anybody's
    yield g.describe()["group_state"]
    yield c.join(member_id="")
    yield g.beat("a", -1)
    d = Classic(g)
    yield d.join()["error_code"]
    yield g.beat("a", -1)


@versions("ConsumerGroupHeartbeat")
def offsets_are_checked_by_member_epoch(side, version):
    g = Group(side, version, 2)
    yield g.commit("", -1)
    yield g.join("a")
    a, epoch = g.ids["a"], g.epochs["a"]
    yield g.commit(a, epoch)
    yield g.commit(a, epoch, version=8)
    yield g.commit(a, epoch + 1)
    yield g.commit(a, epoch - 1)
    yield g.commit("nobody", epoch)
    yield g.commit("", -1)
    yield g.fetch(a, epoch)
    yield g.fetch(a, epoch + 1)
    yield g.fetch("nobody", epoch)
    yield g.fetch(None, -1)
    time.sleep(1.1)
    yield g.join("b")
    yield g.settle("a", "b")
    kept = g.owned["a"][0]["partitions"][0]
    yield g.commit(a, epoch, partition=kept)
    yield g.commit(a, epoch, partition=1 - kept)
    yield g.commit(a, g.epochs["a"], partition=1 - kept)
