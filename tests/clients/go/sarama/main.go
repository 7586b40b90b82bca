// The scenarios of sarama. Run with the bootstrap list.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	. "millrace/clients/scenario"
)

var admin sarama.ClusterAdmin

func main() {
	admin = Got(sarama.NewClusterAdmin(Bootstrap(), config()))
	defer admin.Close()
	all := []Scenario{}
	for name, codec := range map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
		"zstd": sarama.CompressionZSTD} {
		all = append(all, Scenario{"records_come_back_exactly_as_sent_" + name,
			func() { roundTrip(codec, sarama.WaitForAll) }})
	}
	for name, acks := range map[string]sarama.RequiredAcks{"0": sarama.NoResponse,
		"1": sarama.WaitForLocal, "all": sarama.WaitForAll} {
		all = append(all, Scenario{"acks_" + name + "_delivers",
			func() { roundTrip(sarama.CompressionNone, acks) }})
	}
	Main(append(all, []Scenario{
		{"idempotent_producer_keeps_order", idempotentProducer},
		{"group_of_two_restarts_from_the_commit", groupOfTwo},
		{"offsets_by_time", offsetsByTime},
		{"transactions_committed_and_aborted", transactions},
		{"transaction_carries_offsets", transactionWithOffsets},
		{"record_of_2_mb_is_too_large_and_the_connection_lives_on", tooLarge},
		{"unknown_topic_is_refused", unknownTopic},
		{"admin_topics", adminTopics},
		{"admin_configs", adminConfigs},
		{"admin_cluster", adminCluster},
		{"admin_delete_records", adminRecords},
		{"admin_groups", adminGroups},
		{"admin_reassignment", adminReassignment},
		{"admin_quotas", adminQuotas},
	}...))
}

func config(changes ...func(*sarama.Config)) *sarama.Config {
	out := sarama.NewConfig()
	out.Version = sarama.MaxVersion
	out.Producer.Return.Successes = true
	out.Producer.Partitioner = sarama.NewManualPartitioner
	out.Producer.MaxMessageBytes = 1048588
	out.Producer.RequiredAcks = sarama.WaitForAll
	out.Consumer.Offsets.Initial = sarama.OffsetOldest
	out.Consumer.Offsets.AutoCommit.Enable = false
	out.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	out.Metadata.AllowAutoTopicCreation = false
	for _, change := range changes {
		change(out)
	}
	return out
}

func producer(changes ...func(*sarama.Config)) sarama.SyncProducer {
	return Got(sarama.NewSyncProducer(Bootstrap(), config(changes...)))
}

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
}

func newTopic(partitions int32) string {
	topic := Unique("topic")
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 3}
	Do(admin.CreateTopic(topic, detail, false))
	Settle()
	return topic
}

func send(producer sarama.SyncProducer, topic string, values ...string) {
	for _, value := range values {
		msg := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
		_, _, err := producer.SendMessage(msg)
		Do(err)
	}
}

func readAll(topic string, count int, changes ...func(*sarama.Config)) []*sarama.ConsumerMessage {
	consumer := Got(sarama.NewConsumer(Bootstrap(), config(changes...)))
	defer consumer.Close()
	part := Got(consumer.ConsumePartition(topic, 0, sarama.OffsetOldest))
	defer part.Close()
	var out []*sarama.ConsumerMessage
	for len(out) < count {
		select {
		case msg := <-part.Messages():
			out = append(out, msg)
		case <-Context().Done():
			Check(false, "%d of %d records", len(out), count)
		}
	}
	return out
}

func values(topic string, count int, level sarama.IsolationLevel) string {
	out := ""
	isolated := func(c *sarama.Config) { c.Consumer.IsolationLevel = level }
	for _, msg := range readAll(topic, count, isolated) {
		out += string(msg.Value) + " "
	}
	return out
}

func encoder(data []byte) sarama.Encoder {
	if data == nil {
		return nil
	}
	return sarama.ByteEncoder(data)
}

func roundTrip(codec sarama.CompressionCodec, acks sarama.RequiredAcks) {
	topic := newTopic(1)
	sent := Samples()
	producer := producer(func(c *sarama.Config) {
		c.Producer.Compression = codec
		c.Producer.RequiredAcks = acks
	})
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, rec := range sent {
		msg := &sarama.ProducerMessage{Topic: topic, Key: encoder(rec.Key),
			Value: encoder(rec.Value), Timestamp: rec.Time}
		for _, header := range rec.Headers {
			msg.Headers = append(msg.Headers,
				sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
		messages = append(messages, msg)
	}
	Do(producer.SendMessages(messages))
	var got []Record
	for i, msg := range readAll(topic, len(sent)) {
		Check(msg.Offset == int64(i), "offset %d at %d", msg.Offset, i)
		rec := Record{Key: msg.Key, Value: msg.Value, Time: msg.Timestamp}
		for _, header := range msg.Headers {
			rec.Headers = append(rec.Headers, Header{Key: string(header.Key), Value: header.Value})
		}
		got = append(got, rec)
	}
	Same(got, sent)
}

func idempotentProducer() {
	topic := newTopic(1)
	producer := producer(idempotent)
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for i := range 500 {
		messages = append(messages,
			&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(i))})
	}
	Do(producer.SendMessages(messages))
	for i, msg := range readAll(topic, 500) {
		Check(string(msg.Value) == fmt.Sprint(i), "value %s at %d", msg.Value, i)
	}
}

// member of a group that knows its partitions and what it got.
type member struct {
	group sarama.ConsumerGroup
	stop  context.CancelFunc
	ended chan error
	lock  sync.Mutex
	parts int
	got   []*sarama.ConsumerMessage
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.parts = 0
	for _, parts := range session.Claims() {
		m.parts += len(parts)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.parts = 0
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession,
	claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, open := <-claim.Messages():
			if !open {
				return nil
			}
			if msg.Offset == 6 {
				session.MarkMessage(msg, "note")
				session.Commit()
			}
			m.lock.Lock()
			m.got = append(m.got, msg)
			m.lock.Unlock()
		case <-session.Context().Done():
			return nil
		}
	}
}

func newMember(group, topic string) *member {
	m := &member{ended: make(chan error, 1)}
	m.group = Got(sarama.NewConsumerGroup(Bootstrap(), group, config()))
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			err = m.group.Consume(ctx, []string{topic}, m)
		}
		m.ended <- err
	}()
	return m
}

func (m *member) close() {
	m.stop()
	Do(<-m.ended)
	Do(m.group.Close())
}

func (m *member) counts() (parts, got int) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.parts, len(m.got)
}

func groupOfTwo() {
	topic, group := newTopic(4), Unique("group")
	producer := producer()
	defer producer.Close()
	for i := range 40 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic,
			Partition: int32(i % 4), Value: sarama.StringEncoder(fmt.Sprint(i))})
		Do(err)
	}
	first := newMember(group, topic)
	Until("40 records", func() bool { _, got := first.counts(); return got == 40 })
	second := newMember(group, topic)
	Until("two partitions each", func() bool {
		one, _ := first.counts()
		two, _ := second.counts()
		return one == 2 && two == 2
	})
	first.close()
	Until("all for the one that is left", func() bool { n, _ := second.counts(); return n == 4 })
	second.close()
	third := newMember(group, topic)
	Until("12 records", func() bool { _, got := third.counts(); return got >= 12 })
	third.close()
	for _, msg := range third.got {
		Check(msg.Offset >= 7, "record before the commit: %d", msg.Offset)
	}
	found := Got(admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}}))
	block := found.GetBlock(topic, 0)
	Check(block.Offset == 7 && block.Metadata == "note", "%+v", block)
}
