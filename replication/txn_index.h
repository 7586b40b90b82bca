/*
 * A segment's aborted transactions: <base>.txnindex, Apache Kafka's format.
 *
 *   34 bytes each, big-endian:  version int16 = 0, producer id int64, first offset int64,
 *   last offset int64 (the marker's), last stable offset after it int64
 *
 * Entries stand in the order of their markers. The file exists only once something was aborted.
 * They are few: all are kept in memory, and written as they come.
 *
 * Lock: the log's.
 */
#pragma once

#include "proto/base/vec.h"
#include "replication/fs.h"

struct aborted_txn {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* of its marker */
    int64_t last_stable_offset;
};

struct txn_index {
    const struct fs *fs;
    char *path;
    size_t count_stored; /* entries that are in the file */
    VEC(struct aborted_txn) entries;
};

/* Begin empty; the file is neither read nor touched. path: copied. */
void txn_index_init(struct txn_index *ix, const struct fs *fs, const char *path);
void txn_index_deinit(struct txn_index *ix);
/* The file has another name from now on; nobody else uses the index yet. */
void txn_index_rename(struct txn_index *ix, const char *path);

/* Take over what the file holds; none is the same as empty. -EBADMSG: it cannot be the index of a
 * segment with these offsets. */
int txn_index_load(struct txn_index *ix, int64_t base_offset, int64_t end_offset) MUST_CHECK;
/* 0, or -errno when it could not be written: the entry is kept in memory. */
int txn_index_append(struct txn_index *ix, struct aborted_txn txn) MUST_CHECK;
/* Write what is only in memory; not synced. */
int txn_index_store(struct txn_index *ix) MUST_CHECK;
/* Make the file durable; takes no lock: path and fs are constant. */
int txn_index_sync(const struct txn_index *ix) MUST_CHECK;
/* Drop the entries whose marker stands at or above end_offset. */
int txn_index_truncate(struct txn_index *ix, int64_t end_offset) MUST_CHECK;
