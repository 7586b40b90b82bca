#include "tests/sim/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/buffer.h"
#include "proto/base/vec.h"

struct file {
    char *path; /* NULL: removed; open files stay readable */
    bool folder;
    struct buffer now;
    struct buffer synced;
    bool deaf; /* a sync failed: what is dirty stays so */
};

struct disk {
    bool full, sync_fails, stopping, stopped;
    int operations;           /* until it stops */
    VEC(struct file *) files; /* never removed, so that an index is a descriptor for ever */
};

static int find(struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->files.count; i++) {
        const char *name = d->files.items[i]->path;
        if (name != NULL && strcmp(name, path) == 0)
            return (int)i;
    }
    return -1;
}

static int add(struct disk *d, const char *path, bool folder)
{
    struct file *f = mem_zalloc(sizeof(*f));
    f->path = mem_strdup(path);
    f->folder = folder;
    vec_push(&d->files, f);
    return (int)d->files.count - 1;
}

/* Before every operation that changes something. 0 or -EIO. */
static int step(struct disk *d)
{
    if (d->stopping && d->operations-- <= 0)
        d->stopped = true;
    return d->stopped ? -EIO : 0;
}

static int disk_open(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file)
{
    int i = find(arg, path);
    *file = FS_FILE_NONE;
    if (i >= 0 && mode == FS_CREATE_NEW)
        return -EEXIST;
    if (i < 0 && (mode == FS_READ || mode == FS_WRITE))
        return -ENOENT;
    if (i < 0 && step(arg) != 0)
        return -EIO;
    file->fd = i >= 0 ? i : add(arg, path, false);
    return 0;
}

static void disk_close(void *arg, struct fs_file file)
{
    (void)arg;
    (void)file;
}

static struct file *get(void *arg, struct fs_file file)
{
    struct disk *d = arg;
    CHECK(file.fd >= 0 && (size_t)file.fd < d->files.count);
    return d->files.items[file.fd];
}

static int64_t disk_read(void *arg, struct fs_file file, void *out, size_t size, int64_t position)
{
    const struct file *f = get(arg, file);
    if (position >= (int64_t)f->now.size)
        return 0;
    size_t n = MIN(size, f->now.size - (size_t)position);
    memcpy(out, f->now.data + position, n);
    return (int64_t)n;
}

static void resize(struct buffer *b, size_t size)
{
    if (size > b->size)
        memset(buffer_reserve(b, size - b->size), 0, size - b->size);
    b->size = size;
}

static int disk_write(void *arg, struct fs_file file, const struct iovec *parts, int count,
                      int64_t position)
{
    struct file *f = get(arg, file);
    struct disk *d = arg;
    if (step(d) != 0)
        return -EIO;
    int err = 0;
    for (int i = 0; i < count && err == 0; i++) {
        size_t size = parts[i].iov_len;
        if (d->full && i == count - 1) {
            size /= 2;
            err = -ENOSPC;
        }
        size_t end = (size_t)position + size;
        if (end > f->now.size)
            resize(&f->now, end);
        if (size > 0)
            memcpy(f->now.data + position, parts[i].iov_base, size);
        position = (int64_t)end;
    }
    return err;
}

static int disk_truncate(void *arg, struct fs_file file, int64_t size)
{
    if (step(arg) != 0)
        return -EIO;
    resize(&get(arg, file)->now, (size_t)size);
    return 0;
}

static void disk_uncache(void *arg, struct fs_file file, int64_t position, int64_t size)
{
    (void)arg;
    (void)file;
    (void)position;
    (void)size;
}

static int disk_reserve(void *arg, struct fs_file file, int64_t size)
{
    (void)arg;
    (void)file;
    (void)size;
    return 0;
}

static void make_durable(struct file *f)
{
    f->synced.size = 0;
    buffer_append(&f->synced, f->now.data, f->now.size);
}

static int disk_sync(void *arg, struct fs_file file)
{
    struct disk *d = arg;
    struct file *f = get(arg, file);
    if (step(d) != 0)
        return -EIO;
    if (d->sync_fails) {
        d->sync_fails = false;
        f->deaf = true;
        return -EIO;
    }
    if (!f->deaf)
        make_durable(f);
    return 0;
}

static int64_t disk_size(void *arg, struct fs_file file)
{
    return (int64_t)get(arg, file)->now.size;
}

static int disk_remove(void *arg, const char *path)
{
    struct disk *d = arg;
    int i = find(d, path);
    if (i < 0)
        return -ENOENT;
    if (step(d) != 0)
        return -EIO;
    free(d->files.items[i]->path);
    d->files.items[i]->path = NULL;
    return 0;
}

