/*
 * Opening a log: what the folder holds, checked as far as the last stop makes it necessary.
 *
 *   clean stop     sizes, indexes and the headers behind the last index entries
 *   unclean stop   the same below the recovery point; the segments from there on are read whole:
 *                  every header, CRCs from the recovery point on, indexes built anew; then they
 *                  are synced, so that an opened log is flushed to its end
 *
 * A torn tail at or above the recovery point is cut off with everything behind it. Damage below it
 * is never repaired by cutting: those bytes were durable and may have been acknowledged.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/logging.h"
#include "replication/compact.h"
#include "replication/log_internal.h"
#include "replication/partition_metadata.h"

#define TEXT_BYTES_MAX 4096
#define NAME_DIGITS    20

/* --- The folder --- */

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n >= s && strcmp(name + n - s, suffix) == 0;
}

bool log_parse_name(const char *name, const char *suffix, int64_t *offset)
{
    uint64_t value = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || value > INT64_MAX / 10)
            return false;
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    *offset = (int64_t)value;
    return value <= INT64_MAX && strcmp(name + NAME_DIGITS, suffix) == 0;
}

static int take_file(void *arg, const char *name)
{
    struct log *log = arg;
    char path[FS_PATH_MAX];
    int64_t offset;
    log_path(log, name, path);
    if (ends_with(name, ".deleted") || ends_with(name, ".tmp") || ends_with(name, ".cleaned"))
        return log->fs->remove(log->fs->arg, path);
    if (log_parse_name(name, ".snapshot", &offset))
        vec_push(&log->snapshots, offset);
    if (!log_parse_name(name, ".log", &offset))
        return 0;
    struct segment *seg = segment_new(log->fs, log->dir, offset);
    vec_push(&log->segments, seg);
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    int64_t size = log->fs->size(log->fs->arg, seg->log.file);
    segment_release(seg);
    seg->size = MAX(size, 0);
    return size < 0 ? (int)size : 0;
}

/* A checkpoint of one number: version line 0, then it. `missing` when there is none. */
static int load_number(const struct log *log, const char *name, int64_t missing, int64_t *number)
{
    char path[FS_PATH_MAX], *text;
    log_path(log, name, path);
    *number = missing;
    int err = fs_read_text(log->fs, path, &text, TEXT_BYTES_MAX);
    if (err == 0 && sscanf(text, "0\n%" SCNd64, number) != 1) {
        LOG_WARN("ignoring unreadable checkpoint", "dir=%s file=%s", log->dir, name);
        *number = missing;
    }
    free(text);
    return err == -ENOENT ? 0 : err;
}

/* Make the folder, or find out whose it is. A half-made one is used when it is empty; what batches
 * it has never counted, and may be another topic's. */
static enum error_code take_folder(struct log *log)
{
    char id[UUID_TEXT_SIZE], aside[FS_PATH_MAX];
    struct uuid found;
    int err = log->fs->make_dir(log->fs->arg, log->dir);
    if (err == 0)
        err = partition_metadata_read(log->fs, log->dir, &found);
    uuid_to_text(log->topic_id, id);
    if (err == 0 && !uuid_is_zero(log->topic_id) && !uuid_equal(found, log->topic_id)) {
        LOG_ERROR("folder belongs to another topic id", "dir=%s expected=%s", log->dir, id);
        return ERR_INCONSISTENT_TOPIC_ID;
    }
    if (err == -ENOENT || err == -EBADMSG) {
        err = partition_folder_has_content(log->fs, log->dir);
        if (err > 0) {
            err = partition_folder_set_aside(log->fs, log->dir, log->topic_id, aside);
            LOG_WARN("setting a half-made folder aside, nothing in it ever counted",
                     "dir=%s kept=%s", log->dir, aside);
        }
        if (err == 0)
            err = log->fs->make_dir(log->fs->arg, log->dir);
        if (err == 0)
            err = partition_metadata_put(log->fs, log->dir, log->topic_id);
    }
    return err == 0 ? ERR_NONE : log_disk_error(log, "take folder", err);
}

/* --- Scanning a segment --- */

static int check_batch(struct segment *seg, int64_t position, const struct batch_header *h,
                       int64_t expected_offset, int64_t crc_from, uint8_t *chunk)
{
    if (h->base_offset < expected_offset || h->last_offset_delta < 0 ||
        batch_last_offset(h) - seg->base_offset > INT32_MAX)
        return -EBADMSG;
    if (batch_last_offset(h) < crc_from)
        return 0;
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    err = segment_check_crc(seg, position, h, chunk);
    segment_release(seg);
    return err;
}

/* An epoch is on disk before its first record is. So only later ones than are known can be missing,
 * and what stands below the log start, whose epochs were dropped, says nothing. */
