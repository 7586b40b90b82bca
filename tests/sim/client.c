/* Clients: idempotent producers with acks=all that retry, one with acks=1, a consumer, and a group
 * that commits growing offsets; and what their coordinator does for them. */
#include <stdlib.h>

#include "proto/records.h"
#include "tests/sim/sim.h"

#define RETRY_MS 300
#define AGAIN_MS 20

static int any_node(struct sim *s)
{
    return (int)rng_below(&s->load, (uint64_t)s->plan.nodes);
}

/* --- Producers --- */

static void produce_send(struct sim *s, int producer, int to, int64_t id, int32_t sequence)
{
    struct batch_builder b;
    struct message *m = message_new(MSG_PRODUCE, CLIENT, to);
    batch_builder_init(&b);
    batch_builder_append(&b, id, SLICE_NULL, SLICE("value"), SLICE_NULL, 0);
    m->acks = 1;
    if (producer >= 0) {
        m->acks = -1;
        b.header.producer_id = s->producers[producer].producer_id;
        b.header.producer_epoch = 0;
        b.header.base_sequence = sequence;
    }
    CHECK(batch_builder_finish(&b, 0, 0, &m->bytes) == 0);
    batch_builder_deinit(&b);
    m->id = id;
    m->producer = producer;
    post(s, m);
}

static void ask_producer_id(struct sim *s, int i)
{
    struct producer *p = &s->producers[i];
    if (s->now_ms - p->asked_ms < RETRY_MS)
        return;
    struct message *m = message_new(MSG_PRODUCER_ID, CLIENT, any_node(s));
    p->asked_ms = s->now_ms;
    m->id = i;
    post(s, m);
}

static void producer_reset(struct producer *p)
{
    *p = (struct producer){.producer_id = -1,
                           .asked_ms = p->asked_ms,
                           .last_sequence = -1,
                           .last_offset = -1,
                           .broken = true};
}

/* Sequences under way span less than the window: a leader remembers the last five. */
static bool may_begin(const struct sim *s, const struct producer *p)
{
    for (int i = 0; i < s->plan.window; i++)
        if (p->window[i].busy && p->window[i].sequence <= p->next_sequence - s->plan.window)
            return false;
    return true;
}

static void sending_send(struct sim *s, int i, struct sending *w)
{
    struct producer *p = &s->producers[i];
    w->sent_ms = s->now_ms;
    if (!p->broken && s->nodes[p->leader].incarnation == p->incarnation)
        produce_send(s, i, p->leader, w->id, w->sequence);
    else
        p->broken = true;
}

/* Another connection: everything that is under way goes again, in order. */
static void reconnect(struct sim *s, int i)
{
    struct producer *p = &s->producers[i];
    p->broken = false;
    p->leader = s->believed_leader;
    p->incarnation = s->nodes[p->leader].incarnation;
    p->arrival_ms = s->now_ms;
    p->retry_ms = INT64_MAX;
    for (int32_t sequence = p->next_sequence - WINDOW_MAX; sequence < p->next_sequence; sequence++)
        for (int k = 0; k < s->plan.window; k++)
            if (p->window[k].busy && p->window[k].sequence == sequence)
                sending_send(s, i, &p->window[k]);
}

static void producer_step(struct sim *s, int i)
{
    struct producer *p = &s->producers[i];
    if (p->producer_id < 0) {
        ask_producer_id(s, i);
        return;
    }
    if (!s->healing && rng_below(&s->load, 4000) == 0) {
        producer_reset(p); /* the fate of what is under way stays unknown */
        return;
    }
    for (int k = 0; k < s->plan.window; k++)
        if (p->window[k].busy && s->now_ms - p->window[k].sent_ms >= RETRY_MS)
            p->retry_ms = s->now_ms;
    if (s->now_ms >= p->retry_ms)
        reconnect(s, i);
    for (int k = 0; k < s->plan.window; k++) {
        struct sending *w = &p->window[k];
        if (w->busy || !may_begin(s, p) || rng_below(&s->load, 3) != 0)
            continue;
        *w = (struct sending){true, s->next_record++, p->next_sequence++, 0};
        vec_push(&s->acked, -1);
        sending_send(s, i, w);
    }
}

static bool is_lowest(const struct producer *p, const struct sending *w)
{
    for (int k = 0; k < WINDOW_MAX; k++)
        if (p->window[k].busy && p->window[k].sequence < w->sequence)
            return false;
    return true;
}

static void produced_take(struct sim *s, const struct message *m)
{
    struct producer *p = &s->producers[m->producer];
    if (m->err == ERR_NONE)
        check_acked(s, m->id, m->offset);
    for (int k = 0; k < WINDOW_MAX; k++) {
        struct sending *w = &p->window[k];
        if (!w->busy || w->id != m->id)
            continue;
        if (m->err == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && is_lowest(p, w)) {
            /* A later one passed while nothing was known of us, as Kafka allows: begin anew. */
            producer_reset(p);
            return;
        }
        if (m->err != ERR_NONE) {
            if (m->err == ERR_NOT_LEADER_OR_FOLLOWER)
                s->believed_leader = any_node(s);
            p->retry_ms = MIN(p->retry_ms, s->now_ms + AGAIN_MS);
            return;
        }
        w->busy = false;
        bool later = w->sequence > p->last_sequence;
        /* Of a producer whose records were all deleted nothing is known any more. */
        if (later != (m->offset > p->last_offset) && p->last_offset >= s->delete_offset)
            fail(s, "sequence %d is at %lld, but sequence %d at %lld", w->sequence,
                 (long long)m->offset, p->last_sequence, (long long)p->last_offset);
        if (later) {
            p->last_sequence = w->sequence;
            p->last_offset = m->offset;
        }
    }
}

