/*
 * The events of a group of the consumer protocol: heartbeats, time, the outcome of writes. Checks,
 * their order and the error codes are those of Apache Kafka's coordinator.
 */
#include "coord/group_consumer.h"

#include <stdio.h>
#include <stdlib.h>

#include "coord/group_consumer_internal.h"

void group_consumer_init(struct group_consumer *g, const struct consumer_config *config)
{
    *g = (struct group_consumer){.config = *config, .seen_index = -1};
    list_init(&g->members);
    list_init(&g->answers);
    list_init(&g->regexes);
}

void group_consumer_deinit(struct group_consumer *g)
{
    CONSUMER_MEMBERS(m, g)
    consumer_member_remove(g, m);
    consumer_answers_free(g);
    consumer_regexes_free(g);
}

/* --- Coming in --- */

/* A member that missed the answer with its new epoch asks with the one before. */
static const char *epoch_refuse(const struct consumer_member *m,
                                const struct consumer_heartbeat *in)
{
    if (in->epoch == 0 || in->epoch == m->epoch)
        return NULL; /* 0: it begins anew, also after it was fenced (KAFKA-19233) */
    if (in->epoch > m->epoch)
        return "The consumer group member has a greater member epoch than the one known by the "
               "group coordinator. The member must abandon all its partitions and rejoin.";
    if (in->epoch == m->previous_epoch && in->has_owned &&
        partition_set_contains(&m->assigned, &in->owned))
        return NULL;
    return "The consumer group member has a smaller member epoch than the one known by the group "
           "coordinator. The member must abandon all its partitions and rejoin.";
}

struct refusal {
    enum error_code err;
    const char *text;
};

static struct refusal find_dynamic(struct group_consumer *g, const struct consumer_heartbeat *in,
                                   struct slice id, struct consumer_member **member)
{
    struct consumer_member *m = group_consumer_find(g, id);
    if (m == NULL && in->epoch != 0)
        return (struct refusal){ERR_UNKNOWN_MEMBER_ID, "The member is not a member of the group."};
    *member = m != NULL ? m : consumer_member_create(g, id);
    const char *text = epoch_refuse(*member, in);
    return (struct refusal){text != NULL ? ERR_FENCED_MEMBER_EPOCH : ERR_NONE, text};
}

/* A place is free for a static member that comes in when the one before left it for a while, or was
 * of the classic protocol. */
