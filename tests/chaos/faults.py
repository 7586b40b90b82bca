"""What goes wrong, from a seed: which fault, on whom, for how long; often two at a time."""
import collections
import random
import threading
import time

from network import HOME

Fault = collections.namedtuple("Fault", "kind nodes begin_s end_s")

LONG = 2.5  # of the session timeout: so long a fault may last
PAIRED = 0.35  # how often a second one begins while the first lasts
CALM = 0.5  # how often all must be well again before the next


class Nemesis:
    """One fault after the other, as a shuffled deck: none is left out for long."""

    def __init__(self, cluster, topics, group, seed, say=print):
        self.cluster, self.network, self.topics, self.group = \
            cluster, cluster.network, topics, group
        self.random, self.say = random.Random(seed), say
        self.session_s = int(cluster.settings["broker.session.timeout.ms"]) / 1000
        self.history, self.deck = [], []
        self.lock = threading.Lock()

    KINDS = ("kill", "kill", "pause", "pause", "stop", "alone", "apart", "deaf", "mute", "pair",
             "half pair", "all", "rolling")

    def run(self, seconds):
        """Faults for this long; then all is mended and running, not yet well."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._step()
            self.heal()
            if self.random.random() < CALM:
                self.await_well()
            else:
                time.sleep(self.random.uniform(0, 1))

    def await_well(self, timeout_s=60):
        begin = time.monotonic()
        for topic in self.topics:
            self.cluster.await_isr(topic, len(self.cluster.ids()), timeout_s)
        return time.monotonic() - begin

    def heal(self):
        for sender, receiver in list(self.network.cuts):
            self.network.mend(sender, receiver)
        for node in self.cluster.ids():
            if self.cluster.state(node) == "paused":
                self.cluster.resume(node)
            elif self.cluster.state(node) == "stopped":
                self.cluster.spawn(node)

    def lasted(self, moment_s, before_s, after_s):
        """Was there a fault within this time around that moment?"""
        return any(f.begin_s - before_s <= moment_s <= f.end_s + after_s for f in self.history)

    # ---- one step

    def _step(self):
        kind = self._draw()
        victim = self._victim()
        faults = [(kind, victim)]
        if kind not in ("all", "rolling") and self.random.random() < PAIRED:
            other = self.random.choice([n for n in self.cluster.ids() if n != victim])
            faults.append((self.random.choice(("kill", "pause", "apart", "deaf", "mute")), other))
        lengths = [self.random.uniform(0.05, LONG) * self.session_s for _ in faults]
        delays = [0] + [self.random.uniform(0, lengths[0]) for _ in faults[1:]]
        self.say("  " + ", ".join(f"{k} {v} for {s:.1f} s" for (k, v), s in zip(faults, lengths)))
        threads = [threading.Thread(target=self._do, args=(k, v, d, s))
                   for (k, v), d, s in zip(faults, delays, lengths)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _draw(self):
        if not self.deck:
            self.deck = list(self.KINDS)
            self.random.shuffle(self.deck)
        return self.deck.pop()

    def _victim(self):
        """By role, as far as somebody has it now."""
        role = self.random.choice(("any", "leader", "controller", "coordinator"))
        partition, fallback = self.random.randrange(6), self.random.choice(self.cluster.ids())
        topic = self.random.choice(self.topics)
        try:
            if role == "leader":
                return self.cluster.leader(topic, partition)
            if role == "controller":
                return self.cluster.controller()
            if role == "coordinator":
                return self.cluster.coordinator(self.group)
        except AssertionError:
            pass
        return fallback

    def _do(self, kind, victim, delay_s, length_s):
        time.sleep(delay_s)
        begin = time.monotonic()
        getattr(self, "_" + kind.replace(" ", "_"))(victim, length_s)
        with self.lock:
            self.history.append(Fault(kind, victim, begin, time.monotonic()))

    def _kill(self, victim, length_s):
        if self.cluster.pid(victim):
            self.cluster.kill(victim)
        time.sleep(length_s)
        self.cluster.spawn(victim)

    def _pause(self, victim, length_s):
        if self.cluster.pid(victim):
            self.cluster.pause(victim)
        time.sleep(length_s)
        if self.cluster.pid(victim):
            self.cluster.resume(victim)

    def _stop(self, victim, length_s):
        self.say(f"    stopped in {self.cluster.stop(victim):.2f} s")
        time.sleep(length_s / 2)
        self.cluster.spawn(victim)

    def _all(self, _victim, length_s):
        for node in self.cluster.ids():
            self.cluster.kill(node)
        time.sleep(length_s / 4)
        for node in self.cluster.ids():
            self.cluster.spawn(node)

    def _rolling(self, _victim, _length_s):
        for node in self.cluster.ids():
            self.cluster.stop(node)
            self.cluster.start(node)
            self.await_well()

    # ---- cables

    def _cut(self, pairs, length_s):
        for sender, receiver in pairs:
            self.network.cut(sender, receiver)
        time.sleep(length_s)
        for sender, receiver in pairs:
            self.network.mend(sender, receiver)

    def _others(self, victim):
        return [n for n in self.cluster.ids() if n != victim]

    def _apart(self, victim, length_s):
        """From the other nodes; clients still reach it."""
        self._cut([pair for n in self._others(victim) for pair in ((n, victim), (victim, n))],
                  length_s)

    def _alone(self, victim, length_s):
        ends = [HOME, *self._others(victim)]
        self._cut([pair for n in ends for pair in ((n, victim), (victim, n))], length_s)

    def _deaf(self, victim, length_s):
        self._cut([(n, victim) for n in self._others(victim)], length_s)

    def _mute(self, victim, length_s):
        self._cut([(victim, n) for n in self._others(victim)], length_s)

    def _pair(self, victim, length_s):
        """Two that do not see each other, and a third that sees both."""
        other = self._others(victim)[0]
        self._cut([(victim, other), (other, victim)], length_s)

    def _half_pair(self, victim, length_s):
        self._cut([(victim, self._others(victim)[0])], length_s)
