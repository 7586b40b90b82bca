/* A segment's files, and finding batches in them. */
#include "replication/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/crc32c.h"

#define CRC_FROM 21 /* the CRC covers the batch from its attributes on */

static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};

static void name_indexes(struct segment *seg)
{
    char path[FS_PATH_MAX];
    segment_path(seg, ".index", path);
    index_rename(&seg->offsets, path);
    segment_path(seg, ".timeindex", path);
    index_rename(&seg->times, path);
    segment_path(seg, ".txnindex", path);
    txn_index_rename(&seg->txns, path);
}

struct segment *segment_new_with(const struct fs *fs, const char *folder, int64_t base_offset,
                                 const char *ending)
{
    char path[FS_PATH_MAX];
    struct segment *seg = mem_zalloc(sizeof(*seg));
    snprintf(path, sizeof(path), "%s/%020" PRId64, folder, base_offset);
    seg->fs = fs;
    seg->path = mem_strdup(path);
    seg->ending = ending;
    seg->base_offset = seg->end_offset = base_offset;
    seg->files = fs->files != NULL ? file_cache_ref(fs->files) : file_cache_new(fs, 1);
    seg->log.file = FS_FILE_NONE;
    seg->max_timestamp = seg->max_timestamp_offset = seg->first_timestamp = -1;
    atomic_init(&seg->refs, 1);
    atomic_init(&seg->named, false);
    atomic_init(&seg->sealed, false);
    index_init(&seg->offsets, fs, path, INDEX_OFFSET_KEY_SIZE);
    index_init(&seg->times, fs, path, INDEX_TIME_KEY_SIZE);
    txn_index_init(&seg->txns, fs, path);
    name_indexes(seg);
    return seg;
}

struct segment *segment_new(const struct fs *fs, const char *folder, int64_t base_offset)
{
    return segment_new_with(fs, folder, base_offset, "");
}

void segment_renamed(struct segment *seg)
{
    seg->ending = "";
    name_indexes(seg);
}

void segment_ref(struct segment *seg)
{
    atomic_fetch_add_explicit(&seg->refs, 1, memory_order_relaxed);
}

void segment_unref(struct segment *seg)
{
    if (seg == NULL || atomic_fetch_sub_explicit(&seg->refs, 1, memory_order_acq_rel) > 1)
        return;
    file_cache_remove(seg->files, &seg->log);
    file_cache_unref(seg->files);
    index_deinit(&seg->offsets);
    index_deinit(&seg->times);
    txn_index_deinit(&seg->txns);
    free(seg->path);
    free(seg);
}

int segment_acquire(struct segment *seg)
{
    char path[FS_PATH_MAX];
    segment_path(seg, ".log", path);
    return file_cache_acquire(seg->files, &seg->log, path);
}

void segment_release(struct segment *seg)
{
    file_cache_release(seg->files, &seg->log);
}

int segment_pin(struct segment *seg)
{
    int err = segment_acquire(seg);
    if (err == 0)
        segment_ref(seg);
    return err;
}

void segment_unpin(void *owner)
{
    struct segment *seg = owner;
    segment_release(seg);
    segment_unref(seg);
}

void segment_path(const struct segment *seg, const char *suffix, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s%s%s", seg->path, suffix, seg->ending);
}

int segment_create(struct segment *seg)
{
    char path[FS_PATH_MAX];
    segment_path(seg, ".log", path);
    struct fs_file file;
    int err = seg->fs->open(seg->fs->arg, path, FS_CREATE_NEW, &file);
    if (err != 0)
        return err;
    file_cache_add(seg->files, &seg->log, file);
    err = index_forget(&seg->offsets);
    if (err == 0)
        err = index_forget(&seg->times);
    if (err != 0 && segment_remove(seg) != 0)
        return err; /* it holds nothing: found again, it is an empty segment */
    return err;
}

int segment_header_at(struct segment *seg, int64_t position, struct batch_header *h)
{
    uint8_t bytes[BATCH_HEADER_SIZE];
    if (position >= seg->size)
        return 0;
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    int64_t got = seg->fs->read(seg->fs->arg, seg->log.file, bytes, sizeof(bytes), position);
    segment_release(seg);
    if (got < 0)
        return (int)got;
    err = batch_header_decode(slice_of(bytes, (size_t)got), h);
    if (err != 0)
        return err;
    return position + batch_size(h) <= seg->size ? 1 : -EBADMSG;
}

