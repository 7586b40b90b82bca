/* Members of a group of the consumer protocol, and what they subscribe to. */
#include <stdlib.h>

#include "coord/group_consumer_internal.h"

/* --- Names --- */

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

void consumer_names_free(struct consumer_names *names)
{
    FOR_EACH (name, names->items, names->count)
        group_slice_free(name);
    free(names->items);
    *names = (struct consumer_names){0};
}

void consumer_names_set(struct consumer_names *names, const struct slice *items, int32_t count)
{
    struct consumer_names new = {0};
    new.items = mem_alloc(((size_t)count + 1) * sizeof(*new.items));
    if (count > 0) {
        memcpy(new.items, items, (size_t)count * sizeof(*new.items));
        qsort(new.items, (size_t)count, sizeof(*new.items), compare_names);
    }
    for (int32_t i = 0; i < count; i++)
        if (i == 0 || !slice_equal(new.items[i], new.items[new.count - 1]))
            new.items[new.count++] = new.items[i];
    FOR_EACH (name, new.items, new.count)
        *name = group_slice_copy(*name);
    consumer_names_free(names);
    *names = new;
}

bool consumer_names_have(const struct consumer_names *names, struct slice name)
{
    return names->count > 0 &&
           bsearch(&name, names->items, (size_t)names->count, sizeof(name), compare_names) != NULL;
}

static bool names_equal(const struct consumer_names *a, const struct consumer_names *b)
{
    bool equal = a->count == b->count;
    for (int32_t i = 0; equal && i < a->count; i++)
        equal = slice_equal(a->items[i], b->items[i]);
    return equal;
}

/* --- Members --- */

struct consumer_member *consumer_member_new(struct slice id)
{
    struct consumer_member *m = mem_zalloc(sizeof(*m));
    m->id = group_slice_copy(id);
    m->client_id = group_slice_copy(SLICE(""));
    m->client_host = group_slice_copy(SLICE(""));
    m->regex = group_slice_copy(SLICE(""));
    m->session_deadline_ms = m->revoke_deadline_ms = GROUP_NEVER;
    m->classic.join_deadline_ms = m->classic.sync_deadline_ms = GROUP_NEVER;
    return m;
}

struct consumer_member *consumer_member_clone(const struct consumer_member *m, struct slice id)
{
    struct consumer_member *n = consumer_member_new(id);
    n->instance_id = group_slice_copy(m->instance_id);
    n->rack = group_slice_copy(m->rack);
    n->assignor = group_slice_copy(m->assignor);
    group_slice_set(&n->client_id, m->client_id);
    group_slice_set(&n->client_host, m->client_host);
    group_slice_set(&n->regex, m->regex);
    consumer_names_set(&n->topics, m->topics.items, m->topics.count);
    n->rebalance_timeout_ms = m->rebalance_timeout_ms;
    n->state = m->state;
    partition_set_copy(&n->assigned, &m->assigned);
    partition_set_copy(&n->revoking, &m->revoking);
    partition_set_copy(&n->target, &m->target);
    n->session_deadline_ms = m->session_deadline_ms;
    return n;
}

static void member_free(struct consumer_member *m)
{
    group_slice_free(&m->id);
    group_slice_free(&m->instance_id);
    group_slice_free(&m->rack);
    group_slice_free(&m->client_id);
    group_slice_free(&m->client_host);
    group_slice_free(&m->assignor);
    group_slice_free(&m->regex);
    consumer_names_free(&m->topics);
    consumer_classic_clear(m);
    partition_set_deinit(&m->assigned);
    partition_set_deinit(&m->revoking);
    partition_set_deinit(&m->target);
    free(m);
}

void consumer_member_add(struct group_consumer *g, struct consumer_member *m)
{
    struct list *at = &g->members;
    CONSUMER_MEMBERS(other, g)
    {
        if (slice_compare(other->id, m->id) > 0) {
            at = &other->link;
            break;
        }
    }
    list_insert_before(at, &m->link);
    g->members_count++;
    g->unwritten = true;
}

void consumer_member_remove(struct group_consumer *g, struct consumer_member *m)
{
    list_remove(&m->link);
    g->members_count--;
    g->unwritten = true;
    member_free(m);
}

struct consumer_member *consumer_member_create(struct group_consumer *g, struct slice id)
{
    struct consumer_member *m = consumer_member_new(id);
    consumer_member_add(g, m);
    return m;
}

struct consumer_member *consumer_member_replace(struct group_consumer *g,
                                                struct consumer_member *old, struct slice id)
{
    struct consumer_member *m = consumer_member_clone(old, id);
    consumer_member_remove(g, old);
    consumer_member_add(g, m);
    return m;
}

struct consumer_member *group_consumer_find(const struct group_consumer *g, struct slice id)
{
    CONSUMER_MEMBERS(m, g)
    {
        if (slice_equal(m->id, id))
            return m;
    }
    return NULL;
}

struct consumer_member *consumer_member_find_instance(const struct group_consumer *g,
                                                      struct slice instance_id)
{
    CONSUMER_MEMBERS(m, g)
    {
        if (!slice_is_null(m->instance_id) && slice_equal(m->instance_id, instance_id))
            return m;
    }
    return NULL;
}

/* A null value is none. */
static bool text_update(struct slice *text, struct slice value)
{
    if (slice_is_null(value) || (!slice_is_null(*text) && slice_equal(*text, value)))
        return false;
    group_slice_set(text, value);
    return true;
}

bool consumer_member_update(struct group_consumer *g, struct consumer_member *m,
                            const struct consumer_heartbeat *in)
{
    bool changed = text_update(&m->rack, in->rack);
    changed |= text_update(&m->instance_id, in->instance_id);
    changed |= text_update(&m->client_id, in->client_id);
    changed |= text_update(&m->client_host, in->client_host);
    changed |= text_update(&m->assignor, in->assignor);
    if (in->rebalance_timeout_ms >= 0 && in->rebalance_timeout_ms != m->rebalance_timeout_ms) {
        m->rebalance_timeout_ms = in->rebalance_timeout_ms;
        changed = true;
    }
    bool others = text_update(&m->regex, in->regex);
    struct consumer_names names = {0};
    if (in->topics_count >= 0) {
        consumer_names_set(&names, in->topics, in->topics_count);
        others |= !names_equal(&names, &m->topics);
        struct consumer_names old = m->topics;
        m->topics = names;
        names = old;
    }
    consumer_names_free(&names);
    g->unwritten |= changed || others;
    return others;
}
