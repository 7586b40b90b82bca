/* Replica placement by counts. */
#include "coord/placement.h"

#include "coord/balance.h"
#include "coord/image_internal.h"
#include "proto/base/vec.h"

struct candidate {
    int32_t node_id;
    struct slice rack;
    bool active;
    bool chosen; /* for this partition */
    int64_t leaders;
    int64_t replicas;
};

struct placement {
    struct candidate *candidates; /* by node id */
    int count;
    int active_count;
    int64_t placed; /* partitions so far: where ties begin */
};

static struct candidate *candidate_find(struct placement *pl, int32_t node_id)
{
    FOR_EACH (c, pl->candidates, pl->count) {
        if (c->node_id == node_id)
            return c;
    }
    return NULL;
}

static void count_partition(struct placement *pl, const struct image_partition *p)
{
    for (int i = 0; i < p->replicas_count; i++) {
        struct candidate *c = candidate_find(pl, p->replicas[i]);
        if (c == NULL)
            continue;
        c->replicas++;
        c->leaders += i == 0;
    }
    pl->placed++;
}

static void placement_init(struct placement *pl, const struct image *img, struct arena *arena)
{
    *pl = (struct placement){.count = img->brokers_count};
    pl->candidates = arena_need(arena, ((size_t)pl->count + 1) * sizeof(*pl->candidates));
    for (int i = 0; i < pl->count; i++) {
        const struct image_broker *b = img->brokers[i];
        bool active = image_broker_active(img, b->node_id) && !drain_is_wanted(img, b->node_id);
        pl->candidates[i] =
            (struct candidate){.node_id = b->node_id, .rack = b->rack, .active = active};
        pl->active_count += active;
    }
    FOR_EACH (topic, img->topics, img->topics_count) {
        FOR_EACH (p, (*topic)->partitions, (*topic)->partitions_count)
            count_partition(pl, p);
    }
}

/* Steps from `start` upwards, round the ring. */
static int distance(const struct placement *pl, const struct candidate *c, int64_t start)
{
    int64_t at = c - pl->candidates;
    return (int)((at - start % pl->count + pl->count) % pl->count);
}

static struct candidate *choose_leader(struct placement *pl)
{
    struct candidate *best = NULL;
    FOR_EACH (c, pl->candidates, pl->count) {
        if (!c->active)
            continue;
        int64_t difference = best == NULL ? -1 : c->leaders - best->leaders;
        if (difference == 0)
            difference = c->replicas - best->replicas;
        if (difference == 0)
            difference = distance(pl, c, pl->placed) - distance(pl, best, pl->placed);
        if (difference < 0)
            best = c;
    }
    return best;
}

static bool rack_used(const struct placement *pl, const struct candidate *candidate)
{
    FOR_EACH (c, pl->candidates, pl->count) {
        if (c->chosen && slice_equal(c->rack, candidate->rack))
            return true;
    }
    return false;
}

static bool better_follower(const struct placement *pl, const struct candidate *a,
                            const struct candidate *b, int64_t start)
{
    if (a->active != b->active)
        return a->active;
    bool a_used = rack_used(pl, a);
    if (a_used != rack_used(pl, b))
        return !a_used;
    if (a->replicas != b->replicas)
        return a->replicas < b->replicas;
    return distance(pl, a, start) < distance(pl, b, start);
}

static struct candidate *choose_follower(struct placement *pl, const struct candidate *leader)
{
    /* Each time that a leader comes round again, its followers begin one further. */
    int64_t start = (leader - pl->candidates) + 1 + pl->placed / pl->count;
    struct candidate *best = NULL;
    FOR_EACH (c, pl->candidates, pl->count) {
        if (!c->chosen && (best == NULL || better_follower(pl, c, best, start)))
            best = c;
    }
    return best;
}

static void place(struct placement *pl, int replication_factor, int32_t *replicas)
{
    FOR_EACH (c, pl->candidates, pl->count)
        c->chosen = false;
    struct candidate *leader = choose_leader(pl);
    leader->leaders++;
    struct candidate *next = leader;
    for (int i = 0; i < replication_factor; i++) {
        next->chosen = true;
        next->replicas++;
        replicas[i] = next->node_id;
        if (i + 1 < replication_factor)
            next = choose_follower(pl, leader);
    }
    pl->placed++;
}

enum error_code placement_choose(const struct image *img, int32_t partitions_count,
                                 int replication_factor, struct arena *arena, int32_t **replicas)
{
    *replicas = NULL;
    struct placement pl;
    placement_init(&pl, img, arena);
    if (replication_factor < 1 || replication_factor > pl.count || pl.active_count == 0)
        return ERR_INVALID_REPLICATION_FACTOR;
    int32_t *rows =
        arena_need(arena, (size_t)partitions_count * (size_t)replication_factor * sizeof(*rows));
    for (int32_t i = 0; i < partitions_count; i++)
        place(&pl, replication_factor, rows + (size_t)i * (size_t)replication_factor);
    *replicas = rows;
    return ERR_NONE;
}
