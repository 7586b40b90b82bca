"""deploy/cluster: every command does what its help says, waits no longer than told, and tells."""
import pathlib
import re
import subprocess
import time

import pytest

from load import Load, check_history, read_all
from millrace_cluster import SCRIPT, ScriptFailed, until
from raw import api
from raw.records import batch


@pytest.fixture
def empty(make_cluster):
    """A cluster that is not up yet."""
    return make_cluster(0)


def running(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def test_help_names_every_command():
    text = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("up", "down", "status", "kill", "stop", "start", "pause", "resume", "add",
                    "bootstrap", "pid", "logs", "--wipe", "--set", "--dir", "--port"):
        assert command in text, command


def test_up_returns_when_clients_can_be_served(empty):
    said = empty.run("up")
    assert empty.ids() == [1, 2, 3], "three nodes unless told otherwise"
    assert empty.bootstrap() in said and empty.run("bootstrap") == empty.bootstrap()
    for node in empty.ids():
        assert set(empty.metadata(node).brokers) == {1, 2, 3}
    with empty.connect(2) as conn:
        assert api.create_topics(conn, [api.topic_spec("at-once", 3, 3)])["at-once"].error == 0


def test_up_again_is_harmless_and_starts_what_is_down(shared):
    pids = [shared.pid(node) for node in shared.ids()]
    shared.run("kill", 2)
    shared.run("up")
    after = [shared.pid(node) for node in shared.ids()]
    assert (after[0], after[2]) == (pids[0], pids[2])
    assert after[1] not in (None, pids[1])
    with pytest.raises(ScriptFailed, match="has 3 nodes.*add"):
        shared.run("up", 4)


def test_one_node_is_a_cluster_too(empty):
    empty.up(1)
    empty.create_topic("alone", replicas=1)
    with empty.connect(1) as conn:
        assert api.produce(conn, "alone", batch([b"x"])).error == 0


def test_up_tells_the_last_log_lines_of_a_node_that_ends(empty):
    empty.wanted_down = {1, 2, 3}
    with pytest.raises(ScriptFailed) as failed:
        empty.run("--set", "log.level=LOUD", "up")
    assert "a node ended while it was starting" in str(failed.value)
    assert 'key=log.level value="LOUD"' in str(failed.value)


def test_up_gives_up_after_its_timeout_and_says_who(shared):
    shared.stop(1)
    shared.stop(2)
    shared.pause(3)  # the two others cannot see all three
    begin = time.monotonic()
    with pytest.raises(ScriptFailed, match=r"not ready after 2 s[\s\S]*node 3 \(paused\)"):
        shared.run("--timeout", 2, "up")
    assert time.monotonic() - begin < 15
    shared.resume(3)
    shared.up_again()


def test_status_tells_what_runs_and_fails_when_not_all_is_well(shared):
    shared.create_topic("told", 4)
    said = shared.run("status")
    assert len(re.findall(r"^node \d  running  voter", said, re.M)) == 3
    assert re.search(r"controller [123]  registered \[1, 2, 3\]  topics \d+  partitions \d+", said)
    assert "without leader 0  under-replicated 0" in said
    shared.kill(2)
    shared.pause(3)
    with pytest.raises(ScriptFailed) as failed:
        shared.run("status")
    assert re.search(r"^node 2  stopped", str(failed.value), re.M)
    assert re.search(r"^node 3  paused", str(failed.value), re.M)
    shared.resume(3)
    shared.start(2)
    shared.await_isr("told", 3)


def test_kill_stop_and_start_do_it_to_that_node_alone(shared):
    pids = {node: shared.pid(node) for node in shared.ids()}
    shared.kill(1)
    assert not running(pids[1]) and running(pids[2]) and running(pids[3])
    with pytest.raises(ScriptFailed, match="node 1 is not running"):
        shared.run("kill", 1)
    shared.start(1)
    assert 1 in shared.metadata(1).brokers, "start returns when it is registered"
    with pytest.raises(ScriptFailed, match="node 1 is running already"):
        shared.run("start", 1)
    shared.stop(2)
    assert not running(pids[2]) and "stopped node_id=2" in shared.log(2)
    shared.run("stop", 2)  # stopped is stopped
    with pytest.raises(ScriptFailed, match="no node 7"):
        shared.run("kill", 7)
    shared.start(2)


def test_pause_and_resume(shared):
    shared.pause(2)
    with pytest.raises(TimeoutError):
        with shared.connect(2, timeout_s=0.5) as conn:
            api.api_versions(conn)
    shared.resume(2)
    with shared.connect(2) as conn:
        assert api.api_versions(conn).error == 0


def test_logs_and_pid_print_what_they_name(shared):
    assert "started node_id=3" in shared.run("logs", 3)
    command = pathlib.Path(f"/proc/{shared.run('pid', 3)}/cmdline").read_bytes().split(b"\0")
    assert command[1] == b"server"


def test_set_reaches_every_node_and_is_kept_for_later_starts(make_cluster):
    cluster = make_cluster(3, num_partitions="7")
    cluster.settings.clear()
    cluster.kill(1)
    cluster.start(1)
    for node in cluster.ids():
        name = f"auto-{node}"
        with cluster.connect(node) as conn:
            api.metadata(conn, [name], 4, auto_create=True)
        assert until(lambda n=name: len(cluster.seen_by(1, n)) == 7)


def test_added_broker_joins_and_takes_replicas_while_clients_work(cluster):
    before = cluster.create_topic("before", 6)
    with Load(cluster.bootstrap(), before, 6) as load:
        load.await_acks()
        assert cluster.run("add") == "4"
        after = cluster.create_topic("after", 8)
        load.await_acks(time.monotonic())
    for node in cluster.ids():
        assert set(cluster.metadata(node).brokers) == {1, 2, 3, 4}
    placed = [replica for p in cluster.seen_by(1, after).values() for replica in p.replicas]
    assert placed.count(4) >= 6, "the new one takes its share"
    assert 4 in {p.leader for p in cluster.seen_by(1, after).values()}
    check_history(load.acks, read_all(cluster.bootstrap(), before, 6))
    assert cluster.faults() == [] and not load.failures
    cluster.kill(4)
    cluster.start(4)
    cluster.await_isr(after, 3)


def test_down_ends_all_and_up_brings_the_same_cluster_back(shared):
    topic = shared.create_topic("kept")
    with shared.connect(shared.leader(topic)) as conn:
        assert api.produce(conn, topic, batch([b"kept"])).error == 0
    identity = shared.metadata(1).cluster_id
    pids = [shared.pid(node) for node in shared.ids()]
    shared.run("down")
    assert not any(map(running, pids))
    shared.run("down")  # harmless
    shared.run("up")
    assert shared.metadata(2).cluster_id == identity
    with shared.connect(shared.leader(topic)) as conn:
        assert api.list_offsets(conn, topic, -1).offset == 1


def test_down_wipe_leaves_nothing_of_the_cluster(shared):
    identity = shared.metadata(1).cluster_id
    shared.run("down", "--wipe")
    assert shared.ids() == []
    shared.run("up")
    assert shared.metadata(1).cluster_id != identity


def test_signals_only_what_it_started(shared):
    """A pid file that came to name another process ends nobody."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        shared.kill(1)
        (shared.dir / "node-1" / "pid").write_text(f"{other.pid} 1\n")
        with pytest.raises(ScriptFailed, match="node 1 is not running"):
            shared.run("kill", 1)
        shared.run("down")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    shared.up_again()


def test_state_stays_in_the_folder_it_was_given(shared):
    assert {p.name for p in shared.dir.iterdir()} == {
        "cluster.json", "lock", "node-1", "node-2", "node-3"}


def test_two_clusters_do_not_disturb_each_other(make_cluster):
    first, second = make_cluster(1), make_cluster(1)
    assert first.metadata(1).cluster_id != second.metadata(1).cluster_id
    first.run("down")
    first.wanted_down.add(1)
    assert running(second.pid(1)) and second.metadata(1).brokers
