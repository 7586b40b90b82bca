/*
 * Groups and offsets that go: because an administrator says so, or because nobody came back for
 * offsets.retention.minutes (KIP-211).
 *
 * The look for expired offsets goes over the database's groups of this node's slots, some at a
 * time, on the timer's thread. A group with a commit on its way is left for the next look: what was
 * acknowledged must not go.
 */
#include "broker/groups_internal.h"

#include <stdlib.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define DELETE_MS       10000
#define EXPIRY_AT_ONCE  20 /* groups looked at in one go */
#define EXPIRY_PAUSE_MS 20

struct expiry {
    struct arena arena; /* the ids */
    struct slice *ids;
    int count;
    int next;
};

/* --- Commands --- */

static void encode_put_nothing(const struct group_slot *slot, struct slice id, struct buffer *out)
    HOLDS(slot->lock);
static void encode_put_nothing(const struct group_slot *slot, struct slice id, struct buffer *out)
{
    struct put_group c = {
        .slot = slot->number, .slot_epoch = slot->epoch, .group = id, .value = SLICE_NULL};
    command_encode_put_group(out, &c);
}

/* --- DeleteGroups --- */

struct deletion {
    struct slice id; /* in the request's frame */
    request_submitted *done;
    void *arg;
    int open;
    enum error_code err;
};

/* The database has no more of it; or it still has all, when that failed. */
static void forget_gone(struct group_slot *slot, struct slice id, enum error_code err)
{
    mutex_lock(&slot->lock);
    struct group *g = map_find(&slot->groups, id);
    if (g != NULL && g->gone) {
        g->gone = err == ERR_NONE;
        if (group_is_idle(g))
            group_free(map_remove(&slot->groups, id));
    }
    mutex_unlock(&slot->lock);
}

static void deleted(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct deletion *d = arg;
    (void)value;
    if (err != ERR_NONE)
        d->err = err == ERR_NOT_COORDINATOR ? err : ERR_COORDINATOR_NOT_AVAILABLE;
    if (--d->open > 0)
        return;
    forget_gone(groups_slot(req->node->groups, d->id), d->id, d->err);
    d->done(req, d->arg, d->err, SLICE_NULL);
}

static enum error_code check_delete(struct groups *gs, struct group_slot *slot, struct slice id,
                                    struct group **g) HOLDS(slot->lock);
static enum error_code check_delete(struct groups *gs, struct group_slot *slot, struct slice id,
                                    struct group **g)
{
    bool offsets = false;
    *g = NULL;
    enum error_code err = group_slot_check(gs, slot);
    if (err == ERR_NONE)
        err = group_slot_find(gs, slot, id, false, g);
    if (err == ERR_NONE && *g == NULL)
        err = group_has_offsets(gs, id, &offsets);
    if (err != ERR_NONE)
        return err;
    if (*g == NULL)
        return offsets ? ERR_NONE : ERR_GROUP_ID_NOT_FOUND;
    return group_is_empty(*g) ? ERR_NONE : ERR_NON_EMPTY_GROUP;
}

static void delete_submit(struct request *req, struct group_slot *slot, struct slice id,
                          struct deletion *d) HOLDS(slot->lock);
static void delete_submit(struct request *req, struct group_slot *slot, struct slice id,
                          struct deletion *d)
{
    thread_assert(&NET);
    struct buffer group = {0}, offsets = {0};
    struct delete_offsets c = {
        .slot = slot->number, .slot_epoch = slot->epoch, .group = id, .partitions_count = -1};
    encode_put_nothing(slot, id, &group);
    command_encode_delete_offsets(&offsets, &c);
    d->open = 2;
    request_submit(req, buffer_slice(&group), DELETE_MS, deleted, d);
    request_submit(req, buffer_slice(&offsets), DELETE_MS, deleted, d);
    buffer_deinit(&group);
    buffer_deinit(&offsets);
}

