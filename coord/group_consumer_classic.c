/*
 * Members of the classic protocol in a group of the consumer protocol, while a group is moved from
 * one to the other, member by member. They join, sync and live as ever, and are told to rejoin
 * whenever they have something to give up or to get; what they are given is decided here.
 */
#include <stdlib.h>

#include "coord/group_consumer_internal.h"
#include "coord/group_embedded.h"
#include "proto/wire.h"

/* --- What makes a member classic --- */

static void protocols_free(struct consumer_classic *c)
{
    FOR_EACH (p, c->protocols, c->protocols_count) {
        group_slice_free(&p->name);
        group_slice_free(&p->metadata);
    }
    free(c->protocols);
    c->protocols = NULL;
    c->protocols_count = 0;
}

void consumer_classic_clear(struct consumer_member *m)
{
    protocols_free(&m->classic);
    m->classic =
        (struct consumer_classic){.join_deadline_ms = GROUP_NEVER, .sync_deadline_ms = GROUP_NEVER};
}

void consumer_classic_set(struct consumer_member *m, int32_t session_ms,
                          const struct group_protocol *protocols, int32_t count)
{
    struct group_protocol *copies = mem_zalloc(((size_t)count + 1) * sizeof(*copies));
    for (int32_t i = 0; i < count; i++)
        copies[i] = (struct group_protocol){group_slice_copy(protocols[i].name),
                                            group_slice_copy(protocols[i].metadata)};
    consumer_classic_clear(m);
    m->is_classic = true;
    m->classic.session_ms = session_ms;
    m->classic.protocols = copies;
    m->classic.protocols_count = count;
}

int32_t consumer_classic_count(const struct group_consumer *g)
{
    int32_t count = 0;
    CONSUMER_MEMBERS(m, g)
    count += m->is_classic;
    return count;
}

static bool has_protocol(const struct consumer_member *m, struct slice name)
{
    FOR_EACH (p, m->classic.protocols, m->classic.protocols_count) {
        if (slice_equal(p->name, name))
            return true;
    }
    return false;
}

/* All classic members have one in common, for the day when the group is a classic one again. */
static bool protocols_fit(const struct group_consumer *g, const struct group_join *in)
{
    if (!slice_equals_text(in->protocol_type, "consumer"))
        return false;
    FOR_EACH (p, in->protocols, in->protocols_count) {
        bool all = true;
        CONSUMER_MEMBERS(m, g)
        all = all && (!m->is_classic || has_protocol(m, p->name));
        if (all)
            return true;
    }
    return false;
}

/* --- JoinGroup --- */

static enum error_code join_static(struct group_consumer *g, const struct group_join *in,
                                   struct slice id, struct consumer_member **member)
{
    struct consumer_member *m = consumer_member_find_instance(g, in->instance_id);
    if (in->member_id.size == 0) {
        *member = m != NULL ? consumer_member_replace(g, m, id) : consumer_member_create(g, id);
        return ERR_NONE;
    }
    *member = m;
    if (m == NULL)
        return ERR_UNKNOWN_MEMBER_ID;
    return slice_equal(m->id, id) ? ERR_NONE : ERR_FENCED_INSTANCE_ID;
}

static void join_as(struct group_consumer *g, const struct group_join *in,
                    struct consumer_member *m, const struct embedded_subscription *sub,
                    const struct consumer_event *event)
{
    struct consumer_heartbeat said = {
        .instance_id = in->instance_id,
        .rack = sub->rack,
        .client_id = in->client_id,
        .client_host = in->client_host,
        .rebalance_timeout_ms = in->rebalance_timeout_ms,
        .topics = sub->topics,
        .topics_count = sub->topics_count,
        .regex = SLICE(""),
        .assignor = SLICE_NULL,
    };
    bool wants_others = consumer_member_update(g, m, &said);
    consumer_classic_set(m, in->session_timeout_ms, in->protocols, in->protocols_count);
    g->unwritten = true;
    consumer_epoch_follow(g, wants_others || g->epoch == 0, event);
    consumer_assign(g, event);
    if (wants_others || !consumer_member_is_reconciled(g, m))
        consumer_reconcile(g, m, &sub->owned, event);
    m->revoke_deadline_ms = GROUP_NEVER; /* joining and syncing have bounds of their own */
    m->session_deadline_ms = event->now_ms + in->session_timeout_ms;
    m->classic.sync_deadline_ms = event->now_ms + in->rebalance_timeout_ms;
    consumer_answer_join(g, in->token, m);
}

static enum error_code join_check(const struct group_consumer *g, const struct group_join *in,
                                  struct slice id)
{
    if (in->session_timeout_ms < g->config.classic_session_min_ms ||
        in->session_timeout_ms > g->config.classic_session_max_ms)
        return ERR_INVALID_SESSION_TIMEOUT;
    if (g->members_count >= g->config.size_max && group_consumer_find(g, id) == NULL)
        return ERR_GROUP_MAX_SIZE_REACHED;
    if (!protocols_fit(g, in))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    bool is_new = in->member_id.size == 0 && slice_is_null(in->instance_id);
    return is_new && in->needs_known_id ? ERR_MEMBER_ID_REQUIRED : ERR_NONE;
}

static enum error_code join_find(struct group_consumer *g, const struct group_join *in,
                                 struct slice id, struct consumer_member **member)
{
    if (!slice_is_null(in->instance_id))
        return join_static(g, in, id, member);
    *member = group_consumer_find(g, id);
    if (*member == NULL)
        *member = consumer_member_create(g, id);
    return ERR_NONE;
}

