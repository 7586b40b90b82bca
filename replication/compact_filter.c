/* What stays of one batch. */
#include <errno.h>

#include "replication/compact_internal.h"

static bool is_last_of_producer(const struct compact_filter *f, const struct batch_header *h)
{
    int64_t id = h->producer_id;
    if (!batch_has_producer(h))
        return false;
    const struct compact_producer *p = map_find(f->producers, MAP_KEY(id));
    if (p == NULL)
        return false;
    if (p->last_offset >= 0)
        return batch_last_offset(h) == p->last_offset;
    return batch_is_control(h) && h->producer_epoch == p->epoch;
}

static bool horizon_passed(const struct compact_filter *f, const struct batch_header *h)
{
    return batch_has_delete_horizon(h) && h->base_timestamp <= f->now_ms;
}

static bool stays(const struct compact_filter *f, const struct batch_header *h,
                  const struct record *r)
{
    int64_t offset = h->base_offset + r->offset_delta;
    if (batch_is_control(h) || offset >= f->map_end_offset)
        return true;
    if (slice_is_null(r->key))
        return false; /* from before the topic was compacted */
    if (offset < offset_map_find(f->map, r->key))
        return false;
    return !slice_is_null(r->value) || !horizon_passed(f, h);
}

struct kept {
    struct batch_builder builder;
    int read;
    bool tombstones;
};

static void keep(struct kept *kept, const struct batch_header *h, const struct record *r)
{
    struct batch_builder *b = &kept->builder;
    b->header.last_offset_delta = r->offset_delta - 1;
    batch_builder_append(b, record_timestamp(h, r), r->key, r->value, r->headers, r->headers_count);
    kept->tombstones = kept->tombstones || slice_is_null(r->value);
}

/* Gather the records that stay. With a horizon set anew, base timestamp and deltas change, too. */
static int gather(struct compact_filter *f, const struct batch_header *h, struct slice body,
                  int64_t horizon_ms, struct kept *kept)
{
    struct record_iter it = record_iter(body);
    struct record r;
    int found;
    *kept = (struct kept){0};
    batch_builder_init(&kept->builder);
    kept->builder.header = *h;
    kept->builder.header.records_count = 0;
    kept->builder.header.max_timestamp = BATCH_NO_TIMESTAMP;
    if (horizon_ms >= 0) {
        kept->builder.header.attributes |= BATCH_HORIZON;
        kept->builder.header.base_timestamp = horizon_ms;
    }
    while ((found = record_next(&it, &r)) > 0) {
        kept->read++;
        if (stays(f, h, &r))
            keep(kept, h, &r);
    }
    return found;
}

static int finish(struct kept *kept, const struct batch_header *h, struct buffer *out)
{
    struct batch_header *to = &kept->builder.header;
    to->last_offset_delta = h->last_offset_delta; /* with it the producer's last sequence */
    if (batch_is_log_append_time(h))
        to->max_timestamp = h->max_timestamp;
    return batch_builder_finish(&kept->builder, batch_codec(h), CODEC_LEVEL_DEFAULT, out);
}

static int write_empty(const struct batch_header *h, struct buffer *out)
{
    struct batch_builder b;
    batch_builder_init(&b);
    int64_t base_timestamp = b.header.base_timestamp;
    b.header = *h;
    b.header.attributes &= BATCH_LOG_APPEND | BATCH_TRANSACTIONAL | BATCH_CONTROL;
    b.header.base_timestamp = base_timestamp;
    b.header.records_count = 0;
    int err = batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, out);
    batch_builder_deinit(&b);
    return err;
}

int compact_filter_batch(struct compact_filter *f, struct slice batch, const struct batch_header *h,
                         struct buffer *out, struct aborted_txn *aborted)
{
    *aborted = (struct aborted_txn){.producer_id = -1};
    bool control = batch_is_control(h);
    bool discardable =
        control ? compact_txns_control(f->txns, h, batch, aborted) : compact_txns_data(f->txns, h);
    bool discard = discardable && (!control || horizon_passed(f, h));
    bool keep_empty = is_last_of_producer(f, h) || batch_next_offset(h) == f->keep_end_offset;
    f->stats->records_read += h->records_count;
    if (discard)
        return keep_empty ? write_empty(h, out) : 0;

    struct slice body;
    struct kept kept;
    int err = batch_body(batch, h, COMPACT_INFLATED_MAX, &f->scratch, &body);
    if (err != 0)
        return err == -ENOMEM ? err : -EBADMSG;
    err = gather(f, h, body, -1, &kept);
    /* Tombstones, and markers of transactions that are gone, live on for delete.retention.ms. */
    bool horizon = (kept.tombstones || (control && discardable)) && !batch_has_delete_horizon(h);
    int count = kept.builder.header.records_count;
    if (err == 0 && count > 0 && horizon) {
        batch_builder_deinit(&kept.builder);
        err = gather(f, h, body, f->now_ms + f->delete_retention_ms, &kept);
    }
    if (err == 0 && count > 0 && count == kept.read && !horizon)
        buffer_append_slice(out, batch);
    else if (err == 0 && count > 0)
        err = finish(&kept, h, out);
    else if (err == 0 && keep_empty)
        err = write_empty(h, out);
    f->stats->records_kept += count;
    batch_builder_deinit(&kept.builder);
    return err;
}