/* Until the answer nobody may find it, in memory or in the database. */
static void group_forget(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g) HOLDS(slot->lock);
static void group_forget(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g)
{
    /* Whoever waits to hear that it left finds no group when it asks again. */
    struct group_outcome *o = group_outcome_new();
    group_abandon(g, ERR_COORDINATOR_NOT_AVAILABLE, &o->fx);
    group_outcome_apply(gs, slot, id, g, o);
    group_reset(g);
    g->gone = true;
    group_slot_due(gs, slot, g);
}

void groups_delete(struct request *req, struct slice id, request_submitted *done, void *arg)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = check_delete(gs, slot, id, &g);
    if (err == ERR_NONE) {
        struct deletion *d = arena_need(&req->arena, sizeof(*d));
        *d = (struct deletion){.id = id, .done = done, .arg = arg};
        if (g != NULL)
            group_forget(gs, slot, id, g);
        delete_submit(req, slot, id, d);
    }
    mutex_unlock(&slot->lock);
    if (err != ERR_NONE)
        done(req, arg, err, SLICE_NULL);
}

/* --- OffsetDelete --- */

static enum error_code check_delete_offsets(struct groups *gs, struct group_slot *slot,
                                            struct slice id, struct group **g) HOLDS(slot->lock);
static enum error_code check_delete_offsets(struct groups *gs, struct group_slot *slot,
                                            struct slice id, struct group **g)
{
    enum error_code err = check_delete(gs, slot, id, g);
    /* Of a consumer group with members we know which topics nobody reads. */
    if (err == ERR_NON_EMPTY_GROUP &&
        ((*g)->consumer != NULL || slice_equals_text((*g)->classic.protocol_type, "consumer")))
        return ERR_NONE;
    return err;
}

void groups_delete_offsets(struct request *req, struct delete_offsets *c, int16_t *errors,
                           request_submitted *done)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, c->group);
    struct group *g;
    int32_t count = 0;
    mutex_lock(&slot->lock);
    enum error_code err = check_delete_offsets(gs, slot, c->group, &g);
    for (int32_t i = 0; err == ERR_NONE && i < c->partitions_count; i++) {
        bool wanted = g != NULL && group_subscribes(g, c->partitions[i].topic);
        errors[i] = wanted ? ERR_GROUP_SUBSCRIBED_TO_TOPIC : ERR_NONE;
        if (!wanted)
            c->partitions[count++] = c->partitions[i];
    }
    c->partitions_count = count;
    bool submit = err == ERR_NONE && count > 0;
    if (submit) {
        struct buffer command = {0};
        c->slot = slot->number;
        c->slot_epoch = slot->epoch;
        command_encode_delete_offsets(&command, c);
        request_submit(req, buffer_slice(&command), DELETE_MS, done, NULL);
        buffer_deinit(&command);
    }
    mutex_unlock(&slot->lock);
    if (!submit)
        done(req, NULL, err, SLICE_NULL);
}

/* --- Expiry --- */

/* QUORUM thread. */
static void expired(void *arg, enum error_code err, struct slice value)
{
    (void)arg, (void)value;
    if (err != ERR_NONE)
        LOG_WARN("could not delete expired offsets, trying again later", "error=%s",
                 error_name(err));
}

static void expire_submit(struct groups *gs, struct group_slot *slot, struct delete_offsets *c,
                          bool all) HOLDS(slot->lock);
static void expire_submit(struct groups *gs, struct group_slot *slot, struct delete_offsets *c,
                          bool all)
{
    struct buffer command = {0};
    c->slot = slot->number;
    c->slot_epoch = slot->epoch;
    command_encode_delete_offsets(&command, c);
    if (c->partitions_count > 0) {
        LOG_INFO("offsets expired", "group=" SLICE_FMT " partitions=%d", SLICE_ARG(c->group),
                 c->partitions_count);
        quorum_submit(gs->node->quorum, buffer_slice(&command), DELETE_MS, expired, NULL);
    }
    buffer_clear(&command);
    encode_put_nothing(slot, c->group, &command);
    if (all)
        quorum_submit(gs->node->quorum, buffer_slice(&command), DELETE_MS, expired, NULL);
    buffer_deinit(&command);
}