/* --- The node's blocks of producer ids --- */

void producer_id_answer(struct sim *s, int n, int64_t id)
{
    struct node *node = &s->nodes[n];
    struct message *m = message_new(MSG_PRODUCER_ID, n, CLIENT);
    m->id = id;
    m->offset = node->next_producer_id++;
    post(s, m);
}

void producer_id_take(struct sim *s, int n, const struct message *m)
{
    struct node *node = &s->nodes[n];
    if (node->next_producer_id < node->producer_ids_end) {
        producer_id_answer(s, n, m->id);
        return;
    }
    struct buffer command = {0};
    command_encode_allocate_producer_ids(&command, &(struct allocate_producer_ids){n});
    node_submit(s, n, COMMAND_ALLOCATE_PRODUCER_IDS, &command)->id = m->id;
}

static void got_producer_id(struct sim *s, const struct message *m)
{
    struct producer *p = &s->producers[m->id];
    FOR_EACH (id, s->producer_ids.items, s->producer_ids.count)
        if (*id == m->offset)
            fail(s, "producer id %lld was given twice", (long long)m->offset);
    vec_push(&s->producer_ids, m->offset);
    if (p->producer_id < 0)
        p->producer_id = m->offset;
}

/* --- The group --- */

static void commit_step(struct sim *s)
{
    if (s->commit_id != 0 && s->now_ms - s->commit_sent_ms < RETRY_MS)
        return;
    if (s->commit_id == 0 && rng_below(&s->load, 20) != 0)
        return;
    /* Given up: the connection is closed, so what it carried is not read any more. What the
     * coordinator read before may still happen. */
    s->commit_id = (int64_t)++s->order;
    s->commit_offset = MAX(s->commit_offset, s->commit_acked) + (int64_t)rng_below(&s->load, 3);
    s->commit_sent_ms = s->now_ms;
    const struct image_slot *slot = &s->img->slots[image_slot_of(SLICE(GROUP))];
    if (slot->node_id >= 0 && rng_below(&s->load, 3) == 0)
        s->believed_coordinator = slot->node_id;
    struct message *m = message_new(MSG_COMMIT, CLIENT, s->believed_coordinator);
    m->id = s->commit_id;
    m->offset = s->commit_offset;
    post(s, m);
}

void commit_answer(struct sim *s, int n, int64_t id, enum error_code err)
{
    struct message *m = message_new(MSG_COMMITTED, n, CLIENT);
    m->id = id;
    m->err = err;
    post(s, m);
}

void commit_take(struct sim *s, int n, const struct message *m)
{
    struct node *node = &s->nodes[n];
    int32_t slot = image_slot_of(SLICE(GROUP));
    if (m->id != s->commit_id)
        return;
    if (node->wired == NULL || node->wired->slots[slot].node_id != n) {
        commit_answer(s, n, m->id, ERR_NOT_COORDINATOR);
        return;
    }
    struct command_offset offset = {.topic = SLICE(TOPIC),
                                    .offset = m->offset,
                                    .leader_epoch = -1,
                                    .commit_time_ms = s->now_ms,
                                    .expire_time_ms = -1};
    struct commit_offsets c = {slot, node->wired->slots[slot].epoch, SLICE(GROUP), &offset, 1};
    struct buffer command = {0};
    command_encode_commit_offsets(&command, &c);
    node_submit(s, n, COMMAND_COMMIT_OFFSETS, &command)->id = m->id;
    if (MUTANT(MUTANT_COMMIT_ANSWERED_EARLY))
        commit_answer(s, n, m->id, ERR_NONE);
}

static void committed_take(struct sim *s, const struct message *m)
{
    if (m->id != s->commit_id)
        return;
    s->commit_id = 0;
    if (m->err != ERR_NONE) {
        s->believed_coordinator = any_node(s);
        return;
    }
    /* C13: what was acknowledged is in the log. */
    if (s->committed_offset < s->commit_offset)
        fail(s, "commit of offset %lld was acknowledged, but the log has %lld",
             (long long)s->commit_offset, (long long)s->committed_offset);
    s->commit_acked = s->commit_offset;
    s->commit_acked_ms = s->now_ms;
    s->seen.committed++;
}

/* --- Turn --- */

void client_init(struct sim *s)
{
    for (int i = 0; i < PRODUCERS; i++) {
        s->producers[i].asked_ms = -RETRY_MS;
        producer_reset(&s->producers[i]);
    }
    s->commit_offset = 1;
}

void client_take(struct sim *s, const struct message *m)
{
    if (m->kind == MSG_PRODUCED)
        produced_take(s, m);
    else if (m->kind == MSG_COMMITTED)
        committed_take(s, m);
    else if (m->kind == MSG_PRODUCER_ID)
        got_producer_id(s, m);
    else
        CHECK(false);
}

void client_step(struct sim *s)
{
    const struct image_partition *p = committed_partition(s);
    if (p != NULL && p->leader >= 0 && rng_below(&s->load, 25) == 0)
        s->believed_leader = p->leader;
    if (s->now_ms % 4 == 0) {
        for (int i = 0; i < PRODUCERS; i++)
            producer_step(s, i);
        commit_step(s);
    }
    if (!s->healing && rng_below(&s->load, 20) == 0)
        produce_send(s, -1, s->believed_leader, LOOSE_ID + s->next_loose++, -1);
    if (s->now_ms % 7 == 0)
        check_read(s, any_node(s));
}
