#include "log_fixture.h"
#include "replication/compact.h"
#include "replication/compact_internal.h"

#define RECORDS_MAX 512

static struct log_config compacted(void)
{
    struct log_config config = small_segments();
    config.segment_bytes = 1500;
    config.delete_enabled = false;
    config.compact_enabled = true;
    config.delete_retention_ms = 1000;
    return config;
}

/* --- Records --- */

static int64_t append_key(struct log *log, int key, const char *value)
{
    struct batch_builder b;
    struct buffer bytes = {0};
    char text[16];
    int64_t offset;
    batch_builder_init(&b);
    int size = snprintf(text, sizeof(text), "k%d", key);
    batch_builder_append(&b, 1000, slice_of(text, (size_t)size), slice_from_text(value), SLICE_NULL,
                         0);
    assert_int_equal(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &bytes), 0);
    batch_builder_deinit(&b);
    assert_int_equal(log_append(log, bytes.data, bytes.size, 0, 1000, &offset), ERR_NONE);
    buffer_deinit(&bytes);
    return offset;
}

struct content {
    int count;
    int64_t offsets[RECORDS_MAX];
};

static void take_records(struct slice batch, const struct batch_header *h, struct content *out)
{
    struct buffer scratch = {0};
    struct slice body;
    struct record r;
    assert_int_equal(batch_body(batch, h, 1 << 20, &scratch, &body), 0);
    struct record_iter it = record_iter(body);
    while (record_next(&it, &r) > 0) {
        assert_true(out->count < RECORDS_MAX);
        out->offsets[out->count++] = h->base_offset + r.offset_delta;
    }
    buffer_deinit(&scratch);
}

/* All records, read as a consumer reads them. */
static struct content read_content(struct log *log)
{
    struct content out = {0};
    int64_t end = log_end_offset(log), at = log_start_offset(log);
    struct log_read_limits limits = {.end_offset = end, .bytes_max = 700, .at_least_one = true};
    while (at < end) {
        struct log_read read;
        assert_int_equal(log_read(log, at, &limits, &read), ERR_NONE);
        assert_true(read.range.size > 0);
        uint8_t *bytes = malloc((size_t)read.range.size);
        assert_int_equal(fs_real.read(NULL, (struct fs_file){read.range.fd}, bytes,
                                      (size_t)read.range.size, read.range.position),
                         read.range.size);
        struct slice batch, rest = slice_of(bytes, (size_t)read.range.size);
        struct batch_header h;
        while (batch_next(&rest, &batch, &h) > 0) {
            assert_true(batch_crc_matches(batch));
            take_records(batch, &h, &out);
            at = batch_next_offset(&h);
        }
        free(bytes);
        read.range.release(read.range.owner);
    }
    return out;
}

static bool same(const struct content *a, const struct content *b)
{
    return a->count == b->count &&
           memcmp(a->offsets, b->offsets, (size_t)a->count * sizeof(a->offsets[0])) == 0;
}

/* --- A round --- */

static struct compact_options options = {.map_bytes_max = 1 << 20, .map_load_max = 0.9};

/* 0, or the first error; the log is clean up to its active segment then. */
static int compact(struct log *log, int64_t now_ms)
{
    struct compact_stats stats;
    struct compaction *c = compaction_begin(log, &options, now_ms, log_end_offset(log));
    if (c == NULL)
        return -ENOENT;
    int err = compaction_map(c);
    while (err == 0 && (err = compaction_clean(c)) > 0)
        err = compaction_swap(c, log) == ERR_NONE ? 0 : -EIO;
    compaction_end(c, log, &stats);
    return err;
}

static void flush_all(struct log *log)
{
    while (log_flushed_end_offset(log) < log_end_offset(log))
        assert_int_equal(flush(log), ERR_NONE);
}

/* 100 updates of 10 keys in several segments, all on disk. */
static struct log *filled(const struct log_config *config)
{
    struct log *log = open_new(config);
    for (int i = 0; i < 100; i++)
        append_key(log, i % 10, "a value that takes some room");
    assert_true(log->segments.count >= 4);
    flush_all(log);
    return log;
}

static void only_the_newest_of_each_key_stays(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = filled(&config);
    int64_t active = log_active(log)->base_offset;
    assert_true(log_dirty_ratio(log, 5000, 100) > 0.9);
    assert_int_equal(compact(log, 5000), 0);
    assert_int_equal(log_cleaned_offset(log), active);
    struct content content = read_content(log);
    for (int i = 0; i < content.count; i++)
        assert_true(content.offsets[i] >= active - 10);
    assert_int_equal(content.count, 100 - active + 10);
    assert_true(log_dirty_ratio(log, 5000, 100) < 0); /* nothing to do now */
    log_close(log);
    for (int clean = 0; clean <= 1; clean++) {
        log = reopen(&config, clean, clean ? 100 : 0);
        struct content again = read_content(log);
        assert_true(same(&content, &again));
        log_close(log);
    }
}

