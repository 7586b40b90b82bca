/*
 * The per-folder checkpoints, in Apache Kafka's format:  version, number of lines, "topic index
 * offset"… And the marker of a clean stop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/buffer.h"
#include "proto/base/logging.h"
#include "replication/replicas_internal.h"

#define CHECKPOINT_BYTES_MAX (64u << 20)
#define CLEAN_MARKER         ".kafka_cleanshutdown"
#define MARKER_EPOCH         "\"brokerEpoch\":"

static const char *const NAMES[CHECKPOINT_FILES_COUNT] = {
    [CHECKPOINT_RECOVERY_POINTS] = "recovery-point-offset-checkpoint",
    [CHECKPOINT_HIGH_WATERMARKS] = "replication-offset-checkpoint",
    [CHECKPOINT_LOG_STARTS] = "log-start-offset-checkpoint",
    [CHECKPOINT_CLEANED_OFFSETS] = "cleaner-offset-checkpoint",
};

/* A bad line ends the reading: what is unknown is recovered from the log's start. */
static void lines_parse(char *text, struct map *out)
{
    char *line = strchr(text, '\n');
    line = line ? strchr(line + 1, '\n') : NULL;
    while (line != NULL && line[1] != '\0') {
        char *start = line + 1;
        line = strchr(start, '\n');
        if (line != NULL)
            *line = '\0';
        char *space = strrchr(start, ' ');
        char *end;
        if (space == NULL)
            return;
        int64_t offset = strtoll(space + 1, &end, 10);
        if (end == space + 1 || offset < 0)
            return;
        map_put(out, slice_of(start, (size_t)(space - start)), (void *)(intptr_t)(offset + 1));
    }
}

static void file_read(struct replicas *rs, const struct log_dir *dir, enum checkpoint_file file,
                      struct map *out)
{
    char path[FS_PATH_MAX];
    char *text = NULL;
    snprintf(path, sizeof(path), "%s/%s", dir->path, NAMES[file]);
    if (fs_read_text(rs->fs, path, &text, CHECKPOINT_BYTES_MAX) == 0)
        lines_parse(text, out);
    free(text);
}

static void marker_path(const struct log_dir *dir, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s/" CLEAN_MARKER, dir->path);
}

static int64_t marker_epoch(const char *text)
{
    const char *at = strstr(text, MARKER_EPOCH);
    char *end = NULL;
    int64_t epoch = at ? strtoll(at + strlen(MARKER_EPOCH), &end, 10) : -1;
    return at != NULL && end != at + strlen(MARKER_EPOCH) ? epoch : -1;
}

void replicas_set_broker_epoch(struct replicas *rs, int64_t broker_epoch)
{
    atomic_store(&rs->broker_epoch, broker_epoch);
}

int64_t replicas_clean_epoch(const struct replicas *rs)
{
    int64_t epoch = rs->dirs[0].clean_epoch;
    for (int i = 1; i < rs->dirs_count; i++)
        if (rs->dirs[i].clean_epoch != epoch)
            return -1;
    return epoch;
}

void checkpoints_read(struct replicas *rs, struct log_dir *dir)
{
    char path[FS_PATH_MAX];
    char *text = NULL;
    file_read(rs, dir, CHECKPOINT_RECOVERY_POINTS, &dir->recovery_points);
    file_read(rs, dir, CHECKPOINT_HIGH_WATERMARKS, &dir->high_watermarks);
    file_read(rs, dir, CHECKPOINT_LOG_STARTS, &dir->log_starts);
    file_read(rs, dir, CHECKPOINT_CLEANED_OFFSETS, &dir->cleaned_offsets);
    marker_path(dir, path);
    dir->clean = fs_read_text(rs->fs, path, &text, 4096) == 0;
    dir->clean_epoch = dir->clean ? marker_epoch(text) : -1;
    free(text);
    /* From now on a crash is a crash. */
    if (dir->clean &&
        (rs->fs->remove(rs->fs->arg, path) < 0 || rs->fs->sync_dir(rs->fs->arg, dir->path) < 0))
        dir->clean = false;
    if (!dir->clean)
        dir->clean_epoch = -1;
}

int64_t checkpoint_find(const struct map *offsets, struct slice topic, int32_t index)
{
    char key[300];
    int size = snprintf(key, sizeof(key), SLICE_FMT " %" PRId32, SLICE_ARG(topic), index);
    void *value = map_find(offsets, slice_of(key, (size_t)size));
    return value ? (int64_t)(intptr_t)value - 1 : 0;
}

