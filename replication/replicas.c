/*
 * The table of this node's replicas, their folders, and the background thread.
 *
 * A folder is <topic>-<index>; its partition.metadata names the topic's id. An entry is counted: by
 * the table, by the flush queue, by parked waiters and by whoever found it; its log is closed, or
 * deleted, by the last one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/records.h"
#include "replication/replicas_internal.h"

#define TICK_MS        100
#define REMOVE_WAIT_MS 5000

/* --- Entries --- */

void replica_folder(const struct replica_entry *e, char path[FS_PATH_MAX])
{
    snprintf(path, FS_PATH_MAX, "%s/%s-%d", e->owner->dirs[e->log_dir].path, e->topic,
             e->base.index);
}

struct replica_entry *replica_entry_new(struct replicas *rs, int log_dir, struct slice topic,
                                        struct uuid topic_id, int32_t index)
{
    struct replica_entry *e = mem_zalloc(sizeof(*e));
    e->owner = rs;
    e->log_dir = log_dir;
    e->flushed_ms = clock_monotonic_ms();
    e->topic = slice_to_text(topic);
    mutex_init(&e->base.lock);
    list_init(&e->waiters);
    e->base.topic = slice_of(e->topic, topic.size);
    e->base.topic_id = topic_id;
    e->base.index = index;
    atomic_init(&e->refs, 1);
    return e;
}

static void entry_free(struct replica_entry *e)
{
    struct partition *p = e->base.partition;
    struct log *log = p != NULL ? partition_take_log(p) : NULL;
    char path[FS_PATH_MAX];
    int rc = 0;
    if (e->removed && log != NULL) {
        rc = log_delete(log);
    } else if (e->removed) {
        replica_folder(e, path);
        rc = log_remove_folder(e->owner->fs, path);
    } else if (log != NULL) {
        log_close(log);
    }
    if (rc < 0)
        LOG_WARN("could not delete a log folder", "topic=%s partition=%d error=\"%s\"", e->topic,
                 e->base.index, strerror(-rc));
    partition_free(p);
    mutex_deinit(&e->base.lock);
    free(e->topic);
    free(e);
}

void replica_unref(struct replica *r)
{
    if (r == NULL)
        return;
    struct replica_entry *e = ENTRY(r);
    if (atomic_fetch_sub(&e->refs, 1) == 1)
        entry_free(e);
}

void replica_effects(struct replica_entry *e, const struct partition_effects *fx)
{
    struct partition *p = e->base.partition;
    const struct replicas_callbacks *up = &e->owner->options.callbacks;
    if (fx->role_changed)
        waiters_role_changed(e);
    if (fx->cut)
        waiters_cut(e, fx->cut_to);
    if (fx->watermark_advanced)
        waiters_wake_watermark(e, partition_high_watermark(p));
    if (fx->appended) {
        waiters_wake(e, WAIT_APPENDED_DATA, ERR_NONE);
        if (flush_is_due(e))
            flush_queue(e);
    }
    if (fx->propose && up->propose_isr != NULL)
        up->propose_isr(up->arg, &fx->proposal);
}

void replica_offline(struct replica_entry *e, const char *reason)
{
    struct replicas *rs = e->owner;
    struct partition *p = e->base.partition;
    if (e->doomed && e->flushing)
        return; /* known */
    LOG_ERROR("a replica is offline, its log failed", "topic=%s partition=%d dir=%s reason=\"%s\"",
              e->topic, e->base.index, rs->dirs[e->log_dir].path, reason);
    waiters_wake_all(e, ERR_KAFKA_STORAGE_ERROR);
    dirs_suspect(rs, e->log_dir, -EIO);
    if (e->flushing) {
        e->doomed = true; /* a flush thread has the log's files in hand */
        return;
    }
    e->base.partition = NULL;
    log_close(partition_take_log(p));
    partition_free(p);
    if (rs->options.callbacks.replica_failed != NULL)
        rs->options.callbacks.replica_failed(rs->options.callbacks.arg, e->base.topic_id,
                                             e->base.index, false);
}

/* Lock held: after a call that may have written. A log that is only full lives on. */
static void check_log(struct replica_entry *e, enum error_code err, const char *doing)
{
    if (err != ERR_KAFKA_STORAGE_ERROR)
        return;
    const struct log *log = partition_log(e->base.partition);
    if (log_is_failed(log))
        replica_offline(e, doing);
    else if (log_met_full_disk(log)) /* else it was the leader's that failed */
        reserve_give(e->owner, e->log_dir);
}

