/*
 * Which replica a consumer reads from (KIP-392): with replica.selector.class set, a leader sends a
 * consumer that says its rack to an in-sync follower there, so that the records need not leave the
 * rack. Any consumer may read from any follower, up to the high watermark that the follower knows.
 */
#pragma once

#include "broker/config.h"
#include "broker/request.h"

#define READ_REPLICA_VERSION 11 /* of Fetch: the first that knows of it */

/* Brokers near a client. */
struct read_near {
    const int32_t *ids; /* in the request's arena */
    int count;
};

/* -EINVAL: replica.selector.class names one that is not built in (logged). */
int read_replica_check(const struct config *c) MUST_CHECK;
/* Is replica.selector.class the rack-aware one? */
bool read_replica_is_selected(const struct config *c);
/* The live brokers in the client's rack that it can reach by the listener that it uses; none when
 * nothing is selected, or the client does not say where it is. */
struct read_near read_replica_near(struct request *req, struct slice rack);
