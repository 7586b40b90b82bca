"""kcat, as people use it in a shell."""
import json
import shutil
import subprocess
import time

import pytest

from scenario import BIG, CODECS
from target import until

pytestmark = pytest.mark.skipif(not shutil.which("kcat"), reason="kcat is not installed")


@pytest.fixture
def kcat(bootstrap):
    def run(*words, stdin=None, timeout=30, check=True):
        done = subprocess.run(["kcat", "-b", bootstrap, *words], input=stdin, timeout=timeout,
                              capture_output=True, check=False)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done
    return run


def read(kcat, topic, *words):
    """Everything in the topic, as kcat's JSON."""
    out = kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J", *words).stdout
    return [json.loads(line) for line in out.splitlines()]


def test_list_shows_brokers_topics_and_leaders(kcat, target, topic):
    found = json.loads(kcat("-L", "-J", "-t", topic).stdout)
    assert sorted(b["name"] for b in found["brokers"]) == sorted(target.addresses)
    part, = found["topics"][0]["partitions"]
    assert part["leader"] in [r["id"] for r in part["replicas"]]
    assert len(part["isrs"]) == 3


def test_list_all_names_every_topic(kcat, topic):
    assert topic in [t["topic"] for t in json.loads(kcat("-L", "-J").stdout)["topics"]]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_lines_come_back_in_order(kcat, topic, codec, acks):
    lines = [f"line {i} " + "x" * (i % 90) for i in range(300)]
    kcat("-P", "-t", topic, "-p", "0", "-z", codec, "-X", f"acks={acks}",
         stdin="\n".join(lines).encode())
    got = until(lambda: len(read(kcat, topic)) == 300 and read(kcat, topic))
    assert [m["payload"] for m in got] == lines
    assert [m["offset"] for m in got] == list(range(300))


def test_keys_and_headers(kcat, topic):
    kcat("-P", "-t", topic, "-p", "0", "-K:", "-H", "a=1", "-H", "b=two", stdin=b"k1:v1\nk2:v2\n")
    got = read(kcat, topic)
    assert [(m["key"], m["payload"]) for m in got] == [("k1", "v1"), ("k2", "v2")]
    assert got[0]["headers"] == ["a", "1", "b", "two"]
    assert abs(got[0]["ts"] - time.time() * 1000) < 60000


def test_record_of_1_mb(kcat, topic, tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"z" * BIG)
    kcat("-P", "-t", topic, "-p", "0", "-X", "message.max.bytes=1048588", str(path))
    assert read(kcat, topic)[0]["payload"] == "z" * BIG


def test_record_of_2_mb_is_refused(kcat, topic, tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(b"z" * 2_000_000)
    done = kcat("-P", "-t", topic, "-p", "0", "-X", "message.max.bytes=10000000", str(path),
                check=False)
    assert b"Message size too large" in done.stderr
    assert read(kcat, topic) == []


def test_group_consumer_goes_on_from_its_commit(kcat, topic, group):
    def consume(count):
        out = kcat("-G", group, "-q", "-J", "-c", str(count), "-X", "auto.offset.reset=earliest",
                   topic).stdout
        return [json.loads(line)["payload"] for line in out.splitlines()]

    kcat("-P", "-t", topic, "-p", "0", stdin=b"a\nb\nc\nd\n")
    assert consume(2) == ["a", "b"]
    assert consume(2) == ["c", "d"]


def test_offsets_by_time(kcat, topic):
    kcat("-P", "-t", topic, "-p", "0", stdin=b"a\n")
    later = int(time.time() * 1000) + 3600_000
    assert b"offset 0" in kcat("-Q", "-t", f"{topic}:0:0").stdout
    assert b"offset -1" in kcat("-Q", "-t", f"{topic}:0:{later}").stdout
    assert b"offset 1" in kcat("-Q", "-t", f"{topic}:0:-1").stdout


def test_idempotent_producer(kcat, topic):
    kcat("-P", "-t", topic, "-p", "0", "-X", "enable.idempotence=true", stdin=b"a\nb\n")
    assert [m["payload"] for m in read(kcat, topic)] == ["a", "b"]
