/*
 * Answers of a group of the consumer protocol, which wait for the write of what they say; and that
 * write.
 */
#include <stdlib.h>

#include "coord/group_consumer_internal.h"

static void answer_free(struct consumer_answer *a)
{
    list_remove(&a->link);
    group_slice_free(&a->member_id);
    group_slice_free(&a->protocol_type);
    group_slice_free(&a->protocol_name);
    group_slice_free(&a->bytes);
    partition_set_deinit(&a->assignment);
    free(a);
}

void consumer_answers_free(struct group_consumer *g)
{
    LIST_FOR_EACH (a, &g->answers, struct consumer_answer, link)
        answer_free(a);
}

void consumer_refuse(struct group_effects *fx, void *token, enum error_code err, const char *text)
{
    struct group_reply *reply = group_reply_add(fx, GROUP_REPLY_HEARTBEAT, &token, err);
    reply->beat.message = text != NULL ? arena_text(&fx->arena, text) : SLICE_NULL;
}

/* --- Sending --- */

static void fill_heartbeat(const struct consumer_answer *a, struct group_reply *reply,
                           struct arena *arena)
{
    size_t size = a->assignment.count * sizeof(*a->assignment.items);
    struct set_partition *items = arena_need(arena, size + 1);
    if (size > 0)
        memcpy(items, a->assignment.items, size);
    reply->beat = (struct group_reply_heartbeat){.epoch = a->epoch,
                                                 .interval_ms = a->heartbeat_ms,
                                                 .has_assignment = a->has_assignment,
                                                 .partitions = items,
                                                 .partitions_count = a->assignment.count};
}

static void answer_send(struct consumer_answer *a, enum error_code err, struct group_effects *fx)
{
    struct group_reply *reply = group_reply_add(fx, a->kind, &a->token, err);
    reply->member_id = arena_copy(&fx->arena, a->member_id);
    if (err == ERR_NONE) {
        reply->generation = a->epoch;
        reply->protocol_type = arena_copy(&fx->arena, a->protocol_type);
        reply->protocol_name = arena_copy(&fx->arena, a->protocol_name);
        if (a->kind == GROUP_REPLY_SYNC)
            reply->assignment = arena_copy(&fx->arena, a->bytes);
        else if (a->kind == GROUP_REPLY_HEARTBEAT)
            fill_heartbeat(a, reply, &fx->arena);
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

void consumer_answers_end(struct group_consumer *g, struct group_effects *fx)
{
    LIST_FOR_EACH (a, &g->answers, struct consumer_answer, link) {
        bool left = a->kind == GROUP_REPLY_HEARTBEAT && a->epoch < 0;
        bool classic = a->kind != GROUP_REPLY_HEARTBEAT;
        answer_send(a,
                    left      ? ERR_NONE
                    : classic ? ERR_REBALANCE_IN_PROGRESS
                              : ERR_COORDINATOR_NOT_AVAILABLE,
                    fx);
    }
}

/* --- Adding --- */

static struct consumer_answer *answer_add(struct group_consumer *g, enum group_reply_kind kind,
                                          void *token, struct slice member_id)
{
    struct consumer_answer *a = mem_zalloc(sizeof(*a));
    a->number = g->writes + g->unwritten;
    a->kind = kind;
    a->token = token;
    a->member_id = group_slice_copy(member_id);
    list_push_back(&g->answers, &a->link);
    return a;
}

void consumer_answer_heartbeat(struct group_consumer *g, void *token,
                               const struct consumer_member *m, bool assignment)
{
    struct consumer_answer *a = answer_add(g, GROUP_REPLY_HEARTBEAT, token, m->id);
    a->epoch = m->epoch;
    a->heartbeat_ms = g->config.heartbeat_ms;
    a->has_assignment = assignment;
    if (assignment)
        partition_set_copy(&a->assignment, &m->assigned);
}

void consumer_answer_left(struct group_consumer *g, const struct consumer_heartbeat *in)
{
    answer_add(g, GROUP_REPLY_HEARTBEAT, in->token, in->member_id)->epoch = in->epoch;
}

void consumer_answer_join(struct group_consumer *g, void *token, const struct consumer_member *m)
{
    struct consumer_answer *a = answer_add(g, GROUP_REPLY_JOIN, token, m->id);
    a->epoch = m->epoch;
    a->protocol_type = group_slice_copy(SLICE("consumer"));
    a->protocol_name = group_slice_copy(m->classic.protocols[0].name);
}

void consumer_answer_sync(struct group_consumer *g, const struct group_sync *in,
                          struct slice assignment)
{
    struct consumer_answer *a = answer_add(g, GROUP_REPLY_SYNC, in->token, in->member_id);
    a->protocol_type = group_slice_copy(in->protocol_type);
    a->protocol_name = group_slice_copy(in->protocol_name);
    a->bytes = group_slice_copy(assignment);
}
