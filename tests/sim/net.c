/* The network. A link has a direction. Between a node and the quorum, and inside a node, nothing
 * is lost for good (Raft sends again): it comes later, in order. */
#include <stdlib.h>

#include "tests/sim/sim.h"

struct message *message_new(enum message_kind kind, int from, int to)
{
    struct message *m = mem_zalloc(sizeof(*m));
    m->kind = kind;
    m->from = from;
    m->to = to;
    return m;
}

void message_free(struct message *m)
{
    buffer_deinit(&m->bytes);
    image_unref(m->img);
    free(m);
}

bool link_cut(const struct sim *s, int from, int to)
{
    return s->cut_until[from + 2][to + 2] > s->now_ms;
}

static bool chance(struct sim *s, int percent)
{
    return !s->healing && (int)rng_below(&s->net, 100) < percent;
}

static bool is_reliable(const struct message *m)
{
    return m->kind == MSG_ENTRY || m->kind == MSG_FLUSH || m->kind == MSG_IMAGE;
}

static int64_t delay(struct sim *s, const struct message *m)
{
    int64_t ms = 1 + (int64_t)rng_below(&s->net, m->kind == MSG_FLUSH ? s->plan.flush_ms : 6);
    if (m->kind != MSG_FLUSH && chance(s, s->plan.late_percent))
        ms += (int64_t)rng_below(&s->net, (uint64_t)s->plan.late_ms);
    return ms;
}

/* A producer's requests come in the order in which they were sent, or not at all: one
 * connection. */
static struct producer *on_connection(struct sim *s, const struct message *m)
{
    return m->kind == MSG_PRODUCE && m->producer >= 0 ? &s->producers[m->producer] : NULL;
}

void post(struct sim *s, struct message *m)
{
    bool reliable = is_reliable(m);
    if (m->from >= 0)
        m->from_incarnation = s->nodes[m->from].incarnation;
    if (m->to >= 0 && m->incarnation == 0)
        m->incarnation = s->nodes[m->to].incarnation;
    struct producer *p = on_connection(s, m);
    if (!reliable && (link_cut(s, m->from, m->to) || chance(s, s->plan.loss_percent))) {
        if (p != NULL)
            p->broken = true;
        message_free(m);
        return;
    }
    m->at_ms = s->now_ms + delay(s, m);
    if (p != NULL)
        m->at_ms = p->arrival_ms = MAX(m->at_ms, p->arrival_ms);
    if (m->kind == MSG_ENTRY) { /* in order */
        struct node *node = &s->nodes[m->to];
        m->at_ms = node->entry_at_ms = MAX(m->at_ms, node->entry_at_ms);
    }
    m->order = s->order++;
    vec_push(&s->messages, m);
}

/* Until when the link holds it back; 0: not at all. */
static int64_t held_until(const struct sim *s, const struct message *m)
{
    int64_t until = s->stalled_until[m->from + 2][m->to + 2];
    if (is_reliable(m))
        until = MAX(until, s->cut_until[m->from + 2][m->to + 2]);
    return until > s->now_ms ? until : 0;
}

struct message *next_message(struct sim *s)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->messages.count; i++) {
        struct message *m = s->messages.items[i];
        if (m->at_ms > s->now_ms || (m->to >= 0 && s->nodes[m->to].paused))
            continue;
        int64_t held = held_until(s, m);
        if (held > 0) {
            m->at_ms = held;
            continue;
        }
        const struct message *b = best == SIZE_MAX ? NULL : s->messages.items[best];
        if (b == NULL || m->at_ms < b->at_ms || (m->at_ms == b->at_ms && m->order < b->order))
            best = i;
    }
    if (best == SIZE_MAX)
        return NULL;
    struct message *m = s->messages.items[best];
    vec_remove(&s->messages, best);
    return m;
}

void unsend(struct sim *s, int node, uint64_t order)
{
    for (size_t i = s->messages.count; i-- > 0;) {
        struct message *m = s->messages.items[i];
        if (m->from != node || m->order < order || m->kind == MSG_FLUSH)
            continue;
        message_free(m);
        vec_remove(&s->messages, i);
    }
}
