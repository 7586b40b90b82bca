/*
 * The states of a classic group. The order of checks and the error codes are those of Apache
 * Kafka's coordinator, because clients were written against them (KIP-345, 394, 559, 814).
 */
#include "coord/group_classic.h"

#include "coord/group_internal.h"

void group_effects_init(struct group_effects *fx)
{
    *fx = (struct group_effects){0};
    arena_init(&fx->arena, 0);
}

void group_effects_deinit(struct group_effects *fx)
{
    vec_deinit(&fx->replies);
    arena_deinit(&fx->arena);
}

void group_classic_init(struct group_classic *g, const struct group_config *config)
{
    *g = (struct group_classic){
        .config = *config, .join_deadline_ms = GROUP_NEVER, .sync_deadline_ms = GROUP_NEVER};
    list_init(&g->members);
}

void group_classic_deinit(struct group_classic *g)
{
    GROUP_MEMBERS(m, g)
    {
        m->join_token = m->sync_token = NULL;
        group_member_remove(g, m);
    }
    while (g->pending.count > 0)
        group_pending_remove(g, 0);
    vec_deinit(&g->pending);
    group_slice_free(&g->protocol_type);
    group_slice_free(&g->protocol_name);
    group_slice_free(&g->leader);
}

const char *group_state_name(enum group_state state)
{
    static const char *const NAMES[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                        "Stable"};
    return NAMES[state];
}

/* --- Answers --- */

struct group_reply *group_reply_add(struct group_effects *fx, enum group_reply_kind kind,
                                    void **token, enum error_code err)
{
    struct group_reply reply = {.kind = kind,
                                .token = *token,
                                .err = err,
                                .generation = -1,
                                .leader = SLICE(""),
                                .member_id = SLICE(""),
                                .assignment = SLICE("")};
    *token = NULL;
    vec_push(&fx->replies, reply);
    return &fx->replies.items[fx->replies.count - 1];
}

void group_refuse_join(struct group_effects *fx, void *token, enum error_code err,
                       struct slice member_id)
{
    struct group_reply *reply = group_reply_add(fx, GROUP_REPLY_JOIN, &token, err);
    reply->member_id = arena_copy(&fx->arena, member_id);
}

/* What waits of a member gets an error. */
void group_tokens_fail(struct group_member *m, enum error_code err, struct group_effects *fx)
{
    if (m->join_token != NULL) {
        struct group_reply *reply = group_reply_add(fx, GROUP_REPLY_JOIN, &m->join_token, err);
        reply->member_id = arena_copy(&fx->arena, m->id);
    }
    if (m->sync_token != NULL)
        group_reply_add(fx, GROUP_REPLY_SYNC, &m->sync_token, err);
    m->rejoin_number = 0;
}

static void members_fill(const struct group_classic *g, struct group_reply *reply,
                         struct group_effects *fx)
{
    size_t size = (size_t)g->members_count * sizeof(*reply->members);
    reply->members = arena_need(&fx->arena, size);
    GROUP_MEMBERS(m, g)
    reply->members[reply->members_count++] = (struct group_reply_member){
        arena_copy(&fx->arena, m->id), arena_copy(&fx->arena, m->instance_id),
        arena_copy(&fx->arena, group_member_metadata(g, m))};
}

/* The present generation, as the answer to the member's join. */
void group_reply_joined(const struct group_classic *g, struct group_member *m, struct slice leader,
                        struct group_effects *fx)
{
    struct group_reply *reply = group_reply_add(fx, GROUP_REPLY_JOIN, &m->join_token, ERR_NONE);
    reply->generation = g->generation;
    reply->protocol_type = arena_copy(&fx->arena, g->protocol_type);
    reply->protocol_name = arena_copy(&fx->arena, g->protocol_name);
    reply->leader = arena_copy(&fx->arena, leader);
    reply->member_id = arena_copy(&fx->arena, m->id);
    if (slice_equal(leader, m->id))
        members_fill(g, reply, fx);
}

void group_reply_synced(const struct group_classic *g, struct group_member *m,
                        struct group_effects *fx)
{
    struct group_reply *reply = group_reply_add(fx, GROUP_REPLY_SYNC, &m->sync_token, ERR_NONE);
    reply->protocol_type = arena_copy(&fx->arena, g->protocol_type);
    reply->protocol_name = arena_copy(&fx->arena, g->protocol_name);
    reply->assignment = arena_copy(&fx->arena, m->assignment);
}

uint64_t group_persist(struct group_classic *g, struct group_effects *fx)
{
    fx->persist_number = ++g->writes;
    return g->writes;
}

/* --- Rebalancing --- */

