import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.AbortedTxn;
import org.apache.kafka.common.record.internal.FileLogInputStream.FileChannelRecordBatch;
import org.apache.kafka.common.record.internal.FileRecords.TimestampAndOffset;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.properties.MetaProperties;
import org.apache.kafka.metadata.properties.MetaPropertiesEnsemble;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.checkpoint.CleanShutdownFileHandler;
import org.apache.kafka.storage.internals.checkpoint.OffsetCheckpointFile;
import org.apache.kafka.storage.internals.log.BatchMetadata;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.EpochEntry;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;
import org.apache.kafka.tools.DumpLogSegments;

/**
 * Apache Kafka's own log code on a folder: prints the same lines as logtool, dumps segment files,
 * and fills topics through a running broker. Several commands may follow each other, parted by "+".
 */
public class KafkaLog {
    static final int SEQUENCE_NONE = -1;

    /** Same as logtool's: 1 for null, else CRC-32C. */
    static String sum(ByteBuffer bytes) {
        if (bytes == null)
            return "00000001";
        java.util.zip.CRC32C crc = new java.util.zip.CRC32C();
        crc.update(bytes.duplicate());
        return String.format("%08x", crc.getValue());
    }

    static Map<TopicPartition, Long> checkpoint(File folder, String name) throws Exception {
        File file = new File(folder, name);
        return file.exists() ? new OffsetCheckpointFile(file, null).read() : Map.of();
    }

    static UnifiedLog open(File folder, TopicPartition tp, Map<String, String> settings)
            throws Exception {
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        long start = checkpoint(folder, "log-start-offset-checkpoint").getOrDefault(tp, 0L);
        long recovery = checkpoint(folder, "recovery-point-offset-checkpoint").getOrDefault(tp, 0L);
        boolean clean = new CleanShutdownFileHandler(folder.getPath()).exists();
        UnifiedLog log = UnifiedLog.create(new File(folder, tp.toString()),
                new LogConfig(settings), start,
            recovery, scheduler, new BrokerTopicStats(), Time.SYSTEM, 900000,
            new ProducerStateManagerConfig(86400000, false), 600000, new LogDirFailureChannel(1),
                clean,
            Optional.empty());
        log.updateHighWatermark(log.logEndOffset());
        return log;
    }

    static void printBatch(FileChannelRecordBatch b, long start, StringBuilder out) {
        b.ensureValid();
        out.append(String.format("batch %d %d %08x %d %d %d %d %d %d %d%n", b.baseOffset(),
                b.lastOffset(),
            b.checksum(), b.maxTimestamp(), b.producerId(), b.producerEpoch(), b.baseSequence(),
            b.partitionLeaderEpoch(), b.compressionType().id, b.countOrNull()));
        for (Record r : b)
            if (r.offset() >= start)
                out.append(String.format("record %d %d %s %s %d%n", r.offset(), r.timestamp(),
                    sum(r.key()),
                    sum(r.value()), r.headers().length));
    }

    static void print(String path, String name) throws Exception {
        File folder = new File(path);
        int dash = name.lastIndexOf('-');
        TopicPartition tp = new TopicPartition(name.substring(0, dash),
                Integer.parseInt(name.substring(dash + 1)));
        UnifiedLog log = open(folder, tp, Map.of());
        StringBuilder out = new StringBuilder();
        long start = log.logStartOffset(), end = log.logEndOffset();
        out.append(String.format("partition %s %d %d%n", name, start, end));
        for (LogSegment s : log.logSegments())
            out.append(String.format("segment %d%n", s.baseOffset()));
        for (EpochEntry e : log.leaderEpochCache().epochEntries())
            out.append(String.format("epoch %d %d%n", e.epoch(), e.startOffset()));
        for (LogSegment s : log.logSegments())
            for (FileChannelRecordBatch b : s.log().batches())
                if (b.lastOffset() >= start)
                    printBatch(b, start, out);
        for (ProducerStateEntry p
                : new TreeMap<>(log.producerStateManager().activeProducers()).values())
            out.append(String.format("producer %d %d %d %d %d%n", p.producerId(), p.producerEpoch(),
                lastSequence(p), p.coordinatorEpoch(), p.currentTxnFirstOffset().orElse(-1L)));
        for (AbortedTxn t : log.collectAbortedTransactions(start, end))
            out.append(String.format("aborted %d %d%n", t.producerId(), t.firstOffset()));
        out.append(String.format("stable %d%n", log.lastStableOffset()));
        TimestampAndOffset newest = find(log, -3);
        if (newest != null) // a compacted log may have lost the record
            out.append(String.format("newest %d %d%n", newest.timestamp, newest.offset));
        for (long back = 0; newest != null && back < 5000; back += 97) {
            TimestampAndOffset found = find(log, newest.timestamp - back);
            out.append(String.format("time %d %d %d%n", newest.timestamp - back,
                found == null ? -1 : found.offset, found == null ? -1 : found.timestamp));
        }
        log.close();
        System.out.print(out);
    }

    static int lastSequence(ProducerStateEntry p) {
        int last = SEQUENCE_NONE;
        for (BatchMetadata b : p.batchMetadata())
            last = b.lastSeq();
        return last;
    }

    static TimestampAndOffset find(UnifiedLog log, long timestamp) throws Exception {
        return log.fetchOffsetByTimestamp(timestamp, Optional.empty())
                .timestampAndOffsetOpt().orElse(null);
    }

