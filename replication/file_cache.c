/* The node's open log files. */
#include "replication/file_cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "proto/base/thread.h"

struct file_cache {
    struct fs fs; /* constant; a copy, since files may outlive the log's table */
    int open_max; /* constant */
    atomic_int refs;
    struct mutex lock;
    struct list idle; /* guarded by lock */
    int open_count;   /* guarded by lock */
};

struct file_cache *file_cache_new(const struct fs *fs, int open_max)
{
    struct file_cache *cache = mem_zalloc(sizeof(*cache));
    cache->fs = *fs;
    cache->open_max = open_max;
    atomic_init(&cache->refs, 1);
    mutex_init(&cache->lock);
    list_init(&cache->idle);
    return cache;
}

struct file_cache *file_cache_ref(struct file_cache *cache)
{
    atomic_fetch_add_explicit(&cache->refs, 1, memory_order_relaxed);
    return cache;
}

void file_cache_unref(struct file_cache *cache)
{
    if (cache == NULL || atomic_fetch_sub_explicit(&cache->refs, 1, memory_order_acq_rel) > 1)
        return;
    mutex_deinit(&cache->lock);
    free(cache);
}

int file_cache_open_count(struct file_cache *cache)
{
    mutex_lock(&cache->lock);
    int count = cache->open_count;
    mutex_unlock(&cache->lock);
    return count;
}

static void close_file(struct file_cache *cache, struct cached_file *f) HOLDS(cache->lock)
{
    list_remove(&f->link);
    cache->fs.close(cache->fs.arg, f->file);
    f->file = FS_FILE_NONE;
    cache->open_count--;
}

/* Sync without the lock; the file counts as used meanwhile. */
static void sync_unlocked(struct file_cache *cache, struct cached_file *f) HOLDS(cache->lock)
{
    list_remove(&f->link);
    f->users++;
    f->dirty = false;
    mutex_unlock(&cache->lock);
    int err = cache->fs.sync(cache->fs.arg, f->file);
    mutex_lock(&cache->lock);
    if (err != 0 && f->sync_error == 0)
        f->sync_error = err;
    if (--f->users == 0)
        list_push_front(&cache->idle, &f->link);
}

/* The idle file to close first: one without unsynced bytes, if there is any. */
static struct cached_file *eviction_choice(struct file_cache *cache) HOLDS(cache->lock)
{
    LIST_FOR_EACH (f, &cache->idle, struct cached_file, link)
        if (!f->dirty)
            return f;
    if (list_is_empty(&cache->idle))
        return NULL;
    return CONTAINER_OF(cache->idle.next, struct cached_file, link);
}

static void evict(struct file_cache *cache, int open_max) HOLDS(cache->lock)
{
    while (cache->open_count > open_max) {
        struct cached_file *f = eviction_choice(cache);
        if (f == NULL)
            return;
        if (f->dirty)
            sync_unlocked(cache, f);
        else
            close_file(cache, f);
    }
}

void file_cache_add(struct file_cache *cache, struct cached_file *f, struct fs_file file)
{
    mutex_lock(&cache->lock);
    evict(cache, cache->open_max - 1);
    f->file = file;
    cache->open_count++;
    list_push_back(&cache->idle, &f->link);
    mutex_unlock(&cache->lock);
}

int file_cache_acquire(struct file_cache *cache, struct cached_file *f, const char *path)
{
    mutex_lock(&cache->lock);
    if (f->file.fd >= 0) {
        list_remove(&f->link);
        f->users++;
        mutex_unlock(&cache->lock);
        return 0;
    }
    evict(cache, cache->open_max - 1);
    cache->open_count++;
    mutex_unlock(&cache->lock);

    struct fs_file file;
    int err = cache->fs.open(cache->fs.arg, path, FS_WRITE, &file);
    if (err == -EMFILE || err == -ENFILE) { /* sockets took what was left */
        mutex_lock(&cache->lock);
        evict(cache, cache->open_count / 2);
        mutex_unlock(&cache->lock);
        err = cache->fs.open(cache->fs.arg, path, FS_WRITE, &file);
    }
    mutex_lock(&cache->lock);
    if (err == 0 && f->file.fd < 0) {
        f->file = file;
        f->users++;
    } else {
        cache->open_count--;
        if (err == 0) { /* another thread was quicker */
            cache->fs.close(cache->fs.arg, file);
            list_remove(&f->link);
            f->users++;
        }
    }
    mutex_unlock(&cache->lock);
    return err;
}

void file_cache_release(struct file_cache *cache, struct cached_file *f)
{
    mutex_lock(&cache->lock);
    if (--f->users == 0) {
        list_push_back(&cache->idle, &f->link);
        evict(cache, cache->open_max);
    }
    mutex_unlock(&cache->lock);
}

void file_cache_remove(struct file_cache *cache, struct cached_file *f)
{
    mutex_lock(&cache->lock);
    if (f->file.fd >= 0)
        close_file(cache, f);
    mutex_unlock(&cache->lock);
}

void file_cache_wrote(struct file_cache *cache, struct cached_file *f)
{
    mutex_lock(&cache->lock);
    f->dirty = true;
    mutex_unlock(&cache->lock);
}

int file_cache_sync(struct file_cache *cache, struct cached_file *f)
{
    mutex_lock(&cache->lock);
    f->dirty = false;
    int earlier = f->sync_error;
    mutex_unlock(&cache->lock);
    return earlier != 0 ? earlier : cache->fs.sync(cache->fs.arg, f->file);
}
