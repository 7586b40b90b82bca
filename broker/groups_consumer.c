/*
 * What handlers ask of groups of the consumer protocol (KIP-848).
 */
#include "broker/groups_internal.h"
#include "proto/base/logging.h"

/* The group, made one of the consumer protocol where it can be. */
static enum error_code enter(struct groups *gs, struct group_slot *slot, struct slice id, bool make,
                             struct group **g) HOLDS(slot->lock);
static enum error_code enter(struct groups *gs, struct group_slot *slot, struct slice id, bool make,
                             struct group **g)
{
    *g = NULL;
    enum error_code err = group_slot_check(gs, slot);
    if (err == ERR_NONE)
        err = group_slot_find(gs, slot, id, make, g);
    if (err == ERR_NONE && (*g == NULL || ((*g)->consumer == NULL && !make)))
        err = ERR_GROUP_ID_NOT_FOUND;
    return err;
}

static bool turn(struct groups *gs, struct slice id, struct group *g,
                 const struct consumer_event *event, struct group_effects *fx)
{
    if (g->consumer == NULL && !group_is_empty(g))
        return group_upgrade(gs, id, g, event, fx);
    if (g->consumer == NULL)
        group_turn_consumer(gs, id, g, event->img);
    group_configure(gs, id, g, event->img);
    return true;
}

static void refuse(struct request *req, enum error_code err, group_replied *done)
{
    struct group_reply reply = {.kind = GROUP_REPLY_HEARTBEAT, .err = err};
    if (err == ERR_GROUP_ID_NOT_FOUND)
        reply.beat.message = SLICE("Consumer group not found.");
    done(req, &reply);
}

static void log_epoch(const struct group *g, struct slice id, int32_t before)
{
    if (g->consumer->epoch != before)
        LOG_DEBUG("a group has a new epoch",
                  "group=" SLICE_FMT " epoch=%d assignment_epoch=%d members=%d", SLICE_ARG(id),
                  g->consumer->epoch, g->consumer->assignment_epoch, g->consumer->members_count);
}

static enum error_code heartbeat(struct groups *gs, struct slice id, struct group *g,
                                 struct consumer_heartbeat *in, struct group_effects *fx)
{
    struct consumer_event event = group_event(gs);
    enum error_code err = turn(gs, id, g, &event, fx) ? ERR_NONE : ERR_GROUP_ID_NOT_FOUND;
    if (err == ERR_NONE) {
        int32_t before = g->consumer->epoch;
        group_wait_park(in->token);
        group_consumer_heartbeat(g->consumer, in, &event, fx);
        log_epoch(g, id, before);
        group_downgrade(gs, id, g, &event, fx);
    }
    group_event_end(&event);
    return err;
}

static enum error_code heartbeat_apply(struct groups *gs, struct group_slot *slot, struct slice id,
                                       struct group *g, struct consumer_heartbeat *in)
    HOLDS(slot->lock);
static enum error_code heartbeat_apply(struct groups *gs, struct group_slot *slot, struct slice id,
                                       struct group *g, struct consumer_heartbeat *in)
{
    struct group_outcome *o = group_outcome_new();
    enum error_code err = heartbeat(gs, id, g, in, &o->fx);
    group_outcome_apply(gs, slot, id, g, o);
    if (g->consumer != NULL && g->consumer->epoch == 0 && group_is_idle(g))
        group_free(map_remove(&slot->groups, id)); /* it was refused: there is no such group */
    else
        group_slot_due(gs, slot, g);
    return err;
}

void groups_consumer_heartbeat(struct request *req, struct slice id, struct consumer_heartbeat *in,
                               group_replied *done)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = enter(gs, slot, id, in->epoch == 0, &g);
    if (err == ERR_NONE) {
        in->token = group_wait_new(req, done);
        err = heartbeat_apply(gs, slot, id, g, in);
    }
    mutex_unlock(&slot->lock);
    if (err != ERR_NONE)
        refuse(req, err, done);
}

/* --- Members of the classic protocol --- */

