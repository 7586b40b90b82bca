/*
 * What each idempotent producer appended last (KIP-98): the newest five batches of every producer
 * id, so that a batch sent again is recognized and a gap is refused.
 *
 * It is a function of the log: every replica feeds it with the headers of the batches that it
 * appends, and after a restart it is the newest snapshot plus the headers behind it. Snapshots are
 * Apache Kafka's <offset>.snapshot files: state of everything below that offset. A snapshot keeps
 * only the newest batch of an id.
 *
 * Lock: the log's.
 */
#pragma once

#include "proto/base/map.h"
#include "proto/records.h"
#include "replication/fs.h"
#include "replication/log.h"
#include "replication/txn_index.h"

#define PRODUCER_BATCHES 5

struct producer_batch {
    int64_t base_offset;
    int64_t timestamp; /* the batch's largest */
    int32_t first_sequence;
    int32_t last_sequence;
};

struct producer {
    int64_t id;
    int64_t last_used_ms;
    int64_t txn_first_offset; /* of the open transaction, -1: none */
    int64_t marker_offset;    /* of the last marker that this process saw, -1: none */
    int64_t sequences_known;  /* so many, back from the last, are surely in the log */
    int32_t coordinator_epoch;
    int16_t epoch;
    int16_t batches_count;
    struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
};

/* A transaction that is open, or whose marker is not below the high watermark yet. */
struct producer_txn {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* of its marker, -1: open */
};

/* A zeroed struct producers is valid and empty. */
struct producers {
    struct map by_id;              /* int64_t -> struct producer */
    VEC(struct producer_txn) txns; /* by first offset */
};

void producers_deinit(struct producers *ps); /* also empties it */

/* See log_check_producer(). */
enum log_producer_check producers_check(const struct producers *ps,
                                        const struct batch_header *batch, enum error_code *err,
                                        int64_t *base_offset, int64_t *append_time_ms);
/* A batch was appended (or found in the log). Batches without producer id change nothing; of
 * control batches only the epoch counts here. */
void producers_update(struct producers *ps, const struct batch_header *batch, int64_t now_ms);
/* The same for a batch with a transaction's marker. true when it aborted what was open: *aborted is
 * the entry for the segment's transaction index. */
bool producers_end_txn(struct producers *ps, const struct batch_header *batch,
                       const struct control_record *marker, int64_t now_ms,
                       struct aborted_txn *aborted);
/* First offset of the oldest transaction that is not decided below high_watermark; INT64_MAX if
 * there is none. Forgets those that are. */
int64_t producers_first_unstable(struct producers *ps, int64_t high_watermark);
/* Of the open transactions alone. */
int64_t producers_first_open(const struct producers *ps);
/* Of its newest batch; it has one. */
int64_t producer_last_offset(const struct producer *p);
/* Forget ids that were not used for expiration_ms and have no open transaction. */
void producers_expire(struct producers *ps, int64_t now_ms, int64_t expiration_ms);

/* Write a snapshot file (not synced: one that is torn is not loaded). */
int producers_store(const struct producers *ps, const struct fs *fs, const char *path) MUST_CHECK;
/* Replace the content by a snapshot's. -EBADMSG when it is torn or no snapshot. */
int producers_load(struct producers *ps, const struct fs *fs, const char *path) MUST_CHECK;