void checkpoints_forget(struct log_dir *dir)
{
    map_deinit(&dir->recovery_points);
    map_deinit(&dir->high_watermarks);
    map_deinit(&dir->log_starts);
    map_deinit(&dir->cleaned_offsets);
}

struct lines {
    struct buffer text;
    int count;
};

struct collected {
    struct lines recovery_points;
    struct lines high_watermarks;
    struct lines log_starts;
    struct lines cleaned_offsets;
};

static void line_add(struct lines *lines, const struct replica_entry *e, int64_t offset)
{
    buffer_printf(&lines->text, "%s %" PRId32 " %" PRId64 "\n", e->topic, e->base.index, offset);
    lines->count++;
}

static void collect(struct replica_entry *e, struct collected *c)
{
    mutex_lock(&e->base.lock);
    struct partition *p = e->base.partition;
    if (p != NULL) {
        struct log *log = partition_log(p);
        line_add(&c->recovery_points, e, log_flushed_end_offset(log));
        line_add(&c->high_watermarks, e, partition_high_watermark(p));
        /* Where the first segment's name does not say it: as Kafka does. */
        if (log_start_offset(log) > log_first_base_offset(log))
            line_add(&c->log_starts, e, log_start_offset(log));
        if (log_cleaned_offset(log) > 0)
            line_add(&c->cleaned_offsets, e, log_cleaned_offset(log));
    }
    mutex_unlock(&e->base.lock);
}

static void file_write(struct replicas *rs, struct log_dir *dir, enum checkpoint_file file,
                       struct lines *lines)
{
    struct buffer *written = &dir->written[file];
    char path[FS_PATH_MAX];
    struct buffer text = {0};
    snprintf(path, sizeof(path), "%s/%s", dir->path, NAMES[file]);
    buffer_printf(&text, "0\n%d\n", lines->count);
    buffer_append_slice(&text, buffer_slice(&lines->text));
    buffer_append(&text, "", 1);
    bool changed = text.size != written->size || memcmp(text.data, written->data, text.size) != 0;
    int rc = changed ? fs_write_text(rs->fs, path, (const char *)text.data) : 0;
    if (rc < 0)
        LOG_WARN("could not write a checkpoint, recovery will take longer", "file=%s error=\"%s\"",
                 path, strerror(-rc));
    if (rc < 0)
        dirs_suspect(rs, (int)(dir - rs->dirs), rc);
    if (rc == 0 && changed) {
        buffer_deinit(written);
        *written = text;
        text = (struct buffer){0};
    }
    buffer_deinit(&text);
    buffer_deinit(&lines->text);
}

void checkpoints_write(struct replicas *rs)
{
    for (int i = 0; i < rs->dirs_count; i++) {
        struct collected c = {0};
        if (rs->dirs[i].failed)
            continue; /* what it says still holds for its replicas */
        mutex_lock(&rs->lock);
        MAP_FOR_EACH (entry, &rs->table) {
            struct replica_entry *e = entry->value;
            if (e->log_dir == i)
                collect(e, &c);
        }
        mutex_unlock(&rs->lock);
        file_write(rs, &rs->dirs[i], CHECKPOINT_RECOVERY_POINTS, &c.recovery_points);
        file_write(rs, &rs->dirs[i], CHECKPOINT_HIGH_WATERMARKS, &c.high_watermarks);
        file_write(rs, &rs->dirs[i], CHECKPOINT_LOG_STARTS, &c.log_starts);
        file_write(rs, &rs->dirs[i], CHECKPOINT_CLEANED_OFFSETS, &c.cleaned_offsets);
    }
}

void checkpoints_deinit(struct log_dir *dir)
{
    for (int i = 0; i < CHECKPOINT_FILES_COUNT; i++)
        buffer_deinit(&dir->written[i]);
}

void clean_markers_write(struct replicas *rs)
{
    char text[96];
    snprintf(text, sizeof(text), "{\"version\":0," MARKER_EPOCH "%" PRId64 "}\n",
             atomic_load(&rs->broker_epoch));
    for (int i = 0; i < rs->dirs_count; i++) {
        char path[FS_PATH_MAX];
        marker_path(&rs->dirs[i], path);
        if (rs->dirs[i].failed)
            continue;
        int rc = fs_write_text(rs->fs, path, text);
        if (rc < 0)
            LOG_WARN("could not write the clean-shutdown marker", "file=%s error=\"%s\"", path,
                     strerror(-rc));
    }
}
