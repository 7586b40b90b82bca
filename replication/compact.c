/* A round of compaction: plan, map, clean, swap. */
#include "replication/compact.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "replication/compact_internal.h"

#define CHUNK_SIZE    (1024 * 1024)
#define CLEANED       ".cleaned"
#define PAUSE_MIN_US  5000
#define SLOT_SIZE     24 /* of Kafka's map: the same buffer takes as many keys */
#define OFFSETS_A_LOG INT32_MAX

/* A closed segment as it was when the round was planned. */
struct part {
    struct segment *segment; /* counted */
    int64_t end_offset;
    int64_t size;
    int64_t index_bytes;
    int64_t time_index_bytes;
};

struct compaction {
    const struct fs *fs;
    char *dir;
    struct log_config config;
    struct compact_options options;
    int64_t first_dirty;
    int64_t keys_max;
    VEC(struct part) parts;
    VEC(struct aborted_txn) aborted;
    struct map producers; /* id -> struct compact_producer */
    struct offset_map map;
    struct compact_txns txns;
    struct compact_filter filter;
    struct compact_stats stats;
    size_t group_begin, group_end; /* parts being cleaned or swapped */
    struct segment *cleaned;       /* the group's new segment */
    struct buffer chunk, out;
    int64_t started_us;
    bool given_up;
};

/* --- Plan --- */

/* Closed segments that may be cleaned: their number, from the first. */
static size_t cleanable_count(struct log *log, int64_t now_ms, int64_t high_watermark)
{
    int64_t end = MIN(log_last_stable_offset(log, high_watermark), log->flushed_end_offset);
    int64_t lag_ms = log->config.min_compaction_lag_ms;
    size_t count = 0;
    for (; count + 1 < log->segments.count; count++) {
        const struct segment *seg = log->segments.items[count];
        bool dirty = seg->end_offset > log->cleaned_offset;
        if (seg->end_offset > end)
            break;
        if (dirty && lag_ms > 0 && seg->max_timestamp > now_ms - lag_ms)
            break;
    }
    return count;
}

double log_dirty_ratio(struct log *log, int64_t now_ms, int64_t high_watermark)
{
    int64_t total = 0, dirty = 0, oldest_ms = INT64_MAX;
    if (log->failed || !log->config.compact_enabled || log->compaction != NULL || log->uncleanable)
        return -1;
    size_t count = cleanable_count(log, now_ms, high_watermark);
    for (size_t i = 0; i < count; i++) {
        const struct segment *seg = log->segments.items[i];
        total += seg->size;
        if (seg->end_offset <= MAX(log->cleaned_offset, log->start_offset))
            continue;
        dirty += seg->size;
        if (seg->first_timestamp >= 0)
            oldest_ms = MIN(oldest_ms, seg->first_timestamp);
    }
    if (dirty == 0)
        return -1;
    double ratio = (double)dirty / (double)total;
    bool late = oldest_ms != INT64_MAX && now_ms - oldest_ms > log->config.max_compaction_lag_ms;
    return late || ratio > log->config.min_cleanable_dirty_ratio ? ratio : -1;
}

static void plan_producers(struct compaction *c, const struct log *log)
{
    MAP_FOR_EACH (entry, &log->producers.by_id) {
        const struct producer *p = entry->value;
        struct compact_producer *known = mem_zalloc(sizeof(*known));
        *known = (struct compact_producer){.id = p->id, .last_offset = -1, .epoch = p->epoch};
        if (p->batches_count > 0)
            known->last_offset = producer_last_offset(p);
        map_put(&c->producers, MAP_KEY(known->id), known);
    }
}

static void plan_parts(struct compaction *c, struct log *log, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct segment *seg = log->segments.items[i];
        struct part part = {.segment = seg,
                            .end_offset = seg->end_offset,
                            .size = seg->size,
                            .index_bytes = index_size_bytes(&seg->offsets),
                            .time_index_bytes = index_size_bytes(&seg->times)};
        segment_ref(seg);
        vec_push(&c->parts, part);
    }
    FOR_EACH (seg, log->segments.items, (ptrdiff_t)log->segments.count)
        FOR_EACH (txn, (*seg)->txns.entries.items, (ptrdiff_t)(*seg)->txns.entries.count)
            vec_push(&c->aborted, *txn);
}

