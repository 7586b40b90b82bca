/*
 * All partitions of this node, with the threads, clocks and disks around the pure logic: the flush
 * threads (group commit), the background thread (ticks, retention, checkpoints), and the requests
 * parked on partitions.
 *
 * Values flow down (replicas_apply, replicas_remove, called by the broker's wiring, one thread at a
 * time, in metadata order); ISR proposals flow up through struct replicas_callbacks.
 *
 * Locks: replicas' table lock (short, inside), then the partition's lock, then the log. A struct
 * replica is counted: replicas_find() refs it, replica_unref() gives it back; any thread.
 */
#pragma once

#include "replication/cleaner.h"
#include "replication/partition.h"
#include "replication/scrubber.h"

struct replicas;

struct replicas_callbacks {
    void *arg;
    /* Send to the controller; answers: acceptance comes as replicas_apply(), anything else as
     * replicas_proposal_failed(). Any thread, a partition's lock may be held: only enqueue. */
    void (*propose_isr)(void *arg, const struct isr_proposal *proposal);
    /* A follower's data of this partition is on disk now (the fetcher may ask for more). Any
     * thread; only enqueue. */
    void (*follower_flushed)(void *arg, struct uuid topic_id, int32_t partition);
    /* This replica's disk failed: it is offline here until the process starts again. Or it is
     * damaged and `serves` still: it leaves the ISR only where others are in it, and begins anew
     * when the metadata says so. Any thread, a partition's lock may be held: only enqueue. */
    void (*replica_failed)(void *arg, struct uuid topic_id, int32_t partition, bool serves);
};

struct replicas_options {
    int32_t node_id;
    const char *const *log_dirs;
    int log_dirs_count;
    int flush_threads;     /* num.flush.threads, default 4 */
    int recovery_threads;  /* num.recovery.threads.per.data.dir; 0: 2 */
    int open_files_max;    /* log.open.files.max; 0: half of what the process may have */
    int64_t reserve_bytes; /* log.dir.reserve.bytes: kept free for when a disk is full; 0: none */
    int64_t checkpoint_interval_ms;      /* replica.high.watermark.checkpoint.interval.ms, 5000 */
    int64_t retention_check_interval_ms; /* log.retention.check.interval.ms, 300000 */
    struct cleaner_options cleaner;
    struct scrubber_options scrubber;
    struct replicas_callbacks callbacks;
};

/* Loads and recovers every partition folder found (in parallel per log dir).
 * ERR_KAFKA_STORAGE_ERROR only when no log dir is usable. */
enum error_code replicas_open(const struct replicas_options *options, const struct fs *fs,
                              struct replicas **replicas) MUST_CHECK;
/* The broker epoch under which this data was last closed cleanly, as all folders' markers say
 * (KIP-966); -1: it was not, or some of it. */
int64_t replicas_clean_epoch(const struct replicas *rs);
/* Whether any of the folders was nobody's before, until replicas_note_cluster(): then data that
 * this node should have may have been on another disk. */
bool replicas_disk_is_new(const struct replicas *rs);
/* The epoch that the markers of the next clean close shall name. Any thread. */
void replicas_set_broker_epoch(struct replicas *rs, int64_t broker_epoch);
/* Flush everything, write checkpoints and the clean-shutdown marker, stop the threads. */
void replicas_close(struct replicas *replicas);

/* What else lives in the first log folder met a full disk: its reserve is given up. Any thread. */
void replicas_disk_full(struct replicas *rs);
/* The node has found its cluster: note it in every log folder; one of another cluster is told. */
void replicas_note_cluster(struct replicas *rs, struct slice cluster_id);

/* Create when missing, then become leader or follower as told. */
enum error_code replicas_apply(struct replicas *rs, struct slice topic, struct uuid topic_id,
                               int32_t index, const struct partition_state *state,
                               const struct partition_config *config) MUST_CHECK;
/* The topic was deleted, or this node is no replica of it any more. */
void replicas_remove(struct replicas *rs, struct uuid topic_id, int32_t index);
/* After the first complete metadata image: folders of topics that no longer exist are deleted.
 * keep(arg, topic_id, index): is it still ours? */
