package millrace.clients;

import static millrace.clients.Support.*;

import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Records and offsets in transactions: all or nothing. */
final class Transactions {
    private Transactions() { }

    static void addTo(Map<String, Scenarios.Scenario> all) {
        all.put("transactions_committed_and_aborted", Transactions::committedAndAborted);
        all.put("transaction_carries_offsets", Transactions::carriesOffsets);
        all.put("older_transactional_producer_is_fenced", Transactions::fenced);
    }

    private static Producer<byte[], byte[]> started(String id) {
        Producer<byte[], byte[]> out = producer("transactional.id", id);
        out.initTransactions();
        return out;
    }

    private static void end(Producer<byte[], byte[]> producer, boolean commit) {
        if (commit)
            producer.commitTransaction();
        else
            producer.abortTransaction();
    }

    private static List<String> values(String topic, String isolation, int count)
            throws Exception {
        List<String> out = new ArrayList<>();
        try (Consumer<byte[], byte[]> consumer = consumer("isolation.level", isolation)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            for (ConsumerRecord<byte[], byte[]> rec : take(consumer, count))
                out.add(new String(rec.value()));
        }
        return out;
    }

    private static void committedAndAborted() throws Exception {
        String topic = newTopic(1);
        try (Producer<byte[], byte[]> producer = started(unique("txn"))) {
            for (String value : List.of("one", "two", "three")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, 0, null, bytes(value)));
                producer.flush();
                end(producer, !value.equals("two"));
            }
        }
        check(values(topic, "read_committed", 2).equals(List.of("one", "three")), "committed");
        check(values(topic, "read_uncommitted", 3).equals(List.of("one", "two", "three")), "all");
    }

    private static void carriesOffsets() throws Exception {
        String topic = newTopic(1);
        TopicPartition part = new TopicPartition(topic, 0);
        produceTo(topic, 1, 10);
        try (Consumer<byte[], byte[]> member = consumer("group.id", unique("group"));
             Producer<byte[], byte[]> producer = started(unique("txn"))) {
            member.subscribe(List.of(topic));
            take(member, 10);
            for (boolean commit : List.of(true, false)) {
                Map<TopicPartition, OffsetAndMetadata> offsets =
                    Map.of(part, new OffsetAndMetadata(commit ? 5 : 9));
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, 0, null, bytes("out")));
                producer.sendOffsetsToTransaction(offsets, member.groupMetadata());
                end(producer, commit);
                long found = member.committed(Set.of(part)).get(part).offset();
                check(found == 5, "committed " + found);
            }
            member.poll(Duration.ofMillis(1));
        }
    }

    private static void fenced() throws Exception {
        String topic = newTopic(1);
        String id = unique("txn");
        try (Producer<byte[], byte[]> old = started(id)) {
            old.beginTransaction();
            old.send(new ProducerRecord<>(topic, 0, null, bytes("old"))).get();
            try (Producer<byte[], byte[]> newer = started(id)) {
                newer.beginTransaction();
                newer.send(new ProducerRecord<>(topic, 0, null, bytes("new")));
                newer.commitTransaction();
            }
            expect(ProducerFencedException.class, () -> old.commitTransaction());
        }
        check(values(topic, "read_committed", 1).equals(List.of("new")), "only the newer one's");
    }
}
