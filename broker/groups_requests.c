/*
 * What handlers ask of the groups: each locks the group's slot, checks that this node coordinates
 * it, and hands the event to the state machine.
 */
#include "broker/groups_internal.h"

#include <stdlib.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/wire.h"

#define COMMIT_MS 5000 /* Kafka's offsets.commit.timeout.ms */

/* --- JoinGroup, SyncGroup --- */

struct group_wait *group_wait_new(struct request *req, group_replied *done)
{
    struct group_wait *wait = arena_need(&req->arena, sizeof(*wait));
    *wait = (struct group_wait){.req = req, .done = done};
    return wait;
}

void group_wait_park(struct group_wait *wait)
{
    thread_assert(&NET);
    request_hold(wait->req);
}

/* Slot and group for an event; on error nothing is to be done but to tell it. */
static enum error_code enter(struct groups *gs, struct group_slot *slot, struct slice id, bool make,
                             struct group **g) HOLDS(slot->lock);
static enum error_code enter(struct groups *gs, struct group_slot *slot, struct slice id, bool make,
                             struct group **g)
{
    *g = NULL;
    if (id.size == 0)
        return ERR_INVALID_GROUP_ID;
    enum error_code err = group_slot_check(gs, slot);
    if (err == ERR_NONE)
        err = group_slot_find(gs, slot, id, make, g);
    if (err == ERR_NONE && *g == NULL)
        err = ERR_UNKNOWN_MEMBER_ID;
    return err;
}

/* For a JoinGroup: a group of the consumer protocol without members is anybody's. */
static enum error_code enter_join(struct groups *gs, struct group_slot *slot, struct slice id,
                                  bool make, struct group **g) HOLDS(slot->lock);
static enum error_code enter_join(struct groups *gs, struct group_slot *slot, struct slice id,
                                  bool make, struct group **g)
{
    enum error_code err = enter(gs, slot, id, make, g);
    if (err != ERR_NONE || (*g)->consumer == NULL || !group_is_empty(*g))
        return err;
    if (!make)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!group_is_idle(*g))
        return ERR_COORDINATOR_LOAD_IN_PROGRESS; /* the last one's leaving is being written */
    group_reset(*g);
    return ERR_NONE;
}

static void log_state(const struct group *g, struct slice id, enum group_state before,
                      int32_t generation)
{
    if (g->classic.state != before || g->classic.generation != generation)
        LOG_DEBUG("a group changed its state",
                  "group=" SLICE_FMT " state=%s before=%s generation=%d members=%d", SLICE_ARG(id),
                  group_state_name(g->classic.state), group_state_name(before),
                  g->classic.generation, g->classic.members_count);
}

void groups_join(struct request *req, struct slice id, struct group_join *in, group_replied *done)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = enter_join(gs, slot, id, in->member_id.size == 0, &g);
    if (err == ERR_NONE) {
        struct group_outcome *o = group_outcome_new();
        enum group_state before = g->classic.state;
        int32_t generation = g->classic.generation;
        struct group_wait *wait = group_wait_new(req, done);
        group_wait_park(wait);
        in->token = wait;
        if (g->consumer != NULL)
            groups_consumer_join(gs, id, g, in, &o->fx);
        else
            group_classic_join(&g->classic, in, clock_monotonic_ms(), &o->fx);
        log_state(g, id, before, generation);
        group_outcome_apply(gs, slot, id, g, o);
        group_slot_due(gs, slot, g);
    }
    mutex_unlock(&slot->lock);
    if (err != ERR_NONE) {
        struct group_reply reply = {.kind = GROUP_REPLY_JOIN,
                                    .err = err,
                                    .generation = -1,
                                    .leader = SLICE(""),
                                    .member_id = in->member_id};
        done(req, &reply);
    }
}

void groups_sync(struct request *req, struct slice id, struct group_sync *in, group_replied *done)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = enter(gs, slot, id, false, &g);
    if (err == ERR_NONE) {
        struct group_outcome *o = group_outcome_new();
        struct group_wait *wait = group_wait_new(req, done);
        group_wait_park(wait);
        in->token = wait;
        if (g->consumer != NULL)
            groups_consumer_sync(gs, g, in, &o->fx);
        else
            group_classic_sync(&g->classic, in, clock_monotonic_ms(), &o->fx);
        group_outcome_apply(gs, slot, id, g, o);
        group_slot_due(gs, slot, g);
    }
    mutex_unlock(&slot->lock);
    if (err != ERR_NONE) {
        struct group_reply reply = {.kind = GROUP_REPLY_SYNC, .err = err, .assignment = SLICE("")};
        done(req, &reply);
    }
}

