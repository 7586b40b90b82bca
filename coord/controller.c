/* Sessions of brokers, and the commands that follow from them. */
#include "coord/controller.h"

#include <stdlib.h>

#include "coord/balance.h"
#include "coord/image_internal.h"
#include "proto/base/check.h"
#include "proto/base/logging.h"

/* A command that changed nothing visible for so long is proposed again: it may have been lost. */
#define REPEAT_MS 1000
/* How often a broker that is not connected is asked whether it is still there. */
#define PROBE_MS 200
/* Elections in one command, so that one log entry stays small. */
#define REBALANCE_MAX 1000

struct session {
    int32_t node_id;
    struct uuid incarnation;    /* that it is about: the registered one, or one on its way to be */
    uint64_t connection;        /* of the last hello, 0: none yet */
    bool lost;                  /* that connection broke */
    int64_t heard_ms;           /* last hello, or when this controller became active */
    int64_t fenced_index;       /* the image in which we saw it fenced first; -1: it is not */
    enum command_kind proposed; /* last, and when; 0: nothing is under way */
    int64_t proposed_ms;
    int64_t probed_ms; /* last, by a tick */
};

struct controller {
    struct controller_options options;
    VEC(struct session) sessions;
    int64_t ticked_ms;
    int64_t rebalance_ms; /* next */
    int64_t balance_ms;   /* next */
    bool balancing;       /* a new broker was seen, and not all carry alike yet */
};

void controller_effects_deinit(struct controller_effects *fx)
{
    FOR_EACH (command, fx->commands.items, fx->commands.count)
        buffer_deinit(command);
    vec_deinit(&fx->commands);
    vec_deinit(&fx->probes);
}

struct controller *controller_new(const struct controller_options *options)
{
    struct controller *c = mem_zalloc(sizeof(*c));
    c->options = *options;
    return c;
}

void controller_free(struct controller *c)
{
    if (c == NULL)
        return;
    vec_deinit(&c->sessions);
    free(c);
}

static struct session *session_find(struct controller *c, int32_t node_id)
{
    FOR_EACH (s, c->sessions.items, c->sessions.count) {
        if (s->node_id == node_id)
            return s;
    }
    return NULL;
}

static bool connected(const struct session *s)
{
    return s->connection != 0 && !s->lost;
}

/* A new one is about the incarnation that the image has. */
static struct session *session_get(struct controller *c, const struct image *img, int32_t node_id,
                                   int64_t now_ms)
{
    struct session *s = session_find(c, node_id);
    if (s != NULL)
        return s;
    const struct image_broker *b = image_find_broker(img, node_id);
    struct session fresh = {.node_id = node_id,
                            .incarnation = b != NULL ? b->incarnation : UUID_ZERO,
                            .heard_ms = now_ms,
                            .fenced_index = -1,
                            .probed_ms = now_ms - PROBE_MS};
    vec_push(&c->sessions, fresh);
    return &c->sessions.items[c->sessions.count - 1];
}

int64_t controller_lease_ms(int64_t session_timeout_ms, int64_t election_timeout_ms,
                            int64_t still_ms)
{
    return MAX(session_timeout_ms / 2, session_timeout_ms - 2 * election_timeout_ms - 3 * still_ms);
}

void controller_activate(struct controller *c, const struct image *img, int64_t now_ms)
{
    vec_clear(&c->sessions);
    FOR_EACH (b, img->brokers, img->brokers_count)
        session_get(c, img, (*b)->node_id, now_ms)->heard_ms -= c->options.election_timeout_ms;
    c->ticked_ms = now_ms;
    c->rebalance_ms = now_ms + c->options.rebalance_interval_ms;
}

static struct buffer *command_add(struct controller_effects *fx)
{
    vec_push(&fx->commands, (struct buffer){0});
    return &fx->commands.items[fx->commands.count - 1];
}

/* Whether to propose this now; notes that it was. */
static bool propose(struct session *s, enum command_kind kind, int64_t now_ms)
{
    if (s->proposed == kind && now_ms - s->proposed_ms < REPEAT_MS)
        return false;
    s->proposed = kind;
    s->proposed_ms = now_ms;
    return true;
}

static void propose_fence(struct session *s, const struct image_broker *b, int64_t now_ms,
                          struct controller_effects *fx)
{
    if (!propose(s, COMMAND_FENCE_BROKER, now_ms))
        return;
    struct broker_change change = {.node_id = b->node_id, .broker_epoch = b->epoch};
    command_encode_fence_broker(command_add(fx), &change);
}

static bool same_endpoints(const struct image_broker *b, const struct register_broker *r)
{
    if (b->endpoints_count != r->endpoints_count)
        return false;
    for (int i = 0; i < b->endpoints_count; i++) {
        if (!slice_equal(b->endpoints[i].host, r->endpoints[i].host) ||
            b->endpoints[i].port != r->endpoints[i].port)
            return false;
    }
    return true;
}

/* Whether the process of the current registration is gone, now that another one says hello under
 * its id. One that was heard lately is alive, unless its connection broke and the new one has its
 * addresses: two processes cannot listen there. One that this controller never heard: likewise. */
