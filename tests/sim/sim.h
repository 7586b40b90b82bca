/*
 * Three nodes with one partition in one thread, from a seed: the real partition, ISR and log code
 * over a simulated disk, network, clock and controller.
 */
#pragma once

#include "proto/base/vec.h"
#include "replication/partition.h"
#include "tests/sim/disk.h"

#define NODES 3

enum message_kind {
    MSG_FETCH,
    MSG_FETCHED,
    MSG_PRODUCE,
    MSG_PRODUCED,
    MSG_PROPOSE,
    MSG_REFUSED,
    MSG_STATE,
    MSG_FLUSH
};

struct message {
    int64_t at_ms;
    uint64_t order;
    enum message_kind kind;
    int from, to;        /* node index; CONTROLLER, CLIENT */
    int64_t incarnation; /* of the receiver (answers, flushes): dropped when it restarted */
    int64_t id;
    struct follower_fetch fetch;
    struct fetched fetched;
    struct buffer records;
    struct isr_proposal proposal;
    struct partition_state state;
    struct log_flush flush;
    enum error_code err;
    int64_t offset;
    int16_t acks;
};

struct node {
    bool up;
    bool paused;
    int64_t resume_ms;
    int64_t incarnation;
    int64_t broker_epoch; /* 0: not registered */
    struct disk *disk;
    struct fs fs;
    struct partition *partition;
    bool flushing;
    int64_t fetch_id, fetch_sent_ms; /* 0: none under way */
    int64_t checkpoint;              /* high watermark */
    int32_t first_partition_epoch;   /* states before its registration are not for it */
};

/* A produce request that waits at its leader. */
struct parked {
    int node;
    int32_t leader_epoch;
    int64_t end_offset;
    int64_t id;
    int64_t base_offset;
};

struct counters {
    int64_t acked, duplicates, truncations, shrinks, expansions, elections, crashes, power_losses,
        lost_bytes, refused_under_min, refused_after_append, fenced_fetches;
};

struct sim {
    uint64_t seed;
    struct rng net, faults, load;
    int64_t now_ms;
    uint64_t order;
    bool healing;
    VEC(struct message *) messages;
    struct node nodes[NODES];
    VEC(struct parked) parked;
    /* controller: committed state */
    struct partition_state state;
    int64_t epochs[NODES]; /* broker epochs; 0: fenced */
    int64_t next_epoch;
    int64_t down_since_ms[NODES];
    /* client */
    int64_t next_id; /* acks=all, idempotent: its sequence */
    int64_t sent_ms;
    int believed_leader;
    VEC(int64_t) acked; /* offset of each id */
    int64_t next_loose; /* acks=1 */
    /* checks */
    int64_t served_watermark;
    int32_t leader_of_epoch[4096];
    struct counters seen;
    char failure[300];
};

/* true: every invariant held. */
bool sim_run(struct sim *s, uint64_t seed);