    /** Rounds of Kafka's cleaner until nothing is left to clean. */
    static void compact(String path, String name, long now, String retention, int mapBytes)
            throws Exception {
        int dash = name.lastIndexOf('-');
        TopicPartition tp = new TopicPartition(name.substring(0, dash),
                Integer.parseInt(name.substring(dash + 1)));
        Map<String, String> settings = Map.of("cleanup.policy", "compact",
                "delete.retention.ms", retention,
            "internal.segment.bytes", "49152", "index.interval.bytes", "1000");
        UnifiedLog log = open(new File(path), tp, settings);
        long from = checkpoint(new File(path), "cleaner-offset-checkpoint").getOrDefault(tp, 0L);
        List<LogSegment> all = log.logSegments();
        long upto = all.get(all.size() - 1).baseOffset();
        while (from < upto) {
            Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(mapBytes), 1 << 20, 1 << 20, 0.9,
                new Throttler(Double.MAX_VALUE, 1000, "x", "y", Time.SYSTEM), Time.SYSTEM,
                t -> { });
            from = cleaner.doClean(new LogToClean(log, from, upto, false), now).getKey();
            System.out.println("cleaned " + from);
        }
        log.close();
    }

    /** What stands beside the partitions in a data folder. */
    static void facts(String path) throws Exception {
        File folder = new File(path);
        for (String name : List.of("recovery-point-offset-checkpoint",
                "replication-offset-checkpoint",
                "log-start-offset-checkpoint", "cleaner-offset-checkpoint"))
            System.out.println(name + " " + new TreeMap<>(strings(checkpoint(folder, name))));
        System.out.println("clean " + new CleanShutdownFileHandler(path).exists());
        MetaPropertiesEnsemble all = new MetaPropertiesEnsemble.Loader()
                .addLogDirs(List.of(path)).load();
        MetaProperties meta = all.logDirProps().get(path);
        System.out.println("meta " + (meta == null ? "none" : meta.nodeId().orElse(-1) + " "
            + meta.clusterId().orElse("none") + " " + meta.directoryId().isPresent()));
    }

    static Map<String, Long> strings(Map<TopicPartition, Long> offsets) {
        Map<String, Long> out = new HashMap<>();
        offsets.forEach((tp, offset) -> out.put(tp.toString(), offset));
        return out;
    }

    // --- Filling topics through a broker

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String codec, String txn) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("compression.type", codec);
        p.put("batch.size", 3000);
        p.put("linger.ms", 2);
        if (txn != null)
            p.put("transactional.id", txn);
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static ProducerRecord<byte[], byte[]> record(String topic, java.util.Random random, int i) {
        byte[] key = random.nextInt(10) == 0 ? null : ("key-" + random.nextInt(40)).getBytes();
        byte[] value = random.nextInt(10) == 0 ? null : new byte[random.nextInt(500)];
        if (value != null)
            random.nextBytes(value);
        ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, 0,
            System.currentTimeMillis() - random.nextInt(2000), key, value);
        if (random.nextInt(5) == 0)
            r.headers().add("h", ("value " + i).getBytes());
        return r;
    }

    static void fill(String bootstrap, String topic) throws Exception {
        java.util.Random random = new java.util.Random(7);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            NewTopic wanted = new NewTopic(topic, 1, (short) 1)
                .configs(Map.of("segment.bytes", "1048576", "index.interval.bytes", "1000"));
            if (!admin.listTopics().names().get().contains(topic))
                admin.createTopics(List.of(wanted)).all().get();
            List<String> codecs = List.of("none", "gzip", "snappy", "lz4", "zstd");
            for (String codec : codecs) {
                try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, codec, null)) {
                    for (int i = 0; i < 2500; i++)
                        p.send(record(topic, random, i));
                }
            }
            KafkaProducer<byte[], byte[]> open = producer(bootstrap, "none", "open");
            for (int t = 0; t < 10; t++) {
                try (KafkaProducer<byte[], byte[]> p = producer(bootstrap, "lz4", "txn-" + t % 3)) {
                    p.initTransactions();
                    p.beginTransaction();
                    for (int i = 0; i < 30; i++)
                        p.send(record(topic, random, i));
                    p.flush();
                    if (t % 2 == 0)
                        p.abortTransaction();
                    else
                        p.commitTransaction();
                }
            }
            open.initTransactions();
            open.beginTransaction();
            open.send(record(topic, random, 0)).get();
            open.flush();
            admin.deleteRecords(Map.of(new TopicPartition(topic, 0),
                RecordsToDelete.beforeOffset(5))).all().get();
        }
        System.out.println("filled " + topic);
    }

    static void run(List<String> args) throws Exception {
        switch (args.get(0)) {
            case "print" -> print(args.get(1), args.get(2));
            case "compact" -> compact(args.get(1), args.get(2), Long.parseLong(args.get(3)),
                args.get(4),
                Integer.parseInt(args.get(5)));
            case "facts" -> facts(args.get(1));
            case "fill" -> fill(args.get(1), args.get(2));
            case "dump" -> DumpLogSegments.main(
                args.subList(1, args.size()).toArray(new String[0]));
            default -> throw new IllegalArgumentException(args.get(0));
        }
    }

    public static void main(String[] args) throws Exception {
        List<String> one = new ArrayList<>();
        for (int i = 0; i <= args.length; i++) {
            if (i < args.length && !args[i].equals("+")) {
                one.add(args[i]);
                continue;
            }
            run(one);
            System.out.println("== done " + one.get(0));
            one.clear();
        }
        System.exit(0);
    }
}