static bool incumbent_dead(const struct controller *c, const struct session *s,
                           const struct image_broker *b, const struct register_broker *r,
                           int64_t now_ms)
{
    if (now_ms - s->heard_ms >= c->options.session_timeout_ms)
        return true;
    if (!uuid_equal(s->incarnation, b->incarnation))
        return true; /* judged before: its successor is on its way */
    return !connected(s) && (b->fenced || same_endpoints(b, r));
}

static void hello_of_new(struct controller *c, const struct image *img, struct session *s,
                         const struct controller_hello *hello, int64_t now_ms,
                         struct controller_answer *answer, struct controller_effects *fx)
{
    const struct image_broker *b = image_find_broker(img, hello->broker.node_id);
    if (b == NULL && drain_is_wanted(img, hello->broker.node_id)) {
        answer->error_code = ERR_BROKER_ID_NOT_REGISTERED;
        return;
    }
    if (b != NULL && !incumbent_dead(c, s, b, &hello->broker, now_ms)) {
        answer->error_code = ERR_DUPLICATE_BROKER_REGISTRATION;
        return;
    }
    if (!uuid_equal(s->incarnation, hello->broker.incarnation)) {
        s->incarnation = hello->broker.incarnation;
        s->proposed = 0;
    }
    s->connection = hello->connection;
    s->lost = false;
    s->heard_ms = now_ms;
    s->fenced_index = -1;
    if (!propose(s, COMMAND_REGISTER_BROKER, now_ms))
        return;
    if (b != NULL && !b->fenced) {
        struct broker_change change = {.node_id = b->node_id, .broker_epoch = b->epoch};
        command_encode_fence_broker(command_add(fx), &change);
    }
    command_encode_register_broker(command_add(fx), &hello->broker);
}

static void hello_of_registered(const struct image *img, const struct image_broker *b,
                                struct session *s, const struct controller_hello *hello,
                                int64_t now_ms, struct controller_answer *answer,
                                struct controller_effects *fx)
{
    s->incarnation = b->incarnation;
    s->connection = hello->connection;
    s->lost = false;
    s->heard_ms = now_ms;
    /* What was proposed has happened: the same may be needed again. */
    if (s->proposed == (b->fenced ? COMMAND_FENCE_BROKER : COMMAND_UNFENCE_BROKER))
        s->proposed = 0;
    if (!b->fenced)
        s->fenced_index = -1;
    else if (s->fenced_index < 0)
        s->fenced_index = img->index;
    answer->broker_epoch = b->epoch;
    answer->fenced = b->fenced;
    answer->should_shutdown = hello->want_shutdown && (b->shutting_down || b->fenced);

    struct broker_change change = {.node_id = b->node_id, .broker_epoch = b->epoch};
    bool caught_up = hello->applied_index >= MAX(b->epoch, s->fenced_index);
    if (hello->want_shutdown) {
        if (!b->shutting_down && propose(s, COMMAND_SHUTDOWN_BROKER, now_ms))
            command_encode_shutdown_broker(command_add(fx), &change);
    } else if (b->fenced && !b->shutting_down && caught_up) {
        if (propose(s, COMMAND_UNFENCE_BROKER, now_ms))
            command_encode_unfence_broker(command_add(fx), &change);
    }
}

void controller_hello(struct controller *c, const struct image *img, int64_t now_ms,
                      const struct controller_hello *hello, struct controller_answer *answer,
                      struct controller_effects *fx)
{
    *answer =
        (struct controller_answer){.error_code = ERR_NONE, .broker_epoch = -1, .fenced = true};
    CHECK(hello->connection != 0);
    if (!slice_is_null(hello->cluster_id) && !slice_is_null(img->cluster_id) &&
        !slice_equal(hello->cluster_id, img->cluster_id)) {
        answer->error_code = ERR_INCONSISTENT_CLUSTER_ID;
        return;
    }
    int32_t node_id = hello->broker.node_id;
    const struct image_broker *b = image_find_broker(img, node_id);
    struct session *s = session_get(c, img, node_id, now_ms);
    if (b != NULL && uuid_equal(b->incarnation, hello->broker.incarnation))
        hello_of_registered(img, b, s, hello, now_ms, answer, fx);
    else
        hello_of_new(c, img, s, hello, now_ms, answer, fx);
}

void controller_connection_lost(struct controller *c, uint64_t connection,
                                struct controller_effects *fx)
{
    FOR_EACH (s, c->sessions.items, c->sessions.count) {
        if (s->connection != connection || s->lost)
            continue;
        s->lost = true;
        vec_push(&fx->probes, s->node_id);
    }
}

void controller_connect_refused(struct controller *c, const struct image *img, int64_t now_ms,
                                int32_t node_id, struct controller_effects *fx)
{
    struct session *s = session_find(c, node_id);
    const struct image_broker *b = image_find_broker(img, node_id);
    /* It may have said hello on another connection meanwhile, or be another process by now. */
    if (s == NULL || b == NULL || connected(s) || !uuid_equal(s->incarnation, b->incarnation))
        return;
    /* No hello can make it look alive again; the tick repeats what gets lost. */
    s->heard_ms = now_ms - c->options.session_timeout_ms;
    if (!b->fenced)
        propose_fence(s, b, now_ms, fx);
}

