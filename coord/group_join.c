/*
 * JoinGroup: who may come in, under which id, and whether it makes the group rebalance (KIP-345,
 * 394, 559, 814).
 */
#include "coord/group_internal.h"

#define PENDING_MAX 10000 /* ids handed out and not used yet, per group */

static void join_park(struct group_member *m, void *token, struct group_effects *fx)
{
    /* The client gave the older one up. */
    if (m->join_token != NULL)
        group_tokens_fail(m, ERR_REBALANCE_IN_PROGRESS, fx);
    m->join_token = token;
    m->rejoin_number = 0;
}

static void join_add(struct group_classic *g, struct slice id, const struct group_join *in,
                     int64_t now_ms, struct group_effects *fx)
{
    struct group_member *m = group_member_new(id, in);
    if (g->members_count == 0)
        group_slice_set(&g->protocol_type, in->protocol_type);
    group_member_add(g, m);
    m->join_token = in->token;
    /* It does not know its id yet, so it can neither live nor come back by it. */
    m->deadline_ms = now_ms + GROUP_NEW_MEMBER_JOIN_MS;
    g->newcomers = true;
    group_rebalance(g, now_ms, fx);
}

static void join_update(struct group_classic *g, struct group_member *m,
                        const struct group_join *in, int64_t now_ms, struct group_effects *fx)
{
    group_member_update(m, in);
    join_park(m, in->token, fx);
    group_member_alive(m, now_ms);
    group_rebalance(g, now_ms, fx);
}

/* A static member came back under its instance id: it takes the place, whoever had it is fenced. */
static void join_replace(struct group_classic *g, struct group_member *m, struct slice id,
                         const struct group_join *in, int64_t now_ms, struct group_effects *fx)
{
    bool leads = slice_equal(g->leader, m->id);
    struct slice leader = arena_copy(&fx->arena, g->leader);
    group_tokens_fail(m, ERR_FENCED_INSTANCE_ID, fx);
    group_slice_set(&m->id, id);
    if (leads)
        group_slice_set(&g->leader, id);
    group_member_update(m, in);
    m->join_token = in->token;
    group_member_alive(m, now_ms);
    if (g->state != GROUP_STABLE || !slice_equal(group_protocol_select(g), g->protocol_name)) {
        group_rebalance(g, now_ms, fx);
        return;
    }
    /* Nothing changed but the id: no rebalance (KIP-345). An older client that led must not take
     * itself for the leader, or it would assign anew: it hears its former id (KIP-814). */
    m->rejoin_number = group_persist(g, fx);
    m->rejoin_skip = leads && in->can_skip_assignment;
    group_slice_set(&m->rejoin_leader, in->can_skip_assignment ? g->leader : leader);
}

struct slice group_new_id(struct slice prefix, const struct uuid *unique, struct arena *arena)
{
    const uint8_t *u = unique->bytes;
    return arena_printf(arena,
                        SLICE_FMT "-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                                  "%02x%02x%02x%02x%02x%02x",
                        SLICE_ARG(prefix), u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8],
                        u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void join_unknown(struct group_classic *g, const struct group_join *in, int64_t now_ms,
                         struct group_effects *fx)
{
    bool is_static = !slice_is_null(in->instance_id);
    struct slice id =
        group_new_id(is_static ? in->instance_id : in->client_id, &in->unique, &fx->arena);
    struct group_member *same = is_static ? group_member_find_instance(g, in->instance_id) : NULL;
    if (same != NULL) {
        join_replace(g, same, id, in, now_ms, fx);
    } else if (is_static || !in->needs_known_id) {
        join_add(g, id, in, now_ms, fx);
    } else if (g->pending.count >= PENDING_MAX) {
        group_refuse_join(fx, in->token, ERR_GROUP_MAX_SIZE_REACHED, SLICE(""));
    } else {
        struct group_pending pending = {group_slice_copy(id), now_ms + in->session_timeout_ms};
        vec_push(&g->pending, pending);
        group_refuse_join(fx, in->token, ERR_MEMBER_ID_REQUIRED, id);
    }
}

static void join_known(struct group_classic *g, const struct group_join *in, int64_t now_ms,
                       struct group_effects *fx)
{
    int pending = slice_is_null(in->instance_id) ? group_pending_find(g, in->member_id) : -1;
    if (pending >= 0) {
        group_pending_remove(g, pending);
        join_add(g, in->member_id, in, now_ms, fx);
        return;
    }
    struct group_member *m;
    enum error_code err = group_member_check(g, in->member_id, in->instance_id, &m);
    if (err != ERR_NONE) {
        group_refuse_join(fx, in->token, err, in->member_id);
        return;
    }
    bool same = group_member_matches(m, in);
    bool leads = slice_equal(g->leader, m->id);
    /* Its answer was lost, or a follower asks again: nothing changed, so nothing is begun. A
     * leader that joins again in a stable group wants to assign anew. */
    if ((g->state == GROUP_COMPLETING_REBALANCE && same) ||
        (g->state == GROUP_STABLE && same && !leads)) {
        join_park(m, in->token, fx);
        group_member_alive(m, now_ms);
        group_reply_joined(g, m, g->leader, fx);
        return;
    }
    join_update(g, m, in, now_ms, fx);
}

static bool has_room(const struct group_classic *g, const struct group_member *m)
{
    int32_t size_max = g->config.size_max;
    if (g->state == GROUP_EMPTY)
        return true;
    if (g->state == GROUP_PREPARING_REBALANCE)
        return (m != NULL && m->join_token != NULL) || group_joined_count(g) < size_max;
    return m != NULL || g->members_count < size_max;
}

void group_classic_join(struct group_classic *g, const struct group_join *in, int64_t now_ms,
                        struct group_effects *fx)
{
    struct group_member *m = group_member_find(g, in->member_id);
    struct group_member *same =
        slice_is_null(in->instance_id) ? m : group_member_find_instance(g, in->instance_id);
    enum error_code err = ERR_NONE;
    if (in->session_timeout_ms < g->config.session_min_ms ||
        in->session_timeout_ms > g->config.session_max_ms)
        err = ERR_INVALID_SESSION_TIMEOUT;
    else if (!has_room(g, same))
        err = ERR_GROUP_MAX_SIZE_REACHED;
    else if (!group_protocols_fit(g, in))
        err = ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (err != ERR_NONE) {
        group_refuse_join(fx, in->token, err, in->member_id);
        if (err == ERR_GROUP_MAX_SIZE_REACHED && m != NULL) {
            group_member_drop(g, m, err, fx);
            group_classic_left(g, now_ms, fx);
        }
        return;
    }
    if (in->member_id.size == 0)
        join_unknown(g, in, now_ms, fx);
    else
        join_known(g, in, now_ms, fx);
}