static void note_epoch(struct log *log, const struct batch_header *h)
{
    if (h->leader_epoch > epochs_latest(&log->epochs, NULL))
        epochs_note(&log->epochs, h->leader_epoch, h->base_offset);
}

/* Read a segment from its start, building the indexes. seg->size becomes what is valid.
 * 0 also when a damaged rest follows; -errno when the disk fails. */
static int rebuild_segment(struct log *log, struct segment *seg, int64_t crc_from)
{
    struct batch_header h;
    int64_t position = 0, file_size = seg->size;
    uint8_t *chunk = mem_alloc(SEGMENT_CRC_CHUNK);
    log->txns_from = MIN(log->txns_from, seg->base_offset);
    int err = index_forget(&seg->offsets);
    if (err == 0)
        err = index_forget(&seg->times);
    seg->end_offset = seg->base_offset;
    seg->max_timestamp = seg->max_timestamp_offset = seg->first_timestamp = -1;
    seg->bytes_since_index = 0;
    while (err == 0) {
        seg->size = file_size;
        int found = segment_header_at(seg, position, &h);
        if (found <= 0)
            err = found;
        else
            err = check_batch(seg, position, &h, seg->end_offset, crc_from, chunk);
        seg->size = position;
        if (err != 0 || found == 0)
            break;
        note_epoch(log, &h);
        err = segment_note(seg, &h, position, log->config.index_interval_bytes);
        if (err == -ENOSPC)
            err = 0; /* kept in memory */
        position = seg->size;
    }
    free(chunk);
    return err == -EBADMSG ? 0 : err;
}

/* --- Loading and recovering --- */

/* Trust the indexes; read them anew from the log when they do not fit it. */
static int load_segment(struct log *log, struct segment *seg, bool *damaged)
{
    int64_t file_size = seg->size;
    if (file_size == 0) /* it may have no index files, or those of a former life */
        return rebuild_segment(log, seg, INT64_MAX);
    int err = index_load(&seg->offsets, false);
    if (err == 0)
        err = index_load(&seg->times, false);
    if (err == 0 && seg->times.count == 0 && seg->offsets.count > 0)
        err = -EBADMSG;
    if (err == 0)
        err = segment_load_tail(seg);
    if (err == 0)
        err = txn_index_load(&seg->txns, seg->base_offset, seg->end_offset);
    if (err == -ENOENT || err == -EBADMSG) {
        LOG_WARN("rebuilding indexes", "segment=%s", seg->path);
        seg->size = file_size;
        err = rebuild_segment(log, seg, INT64_MAX);
        if (err == 0)
            err = segment_store_indexes(seg);
        if (err == -ENOSPC)
            err = 0;
    }
    *damaged = err == 0 && seg->size != file_size;
    return err;
}

/* Segments from `keep` on are dropped: they lie behind a cut. */
static int drop_segments(struct log *log, size_t keep)
{
    while (log->segments.count > keep) {
        struct segment *seg = log->segments.items[log->segments.count - 1];
        int err = segment_remove(seg);
        if (err != 0)
            return err;
        log->segments.count--;
        segment_unref(seg);
    }
    return 0;
}

static enum error_code corrupt(const struct segment *seg, int64_t recovery_point)
{
    LOG_ERROR("log is damaged below its recovery point",
              "segment=%s offset=%" PRId64 " recovery_point=%" PRId64
              " next=\"replica stays offline, its data is kept\"",
              seg->path, seg->end_offset, recovery_point);
    return ERR_CORRUPT_MESSAGE;
}

/* Cut what is damaged or unconnected behind segment i. */
static enum error_code cut_behind(struct log *log, size_t i, int64_t file_size)
{
    struct segment *seg = log->segments.items[i];
    LOG_WARN("cut torn tail", "segment=%s offset=%" PRId64 " bytes=%" PRId64 " later_segments=%zu",
             seg->path, seg->end_offset, file_size - seg->size, log->segments.count - i - 1);
    int err = drop_segments(log, i + 1);
    if (err == 0)
        err = segment_acquire(seg);
    if (err == 0) {
        file_cache_wrote(seg->files, &seg->log);
        err = log->fs->truncate(log->fs->arg, seg->log.file, seg->size);
        segment_release(seg);
    }
    return err == 0 ? ERR_NONE : log_disk_error(log, "cut torn tail", err);
}

