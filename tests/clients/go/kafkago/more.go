package main

import (
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	. "millrace/clients/scenario"
)

func offsetsByTime() {
	topic := newTopic(1)
	w := writer(topic)
	defer w.Close()
	for i := range 5 {
		Do(w.WriteMessages(Context(), kafka.Message{Time: At(i + 1)}))
	}
	for when, wanted := range map[time.Time]int64{At(0): 0, At(2).Add(-1e6): 1, At(5): 4, At(6): -1} {
		asked := when.UnixMilli()
		answer := Got(client.ListOffsets(Context(), &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{topic: {{Partition: 0, Timestamp: asked}}}}))
		found := answer.Topics[topic][0]
		_, there := found.Offsets[wanted]
		Check(found.Error == nil && there, "offset of time %d: %+v", asked, found)
	}
	answer := Got(client.ListOffsets(Context(), &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}}}))
	found := answer.Topics[topic][0]
	Check(found.FirstOffset == 0 && found.LastOffset == 5, "%+v", found)
}

// kafka-go has no transactional producer, but the requests for offsets in transactions.
func transactionWithOffsets() {
	topic, group, id := newTopic(1), Unique("group"), Unique("txn")
	for _, commit := range []bool{true, false} {
		offset := int64(9)
		if commit {
			offset = 5
		}
		began := Got(client.InitProducerID(Context(), &kafka.InitProducerIDRequest{
			TransactionalID: id, TransactionTimeoutMs: 10000, ProducerID: -1, ProducerEpoch: -1}))
		Do(began.Error)
		who := began.Producer
		Do(Got(client.AddOffsetsToTxn(Context(), &kafka.AddOffsetsToTxnRequest{TransactionalID: id,
			ProducerID: who.ProducerID, ProducerEpoch: who.ProducerEpoch, GroupID: group})).Error)
		added := Got(client.TxnOffsetCommit(Context(), &kafka.TxnOffsetCommitRequest{
			TransactionalID: id, ProducerID: who.ProducerID, ProducerEpoch: who.ProducerEpoch,
			GroupID: group, GenerationID: -1,
			Topics: map[string][]kafka.TxnOffsetCommit{topic: {{Partition: 0, Offset: offset}}}}))
		Do(added.Topics[topic][0].Error)
		Do(Got(client.EndTxn(Context(), &kafka.EndTxnRequest{TransactionalID: id,
			ProducerID: who.ProducerID, ProducerEpoch: who.ProducerEpoch, Committed: commit})).Error)
		Settle()
		Check(committed(group, topic, 0)[0] == 5, "offset %d", committed(group, topic, 0)[0])
	}
}

func tooLarge() {
	topic := newTopic(1)
	w := writer(topic)
	defer w.Close()
	w.BatchBytes = 10000000
	err := w.WriteMessages(Context(), kafka.Message{Value: make([]byte, 2000000)})
	Expect(kafka.MessageSizeTooLarge, err.(kafka.WriteErrors)[0])
	Do(w.WriteMessages(Context(), kafka.Message{Value: []byte("small")}))
	Check(string(readFrom(topic, 0, 0, 1)[0].Value) == "small", "the small one")
}

func unknownTopic() {
	topic := Unique("unknown")
	w := writer(topic)
	defer w.Close()
	err := w.WriteMessages(Context(), kafka.Message{Value: []byte("v")})
	Expect(kafka.UnknownTopicOrPartition, err)
	Expect(kafka.UnknownTopicOrPartition, deleteTopic(topic))
}

func deleteTopic(topic string) error {
	return Got(client.DeleteTopics(Context(),
		&kafka.DeleteTopicsRequest{Topics: []string{topic}})).Errors[topic]
}

func describe(topic string) kafka.Topic {
	answer := Got(client.Metadata(Context(), &kafka.MetadataRequest{Topics: []string{topic}}))
	return answer.Topics[0]
}

