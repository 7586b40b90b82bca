/*
 * One member's way from what it has to what it is to have. What it must give up comes first; it
 * keeps its epoch meanwhile, and nobody else gets those partitions. Then it has the newest epoch
 * with whatever of its target nobody else has any more.
 */
#include "coord/group_consumer_internal.h"

bool consumer_member_is_reconciled(const struct group_consumer *g, const struct consumer_member *m)
{
    return m->state == CONSUMER_STABLE && m->epoch == g->assignment_epoch;
}

/* Leave out topics that the member does not want, or that are gone. */
static void filter_wanted(const struct group_consumer *g, const struct consumer_member *m,
                          const struct image *img, struct partition_set *set)
{
    size_t count = 0;
    for (size_t i = 0, end; i < set->count; i = end) {
        const struct image_topic *topic = image_find_topic_by_id(img, set->items[i].topic);
        bool wanted = topic != NULL && consumer_member_wants(g, m, topic->name);
        end = partition_set_topic_end(set, i);
        for (size_t k = i; wanted && k < end; k++)
            set->items[count++] = set->items[k];
    }
    set->count = count;
}

/* Take out what others have. */
static void drop_unreleased(const struct group_consumer *g, const struct consumer_member *m,
                            struct partition_set *set)
{
    CONSUMER_MEMBERS(other, g)
    {
        if (other == m || set->count == 0)
            continue;
        partition_set_drop(set, &other->assigned);
        partition_set_drop(set, &other->revoking);
    }
}

static bool still_owns(const struct partition_set *owned, const struct partition_set *revoking)
{
    return revoking->count > 0 && (owned == NULL || partition_set_intersects(owned, revoking));
}

static void epoch_set(struct consumer_member *m, int32_t epoch)
{
    if (m->epoch == epoch)
        return;
    m->previous_epoch = m->epoch;
    m->epoch = epoch;
}

struct next {
    struct partition_set assigned, revoking, pending;
    bool unreleased;
};

static void next_find(const struct group_consumer *g, const struct consumer_member *m,
                      const struct image *img, struct next *next)
{
    partition_set_copy(&next->pending, &m->target);
    filter_wanted(g, m, img, &next->pending);
    partition_set_copy(&next->assigned, &m->assigned);
    partition_set_keep(&next->assigned, &next->pending);
    partition_set_copy(&next->revoking, &m->assigned);
    partition_set_drop(&next->revoking, &next->assigned);
    partition_set_drop(&next->pending, &next->assigned);
    size_t wanted = next->pending.count;
    drop_unreleased(g, m, &next->pending);
    next->unreleased = next->pending.count < wanted;
}

static void step(struct group_consumer *g, struct consumer_member *m,
                 const struct partition_set *owned, const struct image *img)
{
    struct next next = {0};
    next_find(g, m, img, &next);
    if (still_owns(owned, &next.revoking)) {
        m->state = CONSUMER_UNREVOKED;
        partition_set_move(&m->revoking, &next.revoking);
    } else {
        FOR_EACH (p, next.pending.items, next.pending.count)
            p->epoch = g->assignment_epoch;
        partition_set_add(&next.assigned, &next.pending);
        epoch_set(m, g->assignment_epoch);
        m->state = next.unreleased ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
        m->revoking.count = 0;
    }
    partition_set_move(&m->assigned, &next.assigned);
    partition_set_deinit(&next.revoking);
    partition_set_deinit(&next.pending);
}

/* While it has something to give up: what it does not want any more it gives up as well. */
static void revoke_unwanted(const struct group_consumer *g, struct consumer_member *m,
                            const struct image *img)
{
    struct partition_set unwanted = {0}, wanted = {0};
    partition_set_copy(&wanted, &m->assigned);
    filter_wanted(g, m, img, &wanted);
    partition_set_copy(&unwanted, &m->assigned);
    partition_set_drop(&unwanted, &wanted);
    partition_set_add(&m->revoking, &unwanted);
    partition_set_move(&m->assigned, &wanted);
    partition_set_deinit(&unwanted);
}

struct before {
    enum consumer_state state;
    int32_t epoch;
    struct partition_set assigned, revoking;
};

static bool differs(const struct before *b, const struct consumer_member *m)
{
    return b->state != m->state || b->epoch != m->epoch ||
           !partition_set_equal(&b->assigned, &m->assigned) ||
           !partition_set_equal(&b->revoking, &m->revoking);
}

void consumer_reconcile(struct group_consumer *g, struct consumer_member *m,
                        const struct partition_set *owned, const struct consumer_event *event)
{
    struct before before = {.state = m->state, .epoch = m->epoch};
    partition_set_copy(&before.assigned, &m->assigned);
    partition_set_copy(&before.revoking, &m->revoking);
    if (m->state == CONSUMER_UNREVOKED && still_owns(owned, &m->revoking))
        revoke_unwanted(g, m, event->img);
    else
        step(g, m, owned, event->img);
    if (differs(&before, m)) {
        g->unwritten = true;
        m->revoke_deadline_ms =
            m->state == CONSUMER_UNREVOKED ? event->now_ms + m->rebalance_timeout_ms : GROUP_NEVER;
    }
    partition_set_deinit(&before.assigned);
    partition_set_deinit(&before.revoking);
}