static void nothing_at_or_above_the_high_watermark_is_touched(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = filled(&config);
    int64_t end = log->segments.items[1]->end_offset;
    struct compact_stats stats;
    struct compaction *c = compaction_begin(log, &options, 5000, end + 1);
    assert_int_equal(compaction_map(c), 0);
    int err;
    while ((err = compaction_clean(c)) > 0)
        assert_int_equal(compaction_swap(c, log), ERR_NONE);
    assert_int_equal(err, 0);
    compaction_end(c, log, &stats);
    assert_int_equal(log_cleaned_offset(log), end);
    struct content content = read_content(log);
    assert_int_equal(content.count, 10 + 100 - end);
    log_close(log);
}

static void young_segments_wait(void **state)
{
    (void)state;
    struct log_config config = compacted();
    config.min_compaction_lag_ms = 600;
    struct log *log = filled(&config);
    assert_true(log_dirty_ratio(log, 1500, 100) < 0);
    assert_true(log_dirty_ratio(log, 1601, 100) > 0);
    config.min_cleanable_dirty_ratio = 1;
    log_configure(log, &config);
    assert_true(log_dirty_ratio(log, 1601, 100) < 0);
    config.max_compaction_lag_ms = 1000;
    log_configure(log, &config);
    assert_true(log_dirty_ratio(log, 2001, 100) > 0); /* too old to wait for more */
    log_close(log);
}

static void tombstones_stay_for_a_while(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = open_new(&config);
    append_key(log, 1, "old");
    int64_t tombstone = append_key(log, 1, NULL);
    for (int i = 0; i < 60; i++)
        append_key(log, 2, "a value that takes some room");
    flush_all(log);
    assert_int_equal(compact(log, 5000), 0);
    struct content content = read_content(log);
    assert_int_equal(content.offsets[0], tombstone);

    for (int pass = 0; pass < 2; pass++) { /* the second is behind the horizon of 6000 */
        for (int i = 0; i < 60; i++)
            append_key(log, 3, "a value that takes some room");
        flush_all(log);
        assert_int_equal(compact(log, 5999 + pass), 0);
        content = read_content(log);
        assert_true((content.offsets[0] == tombstone) == (pass == 0));
    }
    log_close(log);
}

static void the_map_is_bounded_and_rounds_go_on(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = open_new(&config);
    for (int i = 0; i < 200; i++)
        append_key(log, i % 50, "a value that takes some room");
    flush_all(log);
    int64_t active = log_active(log)->base_offset;
    options.map_bytes_max = 24 * 8;
    int rounds = 0;
    int err;
    while ((err = compact(log, 5000)) == 0)
        rounds++;
    assert_int_equal(err, -ENOENT);
    options.map_bytes_max = 1 << 20;
    assert_true(rounds > 10);
    assert_int_equal(log_cleaned_offset(log), active);
    struct content content = read_content(log);
    assert_int_equal(content.count, 50 + 200 - active);
    log_close(log);
}

static void a_truncation_gives_the_round_up(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = filled(&config);
    struct compact_stats stats;
    struct compaction *c = compaction_begin(log, &options, 5000, 100);
    assert_int_equal(compaction_map(c), 0);
    assert_int_equal(compaction_clean(c), 1);
    assert_int_equal(log_truncate(log, 15, 1000), ERR_NONE);
    assert_int_equal(compaction_swap(c, log), ERR_NONE);
    assert_int_equal(compaction_clean(c), 0);
    compaction_end(c, log, &stats);
    assert_int_equal(log_cleaned_offset(log), 0);
    struct content content = read_content(log);
    assert_int_equal(content.count, 15);
    log_close(log);
}

static void damage_is_found_and_nothing_is_lost(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = filled(&config);
    char path[FS_PATH_MAX];
    segment_path(log->segments.items[1], ".log", path);
    struct fs_file file;
    uint8_t bad = 0xff;
    assert_int_equal(fs_real.open(NULL, path, FS_WRITE, &file), 0);
    assert_int_equal(fs_write_at(&fs_real, file, &bad, 1, 75), 0);
    fs_real.close(NULL, file);
    size_t segments = log->segments.count;
    assert_int_equal(compact(log, 5000), -EBADMSG);
    assert_int_equal(log->segments.count, segments);
    assert_int_equal(log_cleaned_offset(log), 0);
    log_close(log);
}

