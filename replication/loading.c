/*
 * The start: every partition folder of every log folder is opened, some of each log folder side by
 * side, all log folders at once.
 *
 * A partition whose log is damaged below its recovery point stays in the table, without a log: its
 * data is kept and never served, and replicas.c fetches it anew once the leader is another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "replication/partition_metadata.h"
#include "replication/replicas_internal.h"

#define THREADS_A_DIR       2 /* num.recovery.threads.per.data.dir, where it is not given */
#define OPEN_FILES_MIN      64
#define PROGRESS_MS         5000
#define PROGRESS_POLL_MS    20
#define DELETED_FOLDER      "-delete"
#define OPEN_FILES_FALLBACK 512

struct loading {
    struct replicas *rs;
    struct mutex lock;
    struct loading_dir *dirs;
    int running; /* guarded by lock: threads */
    int total;   /* constant once the threads run */
    int done;    /* guarded by lock */
    int offline; /* guarded by lock */
    int64_t started_ms;
};

struct loading_dir {
    struct loading *loading;
    int index;
    VEC(char *) names; /* constant once the threads run */
    size_t next;       /* guarded by loading->lock */
};

/* --- One partition --- */

enum error_code replica_open_log(struct replica_entry *e, const struct partition_config *config)
{
    struct replicas *rs = e->owner;
    struct log_dir *dir = &rs->dirs[e->log_dir];
    char path[FS_PATH_MAX];
    struct log *log;
    struct log_config log_config = config->log;
    int64_t cleaned = checkpoint_find(&dir->cleaned_offsets, e->base.topic, e->base.index);
    log_config.cleaned_offset = cleaned;
    replica_folder(e, path);
    enum error_code err =
        log_open(path, rs->fs, &log_config, e->base.topic_id, dir->clean,
                 checkpoint_find(&dir->recovery_points, e->base.topic, e->base.index),
                 clock_wall_ms(), &log);
    if (err != ERR_NONE)
        return err;
    err =
        log_restore(log, checkpoint_find(&dir->log_starts, e->base.topic, e->base.index), cleaned);
    if (err != ERR_NONE) {
        log_close(log);
        return err;
    }
    int64_t watermark = checkpoint_find(&dir->high_watermarks, e->base.topic, e->base.index);
    e->base.partition = partition_new(rs->options.node_id, e->base.topic, e->base.topic_id,
                                      e->base.index, config, log, watermark);
    return ERR_NONE;
}

enum error_code replica_start_over(struct replica_entry *e, const struct partition_config *config)
{
    char path[FS_PATH_MAX], aside[FS_PATH_MAX];
    struct partition *p = e->base.partition;
    e->base.partition = NULL;
    waiters_cut(e, 0);
    if (p != NULL)
        log_close(partition_take_log(p));
    partition_free(p);
    replica_folder(e, path);
    int rc = partition_folder_set_aside(e->owner->fs, path, e->base.topic_id, aside);
    if (rc < 0) {
        LOG_ERROR("could not set a damaged log aside, the replica stays offline",
                  "dir=%s error=\"%s\"", path, strerror(-rc));
        return ERR_KAFKA_STORAGE_ERROR;
    }
    LOG_WARN("fetching a damaged partition anew", "dir=%s kept=%s", path, aside);
    e->damaged = false;
    return replica_open_log(e, config);
}

/* <topic>-<index>: the last dash; NULL when it is no partition's folder. */
static const char *folder_dash(const char *name, int32_t *index)
{
    const char *dash = strrchr(name, '-');
    char *end = NULL;
    long value = dash ? strtol(dash + 1, &end, 10) : -1;
    if (dash == NULL || dash == name || end == dash + 1 || *end != '\0' || value < 0 ||
        value > INT32_MAX)
        return NULL;
    *index = (int32_t)value;
    return dash;
}

static void add_entry(struct loading *l, struct replica_entry *e, enum error_code err,
                      const char *path)
{
    struct replicas *rs = l->rs;
    struct replica_key key = replica_key(e->base.topic_id, e->base.index);
    mutex_lock(&rs->lock);
    bool twice = map_find(&rs->table, MAP_KEY(key)) != NULL;
    if (!twice) {
        map_put(&rs->table, MAP_KEY(key), e);
        rs->dirs[e->log_dir].replicas_count++;
    }
    mutex_unlock(&rs->lock);
    if (twice) {
        LOG_ERROR("a partition is in two log folders, this one is left alone", "dir=%s", path);
        replica_unref(&e->base);
    } else if (err != ERR_NONE) {
        LOG_ERROR("cannot open a partition's log, the replica is offline", "dir=%s error=%s", path,
                  error_name(err));
    }
}

/* A power cut left a folder whose making was not durable yet: its topic makes it anew. Any other is
 * left as it is. */
static void drop_half_made(const struct fs *fs, const char *path, int err)
{
    if (err == -ENOENT || err == -EBADMSG)
        err = partition_folder_has_content(fs, path);
    if (err == 0)
        err = log_remove_folder(fs, path);
    if (err != 0)
        LOG_WARN("a folder of no known topic is left alone", "dir=%s reason=\"%s\"", path,
                 err > 0 ? "it has content" : strerror(-err));
}

static enum error_code open_folder(struct loading *l, int log_dir, const char *name)
{
    struct replicas *rs = l->rs;
    char path[FS_PATH_MAX];
    struct uuid id;
    int32_t index;
    const char *dash = folder_dash(name, &index);
    snprintf(path, sizeof(path), "%s/%s", rs->dirs[log_dir].path, name);
    int rc = partition_metadata_read(rs->fs, path, &id);
    if (rc != 0) {
        drop_half_made(rs->fs, path, rc);
        return ERR_NONE;
    }
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 1, .replica_lag_time_max_ms = 30000};
    struct replica_entry *e =
        replica_entry_new(rs, log_dir, slice_of(name, (size_t)(dash - name)), id, index);
    enum error_code err = replica_open_log(e, &config);
    e->damaged = err == ERR_CORRUPT_MESSAGE;
    add_entry(l, e, err, path);
    return err;
}

