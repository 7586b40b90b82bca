/*
 * Writes a data folder as a broker would, and prints what a data folder holds, for comparison with
 * Apache Kafka.
 *
 *   logtool write FOLDER SEED      partition "ours-0", stopped cleanly
 *   logtool add FOLDER SEED KIND   as many batches more, every transaction ended, nothing deleted;
 *                                  KIND plain: no transactions
 *   logtool print FOLDER [TOPIC]   every partition in the folder, one line a fact (KafkaLog.java
 *                                  prints the same lines)
 *   logtool compact FOLDER NOW_MS DELETE_RETENTION_MS MAP_BYTES
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/crc32c.h"
#include "proto/base/logging.h"
#include "proto/base/rng.h"
#include "replication/compact.h"
#include "replication/log_internal.h"
#include "replication/replicas.h"

#define BATCHES         400
#define PRODUCERS       6
#define SEGMENT_BYTES   (48 * 1024)
#define INFLATED_MAX    (64 * 1024 * 1024)
#define START_TIMESTAMP INT64_C(1700000000000)

static struct replicas *open_folder(const char *folder)
{
    struct replicas *rs;
    struct replicas_options options = {
        .node_id = 1,
        .log_dirs = &folder,
        .log_dirs_count = 1,
        .flush_threads = 2,
        .checkpoint_interval_ms = 1000000,
        .retention_check_interval_ms = 1000000,
    };
    if (replicas_open(&options, &fs_real, &rs) != ERR_NONE)
        exit(1);
    return rs;
}

/* --- Writing --- */

struct writer {
    struct replicas *rs;
    struct replica *replica;
    struct rng rng;
    int64_t time_ms;
    bool plain;
    int32_t sequences[PRODUCERS];
    bool in_txn[PRODUCERS];
};

static void lead(struct writer *w, int32_t epoch)
{
    struct uuid id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    struct partition_state state = {.leader = 1,
                                    .leader_epoch = epoch,
                                    .partition_epoch = epoch,
                                    .replicas = {1},
                                    .replicas_count = 1,
                                    .isr = {1},
                                    .isr_count = 1};
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 1, .replica_lag_time_max_ms = 30000};
    config.log.segment_bytes = SEGMENT_BYTES;
    config.log.segment_ms = INT64_MAX / 2;
    config.log.index_interval_bytes = 1000;
    config.log.retention_ms = -1;
    CHECK(replicas_apply(w->rs, SLICE("ours"), id, 0, &state, &config) == ERR_NONE);
    if (w->replica == NULL)
        w->replica = replicas_find(w->rs, id, 0);
}

static void send(struct writer *w, struct buffer *bytes)
{
    struct partition_append_result result;
    struct batch_header h;
    CHECK(batch_header_decode(buffer_slice(bytes), &h) == 0);
    CHECK(replica_append(w->rs, w->replica, bytes->data, bytes->size, &h, 1, &result) == ERR_NONE);
    buffer_clear(bytes);
}

static void add_records(struct writer *w, struct batch_builder *b, int count)
{
    char key[32], value[600];
    for (int i = 0; i < count; i++) {
        int64_t time = w->time_ms + (int64_t)rng_below(&w->rng, 2000) - 500;
        int size = snprintf(key, sizeof(key), "key-%" PRIu64, rng_below(&w->rng, 50));
        struct slice k = rng_below(&w->rng, 10) == 0 ? SLICE_NULL : slice_of(key, (size_t)size);
        size_t value_size = rng_below(&w->rng, sizeof(value));
        memset(value, 'a' + (int)rng_below(&w->rng, 26), sizeof(value));
        struct slice v = rng_below(&w->rng, 10) == 0 ? SLICE_NULL : slice_of(value, value_size);
        static const uint8_t header[] = {2, 'h', 4, 'o', 'k'}; /* one header h: "ok" */
        bool with_header = rng_below(&w->rng, 4) == 0;
        batch_builder_append(b, time, k, v,
                             with_header ? slice_of(header, sizeof(header)) : SLICE_NULL,
                             with_header);
    }
    w->time_ms += 10;
}

