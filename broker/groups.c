/*
 * Slots, loading, timers, writes: how groups live on a node.
 *
 * The timer runs on network thread 0 and looks only at slots where something is due. After a pause
 * of the process, or while the lease was lost, members could not be heard: none is put out for that
 * time.
 */
#include "broker/groups_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/takeover.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define IDLE_MS        60000 /* a group without members is forgotten here; the database has it */
#define PAUSE_MS       1000  /* a timer so late: the process stood still */
#define LEASE_RETRY_MS 200
#define TICK_MIN_MS    5
#define TICK_MAX_MS    3600000
#define WRITE_MS       10000 /* for a write of a group's state */

struct group_write {
    struct inbox_message message;
    struct groups *groups;
    int32_t slot;
    int32_t slot_epoch;
    uint64_t number;
    struct buffer id;
    enum error_code err;
};

static void arm(struct groups *gs, int64_t due_ms);

/* --- Groups and slots --- */

struct group_slot *groups_slot(struct groups *gs, struct slice id)
{
    return &gs->slots[image_slot_of(id)];
}

/* Forget the groups; who waits hears it. */
static void slot_clear(struct groups *gs, struct group_slot *slot) HOLDS(slot->lock);
static void slot_clear(struct groups *gs, struct group_slot *slot)
{
    MAP_FOR_EACH (entry, &slot->groups) {
        struct group *g = entry->value;
        struct group_outcome *o = group_outcome_new();
        group_abandon(g, ERR_NOT_COORDINATOR, &o->fx);
        group_outcome_apply(gs, slot, entry->key, g, o);
        group_free(g);
    }
    map_deinit(&slot->groups);
    slot->groups = (struct map){0};
    slot->due_ms = GROUP_NEVER;
    slot->loaded = false;
}

static void slot_follow(struct groups *gs, struct group_slot *slot, const struct image *img)
    HOLDS(slot->lock);
static void slot_follow(struct groups *gs, struct group_slot *slot, const struct image *img)
{
    const struct image_slot *now = &img->slots[slot->number];
    if (now->epoch <= slot->epoch)
        return;
    slot_clear(gs, slot);
    slot->epoch = now->epoch;
    slot->ours = now->node_id == gs->node->id && !atomic_load(&gs->stopped);
    slot->moved_index = img->index;
    slot->settled = false;
}

