/*
 * For the tests of replicas, waiters, flush and checkpoints: a node's replicas with its real
 * threads, over a temporary folder and the real files, except that the sync of a segment can be
 * held back and can fail. It goes on the fixture of the log's tests for batches and names.
 */
#pragma once

#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "log_fixture.h"
#include "replication/replicas.h"

#define FDS_MAX 512
#define WAIT_S  20 /* for what must happen; long, for a busy machine */
#define ME      1

/* Syncs of *.log files, as the flush threads meet them. */
static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fs fs;
    bool segment[FDS_MAX]; /* by descriptor */
    bool closed;           /* syncs wait */
    int waiting;
    int syncs;
    int error; /* -errno of the next ones */
    int flushed_calls, failed_calls, proposals;
    struct isr_proposal proposal;
} gate;

static inline void gate_set(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static struct timespec deadline(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += WAIT_S;
    return at;
}

/* Until *count reached `wanted`; the counters of the gate only. */
static inline void gate_await(const int *count, int wanted)
{
    struct timespec at = deadline();
    pthread_mutex_lock(&gate.lock);
    int rc = 0;
    while (*count < wanted && rc == 0)
        rc = pthread_cond_timedwait(&gate.changed, &gate.lock, &at);
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(rc, 0);
}

static inline int gate_count(const int *count)
{
    pthread_mutex_lock(&gate.lock);
    int n = *count;
    pthread_mutex_unlock(&gate.lock);
    return n;
}

static void gate_note(int *count)
{
    pthread_mutex_lock(&gate.lock);
    (*count)++;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static int gate_open(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file)
{
    int rc = fs_real.open(arg, path, mode, file);
    size_t size = strlen(path);
    if (rc == 0) {
        CHECK(file->fd < FDS_MAX);
        pthread_mutex_lock(&gate.lock);
        gate.segment[file->fd] = size > 4 && strcmp(path + size - 4, ".log") == 0;
        pthread_mutex_unlock(&gate.lock);
    }
    return rc;
}

static int gate_sync(void *arg, struct fs_file file)
{
    int rc = 0;
    pthread_mutex_lock(&gate.lock);
    if (gate.segment[file.fd]) {
        gate.syncs++;
        gate.waiting++;
        pthread_cond_broadcast(&gate.changed);
        while (gate.closed)
            pthread_cond_wait(&gate.changed, &gate.lock);
        gate.waiting--;
        rc = gate.error;
    }
    pthread_mutex_unlock(&gate.lock);
    return rc != 0 ? rc : fs_real.sync(arg, file);
}

static void on_propose(void *arg, const struct isr_proposal *proposal)
{
    (void)arg;
    pthread_mutex_lock(&gate.lock);
    gate.proposal = *proposal;
    pthread_mutex_unlock(&gate.lock);
    gate_note(&gate.proposals);
}

static void on_flushed(void *arg, struct uuid topic_id, int32_t partition)
{
    (void)arg;
    (void)topic_id;
    (void)partition;
    gate_note(&gate.flushed_calls);
}

static void on_failed(void *arg, struct uuid topic_id, int32_t partition, bool serves)
{
    (void)serves;
    (void)arg;
    (void)topic_id;
    (void)partition;
    gate_note(&gate.failed_calls);
}

static inline struct replicas *replicas_start(void)
{
    const char *dirs[] = {test_folder};
    struct replicas *rs;
    struct replicas_options options = {
        .node_id = ME,
        .log_dirs = dirs,
        .log_dirs_count = 1,
        .flush_threads = 2,
        .checkpoint_interval_ms = 20,
        .retention_check_interval_ms = 3600000, /* its records are old */
        .callbacks = {.propose_isr = on_propose,
                      .follower_flushed = on_flushed,
                      .replica_failed = on_failed},
    };
    assert_int_equal(replicas_open(&options, &gate.fs, &rs), ERR_NONE);
    return rs;
}

static int replicas_setup(void **state)
{
    int rc = folder_setup(state);
    memset(&gate, 0, sizeof(gate));
    pthread_mutex_init(&gate.lock, NULL);
    pthread_cond_init(&gate.changed, NULL);
    gate.fs = fs_real;
    gate.fs.open = gate_open;
    gate.fs.sync = gate_sync;
    return rc;
}

static int remove_below(void *arg, const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    return log_remove_folder(&fs_real, path) == 0 ? 0 : unlink(path);
}

static int replicas_teardown(void **state)
{
    (void)state;
    (void)fs_real.list(NULL, test_folder, remove_below, test_folder);
    file_cache_unref(faults.fs.files);
    return rmdir(test_folder);
}

#define REPLICAS_TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)

/* --- A partition of the topic "t" with replicas 1 (we), 2 and 3 --- */

static const struct uuid topic_t = {{7}};

static inline struct partition_state led_by(int32_t leader, int32_t leader_epoch, int32_t epoch,
                                            int isr_count)
{
    return (struct partition_state){.leader = leader,
                                    .leader_epoch = leader_epoch,
                                    .partition_epoch = epoch,
                                    .replicas = {1, 2, 3},
                                    .replicas_count = 3,
                                    .isr = {1, 2, 3},
                                    .isr_count = isr_count};
}

static inline enum error_code apply(struct replicas *rs, struct partition_state state)
{
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 2, .replica_lag_time_max_ms = 600000};
    return replicas_apply(rs, SLICE("t"), topic_t, 0, &state, &config);
}

static inline struct replica *lead(struct replicas *rs, int isr_count)
{
    assert_int_equal(apply(rs, led_by(ME, 1, 1, isr_count)), ERR_NONE);
    struct replica *r = replicas_find(rs, topic_t, 0);
    assert_non_null(r);
    pthread_mutex_lock(&gate.lock);
    gate.syncs = 0; /* opening syncs, too */
    pthread_mutex_unlock(&gate.lock);
    return r;
}

static inline enum error_code produce_as(struct replicas *rs, struct replica *r, int16_t acks,
                                         struct partition_append_result *out)
{
    struct buffer bytes = {0};
    struct batch_header h;
    build_batch(&bytes, (struct batch_spec){.records = 1, .value_size = 10, .timestamp = 1000});
    CHECK(batch_header_decode(buffer_slice(&bytes), &h) == 0);
    enum error_code err = replica_append(rs, r, bytes.data, bytes.size, &h, acks, out);
    buffer_deinit(&bytes);
    return err;
}

/* One record with acks=all; returns its end. */
static inline int64_t produce(struct replicas *rs, struct replica *r)
{
    struct partition_append_result out;
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_NONE);
    return out.end_offset;
}

