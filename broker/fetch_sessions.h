/*
 * Incremental fetch sessions (KIP-227): what a client fetches is remembered, so that its next
 * request names only what changed and the answer only what has news.
 *
 *   epoch -1: no session       epoch 0: all partitions, asks for a session
 *   epoch n > 0: the session's, n grows by one with each request; anything else is refused
 *
 * Pure: requests and time in, plans and answers out; the owner's lock around every call. A full
 * cache gives a new session room only by the rules of the KIP: one unused for eviction_ms goes
 * first, then a smaller one than the new; a consumer's goes before a follower's, never the other
 * way round.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/errors.h"
#include "proto/messages.h"

struct fetch_sessions;

struct fetch_sessions_options {
    int slots_max;       /* max.incremental.fetch.session.cache.slots */
    int64_t eviction_ms; /* unused for so long: may go for any other */
    uint64_t seed;       /* of the session ids */
};

struct fetch_sessions *fetch_sessions_new(const struct fetch_sessions_options *options);
void fetch_sessions_free(struct fetch_sessions *fs);
int fetch_sessions_count(const struct fetch_sessions *fs);

/* One partition to read. */
struct fetch_want {
    struct slice topic;   /* null when topics are named by id */
    struct uuid topic_id; /* zero when by name */
    int32_t partition;
    int32_t current_leader_epoch;
    int64_t fetch_offset;
    int32_t last_fetched_epoch;
    int64_t log_start_offset; /* the follower's */
    int32_t bytes_max;
    int64_t told_high_watermark; /* by the session's last answer, -1: none */
};

enum fetch_kind { FETCH_SESSIONLESS, FETCH_OPENS, FETCH_INCREMENTAL };

/* All partitions that a request asks for, in the order in which they are to be served. */
struct fetch_plan {
    enum fetch_kind kind;
    bool by_id;
    int32_t session_id; /* of an incremental fetch */
    int32_t epoch;      /* which that session has while this request is being answered */
    struct fetch_want *wants;
    int count;
};

/* Take a request's changes into its session; the plan is in the arena and independent of the
 * session.
 *   ERR_FETCH_SESSION_ID_NOT_FOUND, ERR_INVALID_FETCH_SESSION_EPOCH,
 *   ERR_FETCH_SESSION_TOPIC_ID_ERROR */
enum error_code fetch_sessions_begin(struct fetch_sessions *fs, const struct fetch_request *in,
                                     int16_t version, int64_t now_ms, struct arena *arena,
                                     struct fetch_plan *plan) MUST_CHECK;

/* What was found for one of the plan's partitions. */
struct fetch_news {
    enum error_code error_code;
    int64_t high_watermark;
    int64_t log_start_offset;
    bool records;
    bool must_tell; /* a divergence, a better replica */
    bool include;   /* out: belongs into the answer */
};

/* Decide what goes into the answer; a session that was asked for is opened if there is room.
 * Partitions with records go to the end of the session's order, so that none starves. *session_id
 * is the one to answer with, 0: none. Errors: another request has used the session meanwhile, or it
 * was evicted. */
enum error_code fetch_sessions_end(struct fetch_sessions *fs, const struct fetch_plan *plan,
                                   struct fetch_news *news, bool follower, int64_t now_ms,
                                   int32_t *session_id) MUST_CHECK;
