/*
 * From quorum_submit() to its answer.
 *
 *   submissions -> own batch (one at a time, under a sequence)
 *                    leader here: -> proposals -> one entry in flight
 *                    elsewhere:   -> callbacks.forward()
 *
 * The own batch is answered when the state machine here applies it, wherever it was proposed: the
 * change of this node's stream carries its results. An error on the way only means another try
 * under the same sequence, which the state machine applies once.
 */
#include <limits.h>
#include <stdlib.h>

#include "coord/quorum_internal.h"
#include "proto/base/clock.h"
#include "proto/base/crc32c.h"
#include "proto/base/logging.h"

struct forward_answer {
    struct inbox_message message;
    struct quorum *q;
    int64_t sequence;
    enum error_code err;
    int64_t index;
    struct buffer results;
};

void submit_init(struct quorum *q)
{
    list_init(&q->queue);
    list_init(&q->proposals);
    list_init(&q->own.submissions);
    list_init(&q->in_flight.proposals);
    q->next_sequence = 1;
}

static void submission_free(struct submission *s)
{
    buffer_deinit(&s->command);
    free(s);
}

static void submission_answer(struct submission *s, enum error_code err, struct slice value)
{
    if (s->done != NULL)
        s->done(s->arg, err, value);
    s->done = NULL;
}

static void timer_needed(struct quorum *q);

/* --- The own batch --- */

static void own_done(struct quorum *q, const struct command_results *results)
{
    struct own_batch *own = &q->own;
    struct list done;
    list_init(&done);
    list_splice(&done, &own->submissions);
    own->active = false;
    buffer_clear(&own->bytes);
    buffer_clear(&own->answered);
    struct list *node;
    for (size_t i = 0; (node = list_pop_front(&done)) != NULL; i++) {
        struct submission *s = CONTAINER_OF(node, struct submission, link);
        if (i < results->list.count)
            submission_answer(s, results->list.items[i].error_code, results->list.items[i].value);
        else
            submission_answer(s, ERR_UNKNOWN_SERVER_ERROR, SLICE_NULL);
        submission_free(s);
    }
}

static void own_done_encoded(struct quorum *q, struct slice encoded)
{
    struct command_results results = {0};
    struct buffer copy = {0}; /* the answer may change what the slice borrows */
    buffer_append_slice(&copy, encoded);
    if (command_results_decode(buffer_slice(&copy), &results) != 0)
        vec_clear(&results.list);
    own_done(q, &results);
    vec_deinit(&results.list);
    buffer_deinit(&copy);
}

void submit_applied(struct quorum *q, int64_t sequence, struct slice results)
{
    if (q->own.active && q->own.sequence == sequence)
        own_done_encoded(q, results);
}

/* A batch that the state machine refused as a whole changes no stream: then the leader's word
 * counts. */
void submit_progress(struct quorum *q)
{
    if (q->own.active && q->own.answered_index >= 0 && q->applied_index >= q->own.answered_index)
        own_done_encoded(q, buffer_slice(&q->own.answered));
}

static void own_compose(struct quorum *q)
{
    struct own_batch *own = &q->own;
    VEC(struct slice) commands = {0};
    size_t bytes = 0;
    while (!list_is_empty(&q->queue) && bytes < QUORUM_ENTRY_BYTES &&
           commands.count < QUORUM_COMMANDS_MAX) {
        struct submission *s = CONTAINER_OF(list_pop_front(&q->queue), struct submission, link);
        q->queue_count--;
        list_push_back(&own->submissions, &s->link);
        vec_push(&commands, buffer_slice(&s->command));
        bytes += s->command.size;
    }
    own->active = true;
    own->sequence = q->next_sequence++;
    own->count = (int32_t)commands.count;
    own->proposed = false;
    own->forwards = 0;
    own->forwarded_to = -1;
    own->retry_at_ms = 0;
    own->answered_index = -1;
    struct command_batch batch = {q->options.node_id, q->options.incarnation, own->sequence,
                                  commands.items, own->count};
    buffer_clear(&own->bytes);
    command_batch_encode(&own->bytes, &batch);
    vec_deinit(&commands);
}

