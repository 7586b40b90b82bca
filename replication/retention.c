/* Old segments: which may go, and removing the files of those that went. */
#include <errno.h>
#include <inttypes.h>

#include "proto/base/logging.h"
#include "replication/log_internal.h"

int log_delete_first(struct log *log, int64_t now_ms)
{
    struct segment *seg = log->segments.items[0];
    int err = segment_rename_deleted(seg);
    if (err != 0)
        return err;
    vec_remove(&log->segments, 0);
    struct log_deleted deleted = {seg, now_ms + log->config.file_delete_delay_ms};
    vec_push(&log->deleted, deleted);
    return 0;
}

static const char *reason_to_go(const struct log *log, const struct segment *seg, int64_t now_ms,
                                int64_t size_bytes)
{
    const struct log_config *config = &log->config;
    if (seg->end_offset <= log->start_offset)
        return "start";
    if (!config->delete_enabled)
        return NULL;
    if (config->retention_ms >= 0 && seg->max_timestamp >= 0 &&
        now_ms - seg->max_timestamp > config->retention_ms)
        return "time";
    if (config->retention_bytes >= 0 && size_bytes - seg->size >= config->retention_bytes)
        return "size";
    return NULL;
}

/* segment.ms passed, or all of the active segment is past retention: begin a new one. */
static void roll_if_old(struct log *log, int64_t now_ms)
{
    struct segment *active = log_active(log);
    if (active->size == 0)
        return;
    int64_t since = active->created_ms;
    if (active->first_timestamp >= 0 && active->first_timestamp < since)
        since = active->first_timestamp;
    bool expired = log->config.delete_enabled && log->config.retention_ms >= 0 &&
                   active->max_timestamp >= 0 &&
                   now_ms - active->max_timestamp > log->config.retention_ms;
    int64_t age_ms = log_segment_age_max_ms(log);
    if (log->config.compact_enabled) /* the active segment is never compacted */
        age_ms = MIN(age_ms, log->config.max_compaction_lag_ms);
    if (now_ms - since > age_ms || expired)
        if (log_roll(log, log_end_offset(log), now_ms) != ERR_NONE)
            LOG_WARN("could not roll segment", "dir=%s", log->dir);
}

int log_apply_retention(struct log *log, int64_t now_ms, int64_t end_offset_max)
{
    if (log->failed)
        return 0;
    producers_expire(&log->producers, now_ms, log->config.producer_id_expiration_ms);
    roll_if_old(log, now_ms);
    int64_t size_bytes = log_size_bytes(log);
    int gone = 0;
    while (log->segments.count > 1) {
        const struct segment *seg = log->segments.items[0];
        int64_t size = seg->size, base = seg->base_offset;
        const char *reason = reason_to_go(log, seg, now_ms, size_bytes);
        if (reason == NULL || seg->end_offset > end_offset_max ||
            seg->end_offset > log->flushed_end_offset)
            break;
        int err = log_delete_first(log, now_ms);
        if (err != 0) {
            (void)log_disk_error(log, "delete segment", err);
            break;
        }
        LOG_INFO("deleted segment", "dir=%s base=%" PRId64 " bytes=%" PRId64 " reason=%s", log->dir,
                 base, size, reason);
        size_bytes -= size;
        gone++;
    }
    if (gone == 0)
        return 0;
    int64_t first = log->segments.items[0]->base_offset;
    log->start_offset = MAX(log->start_offset, first);
    log_remove_snapshots(log, 0, first);
    int err = epochs_truncate_start(&log->epochs, log->start_offset);
    if (err != 0)
        (void)log_disk_error(log, "store epochs", err);
    return gone;
}

void log_remove_deleted(struct log *log, int64_t now_ms)
{
    for (size_t i = 0; i < log->deleted.count;) {
        struct log_deleted *deleted = &log->deleted.items[i];
        if (deleted->remove_at_ms > now_ms) {
            i++;
            continue;
        }
        if (segment_remove_deleted(deleted->segment) != 0)
            LOG_WARN("could not remove a deleted segment", "segment=%s next=\"at the next start\"",
                     deleted->segment->path);
        segment_unref(deleted->segment);
        vec_remove(&log->deleted, i);
    }
}