/* --- All of them --- */

/* A partition's folder is to be opened; one that was being deleted goes; anything else is not ours
 * to touch. */
static int folder_found(void *arg, const char *name)
{
    struct loading_dir *dir = arg;
    struct replicas *rs = dir->loading->rs;
    int32_t index;
    size_t size = strlen(name), suffix = strlen(DELETED_FOLDER);
    if (folder_dash(name, &index) != NULL) {
        vec_push(&dir->names, mem_strdup(name));
    } else if (size > suffix && strcmp(name + size - suffix, DELETED_FOLDER) == 0) {
        char path[FS_PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", rs->dirs[dir->index].path, name);
        int rc = log_remove_folder(rs->fs, path);
        if (rc < 0)
            LOG_WARN("could not remove a deleted partition's folder", "dir=%s error=\"%s\"", path,
                     strerror(-rc));
    }
    return 0;
}

static void dir_list(struct loading_dir *dir)
{
    struct replicas *rs = dir->loading->rs;
    struct log_dir *log_dir = &rs->dirs[dir->index];
    int rc = meta_properties_load(rs, log_dir);
    if (rc == 0) {
        checkpoints_read(rs, log_dir);
        rc = rs->fs->list(rs->fs->arg, log_dir->path, folder_found, dir);
    }
    if (rc < 0) {
        LOG_ERROR("cannot read a log folder", "dir=%s error=\"%s\"", log_dir->path, strerror(-rc));
        log_dir->failed = true;
    }
    dir->loading->total += (int)dir->names.count;
}

static void loader_run(void *arg)
{
    struct loading_dir *dir = arg;
    struct loading *l = dir->loading;
    mutex_lock(&l->lock);
    while (dir->next < dir->names.count) {
        const char *name = dir->names.items[dir->next++];
        mutex_unlock(&l->lock);
        enum error_code err = open_folder(l, dir->index, name);
        mutex_lock(&l->lock);
        l->done++;
        l->offline += err != ERR_NONE;
    }
    l->running--;
    mutex_unlock(&l->lock);
}

/* Tell how far it is, until all threads are done. */
static void await_loaders(struct loading *l)
{
    int64_t told_ms = l->started_ms;
    for (;;) {
        mutex_lock(&l->lock);
        int running = l->running, done = l->done;
        mutex_unlock(&l->lock);
        if (running == 0)
            return;
        struct timespec pause = {.tv_nsec = PROGRESS_POLL_MS * 1000000};
        nanosleep(&pause, NULL);
        int64_t now_ms = clock_monotonic_ms();
        if (now_ms - told_ms < PROGRESS_MS || done == 0)
            continue;
        told_ms = now_ms;
        LOG_INFO("loading logs", "done=%d of=%d seconds_left=%lld", done, l->total,
                 (long long)((now_ms - l->started_ms) * (l->total - done) / done / 1000));
    }
}

static void load_all(struct loading *l)
{
    struct replicas *rs = l->rs;
    int a_dir = rs->options.recovery_threads > 0 ? rs->options.recovery_threads : THREADS_A_DIR;
    int count = a_dir * rs->dirs_count;
    pthread_t *threads = mem_zalloc((size_t)count * sizeof(*threads));
    l->running = count;
    for (int i = 0; i < count; i++)
        CHECK(thread_start(&threads[i], &BACKGROUND, "loader", loader_run, &l->dirs[i / a_dir]) ==
              0);
    await_loaders(l);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

static int open_files_max(const struct replicas *rs)
{
    struct rlimit limit;
    if (rs->options.open_files_max > 0)
        return rs->options.open_files_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return OPEN_FILES_FALLBACK;
    return (int)MAX(MIN(limit.rlim_cur / 2, INT32_MAX), OPEN_FILES_MIN);
}

enum error_code replicas_load(struct replicas *rs)
{
    struct loading l = {.rs = rs, .started_ms = clock_monotonic_ms()};
    int failed = 0;
    rs->file_table.files = file_cache_new(&rs->file_table, open_files_max(rs));
    mutex_init(&l.lock);
    l.dirs = mem_zalloc((size_t)rs->dirs_count * sizeof(*l.dirs));
    for (int i = 0; i < rs->dirs_count; i++) {
        l.dirs[i].loading = &l;
        l.dirs[i].index = i;
        dir_list(&l.dirs[i]);
        failed += rs->dirs[i].failed;
    }
    if (l.total > 0)
        load_all(&l);
    for (int i = 0; i < rs->dirs_count; i++) {
        struct log_dir *dir = &rs->dirs[i];
        checkpoints_forget(dir);
        LOG_INFO("log folder loaded", "dir=%s replicas=%d clean=%d", dir->path, dir->replicas_count,
                 dir->clean);
        FOR_EACH (name, l.dirs[i].names.items, (ptrdiff_t)l.dirs[i].names.count)
            free(*name);
        vec_deinit(&l.dirs[i].names);
    }
    LOG_INFO("logs loaded", "partitions=%d offline=%d ms=%lld", l.done, l.offline,
             (long long)(clock_monotonic_ms() - l.started_ms));
    free(l.dirs);
    mutex_deinit(&l.lock);
    return failed == rs->dirs_count ? ERR_KAFKA_STORAGE_ERROR : ERR_NONE;
}
