"""kafka-consumer-groups, kafka-groups, kafka-transactions, and what reads as a group."""
import contextlib

import pytest

from test_topics import offsets, produce


def groups(tools, *words):
    return tools.run("kafka-consumer-groups", *words)


def lag(tools, group):
    """{partition: (committed, end)} as the tool shows it."""
    done = groups(tools, "--describe", "--group", group)
    rows = [line.split() for line in done.lines if line.startswith(f"{group} ")]
    return {int(r[2]): (r[3], int(r[4])) for r in rows}


def read_all(tools, topic, group, count):
    done = tools.run("kafka-console-consumer", "--topic", topic, "--from-beginning",
                     "--max-messages", count, "--timeout-ms", 30000, "--group", group)
    assert f"Processed a total of {count} messages" in done.text, done


@pytest.fixture
def group(tools, topic):
    """A group without members that has read all 60 records of the topic. A consumer that has its
    records may go before it knows where it stands in an empty partition: that is made up for."""
    assert produce(tools, topic, 60).status == 0
    name = f"{topic}-group"
    read_all(tools, topic, name, 60)
    ends = offsets(tools, topic)
    read = lag(tools, name)
    assert all(read[p] == (str(end), end) for p, end in ends.items() if end > 0)
    done = groups(tools, "--reset-offsets", "--group", name, "--topic", topic, "--to-latest",
                  "--execute")
    assert done.status == 0, done
    return name


@contextlib.contextmanager
def member(tools, until, topic, group, *words):
    """A live member of the group."""
    process = tools.start("kafka-console-consumer", "--topic", topic, "--group", group, *words)
    try:
        until(lambda: groups(tools, "--describe", "--group", group, "--state"),
              lambda done: "Stable" in done.text)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_group_that_has_read_all(tools, topic, group):
    ends = offsets(tools, topic)
    assert group in groups(tools, "--list").lines
    assert lag(tools, group) == {p: (str(end), end) for p, end in ends.items()}
    assert "Empty" in groups(tools, "--describe", "--group", group, "--state").text
    assert group in tools.run("kafka-groups", "--list").text
    assert "GroupIdNotFoundException" in groups(tools, "--describe", "--group", "no-such").text


def test_offsets_are_reset_in_every_way(tools, topic, group, json_file):
    ends = offsets(tools, topic)
    largest = max(ends, key=ends.get)

    def reset(*words, to=f"{topic}"):
        done = groups(tools, "--reset-offsets", "--group", group, "--topic", to, *words)
        assert done.status == 0, done
        return {p: int(committed) for p, (committed, _) in lag(tools, group).items()}

    assert reset("--to-earliest", "--dry-run") == ends
    assert reset("--to-earliest", "--execute") == dict.fromkeys(ends, 0)
    assert reset("--to-latest", "--execute") == ends
    one = f"{topic}:{largest}"
    assert reset("--to-offset", 3, "--execute", to=one)[largest] == 3
    assert reset("--shift-by", 2, "--execute", to=one)[largest] == 5
    assert reset("--shift-by", -4, "--execute", to=one)[largest] == 1
    assert reset("--to-current", "--execute", to=one)[largest] == 1
    assert reset("--to-datetime", "2020-01-01T00:00:00.000", "--execute") == dict.fromkeys(ends, 0)
    assert reset("--by-duration", "PT0S", "--execute") == ends
    plan = json_file([])
    plan.write_text(f"{topic},{largest},2\n")
    done = groups(tools, "--reset-offsets", "--group", group, "--from-file", plan, "--execute")
    assert done.status == 0 and lag(tools, group)[largest][0] == "2", done


def test_offsets_and_groups_are_deleted(tools, topic, group):
    done = groups(tools, "--delete-offsets", "--group", group, "--topic", topic)
    assert done.text.count("Successful") == 3, done
    assert lag(tools, group) == {}
    assert "was successful" in groups(tools, "--delete", "--group", group).text
    assert group not in groups(tools, "--list").lines
    assert "GroupIdNotFoundException" in groups(tools, "--delete", "--group", group).text


