/*
 * What a log folder holds after a crash, or after a disk made it up: indexes, checkpoints, producer
 * snapshots, and whole logs. The first byte chooses which; the files live in the simulation's disk.
 *
 * What loads must be what its readers count on: entries in order, offsets inside their segment. A
 * log that opens after an unclean stop holds whole batches with right CRCs only, takes more, and is
 * the same when it is opened again.
 */
#include <stdio.h>

#include "proto/base/logging.h"
#include "proto/wire.h"
#include "replication/log_internal.h"
#include "replication/partition_metadata.h"
#include "replication/replicas_internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/disk.h"

#define DIR    "d"
#define NOW_MS 1700000000000

enum kind { OFFSETS, TIMES, TXNS, EPOCHS, PRODUCERS, CHECKPOINT, METADATA, LOG, KINDS };

static void put(const struct fs *fs, const char *name, struct slice bytes)
{
    char path[256];
    struct fs_file file;
    snprintf(path, sizeof(path), DIR "/%s", name);
    CHECK(fs->open(fs->arg, path, FS_CREATE, &file) == 0);
    if (bytes.size > 0)
        CHECK(fs_write_at(fs, file, bytes.data, bytes.size, 0) == 0);
    CHECK(fs->sync(fs->arg, file) == 0);
    fs->close(fs->arg, file);
}

/* --- Single files --- */

static void check_index(const struct fs *fs, struct slice bytes, int key_size)
{
    struct index ix;
    struct index_entry found;
    put(fs, "ix", bytes);
    index_init(&ix, fs, DIR "/ix", key_size);
    if (index_load(&ix, true) == 0) {
        int64_t before = -1;
        for (int64_t key = 0; key < 5000; key += 37) {
            int got = index_floor(&ix, key, &found);
            CHECK(got >= 0 && (got == 0 || (found.key <= key && found.key >= before)));
            before = got > 0 ? found.key : before;
        }
        struct index_entry next = {ix.count > 0 ? ix.last.key + 1 : 0,
                                   ix.count > 0 ? ix.last.value + 1 : 0};
        CHECK(index_append(&ix, next) == 0 && index_store(&ix) == 0);
        CHECK(index_truncate(&ix, next.value) == 0);
    }
    index_deinit(&ix);
}

static void check_txns(const struct fs *fs, struct slice bytes)
{
    struct txn_index ix;
    put(fs, "ix", bytes);
    txn_index_init(&ix, fs, DIR "/ix");
    if (txn_index_load(&ix, 100, 1000) == 0)
        FOR_EACH (txn, ix.entries.items, (ptrdiff_t)ix.entries.count)
            CHECK(txn->last_offset >= 100 && txn->last_offset < 1000 &&
                  txn->first_offset <= txn->last_offset);
    txn_index_deinit(&ix);
}

static void check_epochs(const struct fs *fs, struct slice bytes)
{
    struct epochs e;
    put(fs, "epochs", bytes);
    epochs_init(&e, fs, DIR "/epochs");
    if (epochs_load(&e) == 0) {
        for (size_t i = 1; i < e.entries.count; i++)
            CHECK(e.entries.items[i].epoch > e.entries.items[i - 1].epoch &&
                  e.entries.items[i].start_offset >= e.entries.items[i - 1].start_offset);
        size_t count = e.entries.count;
        CHECK(epochs_store(&e) == 0 && epochs_load(&e) == 0 && e.entries.count == count);
    }
    epochs_deinit(&e);
}

static void check_producers(const struct fs *fs, struct slice bytes)
{
    struct producers ps = {0};
    put(fs, "snapshot", bytes);
    if (producers_load(&ps, fs, DIR "/snapshot") == 0) {
        struct producers again = {0};
        CHECK(producers_store(&ps, fs, DIR "/again") == 0);
        CHECK(producers_load(&again, fs, DIR "/again") == 0);
        CHECK(again.by_id.count == ps.by_id.count);
        producers_deinit(&again);
    }
    producers_deinit(&ps);
}

static void check_checkpoint(const struct fs *fs, struct slice bytes)
{
    struct replicas rs = {.fs = fs};
    struct log_dir dir = {.path = DIR};
    put(fs, "recovery-point-offset-checkpoint", bytes);
    put(fs, ".kafka_cleanshutdown", bytes);
    checkpoints_read(&rs, &dir);
    CHECK(checkpoint_find(&dir.recovery_points, SLICE("topic"), 3) >= 0);
    checkpoints_forget(&dir);
}