static inline void follower_at(struct replicas *rs, struct replica *r, int32_t node_id,
                               int64_t offset)
{
    struct follower_fetch f = {.replica = node_id,
                               .broker_epoch = 5,
                               .leader_epoch = 1,
                               .fetch_offset = offset,
                               .last_fetched_epoch = offset > 0 ? 1 : -1};
    assert_int_equal(replica_follower_fetched(rs, r, &f), ERR_NONE);
}

static inline int64_t watermark_of(struct replica *r)
{
    mutex_lock(&r->lock);
    int64_t watermark = r->partition != NULL ? partition_high_watermark(r->partition) : -1;
    mutex_unlock(&r->lock);
    return watermark;
}

static inline int64_t end_of(struct replica *r)
{
    mutex_lock(&r->lock);
    int64_t end = r->partition != NULL ? log_end_offset(partition_log(r->partition)) : -1;
    mutex_unlock(&r->lock);
    return end;
}

/* --- A parked request --- */

struct parked {
    struct waiter w;
    sem_t woken;
    atomic_int times;
    enum error_code err;
};

static inline void on_wake(struct waiter *w, enum error_code err)
{
    struct parked *parked = CONTAINER_OF(w, struct parked, w);
    parked->err = err;
    atomic_fetch_add(&parked->times, 1);
    sem_post(&parked->woken);
}

static inline bool park(struct parked *parked, struct replica *r, enum waiter_kind kind,
                        int64_t offset)
{
    memset(parked, 0, sizeof(*parked));
    parked->w = (struct waiter){.kind = kind, .offset = offset, .wake = on_wake};
    sem_init(&parked->woken, 0, 0);
    return waiter_park(r, &parked->w, &parked->err);
}

static inline bool is_woken(struct parked *parked)
{
    return atomic_load(&parked->times) > 0;
}

/* What it was woken with; gives the waiter back. */
static inline enum error_code unpark(struct parked *parked)
{
    struct timespec at = deadline();
    assert_int_equal(sem_timedwait(&parked->woken, &at), 0);
    waiter_remove(&parked->w);
    assert_int_equal(atomic_load(&parked->times), 1);
    sem_destroy(&parked->woken);
    return parked->err;
}
