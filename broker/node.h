/*
 * The whole server of one node: what handlers and the wiring share. Passed around, never global, so
 * that a test can run several nodes in one process.
 */
#pragma once

#include <stdatomic.h>

#include "broker/config.h"
#include "broker/net.h"
#include "coord/quorum.h"
#include "replication/replicas.h"

struct server;
struct link;
struct fetchers;
struct wiring;
struct groups;
struct txns;
struct producer_ids;
struct barrier;
struct fetch_sessions;
struct quotas;
struct controller_host;
struct suspects;

struct node {
    struct config config; /* constant */
    int32_t id;
    struct uuid incarnation; /* of this process */
    struct net net;
    struct server *server;                    /* listeners and connections */
    struct quorum *quorum;                    /* coord */
    struct replicas *replicas;                /* replication */
    _Atomic(struct replicas *) open_replicas; /* the same, for QUORUM, which starts earlier */
    struct link *link;         /* to the active controller: hello, forwarded commands */
    struct fetchers *fetchers; /* follower fetching, one client per leader */
    struct wiring *wiring;     /* metadata -> partitions, ISR proposals -> commands */
    struct groups *groups;     /* group coordinator */
    struct txns *txns;         /* transaction coordinator */
    struct producer_ids *producer_ids;
    struct mutex fetch_sessions_lock;
    struct fetch_sessions *fetch_sessions; /* guarded by fetch_sessions_lock */
    struct suspects *suspects;             /* brokers that seem dead */
    struct quotas *quotas;
    struct barrier *barrier;            /* waiting until every broker has a change */
    struct controller_host *controller; /* sessions of brokers, while this node leads the quorum */

    _Atomic size_t request_bytes; /* of all frames in flight: queued.max.request.bytes */
    _Atomic int connections;
    _Atomic uint64_t connection_numbers;
    _Atomic int64_t broker_epoch; /* -1 until registered */
    _Atomic bool fenced;
    _Atomic int64_t
        lease_end_ms;          /* monotonic: until when the controller surely counts us as alive */
    _Atomic bool handing_over; /* leaving: clients' batches wait for the next leader */
    _Atomic bool resigned;     /* leaving: it speaks for no group any more */
    _Atomic bool up;           /* every part is there: callbacks may use them */
    _Atomic bool stopping;
};

/* May this node act as leader or coordinator now? False when it could have been fenced without
 * knowing (no heartbeat answered within the session timeout: a resumed zombie, a cut network). */
bool node_has_lease(const struct node *n);

/* Everything up, in order, accepting clients once the controller let this broker in; 0 or -errno
 * with the reason logged. The configuration was checked. */
int node_start(struct node *n) MUST_CHECK;
/* Leaderships handed over, everything flushed and closed. */
void node_stop(struct node *n);
