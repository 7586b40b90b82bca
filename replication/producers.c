/*
 * Producer state and its snapshot file:
 *
 *   version int16 = 1, CRC-32C of the rest uint32, count int32, then for every producer id
 *   id int64, epoch int16, last sequence int32, last offset int64,
 *   last offset - first offset int32, timestamp int64, coordinator epoch int32, first offset of the
 *   open transaction int64
 */
#include "replication/producers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/crc32c.h"
#include "proto/wire.h"

#define SNAPSHOT_VERSION     1
#define SNAPSHOT_HEADER_SIZE 10 /* version, crc, count */
#define SNAPSHOT_CRC_END     6  /* the CRC covers what follows it */
#define SNAPSHOT_ENTRY_SIZE  46
#define SNAPSHOT_BYTES_MAX   (INT64_C(1) << 30)
#define SEQUENCES            (INT64_C(1) << 31) /* 0 .. 2147483647, then 0 again */

void producers_deinit(struct producers *ps)
{
    MAP_FOR_EACH (entry, &ps->by_id)
        free(entry->value);
    map_deinit(&ps->by_id);
    vec_deinit(&ps->txns);
}

static struct producer *find(const struct producers *ps, int64_t id)
{
    return map_find(&ps->by_id, MAP_KEY(id));
}

static struct producer *find_or_add(struct producers *ps, int64_t id)
{
    struct producer *p = find(ps, id);
    if (p != NULL)
        return p;
    p = mem_zalloc(sizeof(*p));
    p->id = id;
    p->epoch = -1;
    p->txn_first_offset = -1;
    p->marker_offset = -1;
    p->coordinator_epoch = -1;
    map_put(&ps->by_id, MAP_KEY(id), p);
    return p;
}

static const struct producer_batch *last_batch(const struct producer *p)
{
    return p->batches_count > 0 ? &p->batches[p->batches_count - 1] : NULL;
}

/* How many sequences `b` lies behind `a`, going round at 2^31. */
static int64_t sequences_behind(int32_t a, int32_t b)
{
    return ((int64_t)a - b + SEQUENCES) % SEQUENCES;
}

static enum log_producer_check refuse(enum error_code code, enum error_code *err)
{
    *err = code;
    return PRODUCER_REFUSED;
}

enum log_producer_check producers_check(const struct producers *ps,
                                        const struct batch_header *batch, enum error_code *err,
                                        int64_t *base_offset, int64_t *append_time_ms)
{
    *err = ERR_NONE;
    *base_offset = -1;
    *append_time_ms = -1;
    const struct producer *p = batch_has_producer(batch) ? find(ps, batch->producer_id) : NULL;
    if (p == NULL)
        return PRODUCER_OK;
    if (batch->producer_epoch < p->epoch)
        return refuse(ERR_INVALID_PRODUCER_EPOCH, err);
    if (batch_is_control(batch))
        return PRODUCER_OK; /* the coordinator's marker, not the producer's own */
    if (batch->producer_epoch > p->epoch) {
        if (batch->base_sequence != 0)
            return refuse(ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, err);
        return PRODUCER_OK;
    }

    const struct producer_batch *last = last_batch(p);
    if (last == NULL) { /* only a marker raised the epoch: a new epoch starts at 0 */
        if (batch->base_sequence != 0)
            return refuse(ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, err);
        return PRODUCER_OK;
    }
    int32_t last_sequence = batch_last_sequence(batch);
    FOR_EACH (known, p->batches, p->batches_count) {
        if (known->first_sequence == batch->base_sequence &&
            known->last_sequence == last_sequence) {
            *base_offset = known->base_offset;
            if (batch_is_log_append_time(batch))
                *append_time_ms = known->timestamp;
            return PRODUCER_DUPLICATE;
        }
    }
    if (sequences_behind(batch->base_sequence, last->last_sequence) == 1)
        return PRODUCER_OK;

    /* Older than the five: the client may take it as done only if it really is in the log. */
    int64_t first_behind = sequences_behind(last->last_sequence, batch->base_sequence);
    int64_t last_behind = sequences_behind(last->last_sequence, last_sequence);
    if (first_behind < p->sequences_known && last_behind <= first_behind)
        return refuse(ERR_DUPLICATE_SEQUENCE_NUMBER, err);
    return refuse(ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, err);
}

static void add_batch(struct producer *p, struct producer_batch batch)
{
    if (p->batches_count == PRODUCER_BATCHES) {
        memmove(p->batches, p->batches + 1, sizeof(batch) * (PRODUCER_BATCHES - 1));
        p->batches_count--;
    }
    p->batches[p->batches_count++] = batch;
}

