/*
 * One replica of one partition: its role, epochs, in-sync replicas and high watermark.
 *
 * Pure: event and time in, effects out; the only thing it touches is its log (log.h), over the file
 * table. The server (replicas.h) and the simulation (tests/sim) run this same code.
 *
 *            partition_apply(leader = me)              partition_apply(leader = other)
 *   follower ----------------------------> leader  leader ----------------------------> follower
 *
 * The rules are those of KIP-101, 279, 320, 497, 841, 903 and 966: see faults.md's distilled list
 * in README.md. Above all: an offset counts towards the high watermark only once it is on disk, on
 * the leader and on every member of the maximal ISR (isr plus the one proposed).
 *
 * Lock: the partition's, held around every call. now_ms is the monotonic clock, except for
 * partition_append() and partition_fetched(), whose wall clock goes to the log.
 */
#pragma once

#include "proto/base/thread.h"
#include "replication/log.h"

#define REPLICAS_MAX 32 /* most replicas a partition may have */

/* What the controller decided, as values from the metadata image. */
struct partition_state {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t replicas[REPLICAS_MAX];
    int replicas_count;
    int32_t isr[REPLICAS_MAX];
    int isr_count;
    uint32_t absent; /* bit i: replicas[i]'s broker is fenced or shutting down; may change alone */
};

/* A topic's settings that the partition needs, beside the log's. */
struct partition_config {
    struct log_config log;
    int32_t min_insync_replicas;
    bool write_caching; /* count an offset when written, not only when on disk */
    int64_t replica_lag_time_max_ms;
};

/* A change of the ISR for the controller to accept or refuse (AlterPartition, KIP-497). */
struct isr_proposal {
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch;
    int32_t partition_epoch; /* compare and set against this one */
    int32_t isr[REPLICAS_MAX];
    int64_t broker_epochs[REPLICAS_MAX]; /* of each member, -1 for ourselves; KIP-903 */
    int isr_count;
};

/* What the caller has to do after a call; zeroed by the caller, only ever set here. */
struct partition_effects {
    bool watermark_advanced; /* wake produce waiters and consumers */
    bool appended;           /* wake followers' fetches; the log wants a flush */
    bool role_changed;       /* fail waiters with ERR_NOT_LEADER_OR_FOLLOWER */
    bool cut;                /* what was there from cut_to on is gone, whatever comes there now */
    int64_t cut_to;
    bool propose; /* send `proposal` to the controller */
    struct isr_proposal proposal;
};

enum partition_role { PARTITION_NONE, PARTITION_LEADER, PARTITION_FOLLOWER };

struct partition; /* fields in partition_internal.h for this folder */

/* topic: copied. Takes the log. `high_watermark` from the checkpoint (0 if unknown). */
struct partition *partition_new(int32_t node_id, struct slice topic, struct uuid topic_id,
                                int32_t index, const struct partition_config *config,
                                struct log *log, int64_t high_watermark);
void partition_free(struct partition *p);

/* A newer decision of the controller. Idempotent: one that is not newer (leader epoch, then
 * partition epoch) changes nothing; a newer partition epoch in the same leader epoch keeps follower
 * state (F70). */
enum error_code partition_apply(struct partition *p, const struct partition_state *state,
                                int64_t now_ms, struct partition_effects *fx) MUST_CHECK;
void partition_configure(struct partition *p, const struct partition_config *config);

/* --- Leader --- */

struct partition_append_result {
    int64_t base_offset;
    int64_t end_offset;         /* acks=all waits until the high watermark reaches it */
    uint64_t cuts;              /* of the replica, at the append; for struct waiter */
    int64_t log_append_time_ms; /* -1 with CreateTime */
    int64_t log_start_offset;
    bool duplicate; /* it was there before; nothing was appended */
    /* ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, and the producer's last batch was an earlier leader's. */
    bool gap_of_before;
};

/* Append a validated batch (header decoded by the caller). acks: -1, 0 or 1.
 *   ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_ENOUGH_REPLICAS (acks=-1, before the append),
 *   producer state errors, ERR_KAFKA_STORAGE_ERROR */
enum error_code partition_append(struct partition *p, uint8_t *batch, size_t size,
                                 const struct batch_header *header, int16_t acks, int64_t now_ms,
                                 struct partition_append_result *out,
                                 struct partition_effects *fx) MUST_CHECK;

/* The leader's own log is on disk up to its log_flushed_end_offset(). */
void partition_flushed(struct partition *p, int64_t now_ms, struct partition_effects *fx);

/* What a follower's fetch says of it. It has everything below fetch_offset on disk: a follower
 * fetches again only after its flush, unless write.caching. */
struct follower_fetch {
    int32_t replica;
    int64_t broker_epoch; /* -1: unknown */
    int32_t
        leader_epoch; /* current leader epoch of the request: proves nothing unless it is ours */
    int64_t fetch_offset;
    int32_t last_fetched_epoch; /* -1: not given */
    int64_t log_start_offset;   /* the follower's own */
};

/* Note a follower's position; HW and ISR move by it. Nothing is noted on an error, nor when the
 * follower's history diverges from ours (partition_read() tells it where).
 *   ERR_NOT_LEADER_OR_FOLLOWER, ERR_FENCED_LEADER_EPOCH, ERR_UNKNOWN_LEADER_EPOCH,
 *   ERR_OFFSET_OUT_OF_RANGE, ERR_STALE_BROKER_EPOCH (a newer incarnation fetched already) */
