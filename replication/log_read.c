/* Reading: which bytes of which segment, without reading them where the newest batches are asked
 * for. */
#include <errno.h>

#include "replication/log_internal.h"

#define SEARCH_BYTES_MAX (256 * 1024 * 1024) /* a batch, inflated, when searching by timestamp */

/* The mark of the first batch with last offset >= offset; NULL when older batches have to be
 * asked. */
static const struct log_mark *mark_find(const struct log *log, int64_t offset)
{
    const struct log_mark *found = NULL;
    for (uint64_t i = log->marks_end; i > log->marks_begin; i--) {
        const struct log_mark *mark = &log->marks[(i - 1) % LOG_MARKS];
        if (mark->last_offset < offset)
            return found;
        found = mark;
    }
    return found != NULL && found->base_offset <= offset ? found : NULL;
}

/* First batch of seg with last offset >= offset. 1, 0 (none: *position is the end), -errno. */
static int find_batch(struct log *log, struct segment *seg, int64_t offset, int64_t *position,
                      int64_t *base_offset)
{
    struct batch_header h;
    if (seg == log_active(log) && offset < seg->end_offset) {
        const struct log_mark *mark = mark_find(log, offset);
        if (mark != NULL) {
            *position = mark->position;
            *base_offset = mark->base_offset;
            return 1;
        }
    }
    int found = segment_find(seg, offset, position, &h);
    *base_offset = found > 0 ? h.base_offset : seg->end_offset;
    return found;
}

/* Largest batch boundary <= upto, from a boundary on. */
static int find_boundary(struct log *log, struct segment *seg, int64_t from, int64_t upto,
                         int64_t *boundary)
{
    if (seg == log_active(log)) {
        for (uint64_t i = log->marks_end; i > log->marks_begin; i--) {
            const struct log_mark *mark = &log->marks[(i - 1) % LOG_MARKS];
            if (mark->position <= upto) {
                *boundary = MAX(from, mark->position);
                return 0;
            }
        }
    }
    return segment_boundary(seg, from, upto, boundary);
}

/* Where to stop reading: below limit_offset, within bytes_max, at a batch's end. */
static int find_stop(struct log *log, struct segment *seg, int64_t start, int64_t limit_offset,
                     const struct log_read_limits *limits, int64_t *stop)
{
    int64_t base_offset;
    *stop = seg->size;
    if (limit_offset < seg->end_offset) {
        int found = find_batch(log, seg, limit_offset, stop, &base_offset);
        if (found < 0)
            return found;
    }
    if (*stop - start <= limits->bytes_max)
        return 0;
    int64_t boundary;
    int err = find_boundary(log, seg, start, start + MAX(limits->bytes_max, 0), &boundary);
    if (err != 0)
        return err;
    if (boundary == start && limits->at_least_one) {
        struct batch_header h;
        int found = segment_header_at(seg, start, &h);
        if (found < 0)
            return found;
        boundary = start + (found > 0 ? batch_size(&h) : 0);
    }
    *stop = boundary;
    return 0;
}

enum error_code log_read(struct log *log, int64_t offset, const struct log_read_limits *limits,
                         struct log_read *out)
{
    *out = (struct log_read){.first_offset = offset, .range = {.fd = -1}};
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    int64_t end = log_end_offset(log);
    if (offset < log->start_offset || offset > end)
        return ERR_OFFSET_OUT_OF_RANGE;
    int64_t limit = MIN(limits->end_offset, end);
    if (offset >= limit)
        return ERR_NONE;

