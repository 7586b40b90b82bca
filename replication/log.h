/*
 * One partition's log on this disk: record batches in offset order, cut into segments.
 *
 *   [0 .. 3126] [3127 .. 6399] [6400 .. ) <- log_append()
 *    closed      closed         active
 *
 * A batch can be read once log_append() returns, and is durable once log_flushed_end_offset()
 * passed it. Files are Apache Kafka's own: <base>.log .index .timeindex .txnindex
 * .snapshot, leader-epoch-checkpoint, partition.metadata (README.md).
 *
 * Lock: the partition's lock is held around every call here, except where "any thread" is said; the
 * caller sees to it. Reads return a range that holds its segment, so that bytes are sent after the
 * lock is gone, even when the segment is deleted meanwhile.
 */
#pragma once

#include "proto/base/buffer.h"
#include "proto/base/slice.h"
#include "proto/errors.h"
#include "proto/wire.h"
#include "replication/fs.h"

struct log;
struct batch_header;

/* A topic's settings that the log needs; changed at any time by log_configure(). */
struct log_config {
    int32_t segment_bytes;             /* segment.bytes */
    int64_t segment_ms;                /* segment.ms */
    int64_t segment_jitter_ms;         /* segment.jitter.ms */
    int64_t flush_messages;            /* flush.messages: where nobody waits for the disk */
    int64_t flush_ms;                  /* flush.ms: the same */
    int32_t index_interval_bytes;      /* index.interval.bytes */
    int32_t index_bytes_max;           /* segment.index.bytes */
    int64_t retention_ms;              /* retention.ms, -1: none */
    int64_t retention_bytes;           /* retention.bytes, -1: none */
    int64_t file_delete_delay_ms;      /* file.delete.delay.ms */
    int64_t producer_id_expiration_ms; /* producer.id.expiration.ms */
    int64_t delete_retention_ms;       /* delete.retention.ms */
    int64_t min_compaction_lag_ms;     /* min.compaction.lag.ms */
    int64_t max_compaction_lag_ms;     /* max.compaction.lag.ms */
    double min_cleanable_dirty_ratio;  /* min.cleanable.dirty.ratio */
    int64_t cleaned_offset;            /* for log_open() alone: what the folder's checkpoint says;
                                        * below it compaction may have left gaps */
    bool delete_enabled;               /* cleanup.policy has delete */
    bool compact_enabled;              /* cleanup.policy has compact */
    bool preallocate;                  /* preallocate: a new segment's blocks are taken at once */
};

/* Kafka's defaults. */
struct log_config log_config_default(void);

/* Open (or create) the log in folder `dir`. Creating it syncs nothing: the first flush makes the
 * folder durable, before any batch counts. So a folder whose partition.metadata is missing or torn
 * was never flushed: what batches it has are set aside (<dir>.<id>-stray), for they may be those of
 * an earlier topic of this name. After an unclean stop everything behind the recovery
 * point is read: CRCs checked, the torn tail cut, indexes and producer state rebuilt.
 * `clean`: the folder's clean-shutdown marker was there. `recovery_point`: from the checkpoint, 0
 * if unknown. On success the caller owns *log and returns it to log_close(); else *log is NULL.
 *   ERR_CORRUPT_MESSAGE      what was durable below the recovery point is damaged or missing:
 *                            nothing is cut. Whole segments below it: headers at their end; the
 *                            segment with the recovery point: every header, CRCs from there on
 *   ERR_KAFKA_STORAGE_ERROR  the disk refused (logged with the reason) */
enum error_code log_open(const char *dir, const struct fs *fs, const struct log_config *config,
                         struct uuid topic_id, bool clean, int64_t recovery_point, int64_t now_ms,
                         struct log **log) MUST_CHECK;

/* Close the files; does not flush (log_flush_begin/sync/end first for a clean stop). */
void log_close(struct log *log);

/* Close, rename the folder to <name>.<id>-delete, and remove its files. 0 or -errno. */
int log_delete(struct log *log) MUST_CHECK;
/* Remove a folder with its files, as one that log_delete() could not finish. 0 or -errno. */
int log_remove_folder(const struct fs *fs, const char *dir) MUST_CHECK;