/* --- Heartbeat, LeaveGroup --- */

enum error_code groups_heartbeat(struct node *node, struct slice id, struct slice member_id,
                                 struct slice instance_id, int32_t generation)
{
    struct groups *gs = node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = enter(gs, slot, id, false, &g);
    if (err == ERR_NONE && g->consumer != NULL)
        err = groups_consumer_beat(gs, g, member_id, instance_id, generation);
    else if (err == ERR_NONE)
        err = group_classic_heartbeat(&g->classic, member_id, instance_id, generation,
                                      clock_monotonic_ms());
    mutex_unlock(&slot->lock);
    /* As in Kafka: a member has nothing to do about it, and its session begins anew here. */
    return err == ERR_COORDINATOR_LOAD_IN_PROGRESS ? ERR_NONE : err;
}

static void leave_classic(struct group_classic *g, struct group_leaving *members, int count,
                          struct group_effects *fx)
{
    FOR_EACH (m, members, count)
        m->err = group_classic_leave(g, m->member_id, m->instance_id, fx);
    group_classic_left(g, clock_monotonic_ms(), fx);
}

enum error_code groups_leave(struct node *node, struct slice id, struct group_leaving *members,
                             int count)
{
    struct groups *gs = node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = enter(gs, slot, id, false, &g);
    if (err == ERR_NONE) {
        struct group_outcome *o = group_outcome_new();
        if (g->consumer != NULL)
            groups_consumer_leave(gs, id, g, members, count, &o->fx);
        else
            leave_classic(&g->classic, members, count, &o->fx);
        group_outcome_apply(gs, slot, id, g, o);
        group_slot_due(gs, slot, g);
    } else if (err == ERR_UNKNOWN_MEMBER_ID) {
        FOR_EACH (m, members, count)
            m->err = err;
        err = ERR_NONE; /* there is no such group: nobody of them is in it */
    }
    mutex_unlock(&slot->lock);
    return err;
}

/* --- Offsets --- */

enum error_code groups_check_fetch(struct node *node, struct slice id, struct slice member_id,
                                   int32_t epoch)
{
    struct group_slot *slot = groups_slot(node->groups, id);
    struct group *g;
    mutex_lock(&slot->lock);
    enum error_code err = group_slot_check(node->groups, slot);
    if (err == ERR_NONE && (epoch >= 0 || !slice_is_null(member_id))) {
        err = group_slot_find(node->groups, slot, id, false, &g);
        if (err == ERR_NONE && g != NULL && g->consumer != NULL)
            err = group_consumer_check_fetch(g->consumer, member_id, epoch);
    }
    mutex_unlock(&slot->lock);
    return err;
}

static enum error_code check_consumer_commit(const struct groups *gs, const struct group *g,
                                             const struct group_committer *who,
                                             const struct commit_offsets *c)
{
    struct image *img = quorum_image(gs->node->quorum);
    struct partition_set partitions = {0};
    FOR_EACH (row, c->offsets, c->offsets_count) {
        const struct image_topic *topic = img ? image_find_topic(img, row->topic) : NULL;
        partition_set_push(&partitions, topic ? topic->id : UUID_ZERO, row->partition, 0);
    }
    struct consumer_commit in = {.member_id = who->member_id,
                                 .epoch = who->generation,
                                 .modern = who->modern,
                                 .partitions = partitions.items,
                                 .partitions_count = partitions.count};
    enum error_code err = group_consumer_check_commit(g->consumer, &in);
    partition_set_deinit(&partitions);
    image_unref(img);
    return err;
}

static enum error_code check_commit(struct groups *gs, struct group_slot *slot,
                                    const struct commit_offsets *c,
                                    const struct group_committer *who) HOLDS(slot->lock);
static enum error_code check_commit(struct groups *gs, struct group_slot *slot,
                                    const struct commit_offsets *c,
                                    const struct group_committer *who)
{
    struct slice id = c->group;
    struct group *g;
    bool simple_group = false;
    enum error_code err = group_slot_check(gs, slot);
    if (err == ERR_NONE)
        err = group_slot_find(gs, slot, id, false, &g);
    if (err != ERR_NONE)
        return err;
    if (g != NULL && g->consumer != NULL)
        return check_consumer_commit(gs, g, who, c);
    if (g != NULL)
        return group_classic_check_commit(&g->classic, who->member_id, who->instance_id,
                                          who->generation, clock_monotonic_ms());
    if (who->generation < 0)
        return ERR_NONE;
    err = group_has_offsets(gs, id, &simple_group);
    if (err != ERR_NONE || simple_group)
        return err != ERR_NONE ? err : ERR_UNKNOWN_MEMBER_ID;
    return who->group_must_exist ? ERR_GROUP_ID_NOT_FOUND : ERR_ILLEGAL_GENERATION;
}

