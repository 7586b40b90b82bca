/* Sparse index files. The two kinds differ only in the width of the key. */
#include "replication/index.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/wire.h"

#define BLOCK_SIZE     4096
#define VALUE_SIZE     4
#define ENTRY_SIZE_MAX 12
#define COUNT_MAX      (INT64_C(1) << 28) /* above: not an index file */

static size_t entry_size(const struct index *ix)
{
    return (size_t)ix->key_size + VALUE_SIZE;
}

static struct index_entry entry_decode(const struct index *ix, const uint8_t *bytes)
{
    uint64_t key = wire_load(bytes, ix->key_size);
    return (struct index_entry){.key = (int64_t)key,
                                .value = (int64_t)wire_load(bytes + ix->key_size, VALUE_SIZE)};
}

void index_init(struct index *ix, const struct fs *fs, const char *path, int key_size)
{
    *ix = (struct index){.fs = fs, .path = mem_strdup(path), .key_size = key_size};
}

void index_deinit(struct index *ix)
{
    free(ix->path);
    buffer_deinit(&ix->pending);
    *ix = (struct index){0};
}

void index_rename(struct index *ix, const char *path)
{
    free(ix->path);
    ix->path = mem_strdup(path);
}

/* May b stand behind a? */
static bool in_order(const struct index *ix, struct index_entry a, struct index_entry b)
{
    if (ix->key_size == INDEX_TIME_KEY_SIZE)
        return b.key > a.key && b.value >= a.value;
    return b.key > a.key && b.value > a.value;
}

static int check_order(const struct index *ix, struct fs_file file, int64_t count)
{
    uint8_t block[BLOCK_SIZE / ENTRY_SIZE_MAX * ENTRY_SIZE_MAX];
    int64_t a_block = (int64_t)(sizeof(block) / entry_size(ix));
    struct index_entry before = {.key = -1, .value = -1};
    for (int64_t i = 0; i < count; i += a_block) {
        int64_t n = MIN(a_block, count - i);
        size_t size = (size_t)n * entry_size(ix);
        int64_t got = ix->fs->read(ix->fs->arg, file, block, size, i * (int64_t)entry_size(ix));
        if (got < 0)
            return (int)got;
        if ((size_t)got != size)
            return -EBADMSG;
        for (int64_t k = 0; k < n; k++) {
            struct index_entry entry = entry_decode(ix, block + (size_t)k * entry_size(ix));
            if (!in_order(ix, before, entry))
                return -EBADMSG;
            before = entry;
        }
    }
    return 0;
}

static int load_open(struct index *ix, struct fs_file file, bool thorough)
{
    int64_t size = ix->fs->size(ix->fs->arg, file);
    if (size < 0)
        return (int)size;
    int64_t count = size / (int64_t)entry_size(ix);
    if (size % (int64_t)entry_size(ix) != 0 || count > COUNT_MAX)
        return -EBADMSG;
    if (thorough) {
        int err = check_order(ix, file, count);
        if (err != 0)
            return err;
    }
    if (count > 0) {
        uint8_t bytes[ENTRY_SIZE_MAX];
        int64_t got = ix->fs->read(ix->fs->arg, file, bytes, entry_size(ix),
                                   (count - 1) * (int64_t)entry_size(ix));
        if (got < 0)
            return (int)got;
        if ((size_t)got != entry_size(ix))
            return -EBADMSG;
        ix->last = entry_decode(ix, bytes);
        /* Many zero entries are what a preallocated or torn file looks like. */
        if (ix->last.key < 0 || (count > 1 && ix->last.key == 0))
            return -EBADMSG;
    }
    ix->count = ix->count_stored = count;
    return 0;
}

int index_load(struct index *ix, bool thorough)
{
    struct fs_file file;
    buffer_clear(&ix->pending);
    ix->count = ix->count_stored = 0;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_READ, &file);
    if (err != 0)
        return err;
    err = load_open(ix, file, thorough);
    ix->fs->close(ix->fs->arg, file);
    return err;
}

int index_append(struct index *ix, struct index_entry entry)
{
    if (ix->count > 0 && !in_order(ix, ix->last, entry))
        return 0;
    uint8_t *bytes = buffer_reserve(&ix->pending, entry_size(ix));
    wire_store(bytes, (uint64_t)entry.key, ix->key_size);
    wire_store(bytes + ix->key_size, (uint64_t)entry.value, VALUE_SIZE);
    ix->pending.size += entry_size(ix);
    ix->count++;
    ix->last = entry;
    return ix->pending.size >= BLOCK_SIZE ? index_store(ix) : 0;
}

int index_store(struct index *ix)
{
    struct fs_file file;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_CREATE, &file);
    if (err != 0)
        return err;
    if (ix->pending.size > 0)
        err = fs_write_at(ix->fs, file, ix->pending.data, ix->pending.size,
                          ix->count_stored * (int64_t)entry_size(ix));
    ix->fs->close(ix->fs->arg, file);
    if (err != 0)
        return err;
    ix->count_stored = ix->count;
    buffer_clear(&ix->pending);
    return 0;
}

