/*
 * Transactions that are ending: their markers on the way to the leaders of their partitions, again
 * and again until each is written, and then COMPLETE_TXN.
 *
 * Markers for one leader travel together. A partition that is gone needs none.
 */
#pragma once

#include "broker/net.h"
#include "coord/image.h"
#include "proto/base/slice.h"

struct node;
struct request;
struct txn_markers;

struct txn_markers *txn_markers_new(struct node *node, struct net_thread *thread) ON(NET);
/* Whoever waits is answered. Calls that are out may come back until txn_markers_free(). */
void txn_markers_stop(struct txn_markers *ms) ON(NET);
void txn_markers_free(struct txn_markers *ms);

bool txn_markers_has(const struct txn_markers *ms, struct slice id) ON(NET);
/* value: the stored transaction; false when it is not ending. */
bool txn_markers_add(struct txn_markers *ms, struct slice id, struct slice value) ON(NET);
/* Run next(req, arg), on the request's thread, when the transaction is complete, which must have
 * been added; or at deadline_ms. */
void txn_markers_await(struct txn_markers *ms, struct slice id, int64_t deadline_ms,
                       struct request *req, void (*next)(struct request *req, void *arg), void *arg)
    ON(NET);
/* Whatever is due: repeats, waits that are over. true while something is ending. */
bool txn_markers_tick(struct txn_markers *ms, int64_t now_ms) ON(NET);
