package main

import (
	"slices"

	"github.com/IBM/sarama"

	. "millrace/clients/scenario"
)

func offset(topic string, when int64) int64 {
	asked := map[string]map[int32]int64{topic: {0: when}}
	found := Got(admin.ListOffsets(asked, nil))[topic][0]
	Expect(sarama.ErrNoError, found.Err)
	return found.Offset
}

func offsetsByTime() {
	topic := newTopic(1)
	producer := producer()
	defer producer.Close()
	for i := range 5 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic,
			Timestamp: At(i + 1)})
		Do(err)
	}
	for asked, wanted := range map[int64]int64{At(0).UnixMilli(): 0,
		At(2).UnixMilli() - 1: 1, At(5).UnixMilli(): 4, At(6).UnixMilli(): -1,
		sarama.OffsetOldest: 0, sarama.OffsetNewest: 5} {
		Check(offset(topic, asked) == wanted, "offset of %d: %d", asked, offset(topic, asked))
	}
}

func transactional(c *sarama.Config) {
	idempotent(c)
	c.Producer.Transaction.ID = Unique("txn")
}

func end(producer sarama.SyncProducer, commit bool) {
	if commit {
		Do(producer.CommitTxn())
	} else {
		Do(producer.AbortTxn())
	}
}

func transactions() {
	topic := newTopic(1)
	producer := producer(transactional)
	defer producer.Close()
	for _, value := range []string{"one", "two", "three"} {
		Do(producer.BeginTxn())
		send(producer, topic, value)
		end(producer, value != "two")
	}
	Check(values(topic, 2, sarama.ReadCommitted) == "one three ", "committed")
	Check(values(topic, 3, sarama.ReadUncommitted) == "one two three ", "all")
}

func transactionWithOffsets() {
	topic, group := newTopic(1), Unique("group")
	producer := producer(transactional)
	defer producer.Close()
	for _, commit := range []bool{true, false} {
		at := int64(9)
		if commit {
			at = 5
		}
		Do(producer.BeginTxn())
		send(producer, topic, "v")
		Do(producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{
			topic: {{Partition: 0, Offset: at, LeaderEpoch: -1}}}, group))
		end(producer, commit)
		Settle()
		found := Got(admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}}))
		Check(found.GetBlock(topic, 0).Offset == 5, "%+v", found.GetBlock(topic, 0))
	}
}

func tooLarge() {
	topic := newTopic(1)
	producer := producer(func(c *sarama.Config) { c.Producer.MaxMessageBytes = 10000000 })
	defer producer.Close()
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic,
		Value: sarama.ByteEncoder(make([]byte, 2000000))})
	Expect(sarama.ErrMessageSizeTooLarge, err)
	_, at, err := producer.SendMessage(
		&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("small")})
	Check(err == nil && at == 0, "offset %d, %v", at, err)
}

func unknownTopic() {
	producer := producer(func(c *sarama.Config) { c.Metadata.Retry.Max = 0; c.Producer.Retry.Max = 0 })
	defer producer.Close()
	topic := Unique("unknown")
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic})
	Expect(sarama.ErrUnknownTopicOrPartition, err)
	Expect(sarama.ErrUnknownTopicOrPartition, admin.DeleteTopic(topic))
}

func adminTopics() {
	topic := Unique("admin")
	create := func(topic string, replicas int16, retention string) error {
		return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2,
			ReplicationFactor: replicas,
			ConfigEntries:     map[string]*string{"retention.ms": &retention}}, false)
	}
	Do(create(topic, 3, "7200000"))
	Expect(sarama.ErrTopicAlreadyExists, create(topic, 3, "7200000"))
	Expect(sarama.ErrInvalidReplicationFactor, create(Unique("wide"), 9, "7200000"))
	Expect(sarama.ErrInvalidTopic, create("no topic", 3, "7200000"))
	Expect(sarama.ErrInvalidConfig, create(Unique("wrong"), 3, "soon"))
	Do(admin.CreatePartitions(topic, 5, nil, false))
	Settle()
	Expect(sarama.ErrInvalidPartitions, admin.CreatePartitions(topic, 4, nil, false))
	Check(Got(admin.ListTopics())[topic].NumPartitions == 5, "partitions")
	Do(admin.DeleteTopic(topic))
	Until("the end of the topic", func() bool {
		_, there := Got(admin.ListTopics())[topic]
		return !there
	})
}

