/* The thread behind cleanup.policy=compact. */
#include "replication/cleaner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "replication/replicas_internal.h"

#define MAP_LOAD 0.9 /* log.cleaner.io.buffer.load.factor */

struct cleaner {
    struct replicas *replicas; /* constant */
    struct cleaner_options options;
    pthread_t thread;
    struct rest rest;
    _Atomic bool stopping;
};

/* One replica being compacted. */
struct work {
    struct cleaner *cleaner;
    struct replica *replica;
    struct compaction *compaction;
};

static struct log *log_of(struct replica *r) HOLDS(r->lock)
{
    return r->partition != NULL && !ENTRY(r)->removed ? partition_log(r->partition) : NULL;
}

static bool must_stop(void *arg)
{
    struct work *work = arg;
    mutex_lock(&work->replica->lock);
    bool gone = log_of(work->replica) == NULL;
    mutex_unlock(&work->replica->lock);
    return gone || atomic_load(&work->cleaner->stopping);
}

struct choice {
    struct replica *replica; /* counted; NULL: nothing is due */
    double ratio;
};

static void consider(void *arg, struct replica *r)
{
    struct choice *choice = arg;
    mutex_lock(&r->lock);
    struct log *log = log_of(r);
    double ratio =
        log != NULL ? log_dirty_ratio(log, clock_wall_ms(), partition_high_watermark(r->partition))
                    : -1;
    mutex_unlock(&r->lock);
    if (ratio < 0 || ratio <= choice->ratio)
        return;
    replica_unref(choice->replica);
    atomic_fetch_add(&ENTRY(r)->refs, 1);
    *choice = (struct choice){r, ratio};
}

static void swap(struct work *work)
{
    struct replica *r = work->replica;
    mutex_lock(&r->lock);
    struct log *log = log_of(r);
    if (log != NULL && compaction_swap(work->compaction, log) != ERR_NONE && log_is_failed(log))
        replica_offline(ENTRY(r), "compaction");
    mutex_unlock(&r->lock);
}

static void finish(struct work *work, int err, int64_t started_ms)
{
    struct replica *r = work->replica;
    struct compact_stats stats;
    mutex_lock(&r->lock);
    struct log *log = log_of(r);
    if (err == -EBADMSG && log != NULL)
        log_set_uncleanable(log);
    compaction_end(work->compaction, log, &stats);
    mutex_unlock(&r->lock);
    if (err == 0)
        LOG_INFO("compacted",
                 "topic=" SLICE_FMT " partition=%d records=%" PRId64 " kept=%" PRId64
                 " bytes_read=%" PRId64 " bytes_written=%" PRId64 " ms=%" PRId64,
                 SLICE_ARG(r->topic), r->index, stats.records_read, stats.records_kept,
                 stats.bytes_read, stats.bytes_written, clock_monotonic_ms() - started_ms);
    else if (err != -ECANCELED)
        LOG_WARN("could not compact", "topic=" SLICE_FMT " partition=%d reason=\"%s\" next=\"%s\"",
                 SLICE_ARG(r->topic), r->index, strerror(-err),
                 err == -EBADMSG ? "not tried again: a batch is damaged" : "tried again");
}

/* 0, or what stopped it. */
static int compact_replica(struct cleaner *cleaner, struct replica *r)
{
    struct work work = {.cleaner = cleaner, .replica = r};
    struct compact_options options = {.map_bytes_max = cleaner->options.map_bytes_max,
                                      .map_load_max = MAP_LOAD,
                                      .bytes_per_second = cleaner->options.bytes_per_second,
                                      .stop = must_stop,
                                      .arg = &work};
    int64_t started_ms = clock_monotonic_ms();
    mutex_lock(&r->lock);
    struct log *log = log_of(r);
    if (log != NULL)
        work.compaction = compaction_begin(log, &options, clock_wall_ms(),
                                           partition_high_watermark(r->partition));
    mutex_unlock(&r->lock);
    if (work.compaction == NULL)
        return -ECANCELED;
    int err = compaction_map(work.compaction);
    while (err == 0) {
        err = compaction_clean(work.compaction);
        if (err <= 0)
            break;
        swap(&work);
        err = must_stop(&work) ? -ECANCELED : 0;
    }
    finish(&work, err, started_ms);
    return err;
}

static void cleaner_run(void *arg)
{
    struct cleaner *cleaner = arg;
    bool stop = rest_for(&cleaner->rest, cleaner->options.backoff_ms);
    while (!stop) {
        struct choice choice = {.ratio = -1};
        replicas_each(cleaner->replicas, consider, &choice);
        int err = choice.replica != NULL ? compact_replica(cleaner, choice.replica) : -ENOENT;
        replica_unref(choice.replica);
        stop = err != 0 ? rest_for(&cleaner->rest, cleaner->options.backoff_ms)
                        : atomic_load(&cleaner->stopping);
    }
}

struct cleaner *cleaner_start(struct replicas *rs, const struct cleaner_options *options)
{
    if (!options->enabled)
        return NULL;
    struct cleaner *cleaner = mem_zalloc(sizeof(*cleaner));
    cleaner->replicas = rs;
    cleaner->options = *options;
    rest_init(&cleaner->rest);
    CHECK(thread_start(&cleaner->thread, &BACKGROUND, "cleaner", cleaner_run, cleaner) == 0);
    return cleaner;
}

void cleaner_stop(struct cleaner *cleaner)
{
    if (cleaner == NULL)
        return;
    atomic_store(&cleaner->stopping, true);
    rest_end(&cleaner->rest);
    pthread_join(cleaner->thread, NULL);
    rest_deinit(&cleaner->rest);
    free(cleaner);
}