enum error_code group_slot_check(struct groups *gs, struct group_slot *slot)
{
    struct image *img = quorum_image(gs->node->quorum);
    if (img == NULL)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    slot_follow(gs, slot, img);
    image_unref(img);
    if (!slot->ours || !node_has_lease(gs->node) || atomic_load(&gs->node->resigned))
        return ERR_NOT_COORDINATOR;
    return slot->settled ? ERR_NONE : ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

/* *g NULL: the database has none. */
static enum error_code load(struct groups *gs, struct slice id, struct group **g)
{
    struct arena arena;
    struct slice blob;
    *g = NULL;
    arena_init(&arena, 0);
    int rc = quorum_read_group(gs->node->quorum, id, &arena, &blob);
    if (rc == 0 && !slice_is_null(blob)) {
        *g = group_new(gs);
        if (!group_decode(gs, id, blob, *g))
            LOG_WARN("a group's state cannot be read, it begins anew", "group=" SLICE_FMT,
                     SLICE_ARG(id));
    }
    arena_deinit(&arena);
    return rc == -EIO ? ERR_COORDINATOR_NOT_AVAILABLE : ERR_NONE;
}

enum error_code group_slot_find(struct groups *gs, struct group_slot *slot, struct slice id,
                                bool make, struct group **g)
{
    *g = map_find(&slot->groups, id);
    if (*g != NULL) {
        (*g)->gone = (*g)->gone && !make;
        *g = (*g)->gone ? NULL : *g;
        return ERR_NONE;
    }
    enum error_code err = load(gs, id, g);
    if (err != ERR_NONE)
        return err;
    if (*g == NULL && make)
        *g = group_new(gs);
    if (*g != NULL) {
        map_put(&slot->groups, id, *g);
        group_slot_due(gs, slot, *g);
    }
    return ERR_NONE;
}

enum error_code group_slot_peek(struct groups *gs, struct group_slot *slot, struct slice id,
                                struct group **g, bool *owned)
{
    *g = map_find(&slot->groups, id);
    *owned = *g == NULL;
    if (*g != NULL && (*g)->gone)
        *g = NULL;
    return *owned ? load(gs, id, g) : ERR_NONE;
}

enum error_code group_has_offsets(struct groups *gs, struct slice id, bool *has)
{
    struct arena arena;
    struct committed_offset *offsets;
    int count;
    arena_init(&arena, 0);
    int rc = quorum_read_offsets(gs->node->quorum, id, &arena, &offsets, &count);
    *has = rc == 0 && count > 0;
    arena_deinit(&arena);
    return rc == 0 ? ERR_NONE : ERR_COORDINATOR_NOT_AVAILABLE;
}

void group_slot_due(struct groups *gs, struct group_slot *slot, struct group *g)
{
    g->due_ms = group_is_idle(g) ? clock_monotonic_ms() + IDLE_MS : group_deadline(g);
    slot->due_ms = MIN(slot->due_ms, g->due_ms);
    arm(gs, g->due_ms);
}

/* --- What an event leads to --- */

struct group_outcome *group_outcome_new(void)
{
    struct group_outcome *o = mem_zalloc(sizeof(*o));
    group_effects_init(&o->fx);
    atomic_init(&o->refs, 1);
    return o;
}

static void outcome_unref(struct group_outcome *o)
{
    if (atomic_fetch_sub(&o->refs, 1) > 1)
        return;
    group_effects_deinit(&o->fx);
    free(o);
}

static void reply_run(struct request *req, void *arg)
{
    struct group_wait *wait = arg;
    struct group_outcome *o = wait->outcome;
    wait->done(req, &o->fx.replies.items[wait->index]);
    outcome_unref(o);
}

/* QUORUM thread, or any when the quorum is stopping. */
static void write_done(void *arg, enum error_code err, struct slice value)
{
    struct group_write *w = arg;
    (void)value;
    w->err = err;
    net_post(w->groups->thread, &w->message);
}

/* What a client may be told of a write that failed. */
static enum error_code write_error(enum error_code err)
{
    return err == ERR_NONE || err == ERR_NOT_COORDINATOR ? err : ERR_COORDINATOR_NOT_AVAILABLE;
}

/* A group of the consumer protocol has decided more since then, on what is not durable: it is read
 * again, and who waits asks again. */
static void consumer_persisted(struct groups *gs, struct group_slot *slot, struct slice id,
                               struct group *g, const struct group_write *w) HOLDS(slot->lock);
static void consumer_persisted(struct groups *gs, struct group_slot *slot, struct slice id,
                               struct group *g, const struct group_write *w)
{
    struct group_outcome *o = group_outcome_new();
    if (w->err == ERR_NONE)
        group_consumer_persisted(g->consumer, w->number, &o->fx);
    else
        group_consumer_abandon(g->consumer, write_error(w->err), &o->fx);
    group_outcome_apply(gs, slot, id, g, o);
    if (w->err == ERR_NONE)
        group_slot_due(gs, slot, g);
    else
        group_free(map_remove(&slot->groups, id));
}

static void classic_persisted(struct groups *gs, struct group_slot *slot, struct slice id,
                              struct group *g, const struct group_write *w) HOLDS(slot->lock);
static void classic_persisted(struct groups *gs, struct group_slot *slot, struct slice id,
                              struct group *g, const struct group_write *w)
{
    struct group_outcome *o = group_outcome_new();
    group_classic_persisted(&g->classic, w->number, write_error(w->err), clock_monotonic_ms(),
                            &o->fx);
    group_outcome_apply(gs, slot, id, g, o);
    group_slot_due(gs, slot, g);
}

static void write_arrived(struct inbox_message *message)
{
    struct group_write *w = CONTAINER_OF(message, struct group_write, message);
    struct groups *gs = w->groups;
    struct group_slot *slot = &gs->slots[w->slot];
    struct slice id = buffer_slice(&w->id);
    if (w->err != ERR_NONE)
        LOG_WARN("could not write a group's state", "group=" SLICE_FMT " error=%s", SLICE_ARG(id),
                 error_name(w->err));
    mutex_lock(&slot->lock);
    struct group *g = slot->epoch == w->slot_epoch ? map_find(&slot->groups, id) : NULL;
    if (g != NULL && g->consumer != NULL)
        consumer_persisted(gs, slot, id, g, w);
    else if (g != NULL)
        classic_persisted(gs, slot, id, g, w);
    mutex_unlock(&slot->lock);
    buffer_deinit(&w->id);
    free(w);
}

static void submit_group(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g, uint64_t number) HOLDS(slot->lock);
static void submit_group(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g, uint64_t number)
{
    struct group_write *w = mem_zalloc(sizeof(*w));
    *w = (struct group_write){.message.run = write_arrived,
                              .groups = gs,
                              .slot = slot->number,
                              .slot_epoch = slot->epoch,
                              .number = number};
    buffer_append_slice(&w->id, id);
    struct buffer blob = {0}, command = {0};
    g->since_ms = clock_wall_ms();
    group_encode(g, &blob);
    struct put_group c = {
        .slot = slot->number, .slot_epoch = slot->epoch, .group = id, .value = buffer_slice(&blob)};
    command_encode_put_group(&command, &c);
    quorum_submit(gs->node->quorum, buffer_slice(&command), WRITE_MS, write_done, w);
    buffer_deinit(&command);
    buffer_deinit(&blob);
}

void group_outcome_apply(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g, struct group_outcome *o)
{
    if (o->fx.persist_number != 0)
        submit_group(gs, slot, id, g, o->fx.persist_number);
    atomic_fetch_add(&o->refs, (int)o->fx.replies.count);
    for (size_t i = 0; i < o->fx.replies.count; i++) {
        struct group_wait *wait = o->fx.replies.items[i].token;
        wait->outcome = o;
        wait->index = i;
        request_resume(wait->req, reply_run, wait);
    }
    outcome_unref(o);
}

/* --- Time --- */

static void timer_set(struct groups *gs, int64_t due_ms)
{
    int64_t wait_ms = MIN(MAX(due_ms - clock_monotonic_ms(), TICK_MIN_MS), TICK_MAX_MS);
    struct timeval after = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    atomic_store(&gs->armed_ms, clock_monotonic_ms() + wait_ms);
    event_add(gs->timer, &after);
}

/* Looks at the slots, because armed_ms may have been changed by two at once. */
static void rearm(void *arg)
{
    struct groups *gs = arg;
    int64_t due_ms = gs->expiry_due_ms;
    if (gs->timer == NULL || atomic_load(&gs->stopped))
        return;
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        due_ms = MIN(due_ms, slot->due_ms);
        mutex_unlock(&slot->lock);
    }
    timer_set(gs, due_ms);
}