static void check_metadata(const struct fs *fs, struct slice bytes)
{
    struct uuid id, again;
    put(fs, "partition.metadata", bytes);
    if (partition_metadata_read(fs, DIR, &id) != 0)
        return;
    CHECK(partition_metadata_put(fs, DIR, id) == 0);
    CHECK(partition_metadata_read(fs, DIR, &again) == 0 && uuid_equal(id, again));
}

/* --- A log --- */

/* The next file's bytes: two bytes of size, then they. */
static struct slice take(struct slice *rest)
{
    if (rest->size < 2)
        return SLICE("");
    size_t size = MIN((size_t)wire_load(rest->data, 2), rest->size - 2);
    struct slice out = slice_of(rest->data + 2, size);
    *rest = slice_of(rest->data + 2 + size, rest->size - 2 - size);
    return out;
}

struct walk {
    struct log *log;
    int64_t expected; /* offset of the next batch */
};

static int check_found(void *arg, const struct log_found *found)
{
    struct walk *walk = arg;
    struct buffer bytes = {0};
    CHECK(found->header.base_offset >= walk->expected);
    CHECK(log_load_batch(walk->log, found, &bytes) == 0);
    walk->expected = batch_next_offset(&found->header);
    buffer_deinit(&bytes);
    return 0;
}

static void append_one(struct log *log)
{
    struct batch_builder b;
    struct buffer bytes = {0};
    int64_t offset, end = log_end_offset(log);
    batch_builder_init(&b);
    batch_builder_append(&b, NOW_MS, SLICE_NULL, SLICE("v"), SLICE_NULL, 0);
    CHECK(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &bytes) == 0);
    batch_builder_deinit(&b);
    int32_t epoch = MAX(log_latest_epoch(log, &(int64_t){0}), 0);
    if (log_append(log, bytes.data, bytes.size, epoch, NOW_MS, &offset) == ERR_NONE)
        CHECK(offset == end && log_end_offset(log) == end + 1);
    buffer_deinit(&bytes);
}

static void check_log(const struct fs *fs, struct slice rest, bool clean)
{
    struct log_config config = log_config_default();
    struct log *log;
    config.index_interval_bytes = 100;
    CHECK(partition_metadata_put(fs, DIR, (struct uuid){{1}}) == 0);
    put(fs, "00000000000000000000.log", take(&rest));
    put(fs, "00000000000000000000.index", take(&rest));
    put(fs, "00000000000000000000.timeindex", take(&rest));
    put(fs, "leader-epoch-checkpoint", take(&rest));
    put(fs, "00000000000000000005.snapshot", take(&rest));
    if (log_open(DIR, fs, &config, (struct uuid){{1}}, clean, 0, NOW_MS, &log) != ERR_NONE)
        return;
    if (!clean) { /* a clean stop is believed: only headers behind the last entry are read */
        struct walk walk = {.log = log};
        CHECK(log_each_header(log, 0, check_found, &walk) == 0);
        CHECK(walk.expected == log_end_offset(log));
    }
    append_one(log);
    int64_t end = log_end_offset(log);
    log_close(log);
    if (clean)
        return;
    CHECK(log_open(DIR, fs, &config, (struct uuid){{1}}, false, 0, NOW_MS, &log) == ERR_NONE);
    CHECK(log_end_offset(log) == end);
    log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    log_set_level(LOG_LEVEL_OFF);
    struct disk *disk = disk_new();
    struct fs fs = disk_fs(disk);
    struct slice bytes = slice_of(data + 1, size - 1);
    CHECK(fs.make_dir(fs.arg, DIR) == 0);
    switch ((enum kind)(data[0] % KINDS)) {
    case OFFSETS:
        check_index(&fs, bytes, INDEX_OFFSET_KEY_SIZE);
        break;
    case TIMES:
        check_index(&fs, bytes, INDEX_TIME_KEY_SIZE);
        break;
    case TXNS:
        check_txns(&fs, bytes);
        break;
    case EPOCHS:
        check_epochs(&fs, bytes);
        break;
    case PRODUCERS:
        check_producers(&fs, bytes);
        break;
    case CHECKPOINT:
        check_checkpoint(&fs, bytes);
        break;
    case METADATA:
        check_metadata(&fs, bytes);
        break;
    default:
        check_log(&fs, bytes, data[0] >= 128);
        break;
    }
    disk_free(disk);
    return 0;
}

/* --- Good ones, to be damaged --- */

static void store(struct buffer *out, int64_t value, int size)
{
    uint8_t *at = buffer_reserve(out, (size_t)size);
    wire_store(at, (uint64_t)value, size);
    out->size += (size_t)size;
}

static void generate_index(struct rng *rng, struct buffer *out, int key_size)
{
    int64_t key = 0, value = 0;
    for (uint64_t left = rng_below(rng, 20); left > 0; left--) {
        store(out, key += 1 + (int64_t)rng_below(rng, 300), key_size);
        store(out, value += 1 + (int64_t)rng_below(rng, 5000), 4);
    }
}