void log_configure(struct log *log, const struct log_config *config);
/* A write, truncation or sync failed for good: everything is refused until it is opened again. */
bool log_is_failed(const struct log *log);
/* The last write that could not be done met a full disk, and none was done since. */
bool log_met_full_disk(const struct log *log);
/* Compaction met a damaged batch: it is not tried again until the log is opened anew. */
void log_set_uncleanable(struct log *log);

/* What a data folder's checkpoints say, after opening: a log start that is not below the log's own,
 * and how far the log was compacted. */
enum error_code log_restore(struct log *log, int64_t start_offset,
                            int64_t cleaned_offset) MUST_CHECK;

int64_t log_start_offset(const struct log *log);
/* Of the first segment, at or below the log start. */
int64_t log_first_base_offset(const struct log *log);
/* Everything below it was compacted; 0: nothing yet. */
int64_t log_cleaned_offset(const struct log *log);
int64_t log_end_offset(const struct log *log);
int64_t log_flushed_end_offset(const struct log *log); /* everything below is on disk */
int64_t log_size_bytes(const struct log *log);
/* Largest timestamp and the offset of the first record that has it; reads that batch. -1 when
 * empty. */
int64_t log_max_timestamp(struct log *log, int64_t *offset);

/* Append one validated batch as leader. Stamps base offset and leader epoch into `batch` (both
 * outside the CRC) and writes it. The producer state was checked before with log_check_producer().
 *   ERR_RECORD_LIST_TOO_LARGE  larger than segment.bytes
 *   ERR_KAFKA_STORAGE_ERROR  nothing was appended as far as readers can see; the log is now failed
 *                            and refuses everything until reopened, except when the disk was only
 *                            full (the partial write was cut off again): then later appends may
 *                            work. */
enum error_code log_append(struct log *log, uint8_t *batch, size_t size, int32_t leader_epoch,
                           int64_t now_ms, int64_t *base_offset) MUST_CHECK;

/* Append batches as fetched from the leader: offsets and epochs kept, CRCs checked, epochs entered
 * in the epoch cache, producer state updated. A partial batch at the end is ignored. `records` must
 * start at the log's end offset (or above it, in a gap left by compaction).
 *   ERR_CORRUPT_MESSAGE   a CRC or header is wrong: nothing of that batch was appended */
enum error_code log_append_as_follower(struct log *log, struct slice records,
                                       int64_t now_ms) MUST_CHECK;

/* Where reading stops. */
struct log_read_limits {
    int64_t end_offset; /* exclusive: high watermark, last stable offset or log end offset */
    int32_t bytes_max;  /* soft, see at_least_one */
    bool at_least_one;  /* the first batch is returned even when larger than bytes_max (KIP-74) */
};

struct log_read {
    struct file_range
        range;            /* size 0: nothing there. release() gives the segment back (any thread) */
    int64_t first_offset; /* base offset of the first batch */
};

/* Whole batches from the one that contains `offset` (or the first after it).
 *   ERR_OFFSET_OUT_OF_RANGE  below the log start or above limits->end_offset's log end */
enum error_code log_read(struct log *log, int64_t offset, const struct log_read_limits *limits,
                         struct log_read *out) MUST_CHECK;

/* Bytes available from `offset` up to end_offset, cheaply and roughly (for fetch.min.bytes). */
int64_t log_bytes_between(struct log *log, int64_t offset, int64_t end_offset);

/* First record whose timestamp is >= timestamp and offset < end_offset (ListOffsets).
 * *offset = -1 when there is none. */
enum error_code log_find_timestamp(struct log *log, int64_t timestamp, int64_t end_offset,
                                   int64_t *offset, int64_t *record_timestamp,
                                   int32_t *leader_epoch) MUST_CHECK;

/* Cut everything at and above `offset`: data, indexes, epoch cache (entries whose start >= offset
 * go, also when no byte is cut), producer state rebuilt. Durable before it returns. */
enum error_code log_truncate(struct log *log, int64_t offset, int64_t now_ms) MUST_CHECK;

/* Throw everything away and begin at `offset` (follower whose leader has nothing older). */
enum error_code log_truncate_fully(struct log *log, int64_t offset) MUST_CHECK;

/* Raise the log start offset (DeleteRecords, leader's log start); segments wholly below it go. */
enum error_code log_raise_start(struct log *log, int64_t offset) MUST_CHECK;

