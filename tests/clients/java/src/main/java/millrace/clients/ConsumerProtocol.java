package millrace.clients;

import static millrace.clients.Support.*;

import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

/** Groups of the consumer protocol (KIP-848): group.protocol=consumer. */
final class ConsumerProtocol {
    private ConsumerProtocol() { }

    static void addTo(Map<String, Scenarios.Scenario> all) {
        all.put("consumer_protocol_group_of_two_restarts_from_the_commit",
            ConsumerProtocol::groupOfTwo);
        all.put("consumer_protocol_partition_is_never_two_members_at_a_time",
            ConsumerProtocol::neverTwo);
        all.put("consumer_protocol_follows_new_partitions_and_topics",
            ConsumerProtocol::newPartitions);
        all.put("consumer_protocol_group_moves_from_classic_and_back", ConsumerProtocol::moves);
        all.put("consumer_protocol_offsets_in_a_transaction", ConsumerProtocol::transaction);
        all.put("consumer_protocol_static_member_comes_back_to_its_partitions",
            ConsumerProtocol::staticMember);
    }

    static Consumer<byte[], byte[]> member(String group, Object... pairs) {
        List<Object> all =
            new ArrayList<>(List.of("group.id", group, "group.protocol", "consumer"));
        all.addAll(List.of(pairs));
        return consumer(all.toArray());
    }

    @SafeVarargs
    static void awaitCounts(String what, int each, Consumer<byte[], byte[]>... members)
            throws Exception {
        await(what, () -> {
            boolean all = true;
            for (Consumer<byte[], byte[]> one : members) {
                one.poll(Duration.ofMillis(50));
                all &= one.assignment().size() == each;
            }
            return all;
        });
    }