static void own_retry_soon(struct quorum *q)
{
    q->own.retry_at_ms = clock_monotonic_ms() + QUORUM_RETRY_MS;
    timer_needed(q);
}

static void own_propose(struct quorum *q)
{
    struct proposal *p = mem_zalloc(sizeof(*p));
    p->q = q;
    p->own = true;
    p->commands_count = q->own.count;
    buffer_append_slice(&p->batch, buffer_slice(&q->own.bytes));
    list_push_back(&q->proposals, &p->link);
    q->own.proposed = true;
}

static void own_send(struct quorum *q)
{
    struct own_batch *own = &q->own;
    if (own->proposed || own->answered_index >= 0 || clock_monotonic_ms() < own->retry_at_ms)
        return;
    if (q->ready) {
        own_propose(q);
        return;
    }
    int32_t leader = q->status.leader_id;
    if (leader < 0 || leader == q->options.node_id || own->forwarded_to == leader ||
        q->options.callbacks.forward == NULL)
        return;
    own->forwarded_to = leader;
    own->forwards++;
    q->options.callbacks.forward(q->options.callbacks.arg, leader, own->sequence,
                                 buffer_slice(&own->bytes));
}

static void forward_answered(struct inbox_message *message)
{
    struct forward_answer *a = CONTAINER_OF(message, struct forward_answer, message);
    struct quorum *q = a->q;
    struct own_batch *own = &q->own;
    if (own->active && own->sequence == a->sequence) {
        own->forwards--;
        if (a->err == ERR_NONE) {
            own->answered_index = a->index;
            buffer_clear(&own->answered);
            buffer_append_slice(&own->answered, buffer_slice(&a->results));
            submit_progress(q);
        } else if (own->forwards == 0 && own->answered_index < 0) {
            own->forwarded_to = -1;
            own_retry_soon(q);
        }
    }
    buffer_deinit(&a->results);
    free(a);
}

void quorum_forwarded(struct quorum *q, int64_t sequence, enum error_code err, int64_t index,
                      const struct command_results *results)
{
    struct forward_answer *a = mem_zalloc(sizeof(*a));
    a->message.run = forward_answered;
    a->q = q;
    a->sequence = sequence;
    a->err = err;
    a->index = index;
    if (err == ERR_NONE)
        command_results_encode(&a->results, results->list.items, (int32_t)results->list.count);
    if (!inbox_post(&q->inbox, &a->message)) {
        buffer_deinit(&a->results);
        free(a);
    }
}

/* --- The leader's queue --- */

static void proposal_answer(struct proposal *p, enum error_code err, int64_t index,
                            const struct command_results *results)
{
    static const struct command_results none;
    struct quorum *q = p->q;
    if (!p->own) {
        p->done(p->arg, err, index, results ? results : &none);
    } else if (err != ERR_NONE && q->own.active) {
        q->own.proposed = false;
        own_retry_soon(q);
    }
    buffer_deinit(&p->batch);
    free(p);
}

static void proposals_fail(struct list *list, enum error_code err)
{
    struct list *node;
    while ((node = list_pop_front(list)) != NULL)
        proposal_answer(CONTAINER_OF(node, struct proposal, link), err, -1, NULL);
}

void submit_leadership_lost(struct quorum *q)
{
    proposals_fail(&q->proposals,
                   ERR_NOT_CONTROLLER); /* never proposed; the rest libraft reports */
}

/* Each batch gets its part of the entry's results. */
static void entry_answer(struct quorum *q, struct list *proposals)
{
    struct command_results all = {0};
    CHECK(command_results_decode(buffer_slice(&q->in_flight.results), &all) == 0);
    size_t at = 0;
    struct list *node;
    while ((node = list_pop_front(proposals)) != NULL) {
        struct proposal *p = CONTAINER_OF(node, struct proposal, link);
        struct command_results part = {0};
        part.list.items = all.list.items + at;
        part.list.count = (size_t)p->commands_count;
        at += part.list.count;
        CHECK(at <= all.list.count);
        proposal_answer(p, ERR_NONE, q->in_flight.index, &part);
    }
    vec_deinit(&all.list);
}

