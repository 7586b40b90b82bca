/*
 * One segment of a log: <base>.log, its three indexes, and what is known about its content.
 *
 * Counted: the log holds one reference, every range being sent and every flush under way another.
 * The last one closes the file, on whatever thread that is; everything else happens under the log's
 * lock. The log file is opened when it is needed and stays open while it is acquired
 * (file_cache.h).
 */
#pragma once

#include <stdatomic.h>

#include "proto/records.h"
#include "replication/file_cache.h"
#include "replication/fs.h"
#include "replication/index.h"
#include "replication/txn_index.h"

struct segment {
    const struct fs *fs;      /* constant */
    char *path;               /* constant: folder/<base> without a suffix */
    const char *ending;       /* of the files: "", or ".cleaned" until the segment is swapped in */
    int64_t base_offset;      /* constant */
    atomic_int refs;          /* any thread */
    atomic_bool named;        /* its name in the folder is durable; set by a flush, on any thread */
    struct file_cache *files; /* constant, counted */
    struct cached_file log;   /* the log file; to be acquired before use */
    int64_t size;             /* bytes, all of them whole batches */
    int64_t end_offset;       /* exclusive; base_offset when empty */
    int64_t max_timestamp;    /* -1: none */
    int64_t max_timestamp_offset; /* last offset of the batch that has it */
    int64_t first_timestamp;      /* largest of the first batch; -1: none */
    int64_t created_ms;
    int64_t bytes_since_index;
    int64_t scrubbed_ms; /* monotonic: when its batches were last checked, 0: not yet */
    atomic_bool sealed;  /* not the last one any more: a flush takes its indexes, too */
    struct index offsets;
    struct index times;
    struct txn_index txns;
};

/* The segment's struct alone; no file is touched. Owned: one reference. */
struct segment *segment_new(const struct fs *fs, const char *folder, int64_t base_offset);
/* The same with an ending behind the suffixes of its files (constant text). */
struct segment *segment_new_with(const struct fs *fs, const char *folder, int64_t base_offset,
                                 const char *ending);
/* Its files were renamed to their final names. */
void segment_renamed(struct segment *seg);
void segment_ref(struct segment *seg);
void segment_unref(struct segment *seg); /* NULL is fine */

/* Make sure that the log file is open (seg->log.file) until released. */
int segment_acquire(struct segment *seg) MUST_CHECK;
void segment_release(struct segment *seg);
/* Acquire and take a reference, to be given back on any thread. */
int segment_pin(struct segment *seg) MUST_CHECK;
/* `owner` is a struct segment: fits file_range.release. */
void segment_unpin(void *owner);

/* Create the log file, empty; -EEXIST when it is there. Indexes get their files with their first
 * page. */
int segment_create(struct segment *seg) MUST_CHECK;
/* The segment's path with a suffix such as ".log", and its ending. */
void segment_path(const struct segment *seg, const char *suffix, char path[FS_PATH_MAX]);

/* The header of the batch at `position`. 1; 0 at the end of the whole batches; -EBADMSG, -errno. */
int segment_header_at(struct segment *seg, int64_t position, struct batch_header *h) MUST_CHECK;
/* Read a batch, acquired, and check its CRC. `chunk` has room for SEGMENT_CRC_CHUNK bytes. 0,
 * -EBADMSG, -errno. */
#define SEGMENT_CRC_CHUNK (64 * 1024)
int segment_check_crc(const struct segment *seg, int64_t position, const struct batch_header *h,
                      uint8_t *chunk) MUST_CHECK;
/* First batch with last offset >= `offset`: 1 and its position and header; 0: there is none (then
 * *position is the end); -EBADMSG, -errno. */
int segment_find(struct segment *seg, int64_t offset, int64_t *position,
                 struct batch_header *h) MUST_CHECK;
/* Largest batch boundary in [from, upto]; `from` is one. */
int segment_boundary(struct segment *seg, int64_t from, int64_t upto, int64_t *boundary) MUST_CHECK;

/* Write behind the whole batches; their number does not change. On an error what was written is cut
 * off again; *cut_error: when even that failed. */
int segment_write(struct segment *seg, const uint8_t *bytes, size_t size,
                  int *cut_error) MUST_CHECK;
/* Take disk blocks for so many bytes of the log file, or give back those behind its end. 0 or
 * -errno. */
int segment_reserve(struct segment *seg, int64_t size) MUST_CHECK;
int segment_trim(struct segment *seg) MUST_CHECK;
/* Account for a batch that stands at `position` (= size before it): offsets, timestamps, sparse
 * index entries. -errno: an index could not be written; the entry is kept in memory. */
int segment_note(struct segment *seg, const struct batch_header *h, int64_t position,
                 int32_t index_interval_bytes) MUST_CHECK;
/* Learn end offset, timestamps and index distance from the indexes and the headers behind their
 * last entry; size is set. -EBADMSG when the batches do not fill the file exactly. */
int segment_load_tail(struct segment *seg) MUST_CHECK;
/* Keep the first `size` bytes, whole batches; not synced. */
int segment_cut(struct segment *seg, int64_t size) MUST_CHECK;
/* Write what the indexes hold in memory, the closing time entry included. */
int segment_store_indexes(struct segment *seg) MUST_CHECK;
/* Pinned: fdatasync the log and, once sealed, the indexes, and the folder when the name is new. No
 * lock. */
int segment_sync(struct segment *seg) MUST_CHECK;

/* Rename the files to <name>.deleted. Readers keep theirs. */
int segment_rename_deleted(struct segment *seg) MUST_CHECK;
/* Remove the files now, the log file first. */
int segment_remove(struct segment *seg) MUST_CHECK;
/* Remove the files that segment_rename_deleted() left. */
int segment_remove_deleted(struct segment *seg) MUST_CHECK;
