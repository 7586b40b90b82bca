/*
 * meta.properties in every log folder, as Apache Kafka writes it: whose disk is this?
 *
 *   version=1
 *   cluster.id=bWlsbHJhY2UtdGVzdHMtMQ     once the node has found its cluster
 *   node.id=1
 *   directory.id=6x-Xc0SbQnG3lTzVqWq5mA   made up with the file
 *
 * A folder of another node or cluster is not touched: its offsets would be taken for this node's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/logging.h"
#include "proto/base/rng.h"
#include "replication/replicas_internal.h"

#define FILE_NAME      "meta.properties"
#define FILE_BYTES_MAX 65536

static void file_path(const struct log_dir *dir, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s/" FILE_NAME, dir->path);
}

/* The value of a key, up to the line's end; null when it is not there. */
static struct slice value_of(const char *text, const char *key)
{
    size_t size = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) == 0 && line[size] == '=')
            return slice_of(line + size + 1, strcspn(line + size + 1, "\r\n"));
    }
    return SLICE_NULL;
}

static int store(struct replicas *rs, const struct log_dir *dir, struct slice cluster_id,
                 struct slice directory_id)
{
    char path[FS_PATH_MAX];
    struct buffer text = {0};
    buffer_printf(&text, "version=1\n");
    if (!slice_is_null(cluster_id))
        buffer_printf(&text, "cluster.id=" SLICE_FMT "\n", SLICE_ARG(cluster_id));
    buffer_printf(&text, "node.id=%" PRId32 "\ndirectory.id=" SLICE_FMT "\n", rs->options.node_id,
                  SLICE_ARG(directory_id));
    buffer_append(&text, "", 1);
    file_path(dir, path);
    int err = fs_write_text(rs->fs, path, (const char *)text.data);
    if (err != 0)
        LOG_WARN("could not write whose log folder it is", "file=%s error=\"%s\"", path,
                 strerror(-err));
    buffer_deinit(&text);
    return err;
}

int meta_properties_load(struct replicas *rs, struct log_dir *dir)
{
    char path[FS_PATH_MAX], id[UUID_TEXT_SIZE], *text;
    file_path(dir, path);
    int err = fs_read_text(rs->fs, path, &text, FILE_BYTES_MAX);
    if (err == -ENOENT) {
        dir->is_new = true;
        uuid_to_text(rng_system_uuid(), id);
        err = store(rs, dir, SLICE_NULL, slice_from_text(id));
        return err == -ENOSPC || err == -EROFS ? 0 : err;
    }
    if (err != 0)
        return err;
    char self[16];
    snprintf(self, sizeof(self), "%" PRId32, rs->options.node_id);
    struct slice node_id = value_of(text, "node.id");
    if (!slice_is_null(node_id) && !slice_equals_text(node_id, self)) {
        LOG_ERROR("a log folder belongs to another node", "file=%s node.id=" SLICE_FMT " right=%s",
                  path, SLICE_ARG(node_id), self);
        err = -EINVAL;
    }
    dir->is_new = slice_is_null(value_of(text, "cluster.id"));
    free(text);
    return err;
}

bool replicas_disk_is_new(const struct replicas *rs)
{
    for (int i = 0; i < rs->dirs_count; i++)
        if (rs->dirs[i].is_new)
            return true;
    return false;
}

/* 0; -EINVAL: the folder is another cluster's. */
static int note_cluster(struct replicas *rs, const struct log_dir *dir, struct slice cluster_id)
{
    char path[FS_PATH_MAX], id[UUID_TEXT_SIZE], *text;
    file_path(dir, path);
    int err = fs_read_text(rs->fs, path, &text, FILE_BYTES_MAX);
    if (err != 0)
        return 0; /* told when it was loaded */
    struct slice known = value_of(text, "cluster.id");
    struct slice directory_id = value_of(text, "directory.id");
    uuid_to_text(rng_system_uuid(), id);
    if (slice_is_null(known))
        (void)store(rs, dir, cluster_id,
                    slice_is_null(directory_id) ? slice_from_text(id) : directory_id);
    else if (!slice_equal(known, cluster_id))
        err = -EINVAL;
    if (err != 0)
        LOG_ERROR("a log folder belongs to another cluster",
                  "file=%s cluster.id=" SLICE_FMT " right=" SLICE_FMT, path, SLICE_ARG(known),
                  SLICE_ARG(cluster_id));
    free(text);
    return err;
}

void replicas_note_cluster(struct replicas *rs, struct slice cluster_id)
{
    for (int i = 0; i < rs->dirs_count; i++)
        if (!rs->dirs[i].failed)
            (void)note_cluster(rs, &rs->dirs[i], cluster_id);
}