func adminTopics() {
	topic := Unique("admin")
	create := func(topic string, replicas int, retention string) error {
		return Got(client.CreateTopics(Context(), &kafka.CreateTopicsRequest{
			Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 2, ReplicationFactor: replicas,
				ConfigEntries: []kafka.ConfigEntry{
					{ConfigName: "retention.ms", ConfigValue: retention}}}}})).Errors[topic]
	}
	partitions := func(count int32) error {
		return Got(client.CreatePartitions(Context(), &kafka.CreatePartitionsRequest{
			Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: count}}})).Errors[topic]
	}
	Do(create(topic, 3, "7200000"))
	Expect(kafka.TopicAlreadyExists, create(topic, 3, "7200000"))
	Expect(kafka.InvalidReplicationFactor, create(Unique("wide"), 9, "7200000"))
	Expect(kafka.InvalidTopic, create("no topic", 3, "7200000"))
	Expect(kafka.InvalidConfiguration, create(Unique("wrong"), 3, "soon"))
	Do(partitions(5))
	Expect(kafka.InvalidPartitionNumber, partitions(4))
	Until("five partitions", func() bool { return len(describe(topic).Partitions) == 5 }) // it caches
	Do(deleteTopic(topic))
	Until("the end of the topic", func() bool {
		for _, one := range Got(client.Metadata(Context(), &kafka.MetadataRequest{})).Topics {
			if one.Name == topic {
				return false
			}
		}
		return true
	})
}

func adminConfigs() {
	topic := newTopic(1)
	value := func() string {
		answer := Got(client.DescribeConfigs(Context(), &kafka.DescribeConfigsRequest{
			Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic,
				ResourceName: topic, ConfigNames: []string{"cleanup.policy"}}}}))
		Do(answer.Resources[0].Error)
		return answer.Resources[0].ConfigEntries[0].ConfigValue
	}
	alter := func(to string) error {
		answer := Got(client.IncrementalAlterConfigs(Context(), &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "cleanup.policy",
					Value: to, ConfigOperation: kafka.ConfigOperationSet}}}}}))
		return answer.Resources[0].Error
	}
	Check(value() == "delete", "at first %s", value())
	Do(alter("compact"))
	Settle()
	Check(value() == "compact", "then %s", value())
	Expect(kafka.InvalidConfiguration, alter("burn"))
}

func adminCluster() {
	found := Got(client.Metadata(Context(), &kafka.MetadataRequest{}))
	Check(len(found.Brokers) == 3 && found.ClusterID != "", "%+v", found)
	Check(slices.ContainsFunc(found.Brokers, func(one kafka.Broker) bool {
		return one.ID == found.Controller.ID
	}), "controller %+v", found.Controller)
	Do(Got(client.ApiVersions(Context(), &kafka.ApiVersionsRequest{})).Error)
}

func adminGroups() {
	topic, group := newTopic(1), Unique("group")
	remove := func() error {
		return Got(client.DeleteGroups(Context(),
			&kafka.DeleteGroupsRequest{GroupIDs: []string{group}})).Errors[group]
	}
	one := newMember(group, topic)
	Until("the partition", func() bool { return len(one.parts(topic)) == 1 })
	described := Got(client.DescribeGroups(Context(),
		&kafka.DescribeGroupsRequest{GroupIDs: []string{group}})).Groups[0]
	Check(described.GroupState == "Stable" && len(described.Members) == 1, "%+v", described)
	Expect(kafka.NonEmptyGroup, remove())
	Do(one.group.Close())
	answer := Got(client.OffsetCommit(Context(), &kafka.OffsetCommitRequest{GroupID: group,
		GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 3}}}}))
	Do(answer.Topics[topic][0].Error)
	Check(committed(group, topic, 0)[0] == 3, "the commit")
	gone := Got(client.OffsetDelete(Context(), &kafka.OffsetDeleteRequest{GroupID: group,
		Topics: map[string][]int{topic: {0}}}))
	Do(gone.Error)
	Check(committed(group, topic, 0)[0] == -1, "the deletion of the offset")
	Do(remove())
	Expect(kafka.GroupIdNotFound, remove())
}

func adminReassignment() {
	topic := newTopic(1)
	replicas := func() (out []int) {
		for _, one := range describe(topic).Partitions[0].Replicas {
			out = append(out, one.ID)
		}
		return
	}
	wanted := replicas()[1:]
	answer := Got(client.AlterPartitionReassignments(Context(),
		&kafka.AlterPartitionReassignmentsRequest{Topic: topic, Timeout: 10 * time.Second,
			Assignments: []kafka.AlterPartitionReassignmentsRequestAssignment{
				{PartitionID: 0, BrokerIDs: wanted}}}))
	Do(answer.Error)
	Do(answer.PartitionResults[0].Error)
	Until("the end of the reassignment", func() bool {
		open := Got(client.ListPartitionReassignments(Context(),
			&kafka.ListPartitionReassignmentsRequest{Timeout: 10 * time.Second}))
		Do(open.Error)
		_, moving := open.Topics[topic]
		return !moving && slices.Equal(replicas(), wanted)
	})
}