static enum error_code recover_segment(struct log *log, size_t i, bool clean,
                                       int64_t recovery_point)
{
    struct segment *seg = log->segments.items[i];
    int64_t file_size = seg->size;
    bool scan = !clean && i >= log_segment_floor(log, recovery_point);
    bool damaged = false;
    int err = scan ? rebuild_segment(log, seg, recovery_point) : load_segment(log, seg, &damaged);
    if (err != 0)
        return log_disk_error(log, "recover segment", err);
    damaged = damaged || seg->size != file_size;

    int64_t next =
        i + 1 < log->segments.count ? log->segments.items[i + 1]->base_offset : seg->end_offset;
    bool gap = next > seg->end_offset && next <= log->config.cleaned_offset;
    if (!damaged && (next == seg->end_offset || gap))
        return ERR_NONE;
    if (!scan || seg->end_offset < recovery_point || next < seg->end_offset)
        return corrupt(seg, recovery_point);
    return cut_behind(log, i, file_size);
}

static int sync_recovered(struct log *log, int64_t recovery_point)
{
    for (size_t i = log_segment_floor(log, recovery_point); i < log->segments.count; i++) {
        int err = segment_store_indexes(log->segments.items[i]);
        if (err == 0 || err == -ENOSPC)
            err = log_sync_segment(log->segments.items[i]);
        if (err != 0)
            return err;
    }
    return log->fs->sync_dir(log->fs->arg, log->dir);
}

static enum error_code recover_segments(struct log *log, bool clean, int64_t recovery_point,
                                        int64_t now_ms)
{
    for (size_t i = 0; i < log->segments.count; i++) {
        enum error_code err = recover_segment(log, i, clean, recovery_point);
        if (err != ERR_NONE)
            return err;
        struct segment *seg = log->segments.items[i];
        seg->created_ms = now_ms;
        atomic_store(&seg->sealed, i + 1 < log->segments.count);
        atomic_store(&seg->named, true);
    }
    if (log->segments.count > 0)
        atomic_store(&log_active(log)->sealed, false);
    return ERR_NONE;
}

/* --- State that follows from the log --- */

int log_each_header(struct log *log, int64_t from,
                    int (*each)(void *arg, const struct log_found *found), void *arg)
{
    struct log_found at = {0};
    for (size_t i = log_segment_floor(log, from); i < log->segments.count; i++) {
        at.segment = log->segments.items[i];
        int found = segment_find(at.segment, from, &at.position, &at.header);
        while (found > 0) {
            int err = each(arg, &at);
            if (err != 0)
                return err;
            at.position += batch_size(&at.header);
            found = segment_header_at(at.segment, at.position, &at.header);
        }
        if (found < 0)
            return found;
    }
    return 0;
}

struct replay {
    struct log *log;
    int64_t txns_from;
    int64_t now_ms;
    struct buffer batch;
};

static int replay_producer(void *arg, const struct log_found *found)
{
    struct replay *replay = arg;
    const struct batch_header *h = &found->header;
    struct slice batch = SLICE_NULL;
    if (batch_is_control(h)) {
        int err = log_load_batch(replay->log, found, &replay->batch);
        if (err != 0)
            return err;
        batch = buffer_slice(&replay->batch);
    }
    struct segment *seg = h->base_offset >= replay->txns_from ? found->segment : NULL;
    int err = log_note_producer(replay->log, seg, h, batch, replay->now_ms);
    return err == -ENOSPC ? 0 : err;
}

static int replay_epoch(void *arg, const struct log_found *found)
{
    note_epoch(arg, &found->header);
    return 0;
}

/* Read what is known below `upto`; returns where the headers have to be read from. */
static int64_t load_snapshot(struct log *log, int64_t upto)
{
    log_remove_snapshots(log, upto + 1, INT64_MAX);
    producers_deinit(&log->producers);
    while (log->snapshots.count > 0) {
        char path[FS_PATH_MAX];
        int64_t offset = log->snapshots.items[log->snapshots.count - 1];
        log_snapshot_path(log, offset, path);
        if (producers_load(&log->producers, log->fs, path) == 0)
            return offset;
        LOG_WARN("dropping unusable producer snapshot", "path=%s", path);
        log_remove_snapshots(log, offset, offset + 1);
    }
    return 0;
}

int log_rebuild_producers(struct log *log, int64_t txns_from, int64_t now_ms)
{
    int64_t end = log_end_offset(log);
    int64_t from = load_snapshot(log, MIN(end, txns_from));
    for (size_t i = log_segment_floor(log, txns_from); i < log->segments.count; i++) {
        int err =
            txns_from < end ? txn_index_truncate(&log->segments.items[i]->txns, txns_from) : 0;
        if (err != 0)
            return err;
    }
    struct replay replay = {.log = log, .txns_from = txns_from, .now_ms = now_ms};
    int err = log_each_header(log, MAX(from, log->start_offset), replay_producer, &replay);
    buffer_deinit(&replay.batch);
    return err;
}

static int load_epochs(struct log *log, bool *lost)
{
    int err = epochs_load(&log->epochs);
    *lost = err == -ENOENT || err == -EBADMSG;
    return *lost ? 0 : err;
}