int segment_check_crc(const struct segment *seg, int64_t position, const struct batch_header *h,
                      uint8_t *chunk)
{
    uint32_t crc = 0;
    int64_t end = position + batch_size(h);
    for (int64_t at = position + CRC_FROM; at < end;) {
        size_t size = (size_t)MIN(end - at, (int64_t)SEGMENT_CRC_CHUNK);
        int64_t got = seg->fs->read(seg->fs->arg, seg->log.file, chunk, size, at);
        if (got < 0)
            return (int)got;
        if ((size_t)got != size)
            return -EBADMSG;
        crc = crc32c(crc, chunk, size);
        at += got;
    }
    return crc == h->crc ? 0 : -EBADMSG;
}

int segment_write(struct segment *seg, const uint8_t *bytes, size_t size, int *cut_error)
{
    *cut_error = 0;
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    file_cache_wrote(seg->files, &seg->log);
    err = fs_write_at(seg->fs, seg->log.file, bytes, size, seg->size);
    if (err != 0)
        *cut_error = seg->fs->truncate(seg->fs->arg, seg->log.file, seg->size);
    segment_release(seg);
    return err;
}

int segment_reserve(struct segment *seg, int64_t size)
{
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    err = seg->fs->reserve(seg->fs->arg, seg->log.file, size);
    segment_release(seg);
    return err;
}

int segment_trim(struct segment *seg)
{
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    err = seg->fs->truncate(seg->fs->arg, seg->log.file, seg->size);
    segment_release(seg);
    return err;
}

int segment_find(struct segment *seg, int64_t offset, int64_t *position, struct batch_header *h)
{
    *position = 0;
    if (offset >= seg->end_offset) {
        *position = seg->size;
        return 0;
    }
    struct index_entry entry;
    /* An entry names its batch's last offset, so the floor of offset - 1 never lies behind it. */
    int found = index_floor(&seg->offsets, offset - seg->base_offset, &entry);
    if (found < 0)
        return found;
    if (found > 0)
        *position = entry.value;
    for (;;) {
        found = segment_header_at(seg, *position, h);
        if (found <= 0 || batch_last_offset(h) >= offset)
            return found;
        *position += batch_size(h);
    }
}

int segment_boundary(struct segment *seg, int64_t from, int64_t upto, int64_t *boundary)
{
    struct batch_header h;
    struct index_entry entry;
    *boundary = from;
    int found = index_floor_value(&seg->offsets, upto, &entry);
    if (found < 0)
        return found;
    if (found > 0)
        *boundary = MAX(from, entry.value);
    for (;;) {
        found = segment_header_at(seg, *boundary, &h);
        if (found < 0)
            return found;
        if (found == 0 || *boundary + batch_size(&h) > upto)
            return 0;
        *boundary += batch_size(&h);
    }
}

static int index_time(struct segment *seg)
{
    if (seg->max_timestamp < 0)
        return 0;
    return index_append(
        &seg->times,
        (struct index_entry){seg->max_timestamp, seg->max_timestamp_offset - seg->base_offset});
}

static int index_batch(struct segment *seg, const struct batch_header *h, int64_t position)
{
    int err = index_time(seg);
    int offset_err = index_append(
        &seg->offsets, (struct index_entry){batch_last_offset(h) - seg->base_offset, position});
    return err != 0 ? err : offset_err;
}

int segment_note(struct segment *seg, const struct batch_header *h, int64_t position,
                 int32_t index_interval_bytes)
{
    int err = 0;
    if (h->max_timestamp > seg->max_timestamp) {
        seg->max_timestamp = h->max_timestamp;
        seg->max_timestamp_offset = batch_last_offset(h);
    }
    if (position == 0)
        seg->first_timestamp = h->max_timestamp;
    if (seg->bytes_since_index > index_interval_bytes) {
        err = index_batch(seg, h, position);
        seg->bytes_since_index = 0;
    }
    seg->bytes_since_index += batch_size(h);
    seg->size = position + batch_size(h);
    seg->end_offset = batch_next_offset(h);
    return err;
}