static void generate_txns(struct rng *rng, struct buffer *out)
{
    int64_t offset = 100;
    for (uint64_t left = rng_below(rng, 5); left > 0; left--) {
        offset += 1 + (int64_t)rng_below(rng, 50);
        store(out, 0, 2);
        store(out, (int64_t)rng_below(rng, 9), 8);
        store(out, offset - 1, 8);
        store(out, offset, 8);
        store(out, offset, 8);
    }
}

static void generate_epochs(struct rng *rng, struct buffer *out)
{
    int64_t epoch = 0, start = 0;
    uint64_t count = rng_below(rng, 5);
    buffer_printf(out, "0\n%d\n", (int)count);
    for (; count > 0; count--) {
        buffer_printf(out, "%d %d\n", (int)epoch, (int)start);
        epoch += 1 + (int64_t)rng_below(rng, 3);
        start += (int64_t)rng_below(rng, 4);
    }
}

static void generate_producers(struct rng *rng, struct buffer *out)
{
    struct disk *disk = disk_new();
    struct fs fs = disk_fs(disk);
    struct producers ps = {0};
    char *text;
    for (uint64_t left = rng_below(rng, 4); left > 0; left--) {
        struct batch_header h = {.producer_id = (int64_t)left,
                                 .base_sequence = (int32_t)rng_below(rng, 100),
                                 .base_offset = (int64_t)rng_below(rng, 5),
                                 .records_count = 1};
        producers_update(&ps, &h, NOW_MS);
    }
    CHECK(fs.make_dir(fs.arg, DIR) == 0 && producers_store(&ps, &fs, DIR "/s") == 0);
    struct fs_file file;
    CHECK(fs.open(fs.arg, DIR "/s", FS_READ, &file) == 0);
    size_t size = (size_t)fs.size(fs.arg, file);
    text = (char *)buffer_reserve(out, size);
    CHECK(fs.read(fs.arg, file, text, size, 0) == (int64_t)size);
    out->size += size;
    producers_deinit(&ps);
    disk_free(disk);
}

static void generate_batches(struct rng *rng, struct buffer *out)
{
    int64_t offset = 0;
    for (uint64_t left = rng_below(rng, 8); left > 0; left--) {
        struct batch_builder b;
        size_t at = out->size;
        uint64_t records = 1 + rng_below(rng, 3);
        batch_builder_init(&b);
        for (uint64_t i = 0; i < records; i++)
            batch_builder_append(&b, NOW_MS + offset, SLICE_NULL, SLICE("some value"), SLICE_NULL,
                                 0);
        CHECK(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, out) == 0);
        batch_builder_deinit(&b);
        batch_set_offset_and_epoch(out->data + at, offset, (int32_t)rng_below(rng, 2));
        offset += (int64_t)records;
    }
}

static void add_file(struct buffer *out, struct buffer *bytes)
{
    store(out, (int64_t)bytes->size, 2);
    buffer_append_slice(out, buffer_slice(bytes));
    buffer_clear(bytes);
}

static void generate_log(struct rng *rng, struct buffer *out)
{
    struct buffer bytes = {0};
    generate_batches(rng, &bytes);
    add_file(out, &bytes);
    generate_index(rng, &bytes, INDEX_OFFSET_KEY_SIZE);
    add_file(out, &bytes);
    generate_index(rng, &bytes, INDEX_TIME_KEY_SIZE);
    add_file(out, &bytes);
    generate_epochs(rng, &bytes);
    add_file(out, &bytes);
    generate_producers(rng, &bytes);
    add_file(out, &bytes);
    buffer_deinit(&bytes);
}

void fuzz_generate(struct rng *rng, struct buffer *out)
{
    uint8_t kind = (uint8_t)rng_below(rng, 256);
    buffer_append(out, &kind, 1);
    switch ((enum kind)(kind % KINDS)) {
    case OFFSETS:
    case TIMES:
        generate_index(rng, out, kind % KINDS == OFFSETS ? 4 : 8);
        break;
    case TXNS:
        generate_txns(rng, out);
        break;
    case EPOCHS:
        generate_epochs(rng, out);
        break;
    case PRODUCERS:
        generate_producers(rng, out);
        break;
    case CHECKPOINT:
        buffer_printf(out, "0\n2\ntopic 3 %d\nother-topic 0 7\n", (int)rng_below(rng, 1000));
        break;
    case METADATA:
        buffer_printf(out, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        break;
    default:
        generate_log(rng, out);
        break;
    }
}
