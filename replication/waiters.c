/* Requests parked on a partition. */
#include "replication/replicas_internal.h"

/* A batch was appended and may count yet: clients take these for "it is not there", send it again
 * in other company, and then it is there twice. */
static enum error_code after_append(enum error_code err)
{
    return err == ERR_NOT_LEADER_OR_FOLLOWER || err == ERR_KAFKA_STORAGE_ERROR
               ? ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND
               : err;
}

/* Lock held. Is there nothing to wait for? */
static bool ready(const struct replica_entry *e, const struct waiter *w, enum error_code *err)
{
    struct partition *p = e->base.partition;
    *err = ERR_NONE;
    if (e->removed) {
        *err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    bool appended = w->kind == WAIT_HIGH_WATERMARK;
    if (p == NULL || e->doomed) {
        *err = appended ? after_append(ERR_KAFKA_STORAGE_ERROR) : ERR_KAFKA_STORAGE_ERROR;
        return true;
    }
    /* What stands there now may be another's. */
    if (appended && w->cuts != e->cuts) {
        *err = after_append(ERR_NOT_LEADER_OR_FOLLOWER);
        return true;
    }
    /* Consumers may read from a follower, too; and one that was the leader learns as a follower
     * whether a batch counts. */
    bool leads = partition_role(p) == PARTITION_LEADER;
    if (!leads && !appended && w->kind != WAIT_COMMITTED_DATA) {
        *err = ERR_NOT_LEADER_OR_FOLLOWER;
        return true;
    }
    switch (w->kind) {
    case WAIT_HIGH_WATERMARK:
        if (partition_high_watermark(p) >= w->offset)
            return true;
        /* The watermark stands still now, and the ISR that shrank before we came wakes nobody. */
        if (leads && partition_is_under_min_isr(p))
            *err = ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        return *err != ERR_NONE;
    case WAIT_COMMITTED_DATA:
        return partition_high_watermark(p) > w->offset;
    case WAIT_LOW_WATERMARK:
        return partition_low_watermark(p) >= w->offset;
    case WAIT_APPENDED_DATA:
        return log_end_offset(partition_log(p)) > w->offset;
    }
    return true;
}

bool waiter_park(struct replica *r, struct waiter *w, enum error_code *err)
{
    struct replica_entry *e = ENTRY(r);
    mutex_lock(&r->lock);
    bool now = ready(e, w, err);
    if (!now) {
        w->replica = r;
        atomic_fetch_add(&e->refs, 1);
        list_push_back(&e->waiters, &w->link);
    }
    mutex_unlock(&r->lock);
    return !now;
}

void waiter_remove(struct waiter *w)
{
    struct replica *r = w->replica;
    if (r == NULL)
        return;
    mutex_lock(&r->lock);
    list_remove(&w->link);
    mutex_unlock(&r->lock);
    w->replica = NULL;
    replica_unref(r);
}

/* The waiter's reference stays until its owner removes it: wake() only posts, and the memory must
 * not go while the lock is held. */
static void wake(struct waiter *w, enum error_code err)
{
    list_remove(&w->link);
    w->wake(w, err);
}

void waiters_wake(struct replica_entry *e, enum waiter_kind kind, enum error_code err)
{
    LIST_FOR_EACH (w, &e->waiters, struct waiter, link)
        if (w->kind == kind)
            wake(w, err);
}

void waiters_wake_watermark(struct replica_entry *e, int64_t high_watermark)
{
    LIST_FOR_EACH (w, &e->waiters, struct waiter, link)
        if (w->kind == WAIT_COMMITTED_DATA ||
            (w->kind == WAIT_HIGH_WATERMARK && w->offset <= high_watermark))
            wake(w, ERR_NONE);
}

void waiters_wake_low_watermark(struct replica_entry *e, int64_t low_watermark)
{
    LIST_FOR_EACH (w, &e->waiters, struct waiter, link)
        if (w->kind == WAIT_LOW_WATERMARK && w->offset <= low_watermark)
            wake(w, ERR_NONE);
}

void waiters_wake_all(struct replica_entry *e, enum error_code err)
{
    LIST_FOR_EACH (w, &e->waiters, struct waiter, link)
        wake(w, w->kind == WAIT_HIGH_WATERMARK ? after_append(err) : err);
}

void waiters_role_changed(struct replica_entry *e)
{
    LIST_FOR_EACH (w, &e->waiters, struct waiter, link)
        if (w->kind != WAIT_HIGH_WATERMARK)
            wake(w, ERR_NOT_LEADER_OR_FOLLOWER);
}

void waiters_cut(struct replica_entry *e, int64_t offset)
{
    e->cuts++;
    LIST_FOR_EACH (w, &e->waiters, struct waiter, link)
        if (w->kind == WAIT_HIGH_WATERMARK && w->offset > offset)
            wake(w, after_append(ERR_NOT_LEADER_OR_FOLLOWER));
}