def test_a_group_with_a_member(tools, topic, group, until):
    with member(tools, until, topic, group):
        shown = groups(tools, "--describe", "--group", group, "--members", "--verbose")
        assert f"{topic}:0,1,2" in shown.text or f"{topic}(0,1,2)" in shown.text, shown
        refused = groups(tools, "--reset-offsets", "--group", group, "--topic", topic,
                         "--to-earliest", "--execute")
        assert "inactive" in refused.text, refused
        assert "GroupNotEmptyException" in groups(tools, "--delete", "--group", group).text
    until(lambda: groups(tools, "--describe", "--group", group, "--state"),
          lambda done: "Empty" in done.text)


def test_a_group_of_the_consumer_protocol(tools, topic, until):
    assert produce(tools, topic, 30).status == 0
    group = f"{topic}-modern"
    protocol = ("--from-beginning", "--command-property", "group.protocol=consumer",
                "--command-property", "auto.commit.interval.ms=200")
    with member(tools, until, topic, group, *protocol):
        state = groups(tools, "--describe", "--group", group, "--state", "--verbose")
        row = next(line.split() for line in state.lines if line.startswith(f"{group} "))
        assert "uniform" in row and "Stable" in row and "GROUP-EPOCH" in state.text, state
        shown = groups(tools, "--describe", "--group", group, "--members", "--verbose")
        assert "TARGET-ASSIGNMENT" in shown.text and shown.text.count(f"{topic}:0,1,2") == 2, shown
        until(lambda: sum(int(r[0]) for r in lag(tools, group).values() if r[0] != "-"),
              lambda committed: committed == 30)
        listed = tools.run("kafka-groups", "--list")
        assert any(line.split()[:2] == [group, "Consumer"] for line in listed.lines), listed
        typed = groups(tools, "--list", "--type", "consumer", "--state")
        assert group in typed.text, typed
        assert group not in groups(tools, "--list", "--type", "classic").text
        assert "GroupNotEmptyException" in groups(tools, "--delete", "--group", group).text
    until(lambda: groups(tools, "--describe", "--group", group, "--state"),
          lambda done: "Empty" in done.text)
    done = groups(tools, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest",
                  "--execute")
    assert done.status == 0 and all(r[0] == "0" for r in lag(tools, group).values()), done
    assert "was successful" in groups(tools, "--delete", "--group", group).text


def test_consumers_that_measure(tools, topic):
    assert produce(tools, topic, 500).status == 0
    done = tools.run("kafka-consumer-perf-test", "--topic", topic, "--num-records", 500,
                     "--timeout", 30000)
    assert done.status == 0 and ", 500, " in done.text, done
    done = tools.run("kafka-e2e-latency", "--topic", topic, "--num-records", 20, "--producer-acks",
                     "all", "--record-size", 50)
    assert done.status == 0 and "Avg latency" in done.text, done


def test_producers_and_transactions_are_listed(tools, topic):
    assert produce(tools, topic, 10).status == 0
    for partition, end in offsets(tools, topic).items():
        done = tools.run("kafka-transactions", "describe-producers", "--topic", topic,
                         "--partition", partition)
        assert done.status == 0 and len(done.lines) == 1 + (end > 0), done
    assert tools.run("kafka-transactions", "list").status == 0
    done = tools.run("kafka-transactions", "find-hanging", "--broker-id", 1)
    assert done.status == 0, done


def test_the_consumer_protocol_can_be_switched_off(tools, topic):
    assert produce(tools, topic, 5).status == 0

    def read():
        return tools.run("kafka-console-consumer", "--topic", topic, "--from-beginning",
                         "--max-messages", 5, "--timeout-ms", 20000, "--command-property",
                         "group.protocol=consumer", "--group", f"{topic}-off")
    done = tools.run("kafka-features", "downgrade", "--feature", "group.version=0")
    assert done.status == 0, done
    try:
        assert "UnsupportedVersionException" in read().text
    finally:
        done = tools.run("kafka-features", "upgrade", "--feature", "group.version=1")
    assert done.status == 0, done
    assert "Processed a total of 5 messages" in read().text
