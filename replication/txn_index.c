/* The transaction index of one segment. */
#include "replication/txn_index.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/buffer.h"
#include "proto/wire.h"

#define ENTRY_SIZE 34
#define VERSION    0
#define COUNT_MAX  (1 << 24) /* above: not an index file */

void txn_index_init(struct txn_index *ix, const struct fs *fs, const char *path)
{
    *ix = (struct txn_index){.fs = fs, .path = mem_strdup(path)};
}

void txn_index_deinit(struct txn_index *ix)
{
    free(ix->path);
    vec_deinit(&ix->entries);
    *ix = (struct txn_index){0};
}

void txn_index_rename(struct txn_index *ix, const char *path)
{
    free(ix->path);
    ix->path = mem_strdup(path);
}

static int decode(struct txn_index *ix, const uint8_t *bytes, size_t count, int64_t base_offset,
                  int64_t end_offset)
{
    int64_t before = base_offset - 1;
    for (size_t i = 0; i < count; i++, bytes += ENTRY_SIZE) {
        struct aborted_txn txn = {
            .producer_id = (int64_t)wire_load(bytes + 2, 8),
            .first_offset = (int64_t)wire_load(bytes + 10, 8),
            .last_offset = (int64_t)wire_load(bytes + 18, 8),
            .last_stable_offset = (int64_t)wire_load(bytes + 26, 8),
        };
        if (wire_load(bytes, 2) != VERSION || txn.last_offset <= before ||
            txn.last_offset >= end_offset || txn.first_offset > txn.last_offset)
            return -EBADMSG;
        before = txn.last_offset;
        vec_push(&ix->entries, txn);
    }
    return 0;
}

int txn_index_load(struct txn_index *ix, int64_t base_offset, int64_t end_offset)
{
    struct fs_file file;
    struct buffer bytes = {0};
    vec_clear(&ix->entries);
    ix->count_stored = 0;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_READ, &file);
    if (err != 0)
        return err == -ENOENT ? 0 : err;
    int64_t size = ix->fs->size(ix->fs->arg, file);
    if (size < 0)
        err = (int)size;
    else if (size % ENTRY_SIZE != 0 || size / ENTRY_SIZE > COUNT_MAX)
        err = -EBADMSG;
    if (err == 0 && size > 0) {
        uint8_t *at = buffer_reserve(&bytes, (size_t)size);
        int64_t got = ix->fs->read(ix->fs->arg, file, at, (size_t)size, 0);
        if (got != size)
            err = got < 0 ? (int)got : -EBADMSG;
        if (err == 0)
            err = decode(ix, at, (size_t)size / ENTRY_SIZE, base_offset, end_offset);
    }
    ix->fs->close(ix->fs->arg, file);
    buffer_deinit(&bytes);
    if (err != 0)
        vec_clear(&ix->entries);
    ix->count_stored = ix->entries.count;
    return err;
}

int txn_index_append(struct txn_index *ix, struct aborted_txn txn)
{
    vec_push(&ix->entries, txn);
    return txn_index_store(ix);
}

int txn_index_store(struct txn_index *ix)
{
    struct fs_file file;
    size_t count = ix->entries.count - ix->count_stored;
    if (count == 0)
        return 0;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_CREATE, &file);
    if (err != 0)
        return err;
    uint8_t *bytes = mem_alloc(count * ENTRY_SIZE);
    for (size_t i = 0; i < count; i++) {
        const struct aborted_txn *txn = &ix->entries.items[ix->count_stored + i];
        uint8_t *at = bytes + i * ENTRY_SIZE;
        wire_store(at, VERSION, 2);
        wire_store(at + 2, (uint64_t)txn->producer_id, 8);
        wire_store(at + 10, (uint64_t)txn->first_offset, 8);
        wire_store(at + 18, (uint64_t)txn->last_offset, 8);
        wire_store(at + 26, (uint64_t)txn->last_stable_offset, 8);
    }
    err = fs_write_at(ix->fs, file, bytes, count * ENTRY_SIZE,
                      (int64_t)ix->count_stored * ENTRY_SIZE);
    ix->fs->close(ix->fs->arg, file);
    free(bytes);
    if (err == 0)
        ix->count_stored = ix->entries.count;
    return err;
}

int txn_index_sync(const struct txn_index *ix)
{
    struct fs_file file;
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_WRITE, &file);
    if (err == -ENOENT)
        return 0; /* nothing was aborted, or the segment was deleted meanwhile */
    if (err != 0)
        return err;
    err = ix->fs->sync(ix->fs->arg, file);
    ix->fs->close(ix->fs->arg, file);
    return err;
}

int txn_index_truncate(struct txn_index *ix, int64_t end_offset)
{
    struct fs_file file;
    size_t keep = ix->entries.count;
    while (keep > 0 && ix->entries.items[keep - 1].last_offset >= end_offset)
        keep--;
    ix->entries.count = keep;
    /* Also a file with more than we know of: one that could not be loaded. */
    int err = ix->fs->open(ix->fs->arg, ix->path, FS_WRITE, &file);
    if (err != 0)
        return err == -ENOENT ? 0 : err;
    ix->count_stored = MIN(keep, ix->count_stored);
    err = ix->fs->truncate(ix->fs->arg, file, (int64_t)ix->count_stored * ENTRY_SIZE);
    ix->fs->close(ix->fs->arg, file);
    return err;
}
