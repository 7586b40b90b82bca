/*
 * What replicas.c, waiters.c, flush.c and checkpoints.c share.
 */
#pragma once

#include <semaphore.h>
#include <stdatomic.h>

#include "proto/base/map.h"
#include "replication/file_cache.h"
#include "replication/replicas.h"

/* A replica with what the node keeps around it. */
struct replica_entry {
    struct replica base;
    atomic_int refs;
    struct replicas *owner;
    int log_dir;            /* index; constant */
    char *topic;            /* owned; base.topic points here */
    struct list waiters;    /* guarded by base.lock */
    bool write_caching;     /* guarded by base.lock */
    bool flushing;          /* guarded by base.lock: a flush thread has it, or it is queued */
    int64_t flushed_ms;     /* guarded by base.lock: when the last flush ended */
    bool dirty;             /* guarded by base.lock: appended since that flush began */
    struct list flush_link; /* guarded by owner->flush_lock */
    bool doomed;            /* guarded by base.lock: offline as soon as the running flush ends */
    bool damaged;           /* guarded by base.lock: its log cannot be opened as it is, or a scrub
                             * found a bad batch in it */
    bool closing;           /* guarded by base.lock: nothing is written; it begins anew */
    int64_t reported_ms; /* guarded by base.lock: when a scrub asked to leave the ISR, 0: never */
    bool removed;        /* guarded by base.lock: the topic is gone */
    uint64_t cuts;       /* guarded by base.lock: how often the log lost its end */
};

enum checkpoint_file {
    CHECKPOINT_RECOVERY_POINTS,
    CHECKPOINT_HIGH_WATERMARKS,
    CHECKPOINT_LOG_STARTS,
    CHECKPOINT_CLEANED_OFFSETS,
    CHECKPOINT_FILES_COUNT,
};

struct log_dir {
    char *path;
    atomic_bool failed;  /* for good; written while loading and by the background thread */
    atomic_bool suspect; /* something in it failed; to be looked at */
    atomic_bool full;    /* a write met a full disk; appends are refused until there is room */
    bool is_new;         /* made by this process, or by one that did not find its cluster */
    bool clean;          /* its clean-shutdown marker was there */
    int64_t clean_epoch; /* the broker epoch that the marker named, -1: none */
    int replicas_count;
    struct map
        recovery_points; /* "topic index" -> offset + 1 as pointer value; only while opening */
    struct map high_watermarks;
    struct map log_starts;
    struct map cleaned_offsets;
    /* What each file has, so that an idle node need not write: of the thread that writes them. */
    struct buffer written[CHECKPOINT_FILES_COUNT];
};

struct replicas {
    struct replicas_options options;
    const struct fs *fs;  /* constant: file_table */
    struct fs file_table; /* constant: the caller's, with a bound on open files */
    struct log_dir *dirs;
    int dirs_count;

    struct mutex lock; /* the table; taken before any replica's lock, or alone */
    struct map table;  /* topic id and index -> struct replica_entry, each counted */

    struct mutex flush_lock;
    struct list flush_queue; /* guarded by flush_lock */
    sem_t flush_work;
    pthread_t *flush_threads;

    pthread_t background;
    struct rest rest;             /* the background thread's */
    struct cleaner *cleaner;      /* NULL: not enabled */
    struct scrubber *scrubber;    /* NULL: not enabled */
    _Atomic int64_t broker_epoch; /* for the clean-shutdown markers, -1: not registered */
    _Atomic bool stopping;
};

/* Of the table: compared as bytes, so without padding. */
struct replica_key {
    struct uuid topic_id;
    int32_t index;
    int32_t zero;
};

static inline struct replica_key replica_key(struct uuid topic_id, int32_t index)
{
    return (struct replica_key){topic_id, index, 0};
}

#define ENTRY(r) CONTAINER_OF(r, struct replica_entry, base)

/* Lock held: do what the pure logic asked for. */
void replica_effects(struct replica_entry *e, const struct partition_effects *fx);
/* Lock held: the log failed; the replica is offline from now on. */
void replica_offline(struct replica_entry *e, const char *reason);

struct replica_entry *replica_entry_new(struct replicas *rs, int log_dir, struct slice topic,
                                        struct uuid topic_id, int32_t index);
/* Its folder: <log dir>/<topic>-<index>. */
void replica_folder(const struct replica_entry *e, char path[FS_PATH_MAX]);

/* meta_properties.c: write the file where it is missing. -EINVAL: another node's folder; -errno. */
int meta_properties_load(struct replicas *rs, struct log_dir *dir) MUST_CHECK;

/* loading.c: all log folders, before any other thread runs. ERR_KAFKA_STORAGE_ERROR when none of
 * them is usable. */
enum error_code replicas_load(struct replicas *rs) MUST_CHECK;
/* Open (or create) the log of an entry and its partition. As log_open(). */
enum error_code replica_open_log(struct replica_entry *e,
                                 const struct partition_config *config) MUST_CHECK;

/* Lock held, the log is damaged, and nothing uses it if it is open: keep its folder aside
 * (<name>.<id>-stray) and begin with an empty log. */
enum error_code replica_start_over(struct replica_entry *e,
                                   const struct partition_config *config) MUST_CHECK;

/* waiters.c; lock held */
void waiters_wake(struct replica_entry *e, enum waiter_kind kind, enum error_code err);
void waiters_wake_watermark(struct replica_entry *e, int64_t high_watermark);
void waiters_wake_low_watermark(struct replica_entry *e, int64_t low_watermark);
void waiters_wake_all(struct replica_entry *e, enum error_code err);
/* Its role is another: all are told, except that an appended batch waits on while this replica
 * learns as a follower what becomes of it. */
void waiters_role_changed(struct replica_entry *e);
/* The log was cut: batches that end behind `offset` are not in it any more, whatever is. */
void waiters_cut(struct replica_entry *e, int64_t offset);

/* flush.c */
int flush_start(struct replicas *rs) MUST_CHECK;
void flush_stop(struct replicas *rs);
/* Lock held: the log has unsynced bytes that somebody waits for. */
void flush_queue(struct replica_entry *e);
/* Lock held: are unsynced bytes to be flushed now? At once, or with write.caching as flush.messages
 * and flush.ms say. */
bool flush_is_due(const struct replica_entry *e);

/* dirs.c. Any thread: an operation in this folder failed. */
void dirs_suspect(struct replicas *rs, int dir, int err);
/* Now and then: notice a dead folder that nobody writes to. */
void dirs_glance(struct replicas *rs);
/* Background thread: replicas of folders that cannot be written any more go offline. */
void dirs_check(struct replicas *rs);

/* reserve.c; any thread. Take each folder's reserve where there is room for it. */
void reserve_open(struct replicas *rs);
/* A write met a full disk. */
void reserve_give(struct replicas *rs, int dir);
/* Now and then: is there room again? */
void reserve_tick(struct replicas *rs);

/* checkpoints.c */
void checkpoints_read(struct replicas *rs, struct log_dir *dir);
int64_t checkpoint_find(const struct map *offsets, struct slice topic, int32_t index);
void checkpoints_forget(struct log_dir *dir);
/* Write what has changed of recovery points, high watermarks and so on, of every folder. */
void checkpoints_write(struct replicas *rs);
void checkpoints_deinit(struct log_dir *dir);
/* The clean-shutdown marker of every folder that has not failed. */
void clean_markers_write(struct replicas *rs);