static void write_batch(struct writer *w, struct buffer *bytes)
{
    struct batch_builder b;
    int count = 1 + (int)rng_below(&w->rng, 20);
    int producer = (int)rng_below(&w->rng, PRODUCERS + 1); /* the last: none */
    batch_builder_init(&b);
    if (producer < PRODUCERS) {
        b.header.producer_id = 1000 + producer;
        b.header.producer_epoch = 2;
        b.header.base_sequence = w->sequences[producer];
        w->sequences[producer] += count;
        if (producer < PRODUCERS / 2 && !w->plain) {
            b.header.attributes |= BATCH_TRANSACTIONAL;
            w->in_txn[producer] = true;
        }
    }
    add_records(w, &b, count);
    int codec = (int)rng_below(&w->rng, 5);
    CHECK(batch_builder_finish(&b, codec, CODEC_LEVEL_DEFAULT, bytes) == 0);
    batch_builder_deinit(&b);
    if (rng_below(&w->rng, 8) == 0)
        batch_set_log_append_time(bytes->data, w->time_ms);
    send(w, bytes);
}

static void write_marker(struct writer *w, struct buffer *bytes, int producer)
{
    if (!w->in_txn[producer])
        return;
    struct control_record marker = {.type = (int16_t)rng_below(&w->rng, 2), .coordinator_epoch = 5};
    batch_build_control(bytes, 1000 + producer, 2, &marker, w->time_ms);
    w->in_txn[producer] = false;
    send(w, bytes);
}

static void write_batches(struct writer *w, int32_t first_epoch)
{
    struct buffer bytes = {0};
    for (int i = 0; i < BATCHES; i++) {
        if (i % 130 == 0)
            lead(w, first_epoch + i / 100);
        write_batch(w, &bytes);
        if (rng_below(&w->rng, 4) == 0)
            write_marker(w, &bytes, (int)rng_below(&w->rng, PRODUCERS / 2));
    }
    buffer_deinit(&bytes);
}

static int write_folder(const char *folder, uint64_t seed)
{
    struct writer w = {.rs = open_folder(folder), .time_ms = START_TIMESTAMP};
    rng_init(&w.rng, seed);
    replicas_note_cluster(w.rs, SLICE("cluster-of-logtool"));
    write_batches(&w, 0);
    int64_t start = 0;
    while (start != 3) { /* what is deleted must be on disk */
        mutex_lock(&w.replica->lock);
        (void)!partition_delete_records(w.replica->partition, 3, &start);
        mutex_unlock(&w.replica->lock);
        usleep(1000);
    }
    replica_unref(w.replica);
    replicas_close(w.rs);
    return 0;
}

/* Go on where the folder ends: sequences and leader epochs are asked of its log. */
static int add_to_folder(const char *folder, uint64_t seed, bool plain)
{
    struct writer w = {.rs = open_folder(folder), .time_ms = START_TIMESTAMP, .plain = plain};
    struct buffer bytes = {0};
    rng_init(&w.rng, seed);
    lead(&w, 0);
    struct log *log = partition_log(w.replica->partition);
    int32_t epoch = log_latest_epoch(log, &(int64_t){0});
    for (int i = 0; i < PRODUCERS; i++) {
        int64_t id = 1000 + i;
        const struct producer *p = map_find(&log->producers.by_id, MAP_KEY(id));
        if (p != NULL && p->batches_count > 0)
            w.sequences[i] = p->batches[p->batches_count - 1].last_sequence + 1;
    }
    write_batches(&w, epoch + 1);
    for (int i = 0; i < PRODUCERS / 2; i++)
        write_marker(&w, &bytes, i);
    buffer_deinit(&bytes);
    replica_unref(w.replica);
    replicas_close(w.rs);
    return 0;
}

/* --- Compacting --- */

struct compact_run {
    struct compact_options options;
    int64_t now_ms;
    int64_t delete_retention_ms;
};

