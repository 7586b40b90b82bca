package main

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "millrace/clients/scenario"
)

type ctx = context.Context

func transactions() {
	topic := newTopic(1)
	producer := client(kgo.TransactionalID(Unique("txn")))
	defer producer.Close()
	for _, value := range []string{"one", "two", "three"} {
		Do(producer.BeginTransaction())
		send(producer, topic, value)
		Do(producer.EndTransaction(Context(), kgo.TransactionEndTry(value != "two")))
	}
	committed := kgo.FetchIsolationLevel(kgo.ReadCommitted())
	Check(values(topic, 2, committed) == "one three ", "committed")
	Check(values(topic, 3) == "one two three ", "all")
}

func transactionWithOffsets() {
	in, out, group := newTopic(1), newTopic(1), Unique("group")
	producer := client()
	defer producer.Close()
	send(producer, in, "0", "1", "2", "3")
	committed := func() int64 {
		found, _ := Got(admin.FetchOffsets(Context(), group)).Lookup(in, 0)
		return found.At
	}
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		session := Got(kgo.NewGroupTransactSession(kgo.SeedBrokers(Bootstrap()...),
			kgo.TransactionalID(group), kgo.ConsumerGroup(group), kgo.ConsumeTopics(in),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(),
			kgo.FetchIsolationLevel(kgo.ReadCommitted())))
		Do(session.Begin())
		fetches := session.PollFetches(Context())
		Do(fetches.Err())
		Check(len(fetches.Records()) == 4, "%d records", len(fetches.Records()))
		Do(session.ProduceSync(Context(), &kgo.Record{Topic: out, Value: []byte("v")}).FirstErr())
		ended := Got(session.End(Context(), commit))
		Check(ended == bool(commit), "ended as %v", ended)
		session.Close()
		Settle()
		Check(committed() == 4, "committed %d", committed())
		if commit {
			send(producer, in, "4", "5", "6", "7") // which the aborted one reads in vain
		}
	}
}

func fencing() {
	topic, id := newTopic(1), Unique("txn")
	old := client(kgo.TransactionalID(id))
	defer old.Close()
	Do(old.BeginTransaction())
	send(old, topic, "old")
	newer := client(kgo.TransactionalID(id))
	defer newer.Close()
	Do(newer.BeginTransaction())
	send(newer, topic, "new")
	Do(newer.EndTransaction(Context(), kgo.TryCommit))
	err := old.EndTransaction(Context(), kgo.TryCommit)
	Check(errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced),
		"the older one's end: %v", err)
	Check(values(topic, 1, kgo.FetchIsolationLevel(kgo.ReadCommitted())) == "new ", "only the newer")
}

func tooLarge() {
	topic := newTopic(1)
	producer := client(kgo.ProducerBatchMaxBytes(10000000), kgo.BrokerMaxWriteBytes(20000000),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer producer.Close()
	rec := &kgo.Record{Topic: topic, Value: make([]byte, 2000000)}
	Expect(kerr.MessageTooLarge, producer.ProduceSync(Context(), rec).FirstErr())
	rec = &kgo.Record{Topic: topic, Value: []byte("small")}
	Do(producer.ProduceSync(Context(), rec).FirstErr())
	Check(rec.Offset == 0, "offset %d", rec.Offset)
}

func unknownTopic() {
	producer := client(kgo.UnknownTopicRetries(1))
	defer producer.Close()
	rec := &kgo.Record{Topic: Unique("unknown")}
	Expect(kerr.UnknownTopicOrPartition, producer.ProduceSync(Context(), rec).FirstErr())
	_, err := admin.DeleteTopic(Context(), rec.Topic)
	Expect(kerr.UnknownTopicOrPartition, err)
}

func adminTopics() {
	topic, retention := Unique("admin"), "7200000"
	create := func(topic string, replicas int16, value string) error {
		configs := map[string]*string{"retention.ms": &value}
		_, err := admin.CreateTopic(Context(), 2, replicas, configs, topic)
		return err
	}
	Do(create(topic, 3, retention))
	Expect(kerr.TopicAlreadyExists, create(topic, 3, retention))
	Expect(kerr.InvalidReplicationFactor, create(Unique("wide"), 9, retention))
	Expect(kerr.InvalidTopicException, create("no topic", 3, retention))
	Expect(kerr.InvalidConfig, create(Unique("wrong"), 3, "soon"))
	Do(Got(admin.UpdatePartitions(Context(), 5, topic)).Error())
	Settle()
	Expect(kerr.InvalidPartitions, Got(admin.UpdatePartitions(Context(), 4, topic)).Error())
	found := Got(admin.ListTopics(Context(), topic))[topic]
	Check(len(found.Partitions) == 5 && found.Err == nil, "%+v", found)
	Got(admin.DeleteTopic(Context(), topic))
	Until("the end of the topic", func() bool {
		return !Got(admin.ListTopics(Context())).Has(topic)
	})
}

func adminConfigs() {
	topic := newTopic(1)
	value := func() string {
		for _, config := range Got(admin.DescribeTopicConfigs(Context(), topic))[0].Configs {
			if config.Key == "cleanup.policy" {
				return *config.Value
			}
		}
		return "none"
	}
	alter := func(to string) error {
		change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &to}}
		return Got(admin.AlterTopicConfigs(Context(), change, topic))[0].Err
	}
	Check(value() == "delete", "at first %s", value())
	Do(alter("compact"))
	Settle()
	Check(value() == "compact", "then %s", value())
	Expect(kerr.InvalidConfig, alter("burn"))
}

