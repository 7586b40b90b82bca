/* Even numbers of replicas, then of preferred leaderships. */
#include "coord/balance.h"

#include <stdio.h>

#include "coord/image_internal.h"
#include "coord/image_resources.h"

/* Preferred leaderships that change in one round; they copy nothing. */
#define LEADS_MAX 50

struct load {
    int32_t node_id;
    struct slice rack;
    bool active; /* and not drained: it may be given more */
    bool drained;
    int64_t replicas;
    int64_t leaders; /* preferred */
};

struct balance {
    const struct image *img;
    VEC(struct load) loads; /* by node id */
    struct balance_moves *out;
    int copying; /* partitions that get new replicas now */
};

static struct load *load_find(struct balance *b, int32_t node_id)
{
    FOR_EACH (l, b->loads.items, b->loads.count) {
        if (l->node_id == node_id)
            return l;
    }
    return NULL;
}

/* Has it, or will have it when the move that is under way ends. */
static bool will_have(const struct image_partition *p, int32_t node_id)
{
    return ids_contain(p->replicas, p->replicas_count, node_id) &&
           !ids_contain(p->removing, p->removing_count, node_id);
}

static int32_t preferred_of(const struct image_partition *p)
{
    for (int i = 0; i < p->replicas_count; i++) {
        if (!ids_contain(p->removing, p->removing_count, p->replicas[i]))
            return p->replicas[i];
    }
    return -1;
}

static void balance_init(struct balance *b, const struct image *img, struct balance_moves *out)
{
    *b = (struct balance){.img = img, .out = out};
    FOR_EACH (broker, img->brokers, img->brokers_count) {
        int32_t id = (*broker)->node_id;
        struct load l = {.node_id = id,
                         .rack = (*broker)->rack,
                         .active = image_broker_active(img, id) && !drain_is_wanted(img, id),
                         .drained = drain_is_wanted(img, id)};
        vec_push(&b->loads, l);
    }
    FOR_EACH (topic, img->topics, img->topics_count) {
        FOR_EACH (p, (*topic)->partitions, (*topic)->partitions_count) {
            b->copying += p->adding_count > 0;
            FOR_EACH (l, b->loads.items, b->loads.count) {
                l->replicas += will_have(p, l->node_id);
                l->leaders += preferred_of(p) == l->node_id;
            }
        }
    }
}

static const struct balance_move *move_of(const struct balance *b, struct slice topic,
                                          int32_t partition)
{
    FOR_EACH (m, b->out->list.items, b->out->list.count) {
        if (m->partition == partition && slice_equal(m->topic, topic))
            return m;
    }
    return NULL;
}

static bool at_rest(const struct balance *b, const struct image_topic *topic, int32_t index)
{
    const struct image_partition *p = &topic->partitions[index];
    return p->adding_count == 0 && p->removing_count == 0 && p->isr_count == p->replicas_count &&
           move_of(b, topic->name, index) == NULL;
}

/* Would a partition of `from` share a rack with one of its others at `to` that it has now alone? */
static bool rack_allows(struct balance *b, const struct image_partition *p, const struct load *from,
                        const struct load *to)
{
    if (to->rack.data == NULL || slice_equal(from->rack, to->rack))
        return true;
    for (int i = 0; i < p->replicas_count; i++) {
        const struct load *other = load_find(b, p->replicas[i]);
        if (other != NULL && other != from && slice_equal(other->rack, to->rack))
            return false;
    }
    return true;
}

/* The partition of this topic to take; the wanted kind first. -1: none. */
static int32_t choose_partition(struct balance *b, const struct image_topic *topic,
                                const struct load *from, const struct load *to)
{
    bool want_leader = from->leaders > to->leaders;
    int32_t found = -1;
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const struct image_partition *p = &topic->partitions[i];
        if (!at_rest(b, topic, i) || !will_have(p, from->node_id) || will_have(p, to->node_id) ||
            !rack_allows(b, p, from, to))
            continue;
        if ((preferred_of(p) == from->node_id) == want_leader)
            return i;
        if (found < 0)
            found = i;
    }
    return found;
}