struct compaction *compaction_begin(struct log *log, const struct compact_options *options,
                                    int64_t now_ms, int64_t high_watermark)
{
    size_t count = cleanable_count(log, now_ms, high_watermark);
    int64_t first_dirty = MAX(log->cleaned_offset, log->start_offset);
    if (log->failed || log->compaction != NULL || count == 0 ||
        log->segments.items[count - 1]->end_offset <= first_dirty)
        return NULL;
    struct compaction *c = mem_zalloc(sizeof(*c));
    c->fs = log->fs;
    c->dir = mem_strdup(log->dir);
    c->config = log->config;
    c->options = *options;
    c->first_dirty = first_dirty;
    c->keys_max = (int64_t)((double)(options->map_bytes_max / SLOT_SIZE) * options->map_load_max);
    c->started_us = clock_monotonic_us();
    plan_parts(c, log, count);
    plan_producers(c, log);
    c->filter = (struct compact_filter){.map = &c->map,
                                        .txns = &c->txns,
                                        .producers = &c->producers,
                                        .now_ms = now_ms,
                                        .delete_retention_ms = log->config.delete_retention_ms,
                                        .stats = &c->stats};
    log->compaction = c;
    return c;
}

/* --- Reading --- */

static bool must_stop(const struct compaction *c)
{
    return c->options.stop != NULL && c->options.stop(c->options.arg);
}

