"""Tools about nodes: log folders, moves, elections, features, the quorum, versions."""
import json
import pathlib
import re

from test_topics import describe, produce


def replicas(tools, topic):
    found = re.findall(r"Partition: (\d+)\tLeader: (\d+)\tReplicas: (\S+)\tIsr: (\S+)",
                       describe(tools, topic).text)
    return {int(p): (int(leader), reps, isr) for p, leader, reps, isr in found}


def test_log_dirs_and_dumped_segments(tools, topic):
    assert produce(tools, topic, 300).status == 0
    done = tools.run("kafka-log-dirs", "--describe", "--topic-list", topic)
    assert done.status == 0, done
    found = json.loads(done.lines[-1])["brokers"]
    assert sorted(b["broker"] for b in found) == [1, 2, 3]
    for broker in found:
        (folder,) = broker["logDirs"]
        assert folder["error"] is None
        assert len(folder["partitions"]) == 3
        largest = max(folder["partitions"], key=lambda p: p["size"])
        assert largest["size"] > 300 * 100 / 3 and not largest["isFuture"]
        segment = pathlib.Path(folder["logDir"]) / largest["partition"] / f"{0:020}.log"
        dumped = tools.run("kafka-dump-log", "--deep-iteration", "--files", segment,
                           bootstrap=None)
        assert dumped.status == 0 and "baseOffset: 0" in dumped.text, dumped
        assert "isvalid: false" not in dumped.text


def test_partitions_move_and_take_their_records_along(tools, topic, json_file, until):
    moved = f"{topic}-moved"
    assert tools.run("kafka-topics", "--create", "--topic", moved, "--replica-assignment",
                     "1:2,2:1").status == 0
    assert produce(tools, moved, 500).status == 0
    plan = json_file({"version": 1, "partitions": [
        {"topic": moved, "partition": 0, "replicas": [3, 2]},
        {"topic": moved, "partition": 1, "replicas": [3]}]})
    words = ("kafka-reassign-partitions", "--reassignment-json-file", plan)
    done = tools.run(*words, "--execute")
    assert done.status == 0 and "Successfully started" in done.text, done
    until(lambda: tools.run(*words, "--verify"),
          lambda d: d.text.count("is completed.") == 2)
    assert "No partition reassignments found." in \
        tools.run("kafka-reassign-partitions", "--list").text
    after = replicas(tools, moved)
    assert after[0][1] == "3,2" and sorted(after[0][2]) == sorted("3,2")
    assert after[1] == (3, "3", "3")
    ends = tools.run("kafka-get-offsets", "--topic", moved).lines
    assert sum(int(line.split(":")[2]) for line in ends) == 500


def test_refused_moves_say_why(tools, topic, json_file):
    plan = json_file({"version": 1, "partitions": [
        {"topic": topic, "partition": 0, "replicas": [1, 9]}]})
    done = tools.run("kafka-reassign-partitions", "--reassignment-json-file", plan, "--execute")
    assert done.status == 1 and "9" in done.text, done
    before = replicas(tools, topic)
    plan = json_file({"version": 1, "partitions": [
        {"topic": topic, "partition": 0, "replicas": [1, 2, 3]}]})
    done = tools.run("kafka-reassign-partitions", "--reassignment-json-file", plan, "--cancel")
    assert "None of the specified partition reassignments are active." in done.text, done
    assert replicas(tools, topic) == before


def test_a_proposed_plan(tools, topic, json_file):
    plan = json_file({"version": 1, "topics": [{"topic": topic}]})
    done = tools.run("kafka-reassign-partitions", "--topics-to-move-json-file", plan,
                     "--broker-list", "1,2,3", "--generate")
    assert done.status == 0 and "Proposed partition reassignment" in done.text, done


def test_preferred_leaders_come_back_by_election(tools, cluster, topic, until):
    (ours,) = [p for p, (leader, _, _) in replicas(tools, topic).items() if leader == 3]
    elect = ("kafka-leader-election", "--election-type", "preferred")
    done = tools.run(*elect, "--topic", topic, "--partition", ours)
    assert done.status == 0 and "already elected" in done.text, done
    cluster.run("stop", 3)
    until(lambda: describe(tools, topic), lambda d: "Leader: 3" not in d.text)
    done = tools.run(*elect, "--topic", topic, "--partition", ours)
    assert done.status == 1 and "PreferredLeaderNotAvailableException" in done.text, done
    cluster.run("start", 3)
    until(lambda: replicas(tools, topic), lambda r: all(len(p[2]) == 5 for p in r.values()))
    done = tools.run(*elect, "--topic", topic, "--partition", ours)
    assert done.status == 0 and "Successfully completed leader election" in done.text, done
    assert replicas(tools, topic)[ours][0] == 3
    done = tools.run(*elect, "--topic", topic, "--partition", 77)
    assert done.status == 1 and "UnknownTopicOrPartitionException" in done.text, done


def test_the_quorum_is_described(tools):
    done = tools.run("kafka-metadata-quorum", "describe", "--status")
    assert done.status == 0, done
    leader = re.search(r"LeaderId:\s+(\d)", done.text)[1]
    voters = re.search(r"CurrentVoters:\s+(.*)", done.text)[1]
    assert sorted(re.findall(r'"id": (\d)', voters)) == ["1", "2", "3"]
    done = tools.run("kafka-metadata-quorum", "describe", "--replication")
    assert done.status == 0 and len(done.lines) == 4, done
    assert re.search(rf"^{leader}\s.*Leader", done.text, re.M)
    assert done.text.count("Follower") == 2


def test_features(tools):
    done = tools.run("kafka-features", "describe")
    assert done.status == 0, done
    assert re.search(r"metadata.version .*FinalizedVersionLevel: 4\.", done.text)
    done = tools.run("kafka-features", "upgrade", "--feature", "no.such=1")
    assert done.status == 1 and "no.such" in done.text, done
    done = tools.run("kafka-features", "upgrade", "--feature", "metadata.version=999")
    assert done.status == 1, done


def test_the_cluster_itself(tools, is_kafka):
    done = tools.run("kafka-cluster", "cluster-id")
    assert re.fullmatch(r"Cluster ID: \S{22}", done.text.strip()), done
    done = tools.run("kafka-cluster", "list-endpoints")
    assert done.status == 0 and done.text.count("broker") >= 3, done
    done = tools.run("kafka-cluster", "unregister", "--id", 77)
    assert done.status == 1 and "BrokerIdNotRegisteredException" in done.text, done
    done = tools.run("kafka-broker-api-versions")
    assert done.status == 0 and done.text.count(" isFenced: false) -> (") == 3, done
    for served in ("Produce(0): 0 to 13", "Fetch(1): 4 to 18", "CreatePartitions(37): 0 to 3",
                   "IncrementalAlterConfigs(44): 0 to 1", "DescribeTopicPartitions(75): 0"):
        assert done.text.count(served) == 3, served


def test_acls_are_switched_off(tools):
    done = tools.run("kafka-acls", "--list")
    assert done.status == 1 and "SecurityDisabledException" in done.text, done
    done = tools.run("kafka-acls", "--add", "--allow-principal", "User:a", "--operation", "Read",
                     "--topic", "t")
    assert done.status == 1 and "SecurityDisabledException" in done.text, done
