package millrace.clients;

import static millrace.clients.Support.*;

import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * The scenarios of Apache Kafka's own client. Run with the bootstrap list: every scenario (whose
 * name begins as told) prints one line, "PASS name" or "FAIL name: why". Run with "member",
 * bootstrap, group and topic: one group member that prints the count of its partitions until it is
 * killed.
 */
public final class Scenarios {
    interface Scenario {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("member")) {
            member(args[1], args[2], args[3]);
            return;
        }
        bootstrap = args[0];
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        Map<String, Scenario> all = new LinkedHashMap<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            all.put("records_come_back_exactly_as_sent_" + codec, () -> roundTrip(codec, "all"));
        for (String acks : List.of("0", "1", "all"))
            all.put("acks_" + acks + "_delivers", () -> roundTrip("none", acks));
        all.put("default_producer_is_idempotent_and_keeps_order", Scenarios::defaultProducer);
        all.put("group_of_two_restarts_from_the_commit", Scenarios::groupOfTwo);
        all.put("killed_consumer_is_out_after_session_timeout", Scenarios::killedConsumer);
        all.put("consumer_that_stops_polling_is_out_after_max_poll_interval",
            Scenarios::lazyConsumer);
        all.put("offsets_by_time", Scenarios::offsetsByTime);
        all.put("record_of_2_mb_is_too_large_and_the_connection_lives_on", Scenarios::tooLarge);
        all.put("auto_offset_reset", Scenarios::offsetReset);
        all.put("fetch_min_bytes_waits", Scenarios::minBytes);
        all.put("admin_client", Scenarios::adminClient);
        all.put("max_block_ms_bounds_the_wait_for_an_unknown_partition", Scenarios::maxBlock);
        all.put("connections_max_idle_ms_closes_and_comes_back", Scenarios::maxIdle);
        all.put("buffer_memory_smaller_than_the_load_only_slows", Scenarios::bufferMemory);
        Transactions.addTo(all);
        ConsumerProtocol.addTo(all);
        addExpressions(all);
        if (args.length > 1)
            all.keySet().removeIf(name -> !name.startsWith(args[1]));
        for (Map.Entry<String, Scenario> one : all.entrySet()) {
            try {
                one.getValue().run();
                System.out.println("PASS " + one.getKey());
            } catch (Throwable err) {
                System.out.println("FAIL " + one.getKey() + ": " + err + " at "
                    + Arrays.toString(Arrays.copyOf(err.getStackTrace(), 6)));
            }
        }
        admin.close();
    }

    private static void addExpressions(Map<String, Scenario> all) throws Exception {
        try {
            Class<?> type = Class.forName("millrace.clients.Expressions");
            all.put("consumer_protocol_subscribes_by_expression",
                (Scenario) type.getDeclaredConstructor().newInstance());
        } catch (ClassNotFoundException err) {
            /* built against a client that knows none (java3/) */
        }
    }

    private static void roundTrip(String codec, String acks) throws Exception {
        String topic = newTopic(1);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        Random random = new Random(codec.hashCode());
        long base = System.currentTimeMillis() - 1000;
        for (int i = 0; i < 60; i++) {
            byte[] key = i % 3 == 0 ? null : i % 3 == 1 ? new byte[0] : bytes("key-" + i);
            byte[] value = i % 11 == 10 ? null : new byte[i % 4 == 0 ? 0 : random.nextInt(2000)];
            if (value != null)
                random.nextBytes(value);
            ProducerRecord<byte[], byte[]> rec =
                new ProducerRecord<>(topic, 0, base + i, key, value);
            for (int h = 0; h < i % 3; h++)
                rec.headers().add(new RecordHeader("h" + h, h == 1 ? null : bytes("v" + i)));
            sent.add(rec);
        }
        sent.add(new ProducerRecord<>(topic, 0, base + 60, bytes("big"), new byte[1_000_000]));
        try (Producer<byte[], byte[]> producer = producer("acks", acks, "compression.type", codec,
                 "enable.idempotence", acks.equals("all"))) {
            for (ProducerRecord<byte[], byte[]> rec : sent)
                producer.send(rec);
            producer.flush();
        }
        List<ConsumerRecord<byte[], byte[]>> got = readAll(topic, sent.size());
        for (int i = 0; i < sent.size(); i++) {
            check(got.get(i).offset() == i, "offset " + got.get(i).offset() + " at " + i);
            check(Arrays.equals(got.get(i).key(), sent.get(i).key()), "key " + i);
            check(Arrays.equals(got.get(i).value(), sent.get(i).value()), "value " + i);
            check(got.get(i).timestamp() == sent.get(i).timestamp(), "timestamp " + i);
            check(got.get(i).headers().equals(sent.get(i).headers()), "headers " + i);
        }
    }

    private static void defaultProducer() throws Exception {
        String topic = newTopic(1);
        try (Producer<byte[], byte[]> producer = producer("batch.size", 500)) {
            List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 2000; i++)
                sent.add(producer.send(new ProducerRecord<>(topic, bytes("" + i))));
            for (int i = 0; i < 2000; i++)
                check(sent.get(i).get().offset() == i, "offset of " + i);
        }
        List<ConsumerRecord<byte[], byte[]>> got = readAll(topic, 2000);
        for (int i = 0; i < 2000; i++)
            check(Arrays.equals(got.get(i).value(), bytes("" + i)), "value " + i);
    }

    private static void groupOfTwo() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        produceTo(topic, 4, 10);
        Consumer<byte[], byte[]> first = consumer("group.id", group);
        Consumer<byte[], byte[]> second = consumer("group.id", group);
        first.subscribe(List.of(topic));
        check(take(first, 40).size() == 40, "40 records");
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (int p = 0; p < 4; p++)
            offsets.put(new TopicPartition(topic, p), new OffsetAndMetadata(7, "note"));
        first.commitSync(offsets);
        check(first.committed(offsets.keySet()).get(new TopicPartition(topic, 2)).metadata()
            .equals("note"), "committed metadata");
        second.subscribe(List.of(topic));
        await("two partitions each", () -> {
            first.poll(Duration.ofMillis(50));
            second.poll(Duration.ofMillis(50));
            return first.assignment().size() == 2 && second.assignment().size() == 2;
        });
        first.close();
        second.close();
        try (Consumer<byte[], byte[]> third = consumer("group.id", group)) {
            third.subscribe(List.of(topic));
            for (ConsumerRecord<byte[], byte[]> rec : take(third, 12))
                check(rec.offset() >= 7, "record before the commit: " + rec.offset());
        }
    }

    private static void member(String servers, String group, String topic) {
        bootstrap = servers;
        Consumer<byte[], byte[]> consumer = consumer("group.id", group, "session.timeout.ms", 2000,
            "heartbeat.interval.ms", 300);
        consumer.subscribe(List.of(topic));
        while (true) {
            consumer.poll(Duration.ofMillis(100));
            System.out.println(consumer.assignment().size());
        }
    }

    private static void killedConsumer() throws Exception {
        String topic = newTopic(2);
        String group = unique("group");
        Process member = new ProcessBuilder("java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp",
            System.getProperty("java.class.path"), "millrace.clients.Scenarios", "member",
            bootstrap, group, topic).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        Scanner lines = new Scanner(member.getInputStream());
        while (!lines.nextLine().equals("2")) { }
        member.destroyForcibly().waitFor();
        long killed = System.nanoTime();
        try (Consumer<byte[], byte[]> other = consumer("group.id", group)) {
            other.subscribe(List.of(topic));
            await("the partitions of the dead member", () -> {
                other.poll(Duration.ofMillis(50));
                return other.assignment().size() == 2;
            });
        }
        long took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - killed);
        check(took > 1000 && took < 8000, "took " + took + " ms");
    }

    private static void lazyConsumer() throws Exception {
        String topic = newTopic(2);
        String group = unique("group");
        try (Consumer<byte[], byte[]> lazy = consumer("group.id", group,
                 "max.poll.interval.ms", 2000, "session.timeout.ms", 2000,
                 "heartbeat.interval.ms", 300);
             Consumer<byte[], byte[]> other = consumer("group.id", group)) {
            lazy.subscribe(List.of(topic));
            await("both", () -> {
                lazy.poll(Duration.ofMillis(50));
                return lazy.assignment().size() == 2;
            });
            other.subscribe(List.of(topic));
            await("the partitions of the member that stopped polling", () -> {
                other.poll(Duration.ofMillis(50));
                return other.assignment().size() == 2;
            });
            TopicPartition part = new TopicPartition(topic, 0);
            expect(CommitFailedException.class,
                () -> lazy.commitSync(Map.of(part, new OffsetAndMetadata(1))));
        }
    }

    private static void offsetsByTime() throws Exception {
        String topic = newTopic(1);
        TopicPartition part = new TopicPartition(topic, 0);
        try (Producer<byte[], byte[]> producer = producer()) {
            for (int i = 1; i <= 5; i++)
                producer.send(new ProducerRecord<>(topic, 0, 1000L * i, null, bytes("v"))).get();
        }
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            long[][] expected = {{0, 0}, {1000, 0}, {1001, 1}, {5000, 4}};
            for (long[] pair : expected) {
                OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Map.of(part, pair[0])).get(part);
                check(found.offset() == pair[1], pair[0] + " found " + found);
            }
            check(consumer.offsetsForTimes(Map.of(part, 5001L)).get(part) == null, "after all");
            check(consumer.beginningOffsets(List.of(part)).get(part) == 0, "beginning");
            check(consumer.endOffsets(List.of(part)).get(part) == 5, "end");
        }
        long max = admin.listOffsets(Map.of(part, OffsetSpec.maxTimestamp())).partitionResult(part)
            .get().offset();
        check(max == 4, "offset of the largest timestamp: " + max);
    }

    private static void tooLarge() throws Exception {
        String topic = newTopic(1);
        try (Producer<byte[], byte[]> producer = producer("max.request.size", 10_000_000,
                 "compression.type", "none")) {
            expect(RecordTooLargeException.class,
                () -> producer.send(new ProducerRecord<>(topic, new byte[2_000_000])).get());
            check(producer.send(new ProducerRecord<>(topic, bytes("small"))).get().offset() == 0,
                "the next record is the first");
        }
    }

    private static void offsetReset() throws Exception {
        String topic = newTopic(1);
        produceTo(topic, 1, 1);
        try (Consumer<byte[], byte[]> earliest = consumer("group.id", unique("g"))) {
            earliest.subscribe(List.of(topic));
            check(take(earliest, 1).get(0).offset() == 0, "earliest");
        }
        try (Consumer<byte[], byte[]> none = consumer("group.id", unique("g"),
                 "auto.offset.reset", "none")) {
            none.subscribe(List.of(topic));
            expect(NoOffsetForPartitionException.class, () -> take(none, 1));
        }
        try (Consumer<byte[], byte[]> latest = consumer("group.id", unique("g"),
                 "auto.offset.reset", "latest")) {
            latest.subscribe(List.of(topic));
            await("an assignment", () -> {
                latest.poll(Duration.ofMillis(50));
                return !latest.assignment().isEmpty();
            });
            check(latest.position(new TopicPartition(topic, 0)) == 1, "position at the end");
            produceTo(topic, 1, 1);
            check(take(latest, 1).get(0).offset() == 1, "latest");
        }
    }

    private static void minBytes() throws Exception {
        String topic = newTopic(1);
        produceTo(topic, 1, 1);
        try (Consumer<byte[], byte[]> consumer = consumer("fetch.min.bytes", 100_000,
                 "fetch.max.wait.ms", 1500)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            consumer.position(new TopicPartition(topic, 0));
            long began = System.nanoTime();
            take(consumer, 1);
            long took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
            check(took > 1200 && took < 8000, "took " + took + " ms");
        }
    }

    private static void adminClient() throws Exception {
        String topic = unique("admin");
        NewTopic spec = new NewTopic(topic, Optional.of(3), Optional.empty())
            .configs(Map.of("retention.ms", "3600000"));
        CreateTopicsResult made = admin.createTopics(List.of(spec));
        check(made.numPartitions(topic).get() == 3, "partitions");
        check(made.replicationFactor(topic).get() == 3, "the default replication factor");
        expect(TopicExistsException.class, () -> admin.createTopics(List.of(spec)).all().get());
        await("a description with a leader", () -> {
            try {
                return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                    .partitions().get(0).leader() != null;
            } catch (ExecutionException err) {
                return false;
            }
        });
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        check(config.get("retention.ms").value().equals("3600000"), "retention.ms");
        check(admin.describeCluster().nodes().get().size() == 3, "three nodes");
        admin.listConsumerGroups().all().get();
        admin.deleteTopics(List.of(topic)).all().get();
        await("the topic gone", () -> !admin.listTopics().names().get().contains(topic));
    }

    private static void maxBlock() throws Exception {
        String topic = newTopic(1);
        try (Producer<byte[], byte[]> producer = producer("max.block.ms", 700)) {
            long began = System.nanoTime();
            expect(TimeoutException.class,
                () -> producer.send(new ProducerRecord<>(topic, 9, null, bytes("x"))).get());
            long took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
            check(took >= 600 && took < 5000, "took " + took + " ms");
        }
    }

    private static void maxIdle() throws Exception {
        String topic = newTopic(1);
        try (Producer<byte[], byte[]> producer = producer("connections.max.idle.ms", 500,
                 "request.timeout.ms", 5000, "delivery.timeout.ms", 10000, "retries", 5,
                 "retry.backoff.ms", 50)) {
            for (int i = 0; i < 3; i++) {
                long offset = producer.send(new ProducerRecord<>(topic, bytes("x"))).get().offset();
                check(offset == i, "offset " + offset);
                Thread.sleep(700); // longer than the setting: the connection has to be a new one
            }
        }
    }

    private static void bufferMemory() throws Exception {
        String topic = newTopic(1);
        try (Producer<byte[], byte[]> producer = producer("buffer.memory", 40_000)) {
            for (int i = 0; i < 300; i++)
                producer.send(new ProducerRecord<>(topic, new byte[2000]));
            producer.flush();
        }
        readAll(topic, 300);
    }
}
