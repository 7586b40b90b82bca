/* The log's facts, small changes and end; the larger paths are in log_*.c, recovery.c,
 * retention.c. */
#include "replication/log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/logging.h"

struct log_config log_config_default(void)
{
    return (struct log_config){
        .segment_bytes = 1024 * 1024 * 1024,
        .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .index_interval_bytes = 4096,
        .index_bytes_max = 10 * 1024 * 1024,
        .retention_ms = INT64_C(7) * 24 * 3600 * 1000,
        .retention_bytes = -1,
        .file_delete_delay_ms = 60000,
        .producer_id_expiration_ms = INT64_C(24) * 3600 * 1000,
        .delete_retention_ms = INT64_C(24) * 3600 * 1000,
        .min_compaction_lag_ms = 0,
        .max_compaction_lag_ms = INT64_MAX,
        .min_cleanable_dirty_ratio = 0.5,
        .delete_enabled = true,
        .compact_enabled = false,
    };
}

void log_configure(struct log *log, const struct log_config *config)
{
    log->config = *config;
}

int64_t log_start_offset(const struct log *log)
{
    return log->start_offset;
}

int64_t log_first_base_offset(const struct log *log)
{
    return log->segments.items[0]->base_offset;
}

int64_t log_cleaned_offset(const struct log *log)
{
    return log->cleaned_offset;
}

enum error_code log_restore(struct log *log, int64_t start_offset, int64_t cleaned_offset)
{
    log->cleaned_offset = MIN(cleaned_offset, log_end_offset(log));
    return log_raise_start(log, MIN(start_offset, log_end_offset(log)));
}

int64_t log_end_offset(const struct log *log)
{
    return log_active(log)->end_offset;
}

int64_t log_flushed_end_offset(const struct log *log)
{
    return log->flushed_end_offset;
}

int64_t log_size_bytes(const struct log *log)
{
    int64_t size = 0;
    FOR_EACH (seg, log->segments.items, (ptrdiff_t)log->segments.count)
        size += (*seg)->size;
    return size;
}

