#!/usr/bin/env python3
"""docker-compose.yml as Compose understands it, without an engine.

What the three nodes have to have in common, what must differ, and that every setting exists.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77
# Debian's docker-compose brings PyYAML for the system's Python, not for every python3.
AS_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"


def compose_commands():
    found = []
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    if shutil.which("docker") and subprocess.run(
            ["docker", "compose", "version"], capture_output=True).returncode == 0:
        found.append(["docker", "compose"])
    return found


def services(command, *profile):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE", "COMPOSE"))}
    text = subprocess.run([*command, *profile, "config"], cwd=ROOT, env=environment, check=True,
                          capture_output=True, text=True).stdout
    parsed = subprocess.run(["/usr/bin/python3", "-c", AS_JSON], input=text, check=True,
                            capture_output=True, text=True).stdout
    return json.loads(parsed)["services"]


def addresses(text):
    """NAME -> (host, port) of a list of listeners."""
    found = re.findall(r"(\w+)://([^:,]*):(\d+)", text)
    return {name: (host, int(port)) for name, host, port in found}


def published_port(service):
    port = service["ports"][0] # a text in 1.29, a mapping in v2
    if isinstance(port, dict):
        return int(port["published"]), int(port["target"])
    published, target = re.search(r"(\d+):(\d+)(?:/tcp)?$", port).groups()
    return int(published), int(target)


class Compose(unittest.TestCase):
    command = None

    @classmethod
    def setUpClass(cls):
        cls.four = services(cls.command, "--profile", "scale")
        cls.three = {name: s for name, s in cls.four.items() if "profiles" not in s}

    def test_three_nodes_and_a_fourth_in_the_profile_scale(self):
        self.assertEqual(sorted(self.three), ["broker-1", "broker-2", "broker-3"])
        self.assertEqual(sorted(set(self.four) - set(self.three)), ["broker-4"])
        self.assertEqual(self.four["broker-4"]["profiles"], ["scale"])

    def test_each_has_its_own_number_volume_port_and_a_health_check(self):
        nodes = self.four.values()
        for values in ([n["environment"]["KAFKA_NODE_ID"] for n in nodes],
                         [str(n["volumes"]) for n in nodes],
                         [published_port(n)[0] for n in nodes]):
            self.assertEqual(len(set(map(str, values))), 4)
        for node in nodes:
            self.assertIn("docker-healthcheck", str(node["healthcheck"]["test"]))

    def test_what_is_advertised_leads_back_to_the_node(self):
        for name, node in self.four.items():
            settings = node["environment"]
            bound, told = (addresses(settings[key]) for key in
                           ("KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS"))
            published, target = published_port(node)
            self.assertEqual(told["INSIDE"], (name, bound["INSIDE"][1]))
            self.assertEqual(told["OUTSIDE"], ("127.0.0.1", published))
            self.assertEqual(target, bound["OUTSIDE"][1])
            self.assertNotIn("CONTROLLER", told)

    def test_all_name_the_same_three_voters(self):
        voters = {n["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"] for n in self.four.values()}
        self.assertEqual(len(voters), 1)
        named = re.findall(r"(\d+)@(broker-\d+):(\d+)", voters.pop())
        for number, host, port in named:
            settings = self.three[host]["environment"]
            self.assertEqual(str(settings["KAFKA_NODE_ID"]), number)
            self.assertEqual(addresses(settings["KAFKA_LISTENERS"])["CONTROLLER"][1], int(port))
        self.assertEqual(len(named), 3)

    def test_every_setting_is_one_of_the_server(self):
        with open(os.path.join(ROOT, "broker", "config.def"), encoding="utf-8") as f:
            keys = set(re.findall(r'\(\w+, "([^"]+)"', f.read()))
        for node in self.four.values():
            for name in node["environment"]:
                self.assertIn(name[len("KAFKA_"):].lower().replace("_", "."), keys)


def main():
    commands = compose_commands()
    if not commands:
        print("skipped: neither docker-compose nor docker compose is installed")
        return SKIPPED
    suite = unittest.TestSuite()
    for command in commands:
        case = type("Compose_" + "_".join(command).replace("-", "_"), (Compose,),
                    {"command": command})
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