void replicas_remove_strays(struct replicas *rs, bool (*keep)(void *arg, struct uuid, int32_t),
                            void *arg);
void replicas_proposal_failed(struct replicas *rs, const struct isr_proposal *proposal,
                              enum error_code err);

/* A counted handle: the partition and its lock. */
struct replica {
    struct mutex lock;
    struct partition *partition; /* guarded by lock; NULL: offline (its log folder died) */
    struct slice topic;          /* constant */
    struct uuid topic_id;        /* constant */
    int32_t index;               /* constant */
    /* the rest is private to replicas.c */
};

/* NULL: this node has no such replica. The caller gives it back with replica_unref(). */
struct replica *replicas_find(struct replicas *rs, struct uuid topic_id, int32_t index);
void replica_unref(struct replica *r);
void replicas_each(struct replicas *rs, void (*each)(void *arg, struct replica *r), void *arg);

/* The log folders, as configured. */
int replicas_dirs_count(const struct replicas *rs);
const char *replicas_dir_path(const struct replicas *rs, int dir);
bool replicas_dir_failed(struct replicas *rs, int dir);
/* Which of them a replica lies in. */
int replica_dir(const struct replica *r);

/* The calls of partition.h with lock, clock, effects (wake-ups, flush, proposal) handled. Any
 * thread. */
enum error_code replica_append(struct replicas *rs, struct replica *r, uint8_t *batch, size_t size,
                               const struct batch_header *header, int16_t acks,
                               struct partition_append_result *out) MUST_CHECK;
/* The same, unless check(arg) refuses: it is asked under the partition's lock. */
typedef enum error_code replica_check(void *arg, struct partition *p);
enum error_code replica_append_checked(struct replica *r, uint8_t *batch, size_t size,
                                       const struct batch_header *header, int16_t acks,
                                       replica_check *check, void *arg,
                                       struct partition_append_result *out) MUST_CHECK;
enum error_code replica_follower_fetched(struct replicas *rs, struct replica *r,
                                         const struct follower_fetch *fetch) MUST_CHECK;
/* partition_delete_records(); followers that wait are told at once. *log_start: where the log
 * begins now. */
enum error_code replica_delete_records(struct replicas *rs, struct replica *r, int64_t offset,
                                       int64_t *log_start) MUST_CHECK;
/* *flush_pending: appended bytes are being flushed; callbacks.follower_flushed follows. */
enum error_code replica_fetched(struct replicas *rs, struct replica *r,
                                const struct fetched *answer, bool *flush_pending) MUST_CHECK;

/*
 * Waiters: a request parked until something happens to a partition. Embedded in the request; wake()
 * is called at most once, on any thread, with the partition's lock held: it only posts to an inbox.
 * The waiter is unlinked before wake(). waiter_remove() (own lock inside) makes sure it will not be
 * called any more.
 */
enum waiter_kind {
    /* High watermark >= offset, or ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND: the batch was appended
     * and may count (under min ISR, log failed or cut). A leader that becomes a follower learns
     * there whether it does. */
    WAIT_HIGH_WATERMARK,
    /* A consumer's fetch: any advance of the high watermark or LSO, or an error. */
    WAIT_COMMITTED_DATA,
    /* A follower's fetch: any append or high watermark advance, or an error. */
    WAIT_APPENDED_DATA,
    /* DeleteRecords: every member of the ISR begins at the offset or above. */
    WAIT_LOW_WATERMARK
};

struct waiter {
    struct list link;
    enum waiter_kind kind;
    int64_t offset;
    uint64_t cuts; /* WAIT_HIGH_WATERMARK: partition_append_result's */
    void (*wake)(struct waiter *w, enum error_code err);
    struct replica *replica; /* counted while parked */
};

/* Park, unless the condition is true by now: then returns false and the caller goes on at once with
 * *err. */
bool waiter_park(struct replica *r, struct waiter *w, enum error_code *err);
void waiter_remove(struct waiter *w);
