/*
 * Fields of a partition, for partition.c and isr.c only.
 */
#pragma once

#include "replication/partition.h"

/* How often an unanswered or refused proposal is sent again. */
#define ISR_PROPOSAL_RETRY_MS 500
/* A follower outside the ISR holds the high watermark back for it to catch up only while it
 * fetches. */
#define ISR_JOINING_WAIT_MS 1000
/* A time long ago, from which the present can be subtracted. */
#define FOLLOWER_NEVER (INT64_MIN / 2)

/* What the leader knows of a replica, in its current leader epoch. */
struct follower {
    int32_t node_id;
    int64_t broker_epoch;     /* -1: unknown */
    int64_t end_offset;       /* on its disk; -1: it has not fetched in this leader epoch */
    int64_t log_start_offset; /* -1: unknown */
    int64_t caught_up_ms;     /* last time it had all that we had; FOLLOWER_NEVER */
    int64_t fetch_ms;         /* its last fetch ... */
    int64_t fetch_leader_end; /* ... and our end offset then */
};

struct partition {
    /* constant */
    int32_t node_id;
    int32_t index;
    char *topic;
    struct uuid topic_id;

    struct partition_config config;
    struct log *log;
    struct partition_state state; /* as committed by the controller */
    enum partition_role role;
    int64_t high_watermark;
    int64_t clock_ms; /* the latest monotonic time seen */

    /* leader only */
    int64_t epoch_start_offset;
    struct follower followers[REPLICAS_MAX]; /* as state.replicas */
    bool proposed;                           /* `proposal` is under way: maximal ISR */
    struct isr_proposal proposal;
    int64_t proposal_retry_ms;

    bool watermark_taken_early; /* MUTANT_WATERMARK_FIRST only */
};

bool node_in(const int32_t *nodes, int count, int32_t node_id);

/* --- isr.c --- */

/* A new leader epoch: nothing is known of any follower. */
void isr_reset(struct partition *p, int64_t now_ms);
/* A newer partition epoch: replicas may have come and gone; whoever left the ISR must prove
 * itself. */
void isr_update(struct partition *p, const struct partition_state *before);
struct follower *isr_find_follower(struct partition *p, int32_t node_id);
/* Note where a follower is. */
void isr_note_fetch(struct partition *p, struct follower *f, int64_t fetch_offset, int64_t now_ms);
/* Raise the high watermark as far as the maximal ISR allows. */
void isr_advance_watermark(struct partition *p, int64_t now_ms, struct partition_effects *fx);
/* Propose to add a follower, if it is in sync and nothing is proposed yet. */
void isr_expand(struct partition *p, const struct follower *f, int64_t now_ms,
                struct partition_effects *fx);
/* Propose to drop the members that lag. */
void isr_shrink(struct partition *p, int64_t now_ms, struct partition_effects *fx);
/* Send an unanswered proposal again. */
void isr_retry(struct partition *p, int64_t now_ms, struct partition_effects *fx);