/* How many more of the topic's partitions `from` has than `to`: such topics are spread first. */
static int64_t excess(const struct balance *b, const struct image_topic *topic,
                      const struct load *from, const struct load *to)
{
    int64_t n = 0;
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const struct image_partition *p = &topic->partitions[i];
        const struct balance_move *m = move_of(b, topic->name, i);
        if (m != NULL) {
            n += ids_contain(m->replicas, m->replicas_count, from->node_id);
            n -= ids_contain(m->replicas, m->replicas_count, to->node_id);
        } else {
            n += will_have(p, from->node_id);
            n -= will_have(p, to->node_id);
        }
    }
    return n;
}

static void move_add(struct balance *b, const struct image_topic *topic, int32_t index,
                     struct load *from, struct load *to)
{
    const struct image_partition *p = &topic->partitions[index];
    struct balance_move m = {.topic = topic->name,
                             .partition = index,
                             .from = from->node_id,
                             .to = to->node_id,
                             .replicas_count = p->replicas_count};
    for (int i = 0; i < p->replicas_count; i++)
        m.replicas[i] = p->replicas[i] == from->node_id ? to->node_id : p->replicas[i];
    bool leader = preferred_of(p) == from->node_id;
    from->replicas--;
    to->replicas++;
    from->leaders -= leader;
    to->leaders += leader;
    b->copying++;
    vec_push(&b->out->list, m);
}

static bool move_between(struct balance *b, struct load *from, struct load *to)
{
    const struct image_topic *best = NULL;
    int32_t best_index = -1;
    int64_t best_excess = INT64_MIN;
    FOR_EACH (topic, b->img->topics, b->img->topics_count) {
        int64_t more = excess(b, *topic, from, to);
        if (more <= best_excess)
            continue;
        int32_t index = choose_partition(b, *topic, from, to);
        if (index < 0)
            continue;
        best = *topic;
        best_index = index;
        best_excess = more;
    }
    if (best != NULL)
        move_add(b, best, best_index, from, to);
    return best != NULL;
}

static bool uneven(int64_t gap, int64_t total, int64_t brokers)
{
    return gap > 1 && gap * 10 * brokers > total;
}

/* One move between the pair that differs most and has one to make. */
static bool move_one(struct balance *b)
{
    int64_t total = 0, active = 0, most = 0;
    FOR_EACH (l, b->loads.items, b->loads.count) {
        active += l->active;
        total += l->active ? l->replicas : 0;
        most = MAX(most, l->active ? l->replicas : 0);
    }
    for (int64_t gap = most; uneven(gap, total, active); gap--) {
        FOR_EACH (from, b->loads.items, b->loads.count) {
            FOR_EACH (to, b->loads.items, b->loads.count) {
                if (from->active && to->active && from->replicas - to->replicas == gap &&
                    move_between(b, from, to))
                    return true;
            }
        }
    }
    return false;
}

static bool lead_instead(struct balance *b, struct load *from, struct load *to)
{
    FOR_EACH (topic, b->img->topics, b->img->topics_count) {
        for (int32_t i = 0; i < (*topic)->partitions_count; i++) {
            const struct image_partition *p = &(*topic)->partitions[i];
            if (!at_rest(b, *topic, i) || p->replicas[0] != from->node_id ||
                !will_have(p, to->node_id))
                continue;
            struct balance_move m = {.topic = (*topic)->name,
                                     .partition = i,
                                     .from = from->node_id,
                                     .to = to->node_id,
                                     .replicas_count = p->replicas_count};
            for (int r = 0; r < p->replicas_count; r++)
                m.replicas[r] = p->replicas[r] == to->node_id ? from->node_id : p->replicas[r];
            m.replicas[0] = to->node_id;
            vec_push(&b->out->list, m);
            from->leaders--;
            to->leaders++;
            return true;
        }
    }
    return false;
}

/* Preferred leaderships from whoever has most of them to who shares a partition and has few. */
static bool lead_one(struct balance *b)
{
    FOR_EACH (from, b->loads.items, b->loads.count) {
        FOR_EACH (to, b->loads.items, b->loads.count) {
            if (from->active && to->active && from->leaders - to->leaders > 1 &&
                lead_instead(b, from, to))
                return true;
        }
    }
    return false;
}

static bool complete(struct balance *b)
{
    FOR_EACH (l, b->loads.items, b->loads.count) {
        if (!l->active && l->replicas > 0)
            return false;
    }
    return true;
}