    struct segment *seg = NULL;
    int64_t start = 0, base_offset = 0, stop;
    int found = 0;
    for (size_t i = log_segment_floor(log, offset); found == 0 && i < log->segments.count; i++) {
        seg = log->segments.items[i];
        found = find_batch(log, seg, offset, &start, &base_offset);
    }
    if (found == 0 || (found > 0 && base_offset >= limit))
        return ERR_NONE;
    int err = found < 0 ? found : find_stop(log, seg, start, limit, limits, &stop);
    if (err == 0 && stop <= start)
        return ERR_NONE;
    if (err == 0)
        err = segment_pin(seg);
    if (err != 0)
        return log_read_error(log, "read", err);
    out->first_offset = base_offset;
    out->range = (struct file_range){.fd = seg->log.file.fd,
                                     .position = start,
                                     .size = (int32_t)(stop - start),
                                     .owner = seg,
                                     .release = segment_unpin};
    return ERR_NONE;
}

/* At or below the offset's true position. */
static int64_t rough_position(struct log *log, struct segment *seg, int64_t offset)
{
    struct index_entry entry;
    if (offset >= seg->end_offset)
        return seg->size;
    if (seg == log_active(log)) {
        const struct log_mark *mark = mark_find(log, offset);
        if (mark != NULL)
            return mark->position;
    }
    return index_floor(&seg->offsets, offset - seg->base_offset, &entry) > 0 ? entry.value : 0;
}

int64_t log_bytes_between(struct log *log, int64_t offset, int64_t end_offset)
{
    end_offset = MIN(end_offset, log_end_offset(log));
    offset = MAX(offset, log->start_offset);
    if (offset >= end_offset)
        return 0;
    size_t first = log_segment_floor(log, offset);
    size_t last = log_segment_floor(log, end_offset);
    int64_t bytes = rough_position(log, log->segments.items[last], end_offset) -
                    rough_position(log, log->segments.items[first], offset);
    for (size_t i = first; i < last; i++)
        bytes += log->segments.items[i]->size;
    return MAX(bytes, 1);
}

int log_load_batch(struct log *log, const struct log_found *found, struct buffer *bytes)
{
    size_t size = (size_t)batch_size(&found->header);
    buffer_clear(bytes);
    uint8_t *at = buffer_reserve(bytes, size);
    int err = segment_acquire(found->segment);
    if (err != 0)
        return err;
    int64_t got = log->fs->read(log->fs->arg, found->segment->log.file, at, size, found->position);
    segment_release(found->segment);
    if (got < 0)
        return (int)got;
    bytes->size = (size_t)got;
    return (size_t)got == size && batch_crc_matches(buffer_slice(bytes)) ? 0 : -EBADMSG;
}

/* The same into log->scratch; *batch points there. */
static int load_batch(struct log *log, struct segment *seg, int64_t position,
                      const struct batch_header *h, struct slice *batch)
{
    struct log_found found = {seg, position, *h};
    int err = log_load_batch(log, &found, &log->scratch);
    *batch = buffer_slice(&log->scratch);
    return err;
}

/* The first record of a batch with offset >= from and the timestamp. 1, 0, -errno. */
static int find_in_batch(struct slice batch, const struct batch_header *h, int64_t timestamp,
                         int64_t from, int64_t *offset, int64_t *record_time)
{
    struct buffer inflated = {0};
    struct slice body;
    struct record r;
    int found = batch_body(batch, h, SEARCH_BYTES_MAX, &inflated, &body);
    if (found == 0) {
        struct record_iter it = record_iter(body);
        while ((found = record_next(&it, &r)) > 0) {
            *offset = h->base_offset + r.offset_delta;
            *record_time = record_timestamp(h, &r);
            if (*offset >= from && *record_time >= timestamp)
                break;
        }
    }
    buffer_deinit(&inflated);
    return found;
}

/* Where to begin in a segment: no record before it has the timestamp. */
static int search_start(struct segment *seg, int64_t timestamp, int64_t from, int64_t *position)
{
    struct index_entry time, entry;
    int64_t offset = from - seg->base_offset;
    int found = index_floor(&seg->times, timestamp, &time);
    if (found > 0)
        offset = MAX(offset, time.value);
    if (found >= 0)
        found = index_floor(&seg->offsets, offset, &entry);
    *position = found > 0 ? entry.value : 0;
    return MIN(found, 0);
}