static void begin_txn(struct producers *ps, struct producer *p, int64_t first_offset)
{
    p->txn_first_offset = first_offset;
    struct producer_txn txn = {p->id, first_offset, -1};
    size_t at = ps->txns.count;
    vec_push(&ps->txns, txn);
    for (; at > 0 && ps->txns.items[at - 1].first_offset > first_offset; at--)
        ps->txns.items[at] = ps->txns.items[at - 1];
    ps->txns.items[at] = txn;
}

static void take_epoch(struct producer *p, const struct batch_header *batch, int64_t now_ms)
{
    p->last_used_ms = now_ms;
    if (batch->producer_epoch == p->epoch)
        return;
    p->epoch = batch->producer_epoch;
    p->batches_count = 0;
    p->sequences_known = 0;
}

void producers_update(struct producers *ps, const struct batch_header *batch, int64_t now_ms)
{
    if (!batch_has_producer(batch))
        return;
    struct producer *p = find_or_add(ps, batch->producer_id);
    take_epoch(p, batch, now_ms);
    if (batch_is_control(batch))
        return;
    if (batch_is_transactional(batch) && p->txn_first_offset < 0)
        begin_txn(ps, p, batch->base_offset);

    const struct producer_batch *last = last_batch(p);
    if (last == NULL || sequences_behind(batch->base_sequence, last->last_sequence) != 1)
        p->sequences_known = 0;
    p->sequences_known =
        MIN(p->sequences_known + (int64_t)batch->last_offset_delta + 1, SEQUENCES / 2);
    add_batch(p, (struct producer_batch){.base_offset = batch->base_offset,
                                         .timestamp = batch->max_timestamp,
                                         .first_sequence = batch->base_sequence,
                                         .last_sequence = batch_last_sequence(batch)});
}

int64_t producers_first_open(const struct producers *ps)
{
    FOR_EACH (txn, ps->txns.items, (ptrdiff_t)ps->txns.count)
        if (txn->last_offset < 0)
            return txn->first_offset;
    return INT64_MAX;
}

bool producers_end_txn(struct producers *ps, const struct batch_header *batch,
                       const struct control_record *marker, int64_t now_ms,
                       struct aborted_txn *aborted)
{
    struct producer *p = find_or_add(ps, batch->producer_id);
    take_epoch(p, batch, now_ms);
    p->coordinator_epoch = marker->coordinator_epoch;
    p->marker_offset = batch->base_offset;
    if (p->txn_first_offset < 0)
        return false;
    for (size_t i = 0; i < ps->txns.count; i++) {
        struct producer_txn *txn = &ps->txns.items[i];
        if (txn->producer_id == p->id && txn->last_offset < 0)
            txn->last_offset = batch->base_offset;
    }
    *aborted = (struct aborted_txn){
        .producer_id = p->id,
        .first_offset = p->txn_first_offset,
        .last_offset = batch->base_offset,
        .last_stable_offset = MIN(producers_first_open(ps), batch->base_offset + 1),
    };
    p->txn_first_offset = -1;
    return marker->type == CONTROL_ABORT;
}

int64_t producers_first_unstable(struct producers *ps, int64_t high_watermark)
{
    size_t keep = 0;
    for (size_t i = 0; i < ps->txns.count; i++) {
        struct producer_txn txn = ps->txns.items[i];
        if (txn.last_offset < 0 || txn.last_offset >= high_watermark)
            ps->txns.items[keep++] = txn;
    }
    ps->txns.count = keep;
    return keep > 0 ? ps->txns.items[0].first_offset : INT64_MAX;
}

void producers_expire(struct producers *ps, int64_t now_ms, int64_t expiration_ms)
{
    VEC(int64_t) expired = {0};
    MAP_FOR_EACH (entry, &ps->by_id) {
        const struct producer *p = entry->value;
        if (p->txn_first_offset < 0 && now_ms - p->last_used_ms >= expiration_ms)
            vec_push(&expired, p->id);
    }
    FOR_EACH (id, expired.items, (ptrdiff_t)expired.count)
        free(map_remove(&ps->by_id, MAP_KEY(*id)));
    vec_deinit(&expired);
}

int64_t producer_last_offset(const struct producer *p)
{
    const struct producer_batch *last = last_batch(p);
    return last->base_offset + sequences_behind(last->last_sequence, last->first_sequence);
}

static void entry_encode(uint8_t *at, const struct producer *p)
{
    const struct producer_batch *last = last_batch(p);
    int64_t delta = last ? sequences_behind(last->last_sequence, last->first_sequence) : 0;
    wire_store(at, (uint64_t)p->id, 8);
    wire_store(at + 8, (uint64_t)p->epoch, 2);
    wire_store(at + 10, (uint64_t)(last ? last->last_sequence : -1), 4);
    wire_store(at + 14, (uint64_t)(last ? producer_last_offset(p) : -1), 8);
    wire_store(at + 22, (uint64_t)delta, 4);
    wire_store(at + 26, (uint64_t)p->last_used_ms, 8);
    wire_store(at + 34, (uint64_t)p->coordinator_epoch, 4);
    wire_store(at + 38, (uint64_t)p->txn_first_offset, 8);
}

