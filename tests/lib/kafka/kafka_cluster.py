"""A real Apache Kafka on loopback, from Maven Central's artifacts: the yardstick of our tests.

One to three nodes in KRaft combined mode, started as plain processes with all their state under one
folder. The command line beside this file (`cluster`) takes the words of `deploy/cluster`, so that a
test or a benchmark can drive either.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CLUSTER_ID = "bWlsbHJhY2UtdGVzdHMtMQ"
START_TIMEOUT_S = 120
QUICK_START = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def build_dir():
    """The folder for what is made once and kept: MILLRACE_BUILD_DIR, else build/ in the tree."""
    path = pathlib.Path(os.environ.get("MILLRACE_BUILD_DIR", ROOT / "build"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def class_path():
    """The server's class path, resolved by Maven once and remembered in the build folder."""
    cache = build_dir() / "kafka-class-path.txt"
    if cache.exists() and cache.stat().st_mtime > (HERE / "pom.xml").stat().st_mtime:
        text = cache.read_text().strip()
        if all(os.path.exists(jar) for jar in text.split(":")):
            return text
    subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"),
                    "dependency:build-classpath", f"-Dmdep.outputFile={cache}"],
                   check=True, stdout=subprocess.DEVNULL)
    return cache.read_text().strip()


def free_ports(count):
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


class KafkaCluster:
    """A cluster whose state is a folder: another process can open the same folder and go on."""

    def __init__(self, folder, settings=None, heap="256m"):
        self.folder = pathlib.Path(folder)
        self.heap = heap
        self.settings = dict(settings or {})
        self.state_file = self.folder / "state.json"
        self.state = {}
        if self.state_file.exists():
            self.state = json.loads(self.state_file.read_text())

    def up(self, count=3):
        """Format the folder if it is new, start every node that does not run, wait for all."""
        if not self.state:
            self._format(count)
        for node in self.nodes():
            if not self.is_running(node):
                self.start(node, wait=False)
        deadline = time.monotonic() + START_TIMEOUT_S
        for node in self.nodes():
            self._await_node(node, deadline)
        return self.bootstrap()

    def down(self, wipe=False):
        for node in self.nodes():
            self._signal(node, signal.SIGCONT)
            self._signal(node, signal.SIGKILL)
        for node in self.nodes():
            self._await_end(node)
        if wipe:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, node, wait=True):
        folder = self._node_folder(node)
        command = [*self.prefix(node), "java", f"-Xmx{self.heap}", *QUICK_START,
                   "-cp", self.state["class_path"], "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                   f"-Dlog4j2.configurationFile={HERE}/log4j2.xml",
                   "kafka.Kafka", str(folder / "server.properties")]
        if self.state.get("plain_jvm"):
            command = [w for w in command if w not in QUICK_START]
        with open(folder / "log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       cwd=folder, start_new_session=True)
        (folder / "pid").write_text(str(process.pid))
        if wait:
            self._await_node(node, time.monotonic() + START_TIMEOUT_S)

    def kill(self, node):
        self._signal(node, signal.SIGKILL)
        self._await_end(node)

    def stop(self, node):
        self._signal(node, signal.SIGTERM)
        self._await_end(node)

    def pause(self, node):
        self._signal(node, signal.SIGSTOP)

    def resume(self, node):
        self._signal(node, signal.SIGCONT)

    def bootstrap(self):
        return ",".join(self.address(node) for node in self.nodes())

    @staticmethod
    def host(node):
        """Where this node listens."""
        return "127.0.0.1"

    @staticmethod
    def prefix(node):
        """Words before its command."""
        return []

    def address(self, node):
        return f"{self.host(node)}:{self.state['client_ports'][node - 1]}"

    def nodes(self):
        return range(1, self.state.get("count", 0) + 1)

    def pid(self, node):
        path = self._node_folder(node) / "pid"
        return int(path.read_text()) if path.exists() else None

    def is_running(self, node):
        pid = self.pid(node)
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
        except (OSError, TypeError):
            return False

    def _node_folder(self, node):
        return self.folder / f"node-{node}"

    def _format(self, count):
        ports = free_ports(2 * count)
        self.state = {"count": count, "client_ports": ports[:count], "quorum_ports": ports[count:],
                      "class_path": class_path(), "plain_jvm": self.settings.pop("plain.jvm", None)}
        voters = ",".join(f"{i}@{self.host(i)}:{p}" for i, p in enumerate(ports[count:], 1))
        for node in range(1, count + 1):
            folder = self._node_folder(node)
            folder.mkdir(parents=True)
            settings = {
                "process.roles": "broker,controller",
                "node.id": node,
                "listeners": f"PLAINTEXT://{self.host(node)}:{ports[node - 1]},"
                             f"CONTROLLER://{self.host(node)}:{ports[count + node - 1]}",
                "controller.listener.names": "CONTROLLER",
                "controller.quorum.voters": voters,
                "log.dirs": folder / "data",
                "offsets.topic.replication.factor": min(count, 3),
                "offsets.topic.num.partitions": 3,
                "transaction.state.log.replication.factor": min(count, 3),
                "transaction.state.log.num.partitions": 3,
                "share.coordinator.state.topic.replication.factor": min(count, 3),
                **self.settings,
            }
            text = "".join(f"{key}={value}\n" for key, value in settings.items())
            (folder / "server.properties").write_text(text)
        self._format_storage()
        self.state_file.write_text(json.dumps(self.state))

    def _format_storage(self):
        for node in self.nodes():
            folder = self._node_folder(node)
            with open(folder / "log", "ab") as log:
                subprocess.run(["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp",
                                self.state["class_path"],
                                f"-Dlog4j2.configurationFile={HERE}/log4j2.xml",
                                "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
                                str(folder / "server.properties")],
                               check=True, stdout=log, stderr=log)

    def _await_node(self, node, deadline):
        """A node is up once it answers a Metadata request that names every broker."""
        want = self.state["count"]
        while time.monotonic() < deadline:
            if not self.is_running(node):
                break
            if metadata_broker_count(self.address(node)) >= want:
                return
            time.sleep(0.2)
        tail = (self._node_folder(node) / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"Kafka node {node} did not start:\n{tail}")

    def _await_end(self, node):
        deadline = time.monotonic() + 60
        while self.is_running(node) and time.monotonic() < deadline:
            try:
                os.waitpid(self.pid(node), os.WNOHANG)
            except OSError:
                pass
            time.sleep(0.05)

    def _signal(self, node, number):
        pid = self.pid(node)
        if pid is None or not self.is_running(node):
            return
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            if b"kafka.Kafka" in cmdline.read():
                os.kill(pid, number)


def metadata_broker_count(address):
    """How many brokers the Metadata v1 answer of this node lists; 0 while nobody answers."""
    host, port = address.rsplit(":", 1)
    body = b"\x00\x03\x00\x01\x00\x00\x00\x01\x00\x01w\x00\x00\x00\x00"
    try:
        with socket.create_connection((host, int(port)), timeout=2) as sock:
            sock.sendall(len(body).to_bytes(4, "big") + body)
            answer = sock.makefile("rb").read(12)
            return int.from_bytes(answer[8:12], "big", signed=True)
    except OSError:
        return 0
