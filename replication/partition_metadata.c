/* Whose folder it is, and folders that are nobody's. */
#include "replication/partition_metadata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/log.h"

#define FILE_NAME      "partition.metadata"
#define FILE_BYTES_MAX 4096
#define KEY            "topic_id: "

int partition_metadata_read(const struct fs *fs, const char *dir, struct uuid *topic_id)
{
    char path[FS_PATH_MAX], *text;
    snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    int err = fs_read_text(fs, path, &text, FILE_BYTES_MAX);
    if (err != 0)
        return err;
    const char *at = strstr(text, KEY);
    const size_t size = UUID_TEXT_SIZE - 1;
    if (at == NULL || strlen(at + strlen(KEY)) < size ||
        uuid_from_text(slice_of(at + strlen(KEY), size), topic_id) != 0)
        err = -EBADMSG;
    free(text);
    return err;
}

int partition_metadata_put(const struct fs *fs, const char *dir, struct uuid topic_id)
{
    char path[FS_PATH_MAX], id[UUID_TEXT_SIZE], text[128];
    uuid_to_text(topic_id, id);
    snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    snprintf(text, sizeof(text), "version: 0\n" KEY "%s", id);
    return fs_put_text(fs, path, text);
}

struct folder {
    const struct fs *fs;
    const char *dir;
};

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n >= s && strcmp(name + n - s, suffix) == 0;
}

/* 1 for a log file that is not empty, and for a file that is not made with a folder. */
static int is_content(void *arg, const char *name)
{
    const struct folder *folder = arg;
    char path[FS_PATH_MAX];
    struct fs_file file;
    if (ends_with(name, ".index") || ends_with(name, ".timeindex") ||
        strcmp(name, FILE_NAME) == 0 || strcmp(name, "leader-epoch-checkpoint") == 0)
        return 0;
    if (!ends_with(name, ".log"))
        return 1;
    snprintf(path, sizeof(path), "%s/%s", folder->dir, name);
    int err = folder->fs->open(folder->fs->arg, path, FS_READ, &file);
    if (err != 0)
        return err;
    int64_t bytes = folder->fs->size(folder->fs->arg, file);
    folder->fs->close(folder->fs->arg, file);
    return bytes < 0 ? (int)bytes : bytes > 0;
}

int partition_folder_has_content(const struct fs *fs, const char *dir)
{
    struct folder folder = {fs, dir};
    return fs->list(fs->arg, dir, is_content, &folder);
}

int partition_folder_set_aside(const struct fs *fs, const char *dir, struct uuid topic_id,
                               char aside[FS_PATH_MAX])
{
    char id[UUID_TEXT_SIZE], parent[FS_PATH_MAX];
    uuid_to_text(topic_id, id);
    int size = snprintf(aside, FS_PATH_MAX, "%s.%s-stray", dir, id);
    if (size < 0 || size >= FS_PATH_MAX)
        return -ENAMETOOLONG;
    int err = log_remove_folder(fs, aside);
    if (err == 0)
        err = fs->rename(fs->arg, dir, aside);
    fs_folder_of(dir, parent);
    return err == 0 ? fs->sync_dir(fs->arg, parent) : err;
}
