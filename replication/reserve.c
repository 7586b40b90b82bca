/*
 * A file of blocks in every log folder that is given up when the disk is full: what makes room
 * again (DeleteRecords, deleting topics, retention) has to write a little itself, and so has the
 * metadata.
 *
 *   held --- a write met a full disk ---> given up: appends are refused without trying
 *    ^                                        |
 *    +---- twice its size is free again ------+
 */
#include <errno.h>
#include <stdio.h>

#include "proto/base/logging.h"
#include "replication/replicas_internal.h"

#define FILE_NAME ".millrace-reserve"
#define ROOM      2 /* times the reserve must be free before appends go on */

static void file_path(const struct log_dir *dir, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s/" FILE_NAME, dir->path);
}

static bool has_room(const struct replicas *rs, const struct log_dir *dir)
{
    int64_t free_bytes = rs->fs->free_bytes(rs->fs->arg, dir->path);
    return free_bytes >= 0 && free_bytes >= ROOM * rs->options.reserve_bytes;
}

/* Where blocks cannot be reserved there is no reserve; a full disk is noticed all the same. */
static void hold(struct replicas *rs, const struct log_dir *dir)
{
    char path[FS_PATH_MAX];
    struct fs_file file;
    file_path(dir, path);
    int err = rs->fs->open(rs->fs->arg, path, FS_CREATE, &file);
    if (err == 0) {
        err = rs->fs->reserve(rs->fs->arg, file, rs->options.reserve_bytes);
        rs->fs->close(rs->fs->arg, file);
    }
    if (err != 0)
        LOG_WARN("could not reserve disk space", "file=%s error=\"%s\"", path, strerror(-err));
}

/* From an earlier start. */
static bool is_held(const struct replicas *rs, const struct log_dir *dir)
{
    char path[FS_PATH_MAX];
    struct fs_file file;
    file_path(dir, path);
    if (rs->fs->open(rs->fs->arg, path, FS_READ, &file) != 0)
        return false;
    rs->fs->close(rs->fs->arg, file);
    return true;
}

void reserve_open(struct replicas *rs)
{
    for (int i = 0; i < rs->dirs_count; i++) {
        struct log_dir *dir = &rs->dirs[i];
        if (dir->failed || rs->options.reserve_bytes <= 0)
            continue;
        if (is_held(rs, dir) || has_room(rs, dir))
            hold(rs, dir);
        else
            reserve_give(rs, i); /* what little there is is for making room */
    }
}

void reserve_give(struct replicas *rs, int index)
{
    struct log_dir *dir = &rs->dirs[index];
    char path[FS_PATH_MAX];
    if (rs->options.reserve_bytes <= 0 || atomic_exchange(&dir->full, true))
        return;
    file_path(dir, path);
    int err = rs->fs->remove(rs->fs->arg, path);
    LOG_ERROR("the disk of a log folder is full",
              "dir=%s reserve=%s next=\"appends are refused until there is room\"", dir->path,
              err == 0 ? "given up" : "none");
}

void reserve_tick(struct replicas *rs)
{
    for (int i = 0; i < rs->dirs_count; i++) {
        struct log_dir *dir = &rs->dirs[i];
        if (!atomic_load(&dir->full) || !has_room(rs, dir))
            continue;
        hold(rs, dir);
        atomic_store(&dir->full, false);
        LOG_INFO("a log folder has room again", "dir=%s", dir->path);
    }
}

void replicas_disk_full(struct replicas *rs)
{
    reserve_give(rs, 0);
}