/* Not more than so many bytes a second, read and written. */
static void throttle(const struct compaction *c)
{
    if (c->options.bytes_per_second <= 0)
        return;
    int64_t bytes = c->stats.bytes_read + c->stats.bytes_written;
    int64_t due_us = (int64_t)((double)bytes / (double)c->options.bytes_per_second * 1e6);
    int64_t wait_us = due_us - (clock_monotonic_us() - c->started_us);
    if (wait_us < PAUSE_MIN_US)
        return;
    struct timespec pause = {wait_us / 1000000, wait_us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

/* Fill the chunk from `position`; large enough for the batch there. */
static int read_chunk(struct compaction *c, const struct part *part, int64_t position)
{
    struct batch_header h;
    int64_t size = MIN((int64_t)CHUNK_SIZE, part->size - position);
    for (;;) {
        buffer_clear(&c->chunk);
        uint8_t *to = buffer_reserve(&c->chunk, (size_t)size);
        int64_t got = c->fs->read(c->fs->arg, part->segment->log.file, to, (size_t)size, position);
        if (got != size)
            return got < 0 ? (int)got : -EBADMSG;
        c->chunk.size = (size_t)size;
        if (batch_header_decode(buffer_slice(&c->chunk), &h) != 0 ||
            batch_size(&h) > part->size - position)
            return -EBADMSG;
        if (batch_size(&h) <= size)
            return 0;
        size = batch_size(&h);
    }
}

typedef int batch_step(struct compaction *c, struct slice batch, const struct batch_header *h);

/* 0 at the end, else the first non-zero of step; -EBADMSG, -errno. */
static int each_batch(struct compaction *c, const struct part *part, batch_step *step)
{
    int64_t position = 0;
    int err = segment_acquire(part->segment);
    if (err != 0)
        return err;
    while (err == 0 && position < part->size) {
        err = must_stop(c) ? -ECANCELED : read_chunk(c, part, position);
        struct slice batch, rest = buffer_slice(&c->chunk);
        struct batch_header h;
        int found = 0;
        while (err == 0 && (found = batch_next(&rest, &batch, &h)) > 0)
            err = batch_crc_matches(batch) ? step(c, batch, &h) : -EBADMSG;
        if (err == 0 && found < 0)
            err = -EBADMSG;
        position += (int64_t)(c->chunk.size - rest.size);
        c->stats.bytes_read += (int64_t)(c->chunk.size - rest.size);
        throttle(c);
    }
    segment_release(part->segment);
    return err;
}

/* --- Map --- */

#define MAP_FULL 1

static int map_batch(struct compaction *c, struct slice batch, const struct batch_header *h)
{
    struct aborted_txn retained;
    if (batch_last_offset(h) < c->first_dirty)
        return 0;
    bool skip = batch_is_control(h) ? compact_txns_control(&c->txns, h, batch, &retained) || true
                                    : compact_txns_data(&c->txns, h);
    struct slice body;
    struct record r;
    int found = skip ? 0 : batch_body(batch, h, COMPACT_INFLATED_MAX, &c->filter.scratch, &body);
    if (found == 0 && !skip) {
        struct record_iter it = record_iter(body);
        while ((found = record_next(&it, &r)) > 0) {
            int64_t offset = h->base_offset + r.offset_delta;
            if (slice_is_null(r.key) || offset < c->first_dirty)
                continue;
            if ((int64_t)c->map.count >= c->keys_max)
                return MAP_FULL;
            offset_map_put(&c->map, r.key, offset);
            c->filter.map_end_offset = offset + 1;
        }
    }
    if (found == 0)
        c->filter.map_end_offset = batch_next_offset(h);
    return found == -E2BIG || found == -ENOTSUP ? -EBADMSG : found;
}

int compaction_map(struct compaction *c)
{
    int64_t end = c->parts.items[c->parts.count - 1].end_offset;
    /* No more keys than offsets: small logs need no large map. */
    int64_t slots = MIN((int64_t)(c->options.map_bytes_max / SLOT_SIZE),
                        (int64_t)((double)(end - c->first_dirty) / c->options.map_load_max) + 2);
    offset_map_init(&c->map, (size_t)MAX(slots, c->keys_max < slots ? c->keys_max + 1 : slots));
    compact_txns_init(&c->txns, c->aborted.items, c->aborted.count, c->first_dirty);
    c->filter.map_end_offset = c->first_dirty;
    int err = 0;
    for (size_t i = 0; err == 0 && i < c->parts.count; i++) {
        const struct part *part = &c->parts.items[i];
        if (part->end_offset <= c->first_dirty)
            continue;
        err = each_batch(c, part, map_batch);
        if (err == 0) /* nothing stands between its last batch and its end */
            c->filter.map_end_offset = part->end_offset;
    }
    compact_txns_deinit(&c->txns);
    compact_txns_init(&c->txns, c->aborted.items, c->aborted.count, 0);
    if (err == MAP_FULL && c->filter.map_end_offset <= c->first_dirty) {
        LOG_WARN("cannot compact, one batch has more keys than fit",
                 "dir=%s offset=%" PRId64 " right=\"a larger log.cleaner.dedupe.buffer.size\"",
                 c->dir, c->first_dirty);
        return -ENOBUFS;
    }
    return err == MAP_FULL ? 0 : err;
}

/* --- Clean --- */

/* The parts that fit into one new segment, from group_end on. */
static bool next_group(struct compaction *c)
{
    c->group_begin = c->group_end;
    int64_t size = 0, index_bytes = 0, time_index_bytes = 0;
    for (; c->group_end < c->parts.count; c->group_end++) {
        const struct part *part = &c->parts.items[c->group_end];
        int64_t base = c->parts.items[c->group_begin].segment->base_offset;
        size += part->size;
        index_bytes += part->index_bytes;
        time_index_bytes += part->time_index_bytes;
        if (part->segment->base_offset >= c->filter.map_end_offset)
            break;
        if (c->group_end > c->group_begin &&
            (size > c->config.segment_bytes || index_bytes > c->config.index_bytes_max ||
             time_index_bytes > c->config.index_bytes_max ||
             part->end_offset - 1 - base > OFFSETS_A_LOG))
            break;
    }
    return c->group_end > c->group_begin;
}

static int write_out(struct compaction *c)
{
    struct slice batch, rest = buffer_slice(&c->out);
    struct batch_header h;
    int cut_error;
    if (rest.size == 0)
        return 0;
    int err = segment_write(c->cleaned, rest.data, rest.size, &cut_error);
    while (err == 0 && batch_next(&rest, &batch, &h) > 0)
        err = segment_note(c->cleaned, &h, c->cleaned->size, c->config.index_interval_bytes);
    c->stats.bytes_written += (int64_t)c->out.size;
    buffer_clear(&c->out);
    return err;
}

static int clean_batch(struct compaction *c, struct slice batch, const struct batch_header *h)
{
    struct aborted_txn aborted;
    int err = compact_filter_batch(&c->filter, batch, h, &c->out, &aborted);
    if (err == 0 && aborted.producer_id >= 0)
        err = txn_index_append(&c->cleaned->txns, aborted);
    return err == 0 && c->out.size >= CHUNK_SIZE ? write_out(c) : err;
}

static int64_t group_size(const struct compaction *c)
{
    int64_t size = 0;
    for (size_t i = c->group_begin; i < c->group_end; i++)
        size += c->parts.items[i].size;
    return size;
}

static void drop_cleaned(struct compaction *c)
{
    if (c->cleaned != NULL && segment_remove(c->cleaned) != 0)
        LOG_WARN("could not remove what compaction wrote", "segment=%s next=\"at the next start\"",
                 c->cleaned->path);
    segment_unref(c->cleaned);
    c->cleaned = NULL;
    buffer_clear(&c->out);
}

static int clean_group(struct compaction *c)
{
    const struct part *first = &c->parts.items[c->group_begin];
    c->cleaned = segment_new_with(c->fs, c->dir, first->segment->base_offset, CLEANED);
    int err = segment_remove(c->cleaned); /* of a round that failed */
    if (err == 0)
        err = segment_create(c->cleaned);
    c->filter.keep_end_offset = c->parts.items[c->group_end - 1].end_offset;
    for (size_t i = c->group_begin; err == 0 && i < c->group_end; i++)
        err = each_batch(c, &c->parts.items[i], clean_batch);
    if (err == 0)
        err = write_out(c);
    if (err == 0)
        err = segment_store_indexes(c->cleaned);
    atomic_store(&c->cleaned->sealed, true);
    if (err == 0)
        err = log_sync_segment(c->cleaned);
    return err;
}

int compaction_clean(struct compaction *c)
{
    while (!c->given_up && next_group(c)) {
        int err = clean_group(c);
        if (err == 0 && (c->group_end - c->group_begin > 1 || c->cleaned->size < group_size(c)))
            return 1;
        drop_cleaned(c); /* it failed, or nothing would change */
        if (err != 0) {
            c->given_up = true;
            return err;
        }
    }
    return 0;
}

/* --- Swap --- */

struct swap {
    const struct fs *fs;
    const char *dir;
    int64_t base;
    int64_t end;
    int has_txns;
};

/* A file of an old segment behind the first one. */
static int remove_old(void *arg, const char *name)
{
    const struct swap *swap = arg;
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        int64_t offset;
        if (!log_parse_name(name, suffixes[i], &offset) || offset <= swap->base ||
            offset >= swap->end)
            continue;
        char path[FS_PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", swap->dir, name);
        return swap->fs->remove(swap->fs->arg, path);
    }
    return 0;
}

static int put_in_place(const struct swap *swap, const char *suffix)
{
    char from[FS_PATH_MAX + 64], to[FS_PATH_MAX + 48];
    snprintf(to, sizeof(to), "%s/%020" PRId64 "%s", swap->dir, swap->base, suffix);
    snprintf(from, sizeof(from), "%s" CLEANED, to);
    int err = swap->fs->rename(swap->fs->arg, from, to);
    return err == -ENOENT ? 0 : err; /* done before a crash */
}

/* Every step may have been done already. */
static int swap_files(const struct swap *swap)
{
    char path[FS_PATH_MAX + 48];
    int err = swap->fs->list(swap->fs->arg, swap->dir, remove_old, (void *)swap);
    if (err == 0 && !swap->has_txns) {
        snprintf(path, sizeof(path), "%s/%020" PRId64 ".txnindex", swap->dir, swap->base);
        err = swap->fs->remove(swap->fs->arg, path);
        if (err == -ENOENT)
            err = 0;
    }
    if (err == 0 && swap->has_txns)
        err = put_in_place(swap, ".txnindex");
    if (err == 0)
        err = put_in_place(swap, ".index");
    if (err == 0)
        err = put_in_place(swap, ".timeindex");
    if (err == 0)
        err = put_in_place(swap, ".log");
    if (err == 0)
        err = swap->fs->sync_dir(swap->fs->arg, swap->dir);
    if (err != 0)
        return err;
    /* Durable, too: later segments of these names must not be taken for old ones. */
    snprintf(path, sizeof(path), "%s/" COMPACT_SWAP_FILE, swap->dir);
    err = swap->fs->remove(swap->fs->arg, path);
    return err == 0 ? swap->fs->sync_dir(swap->fs->arg, swap->dir) : err;
}

int compact_finish_swap(const struct fs *fs, const char *dir)
{
    struct swap swap = {.fs = fs, .dir = dir};
    char path[FS_PATH_MAX], *text;
    snprintf(path, sizeof(path), "%s/" COMPACT_SWAP_FILE, dir);
    int err = fs_read_text(fs, path, &text, 256);
    if (err != 0)
        return err == -ENOENT ? 0 : err;
    bool valid =
        sscanf(text, "0\n%" SCNd64 " %" SCNd64 " %d", &swap.base, &swap.end, &swap.has_txns) == 3 &&
        swap.base >= 0 && swap.end > swap.base;
    free(text);
    if (!valid) {
        LOG_ERROR("unreadable compaction checkpoint", "file=%s", path);
        return -EBADMSG;
    }
    LOG_INFO("finishing a compaction", "dir=%s base=%" PRId64 " end=%" PRId64, dir, swap.base,
             swap.end);
    return swap_files(&swap);
}

/* Index of the group's first segment in the log; -1 when they are not all there any more. */
static ptrdiff_t find_group(const struct compaction *c, const struct log *log)
{
    size_t count = c->group_end - c->group_begin;
    size_t at = log_segment_floor(log, c->parts.items[c->group_begin].segment->base_offset);
    if (log->compaction != c || log->failed || at + count >= log->segments.count)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (log->segments.items[at + i] != c->parts.items[c->group_begin + i].segment)
            return -1;
    return (ptrdiff_t)at;
}

enum error_code compaction_swap(struct compaction *c, struct log *log)
{
    ptrdiff_t at = find_group(c, log);
    const struct part *last = &c->parts.items[c->group_end - 1];
    struct swap swap = {.fs = c->fs,
                        .dir = c->dir,
                        .base = c->cleaned->base_offset,
                        .end = last->end_offset,
                        .has_txns = c->cleaned->txns.entries.count > 0};
    if (at < 0) {
        c->given_up = true;
        drop_cleaned(c);
        return ERR_NONE;
    }
    char path[FS_PATH_MAX], text[96];
    log_path(log, COMPACT_SWAP_FILE, path);
    snprintf(text, sizeof(text), "0\n%" PRId64 " %" PRId64 " %d\n", swap.base, swap.end,
             swap.has_txns);
    int err = fs_write_text(c->fs, path, text);
    if (err != 0) {
        c->given_up = true;
        drop_cleaned(c);
        return log_disk_error(log, "note compaction", err);
    }
    err = swap_files(&swap);
    if (err != 0) /* half done: the next start finishes it */
        return log_disk_error(log, "swap compacted segment", err == -ENOSPC ? -EIO : err);

    segment_renamed(c->cleaned);
    c->cleaned->created_ms = last->segment->created_ms;
    atomic_store(&c->cleaned->named, true);
    for (size_t i = c->group_begin; i < c->group_end; i++) {
        segment_unref(log->segments.items[at]);
        vec_remove(&log->segments, (size_t)at);
    }
    vec_insert(&log->segments, (size_t)at, c->cleaned);
    log_remove_snapshots(log, swap.base + 1, swap.end);
    c->cleaned = NULL;
    return ERR_NONE;
}

void compaction_end(struct compaction *c, struct log *log, struct compact_stats *stats)
{
    bool done = !c->given_up && c->group_end > 0 && c->cleaned == NULL &&
                (c->group_end == c->parts.count ||
                 c->parts.items[c->group_end].segment->base_offset >= c->filter.map_end_offset);
    if (log != NULL && log->compaction == c) {
        if (done)
            log->cleaned_offset = MAX(log->cleaned_offset, c->filter.map_end_offset);
        log->compaction = NULL;
    }
    *stats = c->stats;
    drop_cleaned(c);
    FOR_EACH (part, c->parts.items, (ptrdiff_t)c->parts.count)
        segment_unref(part->segment);
    MAP_FOR_EACH (entry, &c->producers)
        free(entry->value);
    map_deinit(&c->producers);
    vec_deinit(&c->parts);
    vec_deinit(&c->aborted);
    offset_map_deinit(&c->map);
    compact_txns_deinit(&c->txns);
    buffer_deinit(&c->filter.scratch);
    buffer_deinit(&c->chunk);
    buffer_deinit(&c->out);
    free(c->dir);
    free(c);
}
