/*
 * One transactional id: its producer, and its transaction if one is open (KIP-98, 360, 890). Pure:
 * the state machine (metadata_txns.c) calls this when a command is applied, so a decision is
 * durable the moment it is made, and no coordinator that was replaced can make one.
 *
 *             add                  end                      complete
 *     EMPTY -------> ONGOING ---------------> PREPARE_x ---------------> COMPLETE_x
 *       ^               \   end, timeout,        markers to the            | add: ONGOING
 *       |                \  new producer         partitions' leaders       |
 *       +----------------- init producer ----------------------------------+
 *
 * The producer's epoch grows with every init, with every transaction ended by a client of
 * transactions version 2, and with every abort by the server. A transaction's markers carry the
 * epoch after that: so a late batch of the transaction is refused behind its marker.
 *
 * Committed offsets take effect with the step to PREPARE_COMMIT, in the same command.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/buffer.h"
#include "proto/base/check.h"
#include "proto/base/slice.h"
#include "proto/base/vec.h"
#include "proto/errors.h"

/* Kafka's numbers. */
enum txn_state {
    TXN_EMPTY = 0,
    TXN_ONGOING = 1,
    TXN_PREPARE_COMMIT = 2,
    TXN_PREPARE_ABORT = 3,
    TXN_COMPLETE_COMMIT = 4,
    TXN_COMPLETE_ABORT = 5
};

struct txn_partition {
    struct uuid topic_id;
    int32_t partition;
};

struct txn {
    struct slice id; /* owned */
    int64_t producer_id;
    int64_t previous_producer_id; /* before the epochs were used up, -1: none */
    int64_t next_producer_id;     /* PREPARE_x: what follows, because epochs are used up; -1 */
    int64_t start_ms;             /* of the last transaction, -1: none */
    int64_t updated_ms;
    int32_t timeout_ms;
    int16_t epoch;      /* -1: never given out */
    int16_t last_epoch; /* whose owner may ask for the present one again; -1: nobody */
    int8_t version;     /* 2: the last transaction's end raised the epoch; else 1 */
    enum txn_state state;
    VEC(struct txn_partition) partitions; /* of the transaction, sorted */
    VEC(struct slice) groups;             /* whose offsets it may commit, owned */
};

struct txn *txn_new(struct slice id);
void txn_free(struct txn *t); /* NULL is fine */

/* The stored form. */
void txn_encode(const struct txn *t, struct buffer *out);
/* *out: owned by the caller. 0 or -EBADMSG. */
int txn_decode(struct slice id, struct slice bytes, struct txn **out) MUST_CHECK;

/* Kafka's names: "Empty", "Ongoing", ... */
const char *txn_state_name(enum txn_state state);
static inline bool txn_is_ending(enum txn_state state)
{
    return state == TXN_PREPARE_COMMIT || state == TXN_PREPARE_ABORT;
}

/* What becomes of the offsets that the transaction wrote. */
enum txn_offsets { TXN_OFFSETS_KEEP, TXN_OFFSETS_COMMIT, TXN_OFFSETS_DROP };

/* Zeroed by the caller. Nothing changed when an error is set, except that INIT of a producer whose
 * transaction is open begins to abort it: CONCURRENT_TRANSACTIONS with `changed`. */
struct txn_answer {
    enum error_code error_code;
    bool changed;
    enum txn_offsets offsets;
    int64_t producer_id; /* to be used from now on by the client */
    int16_t epoch;
};

struct txn_init {
    int32_t timeout_ms;
    int64_t producer_id; /* what the producer has, -1: nothing */
    int16_t epoch;
    int64_t now_ms;
};
/* *next_producer_id: the first unused one; taken when one is needed.
 *   ERR_CONCURRENT_TRANSACTIONS, ERR_PRODUCER_FENCED */
void txn_init_producer(struct txn *t, const struct txn_init *in, int64_t *next_producer_id,
                       struct txn_answer *out);

struct txn_producer {
    int64_t id;
    int16_t epoch;
};

/* May this producer write in the transaction? ERR_INVALID_PRODUCER_ID_MAPPING,
 * ERR_PRODUCER_FENCED, ERR_CONCURRENT_TRANSACTIONS. */
enum error_code txn_check(const struct txn *t, struct txn_producer producer) MUST_CHECK;
bool txn_has_partition(const struct txn *t, struct txn_partition partition);
bool txn_has_group(const struct txn *t, struct slice group);
/* Begin a transaction if none is open. After txn_check(). */
void txn_begin(struct txn *t, int64_t now_ms);
/* true when it was not there. */
bool txn_add_partition(struct txn *t, struct txn_partition partition);
bool txn_add_group(struct txn *t, struct slice group);

struct txn_end {
    struct txn_producer producer;
    bool commit;
    int8_t version; /* of transactions, that the client speaks: 2 raises the epoch */
    int64_t now_ms;
};
/* ERR_INVALID_PRODUCER_ID_MAPPING, ERR_PRODUCER_FENCED, ERR_CONCURRENT_TRANSACTIONS,
 * ERR_INVALID_TXN_STATE; a repeat answers as the first time. */
void txn_end(struct txn *t, const struct txn_end *in, int64_t *next_producer_id,
             struct txn_answer *out);
/* The open transaction that began at start_ms took too long. ERR_INVALID_TXN_STATE: it did not. */
void txn_time_out(struct txn *t, int64_t start_ms, int64_t now_ms, struct txn_answer *out);
/* All markers of this producer and epoch are written. ERR_INVALID_TXN_STATE: nothing is ending. */
void txn_complete(struct txn *t, struct txn_producer producer, int64_t now_ms,
                  struct txn_answer *out);
