package millrace.clients;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What the scenarios share: clients, fresh topics, waiting and checking. */
final class Support {
    private static final long LIMIT_MS = 30_000;

    static String bootstrap;
    static Admin admin;
    private static int numbers;

    private Support() { }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String unique(String name) {
        return name + "-java-" + ProcessHandle.current().pid() + "-" + ++numbers;
    }

    static void check(boolean holds, String what) {
        if (!holds)
            throw new AssertionError(what);
    }

    static void await(String what, Callable<Boolean> holds) throws Exception {
        long end = System.currentTimeMillis() + LIMIT_MS;
        while (!holds.call())
            check(System.currentTimeMillis() < end, what + " did not come");
    }

    static void expect(Class<? extends Exception> type, Callable<?> action) throws Exception {
        try {
            action.call();
        } catch (ExecutionException err) {
            check(type.isInstance(err.getCause()), "expected " + type + ", got " + err.getCause());
            return;
        } catch (Exception err) {
            check(type.isInstance(err), "expected " + type + ", got " + err);
            return;
        }
        throw new AssertionError("expected " + type);
    }

    /** For an action without a result. */
    static void expect(Class<? extends Exception> type, Runnable action) throws Exception {
        expect(type, () -> {
            action.run();
            return null;
        });
    }

    private static Map<String, Object> config(Object[] pairs) {
        Map<String, Object> out = new HashMap<>();
        out.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2)
            out.put((String) pairs[i], pairs[i + 1]);
        return out;
    }

    static Producer<byte[], byte[]> producer(Object... pairs) {
        return new KafkaProducer<>(config(pairs), new ByteArraySerializer(),
            new ByteArraySerializer());
    }

    static Consumer<byte[], byte[]> consumer(Object... pairs) {
        Map<String, Object> config = config(pairs);
        config.putIfAbsent("auto.offset.reset", "earliest");
        config.putIfAbsent("enable.auto.commit", false);
        if (!"consumer".equals(config.get("group.protocol")))
            config.putIfAbsent("heartbeat.interval.ms", 300); /* else the broker says it */
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(),
            new ByteArrayDeserializer());
    }

    /** A topic of three replicas whose partitions all have leaders. */
    static String newTopic(int partitions) throws Exception {
        String topic = unique("topic");
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 3))).all().get();
        return topic;
    }

    static void produceTo(String topic, int partitions, int each) throws Exception {
        try (Producer<byte[], byte[]> producer = producer()) {
            for (int p = 0; p < partitions; p++)
                for (int i = 0; i < each; i++)
                    producer.send(new ProducerRecord<>(topic, p, null, bytes(p + "-" + i)));
            producer.flush();
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> take(Consumer<byte[], byte[]> consumer, int count)
            throws Exception {
        List<ConsumerRecord<byte[], byte[]>> out = new ArrayList<>();
        await(count + " records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(out::add);
            return out.size() >= count;
        });
        check(out.size() == count, "more records than " + count);
        return out;
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int count) throws Exception {
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            TopicPartition part = new TopicPartition(topic, 0);
            consumer.assign(List.of(part));
            consumer.seekToBeginning(List.of(part));
            return take(consumer, count);
        }
    }
}
