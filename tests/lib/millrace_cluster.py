"""A Millrace cluster of a test: deploy/cluster as a user runs it, and looks at what it serves."""
import os
import pathlib
import re
import select
import signal
import subprocess
import time

from ports import port_block
from raw import api, groups
from raw.wire import Closed, Connection

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "deploy" / "cluster")
SLOWER = int(os.environ.get("MILLRACE_TEST_SLOWER", "1"))  # waits, times this (sanitizers)
BROKEN = re.compile(r"Sanitizer:|runtime error:|broken invariant")


def until(attempt, timeout_s=20, what="the expected state"):
    """Call `attempt` until it answers something true; the answer. A node that does not answer is
    asked again. When a node ends that should not, waiting for anything is over."""
    deadline = time.monotonic() + timeout_s * SLOWER
    while True:
        try:
            answer = attempt()
        except (OSError, Closed):
            answer = None
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s * SLOWER} s"
        ended = [f"node {n} of {c.dir}" for c in Cluster.live_ones for n in c.ended_unasked()]
        assert not ended, f"waiting for {what}, and {ended} ended"
        time.sleep(0.02)


class ScriptFailed(Exception):
    """deploy/cluster ended with an error; the text is what it said."""


class Cluster:
    live_ones = []

    def __init__(self, folder, **settings):
        self.dir = pathlib.Path(folder)
        self.port = port_block()
        self.settings = {key.replace("_", "."): value for key, value in settings.items()}
        self.wanted_down = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def run(self, *words, timeout_s=120, env=None):
        """What a command of the script prints. `env`: more variables for nodes that it starts."""
        sets = [w for k, v in self.settings.items() for w in ("--set", f"{k}={v}")]
        done = subprocess.run(
            [SCRIPT, "--dir", str(self.dir), "--port", str(self.port), *sets, *map(str, words)],
            capture_output=True, text=True, timeout=timeout_s * SLOWER, check=False,
            env={**os.environ, **(env or {})})
        if done.returncode:
            raise ScriptFailed(done.stdout + done.stderr)
        return done.stdout.strip()

    # ---- nodes

    def up(self, count=3):
        self.run("up", count)
        Cluster.live_ones.append(self)
        return self

    def kill(self, node):
        self.wanted_down.add(node)
        self.run("kill", node)

    def stop(self, node):
        self.wanted_down.add(node)
        self.run("stop", node)

    def up_again(self):
        """Start all that do not run."""
        self.run("up")
        self.wanted_down.clear()

    def start(self, node, env=None):
        self.run("start", node, env=env)
        self.wanted_down.discard(node)

    def pause(self, node):
        self.run("pause", node)

    def resume(self, node):
        self.run("resume", node)

    def end(self):
        """End all that runs, at once."""
        Cluster.live_ones = [c for c in Cluster.live_ones if c is not self]
        for node in self.ids():
            self.wanted_down.add(node)
            process = self._process(node)
            if process is not None:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], 30)
                os.close(process)

    def _process(self, node):
        """A handle of the node's own process, from the pid and start time that the script wrote."""
        try:
            pid, start = (self.dir / f"node-{node}" / "pid").read_text().split()
            handle = os.pidfd_open(int(pid))
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            return None
        if stat[19] == start and stat[0] not in "ZX":
            return handle
        os.close(handle)
        return None

    def ids(self):
        return sorted(int(p.name.removeprefix("node-")) for p in self.dir.glob("node-*"))

    def pid(self, node):
        process = self._process(node)
        if process is None:
            return None
        os.close(process)
        return int((self.dir / f"node-{node}" / "pid").read_text().split()[0])

    def state(self, node):
        pid = self.pid(node)
        if pid is None:
            return "stopped"
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "paused" if stat[0] in "Tt" else "running"

    def log(self, node):
        return (self.dir / f"node-{node}" / "log").read_text(errors="replace")

    def data(self, node):
        return self.dir / f"node-{node}" / "data"

    def ended_unasked(self):
        return [n for n in self.ids() if n not in self.wanted_down and not self.pid(n)]

    def faults(self):
        """What must not be: nodes that ended unasked, lines of sanitizers and broken checks."""
        out = [f"node {n} ended" for n in self.ended_unasked()]
        for node in self.ids():
            found = BROKEN.search(self.log(node))
            if found:
                out.append(f"node {node} said: {self.log(node)[found.start() - 200:][:3000]}")
        return out

    # ---- what it serves

    def address(self, node):
        return f"127.0.0.1:{self.port + node - 1}"

    def bootstrap(self):
        return ",".join(self.address(node) for node in self.ids())

    def connect(self, node, **fields):
        return Connection(self.address(node), **fields)

    def metadata(self, node, topics=None, version=9):
        with self.connect(node, timeout_s=5) as conn:
            return api.metadata(conn, topics, version)

    def active(self, node):
        """The brokers that are not fenced, as this node sees it. (Metadata goes on to list those
        that left a moment ago.)"""
        with self.connect(node, timeout_s=5) as conn:
            return set(api.describe_cluster(conn).brokers)

    def live(self):
        return [n for n in self.ids() if n not in self.wanted_down]

    def seen_by(self, node, topic):
        """The topic's partitions by number as this node tells them; {} when it does not know."""
        return self.metadata(node, [topic]).topics[0].partitions

    def partition(self, topic, partition=0, node=None):
        """One partition with a live leader, as `node` (else the first live one) sees it."""
        def look():
            p = self.seen_by(node or self.live()[0], topic).get(partition)
            return p if p and p.error == 0 and p.leader >= 0 else None
        return until(look, what=f"{topic}-{partition} with a leader")

    def leader(self, topic, partition=0):
        return self.partition(topic, partition).leader

    def await_leader(self, topic, partition=0, node=None, other_than=None, timeout_s=20):
        def look():
            p = self.seen_by(node or self.live()[0], topic).get(partition)
            return p if p and p.error == 0 and p.leader not in (-1, other_than) else None
        return until(look, timeout_s, f"a leader of {topic}-{partition}").leader

    def await_isr(self, topic, size, timeout_s=30):
        """Until every partition has this many in sync, and a leader, seen by every live node."""
        for node in self.live():
            until(lambda: self._has_isr(node, topic, size), timeout_s,
                  f"{topic} with an ISR of {size} in the eyes of node {node}")

    def _has_isr(self, node, topic, size):
        found = self.seen_by(node, topic)
        return found and all(p.error == 0 and p.leader >= 0 and len(p.isr) == size
                             for p in found.values())

    def controller(self):
        """The active controller: a live one that agrees that it is."""
        def look():
            named = self.metadata(self.live()[0], []).controller
            if named not in self.live():
                return None
            return named if self.metadata(named, []).controller == named else None
        return until(look, what="an active controller")

    def coordinator(self, group):
        def look():
            with self.connect(self.live()[0], timeout_s=5) as conn:
                found = groups.find_coordinator(conn, group)
            return found if found.error == 0 and found.node in self.live() else None
        return until(look, what=f"a coordinator of {group}").node

    def create_topic(self, name, partitions=1, replicas=3, **configs):
        """Create it, and wait until every node has its leaders with full ISRs."""
        configs = {key.replace("_", "."): value for key, value in configs.items()}
        spec = api.topic_spec(name, partitions, replicas, configs=configs)
        with self.connect(self.live()[0]) as conn:
            answer = api.create_topics(conn, [spec])[name]
        assert answer.error == 0, f"CreateTopics {name}: {answer.error} {answer.message}"
        self.await_isr(name, replicas)
        return name