/* A tick that comes late says that we stood still, not that the brokers did: their hellos may wait
 * in our sockets. */
static void forgive_pause(struct controller *c, int64_t now_ms)
{
    int64_t gap = now_ms - c->ticked_ms;
    c->ticked_ms = now_ms;
    if (gap <= c->options.session_timeout_ms / 3)
        return;
    FOR_EACH (s, c->sessions.items, c->sessions.count)
        s->heard_ms = MIN(s->heard_ms + gap, now_ms);
}

static void drop_forgotten(struct controller *c, const struct image *img, int64_t now_ms)
{
    for (size_t i = c->sessions.count; i-- > 0;) {
        struct session *s = &c->sessions.items[i];
        if (image_find_broker(img, s->node_id) == NULL &&
            now_ms - s->heard_ms > c->options.session_timeout_ms * 10)
            vec_remove(&c->sessions, i);
    }
}

/* One answer to a probe is not enough: a dying process may still have accepted it. And a controller
 * that begins has no connection yet whose loss would tell it that its predecessor's node is dead,
 * so it asks all. */
static void probe(struct session *s, int64_t now_ms, struct controller_effects *fx)
{
    if (connected(s) || now_ms - s->probed_ms < PROBE_MS)
        return;
    s->probed_ms = now_ms;
    vec_push(&fx->probes, s->node_id);
}

static bool can_return(const struct image *img, const struct image_partition *p)
{
    int32_t preferred = p->replicas[0];
    return p->leader != preferred && image_broker_active(img, preferred) &&
           ids_contain(p->isr, p->isr_count, preferred);
}

static void rebalance(const struct image *img, struct controller_effects *fx)
{
    VEC(struct command_partition) list = {0};
    FOR_EACH (topic, img->topics, img->topics_count) {
        for (int32_t i = 0; i < (*topic)->partitions_count; i++) {
            if (list.count < REBALANCE_MAX && can_return(img, &(*topic)->partitions[i]))
                vec_push(&list, ((struct command_partition){(*topic)->name, i}));
        }
    }
    if (list.count > 0) {
        struct elect_leaders elect = {.partitions = list.items,
                                      .partitions_count = (int32_t)list.count};
        command_encode_elect_leaders(command_add(fx), &elect);
    }
    vec_deinit(&list);
}

/* A new broker is filled until all carry alike; what people placed by hand is left alone
 * otherwise. */
static void moves_propose(struct balance_moves *moves, const char *why,
                          struct controller_effects *fx)
{
    FOR_EACH (m, moves->list.items, moves->list.count) {
        struct alter_reassignment alter = {.topic = m->topic,
                                           .partition = m->partition,
                                           .replicas = m->replicas,
                                           .replicas_count = m->replicas_count};
        command_encode_alter_reassignment(command_add(fx), &alter);
        LOG_INFO("moving a partition", "topic=" SLICE_FMT " partition=%d from=%d to=%d reason=%s",
                 SLICE_ARG(m->topic), m->partition, m->from, m->to, why);
    }
    vec_deinit(&moves->list);
}

static void drain(const struct controller *c, const struct image *img,
                  struct controller_effects *fx)
{
    struct balance_moves moves = {0};
    drain_next(img, c->options.balance_moves_max, &moves);
    moves_propose(&moves, "drain", fx);
}

static void balance(struct controller *c, const struct image *img, struct controller_effects *fx)
{
    if (!c->balancing && balance_has_new_broker(img)) {
        LOG_INFO("a new broker has no replicas, moving some to it", "moves_max=%d",
                 c->options.balance_moves_max);
        c->balancing = true;
    }
    if (!c->balancing)
        return;
    struct balance_moves moves = {0};
    bool settled = balance_next(img, c->options.balance_moves_max, &moves);
    moves_propose(&moves, "balance", fx);
    if (settled) {
        LOG_INFO("replicas and leaderships are balanced", "brokers=%d", img->brokers_count);
        c->balancing = false;
        c->rebalance_ms = 0; /* preferred leaders take over now */
    }
}

void controller_tick(struct controller *c, const struct image *img, int64_t now_ms,
                     struct controller_effects *fx)
{
    forgive_pause(c, now_ms);
    FOR_EACH (b, img->brokers, img->brokers_count) {
        struct session *s = session_get(c, img, (*b)->node_id, now_ms);
        if ((*b)->fenced)
            continue;
        probe(s, now_ms, fx);
        if (now_ms - s->heard_ms >= c->options.session_timeout_ms)
            propose_fence(s, *b, now_ms, fx);
    }
    drop_forgotten(c, img, now_ms);
    if (now_ms >= c->balance_ms) {
        c->balance_ms = now_ms + c->options.balance_interval_ms;
        drain(c, img, fx);
        if (c->options.balance_enabled)
            balance(c, img, fx);
    }
    if (c->options.rebalance_enabled && now_ms >= c->rebalance_ms) {
        c->rebalance_ms = now_ms + c->options.rebalance_interval_ms;
        rebalance(img, fx);
    }
}
