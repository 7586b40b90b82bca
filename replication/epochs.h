/*
 * Which leader epoch wrote from which offset on (KIP-101): the file leader-epoch-checkpoint.
 *
 *   0                  version
 *   2                  entries
 *   0 0                epoch, start offset
 *   3 6400
 *
 * Epochs grow strictly, start offsets never fall. An entry may have no records (yet): it stays,
 * because a follower's question about it must be answered right. Every change is on disk before the
 * call returns; when it cannot be, nothing has changed. Only the cache of a log that never held a
 * record is kept in memory until epochs_settle().
 *
 * Lock: the log's.
 */
#pragma once

#include "proto/base/vec.h"
#include "replication/fs.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    const struct fs *fs;
    char *path;
    VEC(struct epoch_entry) entries;
    bool deferred; /* changes stay in memory: the log holds nothing that needs them yet */
};

/* path: copied. */
void epochs_init(struct epochs *e, const struct fs *fs, const char *path);
void epochs_deinit(struct epochs *e);

/* Read the file. -ENOENT, -EBADMSG (then there are no entries). */
int epochs_load(struct epochs *e) MUST_CHECK;
/* Write all entries. */
int epochs_store(const struct epochs *e) MUST_CHECK;

/* Write all entries without a sync; from now on every change is durable. */
int epochs_settle(struct epochs *e) MUST_CHECK;

/* Note that `epoch` begins at start_offset; entries that contradict it (later epochs, later starts,
 * empty ones at the same start) go. No change when it is the latest epoch already. */
int epochs_begin(struct epochs *e, int32_t epoch, int64_t start_offset) MUST_CHECK;
/* The same in memory only, for recovery; epochs_store() follows. true when something changed. */
bool epochs_note(struct epochs *e, int32_t epoch, int64_t start_offset);

/* Drop the entries that start at or above end_offset. */
int epochs_truncate_end(struct epochs *e, int64_t end_offset) MUST_CHECK;
/* Drop what lies wholly below start_offset; the entry that covers it starts there now. */
int epochs_truncate_start(struct epochs *e, int64_t start_offset) MUST_CHECK;
int epochs_clear(struct epochs *e) MUST_CHECK;

/* The latest, -1 if none. */
int32_t epochs_latest(const struct epochs *e, int64_t *start_offset);
/* The epoch of the record at `offset`, -1 if unknown. */
int32_t epochs_at(const struct epochs *e, int64_t offset);
/* Largest epoch <= asked and where it ends (log_end_offset for the latest); -1, -1 if none. */
void epochs_end(const struct epochs *e, int32_t asked, int64_t log_end_offset, int32_t *epoch,
                int64_t *end_offset);
