/* Members of a classic group and the vote over their protocols. */
#include <stdlib.h>

#include "coord/group_internal.h"

struct slice group_slice_copy(struct slice s)
{
    if (slice_is_null(s))
        return SLICE_NULL;
    uint8_t *data = mem_alloc(s.size + 1);
    if (s.size > 0)
        memcpy(data, s.data, s.size);
    return slice_of(data, s.size);
}

void group_slice_free(struct slice *s)
{
    free((void *)s->data);
    *s = SLICE_NULL;
}

void group_slice_set(struct slice *s, struct slice value)
{
    struct slice copy = group_slice_copy(value);
    group_slice_free(s);
    *s = copy;
}

static void protocols_free(struct group_member *m)
{
    FOR_EACH (p, m->protocols, m->protocols_count) {
        group_slice_free(&p->name);
        group_slice_free(&p->metadata);
    }
    free(m->protocols);
    m->protocols = NULL;
    m->protocols_count = 0;
}

void group_member_update(struct group_member *m, const struct group_join *in)
{
    protocols_free(m);
    m->protocols = mem_zalloc(((size_t)in->protocols_count + 1) * sizeof(*m->protocols));
    FOR_EACH (p, in->protocols, in->protocols_count)
        m->protocols[m->protocols_count++] =
            (struct group_protocol){group_slice_copy(p->name), group_slice_copy(p->metadata)};
    m->session_timeout_ms = in->session_timeout_ms;
    m->rebalance_timeout_ms = in->rebalance_timeout_ms;
    group_slice_set(&m->client_id, in->client_id);
    group_slice_set(&m->client_host, in->client_host);
}

struct group_member *group_member_new(struct slice id, const struct group_join *in)
{
    struct group_member *m = mem_zalloc(sizeof(*m));
    m->id = group_slice_copy(id);
    m->instance_id = group_slice_copy(in->instance_id);
    m->assignment = group_slice_copy(SLICE(""));
    m->is_new = true;
    group_member_update(m, in);
    return m;
}

void group_member_add(struct group_classic *g, struct group_member *m)
{
    list_push_back(&g->members, &m->link);
    g->members_count++;
}

void group_member_remove(struct group_classic *g, struct group_member *m)
{
    CHECK(m->join_token == NULL && m->sync_token == NULL);
    list_remove(&m->link);
    g->members_count--;
    if (slice_equal(g->leader, m->id))
        group_slice_free(&g->leader);
    protocols_free(m);
    group_slice_free(&m->id);
    group_slice_free(&m->instance_id);
    group_slice_free(&m->client_id);
    group_slice_free(&m->client_host);
    group_slice_free(&m->assignment);
    group_slice_free(&m->rejoin_leader);
    free(m);
}

struct group_member *group_member_find(const struct group_classic *g, struct slice id)
{
    GROUP_MEMBERS(m, g)
    {
        if (slice_equal(m->id, id))
            return m;
    }
    return NULL;
}

struct group_member *group_member_find_instance(const struct group_classic *g,
                                                struct slice instance_id)
{
    GROUP_MEMBERS(m, g)
    {
        if (!slice_is_null(m->instance_id) && slice_equal(m->instance_id, instance_id))
            return m;
    }
    return NULL;
}

bool group_member_matches(const struct group_member *m, const struct group_join *in)
{
    if (m->protocols_count != in->protocols_count)
        return false;
    for (int32_t i = 0; i < m->protocols_count; i++)
        if (!slice_equal(m->protocols[i].name, in->protocols[i].name) ||
            !slice_equal(m->protocols[i].metadata, in->protocols[i].metadata))
            return false;
    return true;
}

int group_pending_find(const struct group_classic *g, struct slice id)
{
    for (size_t i = 0; i < g->pending.count; i++)
        if (slice_equal(g->pending.items[i].id, id))
            return (int)i;
    return -1;
}

void group_pending_remove(struct group_classic *g, int at)
{
    group_slice_free(&g->pending.items[at].id);
    vec_remove(&g->pending, (size_t)at);
}

/* --- The vote --- */

static bool member_supports(const struct group_member *m, struct slice name)
{
    FOR_EACH (p, m->protocols, m->protocols_count) {
        if (slice_equal(p->name, name))
            return true;
    }
    return false;
}

static bool all_support(const struct group_classic *g, struct slice name)
{
    GROUP_MEMBERS(m, g)
    {
        if (!member_supports(m, name))
            return false;
    }
    return true;
}

bool group_protocols_fit(const struct group_classic *g, const struct group_join *in)
{
    if (in->protocol_type.size == 0 || in->protocols_count <= 0)
        return false;
    if (g->members_count == 0)
        return true;
    if (!slice_equal(g->protocol_type, in->protocol_type))
        return false;
    FOR_EACH (p, in->protocols, in->protocols_count) {
        if (all_support(g, p->name))
            return true;
    }
    return false;
}

/* The first protocol in the member's own order that everybody supports. */
static struct slice vote(const struct group_classic *g, const struct group_member *m)
{
    FOR_EACH (p, m->protocols, m->protocols_count) {
        if (all_support(g, p->name))
            return p->name;
    }
    return SLICE_NULL;
}

struct slice group_protocol_select(const struct group_classic *g)
{
    struct arena arena;
    arena_init(&arena, 0);
    size_t count = (size_t)g->members_count;
    struct slice *votes = arena_need(&arena, (count + 1) * sizeof(*votes));
    size_t n = 0;
    GROUP_MEMBERS(m, g)
    votes[n++] = vote(g, m);
    struct slice best = SLICE_NULL;
    size_t best_votes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = i; k < n; k++)
            same += slice_equal(votes[k], votes[i]);
        if (same > best_votes) {
            best = votes[i];
            best_votes = same;
        }
    }
    arena_deinit(&arena);
    return best;
}

struct slice group_member_metadata(const struct group_classic *g, const struct group_member *m)
{
    FOR_EACH (p, m->protocols, m->protocols_count) {
        if (slice_equal(p->name, g->protocol_name))
            return p->metadata;
    }
    return SLICE("");
}