/* --- Leader epochs (KIP-101, KIP-279, KIP-320) --- */

/* Note that `epoch` starts at the log's end; kept also when no record of that epoch ever comes.
 * Durable before it returns, or, in a log that never held a record, with the first flush: an empty
 * log answers everybody the same with it and without. */
enum error_code log_begin_epoch(struct log *log, int32_t epoch) MUST_CHECK;
/* Latest epoch in the cache, -1 if none; and its start offset. */
int32_t log_latest_epoch(const struct log *log, int64_t *start_offset);
/* Epoch of the record at `offset`, -1 if unknown. */
int32_t log_epoch_at(const struct log *log, int64_t offset);
/* Largest epoch <= asked, and its end offset (log end for the latest); (-1, -1) when there is
 * none. */
void log_epoch_end(const struct log *log, int32_t asked, int32_t *epoch, int64_t *end_offset);

/* --- Flush: group commit. Any thread for log_flush_sync(). --- */

struct log_flush {
    void *segments[8]; /* opaque; referenced until log_flush_end() */
    int segments_count;
    int64_t end_offset;  /* durable when all are synced */
    int64_t truncations; /* of the log, when the flush began */
    bool first;          /* of a fresh log: its folder becomes durable, too */
};

/* Lock held: does a log whose batches count before they are on disk (write.caching) want a flush?
 * By flush.messages, by flush.ms (waited_ms: since its last flush), and when a segment is full. */
bool log_flush_is_due(const struct log *log, int64_t waited_ms);
/* Lock held: what to sync now. false when nothing is unflushed. */
bool log_flush_begin(struct log *log, struct log_flush *flush);
/* No lock: fdatasync them. 0 or -errno. */
int log_flush_sync(struct log *log, const struct log_flush *flush) MUST_CHECK;
/* Lock held: note the result and drop references. After an error the log is failed for good (never
 * synced again), ERR_KAFKA_STORAGE_ERROR. If the log was truncated meanwhile, only what survived
 * counts. */
enum error_code log_flush_end(struct log *log, struct log_flush *flush, int sync_error) MUST_CHECK;

/* --- Idempotent producers (KIP-98): the last five batches of each producer id --- */

enum log_producer_check {
    PRODUCER_OK,        /* append it */
    PRODUCER_DUPLICATE, /* appended before: *base_offset is where, answer success */
    PRODUCER_REFUSED    /* see *err */
};

/* What a batch with a producer id may do. Kafka's rules: unknown id accepted with any sequence, gap
 * -> ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, old epoch -> ERR_INVALID_PRODUCER_EPOCH, duplicate of the
 * last five -> the original offset, older -> ERR_DUPLICATE_SEQUENCE_NUMBER, new epoch starts at 0,
 * wrap at 2^31. */
enum log_producer_check log_check_producer(struct log *log, const struct batch_header *batch,
                                           int64_t now_ms, enum error_code *err,
                                           int64_t *base_offset, int64_t *append_time_ms);
/* Of the newest batch of this producer; -1: none is known. */
int64_t log_producer_last_offset(const struct log *log, int64_t producer_id);

/* --- Transactions (KIP-98) --- */

/* Where a read_committed consumer stops: the high watermark, or the first offset of the oldest
 * transaction that is not decided below it. */
int64_t log_last_stable_offset(struct log *log, int64_t high_watermark);
/* The aborted transactions that may have records in [offset, end_offset), in the order of their
 * markers. */
void log_each_aborted(struct log *log, int64_t offset, int64_t end_offset,
                      void (*each)(void *arg, int64_t producer_id, int64_t first_offset),
                      void *arg);

/* --- Background --- */

/* Delete segments past retention, never one that reaches end_offset_max (the high watermark).
 * Returns how many went; roll the active one when segment.ms passed. */
int log_apply_retention(struct log *log, int64_t now_ms, int64_t end_offset_max);
/* Remove files of segments deleted file_delete_delay_ms ago. */
void log_remove_deleted(struct log *log, int64_t now_ms);
/* Write the producer snapshot and epoch checkpoint for a clean stop. */
enum error_code log_checkpoint(struct log *log) MUST_CHECK;
