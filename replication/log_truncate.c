/* Cutting the log at its end, raising its start. Durable before the call returns. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "proto/base/logging.h"
#include "replication/log_internal.h"

/* A recovery point above `offset` may be on disk: what is appended behind the cut must not be taken
 * for flushed because of it. */
static int note_truncation(struct log *log, int64_t offset)
{
    if (offset >= log->checkpoint_bound)
        return 0;
    char path[FS_PATH_MAX], text[64];
    log_path(log, LOG_TRUNCATION_FILE, path);
    snprintf(text, sizeof(text), "0\n%" PRId64 "\n", MIN(offset, log->flushed_end_offset));
    int err = fs_write_text(log->fs, path, text);
    log->truncation_noted = log->truncation_noted || err == 0;
    return err;
}

static int remove_last(struct log *log)
{
    struct segment *seg = log_active(log);
    int err = segment_remove(seg);
    if (err != 0)
        return err;
    log->segments.count--;
    segment_unref(seg);
    return 0;
}

/* Cut the batches at and above offset off the last segments. */
static int cut_segments(struct log *log, int64_t offset)
{
    while (log->segments.count > 1 && log_active(log)->base_offset >= offset) {
        int err = remove_last(log);
        if (err != 0)
            return err;
    }
    struct segment *active = log_active(log);
    struct batch_header h;
    int64_t position;
    int found = segment_find(active, offset, &position, &h);
    if (found < 0)
        return found;
    atomic_store(&active->sealed, false);
    return segment_cut(active, position);
}

/* Make all that is left durable: then the log is flushed to its end. */
static int sync_all(struct log *log)
{
    for (size_t i = log_segment_floor(log, log->flushed_end_offset); i < log->segments.count; i++) {
        int err = log_sync_segment(log->segments.items[i]);
        if (err != 0)
            return err == -ENOSPC ? -EIO : err;
    }
    return log->fs->sync_dir(log->fs->arg, log->dir);
}

static enum error_code fail(struct log *log, const char *what, int err)
{
    /* Half done in memory and on disk: only reopening tells what is left. */
    (void)log_disk_error(log, what, err);
    log->failed = true;
    return ERR_KAFKA_STORAGE_ERROR;
}

enum error_code log_truncate(struct log *log, int64_t offset, int64_t now_ms)
{
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    if (offset < log->segments.items[0]->base_offset)
        return log_truncate_fully(log, offset);
    int64_t end = log_end_offset(log);
    if (offset < end) {
        LOG_INFO("truncating", "dir=%s from=%" PRId64 " to=%" PRId64, log->dir, end, offset);
        int err = log_settle(log);
        if (err == 0)
            err = note_truncation(log, offset);
        if (err != 0)
            return log_disk_error(log, "note truncation", err);
        log->truncations++;
        log->compaction = NULL;
        log_clear_marks(log);
        log_remove_snapshots(log, offset + 1, INT64_MAX);
        err = cut_segments(log, offset);
        log->flushed_end_offset = MIN(log->flushed_end_offset, log_end_offset(log));
        if (err == 0)
            err = sync_all(log);
        if (err != 0)
            return fail(log, "truncate", err);
        log->flushed_end_offset = log_end_offset(log);
        log->start_offset = MIN(log->start_offset, log_end_offset(log));
        log->cleaned_offset = MIN(log->cleaned_offset, log_end_offset(log));
        err = log_rebuild_producers(log, INT64_MAX, now_ms);
        if (err != 0)
            return fail(log, "rebuild producer state", err);
    }
    int err = epochs_truncate_end(&log->epochs, offset);
    return err == 0 ? ERR_NONE : fail(log, "truncate epochs", err);
}

enum error_code log_truncate_fully(struct log *log, int64_t offset)
{
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    LOG_INFO("starting over", "dir=%s end=%" PRId64 " at=%" PRId64, log->dir, log_end_offset(log),
             offset);
    int64_t created_ms = log_active(log)->created_ms;
    int err = log_settle(log);
    if (err == 0)
        err = note_truncation(log, 0);
    log->truncations++;
    log->compaction = NULL;
    log_remove_snapshots(log, 0, INT64_MAX);
    while (err == 0 && log->segments.count > 0)
        err = remove_last(log);
    if (log->segments.count == 0) {
        int add_err = log_add_segment(log, offset, created_ms);
        if (add_err != 0) { /* in memory only: facts are still asked of a failed log */
            struct segment *seg = segment_new(log->fs, log->dir, offset);
            vec_push(&log->segments, seg);
            err = add_err;
        }
    }
    log_clear_marks(log);
    producers_deinit(&log->producers);
    log->start_offset = log->flushed_end_offset = offset;
    log->cleaned_offset = 0;
    if (err == 0)
        err = epochs_clear(&log->epochs);
    if (err == 0)
        err = log_store_start(log);
    if (err == 0)
        err = sync_all(log);
    return err == 0 ? ERR_NONE : fail(log, "start over", err);
}

enum error_code log_raise_start(struct log *log, int64_t offset)
{
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    if (offset <= log->start_offset)
        return ERR_NONE;
    if (offset > log_end_offset(log))
        return ERR_OFFSET_OUT_OF_RANGE;
    int64_t old = log->start_offset;
    log->start_offset = offset;
    int err = log_settle(log);
    if (err == 0)
        err = log_store_start(log);
    if (err != 0) {
        log->start_offset = old;
        return log_disk_error(log, "store log start", err);
    }
    /* Segments below it go with the next retention pass. */
    err = epochs_truncate_start(&log->epochs, offset);
    return err == 0 ? ERR_NONE : log_disk_error(log, "store epochs", err);
}