static void readers_of_old_segments_are_not_disturbed(void **state)
{
    (void)state;
    struct log_config config = compacted();
    struct log *log = filled(&config);
    struct log_read_limits limits = {.end_offset = 100, .bytes_max = 700, .at_least_one = true};
    struct log_read read;
    struct batch_header h;
    uint8_t bytes[BATCH_HEADER_SIZE];
    assert_int_equal(log_read(log, 0, &limits, &read), ERR_NONE);
    assert_int_equal(compact(log, 5000), 0);
    struct fs_file file = {read.range.fd};
    assert_int_equal(fs_real.read(NULL, file, bytes, sizeof(bytes), read.range.position),
                     sizeof(bytes));
    assert_int_equal(batch_header_decode(slice_of(bytes, sizeof(bytes)), &h), 0);
    assert_int_equal(h.base_offset, 0);
    read.range.release(read.range.owner);
    log_close(log);
}

/* --- A crash at any step --- */

static int steps_left; /* changes of the folder until the process dies; -1: never */

static int step(void)
{
    if (steps_left == 0)
        return -EIO;
    steps_left -= steps_left > 0;
    return 0;
}

static int dying_open(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file)
{
    bool creates = mode == FS_CREATE || mode == FS_CREATE_NEW;
    *file = FS_FILE_NONE;
    return creates && step() != 0 ? -EIO : fs_real.open(arg, path, mode, file);
}

static int dying_write(void *arg, struct fs_file file, const struct iovec *parts, int count,
                       int64_t position)
{
    return step() != 0 ? -EIO : fs_real.write(arg, file, parts, count, position);
}

static int dying_truncate(void *arg, struct fs_file file, int64_t size)
{
    return step() != 0 ? -EIO : fs_real.truncate(arg, file, size);
}

static int dying_rename(void *arg, const char *from, const char *to)
{
    return step() != 0 ? -EIO : fs_real.rename(arg, from, to);
}

static int dying_remove(void *arg, const char *path)
{
    return step() != 0 ? -EIO : fs_real.remove(arg, path);
}

static int count_left_over(void *arg, const char *name)
{
    *(int *)arg += strstr(name, ".cleaned") != NULL || strstr(name, "compaction") != NULL;
    return 0;
}

static void a_crash_at_any_step_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    struct log_config config = compacted();
    int finished = 0, old = 0;
    for (int steps = 0; finished < 2; steps++) {
        faults.fs.open = dying_open;
        faults.fs.write = dying_write;
        faults.fs.truncate = dying_truncate;
        faults.fs.rename = dying_rename;
        faults.fs.remove = dying_remove;
        file_cache_unref(faults.fs.files);
        faults.fs.files = file_cache_new(&faults.fs, OPEN_MAX);
        steps_left = -1;
        config.segment_bytes = 1500;
        struct log *log = filled(&config);
        config.segment_bytes = 100000; /* one group */
        log_configure(log, &config);
        struct content before = read_content(log);
        int64_t active = log_active(log)->base_offset;
        steps_left = steps;
        int err = compact(log, 5000);
        bool died = steps_left == 0;
        steps_left = -1;
        log_close(log); /* as the kernel does; nothing is written */

        log = reopen(&config, false, 100);
        struct content after = read_content(log);
        if (!same(&before, &after)) {
            assert_int_equal(after.count, 10 + 100 - active);
            assert_int_equal(after.offsets[0], active - 10);
        }
        old += same(&before, &after);
        int left_over = 0;
        assert_int_equal(fs_real.list(NULL, test_folder, count_left_over, &left_over), 0);
        assert_int_equal(left_over, 0);
        finished += !died && err == 0;
        assert_int_equal(compact(log, 5000), 0);
        log_close(log);
        assert_int_equal(log_remove_folder(&fs_real, test_folder), 0);
        assert_int_equal(fs_real.make_dir(NULL, test_folder), 0);
    }
    assert_true(old > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(only_the_newest_of_each_key_stays),
        LOG_TEST(nothing_at_or_above_the_high_watermark_is_touched),
        LOG_TEST(young_segments_wait),
        LOG_TEST(tombstones_stay_for_a_while),
        LOG_TEST(the_map_is_bounded_and_rounds_go_on),
        LOG_TEST(a_truncation_gives_the_round_up),
        LOG_TEST(damage_is_found_and_nothing_is_lost),
        LOG_TEST(readers_of_old_segments_are_not_disturbed),
        LOG_TEST(a_crash_at_any_step_leaves_the_old_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
