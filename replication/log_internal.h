/*
 * struct log, for this module's files: log.c, log_append.c, log_read.c, log_truncate.c,
 * log_flush.c, recovery.c, retention.c.
 */
#pragma once

#include "proto/base/vec.h"
#include "replication/epochs.h"
#include "replication/log.h"
#include "replication/producers.h"
#include "replication/segment.h"

#define LOG_MARKS 64 /* newest batches whose position is known without reading */

/* Where a batch of the active segment stands. */
struct log_mark {
    int64_t base_offset;
    int64_t last_offset;
    int64_t position;
};

/* A segment that was renamed to .deleted; its files go at `remove_at_ms`. */
struct log_deleted {
    struct segment *segment; /* counted */
    int64_t remove_at_ms;
};

struct log {
    const struct fs *fs; /* constant */
    char *dir;           /* constant */
    struct uuid topic_id;
    struct log_config config;
    VEC(struct segment *) segments; /* by base offset, never empty once open; the last is active */
    VEC(struct log_deleted) deleted;
    VEC(int64_t) snapshots; /* offsets of the producer snapshots on disk, growing */
    struct epochs epochs;
    struct producers producers;
    struct log_mark marks[LOG_MARKS]; /* a ring of contiguous batches at the active segment's end */
    uint64_t marks_end;               /* next one goes to marks_end % LOG_MARKS */
    uint64_t marks_begin;
    int64_t start_offset;
    int64_t flushed_end_offset;
    struct compaction *compaction; /* a round under way; whoever cuts the log sets it to NULL */
    bool uncleanable;              /* compaction met damage: not tried again */
    int64_t cleaned_offset;        /* compacted below it */
    int64_t checkpoint_bound;      /* no recovery point above it can be on disk */
    bool fresh; /* empty and never flushed: nothing of its folder is durable, nor needs to be */
    bool truncation_noted; /* the file that lowers the recovery point is there */
    int64_t txns_from;     /* recovery: transaction indexes from here on are not to be trusted */
    int64_t truncations;   /* a flush that began before the last one does not count */
    bool failed;           /* refuse everything */
    bool full;             /* the last write met a full disk; for logging once */
    struct buffer scratch;
};

static inline struct segment *log_active(const struct log *log)
{
    return log->segments.items[log->segments.count - 1];
}

/* Index of the last segment with base offset <= offset (0 if none). */
size_t log_segment_floor(const struct log *log, int64_t offset);
/* <20 digits><suffix>: *offset. */
bool log_parse_name(const char *name, const char *suffix, int64_t *offset);
/* A path in the log's folder. */
void log_path(const struct log *log, const char *name, char path[FS_PATH_MAX]);
void log_snapshot_path(const struct log *log, int64_t offset, char path[FS_PATH_MAX]);

/* A write, truncation or sync failed: the log is failed from now on, unless the disk is only full.
 * Logs it; the module's one place where -errno becomes an error code. */
enum error_code log_disk_error(struct log *log, const char *what, int err);
/* A read failed: only this request suffers. */
enum error_code log_read_error(struct log *log, const char *what, int err);

/* Feed the producer state with a batch; an abort goes to the transaction index of `seg` (NULL:
 * it is there already). `batch`: the whole of it, looked at for control batches only. 0 or
 * -errno of the index, which keeps the entry in memory. */
int log_note_producer(struct log *log, struct segment *seg, const struct batch_header *h,
                      struct slice batch, int64_t now_ms);
void log_clear_marks(struct log *log);
/* Close the active segment and begin the next at base_offset (>= the log's end). */
enum error_code log_roll(struct log *log, int64_t base_offset, int64_t now_ms) MUST_CHECK;
/* Age at which the active segment is closed: segment.ms, less a share of segment.jitter.ms that is
 * its own, so that segments begun together do not all end together. */
int64_t log_segment_age_max_ms(const struct log *log);
/* Append a fresh, empty segment to the list. 0 or -errno. */
int log_add_segment(struct log *log, int64_t base_offset, int64_t now_ms) MUST_CHECK;
/* Make the folder's name and small files of a fresh log durable: with the first batch they must be.
 * No lock; the first segment's sync does the folder itself. 0 or -errno. */
int log_sync_folder(const struct log *log) MUST_CHECK;
/* Lock held: end a fresh log's freshness at once, before a change that counts as durable. */
int log_settle(struct log *log) MUST_CHECK;
/* Make a segment durable, under the lock. */
int log_sync_segment(struct segment *seg) MUST_CHECK;

/* Where a batch was found. */
struct log_found {
    struct segment *segment;
    int64_t position;
    struct batch_header header;
};

/* Call `each` for the batches with last offset >= from. 0, first non-zero of each, -errno. */
int log_each_header(struct log *log, int64_t from,
                    int (*each)(void *arg, const struct log_found *found), void *arg) MUST_CHECK;
/* A whole batch into `bytes` (cleared first), its CRC checked. 0, -EBADMSG, -errno. */
int log_load_batch(struct log *log, const struct log_found *found, struct buffer *bytes) MUST_CHECK;
/* Write the producer snapshot for the log's end. */
int log_store_snapshot(struct log *log) MUST_CHECK;
/* Remove the snapshots with offset >= from and < to. */
void log_remove_snapshots(struct log *log, int64_t from, int64_t to);
/* Producer state again, from the newest usable snapshot and the headers behind it. The transaction
 * indexes of what lies at or above `txns_from` are built anew on the way (INT64_MAX: none). */
int log_rebuild_producers(struct log *log, int64_t txns_from, int64_t now_ms) MUST_CHECK;
/* Store log->start_offset where the first segment's name does not say it. */
int log_store_start(struct log *log) MUST_CHECK;
/* Take the first segment out of the log; its files are renamed and go later. 0 or -errno. */
int log_delete_first(struct log *log, int64_t now_ms) MUST_CHECK;

#define LOG_START_FILE      "log-start-offset-checkpoint"
#define LOG_TRUNCATION_FILE "truncation-checkpoint"
#define LOG_EPOCHS_FILE     "leader-epoch-checkpoint"
#define LOG_METADATA_FILE   "partition.metadata"