int producers_store(const struct producers *ps, const struct fs *fs, const char *path)
{
    struct buffer bytes = {0};
    size_t size = SNAPSHOT_HEADER_SIZE + ps->by_id.count * SNAPSHOT_ENTRY_SIZE;
    uint8_t *at = buffer_reserve(&bytes, size);
    wire_store(at, SNAPSHOT_VERSION, 2);
    wire_store(at + SNAPSHOT_CRC_END, ps->by_id.count, 4);
    uint8_t *entry_at = at + SNAPSHOT_HEADER_SIZE;
    MAP_FOR_EACH (entry, &ps->by_id) {
        entry_encode(entry_at, entry->value);
        entry_at += SNAPSHOT_ENTRY_SIZE;
    }
    wire_store(at + 2, crc32c(0, at + SNAPSHOT_CRC_END, size - SNAPSHOT_CRC_END), 4);

    struct fs_file file;
    int err = fs->open(fs->arg, path, FS_CREATE, &file);
    if (err == 0) {
        err = fs->truncate(fs->arg, file, 0);
        if (err == 0)
            err = fs_write_at(fs, file, at, size, 0);
        fs->close(fs->arg, file);
    }
    buffer_deinit(&bytes);
    return err;
}

static void entry_decode(struct producers *ps, const uint8_t *at)
{
    struct producer *p = find_or_add(ps, (int64_t)wire_load(at, 8));
    p->epoch = (int16_t)wire_load(at + 8, 2);
    p->last_used_ms = (int64_t)wire_load(at + 26, 8);
    p->coordinator_epoch = (int32_t)wire_load(at + 34, 4);
    int64_t txn_first_offset = (int64_t)wire_load(at + 38, 8);
    if (txn_first_offset >= 0 && p->txn_first_offset < 0)
        begin_txn(ps, p, txn_first_offset);
    p->batches_count = 0;

    int32_t last_sequence = (int32_t)wire_load(at + 10, 4);
    int64_t last_offset = (int64_t)wire_load(at + 14, 8);
    int32_t delta = (int32_t)wire_load(at + 22, 4);
    if (last_sequence < 0 || last_offset < 0 || delta < 0 || delta > last_offset)
        return; /* no batch of its own yet */
    p->sequences_known = (int64_t)delta + 1;
    add_batch(p, (struct producer_batch){.base_offset = last_offset - delta,
                                         .timestamp = p->last_used_ms,
                                         .first_sequence =
                                             (int32_t)sequences_behind(last_sequence, delta),
                                         .last_sequence = last_sequence});
}

static int decode(struct producers *ps, const uint8_t *bytes, size_t size)
{
    if (size < SNAPSHOT_HEADER_SIZE || wire_load(bytes, 2) != SNAPSHOT_VERSION)
        return -EBADMSG;
    if (wire_load(bytes + 2, 4) != crc32c(0, bytes + SNAPSHOT_CRC_END, size - SNAPSHOT_CRC_END))
        return -EBADMSG;
    uint64_t count = wire_load(bytes + SNAPSHOT_CRC_END, 4);
    if (count * SNAPSHOT_ENTRY_SIZE != size - SNAPSHOT_HEADER_SIZE)
        return -EBADMSG;
    for (uint64_t i = 0; i < count; i++)
        entry_decode(ps, bytes + SNAPSHOT_HEADER_SIZE + i * SNAPSHOT_ENTRY_SIZE);
    return 0;
}

int producers_load(struct producers *ps, const struct fs *fs, const char *path)
{
    struct fs_file file;
    producers_deinit(ps);
    int err = fs->open(fs->arg, path, FS_READ, &file);
    if (err != 0)
        return err;
    struct buffer bytes = {0};
    int64_t size = fs->size(fs->arg, file);
    if (size < 0)
        err = (int)size;
    else if (size > SNAPSHOT_BYTES_MAX)
        err = -EBADMSG;
    if (err == 0) {
        int64_t got =
            fs->read(fs->arg, file, buffer_reserve(&bytes, (size_t)size + 1), (size_t)size, 0);
        err = got < 0 ? (int)got : decode(ps, bytes.data, (size_t)got);
    }
    fs->close(fs->arg, file);
    buffer_deinit(&bytes);
    if (err != 0)
        producers_deinit(ps);
    return err;
}
