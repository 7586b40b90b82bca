// The scenarios of segmentio/kafka-go. Run with the bootstrap list.
package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	. "millrace/clients/scenario"
)

var client *kafka.Client

func main() {
	client = &kafka.Client{Addr: kafka.TCP(Bootstrap()...), Timeout: 20 * time.Second}
	all := []Scenario{}
	for name, codec := range map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip,
		"snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd} {
		all = append(all, Scenario{"records_come_back_exactly_as_sent_" + name,
			func() { roundTrip(codec, kafka.RequireAll) }})
	}
	for name, acks := range map[string]kafka.RequiredAcks{"0": kafka.RequireNone,
		"1": kafka.RequireOne, "all": kafka.RequireAll} {
		all = append(all, Scenario{"acks_" + name + "_delivers", func() { roundTrip(0, acks) }})
	}
	Main(append(all, []Scenario{
		{"group_of_two_restarts_from_the_commit", groupOfTwo},
		{"offsets_by_time", offsetsByTime},
		{"transaction_carries_offsets", transactionWithOffsets},
		{"record_of_2_mb_is_too_large_and_the_connection_lives_on", tooLarge},
		{"unknown_topic_is_refused", unknownTopic},
		{"admin_topics", adminTopics},
		{"admin_configs", adminConfigs},
		{"admin_cluster", adminCluster},
		{"admin_groups", adminGroups},
		{"admin_reassignment", adminReassignment},
	}...))
}

func newTopic(partitions int) string {
	topic := Unique("topic")
	answer := Got(client.CreateTopics(Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topic, NumPartitions: partitions, ReplicationFactor: 3}}}))
	Do(answer.Errors[topic])
	Settle()
	return topic
}

// The partition is the number that the key is.
func writer(topic string) *kafka.Writer {
	byKey := func(msg kafka.Message, _ ...int) int {
		part := 0
		_, _ = fmt.Sscan(string(msg.Key), &part)
		return part
	}
	return &kafka.Writer{Addr: client.Addr, Topic: topic, Balancer: kafka.BalancerFunc(byKey),
		RequiredAcks: kafka.RequireAll, BatchBytes: 1048588, BatchTimeout: 5 * time.Millisecond,
		MaxAttempts: 3}
}

func readFrom(topic string, partition int, offset int64, count int) []kafka.Message {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: Bootstrap(), Topic: topic,
		Partition: partition, MaxWait: 200 * time.Millisecond, MaxBytes: 4000000})
	defer reader.Close()
	Do(reader.SetOffset(offset))
	var out []kafka.Message
	for range count {
		out = append(out, Got(reader.ReadMessage(Context())))
	}
	return out
}

func roundTrip(codec kafka.Compression, acks kafka.RequiredAcks) {
	topic := newTopic(1)
	sent := Samples()
	w := writer(topic)
	defer w.Close()
	w.Compression, w.RequiredAcks, w.Balancer = codec, acks, &kafka.RoundRobin{}
	var messages []kafka.Message
	for _, rec := range sent {
		msg := kafka.Message{Key: rec.Key, Value: rec.Value, Time: rec.Time}
		for _, header := range rec.Headers {
			msg.Headers = append(msg.Headers, kafka.Header(header))
		}
		messages = append(messages, msg)
	}
	Do(w.WriteMessages(Context(), messages...))
	for i := range sent { // kafka-go reads an empty one as nil
		if len(sent[i].Key) == 0 {
			sent[i].Key = nil
		}
		if len(sent[i].Value) == 0 {
			sent[i].Value = nil
		}
	}
	var got []Record
	for i, msg := range readFrom(topic, 0, 0, len(sent)) {
		Check(msg.Offset == int64(i), "offset %d at %d", msg.Offset, i)
		rec := Record{Key: msg.Key, Value: msg.Value, Time: msg.Time}
		for _, header := range msg.Headers {
			rec.Headers = append(rec.Headers, Header(header))
		}
		got = append(got, rec)
	}
	Same(got, sent)
}

func produce(topic string, partitions, each int) {
	w := writer(topic)
	defer w.Close()
	var messages []kafka.Message
	for part := range partitions {
		for i := range each {
			messages = append(messages,
				kafka.Message{Key: fmt.Append(nil, part), Value: fmt.Append(nil, i)})
		}
	}
	Do(w.WriteMessages(Context(), messages...))
}

// member of a group: its generations come one after the other.
type member struct {
	group       *kafka.ConsumerGroup
	generations chan *kafka.Generation
	now         *kafka.Generation
}

func newMember(group, topic string) *member {
	m := &member{generations: make(chan *kafka.Generation, 100)}
	m.group = Got(kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: group, Brokers: Bootstrap(),
		Topics: []string{topic}, HeartbeatInterval: 200 * time.Millisecond,
		StartOffset: kafka.FirstOffset, JoinGroupBackoff: 100 * time.Millisecond}))
	go func() {
		for {
			generation, err := m.group.Next(context.Background())
			if err != nil {
				return // it was closed, or the test waits in vain
			}
			generation.Start(func(ctx context.Context) { <-ctx.Done() })
			m.generations <- generation
		}
	}()
	return m
}

func (m *member) parts(topic string) []kafka.PartitionAssignment {
	for {
		select {
		case m.now = <-m.generations:
			continue
		default:
		}
		if m.now == nil {
			return nil
		}
		return m.now.Assignments[topic]
	}
}

func groupOfTwo() {
	topic, group := newTopic(4), Unique("group")
	produce(topic, 4, 10)
	first := newMember(group, topic)
	Until("all partitions", func() bool { return len(first.parts(topic)) == 4 })
	commit := map[int]int64{}
	for _, part := range first.parts(topic) {
		readFrom(topic, part.ID, 0, 10)
		commit[part.ID] = 7
	}
	Do(first.now.CommitOffsets(map[string]map[int]int64{topic: commit}))
	second := newMember(group, topic)
	Until("two partitions each", func() bool {
		return len(first.parts(topic)) == 2 && len(second.parts(topic)) == 2
	})
	Do(first.group.Close())
	Until("all for the one that is left", func() bool { return len(second.parts(topic)) == 4 })
	for _, part := range second.parts(topic) {
		Check(part.Offset == 7, "partition %d goes on at %d", part.ID, part.Offset)
	}
	Do(second.group.Close())
	third := kafka.NewReader(kafka.ReaderConfig{Brokers: Bootstrap(), GroupID: group, Topic: topic,
		MaxWait: 200 * time.Millisecond})
	for range 12 {
		msg := Got(third.FetchMessage(Context()))
		Check(msg.Offset >= 7, "record before the commit: %d", msg.Offset)
		Do(third.CommitMessages(Context(), msg))
	}
	Do(third.Close())
	_, err := third.FetchMessage(Context())
	Expect(io.EOF, err)
	for part, found := range committed(group, topic, 0, 1, 2, 3) {
		Check(found == 10, "partition %d is at %d", part, found)
	}
}

func committed(group, topic string, parts ...int) map[int]int64 {
	answer := Got(client.OffsetFetch(Context(), &kafka.OffsetFetchRequest{GroupID: group,
		Topics: map[string][]int{topic: parts}}))
	Do(answer.Error)
	out := map[int]int64{}
	for _, part := range answer.Topics[topic] {
		Do(part.Error)
		out[part.Partition] = part.CommittedOffset
	}
	return out
}
