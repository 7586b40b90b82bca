/*
 * The transaction coordinator of this node: what has to be done about transactions beside deciding,
 * which the state machine does (coord/txn.h).
 *
 *   handler -> request_submit(INIT, ADD, END ...) -> decided -> txns_await_end()
 *                                                                    |
 *       COMPLETE_TXN <- all written <- WriteTxnMarkers to the leaders (txn_markers.c)
 *
 * It ends the transactions of the slots that this node leads: those that handlers tell it of at
 * once, and those that it finds in the database, because a coordinator before it did not finish.
 * Two coordinators that both believe to lead a slot write the same markers; the older one's are
 * refused by its slot's epoch. It also aborts transactions that take too long, and forgets ids that
 * nobody used for long.
 *
 * All on the first network thread.
 */
#pragma once

#include "broker/request.h"

struct txns;

int txns_start(struct node *node) MUST_CHECK;
/* Whoever waits is answered. */
void txns_stop(struct node *node);
/* After the network threads ended. */
void txns_free(struct txns *ts);

/* The wall clock as it was at the start, carried on by the monotonic one: a step of the system's
 * clock times no transaction out. Any thread. */
int64_t txns_clock_ms(const struct node *node);

/* ERR_NONE when this node coordinates the id, ERR_INVALID_REQUEST for an empty one,
 * ERR_NOT_COORDINATOR, ERR_COORDINATOR_NOT_AVAILABLE before there is a cluster. */
enum error_code txns_check(const struct request *req, struct slice id);

/* Run next(req, arg) on the request's thread once the id's transaction is not ending any more, or
 * after a short while. Not to wait would be correct, too: the client's next request would find
 * CONCURRENT_TRANSACTIONS and come again. */
void txns_await_end(struct request *req, struct slice id,
                    void (*next)(struct request *req, void *arg), void *arg) ON(NET);

/* A thread's batches that wait for their transaction (txn_append.h). */
struct list *txns_kept(const struct node *node, const struct net_thread *thread) ON(NET);

/* What a client is told of an error of the quorum. `fencing_known`: the version of the request
 * knows PRODUCER_FENCED. */
int16_t txns_error(enum error_code err, bool fencing_known);
