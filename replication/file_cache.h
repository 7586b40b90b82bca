/*
 * A bound on the open files of all logs of a node: the files used least recently are closed.
 *
 *   closed --acquire--> in use (counted) --last release--> idle --evicted--> closed
 *
 * Only idle files are closed, so the number may exceed the bound while more are in use at once. A
 * file with unsynced bytes is synced before it is closed: whoever opened it anew could not learn of
 * a lost write. Such an error stays with the file.
 *
 * Any thread; one lock inside, held shortly. The cache is counted: by its maker and by every file
 * in it.
 */
#pragma once

#include "proto/base/list.h"
#include "replication/fs.h"

struct file_cache;

/* Embedded in what owns the file. All fields are the cache's, but for `file` while it is in use. */
struct cached_file {
    struct list link; /* idle files, the one used least recently first */
    struct fs_file file;
    int users;
    bool dirty;     /* written since the last sync began */
    int sync_error; /* of a sync before eviction */
};

/* Owned: one reference. open_max >= 1. */
struct file_cache *file_cache_new(const struct fs *fs, int open_max);
struct file_cache *file_cache_ref(struct file_cache *cache);
void file_cache_unref(struct file_cache *cache);
int file_cache_open_count(struct file_cache *cache);

/* Take over a file that was just opened; it is idle. */
void file_cache_add(struct file_cache *cache, struct cached_file *f, struct fs_file file);
/* Make sure that it is open and stays so. Each success is paired with a release. 0 or -errno. */
int file_cache_acquire(struct file_cache *cache, struct cached_file *f,
                       const char *path) MUST_CHECK;
void file_cache_release(struct file_cache *cache, struct cached_file *f);
/* Close it; nobody uses it. */
void file_cache_remove(struct file_cache *cache, struct cached_file *f);

/* In use: bytes were written. */
void file_cache_wrote(struct file_cache *cache, struct cached_file *f);
/* In use: fdatasync. 0 or -errno, also of an earlier sync. */
int file_cache_sync(struct file_cache *cache, struct cached_file *f) MUST_CHECK;
