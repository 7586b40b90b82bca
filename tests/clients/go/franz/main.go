// The scenarios of franz-go. Run with the bootstrap list.
package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	. "millrace/clients/scenario"
)

var admin *kadm.Client

func main() {
	admin = kadm.NewClient(client())
	defer admin.Close()
	all := []Scenario{}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		all = append(all, Scenario{"records_come_back_exactly_as_sent_" + codec, func() {
			roundTrip(kgo.ProducerBatchCompression(codecs[codec]), kgo.RequiredAcks(kgo.AllISRAcks()))
		}})
	}
	for name, acks := range map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(),
		"all": kgo.AllISRAcks()} {
		all = append(all, Scenario{"acks_" + name + "_delivers", func() {
			roundTrip(kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		}})
	}
	Main(append(all, []Scenario{
		{"idempotent_producer_keeps_order", idempotent},
		{"group_of_two_restarts_from_the_commit", func() { groupOfTwo() }},
		{"eager_group_of_two_restarts_from_the_commit",
			func() { groupOfTwo(kgo.Balancers(kgo.RangeBalancer())) }},
		{"consumer_protocol_group_of_two_restarts_from_the_commit",
			func() { groupOfTwo(kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()) }},
		{"consumer_protocol_subscribes_by_expression", expression},
		{"offsets_by_time", offsetsByTime},
		{"transactions_committed_and_aborted", transactions},
		{"transaction_carries_offsets", transactionWithOffsets},
		{"older_transactional_producer_is_fenced", fencing},
		{"record_of_2_mb_is_too_large_and_the_connection_lives_on", tooLarge},
		{"unknown_topic_is_refused", unknownTopic},
		{"admin_topics", adminTopics},
		{"admin_configs", adminConfigs},
		{"admin_cluster", adminCluster},
		{"admin_delete_records", adminRecords},
		{"admin_groups", adminGroups},
		{"admin_reassignment", adminReassignment},
		{"admin_transactions", adminTransactions},
	}...))
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func client(options ...kgo.Opt) *kgo.Client {
	all := []kgo.Opt{kgo.SeedBrokers(Bootstrap()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(1048588), kgo.RecordRetries(20), kgo.FetchMaxWait(200 * time.Millisecond)}
	return Got(kgo.NewClient(append(all, options...)...))
}

func newTopic(partitions int32) string {
	topic := Unique("topic")
	Got(admin.CreateTopic(Context(), partitions, 3, nil, topic))
	Settle()
	return topic
}

func send(producer *kgo.Client, topic string, values ...string) {
	for _, value := range values {
		rec := &kgo.Record{Topic: topic, Value: []byte(value)}
		Do(producer.ProduceSync(Context(), rec).FirstErr())
	}
}

// take polls until there are that many, and no more come with them.
func take(consumer *kgo.Client, count int) []*kgo.Record {
	var out []*kgo.Record
	for len(out) < count {
		fetches := consumer.PollFetches(Context())
		Do(fetches.Err())
		out = append(out, fetches.Records()...)
	}
	Check(len(out) == count, "%d records instead of %d", len(out), count)
	return out
}

func readAll(topic string, count int, options ...kgo.Opt) []*kgo.Record {
	parts := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	consumer := client(append(options, kgo.ConsumePartitions(parts))...)
	defer consumer.Close()
	return take(consumer, count)
}

func values(topic string, count int, options ...kgo.Opt) string {
	out := ""
	for _, rec := range readAll(topic, count, options...) {
		out += string(rec.Value) + " "
	}
	return out
}

func roundTrip(options ...kgo.Opt) {
	topic := newTopic(1)
	sent := Samples()
	producer := client(options...)
	defer producer.Close()
	var records []*kgo.Record
	for _, rec := range sent {
		out := &kgo.Record{Topic: topic, Key: rec.Key, Value: rec.Value, Timestamp: rec.Time}
		for _, header := range rec.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader(header))
		}
		records = append(records, out)
	}
	Do(producer.ProduceSync(Context(), records...).FirstErr())
	var got []Record
	for i, rec := range readAll(topic, len(sent)) {
		Check(rec.Offset == int64(i), "offset %d at %d", rec.Offset, i)
		out := Record{Key: rec.Key, Value: rec.Value, Time: rec.Timestamp}
		for _, header := range rec.Headers {
			out.Headers = append(out.Headers, Header(header))
		}
		got = append(got, out)
	}
	Same(got, sent)
}

