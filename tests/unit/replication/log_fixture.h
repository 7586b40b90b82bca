/*
 * For the tests of the log's files: a temporary folder, batches, and a file table over the real one
 * that fails on demand and can forget what was never synced.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/logging.h"
#include "proto/records.h"
#include "replication/log_internal.h"

#define FILES_MAX 256
#define OPEN_MAX  3 /* so few that closing and opening again is the rule */

struct fault_file {
    char path[512];
    int64_t size_synced;
};

/* What the next operations meet, and what would survive a power cut. */
struct faults {
    struct fs fs;
    int write_error; /* -errno; half of the bytes are written */
    int sync_error;
    int truncate_error;
    int read_error;
    int writes, syncs, dir_syncs;
    struct fault_file files[FILES_MAX]; /* by descriptor */
    struct fault_file synced[FILES_MAX];
    int synced_count;
};

static char test_folder[64];
static struct faults faults;

static struct fault_file *synced_file(const char *path)
{
    for (int i = 0; i < faults.synced_count; i++)
        if (strcmp(faults.synced[i].path, path) == 0)
            return &faults.synced[i];
    CHECK(faults.synced_count < FILES_MAX);
    struct fault_file *file = &faults.synced[faults.synced_count++];
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->size_synced = 0;
    return file;
}

static int fault_open(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file)
{
    int err = fs_real.open(NULL, path, mode, file);
    (void)arg;
    if (err == 0) {
        CHECK(file->fd < FILES_MAX);
        snprintf(faults.files[file->fd].path, sizeof(faults.files[0].path), "%s", path);
    }
    return err;
}

static void fault_close(void *arg, struct fs_file file)
{
    (void)arg;
    fs_real.close(NULL, file);
}

static int64_t fault_read(void *arg, struct fs_file file, void *out, size_t size, int64_t position)
{
    (void)arg;
    return faults.read_error != 0 ? faults.read_error
                                  : fs_real.read(NULL, file, out, size, position);
}

static int fault_write(void *arg, struct fs_file file, const struct iovec *parts, int count,
                       int64_t position)
{
    (void)arg;
    faults.writes++;
    if (faults.write_error != 0) {
        struct iovec half = {parts[0].iov_base, parts[0].iov_len / 2};
        assert_int_equal(fs_real.write(NULL, file, &half, 1, position), 0);
        return faults.write_error;
    }
    return fs_real.write(NULL, file, parts, count, position);
}

static int fault_truncate(void *arg, struct fs_file file, int64_t size)
{
    (void)arg;
    return faults.truncate_error != 0 ? faults.truncate_error : fs_real.truncate(NULL, file, size);
}

static int fault_sync(void *arg, struct fs_file file)
{
    (void)arg;
    faults.syncs++;
    if (faults.sync_error != 0)
        return faults.sync_error;
    synced_file(faults.files[file.fd].path)->size_synced = fs_real.size(NULL, file);
    return 0;
}

static int fault_sync_dir(void *arg, const char *path)
{
    (void)arg;
    faults.dir_syncs++;
    return faults.sync_error != 0 ? faults.sync_error : fs_real.sync_dir(NULL, path);
}

static int fault_rename(void *arg, const char *from, const char *to)
{
    (void)arg;
    synced_file(to)->size_synced = synced_file(from)->size_synced;
    return fs_real.rename(NULL, from, to);
}

/* The power goes: bytes behind the last sync of a file are gone. */
static inline int lose_unsynced(void *arg, const char *name)
{
    char path[512];
    (void)arg;
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    struct fs_file file;
    assert_int_equal(fs_real.open(NULL, path, FS_WRITE, &file), 0);
    int64_t size = fs_real.size(NULL, file);
    assert_int_equal(fs_real.truncate(NULL, file, MIN(size, synced_file(path)->size_synced)), 0);
    fs_real.close(NULL, file);
    return 0;
}

static inline void power_cut(void)
{
    assert_int_equal(fs_real.list(NULL, test_folder, lose_unsynced, NULL), 0);
}

static int folder_setup(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_OFF);
    snprintf(test_folder, sizeof(test_folder), "/tmp/millrace-log-XXXXXX");
    assert_non_null(mkdtemp(test_folder));
    memset(&faults, 0, sizeof(faults));
    faults.fs = fs_real;
    faults.fs.open = fault_open;
    faults.fs.close = fault_close;
    faults.fs.read = fault_read;
    faults.fs.write = fault_write;
    faults.fs.truncate = fault_truncate;
    faults.fs.sync = fault_sync;
    faults.fs.sync_dir = fault_sync_dir;
    faults.fs.rename = fault_rename;
    faults.fs.files = file_cache_new(&faults.fs, OPEN_MAX);
    return 0;
}