size_t log_segment_floor(const struct log *log, int64_t offset)
{
    size_t low = 0, high = log->segments.count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (log->segments.items[middle]->base_offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void log_path(const struct log *log, const char *name, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s/%s", log->dir, name);
}

void log_snapshot_path(const struct log *log, int64_t offset, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s/%020" PRId64 ".snapshot", log->dir, offset);
}

enum error_code log_disk_error(struct log *log, const char *what, int err)
{
    bool only_full = err == -ENOSPC || err == -EDQUOT;
    if (only_full && !log->full)
        LOG_ERROR("disk is full",
                  "dir=%s doing=%s reason=\"%s\" next=\"writes refused until there is "
                  "room\"",
                  log->dir, what, strerror(-err));
    if (!only_full && !log->failed)
        LOG_ERROR("log failed", "dir=%s doing=%s reason=\"%s\" next=\"replica goes offline\"",
                  log->dir, what, strerror(-err));
    log->full = log->full || only_full;
    log->failed = log->failed || !only_full;
    return ERR_KAFKA_STORAGE_ERROR;
}

bool log_met_full_disk(const struct log *log)
{
    return log->full;
}

bool log_is_failed(const struct log *log)
{
    return log->failed;
}

void log_set_uncleanable(struct log *log)
{
    log->uncleanable = true;
}

enum error_code log_read_error(struct log *log, const char *what, int err)
{
    LOG_ERROR("could not read log", "dir=%s doing=%s reason=\"%s\"", log->dir, what,
              strerror(-err));
    return err == -EBADMSG ? ERR_CORRUPT_MESSAGE : ERR_KAFKA_STORAGE_ERROR;
}

void log_close(struct log *log)
{
    if (log == NULL)
        return;
    FOR_EACH (seg, log->segments.items, (ptrdiff_t)log->segments.count)
        segment_unref(*seg);
    FOR_EACH (deleted, log->deleted.items, (ptrdiff_t)log->deleted.count)
        segment_unref(deleted->segment);
    vec_deinit(&log->segments);
    vec_deinit(&log->deleted);
    vec_deinit(&log->snapshots);
    epochs_deinit(&log->epochs);
    producers_deinit(&log->producers);
    buffer_deinit(&log->scratch);
    free(log->dir);
    free(log);
}

struct folder {
    const struct fs *fs;
    const char *dir;
};

static int remove_named(void *arg, const char *name)
{
    const struct folder *folder = arg;
    char path[FS_PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder->dir, name);
    int err = folder->fs->remove(folder->fs->arg, path);
    return err == -ENOENT ? 0 : err;
}

int log_remove_folder(const struct fs *fs, const char *dir)
{
    struct folder folder = {.fs = fs, .dir = dir};
    int err = fs->list(fs->arg, dir, remove_named, &folder);
    if (err == 0)
        err = fs->remove(fs->arg, dir);
    return err == -ENOENT ? 0 : err;
}

int log_delete(struct log *log)
{
    const struct fs *fs = log->fs;
    char id[UUID_TEXT_SIZE], from[FS_PATH_MAX], to[FS_PATH_MAX + 64];
    uuid_to_text(log->topic_id, id);
    snprintf(from, sizeof(from), "%s", log->dir);
    snprintf(to, sizeof(to), "%s.%s-delete", log->dir, id);
    log_close(log);

    /* Not synced: if a power cut brings the old name back, partition.metadata says whose it was,
     * and the next start removes it. A log of the same name syncs this folder before it counts. */
    int err = fs->rename(fs->arg, from, to);
    return err != 0 ? err : log_remove_folder(fs, to);
}

enum error_code log_begin_epoch(struct log *log, int32_t epoch)
{
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    int err = epochs_begin(&log->epochs, epoch, log_end_offset(log));
    return err == 0 ? ERR_NONE : log_disk_error(log, "begin epoch", err);
}

int32_t log_latest_epoch(const struct log *log, int64_t *start_offset)
{
    return epochs_latest(&log->epochs, start_offset);
}

int32_t log_epoch_at(const struct log *log, int64_t offset)
{
    return epochs_at(&log->epochs, offset);
}

void log_epoch_end(const struct log *log, int32_t asked, int32_t *epoch, int64_t *end_offset)
{
    epochs_end(&log->epochs, asked, log_end_offset(log), epoch, end_offset);
}

enum log_producer_check log_check_producer(struct log *log, const struct batch_header *batch,
                                           int64_t now_ms, enum error_code *err,
                                           int64_t *base_offset, int64_t *append_time_ms)
{
    (void)now_ms;
    return producers_check(&log->producers, batch, err, base_offset, append_time_ms);
}

int64_t log_producer_last_offset(const struct log *log, int64_t producer_id)
{
    const struct producer *p = map_find(&log->producers.by_id, MAP_KEY(producer_id));
    return p != NULL && p->batches_count > 0 ? producer_last_offset(p) : -1;
}

int log_store_snapshot(struct log *log)
{
    int64_t offset = log_end_offset(log);
    char path[FS_PATH_MAX];
    log_snapshot_path(log, offset, path);
    int err = producers_store(&log->producers, log->fs, path);
    if (err != 0)
        return err;
    size_t n = log->snapshots.count;
    if (n == 0 || log->snapshots.items[n - 1] != offset)
        vec_push(&log->snapshots, offset);
    return 0;
}

void log_remove_snapshots(struct log *log, int64_t from, int64_t to)
{
    for (size_t i = 0; i < log->snapshots.count;) {
        int64_t offset = log->snapshots.items[i];
        if (offset < from || offset >= to) {
            i++;
            continue;
        }
        char path[FS_PATH_MAX];
        log_snapshot_path(log, offset, path);
        (void)log->fs->remove(log->fs->arg, path); /* one that stays is only older */
        vec_remove(&log->snapshots, i);
    }
}

enum error_code log_checkpoint(struct log *log)
{
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    if (log->fresh && log_active(log)->size == 0)
        return ERR_NONE; /* nothing to know */
    int err = log_store_snapshot(log);
    if (err == 0)
        err = segment_store_indexes(log_active(log));
    if (err == 0)
        err = index_sync(&log_active(log)->offsets);
    if (err == 0)
        err = index_sync(&log_active(log)->times);
    if (err == 0)
        err = txn_index_sync(&log_active(log)->txns);
    if (err == 0)
        err = log->fs->sync_dir(log->fs->arg, log->dir);
    return err == 0 ? ERR_NONE : log_disk_error(log, "checkpoint", err);
}

int log_store_start(struct log *log)
{
    char path[FS_PATH_MAX], text[64];
    log_path(log, LOG_START_FILE, path);
    snprintf(text, sizeof(text), "0\n%" PRId64 "\n", log->start_offset);
    return fs_write_text(log->fs, path, text);
}
