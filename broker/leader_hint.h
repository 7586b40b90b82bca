/*
 * Leader hints (KIP-951): who leads a partition now, and where, in the answer that refused the
 * request, so that a failover costs the client no metadata round trip.
 */
#pragma once

#include "broker/request.h"

#define LEADER_HINT_PRODUCE_VERSION 10
#define LEADER_HINT_FETCH_VERSION   16
#define LEADER_HINTS_MAX            32 /* endpoints in one answer; more leaders go without */

/* Who leads the partitions of one answer, each once. */
struct leader_hints {
    int32_t leaders[LEADER_HINTS_MAX];
    int count;
};

/* Leader and epoch of a partition in the newest image (-1, -1 when there is none), noted in
 * `hints`. `req` has that image from then on: it may have waited through the failover. */
void leader_hints_find(struct leader_hints *hints, struct request *req, struct slice topic,
                       struct uuid topic_id, int32_t index, int32_t *leader_id,
                       int32_t *leader_epoch);
/* Where a leader is, for the answer's node_endpoints, after all were found; borrowed from the
 * request's image. */
bool leader_hint_endpoint(const struct request *req, int32_t leader_id, struct slice *host,
                          int32_t *port, struct slice *rack);
