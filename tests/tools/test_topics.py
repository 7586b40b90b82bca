"""kafka-topics, kafka-get-offsets, kafka-delete-records, and programs that read and write."""
import re


def describe(tools, topic):
    done = tools.run("kafka-topics", "--describe", "--topic", topic)
    assert done.status == 0, done
    return done


def offsets(tools, topic, time="latest"):
    done = tools.run("kafka-get-offsets", "--topic", topic, "--time", time)
    assert done.status == 0, done
    return {int(line.split(":")[1]): int(line.split(":")[2]) for line in done.lines}


def produce(tools, topic, count, size=100):
    return tools.run("kafka-producer-perf-test", "--topic", topic, "--num-records", count,
                     "--record-size", size, "--throughput", -1)


def test_create_describe_list_delete(tools, topic):
    lines = describe(tools, topic).lines
    assert "PartitionCount: 3\tReplicationFactor: 3" in lines[0]
    for i, line in enumerate(lines[1:4]):
        assert f"Partition: {i}\t" in line
        found = re.search(r"Leader: (\d)\tReplicas: (\S+)\tIsr: (\S+)", line)
        assert found[1] == found[2].split(",")[0]
        assert sorted(found[3].split(",")) == ["1", "2", "3"]
    assert topic in tools.run("kafka-topics", "--list").lines
    assert tools.run("kafka-topics", "--delete", "--topic", topic).status == 0
    assert topic not in tools.run("kafka-topics", "--list").lines


def test_replicas_and_settings_given_at_creation(tools, topic):
    name = f"{topic}-b"
    done = tools.run("kafka-topics", "--create", "--topic", name, "--replica-assignment",
                     "2:1,3:2", "--config", "retention.ms=12345")
    assert done.status == 0, done
    text = describe(tools, name).text
    assert "retention.ms=12345" in text
    assert re.search(r"Partition: 0\tLeader: 2\tReplicas: 2,1\t", text)
    assert re.search(r"Partition: 1\tLeader: 3\tReplicas: 3,2\t", text)


def test_refused_topics_say_why(tools, topic):
    again = tools.run("kafka-topics", "--create", "--topic", topic)
    assert again.status == 1 and "already exists" in again.text
    many = tools.run("kafka-topics", "--create", "--topic", f"{topic}-x", "--replication-factor", 4)
    assert many.status == 1 and "InvalidReplicationFactorException" in many.text
    bad = tools.run("kafka-topics", "--create", "--topic", f"{topic}-x", "--config",
                    "retention.ms=abc")
    assert bad.status == 1 and "retention.ms" in bad.text
    gone = tools.run("kafka-topics", "--delete", "--topic", f"{topic}-x")
    assert gone.status == 1 and "does not exist" in gone.text


def test_more_partitions_but_not_fewer(tools, topic):
    assert tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", 5).status == 0
    assert "PartitionCount: 5\t" in describe(tools, topic).text
    fewer = tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", 4)
    assert fewer.status == 1 and "InvalidPartitionsException" in fewer.text
    placed = tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", 6,
                       "--replica-assignment", "1:2:3,1:2:3,1:2:3,1:2:3,1:2:3,3:1:2")
    assert placed.status == 0, placed
    assert re.search(r"Partition: 5\tLeader: 3\tReplicas: 3,1,2\t", describe(tools, topic).text)


def test_records_go_in_and_come_out(tools, topic):
    lines = [f"key-{i}\tvalue {i}" for i in range(50)]
    done = tools.run("kafka-console-producer", "--topic", topic, "--reader-property",
                     "parse.key=true", stdin="\n".join(lines) + "\n")
    assert done.status == 0, done
    ends = offsets(tools, topic)
    assert sum(ends.values()) == 50
    seen = []
    for partition, count in ends.items():
        if count == 0:
            continue
        done = tools.run("kafka-console-consumer", "--topic", topic, "--partition", partition,
                         "--offset", "earliest", "--max-messages", count, "--timeout-ms", 20000,
                         "--formatter-property", "print.key=true")
        assert done.status == 0, done
        seen += [line for line in done.lines if line.startswith("key-")]
    assert sorted(seen) == sorted(lines)


def test_producers_that_measure_and_verify(tools, topic):
    done = produce(tools, topic, 2000)
    assert done.status == 0 and "2000 records sent" in done.text, done
    done = tools.run_alone("kafka-verifiable-producer", "--topic", topic, "--max-messages", 100,
                           "--acks", -1)
    assert done.status == 0 and '"acked":100' in done.text.replace(" ", ""), done
    assert sum(offsets(tools, topic).values()) == 2100


def test_deleted_records_are_gone_on_every_node(tools, topic, json_file):
    assert produce(tools, topic, 3000, 10).status == 0
    ends = offsets(tools, topic)
    largest = max(ends, key=ends.get)
    others = [p for p in ends if p != largest]
    plan = json_file({"version": 1, "partitions": [
        {"topic": topic, "partition": largest, "offset": 10},
        {"topic": topic, "partition": others[0], "offset": -1},
        {"topic": topic, "partition": others[1], "offset": ends[others[1]] + 1}]})
    done = tools.run("kafka-delete-records", "--offset-json-file", plan)
    assert f"partition: {topic}-{largest}\tlow_watermark: 10" in done.text, done
    assert f"partition: {topic}-{others[0]}\tlow_watermark: {ends[others[0]]}" in done.text
    assert "OffsetOutOfRangeException" in done.text
    assert offsets(tools, topic, "earliest") == {largest: 10, others[0]: ends[others[0]],
                                                 others[1]: 0}
    assert offsets(tools, topic) == ends