static void entry_done(struct raft_apply *req, int status, void *result)
{
    (void)result;
    struct in_flight *f = CONTAINER_OF(req, struct in_flight, req);
    struct quorum *q = CONTAINER_OF(f, struct quorum, in_flight);
    thread_assert(&QUORUM);
    struct list proposals;
    list_init(&proposals);
    list_splice(&proposals, &f->proposals);
    if (status == 0 && f->index > 0) {
        pulse_confirmed(&q->pulse, f->stalls);
        q->push_wanted = true;
        entry_answer(q, &proposals);
    } else {
        /* Its fate is unknown: the senders repeat it under the same sequence. */
        proposals_fail(&proposals, ERR_UNKNOWN_SERVER_ERROR);
    }
    f->active = false;
    buffer_clear(&f->results);
}

static void entry_propose(struct quorum *q)
{
    struct in_flight *f = &q->in_flight;
    VEC(struct slice) batches = {0};
    size_t bytes = 0;
    while (!list_is_empty(&q->proposals) && bytes < QUORUM_ENTRY_BYTES) {
        struct proposal *p = CONTAINER_OF(list_pop_front(&q->proposals), struct proposal, link);
        list_push_back(&f->proposals, &p->link);
        vec_push(&batches, buffer_slice(&p->batch));
        bytes += p->batch.size;
    }
    struct buffer entry = {0};
    command_entry_encode(&entry, batches.items, (int32_t)batches.count);
    vec_deinit(&batches);
    struct raft_buffer buf = {.len = (entry.size + 7) & ~(size_t)7};
    buf.base = raft_malloc(buf.len);
    CHECK(buf.base != NULL);
    memcpy(buf.base, entry.data, entry.size);
    memset((char *)buf.base + entry.size, 0, buf.len - entry.size);
    buffer_deinit(&entry);
    f->active = true;
    f->size = buf.len;
    f->crc = crc32c(0, buf.base, buf.len);
    f->index = -1;
    f->stalls = q->pulse.stalls;
    int rv = raft_apply(&q->raft, &f->req, &buf, 1, entry_done);
    if (rv == 0)
        return;
    /* Surely not appended. */
    raft_free(buf.base);
    f->active = false;
    struct list proposals;
    list_init(&proposals);
    list_splice(&proposals, &f->proposals);
    proposals_fail(&proposals, rv == RAFT_NOTLEADER ? ERR_NOT_CONTROLLER : ERR_KAFKA_STORAGE_ERROR);
}

static void batch_arrived(struct inbox_message *message)
{
    struct proposal *p = CONTAINER_OF(message, struct proposal, message);
    struct quorum *q = p->q;
    struct arena arena;
    struct command_batch batch;
    if (!q->ready || q->stopping) {
        proposal_answer(p, ERR_NOT_CONTROLLER, -1, NULL);
        return;
    }
    arena_init(&arena, 0);
    bool good = command_batch_check(buffer_slice(&p->batch)) == ERR_NONE &&
                command_batch_decode(buffer_slice(&p->batch), &arena, &batch) == 0;
    p->commands_count = good ? batch.commands_count : 0;
    arena_deinit(&arena);
    if (good)
        list_push_back(&q->proposals, &p->link);
    else
        proposal_answer(p, ERR_INVALID_REQUEST, -1, NULL);
}

void quorum_submit_batch(struct quorum *q, struct slice batch, quorum_batch_done *done, void *arg)
{
    struct proposal *p = mem_zalloc(sizeof(*p));
    p->message.run = batch_arrived;
    p->q = q;
    p->done = done;
    p->arg = arg;
    buffer_append_slice(&p->batch, batch);
    if (!inbox_post(&q->inbox, &p->message))
        proposal_answer(p, ERR_NOT_CONTROLLER, -1, NULL);
}