func adminConfigs() {
	topic := newTopic(1)
	value := func() string {
		return Got(admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic,
			ConfigNames: []string{"cleanup.policy"}}))[0].Value
	}
	alter := func(to string) error {
		return admin.IncrementalAlterConfig(sarama.TopicResource, topic,
			map[string]sarama.IncrementalAlterConfigsEntry{
				"cleanup.policy": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &to}},
			false)
	}
	Check(value() == "delete", "at first %s", value())
	Do(alter("compact"))
	Settle()
	Check(value() == "compact", "then %s", value())
	Expect(sarama.ErrInvalidConfig, alter("burn"))
	both := "compact,delete"
	Do(admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"cleanup.policy": &both},
		false))
	Settle()
	Check(value() == both, "at last %s", value())
}

func adminCluster() {
	brokers, controller, err := admin.DescribeCluster()
	Do(err)
	Check(len(brokers) == 3, "%d brokers", len(brokers))
	Check(slices.ContainsFunc(brokers, func(one *sarama.Broker) bool {
		return one.ID() == controller
	}), "controller %d", controller)
	topic := newTopic(1)
	dirs := Got(admin.DescribeLogDirs([]int32{1, 2, 3}))
	replicas := 0
	for _, ofBroker := range dirs {
		for _, dir := range ofBroker {
			Expect(sarama.ErrNoError, dir.ErrorCode)
			for _, one := range dir.Topics {
				if one.Topic == topic {
					replicas++
				}
			}
		}
	}
	Check(replicas == 3, "%d replicas", replicas)
	elected := Got(admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}}))
	Expect(sarama.ErrElectionNotNeeded, elected[topic][0].ErrorCode)
}

func adminRecords() {
	topic := newTopic(1)
	producer := producer()
	defer producer.Close()
	send(producer, topic, "0", "1", "2")
	Do(admin.DeleteRecords(topic, map[int32]int64{0: 2}))
	Check(offset(topic, sarama.OffsetOldest) == 2, "start")
	Check(values(topic, 1, sarama.ReadUncommitted) == "2 ", "what is left")
	err := admin.DeleteRecords(topic, map[int32]int64{0: 9})
	Expect(sarama.ErrOffsetOutOfRange, err)
}

func adminGroups() {
	topic, group := newTopic(1), Unique("group")
	one := newMember(group, topic)
	Until("the partition", func() bool { n, _ := one.counts(); return n == 1 })
	Check(Got(admin.ListConsumerGroups())[group] == "consumer", "not listed")
	described := Got(admin.DescribeConsumerGroups([]string{group}))[0]
	Check(described.State == "Stable" && len(described.Members) == 1, "%+v", described)
	Expect(sarama.ErrNonEmptyGroup, admin.DeleteConsumerGroup(group))
	one.close()
	Got(admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{
		topic: {0: {Offset: 3, LeaderEpoch: -1}}}, nil))
	found := Got(admin.ListConsumerGroupOffsets(group, nil))
	Check(found.GetBlock(topic, 0).Offset == 3, "%+v", found.GetBlock(topic, 0))
	Do(admin.DeleteConsumerGroupOffset(group, topic, 0))
	Do(admin.DeleteConsumerGroup(group))
	Expect(sarama.ErrGroupIDNotFound, admin.DeleteConsumerGroup(group))
}

func adminReassignment() {
	topic := newTopic(1)
	replicas := func() []int32 {
		return Got(admin.DescribeTopics([]string{topic}))[0].Partitions[0].Replicas
	}
	wanted := replicas()[1:]
	Do(admin.AlterPartitionReassignments(topic, [][]int32{wanted}))
	Until("the end of the reassignment", func() bool {
		open := Got(admin.ListPartitionReassignments(topic, []int32{0}))
		return len(open[topic]) == 0 && slices.Equal(replicas(), wanted)
	})
}

func adminQuotas() {
	name := Unique("client")
	entity := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityClientID,
		MatchType: sarama.QuotaMatchExact, Name: name}}
	filter := []sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityClientID,
		MatchType: sarama.QuotaMatchExact, Match: name}}
	for _, remove := range []bool{false, true} {
		Do(admin.AlterClientQuotas(entity,
			sarama.ClientQuotasOp{Key: "consumer_byte_rate", Value: 1e6, Remove: remove}, false))
		Settle()
		found := Got(admin.DescribeClientQuotas(filter, true))
		Check((len(found) == 0) == remove, "%+v", found)
		Check(remove || found[0].Values["consumer_byte_rate"] == 1e6, "%+v", found)
	}
}