/* Take over what the time index says about the batches that are not read. */
static void load_times(struct segment *seg)
{
    seg->max_timestamp = seg->max_timestamp_offset = -1;
    if (seg->times.count == 0)
        return;
    seg->max_timestamp = seg->times.last.key;
    seg->max_timestamp_offset = seg->base_offset + seg->times.last.value;
}

int segment_load_tail(struct segment *seg)
{
    struct batch_header h;
    int64_t position = seg->offsets.count > 0 ? seg->offsets.last.value : 0;
    load_times(seg);
    seg->end_offset = seg->base_offset;
    seg->bytes_since_index = 0;
    seg->first_timestamp = -1;
    int found = segment_header_at(seg, 0, &h);
    if (found > 0)
        seg->first_timestamp = h.max_timestamp;
    while ((found = segment_header_at(seg, position, &h)) > 0) {
        if (h.base_offset < seg->end_offset || h.last_offset_delta < 0)
            return -EBADMSG;
        if (h.max_timestamp > seg->max_timestamp) {
            seg->max_timestamp = h.max_timestamp;
            seg->max_timestamp_offset = batch_last_offset(&h);
        }
        seg->end_offset = batch_next_offset(&h);
        seg->bytes_since_index += batch_size(&h);
        position += batch_size(&h);
    }
    if (found == 0 && position != seg->size)
        return -EBADMSG; /* an index that is longer than the log */
    return found;
}

int segment_cut(struct segment *seg, int64_t size)
{
    int err = segment_acquire(seg);
    if (err != 0)
        return err;
    file_cache_wrote(seg->files, &seg->log);
    err = seg->fs->truncate(seg->fs->arg, seg->log.file, size);
    segment_release(seg);
    if (err == 0)
        err = index_truncate(&seg->offsets, size);
    if (err != 0)
        return err;
    seg->size = size;
    err = segment_load_tail(seg); /* the end offset, for the time index */
    if (err == 0)
        err = index_truncate(&seg->times, seg->end_offset - seg->base_offset);
    if (err == 0)
        err = txn_index_truncate(&seg->txns, seg->end_offset);
    return err != 0 ? err : segment_load_tail(seg);
}

int segment_store_indexes(struct segment *seg)
{
    int err = index_time(seg);
    if (err == 0)
        err = index_store(&seg->offsets);
    if (err == 0)
        err = index_store(&seg->times);
    if (err == 0)
        err = txn_index_store(&seg->txns);
    return err;
}

int segment_sync(struct segment *seg)
{
    int err = file_cache_sync(seg->files, &seg->log);
    if (err == 0 && atomic_load(&seg->sealed)) {
        err = index_sync(&seg->offsets);
        if (err == 0)
            err = index_sync(&seg->times);
        if (err == 0)
            err = txn_index_sync(&seg->txns);
    }
    if (err == 0 && !atomic_load(&seg->named)) {
        char folder[FS_PATH_MAX];
        fs_folder_of(seg->path, folder);
        err = seg->fs->sync_dir(seg->fs->arg, folder);
        if (err == 0)
            atomic_store(&seg->named, true);
    }
    return err;
}

int segment_rename_deleted(struct segment *seg)
{
    int err = 0;
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char from[FS_PATH_MAX], to[FS_PATH_MAX + 16];
        segment_path(seg, suffixes[i], from);
        snprintf(to, sizeof(to), "%s.deleted", from);
        int rc = seg->fs->rename(seg->fs->arg, from, to);
        if (rc != 0 && rc != -ENOENT && err == 0)
            err = rc;
    }
    return err;
}

static int remove_files(struct segment *seg, const char *ending)
{
    int err = 0;
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char path[FS_PATH_MAX], full[FS_PATH_MAX + 16];
        segment_path(seg, suffixes[i], path);
        snprintf(full, sizeof(full), "%s%s", path, ending);
        int rc = seg->fs->remove(seg->fs->arg, full);
        if (rc != 0 && rc != -ENOENT && err == 0)
            err = rc;
    }
    return err;
}

int segment_remove(struct segment *seg)
{
    return remove_files(seg, "");
}

int segment_remove_deleted(struct segment *seg)
{
    return remove_files(seg, ".deleted");
}