enum error_code partition_follower_fetched(struct partition *p, const struct follower_fetch *fetch,
                                           int64_t now_ms, struct partition_effects *fx) MUST_CHECK;

/* Periodic: shrink the ISR by lag, retry a refused proposal, expand by followers that caught up. */
void partition_tick(struct partition *p, int64_t now_ms, struct partition_effects *fx);

/* The controller refused this proposal or its answer was lost: try again later with fresh state.
 * Nothing happens if another one is under way by now. (Acceptance comes back as
 * partition_apply().) */
void partition_proposal_failed(struct partition *p, const struct isr_proposal *proposal,
                               enum error_code err, int64_t now_ms);

/* --- Reading (any role where said) --- */

/* Check a request's current leader epoch (-1: none given): ERR_NONE, ERR_NOT_LEADER_OR_FOLLOWER,
 * ERR_FENCED_LEADER_EPOCH or ERR_UNKNOWN_LEADER_EPOCH. */
enum error_code partition_check_leader(const struct partition *p,
                                       int32_t current_leader_epoch) MUST_CHECK;

/* The same for one who may read from a follower, too (KIP-392). */
enum error_code partition_check_readable(const struct partition *p,
                                         int32_t current_leader_epoch) MUST_CHECK;

/* Where a consumer that is near some brokers best reads from `offset` (KIP-392): the leader if it
 * is one of them, else the one of them in the ISR that has the offset and got furthest, else the
 * leader. */
int32_t partition_preferred_replica(const struct partition *p, int64_t offset, const int32_t *near,
                                    int near_count);

enum partition_read_upto { READ_TO_LOG_END, READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE };

struct partition_read {
    struct log_read log;
    int64_t high_watermark;
    int64_t last_stable_offset;
    int64_t log_start_offset;
    bool diverging; /* last_fetched_epoch does not match our history: nothing was read */
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
};

/* For Fetch. last_fetched_epoch -1: not given. `out` has the offsets also with
 * ERR_OFFSET_OUT_OF_RANGE: a Fetch answer must carry log_start_offset and high_watermark then, too,
 * for a follower finds its new position by them. */
enum error_code partition_read(struct partition *p, int64_t offset, int32_t last_fetched_epoch,
                               enum partition_read_upto upto, int32_t bytes_max, bool at_least_one,
                               struct partition_read *out) MUST_CHECK;

/* For ListOffsets: timestamp >= 0 or Kafka's -1 latest, -2 earliest, -3 max timestamp, -4 earliest
 * local. A new leader answers latest only once its high watermark reached its epoch's start
 * (ERR_OFFSET_NOT_AVAILABLE before). *offset -1: none. */
enum error_code partition_list_offset(struct partition *p, int64_t timestamp,
                                      enum partition_read_upto upto, int64_t *offset,
                                      int64_t *record_timestamp, int32_t *leader_epoch) MUST_CHECK;

/* For OffsetForLeaderEpoch. */
enum error_code partition_epoch_end(struct partition *p, int32_t asked, int32_t *epoch,
                                    int64_t *end_offset) MUST_CHECK;

/* DeleteRecords on the leader; offset -1: up to the high watermark. */
enum error_code partition_delete_records(struct partition *p, int64_t offset,
                                         int64_t *log_start) MUST_CHECK;
/* The smallest log start in the ISR (of all replicas while that is below its minimum), as far as we
 * know: what any possible leader may still show. */
int64_t partition_low_watermark(const struct partition *p);

/* --- Follower --- */

/* What to ask the leader for (the fetcher, fetcher.h, collects these). false: not now, because this
 * is no follower, or not everything it has is on disk yet. */
bool partition_fetch_position(const struct partition *p, int64_t *fetch_offset,
                              int32_t *last_fetched_epoch, int32_t *leader_epoch);

/* One partition of a Fetch answer: truncate on divergence, append, take over log start and high
 * watermark (after truncation, never above our log end; F60). leader_epoch: the one the request
 * carried; an answer to an older epoch is dropped. */
struct fetched {
    enum error_code error_code;
    int32_t leader_epoch;
    struct slice records;
    int64_t high_watermark;
    int64_t log_start_offset;
    int32_t diverging_epoch; /* -1: none */
    int64_t diverging_end_offset;
};
enum error_code partition_fetched(struct partition *p, const struct fetched *answer, int64_t now_ms,
                                  struct partition_effects *fx) MUST_CHECK;

/* --- Facts --- */
/* Fewer members in the ISR than min.insync.replicas (or all replicas, if these are fewer). */
bool partition_is_under_min_isr(const struct partition *p);
/* Every other member of the ISR has all that this leader has; of a follower it is said, too. */
bool partition_is_replicated(const struct partition *p);
/* Everything that counts towards the high watermark: on disk, or written with write.caching. */
int64_t partition_durable_end_offset(const struct partition *p);
/* A new leader's high watermark may be behind until it reached the start of its own epoch. */
bool partition_watermark_is_known(const struct partition *p);
/* Committed ISR; returns the count. */
int partition_isr(const struct partition *p, int32_t isr[REPLICAS_MAX]);
enum partition_role partition_role(const struct partition *p);
int32_t partition_leader(const struct partition *p);
int32_t partition_leader_epoch(const struct partition *p);
int64_t partition_high_watermark(const struct partition *p);
struct log *partition_log(struct partition *p);
/* Take the log out before partition_free(), to close or delete it. */
struct log *partition_take_log(struct partition *p);