int index_sync(const struct index *ix)
{
    struct fs_file file;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_WRITE, &file);
    if (err == -ENOENT)
        return 0; /* the segment was deleted meanwhile */
    if (err != 0)
        return err;
    err = ix->fs->sync(ix->fs->arg, file);
    ix->fs->close(ix->fs->arg, file);
    return err;
}

static int64_t compared(struct index_entry entry, bool by_value)
{
    return by_value ? entry.value : entry.key;
}

/* Last of `count` entries in memory that is <= wanted; -1 if none. */
static int64_t floor_in_memory(const struct index *ix, const uint8_t *bytes, int64_t count,
                               bool by_value, int64_t wanted)
{
    int64_t low = -1, high = count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        struct index_entry entry = entry_decode(ix, bytes + (size_t)middle * entry_size(ix));
        if (compared(entry, by_value) <= wanted)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int read_entries(const struct index *ix, struct fs_file file, int64_t first, int64_t count,
                        uint8_t *out)
{
    size_t size = (size_t)count * entry_size(ix);
    int64_t got = ix->fs->read(ix->fs->arg, file, out, size, first * (int64_t)entry_size(ix));
    if (got < 0)
        return (int)got;
    return (size_t)got == size ? 0 : -EIO;
}

static int floor_in_file(const struct index *ix, struct fs_file file, bool by_value, int64_t wanted,
                         int64_t *at, struct index_entry *found)
{
    uint8_t block[BLOCK_SIZE];
    int64_t a_block = (int64_t)(sizeof(block) / entry_size(ix));
    int64_t low = 0, high = ix->count_stored; /* the answer is in [low - 1, high) */
    while (high - low > a_block) {
        int64_t middle = low + (high - low) / 2;
        int err = read_entries(ix, file, middle, 1, block);
        if (err != 0)
            return err;
        if (compared(entry_decode(ix, block), by_value) <= wanted)
            low = middle;
        else
            high = middle;
    }
    int err = read_entries(ix, file, low, high - low, block);
    if (err != 0)
        return err;
    int64_t i = floor_in_memory(ix, block, high - low, by_value, wanted);
    if (i < 0)
        return 0; /* low is 0 then: a moved low is itself <= wanted */
    *at = low + i;
    *found = entry_decode(ix, block + (size_t)i * entry_size(ix));
    return 1;
}

static int floor_by(const struct index *ix, bool by_value, int64_t wanted, int64_t *at,
                    struct index_entry *found)
{
    int64_t pending_count = ix->count - ix->count_stored;
    int64_t i = floor_in_memory(ix, ix->pending.data, pending_count, by_value, wanted);
    if (i >= 0) {
        *at = ix->count_stored + i;
        *found = entry_decode(ix, ix->pending.data + (size_t)i * entry_size(ix));
        return 1;
    }
    if (ix->count_stored == 0)
        return 0;
    struct fs_file file;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_READ, &file);
    if (err != 0)
        return err;
    err = floor_in_file(ix, file, by_value, wanted, at, found);
    ix->fs->close(ix->fs->arg, file);
    return err;
}

int index_floor(const struct index *ix, int64_t key, struct index_entry *found)
{
    int64_t at;
    return floor_by(ix, false, key, &at, found);
}

int index_floor_value(const struct index *ix, int64_t value, struct index_entry *found)
{
    int64_t at;
    return floor_by(ix, true, value, &at, found);
}

static int cut_file(struct index *ix, int64_t count)
{
    struct fs_file file;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_CREATE, &file);
    if (err != 0)
        return err;
    err = ix->fs->truncate(ix->fs->arg, file, count * (int64_t)entry_size(ix));
    ix->fs->close(ix->fs->arg, file);
    return err;
}

int index_truncate(struct index *ix, int64_t value_end)
{
    int64_t at = -1;
    struct index_entry last = {0};
    int found = floor_by(ix, true, value_end - 1, &at, &last);
    if (found < 0)
        return found;
    int64_t keep = found ? at + 1 : 0;
    if (keep == ix->count)
        return 0;
    if (keep < ix->count_stored) {
        int err = cut_file(ix, keep);
        if (err != 0)
            return err;
        ix->count_stored = keep;
        buffer_clear(&ix->pending);
    } else {
        ix->pending.size = (size_t)(keep - ix->count_stored) * entry_size(ix);
    }
    ix->count = keep;
    ix->last = last;
    return 0;
}

int index_forget(struct index *ix)
{
    int err = ix->fs->remove(ix->fs->arg, ix->path);
    buffer_clear(&ix->pending);
    ix->count = ix->count_stored = 0;
    return err == -ENOENT ? 0 : err;
}

int64_t index_size_bytes(const struct index *ix)
{
    return ix->count * (int64_t)entry_size(ix);
}