struct commit_wait {
    struct slice id; /* in the request's frame */
    request_submitted *done;
};

static void committing_add(struct group_slot *slot, struct slice id, intptr_t more)
    HOLDS(slot->lock);
static void committing_add(struct group_slot *slot, struct slice id, intptr_t more)
{
    intptr_t count = (intptr_t)map_find(&slot->committing, id) + more;
    if (count > 0)
        map_put(&slot->committing, id, (void *)count);
    else
        map_remove(&slot->committing, id);
}

static void commit_done(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct commit_wait *wait = arg;
    struct group_slot *slot = groups_slot(req->node->groups, wait->id);
    mutex_lock(&slot->lock);
    committing_add(slot, wait->id, -1);
    mutex_unlock(&slot->lock);
    wait->done(req, NULL, err, value);
}

static void commit_submit(struct request *req, struct group_slot *slot, struct slice id,
                          const struct buffer *command, request_submitted *done) HOLDS(slot->lock);
static void commit_submit(struct request *req, struct group_slot *slot, struct slice id,
                          const struct buffer *command, request_submitted *done)
{
    thread_assert(&NET);
    struct commit_wait *wait = arena_need(&req->arena, sizeof(*wait));
    *wait = (struct commit_wait){id, done};
    committing_add(slot, id, 1);
    request_submit(req, buffer_slice(command), COMMIT_MS, commit_done, wait);
}

void groups_commit(struct request *req, const struct group_committer *who, struct commit_offsets *c,
                   request_submitted *done)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, c->group);
    mutex_lock(&slot->lock);
    enum error_code err = check_commit(gs, slot, c, who);
    bool submit = err == ERR_NONE && c->offsets_count > 0;
    if (submit) {
        struct buffer command = {0};
        c->slot = slot->number;
        c->slot_epoch = slot->epoch;
        command_encode_commit_offsets(&command, c);
        commit_submit(req, slot, c->group, &command, done);
        buffer_deinit(&command);
    }
    mutex_unlock(&slot->lock);
    if (!submit)
        done(req, NULL, err, SLICE_NULL);
}

/* As Kafka does: who is no member may commit in a transaction, and a member during a rebalance. */
static enum error_code check_txn_commit(struct groups *gs, struct group_slot *slot,
                                        const struct commit_offsets *c,
                                        const struct group_committer *who) HOLDS(slot->lock);
static enum error_code check_txn_commit(struct groups *gs, struct group_slot *slot,
                                        const struct commit_offsets *c,
                                        const struct group_committer *who)
{
    if (who->generation < 0 && who->member_id.size == 0 && slice_is_null(who->instance_id))
        return group_slot_check(gs, slot);
    enum error_code err = check_commit(gs, slot, c, who);
    if (err == ERR_STALE_MEMBER_EPOCH)
        return ERR_ILLEGAL_GENERATION; /* the word that producers know */
    return err == ERR_REBALANCE_IN_PROGRESS ? ERR_NONE : err;
}

void groups_commit_txn(struct request *req, const struct group_committer *who,
                       struct commit_txn_offsets *c, request_submitted *done)
{
    struct groups *gs = req->node->groups;
    struct group_slot *slot = groups_slot(gs, c->commit.group);
    mutex_lock(&slot->lock);
    enum error_code err = check_txn_commit(gs, slot, &c->commit, who);
    bool submit = err == ERR_NONE && c->commit.offsets_count > 0;
    if (submit) {
        struct buffer command = {0};
        c->commit.slot = slot->number;
        c->commit.slot_epoch = slot->epoch;
        command_encode_commit_txn_offsets(&command, c);
        commit_submit(req, slot, c->commit.group, &command, done);
        buffer_deinit(&command);
    }
    mutex_unlock(&slot->lock);
    if (!submit)
        done(req, NULL, err, SLICE_NULL);
}

/* --- Describe, list --- */

static void describe_members(const struct group_classic *g, struct arena *arena,
                             struct group_view *view)
{
    bool stable = g->state == GROUP_STABLE;
    size_t size = ((size_t)g->members_count + 1) * sizeof(*view->members);
    view->members = arena_need(arena, size);
    LIST_FOR_EACH (m, &g->members, struct group_member, link)
        view->members[view->members_count++] = (struct group_view_member){
            .id = arena_copy(arena, m->id),
            .instance_id = arena_copy(arena, m->instance_id),
            .client_id = arena_copy(arena, m->client_id),
            .client_host = arena_copy(arena, m->client_host),
            .metadata = stable ? arena_copy(arena, group_member_metadata(g, m)) : SLICE(""),
            .assignment = stable ? arena_copy(arena, m->assignment) : SLICE(""),
        };
}