/* See to it that the timer fires no later than due_ms; any thread. */
static void arm(struct groups *gs, int64_t due_ms)
{
    int64_t armed_ms = atomic_load(&gs->armed_ms);
    while (due_ms < armed_ms) {
        if (!atomic_compare_exchange_weak(&gs->armed_ms, &armed_ms, due_ms))
            continue;
        net_call(gs->thread, rearm, gs);
        return;
    }
}

static void slot_revive(struct group_slot *slot, int64_t now_ms) HOLDS(slot->lock);
static void slot_revive(struct group_slot *slot, int64_t now_ms)
{
    MAP_FOR_EACH (entry, &slot->groups) {
        struct group *g = entry->value;
        group_revive(g, now_ms);
        g->due_ms = MIN(g->due_ms, now_ms); /* looked at anew */
        slot->due_ms = MIN(slot->due_ms, now_ms);
    }
}

static void tick(struct groups *gs, struct group_slot *slot, struct slice id, struct group *g,
                 int64_t now_ms) HOLDS(slot->lock);
static void tick(struct groups *gs, struct group_slot *slot, struct slice id, struct group *g,
                 int64_t now_ms)
{
    struct group_outcome *o = group_outcome_new();
    group_tick(gs, id, g, now_ms, &o->fx);
    group_outcome_apply(gs, slot, id, g, o);
    g->due_ms = group_is_idle(g) ? now_ms + IDLE_MS : group_deadline(g);
}

static void slot_tick(struct groups *gs, struct group_slot *slot, int64_t now_ms) HOLDS(slot->lock);
static void slot_tick(struct groups *gs, struct group_slot *slot, int64_t now_ms)
{
    VEC(struct slice) idle = {0};
    slot->due_ms = GROUP_NEVER;
    MAP_FOR_EACH (entry, &slot->groups) {
        struct group *g = entry->value;
        if (g->due_ms <= now_ms && group_is_idle(g))
            vec_push(&idle, entry->key);
        else if (g->due_ms <= now_ms)
            tick(gs, slot, entry->key, g, now_ms);
        slot->due_ms = MIN(slot->due_ms, g->due_ms);
    }
    FOR_EACH (id, idle.items, idle.count)
        group_free(map_remove(&slot->groups, *id));
    vec_deinit(&idle);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct groups *gs = arg;
    int64_t now_ms = clock_monotonic_ms();
    bool late = now_ms - atomic_load(&gs->armed_ms) > PAUSE_MS;
    atomic_store(&gs->armed_ms, GROUP_NEVER);
    if (atomic_load(&gs->stopped))
        return;
    if (!node_has_lease(gs->node)) {
        gs->lapsed = true;
        timer_set(gs, now_ms + LEASE_RETRY_MS);
        return;
    }
    bool revive = gs->lapsed || late;
    gs->lapsed = false;
    int64_t due_ms = groups_expire(gs, now_ms);
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        if (revive)
            slot_revive(slot, now_ms);
        if (slot->due_ms <= now_ms)
            slot_tick(gs, slot, now_ms);
        due_ms = MIN(due_ms, slot->due_ms);
        mutex_unlock(&slot->lock);
    }
    timer_set(gs, due_ms);
}

/* --- Slots come and go --- */