static bool group_expired(const struct group *g, const struct group_offset_age *age, int64_t now_ms,
                          int64_t retention_ms)
{
    if (g != NULL && g->consumer != NULL)
        return group_consumer_offset_expired(g->consumer, age, now_ms, retention_ms);
    return group_offset_expired(g ? &g->classic : NULL, g ? g->since_ms : 0, age, now_ms,
                                retention_ms);
}

static void expire_rows(struct groups *gs, struct group_slot *slot, struct slice id,
                        const struct group *g) HOLDS(slot->lock);
static void expire_rows(struct groups *gs, struct group_slot *slot, struct slice id,
                        const struct group *g)
{
    struct arena arena;
    struct committed_offset *rows;
    int count;
    int64_t now_ms = clock_wall_ms();
    int64_t retention_ms = config_number(&gs->node->config, CONFIG_OFFSETS_RETENTION_MIN) * 60000;
    arena_init(&arena, 0);
    if (quorum_read_offsets(gs->node->quorum, id, &arena, &rows, &count) == 0) {
        struct delete_offsets c = {.group = id};
        c.partitions = arena_need(&arena, ((size_t)count + 1) * sizeof(*c.partitions));
        FOR_EACH (row, rows, count) {
            struct group_offset_age age = {row->topic, row->commit_time_ms, row->expire_time_ms};
            if (group_expired(g, &age, now_ms, retention_ms))
                c.partitions[c.partitions_count++] =
                    (struct command_partition){row->topic, row->partition};
        }
        bool empty = g != NULL && group_is_idle(g) &&
                     now_ms - g->since_ms >= MIN(retention_ms, (int64_t)DELETE_MS);
        expire_submit(gs, slot, &c, empty && c.partitions_count == count);
    }
    arena_deinit(&arena);
}

static void expire_group(struct groups *gs, struct slice id)
{
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g = NULL;
    bool owned = false;
    mutex_lock(&slot->lock);
    if (slot->ours && map_find(&slot->committing, id) == NULL &&
        group_slot_peek(gs, slot, id, &g, &owned) == ERR_NONE)
        expire_rows(gs, slot, id, g);
    mutex_unlock(&slot->lock);
    if (owned)
        group_free(g);
}

static void expiry_end(struct groups *gs)
{
    arena_deinit(&gs->expiry->arena);
    free(gs->expiry);
    gs->expiry = NULL;
}

int64_t groups_expire(struct groups *gs, int64_t now_ms)
{
    int64_t interval_ms = config_number(&gs->node->config, CONFIG_OFFSETS_CHECK_MS);
    if (gs->expiry == NULL && now_ms < gs->expiry_due_ms)
        return gs->expiry_due_ms;
    if (gs->expiry == NULL) {
        gs->expiry = mem_zalloc(sizeof(*gs->expiry));
        gs->expiry_due_ms = now_ms + interval_ms;
        arena_init(&gs->expiry->arena, 0);
        if (quorum_list_groups(gs->node->quorum, &gs->expiry->arena, &gs->expiry->ids,
                               &gs->expiry->count) < 0)
            gs->expiry->count = 0;
    }
    struct expiry *e = gs->expiry;
    for (int i = 0; i < EXPIRY_AT_ONCE && e->next < e->count; i++)
        expire_group(gs, e->ids[e->next++]);
    if (e->next < e->count)
        return now_ms + EXPIRY_PAUSE_MS;
    expiry_end(gs);
    return gs->expiry_due_ms;
}

void groups_expire_stop(struct groups *gs)
{
    if (gs->expiry != NULL)
        expiry_end(gs);
}