static int64_t rebalance_timeout_ms(const struct group_classic *g)
{
    int64_t timeout_ms = 0;
    GROUP_MEMBERS(m, g)
    timeout_ms = MAX(timeout_ms, (int64_t)m->rebalance_timeout_ms);
    return timeout_ms;
}

int32_t group_joined_count(const struct group_classic *g)
{
    int32_t count = 0;
    GROUP_MEMBERS(m, g)
    count += m->join_token != NULL;
    return count;
}

static bool all_joined(const struct group_classic *g)
{
    return g->pending.count == 0 && group_joined_count(g) == g->members_count;
}

static void become_empty(struct group_classic *g, struct group_effects *fx)
{
    g->state = GROUP_EMPTY;
    g->join_deadline_ms = g->sync_deadline_ms = GROUP_NEVER;
    group_slice_free(&g->protocol_name);
    group_slice_free(&g->leader);
    group_persist(g, fx);
}

/* The leader stays when it came back; else the first that came. false: none did. */
static bool leader_elect(struct group_classic *g)
{
    struct group_member *leader = group_member_find(g, g->leader);
    if (leader != NULL && leader->join_token != NULL)
        return true;
    GROUP_MEMBERS(m, g)
    {
        if (m->join_token != NULL) {
            group_slice_set(&g->leader, m->id);
            return true;
        }
    }
    return false;
}

static void generation_begin(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    group_slice_set(&g->protocol_name, group_protocol_select(g));
    g->state = GROUP_COMPLETING_REBALANCE;
    g->join_deadline_ms = GROUP_NEVER;
    g->sync_deadline_ms = now_ms + rebalance_timeout_ms(g);
    g->assignment_number = 0;
    GROUP_MEMBERS(m, g)
    {
        m->deadline_ms = now_ms + m->session_timeout_ms;
        m->is_new = m->synced = false;
        group_slice_set(&m->assignment, SLICE(""));
        if (m->join_token != NULL)
            group_reply_joined(g, m, g->leader, fx);
    }
}

/* All are here, or the time is up: dynamic members that did not come are out. */
static void join_complete(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    GROUP_MEMBERS(m, g)
    {
        if (m->join_token == NULL && slice_is_null(m->instance_id))
            group_member_remove(g, m);
    }
    g->shrunk = false;
    if (g->members_count > 0 && !leader_elect(g)) {
        /* Static members only, and none came: their sessions decide. */
        g->initial = false;
        g->join_deadline_ms = now_ms + MAX(rebalance_timeout_ms(g), (int64_t)1);
        return;
    }
    g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
    if (g->members_count == 0)
        become_empty(g, fx);
    else
        generation_begin(g, now_ms, fx);
}

void group_sync_reset(struct group_classic *g, enum error_code err, struct group_effects *fx)
{
    g->assignment_number = 0;
    GROUP_MEMBERS(m, g)
    {
        group_slice_set(&m->assignment, SLICE(""));
        if (m->sync_token != NULL)
            group_reply_add(fx, GROUP_REPLY_SYNC, &m->sync_token, err);
    }
}

static void rebalance_begin(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    if (g->state == GROUP_COMPLETING_REBALANCE)
        group_sync_reset(g, ERR_REBALANCE_IN_PROGRESS, fx);
    /* Who waits for a write of its new id has joined as well. */
    GROUP_MEMBERS(m, g)
    m->rejoin_number = 0;
    g->initial = g->state == GROUP_EMPTY;
    g->newcomers = false;
    g->shrunk = false;
    g->state = GROUP_PREPARING_REBALANCE;
    g->sync_deadline_ms = GROUP_NEVER;
    int64_t wait_ms = rebalance_timeout_ms(g);
    if (g->initial) {
        int64_t delay_ms = g->config.initial_delay_ms;
        g->delay_left_ms = MAX(wait_ms - delay_ms, (int64_t)0);
        g->join_deadline_ms = now_ms + delay_ms;
        if (delay_ms == 0)
            join_complete(g, now_ms, fx);
        return;
    }
    g->join_deadline_ms = now_ms + wait_ms;
    if (all_joined(g))
        join_complete(g, now_ms, fx);
}

void group_rebalance(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    if (g->state != GROUP_PREPARING_REBALANCE)
        rebalance_begin(g, now_ms, fx);
    else if (!g->initial && all_joined(g))
        join_complete(g, now_ms, fx);
}

/* --- Who may speak --- */

enum error_code group_member_check(const struct group_classic *g, struct slice id,
                                   struct slice instance_id, struct group_member **member)
{
    *member = NULL;
    struct group_member *m = slice_is_null(instance_id)
                                 ? group_member_find(g, id)
                                 : group_member_find_instance(g, instance_id);
    if (m == NULL)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!slice_equal(m->id, id))
        return ERR_FENCED_INSTANCE_ID;
    *member = m;
    return ERR_NONE;
}