static inline int folder_teardown(void **state)
{
    (void)state;
    file_cache_unref(faults.fs.files);
    return log_remove_folder(&fs_real, test_folder);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

/* --- Batches --- */

struct batch_spec {
    int records;
    int value_size;
    int64_t timestamp; /* of the first record; +1 for each further one */
    int64_t producer_id;
    int32_t base_sequence;
    int64_t base_offset;
    int32_t epoch;
    int codec;
};

static inline void build_batch(struct buffer *out, struct batch_spec spec)
{
    struct batch_builder b;
    char value[8192];
    memset(value, 'v', sizeof(value));
    CHECK(spec.value_size <= (int)sizeof(value));
    batch_builder_init(&b);
    for (int i = 0; i < spec.records; i++)
        batch_builder_append(&b, spec.timestamp + i, SLICE_NULL,
                             slice_of(value, (size_t)spec.value_size), SLICE_NULL, 0);
    if (spec.producer_id > 0) {
        b.header.producer_id = spec.producer_id;
        b.header.producer_epoch = 0;
        b.header.base_sequence = spec.base_sequence;
    }
    size_t at = out->size;
    assert_int_equal(batch_builder_finish(&b, spec.codec, CODEC_LEVEL_DEFAULT, out), 0);
    batch_builder_deinit(&b);
    batch_set_offset_and_epoch(out->data + at, spec.base_offset, spec.epoch);
}

static inline enum error_code append_spec(struct log *log, struct batch_spec spec, int32_t epoch,
                                          int64_t *offset)
{
    struct buffer bytes = {0};
    build_batch(&bytes, spec);
    enum error_code err = log_append(log, bytes.data, bytes.size, epoch, spec.timestamp, offset);
    buffer_deinit(&bytes);
    return err;
}

/* One batch of `records` small records; returns its base offset. */
static inline int64_t append(struct log *log, int records, int32_t epoch)
{
    int64_t offset;
    struct batch_spec spec = {.records = records, .value_size = 100, .timestamp = 1000};
    assert_int_equal(append_spec(log, spec, epoch, &offset), ERR_NONE);
    return offset;
}

static inline struct log_config small_segments(void)
{
    struct log_config config = log_config_default();
    config.segment_bytes = 4096;
    config.index_interval_bytes = 300;
    config.retention_ms = -1;
    return config;
}

static inline struct log *reopen(const struct log_config *config, bool clean,
                                 int64_t recovery_point)
{
    struct log *log;
    assert_int_equal(
        log_open(test_folder, &faults.fs, config, UUID_ZERO, clean, recovery_point, 0, &log),
        ERR_NONE);
    return log;
}

static inline struct log *open_new(const struct log_config *config)
{
    return reopen(config, false, 0);
}

static inline enum error_code flush(struct log *log)
{
    struct log_flush f;
    if (!log_flush_begin(log, &f))
        return ERR_NONE;
    int err = log_flush_sync(log, &f);
    return log_flush_end(log, &f, err);
}

/* Read from every offset to the end by steps of bytes_max; every batch must follow the one
 * before. */
static inline void read_all(struct log *log, int64_t from, int32_t bytes_max)
{
    int64_t end = log_end_offset(log);
    struct log_read_limits limits = {
        .end_offset = end, .bytes_max = bytes_max, .at_least_one = true};
    while (from < end) {
        struct log_read out;
        assert_int_equal(log_read(log, from, &limits, &out), ERR_NONE);
        assert_true(out.range.size > 0);
        uint8_t *bytes = malloc((size_t)out.range.size);
        assert_int_equal(fs_real.read(NULL, (struct fs_file){out.range.fd}, bytes,
                                      (size_t)out.range.size, out.range.position),
                         out.range.size);
        struct slice batch, rest = slice_of(bytes, (size_t)out.range.size);
        struct batch_header h;
        bool first = true;
        while (batch_next(&rest, &batch, &h) > 0) {
            if (first)
                assert_int_equal(h.base_offset, out.first_offset);
            assert_true(first ? h.base_offset <= from : h.base_offset == from);
            assert_true(batch_crc_matches(batch));
            from = batch_next_offset(&h);
            first = false;
        }
        assert_int_equal(rest.size, 0); /* only whole batches */
        free(bytes);
        out.range.release(out.range.owner);
    }
}
