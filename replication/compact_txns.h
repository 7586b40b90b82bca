/*
 * Which transactions the cleaner is walking through (Kafka's CleanedTransactionMetadata): the data
 * of aborted ones goes at once; a marker goes only when a whole pass met none of its transaction's
 * batches.
 */
#pragma once

#include "proto/base/map.h"
#include "proto/records.h"
#include "replication/txn_index.h"

struct compact_txns {
    VEC(struct aborted_txn) aborted; /* by first offset */
    size_t next;                     /* those before were met */
    struct map ongoing_aborted;      /* producer id -> struct compact_aborted */
    struct map ongoing_committed;    /* producer id -> itself */
};

/* Copies those of `aborted` that end at or above `from`, where the walk begins: the marker of an
 * older one would never be met. */
void compact_txns_init(struct compact_txns *t, const struct aborted_txn *aborted, size_t count,
                       int64_t from);
void compact_txns_deinit(struct compact_txns *t);
/* A data batch: does it belong to an aborted transaction? */
bool compact_txns_data(struct compact_txns *t, const struct batch_header *h);
/* A control batch: may it go? *retained: the aborted transaction whose marker stays, for the new
 * segment's index (producer id -1: none). */
bool compact_txns_control(struct compact_txns *t, const struct batch_header *h, struct slice batch,
                          struct aborted_txn *retained);