void group_member_alive(struct group_member *m, int64_t now_ms)
{
    m->deadline_ms = now_ms + m->session_timeout_ms;
}

void group_member_drop(struct group_classic *g, struct group_member *m, enum error_code err,
                       struct group_effects *fx)
{
    group_tokens_fail(m, err, fx);
    group_member_remove(g, m);
    g->shrunk = true;
}

/* --- Writes, time, the end --- */

static void rejoin_answer(struct group_classic *g, struct group_member *m, enum error_code err,
                          struct group_effects *fx)
{
    m->rejoin_number = 0;
    if (err != ERR_NONE) {
        group_tokens_fail(m, err, fx);
        return;
    }
    group_reply_joined(g, m, m->rejoin_leader, fx);
    fx->replies.items[fx->replies.count - 1].skip_assignment = m->rejoin_skip;
}

void group_classic_persisted(struct group_classic *g, uint64_t number, enum error_code err,
                             int64_t now_ms, struct group_effects *fx)
{
    g->writes_ended = MAX(g->writes_ended, number);
    GROUP_MEMBERS(m, g)
    {
        if (m->rejoin_number == number && m->join_token != NULL)
            rejoin_answer(g, m, err, fx);
    }
    if (g->assignment_number != number || g->state != GROUP_COMPLETING_REBALANCE)
        return;
    g->assignment_number = 0;
    if (err != ERR_NONE) {
        group_sync_reset(g, err, fx);
        group_rebalance(g, now_ms, fx);
        return;
    }
    g->state = GROUP_STABLE;
    GROUP_MEMBERS(m, g)
    {
        if (m->sync_token == NULL)
            continue;
        group_member_alive(m, now_ms);
        group_reply_synced(g, m, fx);
    }
}

static void expire_pending(struct group_classic *g, int64_t now_ms)
{
    for (size_t i = g->pending.count; i-- > 0;)
        if (g->pending.items[i].deadline_ms <= now_ms)
            group_pending_remove(g, (int)i);
}

static void expire_members(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    /* Who never asked for its assignment holds up the others no longer. */
    bool sync_over = g->sync_deadline_ms <= now_ms;
    if (sync_over)
        g->sync_deadline_ms = GROUP_NEVER;
    GROUP_MEMBERS(m, g)
    {
        bool waits = !m->is_new && (m->join_token != NULL || m->sync_token != NULL);
        if (sync_over && !m->synced)
            group_member_drop(g, m, ERR_UNKNOWN_MEMBER_ID, fx);
        else if (m->deadline_ms <= now_ms && waits)
            group_member_alive(m, now_ms); /* it cannot speak while we owe it an answer */
        else if (m->deadline_ms <= now_ms)
            group_member_drop(g, m, ERR_UNKNOWN_MEMBER_ID, fx);
    }
}

static void join_due(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    if (!g->initial || !g->newcomers || g->delay_left_ms == 0) {
        join_complete(g, now_ms, fx);
        return;
    }
    int64_t more_ms = MIN((int64_t)g->config.initial_delay_ms, g->delay_left_ms);
    g->newcomers = false;
    g->delay_left_ms -= more_ms;
    g->join_deadline_ms = now_ms + more_ms;
}

void group_classic_tick(struct group_classic *g, int64_t now_ms, struct group_effects *fx)
{
    if (group_classic_deadline(g) > now_ms)
        return;
    expire_pending(g, now_ms);
    expire_members(g, now_ms, fx);
    group_classic_left(g, now_ms, fx);
    if (g->state == GROUP_PREPARING_REBALANCE && g->join_deadline_ms <= now_ms)
        join_due(g, now_ms, fx);
}

int64_t group_classic_deadline(const struct group_classic *g)
{
    int64_t deadline_ms = MIN(g->join_deadline_ms, g->sync_deadline_ms);
    GROUP_MEMBERS(m, g)
    deadline_ms = MIN(deadline_ms, m->deadline_ms);
    FOR_EACH (p, g->pending.items, g->pending.count)
        deadline_ms = MIN(deadline_ms, p->deadline_ms);
    return deadline_ms;
}

void group_classic_abandon(struct group_classic *g, enum error_code err, struct group_effects *fx)
{
    GROUP_MEMBERS(m, g)
    group_tokens_fail(m, err, fx);
}

void group_classic_revive(struct group_classic *g, int64_t now_ms)
{
    GROUP_MEMBERS(m, g)
    m->deadline_ms = MAX(m->deadline_ms, now_ms + m->session_timeout_ms);
}

bool group_classic_is_idle(const struct group_classic *g)
{
    return g->state == GROUP_EMPTY && g->pending.count == 0 && g->writes_ended == g->writes;
}
