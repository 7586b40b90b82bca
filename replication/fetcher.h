/*
 * What a follower asks one leader for, and when: the pure part of replica fetching.
 *
 *   ready --- asked ---> in the session --- records came ---> flushing --- on disk ---> ready
 *                          | an error                                                   ^
 *                          +--> backing off --------------------------------------------+
 *
 * All partitions that follow the same leader share one incremental fetch session (KIP-227). One
 * whose records are not on disk yet is taken out of it, because a fetch at the new offset says "it
 * is on disk here"; the others go on. At most two requests are out: the one that waits at the
 * leader, and one that brings news and by that ends the wait of the first
 * (broker/handlers/fetch.c). So each partition is acknowledged as soon as its own flush is done,
 * whatever the others do.
 *
 * No threads, no clock, no sockets: the broker (broker/fetchers.c) and tests run this same code.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/slice.h"
#include "proto/errors.h"

struct fetcher;

struct fetcher_key {
    struct uuid topic_id;
    int32_t index;
    int32_t zero; /* no padding: keys are compared as bytes */
};

/* Where a partition goes on; asked of the caller. */
struct fetcher_position {
    int64_t fetch_offset;
    int64_t log_start_offset;
    int32_t last_fetched_epoch;
    int32_t leader_epoch;
};

struct fetcher_ask {
    struct fetcher_key key;
    struct fetcher_position at;
};

struct fetcher_request {
    int64_t number; /* names it to fetcher_answered() and fetcher_takes() */
    int32_t session_id;
    int32_t session_epoch;
    bool wait; /* the leader may hold it until there is something */
    struct fetcher_ask *asks;
    int asks_count;
    struct fetcher_key *forgotten;
    int forgotten_count;
};

/* false: not now (no follower of this leader, or not everything is on disk): asked again a little
 * later. */
typedef bool fetcher_position_of(void *arg, const struct fetcher_key *key,
                                 struct fetcher_position *out);

struct fetcher *fetcher_new(int64_t backoff_ms);
void fetcher_free(struct fetcher *f);

/* The partitions that follow this leader now. Those known keep their state, all are looked at
 * again. */
void fetcher_assign(struct fetcher *f, const struct fetcher_key *keys, int count);

/* The next request, its arrays in the arena. false: nothing to ask for now; fetcher_pause_ms() says
 * when to look again. */
bool fetcher_next(struct fetcher *f, int64_t now_ms, fetcher_position_of *position_of, void *arg,
                  struct arena *arena, struct fetcher_request *out);
/* Until the first partition's back-off ends; -1: only an answer or a flush brings news. */
int64_t fetcher_pause_ms(const struct fetcher *f, int64_t now_ms);

/* A request is answered, or failed (err: the answer's error, or any for a broken connection).
 * true: what it brought is to be taken, partition by partition. */
bool fetcher_answered(struct fetcher *f, int64_t number, enum error_code err, int32_t session_id,
                      int64_t now_ms);
/* Does this answer speak of the position that the partition has now? Else its records are known
 * already. *leader_epoch: under which it was asked. */
bool fetcher_takes(const struct fetcher *f, int64_t number, const struct fetcher_key *key,
                   int32_t *leader_epoch);

enum fetcher_outcome {
    FETCHED_NEWS,     /* no records: offsets of the leader only */
    FETCHED_MOVED,    /* records that count already, or the log was cut: it goes on elsewhere */
    FETCHED_FLUSHING, /* records that are on their way to the disk */
    FETCHED_FAILED    /* it cannot be fetched now */
};

/* What became of a partition that was taken from an answer. */
void fetcher_taken(struct fetcher *f, const struct fetcher_key *key, enum fetcher_outcome outcome,
                   int64_t now_ms);
/* Its flush is done; no effect on a partition that waited for none. */
void fetcher_flushed(struct fetcher *f, const struct fetcher_key *key);
