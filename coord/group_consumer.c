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

static void answer_free(struct consumer_answer *a)
{
    list_remove(&a->link);
    group_slice_free(&a->member_id);
    partition_set_deinit(&a->assignment);
    free(a);
}

void group_consumer_deinit(struct group_consumer *g)
{
    CONSUMER_MEMBERS(m, g)
    consumer_member_remove(g, m);
    LIST_FOR_EACH (a, &g->answers, struct consumer_answer, link)
        answer_free(a);
    consumer_regexes_free(g);
}

/* --- Answers and writes --- */

static struct group_reply *reply_add(struct group_effects *fx, void *token, enum error_code err)
{
    return group_reply_add(fx, GROUP_REPLY_HEARTBEAT, &token, err);
}

void consumer_refuse(struct group_effects *fx, void *token, enum error_code err, const char *text)
{
    struct group_reply *reply = reply_add(fx, token, err);
    reply->beat.message = text != NULL ? arena_text(&fx->arena, text) : SLICE_NULL;
}

static void answer_send(struct consumer_answer *a, enum error_code err, struct group_effects *fx)
{
    struct group_reply *reply = reply_add(fx, a->token, err);
    if (err == ERR_NONE) {
        size_t size = a->assignment.count * sizeof(*a->assignment.items);
        struct set_partition *items = arena_need(&fx->arena, size + 1);
        if (size > 0)
            memcpy(items, a->assignment.items, size);
        reply->member_id = arena_copy(&fx->arena, a->member_id);
        reply->beat = (struct group_reply_heartbeat){.epoch = a->epoch,
                                                     .interval_ms = a->heartbeat_ms,
                                                     .has_assignment = a->has_assignment,
                                                     .partitions = items,
                                                     .partitions_count = a->assignment.count};
    }
    answer_free(a);
}

/* Make a write when there is something to write and none is under way; answer what waits for
 * nothing. */
void consumer_flush(struct group_consumer *g, struct group_effects *fx)
{
    if (g->unwritten && g->writes_ended == g->writes) {
        fx->persist_number = ++g->writes;
        g->unwritten = false;
    }
    LIST_FOR_EACH (a, &g->answers, struct consumer_answer, link) {
        if (a->number > g->writes_ended)
            break;
        answer_send(a, ERR_NONE, fx);
    }
}

static void answer_add(struct group_consumer *g, void *token, const struct consumer_member *m,
                       bool assignment)
{
    struct consumer_answer *a = mem_zalloc(sizeof(*a));
    a->number = g->writes + g->unwritten;
    a->token = token;
    a->member_id = group_slice_copy(m->id);
    a->epoch = m->epoch;
    a->heartbeat_ms = g->config.heartbeat_ms;
    a->has_assignment = assignment;
    if (assignment)
        partition_set_copy(&a->assignment, &m->assigned);
    list_push_back(&g->answers, &a->link);
}

void group_consumer_persisted(struct group_consumer *g, uint64_t number, struct group_effects *fx)
{
    g->writes_ended = MAX(g->writes_ended, number);
    consumer_flush(g, fx);
}

void group_consumer_abandon(struct group_consumer *g, enum error_code err, struct group_effects *fx)
{
    LIST_FOR_EACH (a, &g->answers, struct consumer_answer, link)
        answer_send(a, err, fx);
}

/* --- Coming in --- */

static struct consumer_member *member_create(struct group_consumer *g, struct slice id)
{
    struct consumer_member *m = consumer_member_new(id);
    consumer_member_add(g, m);
    return m;
}

/* A static member that left for a while is back under a new id: it goes on where it was. */
static struct consumer_member *member_replace(struct group_consumer *g, struct consumer_member *old,
                                              struct slice id)
{
    struct consumer_member *m = consumer_member_clone(old, id);
    consumer_member_remove(g, old);
    consumer_member_add(g, m);
    return m;
}

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
    *member = m != NULL ? m : member_create(g, id);
    const char *text = epoch_refuse(*member, in);
    return (struct refusal){text != NULL ? ERR_FENCED_MEMBER_EPOCH : ERR_NONE, text};
}

