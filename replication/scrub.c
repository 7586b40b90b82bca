/* Decisions of scrubbing, and checking a segment a chunk at a time. */
#include "replication/scrub.h"

#include <errno.h>

#include "proto/base/buffer.h"

#define CHUNK_SIZE (256 * 1024)
#define RETRY_MS   10000

static bool contains(const int32_t *ids, int count, int32_t id)
{
    for (int i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

bool scrub_may_leave(const struct scrub_view *view)
{
    int min_isr = MIN(view->min_insync_replicas, view->replicas_count);
    bool complete = view->isr_count >= view->replicas_count;
    return view->leader >= 0 && contains(view->isr, view->isr_count, view->node_id) &&
           view->isr_count > 1 && (complete || view->isr_count > min_isr) &&
           view->since_report_ms >= RETRY_MS;
}

int64_t scrub_pause_us(int64_t bytes, int64_t elapsed_us, int64_t bytes_per_second)
{
    int64_t due_us = (int64_t)((double)bytes / (double)bytes_per_second * 1e6);
    return MAX(due_us - elapsed_us, 0);
}

/* A batch longer than the chunk: its checksum piece by piece. */
static int check_long(struct segment *seg, struct scrub_reading *reading,
                      const struct batch_header *h)
{
    uint8_t *piece = buffer_reserve(&reading->chunk, SEGMENT_CRC_CHUNK);
    return segment_check_crc(seg, reading->position, h, piece);
}

static int check_header(const struct scrub_reading *reading, const struct batch_header *h,
                        int64_t end)
{
    bool fits = batch_size(h) <= end - reading->position;
    return fits && h->base_offset >= reading->expected_offset && h->last_offset_delta >= 0
               ? 0
               : -EBADMSG;
}

static void passed(struct scrub_reading *reading, const struct batch_header *h)
{
    reading->position += batch_size(h);
    reading->expected_offset = batch_next_offset(h);
}

int scrub_step(struct segment *seg, struct scrub_reading *reading, int64_t end)
{
    size_t size = (size_t)MIN(end - reading->position, (int64_t)CHUNK_SIZE);
    if (size == 0)
        return 0;
    buffer_clear(&reading->chunk);
    uint8_t *to = buffer_reserve(&reading->chunk, size);
    int64_t got = seg->fs->read(seg->fs->arg, seg->log.file, to, size, reading->position);
    if (got != (int64_t)size)
        return got < 0 ? (int)got : -EBADMSG;
    struct slice rest = slice_of(to, size);
    struct batch_header h;
    for (bool first = true; rest.size > 0; first = false) {
        if (rest.size < BATCH_HEADER_SIZE && !first)
            return 1; /* the next chunk begins here */
        int err = batch_header_decode(rest, &h);
        if (err == 0)
            err = check_header(reading, &h, end);
        if (err != 0)
            return -EBADMSG;
        size_t batch = (size_t)batch_size(&h);
        if (batch > rest.size && !first)
            return 1;
        if (batch > rest.size)
            err = check_long(seg, reading, &h);
        else
            err = batch_crc_matches(slice_of(rest.data, batch)) ? 0 : -EBADMSG;
        if (err != 0)
            return err;
        passed(reading, &h);
        if (batch >= rest.size)
            return 1;
        rest = slice_of(rest.data + batch, rest.size - batch);
    }
    return 1;
}