func idempotent() {
	topic := newTopic(1)
	producer := client(kgo.MaxBufferedRecords(100))
	defer producer.Close()
	for i := range 500 {
		rec := &kgo.Record{Topic: topic, Value: fmt.Append(nil, i)}
		producer.Produce(Context(), rec, nil)
	}
	Do(producer.Flush(Context()))
	for i, rec := range readAll(topic, 500) {
		Check(string(rec.Value) == fmt.Sprint(i), "value %s at %d", rec.Value, i)
	}
}

// member of a group that knows its partitions.
type member struct {
	*kgo.Client
	lock  sync.Mutex
	parts map[string]bool
}

func newMember(group, topic string, options ...kgo.Opt) *member {
	m := &member{parts: map[string]bool{}}
	note := func(has bool) func(map[string][]int32) {
		return func(parts map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for topic, numbers := range parts {
				for _, part := range numbers {
					delete(m.parts, fmt.Sprint(topic, part))
					if has {
						m.parts[fmt.Sprint(topic, part)] = true
					}
				}
			}
		}
	}
	gained, lost := note(true), note(false)
	m.Client = client(append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(func(_ ctx, _ *kgo.Client, p map[string][]int32) { gained(p) }),
		kgo.OnPartitionsRevoked(func(_ ctx, _ *kgo.Client, p map[string][]int32) { lost(p) }),
		kgo.OnPartitionsLost(func(_ ctx, _ *kgo.Client, p map[string][]int32) { lost(p) }))...)
	return m
}

func (m *member) count() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.parts)
}

func groupOfTwo(options ...kgo.Opt) {
	topic, group := newTopic(4), Unique("group")
	producer := client()
	defer producer.Close()
	for i := range 40 {
		rec := &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: fmt.Append(nil, i)}
		Do(producer.ProduceSync(Context(), rec).FirstErr())
	}
	first := newMember(group, topic, options...)
	take(first.Client, 40)
	var commit []*kgo.Record
	for part := range int32(4) {
		commit = append(commit, &kgo.Record{Topic: topic, Partition: part, Offset: 6, LeaderEpoch: -1})
	}
	Do(first.CommitRecords(Context(), commit...))
	second := newMember(group, topic, options...)
	Until("two partitions each", func() bool { return first.count() == 2 && second.count() == 2 })
	described := Got(admin.ListGroups(Context()))[group]
	Check((described.GroupType == "consumer") == (len(options) > 1), "%+v", described)
	first.Close()
	Until("all for the one that is left", func() bool { return second.count() == 4 })
	second.Close()
	third := newMember(group, topic, options...)
	defer third.Close()
	for _, rec := range take(third.Client, 12) {
		Check(rec.Offset >= 7, "record before the commit: %d", rec.Offset)
	}
}

// The broker resolves the expression, the client has it from there.
func expression() {
	prefix, group := Unique("expr"), Unique("group")
	Do(Got(admin.CreateTopics(Context(), 2, 3, nil, prefix+"-one", prefix+"-three")).Error())
	Settle()
	found := newMember(group, prefix+"-(one|two)", kgo.ConsumeRegex(),
		kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
	defer found.Close()
	Until("the first topic", func() bool { return found.count() == 2 })
	kind := Got(admin.ListGroups(Context()))[group].GroupType
	Check(kind == "consumer", "a group of type %q", kind)
	Got(admin.CreateTopic(Context(), 3, 3, nil, prefix+"-two"))
	Until("the second topic", func() bool { return found.count() == 5 })
}

func offsetsByTime() {
	topic := newTopic(1)
	producer := client()
	defer producer.Close()
	for i := range 5 {
		rec := &kgo.Record{Topic: topic, Timestamp: At(i + 1)}
		Do(producer.ProduceSync(Context(), rec).FirstErr())
	}
	for when, wanted := range map[time.Time]int64{At(0): 0, At(2).Add(-1e6): 1, At(5): 4, At(6): 5} {
		asked := when.UnixMilli()
		found, _ := Got(admin.ListOffsetsAfterMilli(Context(), asked, topic)).Lookup(topic, 0)
		Check(found.Err == nil && found.Offset == wanted, "offset of time %d: %+v", asked, found)
	}
	start, _ := Got(admin.ListStartOffsets(Context(), topic)).Lookup(topic, 0)
	end, _ := Got(admin.ListEndOffsets(Context(), topic)).Lookup(topic, 0)
	Check(start.Offset == 0 && end.Offset == 5, "offsets %v to %v", start, end)
	latest, _ := Got(admin.ListMaxTimestampOffsets(Context(), topic)).Lookup(topic, 0)
	at5 := At(5).UnixMilli()
	Check(latest.Offset == 4 && latest.Timestamp == at5, "offset of the latest time: %+v", latest)
}
