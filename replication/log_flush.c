/*
 * Group commit: begin (locked) says what to sync, sync (no lock) does it while appends go on, end
 * (locked) moves the flushed end offset. Bytes appended after begin, a roll included, belong to the
 * next flush; a truncation syncs what it leaves and makes a flush that began before it meaningless.
 */
#include <errno.h>

#include "proto/base/mutant.h"
#include "replication/log_internal.h"

static void release(struct log_flush *flush)
{
    for (int i = 0; i < flush->segments_count; i++)
        segment_unpin(flush->segments[i]);
    flush->segments_count = 0;
}

bool log_flush_is_due(const struct log *log, int64_t waited_ms)
{
    int64_t messages = log_end_offset(log) - log->flushed_end_offset;
    return messages > 0 &&
           (messages >= log->config.flush_messages || waited_ms >= log->config.flush_ms ||
            log->flushed_end_offset < log_active(log)->base_offset);
}

bool log_flush_begin(struct log *log, struct log_flush *flush)
{
    *flush =
        (struct log_flush){.end_offset = log->flushed_end_offset, .truncations = log->truncations};
    if (log->failed)
        return false;
    for (size_t i = log_segment_floor(log, log->flushed_end_offset);
         i < log->segments.count && flush->segments_count < (int)ARRAY_COUNT(flush->segments);
         i++) {
        struct segment *seg = log->segments.items[i];
        if (seg->end_offset <= log->flushed_end_offset)
            continue;
        int err = segment_pin(seg);
        if (err != 0) {
            (void)log_disk_error(log, "open for flush", err);
            release(flush);
            return false;
        }
        flush->segments[flush->segments_count++] = seg;
        flush->end_offset = seg->end_offset;
    }
    flush->first = log->fresh;
    return flush->segments_count > 0;
}

int log_sync_segment(struct segment *seg)
{
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    err = segment_sync(seg);
    segment_release(seg);
    return err;
}

int log_sync_folder(const struct log *log)
{
    char path[FS_PATH_MAX], parent[FS_PATH_MAX];
    log_path(log, LOG_METADATA_FILE, path);
    int err = fs_sync_path(log->fs, path);
    if (err == 0)
        err = fs_sync_path(log->fs, log->epochs.path);
    fs_folder_of(log->dir, parent);
    return err == 0 ? log->fs->sync_dir(log->fs->arg, parent) : err;
}

int log_settle(struct log *log)
{
    if (!log->fresh)
        return 0;
    int err = log->epochs.deferred ? epochs_settle(&log->epochs) : 0;
    if (err == 0)
        err = log_sync_folder(log);
    if (err == 0)
        err = log->fs->sync_dir(log->fs->arg, log->dir);
    log->fresh = err != 0;
    return err;
}

int log_flush_sync(struct log *log, const struct log_flush *flush)
{
    /* The segments are this flush's; of the log only what is constant is used. */
    for (int i = 0; i < flush->segments_count; i++) {
        int err = segment_sync(flush->segments[i]);
        if (err != 0)
            return err;
    }
    return flush->first ? log_sync_folder(log) : 0;
}

/* Once everything below the old recovery point is durable again, that recovery point is true
 * again. */
static void forget_truncation(struct log *log)
{
    if (!log->truncation_noted || log->flushed_end_offset < log->checkpoint_bound)
        return;
    char path[FS_PATH_MAX];
    log_path(log, LOG_TRUNCATION_FILE, path);
    if (log->fs->remove(log->fs->arg, path) == 0)
        log->truncation_noted = false;
}

enum error_code log_flush_end(struct log *log, struct log_flush *flush, int sync_error)
{
    release(flush);
    if (sync_error != 0 && !MUTANT(MUTANT_SYNC_ERROR_IGNORED)) {
        /* The kernel may have dropped the pages: a second fsync would succeed and prove nothing. */
        (void)log_disk_error(log, "fsync", sync_error == -ENOSPC ? -EIO : sync_error);
        log->failed = true;
    }
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    log->fresh = log->fresh && !flush->first;
    if (flush->truncations == log->truncations && flush->end_offset > log->flushed_end_offset) {
        log->flushed_end_offset = flush->end_offset;
        log->checkpoint_bound = MAX(log->checkpoint_bound, flush->end_offset);
        forget_truncation(log);
    }
    return ERR_NONE;
}