static struct refusal join_static(struct group_consumer *g, struct slice id,
                                  struct consumer_member *old, struct consumer_member **member)
{
    if (old != NULL && !old->is_classic && old->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
        return (struct refusal){ERR_UNRELEASED_INSTANCE_ID,
                                "The instance id is owned by another member."};
    struct consumer_member *named = group_consumer_find(g, id);
    if (named != NULL && named != old)
        return (struct refusal){ERR_INVALID_REQUEST, "The member id is another member's."};
    *member = old != NULL ? consumer_member_replace(g, old, id) : consumer_member_create(g, id);
    return (struct refusal){0};
}

static struct refusal find_static(struct group_consumer *g, const struct consumer_heartbeat *in,
                                  struct slice id, struct consumer_member **member)
{
    struct consumer_member *m = consumer_member_find_instance(g, in->instance_id);
    if (in->epoch == 0)
        return join_static(g, id, m, member);
    if (m == NULL)
        return (struct refusal){ERR_UNKNOWN_MEMBER_ID, "The instance id is unknown."};
    if (!slice_equal(m->id, id))
        return (struct refusal){ERR_FENCED_INSTANCE_ID,
                                "The static member was fenced by another member."};
    *member = m;
    const char *text = epoch_refuse(m, in);
    return (struct refusal){text != NULL ? ERR_FENCED_MEMBER_EPOCH : ERR_NONE, text};
}

/* --- Leaving --- */

/* Out; the others get its partitions in their next heartbeats. */
static void member_drop(struct group_consumer *g, struct consumer_member *m,
                        const struct consumer_event *event)
{
    consumer_member_remove(g, m);
    consumer_epoch_follow(g, true, event);
}

static void leave(struct group_consumer *g, const struct consumer_heartbeat *in,
                  const struct consumer_event *event, struct group_effects *fx)
{
    bool is_static = !slice_is_null(in->instance_id);
    struct consumer_member *m = is_static ? consumer_member_find_instance(g, in->instance_id)
                                          : group_consumer_find(g, in->member_id);
    if (m == NULL) {
        consumer_refuse(fx, in->token, ERR_UNKNOWN_MEMBER_ID,
                        "The member is not a member of the group.");
        return;
    }
    if (!slice_equal(m->id, in->member_id)) {
        consumer_refuse(fx, in->token, ERR_FENCED_INSTANCE_ID,
                        "The static member was fenced by another member.");
        return;
    }
    if (is_static && in->epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
        m->epoch = CONSUMER_EPOCH_LEAVE_STATIC; /* what it has stays its own until it is out */
        m->revoking.count = 0;
        m->revoke_deadline_ms = GROUP_NEVER;
        g->unwritten = true;
    } else {
        member_drop(g, m, event);
    }
    consumer_answer_left(g, in);
    consumer_flush(g, fx);
}

/* --- Heartbeats --- */

static struct slice new_member_id(const struct consumer_heartbeat *in, char text[UUID_TEXT_SIZE])
{
    uuid_to_text(in->unique, text);
    return slice_from_text(text);
}

static bool is_full(const struct group_consumer *g, struct slice id)
{
    return g->members_count >= g->config.size_max && group_consumer_find(g, id) == NULL;
}

/* A member that names all its fields wants to hear all of its assignment. */
static bool is_whole(const struct consumer_heartbeat *in)
{
    return in->rebalance_timeout_ms >= 0 && (in->topics_count >= 0 || !slice_is_null(in->regex)) &&
           in->has_owned;
}

static void beat(struct group_consumer *g, const struct consumer_heartbeat *in,
                 struct consumer_member *m, const struct consumer_event *event)
{
    struct partition_set before = {0};
    partition_set_copy(&before, &m->assigned);
    bool wants_others = consumer_member_update(g, m, in);
    g->unwritten |= m->is_classic;
    consumer_classic_clear(m);
    consumer_epoch_follow(g, wants_others || g->epoch == 0, event);
    consumer_assign(g, event);
    if (wants_others || !consumer_member_is_reconciled(g, m))
        consumer_reconcile(g, m, in->has_owned ? &in->owned : NULL, event);
    m->session_deadline_ms = event->now_ms + g->config.session_ms;
    bool tell = in->epoch == 0 || is_whole(in) || !partition_set_equal(&before, &m->assigned);
    consumer_answer_heartbeat(g, in->token, m, tell);
    partition_set_deinit(&before);
}

void group_consumer_heartbeat(struct group_consumer *g, const struct consumer_heartbeat *in,
                              const struct consumer_event *event, struct group_effects *fx)
{
    char text[UUID_TEXT_SIZE];
    if (in->epoch < 0) {
        leave(g, in, event, fx);
        return;
    }
    struct slice id = in->member_id.size > 0 ? in->member_id : new_member_id(in, text);
    if (is_full(g, id)) {
        consumer_refuse(fx, in->token, ERR_GROUP_MAX_SIZE_REACHED,
                        "The consumer group has reached its maximum capacity.");
        return;
    }
    char wrong[240];
    enum error_code err = consumer_regex_check(g, in->regex, wrong);
    if (err != ERR_NONE) {
        consumer_refuse(fx, in->token, err, wrong);
        return;
    }
    struct consumer_member *m = NULL;
    struct refusal no =
        slice_is_null(in->instance_id) ? find_dynamic(g, in, id, &m) : find_static(g, in, id, &m);
    if (no.err != ERR_NONE)
        consumer_refuse(fx, in->token, no.err, no.text);
    else
        beat(g, in, m, event);
    consumer_flush(g, fx);
}

/* --- Offsets --- */

enum error_code group_consumer_check_commit(const struct group_consumer *g,
                                            const struct consumer_commit *in)
{
    if (in->epoch < 0 && g->members_count == 0)
        return ERR_NONE;
    const struct consumer_member *m = group_consumer_find(g, in->member_id);
    if (m == NULL)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!in->modern && !m->is_classic)
        return ERR_UNSUPPORTED_VERSION;
    if (in->epoch == m->epoch)
        return ERR_NONE;
    if (m->is_classic)
        return ERR_ILLEGAL_GENERATION;
    if (in->epoch > m->epoch || in->epoch < 0)
        return ERR_STALE_MEMBER_EPOCH;
    FOR_EACH (p, in->partitions, in->partitions_count) {
        const struct set_partition *has = partition_set_find(&m->assigned, p->topic, p->index);
        if (has == NULL)
            has = partition_set_find(&m->revoking, p->topic, p->index);
        if (has == NULL || has->epoch > in->epoch)
            return ERR_STALE_MEMBER_EPOCH;
    }
    return in->partitions_count > 0 ? ERR_NONE : ERR_STALE_MEMBER_EPOCH;
}