void group_consumer_join(struct group_consumer *g, const struct group_join *in,
                         const struct consumer_event *event, struct group_effects *fx)
{
    bool is_static = !slice_is_null(in->instance_id);
    struct slice id = in->member_id;
    if (id.size == 0)
        id = group_new_id(is_static ? in->instance_id : in->client_id, &in->unique, &fx->arena);
    struct embedded_subscription sub = {0};
    struct consumer_member *m = NULL;
    enum error_code err = join_check(g, in, id);
    if (err == ERR_NONE &&
        embedded_subscription_decode(in->protocols[0].metadata, event->img, &fx->arena, &sub) < 0)
        err = ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (err == ERR_NONE)
        err = join_find(g, in, id, &m);
    if (err != ERR_NONE)
        group_refuse_join(fx, in->token, err, id);
    else
        join_as(g, in, m, &sub, event);
    partition_set_deinit(&sub.owned);
    consumer_flush(g, fx);
}

/* --- SyncGroup, Heartbeat --- */

static enum error_code classic_find(const struct group_consumer *g, struct slice id,
                                    struct slice instance_id, struct consumer_member **member)
{
    struct consumer_member *m = slice_is_null(instance_id)
                                    ? group_consumer_find(g, id)
                                    : consumer_member_find_instance(g, instance_id);
    *member = m;
    if (m == NULL)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!slice_equal(m->id, id))
        return ERR_FENCED_INSTANCE_ID;
    return m->is_classic ? ERR_NONE : ERR_UNKNOWN_MEMBER_ID;
}

/* It is to join again, and not to take all day. */
static enum error_code told_to_rejoin(struct consumer_member *m, const struct consumer_event *event)
{
    if (m->classic.join_deadline_ms == GROUP_NEVER)
        m->classic.join_deadline_ms = event->now_ms + m->rebalance_timeout_ms;
    return ERR_REBALANCE_IN_PROGRESS;
}

static enum error_code sync_check(const struct group_consumer *g, const struct group_sync *in,
                                  const struct consumer_event *event, struct consumer_member **m)
{
    enum error_code err = classic_find(g, in->member_id, in->instance_id, m);
    if (err != ERR_NONE)
        return err;
    if (in->generation != (*m)->epoch)
        return ERR_ILLEGAL_GENERATION;
    if (!slice_is_null(in->protocol_type) && !slice_equals_text(in->protocol_type, "consumer"))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (!slice_is_null(in->protocol_name) &&
        !slice_equal(in->protocol_name, (*m)->classic.protocols[0].name))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (g->epoch > (*m)->epoch && (*m)->state != CONSUMER_UNREVOKED)
        return told_to_rejoin(*m, event);
    return ERR_NONE;
}

static int16_t version_of(const struct consumer_member *m)
{
    struct wire_reader r;
    wire_reader_init(&r, m->classic.protocols[0].metadata, NULL);
    return wire_get_i16(&r);
}

void group_consumer_sync(struct group_consumer *g, const struct group_sync *in,
                         const struct consumer_event *event, struct group_effects *fx)
{
    struct consumer_member *m;
    void *token = in->token;
    enum error_code err = sync_check(g, in, event, &m);
    if (err != ERR_NONE) {
        group_reply_add(fx, GROUP_REPLY_SYNC, &token, err);
        return;
    }
    struct buffer assignment = {0};
    embedded_assignment_encode(&m->assigned, event->img, version_of(m), &assignment);
    m->classic.sync_deadline_ms = GROUP_NEVER;
    m->session_deadline_ms = event->now_ms + m->classic.session_ms;
    consumer_answer_sync(g, in, buffer_slice(&assignment));
    buffer_deinit(&assignment);
    consumer_flush(g, fx);
}

static bool waits_for_others(const struct group_consumer *g, const struct consumer_member *m)
{
    struct partition_set missing = {0};
    bool waits = false;
    partition_set_copy(&missing, &m->target);
    partition_set_drop(&missing, &m->assigned);
    CONSUMER_MEMBERS(other, g)
    waits = waits || (other != m && (partition_set_intersects(&other->assigned, &missing) ||
                                     partition_set_intersects(&other->revoking, &missing)));
    partition_set_deinit(&missing);
    return waits;
}

enum error_code group_consumer_heartbeat_classic(struct group_consumer *g, struct slice id,
                                                 struct slice instance_id, int32_t generation,
                                                 const struct consumer_event *event)
{
    struct consumer_member *m;
    enum error_code err = classic_find(g, id, instance_id, &m);
    if (err != ERR_NONE)
        return err;
    if (generation != m->epoch)
        return ERR_ILLEGAL_GENERATION;
    m->session_deadline_ms = event->now_ms + m->classic.session_ms;
    if (m->epoch < g->epoch || m->state == CONSUMER_UNREVOKED ||
        (m->state == CONSUMER_UNRELEASED && !waits_for_others(g, m)))
        return told_to_rejoin(m, event);
    return ERR_NONE;
}

/* --- LeaveGroup --- */

enum error_code group_consumer_leave_classic(struct group_consumer *g, struct slice id,
                                             struct slice instance_id)
{
    struct consumer_member *m;
    enum error_code err = classic_find(g, id, instance_id, &m);
    /* An administrator removes a static member by its instance id alone (KIP-345). */
    if (err == ERR_FENCED_INSTANCE_ID && id.size == 0)
        err = m->is_classic ? ERR_NONE : ERR_UNKNOWN_MEMBER_ID;
    if (err == ERR_NONE)
        consumer_member_remove(g, m);
    return err;
}

void group_consumer_left(struct group_consumer *g, const struct consumer_event *event,
                         struct group_effects *fx)
{
    consumer_epoch_follow(g, true, event);
    consumer_flush(g, fx);
}
