/* Writing: one pwritev a batch, sparse index entries now and then, a new segment when one is
 * full. */
#include "replication/log_internal.h"

#include <errno.h>

#include "proto/base/crc32c.h"
#include "proto/base/logging.h"
#include "proto/base/rng.h"

void log_clear_marks(struct log *log)
{
    log->marks_begin = log->marks_end;
}

int log_add_segment(struct log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *seg = segment_new(log->fs, log->dir, base_offset);
    int err = segment_create(seg);
    if (err != 0) {
        segment_unref(seg);
        return err;
    }
    seg->created_ms = now_ms;
    err = log->config.preallocate ? segment_reserve(seg, log->config.segment_bytes) : 0;
    if (err != 0) /* it grows as it is written then */
        LOG_WARN("could not preallocate a segment", "segment=%s error=\"%s\"", seg->path,
                 strerror(-err));
    vec_push(&log->segments, seg);
    log_clear_marks(log);
    return 0;
}

enum error_code log_roll(struct log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *active = log_active(log);
    if (active->size == 0 && active->base_offset == base_offset)
        return ERR_NONE;
    int err = segment_store_indexes(active);
    if (err != 0)
        return log_disk_error(log, "store index", err);

    /* Without its snapshot a restart reads more; without room for the segment nothing is
     * appended. */
    err = log_store_snapshot(log);
    if (err != 0)
        LOG_WARN("could not write producer snapshot", "dir=%s errno=%d", log->dir, -err);
    err = log_add_segment(log, base_offset, now_ms);
    if (err != 0)
        return log_disk_error(log, "create segment", err);
    atomic_store(&active->sealed, true);
    /* Blocks that stay are only space; an old setting may have taken them. */
    if (log->config.preallocate && segment_trim(active) != 0)
        LOG_WARN("could not give back preallocated blocks", "segment=%s", active->path);
    return ERR_NONE;
}

int64_t log_segment_age_max_ms(const struct log *log)
{
    int64_t bound = MIN(log->config.segment_jitter_ms, log->config.segment_ms);
    int64_t base = log_active(log)->base_offset;
    struct rng rng;
    if (bound <= 0)
        return log->config.segment_ms;
    rng_init(&rng, crc32c(0, log->dir, strlen(log->dir)) + (uint64_t)base);
    return log->config.segment_ms - (int64_t)rng_below(&rng, (uint64_t)bound);
}

/* Kafka's LogSegment.shouldRoll. */
static bool must_roll(const struct log *log, const struct batch_header *h, int64_t size,
                      int64_t now_ms)
{
    const struct segment *active = log_active(log);
    const struct log_config *config = &log->config;
    if (batch_last_offset(h) - active->base_offset > INT32_MAX)
        return true;
    if (active->size == 0)
        return false;
    if (active->size > config->segment_bytes - size)
        return true;
    if (index_size_bytes(&active->offsets) > config->index_bytes_max - 8 ||
        index_size_bytes(&active->times) > config->index_bytes_max - 12)
        return true;
    int64_t waited = active->first_timestamp >= 0 && h->max_timestamp >= 0
                         ? h->max_timestamp - active->first_timestamp
                         : now_ms - active->created_ms;
    return waited > log_segment_age_max_ms(log);
}

int log_note_producer(struct log *log, struct segment *seg, const struct batch_header *h,
                      struct slice batch, int64_t now_ms)
{
    struct control_record marker;
    struct aborted_txn aborted;
    if (!batch_is_control(h) || !batch_has_producer(h) ||
        batch_control_decode(batch, &marker) != 0 ||
        (marker.type != CONTROL_ABORT && marker.type != CONTROL_COMMIT)) {
        producers_update(&log->producers, h, now_ms);
        return 0;
    }
    bool aborts = producers_end_txn(&log->producers, h, &marker, now_ms, &aborted);
    return aborts && seg != NULL ? txn_index_append(&seg->txns, aborted) : 0;
}

/* Write whole batches behind the active segment's end; on an error the file is cut back. */
static enum error_code write_batches(struct log *log, const uint8_t *bytes, size_t size)
{
    int cut_error = 0;
    int err = log->epochs.deferred ? epochs_settle(&log->epochs) : 0;
    if (err == 0)
        err = segment_write(log_active(log), bytes, size, &cut_error);
    if (err == 0) {
        if (log->full)
            LOG_INFO("disk has room again", "dir=%s", log->dir);
        log->full = false;
        return ERR_NONE;
    }
    enum error_code code = log_disk_error(log, "append", err);
    if (cut_error != 0)
        log_disk_error(log, "cut off partial write", cut_error == -ENOSPC ? -EIO : cut_error);
    return code;
}

/* Indexes are kept in memory when they cannot be written; only a broken disk stops the log. */
static enum error_code note_batch(struct log *log, const struct batch_header *h, struct slice batch,
                                  int64_t now_ms)
{
    struct segment *active = log_active(log);
    int64_t position = active->size;
    log->marks[log->marks_end++ % LOG_MARKS] =
        (struct log_mark){h->base_offset, batch_last_offset(h), position};
    if (log->marks_end - log->marks_begin > LOG_MARKS)
        log->marks_begin = log->marks_end - LOG_MARKS;
    int err = segment_note(active, h, position, log->config.index_interval_bytes);
    int txns_err = log_note_producer(log, active, h, batch, now_ms);
    if (err == 0 || err == -ENOSPC || err == -EDQUOT)
        err = txns_err;
    if (err == 0 || err == -ENOSPC || err == -EDQUOT)
        return ERR_NONE;
    return log_disk_error(log, "write index", err);
}