void groups_consumer_join(struct groups *gs, struct slice id, struct group *g,
                          const struct group_join *in, struct group_effects *fx)
{
    struct consumer_event event = group_event(gs);
    int32_t before = g->consumer->epoch;
    group_configure(gs, id, g, event.img);
    group_consumer_join(g->consumer, in, &event, fx);
    log_epoch(g, id, before);
    group_downgrade(gs, id, g, &event, fx);
    group_event_end(&event);
}

void groups_consumer_sync(struct groups *gs, struct group *g, const struct group_sync *in,
                          struct group_effects *fx)
{
    struct consumer_event event = group_event(gs);
    group_consumer_sync(g->consumer, in, &event, fx);
    group_event_end(&event);
}

enum error_code groups_consumer_beat(struct groups *gs, struct group *g, struct slice member_id,
                                     struct slice instance_id, int32_t generation)
{
    struct consumer_event event = group_event(gs);
    enum error_code err =
        group_consumer_heartbeat_classic(g->consumer, member_id, instance_id, generation, &event);
    group_event_end(&event);
    return err;
}

void groups_consumer_leave(struct groups *gs, struct slice id, struct group *g,
                           struct group_leaving *members, int count, struct group_effects *fx)
{
    struct consumer_event event = group_event(gs);
    bool left = false;
    FOR_EACH (m, members, count) {
        m->err = group_consumer_leave_classic(g->consumer, m->member_id, m->instance_id);
        left = left || m->err == ERR_NONE;
    }
    if (left)
        group_consumer_left(g->consumer, &event, fx);
    group_downgrade(gs, id, g, &event, fx);
    group_event_end(&event);
}

/* --- Describe --- */

static struct partition_set set_view(struct arena *arena, const struct partition_set *set)
{
    size_t size = set->count * sizeof(*set->items);
    struct partition_set view = {.items = arena_need(arena, size + 1), .count = set->count};
    if (size > 0)
        memcpy(view.items, set->items, size);
    return view;
}

static void view_member(struct arena *arena, const struct consumer_member *m,
                        struct consumer_view_member *view)
{
    *view = (struct consumer_view_member){
        .id = arena_copy(arena, m->id),
        .instance_id = arena_copy(arena, m->instance_id),
        .rack = arena_copy(arena, m->rack),
        .client_id = arena_copy(arena, m->client_id),
        .client_host = arena_copy(arena, m->client_host),
        .regex = arena_copy(arena, m->regex),
        .epoch = m->epoch,
        .is_classic = m->is_classic,
        .assigned = set_view(arena, &m->assigned),
        .target = set_view(arena, &m->target),
    };
    view->topics = arena_need(arena, ((size_t)m->topics.count + 1) * sizeof(*view->topics));
    FOR_EACH (name, m->topics.items, m->topics.count)
        view->topics[view->topics_count++] = arena_copy(arena, *name);
}

static void view_fill(struct arena *arena, const struct group_consumer *g,
                      struct consumer_view *view)
{
    size_t size = ((size_t)g->members_count + 1) * sizeof(*view->members);
    view->state = group_consumer_state_name(g);
    view->epoch = g->epoch;
    view->assignment_epoch = g->assignment_epoch;
    view->assignor = arena_copy(arena, group_consumer_assignor(g));
    view->members = arena_need(arena, size);
    CONSUMER_MEMBERS(m, g)
    view_member(arena, m, &view->members[view->members_count++]);
}

struct consumer_view groups_describe_consumer(struct node *node, struct slice id,
                                              struct arena *arena)
{
    struct groups *gs = node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct consumer_view view = {.state = "", .assignor = SLICE("")};
    struct group *g = NULL;
    bool owned = false;
    mutex_lock(&slot->lock);
    view.err = group_slot_check(gs, slot);
    if (view.err == ERR_NONE)
        view.err = group_slot_peek(gs, slot, id, &g, &owned);
    if (view.err == ERR_NONE && (g == NULL || g->consumer == NULL))
        view.err = ERR_GROUP_ID_NOT_FOUND;
    if (view.err == ERR_NONE)
        view_fill(arena, g->consumer, &view);
    mutex_unlock(&slot->lock);
    if (owned)
        group_free(g);
    return view;
}
