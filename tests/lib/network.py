"""A bridge with a network namespace a node, whose cables can be cut in each direction.

    this process  10.77.0.254
         |
       bridge --- node 1  10.77.0.1
         |------- node 2  10.77.0.2   …

Needs tests/lib/own_network around the process. Nobody asks who has an address: every neighbour is
written down, and a cut writes down one that does not exist. Packets get lost in silence, as in a
cable, and the sender sees no error.
"""
import subprocess

HOME = 0  # the clients' end
NOBODY = "02:00:00:00:ff:ff"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def mac(end):
    return f"02:00:00:00:00:{end:02x}"


class Network:
    def __init__(self, nodes):
        self.nodes = list(nodes)
        self.ends = [HOME, *self.nodes]
        self.cuts = set()
        ip("link", "add", "bridge", "address", mac(HOME), "type", "bridge", "forward_delay", 0)
        ip("addr", "add", self.address(HOME) + "/24", "dev", "bridge")
        ip("link", "set", "bridge", "up")
        for node in self.nodes:
            self._plug_in(node)
        for sender in self.ends:
            for receiver in self.ends:
                if sender != receiver:
                    self._neighbour(sender, receiver, mac(receiver))

    @staticmethod
    def address(end):
        return f"10.77.0.{254 if end == HOME else end}"

    @staticmethod
    def command(node, *words):
        """How to run a program at this node's end."""
        return ["ip", "netns", "exec", f"node{node}", *map(str, words)]

    def _plug_in(self, node):
        space = f"node{node}"
        ip("netns", "add", space)
        ip("link", "add", space, "type", "veth", "peer", "name", "eth0", "address", mac(node),
           "netns", space)
        ip("link", "set", space, "master", "bridge", "up")
        ip("-n", space, "addr", "add", self.address(node) + "/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", space, "link", "set", device, "up")

    def _neighbour(self, sender, receiver, where):
        at = ["dev", "bridge"] if sender == HOME else ["dev", "eth0"]
        space = [] if sender == HOME else ["-n", f"node{sender}"]
        ip(*space, "neigh", "replace", self.address(receiver), "lladdr", where, *at, "nud",
           "permanent")

    def cut(self, sender, receiver):
        """What `sender` sends to `receiver` is lost from now on; not the other way."""
        self._neighbour(sender, receiver, NOBODY)
        self.cuts.add((sender, receiver))

    def mend(self, sender, receiver):
        if (sender, receiver) in self.cuts:
            self._neighbour(sender, receiver, mac(receiver))
            self.cuts.discard((sender, receiver))