enum error_code group_consumer_check_fetch(const struct group_consumer *g, struct slice member_id,
                                           int32_t epoch)
{
    if (slice_is_null(member_id) && epoch < 0)
        return ERR_NONE;
    const struct consumer_member *m = group_consumer_find(g, member_id);
    if (m == NULL)
        return ERR_UNKNOWN_MEMBER_ID;
    if (epoch == m->epoch)
        return ERR_NONE;
    return m->is_classic ? ERR_ILLEGAL_GENERATION : ERR_STALE_MEMBER_EPOCH;
}

bool group_consumer_offset_expired(const struct group_consumer *g,
                                   const struct group_offset_age *offset, int64_t now_ms,
                                   int64_t retention_ms)
{
    if (group_consumer_subscribes(g, offset->topic))
        return false;
    if (offset->expire_time_ms >= 0)
        return now_ms >= offset->expire_time_ms;
    return now_ms - offset->commit_time_ms >= retention_ms;
}

bool group_consumer_subscribes(const struct group_consumer *g, struct slice topic)
{
    CONSUMER_MEMBERS(m, g)
    {
        if (consumer_member_wants(g, m, topic) || !consumer_regex_is_resolved(g, m))
            return true; /* of an expression that was not looked at yet nobody knows */
    }
    return false;
}

/* --- Time --- */

static int64_t member_deadline(const struct consumer_member *m)
{
    int64_t deadline_ms = MIN(m->session_deadline_ms, m->revoke_deadline_ms);
    deadline_ms = MIN(deadline_ms, m->classic.join_deadline_ms);
    return MIN(deadline_ms, m->classic.sync_deadline_ms);
}

int group_consumer_tick(struct group_consumer *g, const struct consumer_event *event,
                        struct group_effects *fx)
{
    int out = 0;
    CONSUMER_MEMBERS(m, g)
    {
        if (member_deadline(m) > event->now_ms)
            continue;
        member_drop(g, m, event);
        out++;
    }
    consumer_flush(g, fx);
    return out;
}

int64_t group_consumer_deadline(const struct group_consumer *g)
{
    int64_t deadline_ms = GROUP_NEVER;
    CONSUMER_MEMBERS(m, g)
    deadline_ms = MIN(deadline_ms, member_deadline(m));
    return deadline_ms;
}

static void postpone(int64_t *deadline_ms, int64_t to_ms)
{
    if (*deadline_ms != GROUP_NEVER)
        *deadline_ms = MAX(*deadline_ms, to_ms);
}

void group_consumer_revive(struct group_consumer *g, int64_t now_ms)
{
    CONSUMER_MEMBERS(m, g)
    {
        int32_t session_ms = m->is_classic ? m->classic.session_ms : g->config.session_ms;
        postpone(&m->session_deadline_ms, now_ms + session_ms);
        postpone(&m->revoke_deadline_ms, now_ms + m->rebalance_timeout_ms);
        postpone(&m->classic.join_deadline_ms, now_ms + m->rebalance_timeout_ms);
        postpone(&m->classic.sync_deadline_ms, now_ms + m->rebalance_timeout_ms);
    }
}

bool group_consumer_is_idle(const struct group_consumer *g)
{
    return g->members_count == 0 && !g->unwritten && g->writes_ended == g->writes;
}

const char *group_consumer_state_name(const struct group_consumer *g)
{
    if (g->members_count == 0)
        return "Empty";
    if (g->epoch > g->assignment_epoch)
        return "Assigning";
    CONSUMER_MEMBERS(m, g)
    {
        if (!consumer_member_is_reconciled(g, m))
            return "Reconciling";
    }
    return "Stable";
}