static bool disk_is_full(const struct replica *r)
{
    return atomic_load(&ENTRY(r)->owner->dirs[ENTRY(r)->log_dir].full);
}

/* A batch that is here already needs no room, and its sender is to know. */
static bool is_known(const struct replica *r, const struct batch_header *header)
{
    enum error_code err;
    int64_t base_offset, append_time_ms;
    return batch_has_producer(header) &&
           log_check_producer(partition_log(r->partition), header, 0, &err, &base_offset,
                              &append_time_ms) == PRODUCER_DUPLICATE;
}

/* --- Opening --- */

static void background_run(void *arg);

static void replicas_free(struct replicas *rs)
{
    MAP_FOR_EACH (entry, &rs->table)
        replica_unref(&((struct replica_entry *)entry->value)->base);
    map_deinit(&rs->table);
    for (int i = 0; i < rs->dirs_count; i++) {
        free(rs->dirs[i].path);
        checkpoints_deinit(&rs->dirs[i]);
    }
    free(rs->dirs);
    file_cache_unref(rs->file_table.files);
    mutex_deinit(&rs->lock);
    free(rs);
}

enum error_code replicas_open(const struct replicas_options *options, const struct fs *fs,
                              struct replicas **replicas)
{
    struct replicas *rs = mem_zalloc(sizeof(*rs));
    *replicas = NULL;
    rs->options = *options;
    rs->file_table = *fs;
    rs->fs = &rs->file_table;
    rs->dirs_count = options->log_dirs_count;
    rs->dirs = mem_zalloc((size_t)rs->dirs_count * sizeof(*rs->dirs));
    mutex_init(&rs->lock);
    for (int i = 0; i < rs->dirs_count; i++)
        rs->dirs[i].path = mem_strdup(options->log_dirs[i]);
    enum error_code err = replicas_load(rs);
    if (err != ERR_NONE) {
        replicas_free(rs);
        return err;
    }
    reserve_open(rs);
    /* One that closes before it registered leaves the data as it found it. */
    atomic_init(&rs->broker_epoch, replicas_clean_epoch(rs));
    CHECK(flush_start(rs) == 0);
    rest_init(&rs->rest);
    rs->cleaner = cleaner_start(rs, &options->cleaner);
    rs->scrubber = scrubber_start(rs, &options->scrubber);
    CHECK(thread_start(&rs->background, &BACKGROUND, "replicas", background_run, rs) == 0);
    *replicas = rs;
    return ERR_NONE;
}

/* --- Look-up --- */

struct replica *replicas_find(struct replicas *rs, struct uuid topic_id, int32_t index)
{
    struct replica_key key = replica_key(topic_id, index);
    mutex_lock(&rs->lock);
    struct replica_entry *e = map_find(&rs->table, MAP_KEY(key));
    if (e != NULL)
        atomic_fetch_add(&e->refs, 1);
    mutex_unlock(&rs->lock);
    return e ? &e->base : NULL;
}

/* All entries, each counted, so that they are visited without the table's lock. */
static struct replica_entry **snapshot(struct replicas *rs, size_t *count)
{
    mutex_lock(&rs->lock);
    struct replica_entry **all = mem_alloc((rs->table.count + 1) * sizeof(*all));
    *count = 0;
    MAP_FOR_EACH (entry, &rs->table) {
        all[*count] = entry->value;
        atomic_fetch_add(&all[*count]->refs, 1);
        (*count)++;
    }
    mutex_unlock(&rs->lock);
    return all;
}

void replicas_each(struct replicas *rs, void (*each)(void *arg, struct replica *r), void *arg)
{
    size_t count;
    struct replica_entry **all = snapshot(rs, &count);
    for (size_t i = 0; i < count; i++) {
        each(arg, &all[i]->base);
        replica_unref(&all[i]->base);
    }
    free(all);
}

int replicas_dirs_count(const struct replicas *rs)
{
    return rs->dirs_count;
}

const char *replicas_dir_path(const struct replicas *rs, int dir)
{
    return rs->dirs[dir].path;
}

bool replicas_dir_failed(struct replicas *rs, int dir)
{
    return rs->dirs[dir].failed;
}

int replica_dir(const struct replica *r)
{
    return ENTRY(r)->log_dir;
}

/* --- From the metadata --- */