struct time_search {
    int64_t timestamp;
    int64_t from;
    int64_t end_offset;
    int64_t offset;
    int64_t record_time;
    int32_t leader_epoch;
};

static int search_segment(struct log *log, struct segment *seg, struct time_search *search)
{
    struct batch_header h;
    int64_t position;
    int found = search_start(seg, search->timestamp, search->from, &position);
    if (found < 0)
        return found;
    while ((found = segment_header_at(seg, position, &h)) > 0) {
        if (h.base_offset >= search->end_offset)
            return 0;
        if (h.max_timestamp >= search->timestamp && batch_last_offset(&h) >= search->from) {
            struct slice batch;
            int err = load_batch(log, seg, position, &h, &batch);
            if (err == 0)
                err = find_in_batch(batch, &h, search->timestamp, search->from, &search->offset,
                                    &search->record_time);
            search->leader_epoch = h.leader_epoch;
            if (err != 0)
                return err;
        }
        position += batch_size(&h);
    }
    return found;
}

enum error_code log_find_timestamp(struct log *log, int64_t timestamp, int64_t end_offset,
                                   int64_t *offset, int64_t *record_timestamp_out,
                                   int32_t *leader_epoch)
{
    *offset = *record_timestamp_out = -1;
    *leader_epoch = -1;
    if (log->failed)
        return ERR_KAFKA_STORAGE_ERROR;
    struct time_search search = {
        .timestamp = timestamp, .from = log->start_offset, .end_offset = end_offset};
    int found = 0;
    for (size_t i = log_segment_floor(log, log->start_offset);
         found == 0 && i < log->segments.count; i++) {
        struct segment *seg = log->segments.items[i];
        if (seg->base_offset < end_offset && seg->max_timestamp >= timestamp)
            found = search_segment(log, seg, &search);
    }
    if (found < 0)
        return log_read_error(log, "find timestamp", found);
    if (found > 0 && search.offset < end_offset) {
        *offset = search.offset;
        *record_timestamp_out = search.record_time;
        *leader_epoch = search.leader_epoch;
    }
    return ERR_NONE;
}

int64_t log_max_timestamp(struct log *log, int64_t *offset)
{
    struct segment *best = log_active(log);
    FOR_EACH (seg, log->segments.items, (ptrdiff_t)log->segments.count)
        if ((*seg)->max_timestamp >= best->max_timestamp &&
            ((*seg)->max_timestamp > best->max_timestamp ||
             (*seg)->base_offset < best->base_offset))
            best = *seg;
    *offset = best->max_timestamp_offset;
    if (best->max_timestamp < 0)
        return -1;

    struct batch_header h;
    struct slice batch;
    int64_t position, record_time;
    int found = segment_find(best, best->max_timestamp_offset, &position, &h);
    if (found > 0 && load_batch(log, best, position, &h, &batch) == 0)
        if (find_in_batch(batch, &h, best->max_timestamp, 0, offset, &record_time) <= 0)
            *offset = best->max_timestamp_offset;
    return best->max_timestamp;
}

int64_t log_last_stable_offset(struct log *log, int64_t high_watermark)
{
    int64_t unstable = producers_first_unstable(&log->producers, high_watermark);
    return MIN(high_watermark, MAX(unstable, log->start_offset));
}

void log_each_aborted(struct log *log, int64_t offset, int64_t end_offset,
                      void (*each)(void *arg, int64_t producer_id, int64_t first_offset), void *arg)
{
    for (size_t i = log_segment_floor(log, offset); i < log->segments.count; i++) {
        const struct txn_index *ix = &log->segments.items[i]->txns;
        FOR_EACH (txn, ix->entries.items, (ptrdiff_t)ix->entries.count) {
            if (txn->last_offset >= offset && txn->first_offset < end_offset)
                each(arg, txn->producer_id, txn->first_offset);
            /* Whatever is decided later began behind this. */
            if (txn->last_stable_offset >= end_offset)
                return;
        }
    }
}
