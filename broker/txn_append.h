/*
 * Appending transactional batches (KIP-890). The first batch of a transaction in a partition waits
 * until the state machine said that the partition belongs to the transaction: for clients of
 * transactions version 1, which add partitions themselves, it is only asked; for version 2 this is
 * what adds it. Both are commands of the metadata log, so the answer cannot be out of date; and if
 * a marker came into the partition meanwhile, the batch is refused.
 *
 *   batch -> txn_append_must_wait() -> no:  replica_append_checked(txn_append_check)
 *                                   -> yes: txn_appends_keep() ... txn_appends_submit()
 *                                           -> append() each -> done()
 */
#pragma once

#include "broker/request.h"
#include "proto/records.h"

/* What a batch is checked against when it is appended. */
struct txn_guard {
    const struct batch_header *header;
    bool verified; /* the partition belongs to the transaction, unless ... */
    int64_t marker_offset;
    int32_t leader_epoch; /* ... these are not what they were */
};

/* For replica_append_checked(); arg: struct txn_guard. ERR_INVALID_TXN_STATE: the batch is of no
 * open transaction, or of none while one is open. */
enum error_code txn_append_check(void *arg, struct partition *p);

/* Does this batch open a transaction here, or follow one that does? Fills the guard. */
bool txn_append_must_wait(struct request *req, struct replica *r, struct txn_guard *guard) ON(NET);

/* A batch that waits. The next batches of its producer for the partition, which are under way
 * already, wait behind the first one: else they would be out of order. */
struct txn_append {
    struct list link;   /* of a first one: in the thread's list; else: in `behind` */
    struct list behind; /* of a first one */
    struct request *req;
    struct replica *r; /* counted */
    struct slice batch;
    uint8_t *copy; /* owned, NULL: the batch lies in the request's frame */
    struct batch_header header;
    struct txn_guard guard;
    enum error_code err; /* of the question */
    void *out;           /* the handler's */
};

struct txn_appends; /* of one request, in its arena */

struct txn_appends *txn_appends_new(struct request *req, struct slice transactional_id,
                                    void (*append)(struct request *req, struct txn_append *a),
                                    void (*done)(struct request *req));
enum error_code txn_appends_keep(struct txn_appends *ts, struct replica *r, struct slice batch,
                                 const struct txn_guard *guard, void *out) ON(NET) MUST_CHECK;
/* Ask about all that were kept: append() of each, then done(); done() at once if there are none.
 * The request's state must be these. */
void txn_appends_submit(struct txn_appends *ts) ON(NET);
