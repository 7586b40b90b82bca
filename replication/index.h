/*
 * A segment's sparse index: fixed-size entries in growing order of key, at the end of a file.
 *
 *   <base>.index      8 bytes  offset - base (4), position of its batch in the log (4)
 *   <base>.timeindex 12 bytes  largest timestamp so far (8), last offset - base of its batch (4)
 *
 * All numbers are big-endian, as Apache Kafka writes them. An offset entry names the *last* offset
 * of the batch at that position. New entries gather in memory and are written a page at a time: a
 * lost tail costs only a longer scan, and recovery brings it back. Searching reads the file (never
 * mapped: it can be cut) in a binary search that ends in one block.
 *
 * Lock: the log's.
 */
#pragma once

#include "proto/base/buffer.h"
#include "replication/fs.h"

struct index_entry {
    int64_t key;   /* offset - base, or timestamp */
    int64_t value; /* position, or offset - base */
};

struct index {
    const struct fs *fs;
    char *path;
    int key_size;         /* 4: offset index, 8: time index; the value has 4 */
    int64_t count;        /* entries in all */
    int64_t count_stored; /* of them in the file; the others are in `pending` */
    struct buffer pending;
    struct index_entry last; /* valid when count > 0 */
};

#define INDEX_OFFSET_KEY_SIZE 4
#define INDEX_TIME_KEY_SIZE   8

/* Begin with an empty index; the file is neither read nor touched. path: copied. */
void index_init(struct index *ix, const struct fs *fs, const char *path, int key_size);
void index_deinit(struct index *ix);
/* The file has another name from now on; nobody else uses the index yet. */
void index_rename(struct index *ix, const char *path);

/* Take over what the file holds. -ENOENT; -EBADMSG when it cannot be an index (its size is no
 * multiple of an entry, or order and last entry are wrong); `thorough` reads all of it. */
int index_load(struct index *ix, bool thorough) MUST_CHECK;

/* Add an entry behind the last; key and value must both be larger than (time index: value not less
 * than) the last ones, else it is not added. 0, or -errno when a full page could not be written:
 * the entry stays pending. */
int index_append(struct index *ix, struct index_entry entry) MUST_CHECK;

/* Write what is pending; not synced. */
int index_store(struct index *ix) MUST_CHECK;
/* Make the file durable (after index_store()); takes no lock: path and fs are constant. */
int index_sync(const struct index *ix) MUST_CHECK;

/* Last entry with key <= `key` (or value <= `value`). 1 found, 0 none, -errno. */
int index_floor(const struct index *ix, int64_t key, struct index_entry *found) MUST_CHECK;
int index_floor_value(const struct index *ix, int64_t value, struct index_entry *found) MUST_CHECK;

/* Keep only the entries whose value (offset index: position; time index: offset) is below
 * `value_end`; the file is cut too. */
int index_truncate(struct index *ix, int64_t value_end) MUST_CHECK;
/* Throw all entries away, in memory and with the file; it comes back when something is stored. */
int index_forget(struct index *ix) MUST_CHECK;

int64_t index_size_bytes(const struct index *ix);