static int dir_choose(const struct replicas *rs)
{
    int best = -1;
    for (int i = 0; i < rs->dirs_count; i++)
        if (!rs->dirs[i].failed &&
            (best < 0 || rs->dirs[i].replicas_count < rs->dirs[best].replicas_count))
            best = i;
    return best;
}

static enum error_code entry_create(struct replicas *rs, struct slice topic, struct uuid topic_id,
                                    int32_t index, const struct partition_config *config,
                                    struct replica_entry **out)
{
    int dir = dir_choose(rs);
    *out = NULL;
    if (dir < 0)
        return ERR_KAFKA_STORAGE_ERROR;
    struct replica_entry *e = replica_entry_new(rs, dir, topic, topic_id, index);
    enum error_code err = replica_open_log(e, config);
    if (err != ERR_NONE) {
        replica_unref(&e->base);
        return err;
    }
    struct replica_key key = replica_key(topic_id, index);
    atomic_fetch_add(&e->refs, 1); /* the caller's */
    mutex_lock(&rs->lock);
    rs->dirs[dir].replicas_count++;
    CHECK(map_put(&rs->table, MAP_KEY(key), e) == NULL);
    mutex_unlock(&rs->lock);
    *out = e;
    return ERR_NONE;
}

/* A member of the ISR whose log was not found while a log folder is gone: the log is in there. An
 * empty one must not pass for it. One that was just created is nowhere yet. */
static bool may_be_elsewhere(const struct replicas *rs, const struct partition_state *state)
{
    bool created = state->leader_epoch == 0 && state->partition_epoch == 0;
    bool counted = false, failed = false;
    for (int i = 0; i < state->isr_count; i++)
        counted = counted || state->isr[i] == rs->options.node_id;
    for (int i = 0; i < rs->dirs_count; i++)
        failed = failed || rs->dirs[i].failed;
    return counted && failed && !created;
}

/* A damaged log is thrown away only where nobody counts on it: another leads, and the in-sync
 * replicas go on without this one until it has caught up. */
static bool may_start_over(const struct replica_entry *e, const struct partition_state *state)
{
    int32_t self = e->owner->options.node_id;
    for (int i = 0; i < state->isr_count; i++)
        if (state->isr[i] == self)
            return false;
    return e->damaged && state->leader >= 0 && state->leader != self;
}

/* Lock held, given up meanwhile: nothing is appended from now on, and the last flush has ended. */
static void come_to_rest(struct replica_entry *e) HOLDS(e->base.lock)
{
    e->closing = true;
    while (e->flushing) {
        struct timespec pause = {.tv_nsec = 1000000};
        mutex_unlock(&e->base.lock);
        nanosleep(&pause, NULL);
        mutex_lock(&e->base.lock);
    }
}

/* A role is never taken over with the old log's position: an answer to it would leave a gap. */
static enum error_code begin_anew(struct replica_entry *e, const struct partition_config *config)
    HOLDS(e->base.lock)
{
    come_to_rest(e);
    enum error_code err = e->removed ? ERR_NONE : replica_start_over(e, config);
    e->closing = false;
    return err;
}

