/*
 * What handlers ask of groups of the consumer protocol (KIP-848).
 */
#include "broker/groups_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

/* The group as one of the consumer protocol. */
static enum error_code enter(struct groups *gs, struct group_slot *slot, struct slice id, bool make,
                             struct group **g) HOLDS(slot->lock);
static enum error_code enter(struct groups *gs, struct group_slot *slot, struct slice id, bool make,
                             struct group **g)
{
    *g = NULL;
    enum error_code err = group_slot_check(gs, slot);
    if (err == ERR_NONE)
        err = group_slot_find(gs, slot, id, make, g);
    if (err != ERR_NONE)
        return err;
    if (*g == NULL)
        return ERR_GROUP_ID_NOT_FOUND;
    if ((*g)->consumer != NULL)
        return ERR_NONE;
    if (!make || !group_is_empty(*g))
        return ERR_GROUP_ID_NOT_FOUND;
    group_turn_consumer(gs, id, *g);
    return ERR_NONE;
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

static void heartbeat(struct groups *gs, struct group_slot *slot, struct slice id, struct group *g,
                      struct consumer_heartbeat *in) HOLDS(slot->lock);
static void heartbeat(struct groups *gs, struct group_slot *slot, struct slice id, struct group *g,
                      struct consumer_heartbeat *in)
{
    struct group_outcome *o = group_outcome_new();
    struct image *img = quorum_image(gs->node->quorum);
    struct consumer_event event = {.img = img, .now_ms = clock_monotonic_ms()};
    int32_t before = g->consumer->epoch;
    group_configure(gs, id, g, img);
    group_consumer_heartbeat(g->consumer, in, &event, &o->fx);
    log_epoch(g, id, before);
    group_outcome_apply(gs, slot, id, g, o);
    if (g->consumer->epoch == 0 && group_is_idle(g))
        group_free(map_remove(&slot->groups, id)); /* it was refused: there is no such group */
    else
        group_slot_due(gs, slot, g);
    image_unref(img);
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
        struct group_wait *wait = arena_need(&req->arena, sizeof(*wait));
        *wait = (struct group_wait){.req = req, .done = done};
        in->token = wait;
        request_hold(req);
        heartbeat(gs, slot, id, g, in);
    }
    mutex_unlock(&slot->lock);
    if (err != ERR_NONE)
        refuse(req, err, done);
}
