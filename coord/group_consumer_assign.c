/*
 * What the members want, whether it changed, and the assignment for all of them.
 */
#include <stdlib.h>

#include "coord/assignor.h"
#include "coord/group_consumer_internal.h"

bool consumer_member_wants(const struct group_consumer *g, const struct consumer_member *m,
                           struct slice topic)
{
    return consumer_names_have(&m->topics, topic) ||
           consumer_names_have(consumer_regex_topics(g, m), topic);
}

#define FIRST_EPOCH 2 /* Kafka's */

/* The topics of the cluster that somebody wants. */
struct wanted {
    struct arena arena;
    const struct image *img;
    bool *marks;                       /* by place in img->topics */
    int32_t *numbers;                  /* likewise: place in topics; wanted_number() */
    const struct image_topic **topics; /* by id */
    int32_t count;
};

static int32_t topic_place(const struct image *img, struct slice name)
{
    int32_t low = 0, high = img->topics_count;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (slice_compare(img->topics[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < img->topics_count && slice_equal(img->topics[low]->name, name) ? low : -1;
}

static void mark_names(struct wanted *w, const struct consumer_names *names)
{
    FOR_EACH (name, names->items, names->count) {
        int32_t place = topic_place(w->img, *name);
        if (place >= 0)
            w->marks[place] = true;
    }
}

static int compare_ids(const void *a, const void *b)
{
    const struct image_topic *x = *(const struct image_topic *const *)a;
    const struct image_topic *y = *(const struct image_topic *const *)b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

static void wanted_find(struct wanted *w, const struct group_consumer *g, const struct image *img)
{
    size_t count = (size_t)img->topics_count + 1;
    *w = (struct wanted){.img = img};
    arena_init(&w->arena, 0);
    w->marks = arena_need(&w->arena, count * sizeof(*w->marks));
    CONSUMER_MEMBERS(m, g)
    {
        mark_names(w, &m->topics);
        mark_names(w, consumer_regex_topics(g, m));
    }
    for (int32_t i = 0; i < img->topics_count; i++)
        w->count += w->marks[i];
    w->topics = arena_need(&w->arena, ((size_t)w->count + 1) * sizeof(struct image_topic *));
    for (int32_t i = 0, n = 0; i < img->topics_count; i++)
        if (w->marks[i])
            w->topics[n++] = img->topics[i];
    if (w->count > 0)
        qsort(w->topics, (size_t)w->count, sizeof(struct image_topic *), compare_ids);
}

/* Places by name to numbers by id; for those that are marked. */
static void wanted_number(struct wanted *w)
{
    w->numbers = arena_need(&w->arena, ((size_t)w->img->topics_count + 1) * sizeof(*w->numbers));
    for (int32_t i = 0; i < w->count; i++)
        w->numbers[topic_place(w->img, w->topics[i]->name)] = i;
}

/* --- Has it changed? --- */

uint64_t consumer_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u; /* FNV-1a */
    return hash;
}

static uint64_t hash_racks(uint64_t hash, const struct image *img, const struct image_topic *topic)
{
    FOR_EACH (p, topic->partitions, topic->partitions_count) {
        FOR_EACH (id, p->replicas, p->replicas_count) {
            const struct image_broker *b = image_find_broker(img, *id);
            struct slice rack = b != NULL && !slice_is_null(b->rack) ? b->rack : SLICE("");
            hash = consumer_hash(hash, rack.data, rack.size);
            hash = consumer_hash(hash, ",", 1);
        }
        hash = consumer_hash(hash, ";", 1);
    }
    return hash;
}

static uint64_t topics_hash(const struct group_consumer *g, const struct image *img)
{
    struct wanted w;
    uint64_t hash = 14695981039346656037u;
    bool racks = false;
    CONSUMER_MEMBERS(m, g)
    racks = racks || !slice_is_null(m->rack);
    wanted_find(&w, g, img);
    for (int32_t i = 0; i < w.count; i++) {
        const struct image_topic *topic = w.topics[i];
        hash = consumer_hash(hash, topic->id.bytes, sizeof(topic->id.bytes));
        hash = consumer_hash(hash, &topic->partitions_count, sizeof(topic->partitions_count));
        if (racks)
            hash = hash_racks(hash, img, topic);
    }
    arena_deinit(&w.arena);
    return hash;
}

void consumer_epoch_follow(struct group_consumer *g, bool bump, const struct consumer_event *event)
{
    if (!bump && event->img->index == g->seen_index)
        return;
    consumer_regexes_follow(g, event->img);
    uint64_t hash = topics_hash(g, event->img);
    g->seen_index = event->img->index;
    if (!bump && hash == g->topics_hash)
        return;
    g->epoch = MAX(g->epoch + 1, FIRST_EPOCH);
    g->topics_hash = hash;
    g->unwritten = true;
}

/* --- The assignment --- */

static int compare_numbers(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

static void numbers_add(struct wanted *w, const struct consumer_names *names,
                        struct assignor_member *out)
{
    FOR_EACH (name, names->items, names->count) {
        int32_t place = topic_place(w->img, *name);
        if (place >= 0)
            out->topics[out->topics_count++] = w->numbers[place];
    }
}

static void member_prepare(struct wanted *w, const struct group_consumer *g,
                           const struct consumer_member *m, struct assignor_member *out)
{
    const struct consumer_names *matched = consumer_regex_topics(g, m);
    size_t names = (size_t)m->topics.count + (size_t)matched->count;
    int32_t count = 0;
    *out = (struct assignor_member){
        .id = m->id, .instance_id = m->instance_id, .rack = m->rack, .now = m->target};
    out->topics = arena_need(&w->arena, (names + 1) * sizeof(*out->topics));
    numbers_add(w, &m->topics, out);
    numbers_add(w, matched, out);
    qsort(out->topics, (size_t)out->topics_count, sizeof(*out->topics), compare_numbers);
    for (int32_t i = 0; i < out->topics_count; i++)
        if (i == 0 || out->topics[i] != out->topics[count - 1])
            out->topics[count++] = out->topics[i];
    out->topics_count = count;
}

struct slice group_consumer_assignor(const struct group_consumer *g)
{
    struct slice best = g->config.assignor;
    int32_t best_votes = 0;
    CONSUMER_MEMBERS(m, g)
    {
        int32_t votes = 0;
        if (slice_is_null(m->assignor) || (best_votes > 0 && slice_equal(m->assignor, best)))
            continue;
        CONSUMER_MEMBERS(other, g)
        votes += !slice_is_null(other->assignor) && slice_equal(other->assignor, m->assignor);
        if (votes > best_votes) {
            best = m->assignor;
            best_votes = votes;
        }
    }
    return best;
}

void consumer_assign(struct group_consumer *g, const struct consumer_event *event)
{
    if (g->epoch <= g->assignment_epoch || event->now_ms < g->assign_after_ms)
        return;
    struct wanted w;
    wanted_find(&w, g, event->img);
    wanted_number(&w);
    struct assignor_group group = {.img = event->img, .topics = w.topics, .topics_count = w.count};
    group.members = arena_need(&w.arena, ((size_t)g->members_count + 1) * sizeof(*group.members));
    CONSUMER_MEMBERS(m, g)
    member_prepare(&w, g, m, &group.members[group.members_count++]);
    assignor *assign = assignor_find(group_consumer_assignor(g));
    CHECK(assign != NULL); /* names are checked when they come in */
    assign(&group);
    int32_t i = 0;
    CONSUMER_MEMBERS(m, g)
    partition_set_move(&m->target, &group.members[i++].out);
    arena_deinit(&w.arena);
    g->assignment_epoch = g->epoch;
    g->assign_after_ms = event->now_ms + g->config.assignment_interval_ms;
    g->unwritten = true;
}