enum error_code replicas_apply(struct replicas *rs, struct slice topic, struct uuid topic_id,
                               int32_t index, const struct partition_state *state,
                               const struct partition_config *config)
{
    struct replica *found = replicas_find(rs, topic_id, index);
    struct replica_entry *e = found ? ENTRY(found) : NULL;
    enum error_code err = ERR_NONE;
    if (e == NULL && may_be_elsewhere(rs, state))
        err = ERR_KAFKA_STORAGE_ERROR;
    else if (e == NULL)
        err = entry_create(rs, topic, topic_id, index, config, &e);
    if (err != ERR_NONE)
        return err;
    struct partition_effects fx = {0};
    mutex_lock(&e->base.lock);
    if (may_start_over(e, state) && !e->removed)
        err = begin_anew(e, config);
    if (e->base.partition == NULL) {
        err = ERR_KAFKA_STORAGE_ERROR;
    } else {
        partition_configure(e->base.partition, config);
        e->write_caching = config->write_caching;
        err = partition_apply(e->base.partition, state, clock_monotonic_ms(), &fx);
        replica_effects(e, &fx);
        if (partition_role(e->base.partition) == PARTITION_LEADER)
            waiters_wake_low_watermark(e, partition_low_watermark(e->base.partition));
        check_log(e, err, "taking over a role");
    }
    if (state->isr_count < MIN(config->min_insync_replicas, state->replicas_count))
        waiters_wake(e, WAIT_HIGH_WATERMARK, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    mutex_unlock(&e->base.lock);
    replica_unref(&e->base);
    return err;
}

void replicas_remove(struct replicas *rs, struct uuid topic_id, int32_t index)
{
    struct replica_key key = replica_key(topic_id, index);
    mutex_lock(&rs->lock);
    struct replica_entry *e = map_remove(&rs->table, MAP_KEY(key));
    if (e != NULL)
        rs->dirs[e->log_dir].replicas_count--;
    mutex_unlock(&rs->lock);
    if (e == NULL)
        return;
    mutex_lock(&e->base.lock);
    e->removed = true;
    waiters_wake_all(e, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    mutex_unlock(&e->base.lock);
    /* A topic of the same name may come next: its folder must be free by then. */
    for (int waited_ms = 0; atomic_load(&e->refs) > 1 && waited_ms < REMOVE_WAIT_MS; waited_ms++) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    replica_unref(&e->base);
}

void replicas_remove_strays(struct replicas *rs, bool (*keep)(void *arg, struct uuid, int32_t),
                            void *arg)
{
    size_t count;
    struct replica_entry **all = snapshot(rs, &count);
    for (size_t i = 0; i < count; i++) {
        struct replica_entry *e = all[i];
        if (!keep(arg, e->base.topic_id, e->base.index)) {
            LOG_INFO("deleting a log folder of a topic that is gone", "topic=%s partition=%d",
                     e->topic, e->base.index);
            replicas_remove(rs, e->base.topic_id, e->base.index);
        }
        replica_unref(&e->base);
    }
    free(all);
}

void replicas_proposal_failed(struct replicas *rs, const struct isr_proposal *proposal,
                              enum error_code err)
{
    struct replica *r = replicas_find(rs, proposal->topic_id, proposal->partition);
    if (r == NULL)
        return;
    mutex_lock(&r->lock);
    if (r->partition != NULL)
        partition_proposal_failed(r->partition, proposal, err, clock_monotonic_ms());
    mutex_unlock(&r->lock);
    replica_unref(r);
}

/* --- The data path --- */

enum error_code replica_append(struct replicas *rs, struct replica *r, uint8_t *batch, size_t size,
                               const struct batch_header *header, int16_t acks,
                               struct partition_append_result *out)
{
    (void)rs;
    return replica_append_checked(r, batch, size, header, acks, NULL, NULL, out);
}

enum error_code replica_append_checked(struct replica *r, uint8_t *batch, size_t size,
                                       const struct batch_header *header, int16_t acks,
                                       replica_check *check, void *arg,
                                       struct partition_append_result *out)
{
    struct partition_effects fx = {0};
    enum error_code err = ERR_KAFKA_STORAGE_ERROR;
    *out = (struct partition_append_result){.base_offset = -1};
    mutex_lock(&r->lock);
    if (ENTRY(r)->removed)
        err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    else if (ENTRY(r)->closing)
        err = ERR_NOT_LEADER_OR_FOLLOWER;
    else if (r->partition != NULL && (!disk_is_full(r) || is_known(r, header)))
        err = check != NULL ? check(arg, r->partition) : ERR_NONE;
    if (err == ERR_NONE && r->partition != NULL) {
        err = partition_append(r->partition, batch, size, header, acks, clock_wall_ms(), out, &fx);
        out->cuts = ENTRY(r)->cuts;
        replica_effects(ENTRY(r), &fx);
        check_log(ENTRY(r), err, "append");
    }
    mutex_unlock(&r->lock);
    return err;
}

enum error_code replica_follower_fetched(struct replicas *rs, struct replica *r,
                                         const struct follower_fetch *fetch)
{
    (void)rs;
    struct partition_effects fx = {0};
    enum error_code err = ERR_KAFKA_STORAGE_ERROR;
    mutex_lock(&r->lock);
    if (r->partition != NULL) {
        err = partition_follower_fetched(r->partition, fetch, clock_monotonic_ms(), &fx);
        replica_effects(ENTRY(r), &fx);
        waiters_wake_low_watermark(ENTRY(r), partition_low_watermark(r->partition));
    }
    mutex_unlock(&r->lock);
    return err;
}

enum error_code replica_delete_records(struct replicas *rs, struct replica *r, int64_t offset,
                                       int64_t *log_start)
{
    (void)rs;
    enum error_code err = ERR_KAFKA_STORAGE_ERROR;
    *log_start = -1;
    mutex_lock(&r->lock);
    if (r->partition != NULL && !ENTRY(r)->removed) {
        err = partition_delete_records(r->partition, offset, log_start);
        if (err == ERR_NONE)
            waiters_wake(ENTRY(r), WAIT_APPENDED_DATA, ERR_NONE);
        check_log(ENTRY(r), err, "delete records");
    }
    mutex_unlock(&r->lock);
    return err;
}

enum error_code replica_fetched(struct replicas *rs, struct replica *r,
                                const struct fetched *answer, bool *flush_pending)
{
    (void)rs;
    struct partition_effects fx = {0};
    enum error_code err = ERR_KAFKA_STORAGE_ERROR;
    *flush_pending = false;
    mutex_lock(&r->lock);
    if (r->partition != NULL && !ENTRY(r)->closing &&
        (answer->records.size == 0 || !disk_is_full(r))) {
        err = partition_fetched(r->partition, answer, clock_wall_ms(), &fx);
        *flush_pending = fx.appended && !ENTRY(r)->write_caching;
        replica_effects(ENTRY(r), &fx);
        check_log(ENTRY(r), err, "append as follower");
    }
    mutex_unlock(&r->lock);
    return err;
}

/* --- Background --- */

static void tick_one(void *arg, struct replica *r)
{
    (void)arg;
    struct partition_effects fx = {0};
    mutex_lock(&r->lock);
    if (r->partition != NULL) {
        partition_tick(r->partition, clock_monotonic_ms(), &fx);
        replica_effects(ENTRY(r), &fx);
        if (!ENTRY(r)->flushing && flush_is_due(ENTRY(r)))
            flush_queue(ENTRY(r));
    }
    mutex_unlock(&r->lock);
}

static void retention_one(void *arg, struct replica *r)
{
    (void)arg;
    int64_t now_ms = clock_wall_ms();
    mutex_lock(&r->lock);
    if (r->partition != NULL) {
        struct log *log = partition_log(r->partition);
        log_apply_retention(log, now_ms, partition_high_watermark(r->partition));
    }
    mutex_unlock(&r->lock);
}

static void remove_deleted(void *arg, struct replica *r)
{
    (void)arg;
    mutex_lock(&r->lock);
    if (r->partition != NULL)
        log_remove_deleted(partition_log(r->partition), clock_wall_ms());
    mutex_unlock(&r->lock);
}

static void background_run(void *arg)
{
    struct replicas *rs = arg;
    int64_t checkpoint_ms = clock_monotonic_ms(), retention_ms = checkpoint_ms;
    while (!rest_for(&rs->rest, TICK_MS)) {
        int64_t now_ms = clock_monotonic_ms();
        replicas_each(rs, tick_one, NULL);
        reserve_tick(rs);
        dirs_check(rs);
        if (now_ms - checkpoint_ms >= rs->options.checkpoint_interval_ms) {
            checkpoint_ms = now_ms;
            dirs_glance(rs);
            checkpoints_write(rs);
            replicas_each(rs, remove_deleted, NULL);
        }
        if (now_ms - retention_ms >= rs->options.retention_check_interval_ms) {
            retention_ms = now_ms;
            replicas_each(rs, retention_one, NULL);
        }
    }
}

/* --- Closing --- */

static void close_one(void *arg, struct replica *r)
{
    bool *all_flushed = arg;
    mutex_lock(&r->lock);
    waiters_wake_all(ENTRY(r), ERR_NOT_LEADER_OR_FOLLOWER);
    struct log *log = r->partition ? partition_log(r->partition) : NULL;
    struct log_flush flush = {0};
    enum error_code err = ERR_NONE;
    while (err == ERR_NONE && log != NULL && log_flush_begin(log, &flush))
        err = log_flush_end(log, &flush, log_flush_sync(log, &flush));
    if (err == ERR_NONE && log != NULL)
        err = log_checkpoint(log);
    *all_flushed = *all_flushed && err == ERR_NONE && log != NULL;
    mutex_unlock(&r->lock);
}

void replicas_close(struct replicas *rs)
{
    if (rs == NULL)
        return;
    atomic_store(&rs->stopping, true);
    rest_end(&rs->rest);
    pthread_join(rs->background, NULL);
    cleaner_stop(rs->cleaner);
    scrubber_stop(rs->scrubber);
    flush_stop(rs);
    rest_deinit(&rs->rest);
    bool all_flushed = true;
    replicas_each(rs, close_one, &all_flushed);
    checkpoints_write(rs);
    if (all_flushed)
        clean_markers_write(rs);
    replicas_free(rs);
}