static void compact_replica(void *arg, struct replica *r)
{
    struct compact_run *run = arg;
    struct log *log = partition_log(r->partition);
    struct log_config config = log_config_default();
    config.segment_bytes = SEGMENT_BYTES;
    config.index_interval_bytes = 1000;
    config.delete_retention_ms = run->delete_retention_ms;
    log_configure(log, &config);
    for (;;) {
        struct compact_stats stats;
        struct compaction *c =
            compaction_begin(log, &run->options, run->now_ms, log_end_offset(log));
        if (c == NULL)
            break;
        int more, err = compaction_map(c);
        CHECK(err == 0);
        while ((more = compaction_clean(c)) > 0)
            CHECK(compaction_swap(c, log) == ERR_NONE);
        CHECK(more == 0);
        compaction_end(c, log, &stats);
        printf("cleaned %" PRId64 "\n", log_cleaned_offset(log));
    }
}

static int compact_folder(const char *folder, struct compact_run run)
{
    struct replicas *rs = open_folder(folder);
    replicas_each(rs, compact_replica, &run);
    replicas_close(rs);
    return 0;
}

/* --- Printing --- */

static uint32_t sum_of(struct slice s)
{
    return slice_is_null(s) ? 1 : crc32c(0, s.data, s.size);
}

static void print_records(struct slice batch, const struct batch_header *h, int64_t start)
{
    struct buffer scratch = {0};
    struct slice body;
    struct record r;
    CHECK(batch_body(batch, h, INFLATED_MAX, &scratch, &body) == 0);
    struct record_iter it = record_iter(body);
    int found;
    while ((found = record_next(&it, &r)) > 0)
        if (h->base_offset + r.offset_delta >= start)
            printf("record %" PRId64 " %" PRId64 " %08" PRIx32 " %08" PRIx32 " %" PRId32 "\n",
                   h->base_offset + r.offset_delta, record_timestamp(h, &r), sum_of(r.key),
                   sum_of(r.value), r.headers_count);
    CHECK(found == 0);
    buffer_deinit(&scratch);
}

static void print_batches(struct log *log)
{
    int64_t end = log_end_offset(log), start = log_start_offset(log);
    struct log_read_limits limits = {.end_offset = end, .bytes_max = 100000, .at_least_one = true};
    for (int64_t at = start; at < end;) {
        struct log_read read;
        CHECK(log_read(log, at, &limits, &read) == ERR_NONE);
        if (read.range.size == 0)
            break;
        uint8_t *bytes = mem_alloc((size_t)read.range.size);
        struct fs_file file = {read.range.fd};
        CHECK(fs_real.read(NULL, file, bytes, (size_t)read.range.size, read.range.position) ==
              read.range.size);
        struct slice batch, rest = slice_of(bytes, (size_t)read.range.size);
        struct batch_header h;
        while (batch_next(&rest, &batch, &h) > 0) {
            CHECK(batch_crc_matches(batch));
            printf("batch %" PRId64 " %" PRId64 " %08" PRIx32 " %" PRId64 " %" PRId64 " %d %" PRId32
                   " %" PRId32 " %d %" PRId32 "\n",
                   h.base_offset, batch_last_offset(&h), h.crc, h.max_timestamp, h.producer_id,
                   h.producer_epoch, h.base_sequence, h.leader_epoch, batch_codec(&h),
                   h.records_count);
            print_records(batch, &h, start);
            at = batch_next_offset(&h);
        }
        free(bytes);
        read.range.release(read.range.owner);
    }
}

