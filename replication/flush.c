/*
 * Group commit: one flush of a partition at a time; what is appended while it runs waits for the
 * next. Partitions are flushed side by side by the flush threads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/clock.h"
#include "replication/replicas_internal.h"

static void push(struct replica_entry *e)
{
    struct replicas *rs = e->owner;
    atomic_fetch_add(&e->refs, 1); /* the queue's */
    mutex_lock(&rs->flush_lock);
    list_push_back(&rs->flush_queue, &e->flush_link);
    mutex_unlock(&rs->flush_lock);
    sem_post(&rs->flush_work);
}

bool flush_is_due(const struct replica_entry *e)
{
    const struct log *log = partition_log(e->base.partition);
    if (e->closing)
        return false;
    if (!e->write_caching)
        return log_flushed_end_offset(log) < log_end_offset(log);
    return log_flush_is_due(log, clock_monotonic_ms() - e->flushed_ms);
}

void flush_queue(struct replica_entry *e)
{
    if (e->flushing) {
        e->dirty = true;
        return;
    }
    e->flushing = true;
    e->dirty = false;
    push(e);
}

/* Lock held: the outcome of a sync. */
static void flush_finish(struct replica_entry *e, struct log_flush *flush, int sync_error)
{
    struct partition *p = e->base.partition;
    struct partition_effects fx = {0};
    e->flushing = false;
    e->flushed_ms = clock_monotonic_ms();
    if (p == NULL)
        return;
    if (log_flush_end(partition_log(p), flush, sync_error) != ERR_NONE || e->doomed) {
        replica_offline(e, sync_error < 0 ? strerror(-sync_error) : "flush");
        return;
    }
    if (partition_role(p) == PARTITION_LEADER)
        partition_flushed(p, clock_monotonic_ms(), &fx);
    else if (e->owner->options.callbacks.follower_flushed != NULL)
        e->owner->options.callbacks.follower_flushed(e->owner->options.callbacks.arg,
                                                     e->base.topic_id, e->base.index);
    replica_effects(e, &fx);
    /* One flush takes a few segments; more may have been rolled meanwhile. */
    if (e->dirty || flush_is_due(e))
        flush_queue(e);
}

static void flush_one(struct replica_entry *e)
{
    struct log_flush flush = {0};
    mutex_lock(&e->base.lock);
    struct partition *p = e->base.partition;
    e->dirty = false;
    /* The log stays open while it is referenced: removal waits for `flushing` to end. */
    struct log *log = p != NULL ? partition_log(p) : NULL;
    bool any = log != NULL && log_flush_begin(log, &flush);
    if (!any) {
        /* Somebody else's flush (a clean stop) was quicker; a follower may still wait for the
         * news. */
        e->flushing = false;
        if (log != NULL && (e->doomed || log_is_failed(log)))
            replica_offline(e, "flush");
        else if (log != NULL && partition_role(p) == PARTITION_FOLLOWER &&
                 e->owner->options.callbacks.follower_flushed != NULL)
            e->owner->options.callbacks.follower_flushed(e->owner->options.callbacks.arg,
                                                         e->base.topic_id, e->base.index);
    }
    mutex_unlock(&e->base.lock);
    if (!any)
        return;
    int rc = log_flush_sync(log, &flush);
    mutex_lock(&e->base.lock);
    flush_finish(e, &flush, rc);
    mutex_unlock(&e->base.lock);
}

static void flush_run(void *arg)
{
    struct replicas *rs = arg;
    for (;;) {
        while (sem_wait(&rs->flush_work) != 0)
            CHECK(errno == EINTR);
        mutex_lock(&rs->flush_lock);
        struct list *link = list_pop_front(&rs->flush_queue);
        mutex_unlock(&rs->flush_lock);
        if (link == NULL) {
            if (atomic_load(&rs->stopping))
                return;
            continue;
        }
        struct replica_entry *e = CONTAINER_OF(link, struct replica_entry, flush_link);
        flush_one(e);
        replica_unref(&e->base);
    }
}

int flush_start(struct replicas *rs)
{
    mutex_init(&rs->flush_lock);
    list_init(&rs->flush_queue);
    sem_init(&rs->flush_work, 0, 0);
    int count = rs->options.flush_threads;
    rs->flush_threads = mem_zalloc((size_t)count * sizeof(pthread_t));
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "flush-%d", i);
        int rc = thread_start(&rs->flush_threads[i], &FLUSH, name, flush_run, rs);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void flush_stop(struct replicas *rs)
{
    for (int i = 0; i < rs->options.flush_threads; i++)
        sem_post(&rs->flush_work);
    for (int i = 0; i < rs->options.flush_threads; i++)
        pthread_join(rs->flush_threads[i], NULL);
    free(rs->flush_threads);
    sem_destroy(&rs->flush_work);
    mutex_deinit(&rs->flush_lock);
}
