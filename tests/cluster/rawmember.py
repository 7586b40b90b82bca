"""Members of a group made of single requests, so that they can vanish at any point; and the hall
that they come to and leave."""
import threading
import time

from millrace_cluster import until
from raw import groups
from raw.wire import Closed

GONE = (14, 15, 16, 22, 25, 27)  # look for the coordinator again, or join again


class Member(threading.Thread):
    """Joins, takes what it is given, says that it lives; until it leaves or is gone."""

    def __init__(self, hall):
        super().__init__(name="raw member", daemon=True)
        self.hall = hall
        self.member, self.generation, self.mine = "", -1, None
        self.leaving, self.vanishing = threading.Event(), threading.Event()
        self.wrong = None

    def run(self):
        while not self.vanishing.is_set() and not self.leaving.is_set():
            try:
                with self.hall.coordinator() as conn:
                    self._stay(conn)
            except (OSError, Closed):
                continue
            except AssertionError as failed:
                self.wrong = str(failed)
                return

    def _stay(self, conn):
        while not self.vanishing.is_set():
            if self.leaving.is_set():
                groups.leave_group(conn, self.hall.group, self.member)
                return
            if self.mine is None and not self._join(conn):
                return
            if self.mine is None:
                continue
            error = groups.heartbeat(conn, self.hall.group, self.generation, self.member)
            if error:
                self.mine = None
                assert error in GONE, f"a heartbeat got {error}"
                self.member = "" if error == 25 else self.member
                if error in (14, 15, 16):
                    return
            self.leaving.wait(0.05)

    def _join(self, conn):
        """False: this node is no coordinator."""
        joined = groups.join_group(conn, self.hall.group, self.member,
                                   session_ms=self.hall.session_ms, rebalance_ms=5000)
        if joined.error == 79:
            self.member = joined.member
            return True
        if joined.error:
            assert joined.error in GONE, f"a join got {joined.error}"
            self.member = "" if joined.error == 25 else self.member
            return joined.error not in (14, 15, 16)
        self.member, self.generation = joined.member, joined.generation
        shares = self.hall.shares(joined.members) if joined.leader == joined.member else {}
        got = groups.sync_group(conn, self.hall.group, self.generation, self.member, shares)
        assert got.error == 0 or got.error in GONE, f"a sync got {got.error}"
        if got.error == 0:
            self.mine = set(got.assignment)
        return got.error not in (14, 15, 16)


class Hall:
    """Who should be in the group, and whether each partition has one owner among them."""

    def __init__(self, cluster, group, partitions, session_ms):
        self.cluster, self.group = cluster, group
        self.partitions, self.session_ms = partitions, session_ms
        self.inside, self.left = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.inside:
            member.vanishing.set()
            member.leaving.set()
        for member in self.inside + self.left:
            member.join(30)

    def coordinator(self):
        return self.cluster.connect(self.cluster.coordinator(self.group), timeout_s=30)

    def shares(self, members):
        """Partitions by turns; an assignment is the numbers themselves."""
        names = sorted(members)
        return {name: bytes(range(i, self.partitions, len(names)))
                for i, name in enumerate(names)}

    def event(self, rng):
        what = rng.choice(["come", "come", "leave", "vanish"])
        if what == "come" and len(self.inside) < 6 or not self.inside:
            self.inside.append(Member(self))
            self.inside[-1].start()
            return
        member = self.inside.pop(rng.randrange(len(self.inside)))
        self.left.append(member)
        (member.vanishing if what == "vanish" else member.leaving).set()

    def await_settled(self, timeout_s):
        if not self.inside:
            self.inside.append(Member(self))
            self.inside[-1].start()
        began = time.monotonic()
        until(self._settled, timeout_s, f"one owner of each partition among {len(self.inside)}")
        print(f"stable with {len(self.inside)} members after {time.monotonic() - began:.1f} s")

    def _settled(self):
        wrong = [m.wrong for m in self.inside + self.left if m.wrong]
        assert not wrong, wrong
        owned = [sorted(m.mine) if m.mine is not None else None for m in self.inside]
        if None in owned or len({m.generation for m in self.inside}) != 1:
            return False
        with self.coordinator() as conn:
            found = groups.describe_group(conn, self.group)
        return (found.state == "Stable" and len(found.members) == len(self.inside)
                and sorted(p for mine in owned for p in mine) == list(range(self.partitions)))