bool balance_next(const struct image *img, int moves_max, struct balance_moves *out)
{
    struct balance b;
    balance_init(&b, img, out);
    bool all_there = complete(&b);
    bool go_on = all_there;
    while (go_on && b.copying < moves_max)
        go_on = move_one(&b);
    /* Not while replicas move: each move may take a leadership along. */
    go_on = all_there && b.copying == 0;
    for (int i = 0; go_on && i < LEADS_MAX; i++)
        go_on = lead_one(&b);
    bool settled = all_there && b.copying == 0 && out->list.count == 0;
    vec_deinit(&b.loads);
    return settled;
}

bool balance_has_new_broker(const struct image *img)
{
    struct balance_moves none = {0};
    struct balance b;
    balance_init(&b, img, &none);
    int64_t most = 0;
    bool empty = false;
    FOR_EACH (l, b.loads.items, b.loads.count) {
        most = MAX(most, l->replicas);
        empty = empty || (l->active && l->replicas == 0);
    }
    vec_deinit(&b.loads);
    return empty && most > 1;
}

/* --- Draining --- */

bool drain_is_wanted(const struct image *img, int32_t node_id)
{
    return slice_equals_text(image_broker_config(img, node_id, BROKER_DRAIN), "true");
}

int32_t drain_left(const struct image *img, int32_t node_id)
{
    int32_t left = 0;
    FOR_EACH (topic, img->topics, img->topics_count) {
        FOR_EACH (p, (*topic)->partitions, (*topic)->partitions_count)
            left += ids_contain(p->replicas, p->replicas_count, node_id);
    }
    return left;
}

enum error_code drain_check(const struct image *img, int32_t node_id, char reason[200])
{
    int others = 0;
    FOR_EACH (b, img->brokers, img->brokers_count) {
        int32_t id = (*b)->node_id;
        others += id != node_id && image_broker_active(img, id) && !drain_is_wanted(img, id);
    }
    FOR_EACH (topic, img->topics, img->topics_count) {
        for (int32_t i = 0; i < (*topic)->partitions_count; i++) {
            const struct image_partition *p = &(*topic)->partitions[i];
            int wanted = p->replicas_count - p->removing_count;
            if (!ids_contain(p->replicas, p->replicas_count, node_id) || wanted <= others)
                continue;
            snprintf(reason, 200,
                     "Partition %d of topic %.*s has %d replicas, and without broker %d there are "
                     "only %d brokers to carry them",
                     i, (int)MIN((*topic)->name.size, 60), (const char *)(*topic)->name.data,
                     wanted, node_id, others);
            return ERR_INVALID_REPLICATION_FACTOR;
        }
    }
    return ERR_NONE;
}

/* Another broker for a replica that leaves: where it shares no rack if possible, else with few. */
static struct load *drain_target(struct balance *b, const struct image_partition *p,
                                 const struct load *from)
{
    struct load *best = NULL;
    FOR_EACH (l, b->loads.items, b->loads.count) {
        if (!l->active || ids_contain(p->replicas, p->replicas_count, l->node_id))
            continue;
        bool better = best == NULL || l->replicas < best->replicas;
        if (best != NULL && rack_allows(b, p, from, l) != rack_allows(b, p, from, best))
            better = rack_allows(b, p, from, l);
        if (better)
            best = l;
    }
    return best;
}

static void drain_one(struct balance *b, struct load *from, int moves_max)
{
    FOR_EACH (topic, b->img->topics, b->img->topics_count) {
        for (int32_t i = 0; i < (*topic)->partitions_count && b->copying < moves_max; i++) {
            const struct image_partition *p = &(*topic)->partitions[i];
            if (p->adding_count > 0 || p->removing_count > 0 || !will_have(p, from->node_id) ||
                move_of(b, (*topic)->name, i) != NULL)
                continue;
            struct load *to = drain_target(b, p, from);
            if (to != NULL)
                move_add(b, *topic, i, from, to);
        }
    }
}

void drain_next(const struct image *img, int moves_max, struct balance_moves *out)
{
    struct balance b;
    balance_init(&b, img, out);
    FOR_EACH (from, b.loads.items, b.loads.count) {
        if (from->drained)
            drain_one(&b, from, moves_max);
    }
    vec_deinit(&b.loads);
}