static int disk_rename(void *arg, const char *from, const char *to)
{
    struct disk *d = arg;
    size_t size = strlen(from);
    int i = find(d, from);
    if (i < 0)
        return -ENOENT;
    if (step(d) != 0)
        return -EIO;
    int old = find(d, to);
    if (old >= 0) {
        free(d->files.items[old]->path);
        d->files.items[old]->path = NULL;
    }
    for (size_t k = 0; k < d->files.count; k++) {
        char **path = &d->files.items[k]->path, text[FS_PATH_MAX];
        if (*path == NULL || strncmp(*path, from, size) != 0 ||
            ((*path)[size] != 0 && (*path)[size] != '/'))
            continue;
        snprintf(text, sizeof(text), "%s%s", to, *path + size);
        free(*path);
        *path = mem_strdup(text);
    }
    return 0;
}

static int disk_make_dir(void *arg, const char *path)
{
    if (find(arg, path) >= 0)
        return 0;
    if (step(arg) != 0)
        return -EIO;
    add(arg, path, true);
    return 0;
}

static int disk_sync_dir(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int disk_list(void *arg, const char *path, int (*each)(void *each_arg, const char *name),
                     void *each_arg)
{
    struct disk *d = arg;
    size_t size = strlen(path);
    VEC(char *) names = {0};
    int rc = find(d, path) < 0 ? -ENOENT : 0;
    for (size_t i = 0; i < d->files.count; i++) {
        const char *name = d->files.items[i]->path;
        if (name != NULL && strncmp(name, path, size) == 0 && name[size] == '/' &&
            strchr(name + size + 1, '/') == NULL)
            vec_push(&names, mem_strdup(name + size + 1));
    }
    if (names.count > 0)
        qsort(names.items, names.count, sizeof(char *), compare_names);
    for (size_t i = 0; i < names.count; i++) {
        if (rc == 0)
            rc = each(each_arg, names.items[i]);
        free(names.items[i]);
    }
    vec_deinit(&names);
    return rc;
}

static int64_t disk_free_bytes(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return INT64_MAX / 2;
}

struct disk *disk_new(void)
{
    return mem_zalloc(sizeof(struct disk));
}

void disk_free(struct disk *d)
{
    for (size_t i = 0; i < d->files.count; i++) {
        struct file *f = d->files.items[i];
        free(f->path);
        buffer_deinit(&f->now);
        buffer_deinit(&f->synced);
        free(f);
    }
    vec_deinit(&d->files);
    free(d);
}

struct fs disk_fs(struct disk *d)
{
    return (struct fs){.arg = d,
                       .open = disk_open,
                       .close = disk_close,
                       .read = disk_read,
                       .write = disk_write,
                       .uncache = disk_uncache,
                       .reserve = disk_reserve,
                       .truncate = disk_truncate,
                       .sync = disk_sync,
                       .size = disk_size,
                       .rename = disk_rename,
                       .remove = disk_remove,
                       .make_dir = disk_make_dir,
                       .sync_dir = disk_sync_dir,
                       .list = disk_list,
                       .free_bytes = disk_free_bytes};
}

void disk_set_full(struct disk *d, bool full)
{
    d->full = full;
}

void disk_fail_sync(struct disk *d)
{
    d->sync_fails = true;
}

void disk_stop_after(struct disk *d, int operations)
{
    d->stopping = true;
    d->operations = operations;
}

bool disk_stopped(const struct disk *d)
{
    return d->stopped;
}

bool disk_is_faulty(const struct disk *d)
{
    return d->stopped || d->stopping || d->sync_fails || d->full;
}

int64_t disk_crash(struct disk *d, struct rng *rng)
{
    int64_t lost = 0;
    d->sync_fails = d->stopping = d->stopped = false;
    for (size_t i = 0; i < d->files.count; i++) {
        struct file *f = d->files.items[i];
        size_t keep = f->synced.size;
        bool grew = !f->deaf && f->now.size > keep &&
                    (keep == 0 || memcmp(f->now.data, f->synced.data, keep) == 0);
        if (grew && rng_below(rng, 2) == 0)
            keep += rng_below(rng, f->now.size - keep + 1);
        lost += f->now.size > keep ? (int64_t)(f->now.size - keep) : 0;
        if (grew) {
            resize(&f->now, keep);
            make_durable(f);
        } else {
            f->now.size = 0;
            buffer_append(&f->now, f->synced.data, f->synced.size);
        }
        f->deaf = false;
    }
    return lost;
}
