import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Scanner;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * Copies one topic to another exactly once: records and the offsets they came from in one
 * transaction. What fails is aborted and done again from the last commit, with a new producer where
 * the old one is lost. Ends when as many records are copied as a line on standard input says, which
 * may come at any time.
 *
 * <p>Arguments: bootstrap, source, target, group, transactional id.
 */
public final class CopyLoop {
    private final String bootstrap;
    private final String source;
    private final String target;
    private final String group;
    private final String id;
    private KafkaProducer<byte[], byte[]> producer;
    private int aborted;
    private volatile long count = Long.MAX_VALUE;

    private CopyLoop(String[] args) {
        bootstrap = args[0];
        source = args[1];
        target = args[2];
        group = args[3];
        id = args[4];
    }

    public static void main(String[] args) throws Exception {
        CopyLoop loop = new CopyLoop(args);
        System.out.println("DONE " + loop.run());
        System.exit(0);
    }

    private Properties common() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("request.timeout.ms", "5000");
        p.put("default.api.timeout.ms", "30000");
        p.put("reconnect.backoff.max.ms", "200");
        p.put("retry.backoff.ms", "20");
        p.put("retry.backoff.max.ms", "100");
        return p;
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Properties p = common();
        p.put("group.id", group);
        p.put("enable.auto.commit", "false");
        p.put("isolation.level", "read_committed");
        p.put("auto.offset.reset", "earliest");
        p.put("max.poll.records", "50");
        p.put("key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        p.put("value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        return new KafkaConsumer<>(p);
    }

    private void renew() {
        if (producer != null) {
            producer.close(Duration.ZERO);
        }
        Properties p = common();
        p.put("transactional.id", id);
        p.put("transaction.timeout.ms", "20000");
        p.put("delivery.timeout.ms", "20000");
        p.put("linger.ms", "0");
        p.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        producer = new KafkaProducer<>(p);
        producer.initTransactions();
    }

    private void awaitCount() {
        count = new Scanner(System.in).nextLong();
    }

    private long run() throws Exception {
        Thread reader = new Thread(this::awaitCount, "count");
        reader.setDaemon(true);
        reader.start();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.subscribe(List.of(source));
            while (committed(consumer) < count) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                if (records.isEmpty()) {
                    continue;
                }
                try {
                    copy(consumer, records);
                } catch (KafkaException e) {
                    System.out.println("AGAIN " + e);
                    recover(consumer);
                }
            }
        }
        System.out.println("ABORTED " + aborted);
        return count;
    }

    private long committed(KafkaConsumer<byte[], byte[]> consumer) {
        Set<TopicPartition> all = new HashSet<>(consumer.assignment());
        long sum = 0;
        if (all.isEmpty()) {
            return -1;
        }
        for (OffsetAndMetadata offset : consumer.committed(all).values()) {
            sum += offset == null ? 0 : offset.offset();
        }
        return sum;
    }

    private void copy(KafkaConsumer<byte[], byte[]> consumer,
            ConsumerRecords<byte[], byte[]> records) {
        if (producer == null) {
            renew();
        }
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        producer.beginTransaction();
        for (ConsumerRecord<byte[], byte[]> r : records) {
            producer.send(new ProducerRecord<>(target, r.partition(), r.key(), r.value()));
            offsets.put(new TopicPartition(r.topic(), r.partition()),
                    new OffsetAndMetadata(r.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        producer.commitTransaction();
    }

    /** An outcome that is not known is known after a new producer has begun. */
    private void recover(KafkaConsumer<byte[], byte[]> consumer) throws InterruptedException {
        aborted++;
        while (true) {
            try {
                renew();
                break;
            } catch (KafkaException e) {
                System.out.println("AGAIN " + e);
                Thread.sleep(100);
            }
        }
        Set<TopicPartition> all = new HashSet<>(consumer.assignment());
        consumer.committed(all).forEach((tp, offset) ->
                consumer.seek(tp, offset == null ? 0 : offset.offset()));
    }
}