    private static void groupOfTwo() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        produceTo(topic, 4, 10);
        Consumer<byte[], byte[]> first = member(group);
        Consumer<byte[], byte[]> second = member(group, "group.remote.assignor", "range");
        first.subscribe(List.of(topic));
        check(take(first, 40).size() == 40, "40 records");
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (int p = 0; p < 4; p++)
            offsets.put(new TopicPartition(topic, p), new OffsetAndMetadata(7, "note"));
        first.commitSync(offsets);
        check(first.committed(offsets.keySet()).get(new TopicPartition(topic, 2)).metadata()
            .equals("note"), "committed metadata");
        second.subscribe(List.of(topic));
        awaitCounts("two partitions each", 2, first, second);
        first.close();
        awaitCounts("all for the one that is left", 4, second);
        second.close();
        try (Consumer<byte[], byte[]> third = member(group)) {
            third.subscribe(List.of(topic));
            for (ConsumerRecord<byte[], byte[]> rec : take(third, 12))
                check(rec.offset() >= 7, "record before the commit: " + rec.offset());
        }
    }

    /** Who has what, as the members' listeners see it. */
    private static final class Owners {
        private final Map<TopicPartition, String> owners = new HashMap<>();
        String wrong;

        ConsumerRebalanceListener of(String name) {
            return new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> parts) {
                    for (TopicPartition part : parts) {
                        String other = owners.put(part, name);
                        if (other != null)
                            wrong = part + " of " + other + " was given to " + name;
                    }
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> parts) {
                    parts.forEach(owners::remove);
                }
            };
        }
    }

    private static void neverTwo() throws Exception {
        String topic = newTopic(9);
        String group = unique("group");
        Owners owners = new Owners();
        List<Consumer<byte[], byte[]>> members = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            members.add(member(group));
            members.get(i).subscribe(List.of(topic), owners.of("member " + i));
            int joined = i + 1;
            await("everybody has something", () -> {
                int sum = 0;
                boolean all = true;
                for (Consumer<byte[], byte[]> one : members) {
                    one.poll(Duration.ofMillis(20));
                    all &= one.assignment().size() >= 9 / joined;
                    sum += one.assignment().size();
                }
                return all && sum == 9;
            });
        }
        check(owners.wrong == null, owners.wrong);
        for (Consumer<byte[], byte[]> one : members)
            one.close();
    }

    private static void newPartitions() throws Exception {
        String topic = newTopic(2);
        String later = unique("later");
        try (Consumer<byte[], byte[]> one = member(unique("group"), "metadata.max.age.ms", 500,
                 "allow.auto.create.topics", false)) {
            one.subscribe(List.of(topic, later));
            awaitCounts("two", 2, one);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
            awaitCounts("three", 3, one);
            admin.createTopics(List.of(new NewTopic(later, 2, (short) 3))).all().get();
            awaitCounts("five", 5, one);
            produceTo(later, 2, 3);
            take(one, 6);
            admin.deleteTopics(List.of(topic)).all().get();
            awaitCounts("two again", 2, one);
        }
    }

    private static void transaction() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        TopicPartition part = new TopicPartition(topic, 0);
        produceTo(topic, 1, 5);
        try (Consumer<byte[], byte[]> one = member(group);
             Producer<byte[], byte[]> producer = producer("transactional.id", unique("txn"))) {
            one.subscribe(List.of(topic));
            take(one, 5);
            ConsumerGroupMetadata stale = new ConsumerGroupMetadata(group,
                one.groupMetadata().generationId() + 1, one.groupMetadata().memberId(),
                Optional.empty());
            producer.initTransactions();
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(part, new OffsetAndMetadata(3)),
                one.groupMetadata());
            producer.abortTransaction();
            check(one.committed(Set.of(part)).get(part) == null, "aborted");
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(part, new OffsetAndMetadata(4)),
                one.groupMetadata());
            producer.commitTransaction();
            check(one.committed(Set.of(part)).get(part).offset() == 4, "committed");
            producer.beginTransaction();
            expect(CommitFailedException.class, () -> producer.sendOffsetsToTransaction(
                Map.of(part, new OffsetAndMetadata(5)), stale));
            producer.abortTransaction();
        }
    }

    private static GroupType typeOf(String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group).type();
    }

    /** Members change one after the other; every record is read, and from the commits on. */
    private static void moves() throws Exception {
        String topic = newTopic(6);
        String group = unique("group");
        for (String assignor : List.of("RangeAssignor", "CooperativeStickyAssignor")) {
            String strategy = "org.apache.kafka.clients.consumer." + assignor;
            Consumer<byte[], byte[]> one = consumer("group.id", group,
                "partition.assignment.strategy", strategy);
            Consumer<byte[], byte[]> two = consumer("group.id", group,
                "partition.assignment.strategy", strategy);
            one.subscribe(List.of(topic));
            two.subscribe(List.of(topic));
            awaitCounts("three each", 3, one, two);
            check(typeOf(group) == GroupType.CLASSIC, "classic at first");
            Consumer<byte[], byte[]> three = member(group);
            three.subscribe(List.of(topic));
            awaitCounts("two each", 2, one, two, three);
            check(typeOf(group) == GroupType.CONSUMER, "moved");
            produceTo(topic, 6, 2);
            List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
            List<Consumer<byte[], byte[]>> all = List.of(one, two, three);
            await("12 records", () -> {
                for (Consumer<byte[], byte[]> each : all)
                    each.poll(Duration.ofMillis(50)).forEach(got::add);
                return got.size() >= 12;
            });
            for (Consumer<byte[], byte[]> each : all)
                each.commitSync();
            three.close();
            awaitCounts("three each again", 3, one, two);
            check(typeOf(group) == GroupType.CLASSIC, "moved back");
            one.commitSync();
            one.close();
            two.close();
            check(got.size() == 12, "read " + got.size());
        }
    }

    private static void staticMember() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        try (Consumer<byte[], byte[]> other = member(group, "group.instance.id", "other")) {
            Consumer<byte[], byte[]> one = member(group, "group.instance.id", "one");
            one.subscribe(List.of(topic));
            other.subscribe(List.of(topic));
            awaitCounts("two each", 2, one, other);
            Set<TopicPartition> had = one.assignment();
            one.close(); /* it says that it will be back */
            Consumer<byte[], byte[]> again = member(group, "group.instance.id", "one");
            again.subscribe(List.of(topic));
            awaitCounts("two each again", 2, again, other);
            check(again.assignment().equals(had), again.assignment() + " instead of " + had);
            again.close();
        }
    }
}
