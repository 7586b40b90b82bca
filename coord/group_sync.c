/*
 * What a member of a generation may do: fetch its assignment, live, leave, commit offsets.
 */
#include "coord/group_internal.h"

/* --- SyncGroup --- */

static enum error_code sync_check(const struct group_classic *g, const struct group_sync *in,
                                  struct group_member **m)
{
    enum error_code err = group_member_check(g, in->member_id, in->instance_id, m);
    if (err != ERR_NONE)
        return err;
    if (in->generation != g->generation)
        return ERR_ILLEGAL_GENERATION;
    if (!slice_is_null(in->protocol_type) && !slice_equal(in->protocol_type, g->protocol_type))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (!slice_is_null(in->protocol_name) && !slice_equal(in->protocol_name, g->protocol_name))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (g->state == GROUP_EMPTY)
        return ERR_UNKNOWN_MEMBER_ID;
    return g->state == GROUP_PREPARING_REBALANCE ? ERR_REBALANCE_IN_PROGRESS : ERR_NONE;
}

static void assignments_take(struct group_classic *g, const struct group_sync *in,
                             struct group_effects *fx)
{
    GROUP_MEMBERS(m, g)
    group_slice_set(&m->assignment, SLICE(""));
    FOR_EACH (a, in->assignments, in->assignments_count) {
        struct group_member *m = group_member_find(g, a->member_id);
        if (m != NULL && !slice_is_null(a->assignment))
            group_slice_set(&m->assignment, a->assignment);
    }
    g->assignment_number = group_persist(g, fx);
}

void group_classic_sync(struct group_classic *g, const struct group_sync *in, int64_t now_ms,
                        struct group_effects *fx)
{
    struct group_member *m;
    void *token = in->token;
    enum error_code err = sync_check(g, in, &m);
    if (err != ERR_NONE) {
        group_reply_add(fx, GROUP_REPLY_SYNC, &token, err);
        return;
    }
    if (m->sync_token != NULL)
        group_reply_add(fx, GROUP_REPLY_SYNC, &m->sync_token, ERR_REBALANCE_IN_PROGRESS);
    m->sync_token = token;
    m->synced = true;
    group_member_alive(m, now_ms);
    if (g->state == GROUP_STABLE)
        group_reply_synced(g, m, fx);
    else if (slice_equal(g->leader, m->id) && g->assignment_number == 0)
        assignments_take(g, in, fx);
}

enum error_code group_classic_heartbeat(struct group_classic *g, struct slice member_id,
                                        struct slice instance_id, int32_t generation,
                                        int64_t now_ms)
{
    struct group_member *m;
    enum error_code err = group_member_check(g, member_id, instance_id, &m);
    if (err != ERR_NONE)
        return err;
    if (generation != g->generation)
        return ERR_ILLEGAL_GENERATION;
    group_member_alive(m, now_ms);
    return g->state == GROUP_PREPARING_REBALANCE ? ERR_REBALANCE_IN_PROGRESS : ERR_NONE;
}

enum error_code group_classic_leave(struct group_classic *g, struct slice member_id,
                                    struct slice instance_id, struct group_effects *fx)
{
    struct group_member *m;
    enum error_code err = ERR_NONE;
    int pending = slice_is_null(instance_id) ? group_pending_find(g, member_id) : -1;
    if (pending >= 0) {
        group_pending_remove(g, pending);
        return ERR_NONE;
    }
    /* An administrator removes a static member by its instance id alone (KIP-345). */
    if (!slice_is_null(instance_id) && member_id.size == 0) {
        m = group_member_find_instance(g, instance_id);
        err = m == NULL ? ERR_UNKNOWN_MEMBER_ID : ERR_NONE;
    } else {
        err = group_member_check(g, member_id, instance_id, &m);
    }
    if (err == ERR_NONE)
        group_member_drop(g, m, ERR_UNKNOWN_MEMBER_ID, fx);
    return err;
}

void group_classic_left(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    if (g->state == GROUP_PREPARING_REBALANCE || g->shrunk)
        group_rebalance(g, now_ms, fx);
    g->shrunk = false;
}

enum error_code group_classic_check_commit(struct group_classic *g, struct slice member_id,
                                           struct slice instance_id, int32_t generation,
                                           int64_t now_ms)
{
    bool simple = generation < 0;
    if (simple && g->state == GROUP_EMPTY)
        return ERR_NONE;
    if (simple && member_id.size == 0 && slice_is_null(instance_id))
        return ERR_UNKNOWN_MEMBER_ID;
    struct group_member *m;
    enum error_code err = group_member_check(g, member_id, instance_id, &m);
    if (err != ERR_NONE)
        return err;
    if (generation != g->generation)
        return ERR_ILLEGAL_GENERATION;
    if (g->state == GROUP_COMPLETING_REBALANCE)
        return ERR_REBALANCE_IN_PROGRESS;
    group_member_alive(m, now_ms);
    return ERR_NONE;
}