enum error_code log_append(struct log *log, uint8_t *batch, size_t size, int32_t leader_epoch,
                           int64_t now_ms, int64_t *base_offset)
{
    struct batch_header h;
    *base_offset = -1;
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    if (batch_header_decode(slice_of(batch, size), &h) != 0 || batch_size(&h) != (int64_t)size)
        return ERR_CORRUPT_MESSAGE;
    if (size > (size_t)log->config.segment_bytes)
        return ERR_RECORD_LIST_TOO_LARGE;

    int64_t offset = log_end_offset(log);
    h.base_offset = offset;
    h.leader_epoch = leader_epoch;
    batch_set_offset_and_epoch(batch, offset, leader_epoch);
    if (epochs_latest(&log->epochs, NULL) < leader_epoch) {
        enum error_code err = log_begin_epoch(log, leader_epoch);
        if (err != ERR_NONE)
            return err;
    }
    if (must_roll(log, &h, (int64_t)size, now_ms)) {
        enum error_code err = log_roll(log, offset, now_ms);
        if (err != ERR_NONE)
            return err;
    }
    enum error_code err = write_batches(log, batch, size);
    if (err == ERR_NONE)
        err = note_batch(log, &h, slice_of(batch, size), now_ms);
    if (err == ERR_NONE)
        *base_offset = offset;
    return err;
}

/* An epoch below the latest is fine only where the later entries have no records: the leader's
 * history wins over elections that left nothing. */
static bool epoch_fits(const struct log *log, const struct batch_header *h)
{
    int64_t start;
    int32_t latest = epochs_latest(&log->epochs, &start);
    return h->leader_epoch >= latest || start >= h->base_offset;
}

/* Take the next whole batch off *rest and check it. 1, 0 at the end, -EBADMSG. */
static int next_checked(const struct log *log, int64_t expected_offset, struct slice *rest,
                        struct slice *batch, struct batch_header *h)
{
    int found = batch_next(rest, batch, h);
    if (found <= 0)
        return found;
    if (h->base_offset < expected_offset || h->last_offset_delta < 0 || !epoch_fits(log, h) ||
        !batch_crc_matches(*batch))
        return -EBADMSG;
    return 1;
}

/* The epochs that `run` brings must be durable before its records can count. */
static enum error_code begin_epochs(struct log *log, const struct batch_header *h)
{
    int err = epochs_begin(&log->epochs, h->leader_epoch, h->base_offset);
    return err == 0 ? ERR_NONE : log_disk_error(log, "begin epoch", err);
}

static enum error_code note_run(struct log *log, struct slice run, int64_t now_ms)
{
    struct slice batch;
    struct batch_header h;
    while (batch_next(&run, &batch, &h) > 0) {
        enum error_code err = note_batch(log, &h, batch, now_ms);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

/* Write the run gathered so far, at once. */
static enum error_code flush_run(struct log *log, struct slice *run, int64_t now_ms)
{
    if (run->size == 0)
        return ERR_NONE;
    enum error_code err = write_batches(log, run->data, run->size);
    if (err == ERR_NONE)
        err = note_run(log, *run, now_ms);
    *run = slice_of(run->data + run->size, 0);
    return err;
}

/* A batch in a run must go to a new segment, or begins a new epoch: write what stands before it. */
static enum error_code before_batch(struct log *log, const struct batch_header *h,
                                    struct slice *run, int64_t now_ms)
{
    int64_t run_size = (int64_t)run->size;
    enum error_code err = ERR_NONE;
    if (must_roll(log, h, run_size + batch_size(h), now_ms) ||
        (log_active(log)->size == 0 && run_size > 0 &&
         run_size + batch_size(h) > log->config.segment_bytes)) {
        err = flush_run(log, run, now_ms);
        /* Named by the log's end, so that segments meet without a gap. */
        int64_t base = log_end_offset(log);
        if (batch_last_offset(h) - base > INT32_MAX)
            base = h->base_offset;
        if (err == ERR_NONE && must_roll(log, h, batch_size(h), now_ms))
            err = log_roll(log, base, now_ms);
    }
    if (err == ERR_NONE && epochs_latest(&log->epochs, NULL) != h->leader_epoch) {
        err = flush_run(log, run, now_ms);
        if (err == ERR_NONE)
            err = begin_epochs(log, h);
    }
    return err;
}

enum error_code log_append_as_follower(struct log *log, struct slice records, int64_t now_ms)
{
    struct slice batch, rest = records;
    struct batch_header h;
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    struct slice run = slice_of(records.data, 0);
    int64_t expected = log_end_offset(log);
    int found;
    while ((found = next_checked(log, expected, &rest, &batch, &h)) > 0) {
        enum error_code err = before_batch(log, &h, &run, now_ms);
        if (err != ERR_NONE)
            return err;
        run.size += batch.size;
        expected = batch_next_offset(&h);
    }
    enum error_code err = flush_run(log, &run, now_ms);
    if (err == ERR_NONE && found < 0) {
        LOG_ERROR("refused a batch from the leader", "dir=%s offset=%lld", log->dir,
                  (long long)expected);
        err = ERR_CORRUPT_MESSAGE;
    }
    return err;
}