/* --- Entry and time --- */

static void submission_arrived(struct inbox_message *message)
{
    struct submission *s = CONTAINER_OF(message, struct submission, message);
    struct quorum *q = s->q;
    if (q->stopping || q->queue_count >= QUORUM_QUEUE_MAX) {
        submission_answer(s, ERR_REQUEST_TIMED_OUT, SLICE_NULL);
        submission_free(s);
        return;
    }
    list_push_back(&q->queue, &s->link);
    q->queue_count++;
    timer_needed(q);
}

void quorum_submit(struct quorum *q, struct slice command, int64_t timeout_ms, quorum_done *done,
                   void *arg)
{
    struct submission *s = mem_zalloc(sizeof(*s));
    s->message.run = submission_arrived;
    s->q = q;
    s->deadline_ms = clock_monotonic_ms() + timeout_ms;
    s->done = done;
    s->arg = arg;
    buffer_append_slice(&s->command, command);
    if (!inbox_post(&q->inbox, &s->message)) {
        submission_answer(s, ERR_REQUEST_TIMED_OUT, SLICE_NULL);
        submission_free(s);
    }
}

void submit_turn(struct quorum *q)
{
    if (!q->raft_running || q->closing)
        return;
    if (!q->own.active && !list_is_empty(&q->queue))
        own_compose(q);
    if (q->own.active)
        own_send(q);
    if (q->ready && !q->in_flight.active && !list_is_empty(&q->proposals))
        entry_propose(q);
}

void submit_leader_changed(struct quorum *q)
{
    /* Do not wait for a dead leader's connection to fail: own_send() looks at whom it was sent to.
     */
    q->own.retry_at_ms = 0;
}

static void on_timer(uv_timer_t *timer)
{
    submit_tick(timer->data);
}

static void timer_needed(struct quorum *q)
{
    if (!q->closing && !uv_is_active((uv_handle_t *)&q->submit_timer))
        uv_timer_start(&q->submit_timer, on_timer, QUORUM_RETRY_MS, QUORUM_RETRY_MS);
}

void submit_tick(struct quorum *q)
{
    int64_t now_ms = clock_monotonic_ms();
    LIST_FOR_EACH (s, &q->queue, struct submission, link) {
        if (now_ms >= s->deadline_ms) {
            list_remove(&s->link);
            q->queue_count--;
            submission_answer(s, ERR_REQUEST_TIMED_OUT, SLICE_NULL);
            submission_free(s);
        }
    }
    LIST_FOR_EACH (s, &q->own.submissions, struct submission, link) {
        if (now_ms >= s->deadline_ms)
            submission_answer(s, ERR_REQUEST_TIMED_OUT, SLICE_NULL);
    }
    if (!q->own.active && list_is_empty(&q->queue))
        uv_timer_stop(&q->submit_timer);
}

void submit_fail_all(struct quorum *q)
{
    static const struct command_results none;
    proposals_fail(&q->in_flight.proposals, ERR_UNKNOWN_SERVER_ERROR);
    proposals_fail(&q->proposals, ERR_NOT_CONTROLLER);
    LIST_FOR_EACH (s, &q->own.submissions, struct submission, link)
        submission_answer(s, ERR_REQUEST_TIMED_OUT, SLICE_NULL);
    if (q->own.active)
        own_done(q, &none);
    LIST_FOR_EACH (s, &q->queue, struct submission, link) {
        list_remove(&s->link);
        submission_answer(s, ERR_REQUEST_TIMED_OUT, SLICE_NULL);
        submission_free(s);
    }
}

void submit_deinit(struct quorum *q)
{
    submit_fail_all(q);
    buffer_deinit(&q->own.bytes);
    buffer_deinit(&q->own.answered);
    buffer_deinit(&q->in_flight.results);
}
