/*
 * The uniform assignor, in three steps:
 *
 *   keep   each member keeps what it has of its topics
 *   fill   what nobody has goes to the member that has least and wants the topic, one after the
 *          other; among equals to one in a rack of the partition's replicas
 *   level  who has two more than somebody who wants one of his partitions hands it over
 *
 * When all members want the same topics, a quota for each replaces `level`: nobody keeps more, and
 * the members that have most are those that may have one more, so that least moves.
 */
#include "coord/assignor.h"

struct piece {
    int32_t topic; /* number in the group */
    int32_t index;
};

struct uniform {
    struct assignor_group *g;
    struct arena arena;
    bool racks;             /* somebody has one */
    int32_t *quota;         /* by member; when all want the same */
    VEC(struct piece) pool; /* partitions that nobody has */
};

static bool wants(const struct assignor_member *m, int32_t topic)
{
    int32_t low = 0, high = m->topics_count;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (m->topics[middle] < topic)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->topics_count && m->topics[low] == topic;
}

static int32_t topic_number(const struct assignor_group *g, struct uuid id)
{
    int32_t low = 0, high = g->topics_count;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (memcmp(g->topics[middle]->id.bytes, id.bytes, sizeof(id.bytes)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < g->topics_count && uuid_equal(g->topics[low]->id, id) ? low : -1;
}

static bool rack_fits(const struct uniform *u, const struct assignor_member *m, struct piece p)
{
    if (!u->racks || slice_is_null(m->rack))
        return false;
    const struct image_partition *part = &u->g->topics[p.topic]->partitions[p.index];
    FOR_EACH (id, part->replicas, part->replicas_count) {
        const struct image_broker *b = image_find_broker(u->g->img, *id);
        if (b != NULL && !slice_is_null(b->rack) && slice_equal(b->rack, m->rack))
            return true;
    }
    return false;
}

static bool all_want_the_same(const struct assignor_group *g)
{
    FOR_EACH (m, g->members, g->members_count) {
        size_t size = (size_t)m->topics_count * sizeof(*m->topics);
        if (m->topics_count != g->members[0].topics_count ||
            (size > 0 && memcmp(m->topics, g->members[0].topics, size) != 0))
            return false;
    }
    return true;
}

/* --- Keep --- */

static int compare_held(const void *a, const void *b)
{
    const struct assignor_member *x = *(struct assignor_member *const *)a;
    const struct assignor_member *y = *(struct assignor_member *const *)b;
    if (x->now.count != y->now.count)
        return x->now.count > y->now.count ? -1 : 1;
    return slice_compare(x->id, y->id);
}

static void quotas_set(struct uniform *u)
{
    struct assignor_group *g = u->g;
    struct assignor_member **order =
        arena_need(&u->arena, ((size_t)g->members_count + 1) * sizeof(struct assignor_member *));
    int64_t partitions = 0;
    FOR_EACH (t, g->members[0].topics, g->members[0].topics_count)
        partitions += g->topics[*t]->partitions_count;
    for (int32_t i = 0; i < g->members_count; i++)
        order[i] = &g->members[i];
    qsort(order, (size_t)g->members_count, sizeof(struct assignor_member *), compare_held);
    u->quota = arena_need(&u->arena, ((size_t)g->members_count + 1) * sizeof(*u->quota));
    for (int32_t i = 0; i < g->members_count; i++)
        u->quota[order[i] - g->members] =
            (int32_t)(partitions / g->members_count + (i < partitions % g->members_count));
}

/* One pass over what the member had; returns how many more it may keep. */
static int32_t keep_some(struct uniform *u, struct assignor_member *m, bool fitting, int32_t room,
                         bool *const *taken)
{
    FOR_EACH (p, m->now.items, m->now.count) {
        int32_t t = room > 0 ? topic_number(u->g, p->topic) : -1;
        if (t < 0 || !wants(m, t) || p->index >= u->g->topics[t]->partitions_count ||
            taken[t][p->index] || (fitting && !rack_fits(u, m, (struct piece){t, p->index})))
            continue;
        taken[t][p->index] = true;
        partition_set_push(&m->out, p->topic, p->index, 0);
        room--;
    }
    return room;
}

static void keep(struct uniform *u)
{
    struct assignor_group *g = u->g;
    bool **taken = arena_need(&u->arena, ((size_t)g->topics_count + 1) * sizeof(bool *));
    for (int32_t t = 0; t < g->topics_count; t++)
        taken[t] = arena_need(&u->arena, (size_t)g->topics[t]->partitions_count + 1);
    for (int32_t i = 0; i < g->members_count; i++) {
        struct assignor_member *m = &g->members[i];
        int32_t room = u->quota != NULL ? u->quota[i] : INT32_MAX;
        if (u->racks && u->quota != NULL)
            room = keep_some(u, m, true, room, taken);
        keep_some(u, m, false, room, taken);
    }
    for (int32_t t = 0; t < g->topics_count; t++)
        for (int32_t p = 0; p < g->topics[t]->partitions_count; p++)
            if (!taken[t][p])
                vec_push(&u->pool, ((struct piece){t, p}));
}

/* --- Fill --- */

static void give(struct uniform *u, struct assignor_member *m, struct piece p)
{
    partition_set_push(&m->out, u->g->topics[p.topic]->id, p.index, 0);
}

static bool has_room(const struct uniform *u, const struct assignor_member *m)
{
    return u->quota == NULL || (int32_t)m->out.count < u->quota[m - u->g->members];
}

/* NULL: nobody wants it, or nobody of its rack has room. */
static struct assignor_member *taker_find(const struct uniform *u, struct piece p, bool fitting)
{
    struct assignor_member *best = NULL;
    FOR_EACH (m, u->g->members, u->g->members_count) {
        if ((best == NULL || m->out.count < best->out.count) && wants(m, p.topic) &&
            has_room(u, m) && (!fitting || rack_fits(u, m, p)))
            best = m;
    }
    return best;
}

/* Without quotas a rack counts only among those that have least, or it would cost balance. */
static bool fill_one(struct uniform *u, struct piece p, bool fitting)
{
    struct assignor_member *m = taker_find(u, p, fitting);
    if (m == NULL)
        return false;
    if (fitting && u->quota == NULL && m->out.count > taker_find(u, p, false)->out.count)
        return false;
    give(u, m, p);
    return true;
}

static void fill(struct uniform *u)
{
    size_t left = 0;
    for (size_t i = 0; i < u->pool.count; i++)
        if (!u->racks || !fill_one(u, u->pool.items[i], true))
            u->pool.items[left++] = u->pool.items[i];
    for (size_t i = 0; i < left; i++)
        (void)fill_one(u, u->pool.items[i], false);
}

/* --- Level --- */

static bool hand_over(struct uniform *u, struct assignor_member *m)
{
    for (size_t i = m->out.count; i-- > 0;) {
        int32_t t = topic_number(u->g, m->out.items[i].topic);
        struct piece p = {t, m->out.items[i].index};
        struct assignor_member *to = taker_find(u, p, false);
        if (to == NULL || to->out.count + 1 >= m->out.count)
            continue;
        vec_remove(&m->out, i);
        give(u, to, p);
        return true;
    }
    return false;
}

/* Each step makes the sum of the squares smaller, so it ends. */
static void level(struct uniform *u)
{
    bool moved = true;
    while (moved) {
        moved = false;
        FOR_EACH (m, u->g->members, u->g->members_count) {
            while (hand_over(u, m))
                moved = true;
        }
    }
}

void assign_uniform(struct assignor_group *g)
{
    struct uniform u = {.g = g};
    if (g->members_count == 0)
        return;
    arena_init(&u.arena, 0);
    FOR_EACH (m, g->members, g->members_count)
        u.racks = u.racks || !slice_is_null(m->rack);
    bool same = all_want_the_same(g);
    if (same)
        quotas_set(&u);
    keep(&u);
    fill(&u);
    if (!same)
        level(&u);
    FOR_EACH (m, g->members, g->members_count)
        partition_set_sort(&m->out);
    vec_deinit(&u.pool);
    arena_deinit(&u.arena);
}
