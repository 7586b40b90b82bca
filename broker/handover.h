/*
 * Leaving without a loss. Before this node hands its leaderships over it takes no more batches, and
 * waits until the in-sync followers have all that it took, also what was acknowledged with acks=1.
 * Batches that come meanwhile wait until it is known who leads next, and are refused then with that
 * leader's name: their producers lose no time, and nothing.
 */
#pragma once

#include "broker/request.h"

struct node;

/* Take no more batches, and wait for the followers, for a bounded time. The main thread. */
void handover_begin(struct node *n);
/* The node is leaving: it appends nothing for clients any more. Any thread. */
bool handover_began(const struct node *n);
