/*
 * What transactions need to know of a log and its producers, beside log.h.
 *
 * A transactional batch may open a transaction in a partition only after the coordinator said that
 * the partition belongs to it (KIP-890): else a late batch would leave one open that nobody ends.
 * Between that question and the append a marker may have come; log_txn_marker() tells by its
 * offset.
 *
 * Lock: the partition's.
 */
#pragma once

#include "replication/log.h"

struct log_producer {
    int64_t id;
    int64_t last_timestamp;   /* of the newest batch; -1: none is known */
    int64_t txn_first_offset; /* of the open transaction, -1: none */
    int32_t last_sequence;    /* -1: none */
    int32_t coordinator_epoch;
    int16_t epoch;
};

void log_each_producer(struct log *log, void (*each)(void *arg, const struct log_producer *p),
                       void *arg);

/* Does this epoch of the producer have an open transaction here? */
bool log_txn_is_open(const struct log *log, int64_t producer_id, int16_t epoch);
/* The offset of the producer's last marker that this process saw, -1: none. */
int64_t log_txn_marker(const struct log *log, int64_t producer_id);

/* Whether a coordinator may end a producer's transaction. strict: an open transaction is of an
 * older epoch than its marker (transactions version 2), so that a late marker cannot end a later
 * one.
 *   ERR_INVALID_PRODUCER_EPOCH, ERR_TRANSACTION_COORDINATOR_FENCED */
enum error_code log_check_marker(const struct log *log, const struct batch_header *batch,
                                 int32_t coordinator_epoch, bool strict) MUST_CHECK;

/* No record of what was read has an offset at or above this one (a rough bound). */
int64_t log_read_bound(const struct log_read *read);