/* Entries above the end name records that are gone; one at the end is an epoch without records
 * yet. */
static int settle_epochs(struct log *log, bool clean, bool lost)
{
    size_t count = log->epochs.entries.count;
    if (lost && log_size_bytes(log) > 0) {
        LOG_WARN("rebuilding leader epochs", "dir=%s", log->dir);
        vec_clear(&log->epochs.entries); /* segments may not have been read in order */
        int err = log_each_header(log, log->start_offset, replay_epoch, log);
        if (err != 0)
            return err;
    }
    int64_t end = log_end_offset(log);
    while (log->epochs.entries.count > 0 &&
           log->epochs.entries.items[log->epochs.entries.count - 1].start_offset > end)
        log->epochs.entries.count--;
    if (log->fresh || (clean && !lost && count == log->epochs.entries.count))
        return 0;
    int err = epochs_store(&log->epochs);
    return err == -ENOSPC ? 0 : err; /* what is there is no worse; a full disk must not stop us */
}

/* It never held anything that counted. */
static bool is_fresh(struct log *log, int64_t recovery_point)
{
    struct segment *active = log_active(log);
    bool fresh = log->segments.count == 1 && active->base_offset == 0 && active->size == 0 &&
                 recovery_point == 0 && !log->truncation_noted;
    if (fresh) /* its name may not be durable yet */
        atomic_store(&active->named, false);
    return fresh;
}

static enum error_code finish_open(struct log *log, bool clean, bool epochs_lost,
                                   int64_t recovery_point, int64_t now_ms)
{
    int64_t first, start;
    int err = load_number(log, LOG_START_FILE, 0, &start);
    if (err == 0 && log->segments.count == 0)
        err = log_add_segment(log, start, now_ms);
    if (err != 0)
        return log_disk_error(log, "open", err);
    first = log->segments.items[0]->base_offset;
    log->start_offset = MIN(MAX(first, start), log_end_offset(log));
    log->fresh = is_fresh(log, recovery_point);
    log->epochs.deferred = log->fresh;
    err = clean || log->fresh ? 0 : sync_recovered(log, recovery_point);
    if (err == 0)
        err = settle_epochs(log, clean, epochs_lost);
    if (err == 0)
        err = log_rebuild_producers(log, log->txns_from, now_ms);
    if (err != 0)
        return log_disk_error(log, "recover", err);
    log->flushed_end_offset = log_end_offset(log);
    if (!clean && log->flushed_end_offset < recovery_point)
        LOG_ERROR("log ends below its recovery point",
                  "dir=%s end=%" PRId64 " recovery_point=%" PRId64, log->dir,
                  log->flushed_end_offset, recovery_point);
    log->checkpoint_bound = MAX(log->flushed_end_offset, recovery_point);
    return ERR_NONE;
}

static enum error_code open_folder(struct log *log, bool clean, int64_t recovery_point,
                                   int64_t now_ms)
{
    int64_t truncated_to;
    bool epochs_lost = false;
    enum error_code code = take_folder(log);
    if (code != ERR_NONE)
        return code;
    int err = compact_finish_swap(log->fs, log->dir);
    if (err == 0)
        err = log->fs->list(log->fs->arg, log->dir, take_file, log);
    if (err == 0)
        err = load_number(log, LOG_TRUNCATION_FILE, INT64_MAX, &truncated_to);
    if (err == 0)
        err = load_epochs(log, &epochs_lost);
    if (err != 0)
        return log_disk_error(log, "open", err);
    log->truncation_noted = truncated_to != INT64_MAX;
    int64_t scan_from = MIN(recovery_point, truncated_to);
    code = recover_segments(log, clean, scan_from, now_ms);
    if (code == ERR_NONE)
        code = finish_open(log, clean, epochs_lost, scan_from, now_ms);
    log->checkpoint_bound = MAX(log->checkpoint_bound, recovery_point);
    return code;
}

enum error_code log_open(const char *dir, const struct fs *fs, const struct log_config *config,
                         struct uuid topic_id, bool clean, int64_t recovery_point, int64_t now_ms,
                         struct log **out)
{
    char path[FS_PATH_MAX];
    *out = NULL;
    struct log *log = mem_zalloc(sizeof(*log));
    log->fs = fs;
    log->dir = mem_strdup(dir);
    log->topic_id = topic_id;
    log->config = *config;
    log->txns_from = INT64_MAX;
    log_path(log, LOG_EPOCHS_FILE, path);
    epochs_init(&log->epochs, fs, path);
    enum error_code err = open_folder(log, clean, recovery_point, now_ms);
    if (err == ERR_NONE)
        *out = log;
    else
        log_close(log);
    return err;
}
