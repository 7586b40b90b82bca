"""Millrace nodes, each in a network namespace; what they serve is asked as in tests/cluster."""
import pathlib
import signal
import subprocess
import time

from millrace_cluster import BROKEN, SLOWER, Cluster, until

CLIENT_PORT, QUORUM_PORT = 9092, 10092
STOP_S = 20
SETTINGS = {  # quicker than the defaults, so that more happens in a minute
    "broker.session.timeout.ms": 1500,
    "broker.heartbeat.interval.ms": 200,
    "replica.lag.time.max.ms": 3000,
    "group.initial.rebalance.delay.ms": 200,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
}


class Nodes(Cluster):
    def __init__(self, folder, network, binary, **settings):
        self.dir, self.network, self.binary = pathlib.Path(folder), network, binary
        self.settings = {**SETTINGS,
                         **{k.replace("_", "."): v for k, v in settings.items()}}
        self.wanted_down, self.processes, self.paused = set(), {}, set()

    # ---- processes

    def ids(self):
        return list(self.network.nodes)

    def up(self, count=None):
        for node in self.ids():
            self.spawn(node)
        Cluster.live_ones.append(self)
        for node in self.ids():
            until(lambda n=node: self.active(n) == set(self.ids()), 60, "all nodes")
        return self

    def _write_properties(self, node):
        voters = ",".join(f"{n}@{self.network.address(n)}:{QUORUM_PORT}" for n in self.ids())
        address = self.network.address(node)
        lines = {
            "node.id": node,
            "listeners": f"PLAINTEXT://{address}:{CLIENT_PORT},"
                         f"CONTROLLER://{address}:{QUORUM_PORT}",
            "controller.quorum.voters": voters,
            "log.dirs": self.data(node),
            **self.settings,
        }
        path = self.dir / f"node-{node}" / "server.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
        return path

    def spawn(self, node):
        (self.dir / f"node-{node}").mkdir(parents=True, exist_ok=True)
        properties = self._write_properties(node)
        with open(self.dir / f"node-{node}" / "log", "ab") as log:
            self.processes[node] = subprocess.Popen(
                self.network.command(node, self.binary, "server", properties),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wanted_down.discard(node)

    def start(self, node):
        self.spawn(node)
        until(lambda: node in self.active(node), 60, f"node {node} back")

    def pid(self, node):
        process = self.processes.get(node)
        return process.pid if process is not None and process.poll() is None else None

    def state(self, node):
        if not self.pid(node):
            return "stopped"
        return "paused" if node in self.paused else "running"

    def kill(self, node):
        self.wanted_down.add(node)
        self.processes[node].kill()
        self.processes[node].wait()
        self.paused.discard(node)

    def stop(self, node):
        """SIGTERM; how long it took. A node that does not end by itself is a fault."""
        self.wanted_down.add(node)
        begin = time.monotonic()
        self.processes[node].terminate()
        status = self.processes[node].wait(STOP_S * SLOWER)
        assert status == 0, f"node {node} ended with {status} on SIGTERM"
        return time.monotonic() - begin

    def pause(self, node):
        self.processes[node].send_signal(signal.SIGSTOP)
        self.paused.add(node)

    def resume(self, node):
        self.processes[node].send_signal(signal.SIGCONT)
        self.paused.discard(node)

    def end(self):
        Cluster.live_ones = [c for c in Cluster.live_ones if c is not self]
        for process in self.processes.values():
            process.kill()
            process.wait()

    def faults(self):
        out = [f"node {n} ended with {self.processes[n].returncode}"
               for n in self.ended_unasked()]
        for node in self.ids():
            log = self.log(node)
            found = BROKEN.search(log)
            if found:
                out.append(f"node {node} said: {log[max(found.start() - 200, 0):][:3000]}")
        return out

    # ---- addresses

    def address(self, node):
        return f"{self.network.address(node)}:{CLIENT_PORT}"

    def folder_of(self, node, topic, partition):
        return self.data(node) / f"{topic}-{partition}"