static void view_fill_consumer(const struct group_consumer *g, struct group_view *view)
{
    view->exists = true;
    view->is_consumer = true;
    view->state = group_consumer_state_name(g);
    view->protocol_type = SLICE("consumer");
}

static void view_fill(const struct group *group, struct arena *arena, bool members,
                      struct group_view *view)
{
    const struct group_classic *g = &group->classic;
    if (group->consumer != NULL) {
        view_fill_consumer(group->consumer, view);
        return;
    }
    view->exists = true;
    view->state = group_state_name(g->state);
    if (!slice_is_null(g->protocol_type))
        view->protocol_type = arena_copy(arena, g->protocol_type);
    if (g->state == GROUP_STABLE)
        view->protocol_name = arena_copy(arena, g->protocol_name);
    if (members)
        describe_members(g, arena, view);
}

static struct group_view view_of(struct slice id)
{
    return (struct group_view){
        .id = id, .state = "Dead", .protocol_type = SLICE(""), .protocol_name = SLICE("")};
}

struct group_view groups_describe(struct node *node, struct slice id, struct arena *arena)
{
    struct groups *gs = node->groups;
    struct group_slot *slot = groups_slot(gs, id);
    struct group_view view = view_of(id);
    struct group *g = NULL;
    bool owned = false, offsets = false;
    mutex_lock(&slot->lock);
    view.err = group_slot_check(gs, slot);
    if (view.err == ERR_NONE)
        view.err = group_slot_peek(gs, slot, id, &g, &owned);
    if (view.err == ERR_NONE && g == NULL)
        view.err = group_has_offsets(gs, id, &offsets);
    if (g != NULL)
        view_fill(g, arena, true, &view);
    mutex_unlock(&slot->lock);
    if (offsets) {
        view.exists = true; /* consumers that only commit */
        view.state = group_state_name(GROUP_EMPTY);
    }
    if (owned)
        group_free(g);
    return view;
}

struct group_views {
    VEC(struct group_view) list;
};

static enum error_code list_stored(struct groups *gs, struct arena *arena,
                                   struct group_views *views)
{
    struct slice *ids;
    int count;
    if (quorum_list_groups(gs->node->quorum, arena, &ids, &count) < 0)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    FOR_EACH (id, ids, count) {
        struct group_slot *slot = groups_slot(gs, *id);
        struct group_view view = view_of(*id);
        struct group *g = NULL;
        bool owned = false;
        mutex_lock(&slot->lock);
        bool mine = slot->ours && group_slot_peek(gs, slot, *id, &g, &owned) == ERR_NONE;
        view.state = group_state_name(GROUP_EMPTY);
        if (g != NULL)
            view_fill(g, arena, false, &view);
        mutex_unlock(&slot->lock);
        if (owned)
            group_free(g);
        if (mine)
            vec_push(&views->list, view);
    }
    return ERR_NONE;
}

static void list_unwritten(struct groups *gs, struct arena *arena, size_t stored,
                           struct group_views *views)
{
    struct map known = {0};
    for (size_t i = 0; i < stored; i++)
        map_put(&known, views->list.items[i].id, gs);
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        MAP_FOR_EACH (entry, &slot->groups) {
            const struct group *g = entry->value;
            if (g->gone || map_find(&known, entry->key) != NULL)
                continue;
            struct group_view view = view_of(arena_copy(arena, entry->key));
            view_fill(g, arena, false, &view);
            vec_push(&views->list, view);
        }
        mutex_unlock(&slot->lock);
    }
    map_deinit(&known);
}

enum error_code groups_list(struct node *node, struct arena *arena, struct group_view **out,
                            int *count)
{
    struct groups *gs = node->groups;
    struct group_views views = {0};
    *out = NULL;
    *count = 0;
    if (!node_has_lease(node))
        return ERR_COORDINATOR_NOT_AVAILABLE;
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        enum error_code ours = group_slot_check(gs, slot); /* up to date; others are left out */
        mutex_unlock(&slot->lock);
        if (ours != ERR_NONE && ours != ERR_NOT_COORDINATOR)
            return ours;
    }
    enum error_code err = list_stored(gs, arena, &views);
    if (err == ERR_NONE) {
        list_unwritten(gs, arena, views.list.count, &views);
        *count = (int)views.list.count;
        *out = arena_need(arena, (views.list.count + 1) * sizeof(**out));
        if (views.list.count > 0)
            memcpy(*out, views.list.items, views.list.count * sizeof(**out));
    }
    vec_deinit(&views.list);
    return err;
}
