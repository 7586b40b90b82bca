#!/usr/bin/env python3
"""deploy/docker-entrypoint and deploy/docker-healthcheck without a container engine.

A stub stands for the binary where only the configuration matters; $MILLRACE is the real one.
"""
import contextlib
import os
import random
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENTRYPOINT = os.path.join(ROOT, "deploy", "docker-entrypoint")
HEALTHCHECK = os.path.join(ROOT, "deploy", "docker-healthcheck")
BINARY = os.environ.get("MILLRACE", "")
STUB = '#!/bin/sh\necho "run: $*"\nif [ "$1" = server ]; then cat "$2"; fi\n'
CLUSTER = {"KAFKA_NODE_ID": "2", "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@a:1,2@b:1,3@c:1"}


def free_port():
    """Below the ports that the system hands out itself, so that no other test is given it."""
    while True:
        port = random.randint(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


class Container(unittest.TestCase):
    """A folder that stands for the container: a stub millrace, configuration, data."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.stub = os.path.join(self.dir, "millrace")
        self.write("millrace", STUB)
        os.chmod(self.stub, stat.S_IRWXU)
        self.environment = {
            "PATH": self.dir + ":/usr/local/bin:/usr/bin:/bin",
            "MILLRACE_CONFIG": os.path.join(self.dir, "run", "server.properties"),
            "MILLRACE_BASE_CONFIG": os.path.join(self.dir, "base.properties"),
            "KAFKA_LOG_DIRS": os.path.join(self.dir, "data"),
        }

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def run_entrypoint(self, *args, **environment):
        return subprocess.run([ENTRYPOINT, *args], env={**self.environment, **environment},
                              capture_output=True, text=True, timeout=30)

    def settings(self, *args, **environment):
        """What the server would read: the last of several lines wins."""
        done = self.run_entrypoint(*args, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line for line in done.stdout.splitlines() if "=" in line and line[0] != "#"]
        return dict(line.split("=", 1) for line in lines if not line.startswith("run:"))

    def refusal(self, *args, **environment):
        done = self.run_entrypoint(*args, **environment)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("run:", done.stdout)
        return done.stderr


class Settings(Container):
    def test_variables_become_keys(self):
        found = self.settings(**CLUSTER, KAFKA_A_B__C___D="x = y  z", KAFKA_NUM_PARTITIONS="6",
                              KAFKA_EMPTY="")
        self.assertEqual(found["a.b_c-d"], "x = y  z")
        self.assertEqual(found["num.partitions"], "6")
        self.assertEqual(found["node.id"], "2")
        self.assertEqual(found["empty"], "")

    def test_cluster_id_has_a_variable_of_its_own(self):
        self.assertEqual(self.settings(**CLUSTER, CLUSTER_ID="abc")["cluster.id"], "abc")

    def test_settings_of_a_jvm_are_left_out(self):
        found = self.settings(**CLUSTER, KAFKA_HEAP_OPTS="-Xmx1g", KAFKA_OPTS="x",
                              KAFKA_JMX_PORT="1", KAFKA_LOG4J_LOGGERS="a=INFO")
        self.assertFalse({"heap.opts", "opts", "jmx.port", "log4j.loggers"} & set(found))

    def test_environment_wins_over_the_mounted_file(self):
        self.write("base.properties", "# mine\nnum.partitions=3\nnode.id=7\n"
                   "controller.quorum.voters=7@h:1\nlog.retention.ms=5")
        found = self.settings(KAFKA_NUM_PARTITIONS="6")
        self.assertEqual((found["num.partitions"], found["node.id"]), ("6", "7"))
        self.assertEqual(found["log.retention.ms"], "5")

    def test_without_anything_it_is_one_node(self):
        found = self.settings()
        self.assertEqual(found["node.id"], "1")
        self.assertEqual(found["controller.quorum.voters"], "1@127.0.0.1:10092")

    def test_listeners_have_a_default_in_a_cluster(self):
        self.assertEqual(self.settings(**CLUSTER)["listeners"],
                         "PLAINTEXT://:9092,CONTROLLER://:10092")

    def test_a_broker_without_vote_names_bootstrap_servers(self):
        found = self.settings(KAFKA_NODE_ID="4",
                              KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS="a:1,b:1")
        self.assertNotIn("controller.quorum.voters", found)


class Refusals(Container):
    def test_a_node_of_no_cluster(self):
        self.assertIn("KAFKA_CONTROLLER_QUORUM_VOTERS", self.refusal(KAFKA_NODE_ID="2"))

    def test_a_cluster_without_a_node(self):
        self.assertIn("KAFKA_NODE_ID", self.refusal(KAFKA_CONTROLLER_QUORUM_VOTERS="1@a:1"))

    def test_a_value_of_two_lines(self):
        self.assertIn("KAFKA_X has more than one line",
                      self.refusal(**CLUSTER, KAFKA_X="a\nnode.id=9"))

    def test_a_folder_that_cannot_be_written(self):
        self.assertIn("cannot write to /proc/data",
                      self.refusal(**CLUSTER, KAFKA_LOG_DIRS="/proc/data"))


class Arguments(Container):
    def test_words_of_millrace_go_to_millrace(self):
        for word in ("version", "--help", "dev", "config", "cluster"):
            self.assertEqual(self.run_entrypoint(word).stdout, f"run: {word}\n")

    def test_other_commands_are_run(self):
        self.assertEqual(self.run_entrypoint("echo", "hi").stdout, "hi\n")

    def test_settings_are_handed_on(self):
        for args in (("--set", "a=b"), ("server", "--set", "a=b")):
            first = self.run_entrypoint(*args, **CLUSTER).stdout.splitlines()[0]
            self.assertEqual(first, f"run: server {self.environment['MILLRACE_CONFIG']} --set a=b")

    def test_a_file_of_the_users_own_is_taken_as_it_is(self):
        self.write("own", "")
        own = os.path.join(self.dir, "own")
        self.assertEqual(self.run_entrypoint("server", own).stdout, f"run: server {own}\n")


@unittest.skipUnless(BINARY, "MILLRACE names no binary")
class Health(Container):
    def healthy(self):
        return subprocess.run([HEALTHCHECK], env=self.environment, capture_output=True,
                              timeout=30).returncode == 0

    def test_healthy_while_it_serves_and_not_after(self):
        os.unlink(self.stub)
        os.symlink(os.path.abspath(BINARY), self.stub)
        client, quorum = free_port(), free_port()
        self.environment.update({
            "KAFKA_NODE_ID": "1",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@127.0.0.1:{quorum}",
            "KAFKA_LISTENERS": f"RAFT://127.0.0.1:{quorum}, INSIDE://localhost:{client}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "RAFT",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "RAFT:PLAINTEXT,INSIDE:PLAINTEXT"})
        self.assertFalse(self.healthy())
        log = open(os.path.join(self.dir, "log"), "w+b")
        self.addCleanup(log.close)
        node = subprocess.Popen([ENTRYPOINT], env=self.environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not self.healthy():
                log.seek(0)
                self.assertIsNone(node.poll(), log.read().decode())
                self.assertLess(time.monotonic(), deadline, log.read().decode())
                time.sleep(0.1)
        finally:
            node.terminate()
            node.wait(60)
        self.assertFalse(self.healthy())
        log.seek(0)
        self.assertEqual(node.returncode, 0, log.read().decode())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