func adminCluster() {
	found := Got(admin.BrokerMetadata(Context()))
	Check(len(found.Brokers) == 3 && found.Cluster != "", "%+v", found)
	Check(slices.ContainsFunc(found.Brokers, func(one kadm.BrokerDetail) bool {
		return one.NodeID == found.Controller
	}), "controller %d", found.Controller)
	versions := Got(admin.ApiVersions(Context()))
	Check(len(versions) == 3, "%d versions", len(versions))
	topic := newTopic(1)
	dirs := Got(admin.DescribeAllLogDirs(Context(), nil))
	Check(len(dirs) == 3, "%d brokers' log dirs", len(dirs))
	replicas := 0
	for _, one := range dirs {
		Do(one.Error())
		one.Each(func(dir kadm.DescribedLogDir) {
			if _, there := dir.Topics.Lookup(topic, 0); there {
				replicas++
			}
		})
	}
	Check(replicas == 3, "%d replicas", replicas)
}

func adminRecords() {
	topic := newTopic(1)
	producer := client()
	defer producer.Close()
	send(producer, topic, "0", "1", "2")
	to := kadm.Offsets{}
	to.AddOffset(topic, 0, 2, -1)
	Do(Got(admin.DeleteRecords(Context(), to)).Error())
	start, _ := Got(admin.ListStartOffsets(Context(), topic)).Lookup(topic, 0)
	Check(start.Offset == 2, "start %d", start.Offset)
	Check(values(topic, 1) == "2 ", "what is left")
}

func adminGroups() {
	topic, group := newTopic(1), Unique("group")
	one := newMember(group, topic)
	Until("the partition", func() bool { return one.count() == 1 })
	Check(slices.Contains(Got(admin.ListGroups(Context())).Groups(), group), "not listed")
	described := Got(admin.DescribeGroups(Context(), group))[group]
	Check(described.State == "Stable" && len(described.Members) == 1, "%+v", described)
	_, err := admin.DeleteGroup(Context(), group)
	Expect(kerr.NonEmptyGroup, err)
	one.Close()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 3, -1)
	Do(admin.CommitAllOffsets(Context(), group, offsets))
	lag := Got(admin.Lag(Context(), group))[group]
	Check(lag.State == "Empty" && lag.FetchErr == nil, "%+v", lag)
	parts := kadm.TopicsSet{}
	parts.Add(topic, 0)
	Do(Got(admin.DeleteOffsets(Context(), group, parts)).Error())
	Got(admin.DeleteGroup(Context(), group))
	_, err = admin.DeleteGroup(Context(), group)
	Expect(kerr.GroupIDNotFound, err)
}

func adminReassignment() {
	topic := newTopic(1)
	replicas := func() []int32 {
		return Got(admin.ListTopics(Context(), topic))[topic].Partitions[0].Replicas
	}
	wanted := replicas()[1:]
	change := kadm.AlterPartitionAssignmentsReq{}
	change.Assign(topic, 0, wanted)
	Do(Got(admin.AlterPartitionAssignments(Context(), change)).Error())
	Until("the end of the reassignment", func() bool {
		open := Got(admin.ListPartitionReassignments(Context(), nil))
		return len(open) == 0 && slices.Equal(replicas(), wanted)
	})
}

func adminTransactions() {
	topic, id := newTopic(1), Unique("txn")
	producer := client(kgo.TransactionalID(id))
	defer producer.Close()
	Do(producer.BeginTransaction())
	send(producer, topic, "open")
	listed := Got(admin.ListTransactions(Context(), nil, nil))
	Check(slices.Contains(listed.TransactionalIDs(), id), "not listed")
	found := Got(admin.DescribeTransactions(Context(), id))[id]
	Check(found.State == "Ongoing" && found.Err == nil, "%+v", found)
	parts := kadm.TopicsSet{}
	parts.Add(topic, 0)
	described := Got(admin.DescribeProducers(Context(), parts))[topic]
	Check(len(described.Partitions[0].ActiveProducers) == 1, "%+v", described)
	Do(producer.EndTransaction(Context(), kgo.TryAbort))
}