static struct refusal find_static(struct group_consumer *g, const struct consumer_heartbeat *in,
                                  struct slice id, struct consumer_member **member)
{
    struct consumer_member *m = consumer_member_find_instance(g, in->instance_id);
    bool same = m != NULL && slice_equal(m->id, id);
    if (in->epoch == 0 && m != NULL && !same && m->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
        return (struct refusal){ERR_UNRELEASED_INSTANCE_ID,
                                "The instance id is owned by another member."};
    if (in->epoch == 0 && !same) {
        /* An id that a member without this instance id has cannot be had twice. */
        if (group_consumer_find(g, id) != NULL)
            return (struct refusal){ERR_INVALID_REQUEST, "The member id is another member's."};
        *member = m != NULL ? member_replace(g, m, id) : member_create(g, id);
        return (struct refusal){0};
    }
    if (m == NULL)
        return (struct refusal){ERR_UNKNOWN_MEMBER_ID, "The instance id is unknown."};
    if (!same)
        return (struct refusal){ERR_FENCED_INSTANCE_ID,
                                "The static member was fenced by another member."};
    *member = m;
    const char *text = epoch_refuse(m, in);
    return (struct refusal){text != NULL ? ERR_FENCED_MEMBER_EPOCH : ERR_NONE, text};
}

/* --- Leaving --- */

void consumer_member_drop(struct group_consumer *g, struct consumer_member *m,
                          const struct consumer_event *event)
{
    consumer_member_remove(g, m);
    consumer_epoch_follow(g, true, event);
}

static void answer_left(struct group_consumer *g, const struct consumer_heartbeat *in,
                        struct slice id)
{
    struct consumer_member gone = {.id = id, .epoch = in->epoch};
    answer_add(g, in->token, &gone, false);
    CONTAINER_OF(g->answers.prev, struct consumer_answer, link)->heartbeat_ms = 0;
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
        consumer_member_drop(g, m, event);
    }
    answer_left(g, in, in->member_id);
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
    consumer_epoch_follow(g, wants_others || g->epoch == 0, event);
    consumer_assign(g, event);
    if (wants_others || !consumer_member_is_reconciled(g, m))
        consumer_reconcile(g, m, in->has_owned ? &in->owned : NULL, event);
    m->session_deadline_ms = event->now_ms + g->config.session_ms;
    bool tell = in->epoch == 0 || is_whole(in) || !partition_set_equal(&before, &m->assigned);
    answer_add(g, in->token, m, tell);
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
    if (!in->modern)
        return ERR_UNSUPPORTED_VERSION;
    if (in->epoch == m->epoch)
        return ERR_NONE;
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
    return epoch == m->epoch ? ERR_NONE : ERR_STALE_MEMBER_EPOCH;
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

int group_consumer_tick(struct group_consumer *g, const struct consumer_event *event,
                        struct group_effects *fx)
{
    int out = 0;
    CONSUMER_MEMBERS(m, g)
    {
        if (MIN(m->session_deadline_ms, m->revoke_deadline_ms) > event->now_ms)
            continue;
        consumer_member_drop(g, m, event);
        out++;
    }
    consumer_flush(g, fx);
    return out;
}

int64_t group_consumer_deadline(const struct group_consumer *g)
{
    int64_t deadline_ms = GROUP_NEVER;
    CONSUMER_MEMBERS(m, g)
    {
        deadline_ms = MIN(deadline_ms, m->session_deadline_ms);
        deadline_ms = MIN(deadline_ms, m->revoke_deadline_ms);
    }
    return deadline_ms;
}

void group_consumer_revive(struct group_consumer *g, int64_t now_ms)
{
    CONSUMER_MEMBERS(m, g)
    {
        m->session_deadline_ms = MAX(m->session_deadline_ms, now_ms + g->config.session_ms);
        if (m->revoke_deadline_ms != GROUP_NEVER)
            m->revoke_deadline_ms = MAX(m->revoke_deadline_ms, now_ms + m->rebalance_timeout_ms);
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