static int by_id(const void *a, const void *b)
{
    const struct producer *x = *(struct producer *const *)a, *y = *(struct producer *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

static void print_producers(struct log *log)
{
    VEC(struct producer *) all = {0};
    MAP_FOR_EACH (entry, &log->producers.by_id)
        vec_push(&all, entry->value);
    if (all.count > 0)
        qsort(all.items, all.count, sizeof(*all.items), by_id);
    FOR_EACH (item, all.items, (ptrdiff_t)all.count) {
        const struct producer *p = *item;
        const struct producer_batch *last =
            p->batches_count > 0 ? &p->batches[p->batches_count - 1] : NULL;
        printf("producer %" PRId64 " %d %" PRId32 " %" PRId32 " %" PRId64 "\n", p->id, p->epoch,
               last ? last->last_sequence : -1, p->coordinator_epoch, p->txn_first_offset);
    }
    vec_deinit(&all);
}

static void print_aborted(void *arg, int64_t producer_id, int64_t first_offset)
{
    (void)arg;
    printf("aborted %" PRId64 " %" PRId64 "\n", producer_id, first_offset);
}

static void print_look_ups(struct log *log)
{
    int64_t offset, record_time, most = log_max_timestamp(log, &offset);
    int32_t epoch;
    printf("newest %" PRId64 " %" PRId64 "\n", most, offset);
    for (int64_t back = 0; back < 5000; back += 97) {
        int64_t time = most - back;
        CHECK(log_find_timestamp(log, time, log_end_offset(log), &offset, &record_time, &epoch) ==
              ERR_NONE);
        printf("time %" PRId64 " %" PRId64 " %" PRId64 "\n", time, offset, record_time);
    }
}

static void print_replica(void *arg, struct replica *r)
{
    const char *wanted = arg;
    if (wanted != NULL && !slice_equals_text(r->topic, wanted))
        return;
    mutex_lock(&r->lock);
    if (r->partition == NULL) {
        printf("offline " SLICE_FMT "-%" PRId32 "\n", SLICE_ARG(r->topic), r->index);
        mutex_unlock(&r->lock);
        return;
    }
    struct log *log = partition_log(r->partition);
    printf("partition " SLICE_FMT "-%" PRId32 " %" PRId64 " %" PRId64 "\n", SLICE_ARG(r->topic),
           r->index, log_start_offset(log), log_end_offset(log));
    FOR_EACH (seg, log->segments.items, (ptrdiff_t)log->segments.count)
        printf("segment %" PRId64 "\n", (*seg)->base_offset);
    FOR_EACH (entry, log->epochs.entries.items, (ptrdiff_t)log->epochs.entries.count)
        printf("epoch %" PRId32 " %" PRId64 "\n", entry->epoch, entry->start_offset);
    print_batches(log);
    print_producers(log);
    log_each_aborted(log, log_start_offset(log), log_end_offset(log), print_aborted, NULL);
    printf("stable %" PRId64 "\n", log_last_stable_offset(log, log_end_offset(log)));
    print_look_ups(log);
    mutex_unlock(&r->lock);
}

static int print_folder(const char *folder, const char *topic)
{
    struct replicas *rs = open_folder(folder);
    replicas_each(rs, print_replica, (void *)topic);
    replicas_close(rs);
    return 0;
}

int main(int argc, char **argv)
{
    log_set_level(LOG_LEVEL_WARN);
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return write_folder(argv[2], strtoull(argv[3], NULL, 10));
    if (argc >= 3 && strcmp(argv[1], "print") == 0)
        return print_folder(argv[2], argc > 3 ? argv[3] : NULL);
    if (argc == 5 && strcmp(argv[1], "add") == 0)
        return add_to_folder(argv[2], strtoull(argv[3], NULL, 10), strcmp(argv[4], "plain") == 0);
    if (argc == 6 && strcmp(argv[1], "compact") == 0) {
        struct compact_run run = {
            .options = {.map_bytes_max = strtoull(argv[5], NULL, 10), .map_load_max = 0.9},
            .now_ms = strtoll(argv[3], NULL, 10),
            .delete_retention_ms = strtoll(argv[4], NULL, 10)};
        return compact_folder(argv[2], run);
    }
    fprintf(stderr, "logtool write FOLDER SEED, add FOLDER SEED KIND, print FOLDER [TOPIC], "
                    "compact FOLDER NOW DELETE_RETENTION MAP_BYTES\n");
    return 2;
}