/* Read what has members, so that their sessions run. */
static void load_slots(struct groups *gs, const bool *fresh)
{
    struct arena arena;
    struct slice *ids;
    int count;
    arena_init(&arena, 0);
    if (quorum_list_groups(gs->node->quorum, &arena, &ids, &count) < 0)
        LOG_WARN("could not read the groups of a slot, sessions begin when members speak",
                 "node_id=%d", gs->node->id);
    FOR_EACH (id, ids, count) {
        struct group_slot *slot = groups_slot(gs, *id);
        if (!fresh[slot->number])
            continue;
        struct group *g;
        mutex_lock(&slot->lock);
        if (slot->ours)
            (void)!group_slot_find(gs, slot, *id, false, &g);
        mutex_unlock(&slot->lock);
    }
    arena_deinit(&arena);
}

/* What all others have heard of is ours to speak for. */
static void settle(struct groups *gs, const struct image *img)
{
    thread_assert(&NET);
    int64_t heard = MIN(takeover_heard(gs->takeover, img), img->index);
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        slot->settled = slot->settled || (slot->ours && slot->moved_index <= heard);
        mutex_unlock(&slot->lock);
    }
}

static void others_heard(void *arg)
{
    struct groups *gs = arg;
    struct image *img = atomic_load(&gs->stopped) ? NULL : quorum_image(gs->node->quorum);
    if (img != NULL)
        settle(gs, img);
    image_unref(img);
}

static void follow(void *arg)
{
    thread_assert(&NET);
    struct groups *gs = arg;
    if (atomic_load(&gs->stopped))
        return; /* the quorum may be gone, too */
    atomic_store(&gs->follow_asked, false);
    struct image *img = quorum_image(gs->node->quorum);
    if (img == NULL)
        return;
    bool fresh[COORDINATOR_SLOTS] = {false};
    int count = 0;
    int64_t moved_index = -1;
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        slot_follow(gs, slot, img);
        fresh[slot->number] = slot->ours && !slot->loaded;
        slot->loaded = slot->ours;
        count += fresh[slot->number];
        if (slot->ours && !slot->settled)
            moved_index = MAX(moved_index, slot->moved_index);
        mutex_unlock(&slot->lock);
    }
    if (moved_index >= 0) {
        takeover_ask(gs->takeover, moved_index);
        settle(gs, img);
    }
    image_unref(img);
    if (count == 0)
        return;
    LOG_INFO("coordinating more groups", "slots=%d", count);
    load_slots(gs, fresh);
}

void groups_published(struct groups *gs)
{
    if (!atomic_exchange(&gs->follow_asked, true))
        net_call(gs->thread, follow, gs);
}

/* --- Start and stop --- */

static void timer_new(void *arg)
{
    thread_assert(&NET);
    struct groups *gs = arg;
    gs->timer = evtimer_new(gs->thread->base, on_timer, gs);
    CHECK(gs->timer != NULL);
    gs->takeover = takeover_new(gs->node, gs->thread, others_heard, gs);
    gs->expiry_due_ms =
        clock_monotonic_ms() + config_number(&gs->node->config, CONFIG_OFFSETS_CHECK_MS);
    timer_set(gs, gs->expiry_due_ms);
}

static void timer_free(void *arg)
{
    thread_assert(&NET);
    struct groups *gs = arg;
    takeover_stop(gs->takeover);
    event_free(gs->timer);
    gs->timer = NULL;
    groups_expire_stop(gs);
}

int groups_start(struct node *node)
{
    struct groups *gs = mem_zalloc(sizeof(*gs));
    gs->node = node;
    gs->thread = &node->net.threads[0];
    atomic_init(&gs->armed_ms, GROUP_NEVER);
    for (int i = 0; i < COORDINATOR_SLOTS; i++) {
        mutex_init(&gs->slots[i].lock);
        gs->slots[i].number = i;
        gs->slots[i].epoch = -1;
        gs->slots[i].due_ms = GROUP_NEVER;
    }
    net_call_wait(gs->thread, timer_new, gs);
    node->groups = gs;
    return 0;
}

void groups_stop(struct node *node)
{
    struct groups *gs = node->groups;
    if (gs == NULL)
        return;
    atomic_store(&gs->stopped, true);
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        mutex_lock(&slot->lock);
        slot_clear(gs, slot);
        slot->ours = false;
        mutex_unlock(&slot->lock);
    }
    net_call_wait(gs->thread, timer_free, gs);
}

void groups_free(struct groups *gs)
{
    if (gs == NULL)
        return;
    FOR_EACH (slot, gs->slots, COORDINATOR_SLOTS) {
        map_deinit(&slot->committing);
        mutex_deinit(&slot->lock);
    }
    takeover_free(gs->takeover);
    free(gs);
}
