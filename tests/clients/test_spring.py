"""A Spring Boot application: KafkaTemplate and @KafkaListener, set up by the usual properties."""
import queue
import subprocess
import threading
import time

import pytest

import jvm
from target import until


class App:
    """One run of spring/'s application; `lines` holds what it said."""

    def __init__(self, bootstrap, topic, group, **settings):
        words = [f"--{key}={value}" for key, value in settings.items()]
        self.process = subprocess.Popen(
            jvm.command("spring", "millrace.spring.Application",
                        f"--spring.kafka.bootstrap-servers={bootstrap}", f"--topic={topic}",
                        f"--group={group}", *words),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            bufsize=1)
        self.lines = queue.Queue()
        self.seen = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def say(self, text):
        self.process.stdin.write(text + "\n")

    def hear(self, word, count=1, timeout_s=30):
        """The next `count` lines that begin with `word`, without it."""
        out = []
        deadline = time.monotonic() + timeout_s
        while len(out) < count:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {word}; heard {self.seen[-20:]}") from None
            self.seen.append(line)
            if line.startswith(word + " ") or line == word:
                out.append(line[len(word) + 1:])
        return out

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def app_of(bootstrap):
    made = []

    def make(topic, group, **settings):
        made.append(App(bootstrap, topic, group, **settings))
        return made[-1]

    yield make
    for app in made:
        app.stop()


@pytest.fixture
def run_of(app_of):
    """An application that is up and has its partitions."""
    def make(topic, group, **settings):
        app = app_of(topic, group, **settings)
        app.hear("READY")
        return app
    return make


def test_published_messages_reach_the_listener_in_order_and_2_mb_is_refused(run_of, topic, group):
    app = run_of(topic, group)
    for index in range(50):
        app.say(f"send key{index % 3} value{index}")
    assert app.hear("SENT", 50) == [f"0 {i}" for i in range(50)]
    heard = [line for line in app.seen if line.startswith("GOT")]
    heard += [f"GOT {line}" for line in app.hear("GOT", 50 - len(heard))] if len(heard) < 50 else []
    assert heard == [f"GOT 0 {i} key{i % 3} value{i}" for i in range(50)]
    app.say("sendbig 2000000")
    assert app.hear("REFUSED") == ["RecordTooLargeException"]
    app.say("send after big")
    assert app.hear("SENT") == ["0 50"]


def test_listener_killed_is_out_after_session_timeout_and_its_work_goes_on(run_of, topic, group):
    first = run_of(topic, group)
    for index in range(3):
        first.say(f"send k v{index}")
    first.hear("GOT", 3)
    second = run_of(topic, group)
    first.stop()
    for index in range(3, 6):
        second.say(f"send k v{index}")
    assert second.hear("GOT", 3) == [f"0 {i} k v{i}" for i in range(3, 6)]


def test_listener_too_slow_for_max_poll_interval_loses_its_partition(run_of, topic, group):
    slow = run_of(topic, group, **{
        "slow-ms": 60000, "spring.kafka.consumer.properties[max.poll.interval.ms]": 2000})
    slow.say("send k v")
    slow.hear("GOT")
    other = run_of(topic, group)
    assert other.hear("GOT") == ["0 0 k v"], "handled again by the member that polls"


def test_auto_offset_reset_none_stops_and_latest_skips(run_of, topic, target):
    first = run_of(topic, target.unique("g"), **{"spring.kafka.consumer.auto-offset-reset": "none"})
    first.say("send k old")
    first.hear("SENT")
    assert not any(line.startswith("GOT") for line in first.seen)
    first.hear("STOPPED")
    latest = run_of(topic, target.unique("g"),
                    **{"spring.kafka.consumer.auto-offset-reset": "latest"})

    def heard():
        latest.say("send k new")
        latest.hear("SENT")
        return [line for line in latest.seen if line.startswith("GOT")]

    assert all(line.endswith("new") for line in until(heard))
