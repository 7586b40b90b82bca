/*
 * What compact.c (plan, map, swap) and compact_filter.c (one batch) share.
 */
#pragma once

#include "replication/compact.h"
#include "replication/compact_txns.h"
#include "replication/log_internal.h"
#include "replication/offset_map.h"

#define COMPACT_INFLATED_MAX (256u << 20) /* a batch, inflated */

/* The last thing that a live producer wrote. */
struct compact_producer {
    int64_t id;
    int64_t last_offset; /* of its last data batch; -1: only a marker is known */
    int16_t epoch;
};

struct compact_filter {
    const struct offset_map *map;
    struct compact_txns *txns;
    const struct map *producers; /* id -> struct compact_producer */
    int64_t map_end_offset;      /* records from here on all stay */
    int64_t keep_end_offset;     /* the batch that ends here stays, even empty */
    int64_t now_ms;
    int64_t delete_retention_ms;
    struct buffer scratch;
    struct compact_stats *stats;
};

/* Append what stays of `batch` to out. *aborted: for the new segment's transaction index (producer
 * id -1: none). 0, -EBADMSG, -ENOMEM. */
int compact_filter_batch(struct compact_filter *f, struct slice batch, const struct batch_header *h,
                         struct buffer *out, struct aborted_txn *aborted) MUST_CHECK;
