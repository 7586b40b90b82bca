/*
 * The metadata log: batches of commands get one order, are applied to the state machine, and reach
 * every node with its results, each at its own pace. Beside it the active controller. Which node
 * that is on does not matter here: a new one begins without memory, and what the old one was told
 * but had not committed may be lost.
 */
#include <stdlib.h>

#include "coord/topic_config.h"
#include "tests/sim/sim.h"

#define CONTROLLER_STREAM 90 /* node id of the controller's own batches */
#define OPERATOR_STREAM   91

static struct uuid incarnation_of(int64_t node, int64_t incarnation)
{
    struct uuid id = {{0x5a, (uint8_t)node}};
    memcpy(id.bytes + 8, &incarnation, sizeof(incarnation));
    return id;
}

const struct image_topic *committed_topic(const struct sim *s)
{
    return image_find_topic(s->img, SLICE(TOPIC));
}

const struct image_partition *committed_partition(const struct sim *s)
{
    const struct image_topic *t = committed_topic(s);
    return t != NULL ? image_find_partition(t, 0) : NULL;
}

/* --- The log --- */

static void propose(struct sim *s, const struct proposed *what)
{
    struct proposed p = *what;
    p.commit_ms = s->now_ms + 1 + (int64_t)rng_below(&s->net, 10);
    if (!s->healing && rng_below(&s->net, 20) == 0)
        p.commit_ms += (int64_t)rng_below(&s->net, 400);
    vec_push(&s->pipeline, p);
}

static void encode_one(struct buffer *out, int32_t node_id, int64_t incarnation, int64_t sequence,
                       struct slice command)
{
    struct command_batch batch = {.node_id = node_id,
                                  .incarnation = incarnation_of(node_id, incarnation),
                                  .sequence = sequence,
                                  .commands = &command,
                                  .commands_count = 1};
    command_batch_encode(out, &batch);
}

/* Takes the commands. */
static void propose_effects(struct sim *s, struct controller_effects *fx)
{
    for (size_t i = 0; i < fx->commands.count; i++) {
        struct proposed p = {.from = CONTROLLER};
        encode_one(&p.batch, CONTROLLER_STREAM, s->controller_term, ++s->controller_sequence,
                   buffer_slice(&fx->commands.items[i]));
        propose(s, &p);
    }
    for (size_t i = 0; i < fx->probes.count; i++) {
        struct controller_effects more = {0};
        int n = fx->probes.items[i];
        if (!s->nodes[n].up && !link_cut(s, CONTROLLER, n) && !link_cut(s, n, CONTROLLER))
            controller_connect_refused(s->controller, s->img, s->now_ms, n, &more);
        propose_effects(s, &more);
    }
    controller_effects_deinit(fx);
}

void quorum_command(struct sim *s, struct buffer *command)
{
    struct proposed p = {.from = CLIENT};
    encode_one(&p.batch, OPERATOR_STREAM, 1, ++s->controller_sequence, buffer_slice(command));
    buffer_deinit(command);
    propose(s, &p);
}

static void note_changes(struct sim *s, const struct changes *changes)
{
    FOR_EACH (c, changes->list.items, changes->list.count) {
        if (c->kind != CHANGE_OFFSET)
            continue;
        if (c->offset < s->committed_offset)
            fail(s, "the group's committed offset goes back from %lld to %lld",
                 (long long)s->committed_offset, (long long)c->offset);
        s->committed_offset = c->offset;
    }
}

static struct message *entry_message(struct sim *s, int n)
{
    struct message *m = message_new(MSG_ENTRY, CONTROLLER, n);
    m->incarnation = s->nodes[n].incarnation;
    m->img = image_ref(s->img);
    m->id = s->index;
    m->results.sequence = -1;
    return m;
}

static void publish(struct sim *s, const struct proposed *p, const struct batch_results *results)
{
    for (int n = 0; n < s->plan.nodes; n++) {
        if (!s->nodes[n].up)
            continue;
        struct message *m = entry_message(s, n);
        if (p->from == n && p->incarnation == s->nodes[n].incarnation)
            m->results = *results;
        post(s, m);
    }
}

void quorum_catch_up(struct sim *s, int n)
{
    s->nodes[n].entry_at_ms = s->now_ms;
    post(s, entry_message(s, n));
}

static void commit(struct sim *s, const struct proposed *p)
{
    struct buffer entry = {0};
    struct slice batch = buffer_slice(&p->batch);
    struct arena arena;
    struct changes changes = {0};
    struct command_results results = {0};
    struct batch_results out = {.sequence = p->sequence};
    arena_init(&arena, 0);
    CHECK(command_batch_check(batch) == ERR_NONE);
    command_entry_encode(&entry, &batch, 1);
    metadata_apply(s->metadata, ++s->index, buffer_slice(&entry), &arena, &changes, &results);
    for (size_t i = 0; i < results.list.count && i < RESULTS_MAX; i++) {
        out.codes[out.count] = results.list.items[i].error_code;
        out.values[out.count++] = command_value_int64(results.list.items[i].value);
    }
    note_changes(s, &changes);
    struct image *before = s->img;
    s->img = metadata_image(s->metadata);
    check_image(s, before);
    image_unref(before);
    publish(s, p, &out);
    vec_deinit(&changes.list);
    vec_deinit(&results.list);
    buffer_deinit(&entry);
    arena_deinit(&arena);
}

static void commit_due(struct sim *s)
{
    while (s->pipeline.count > 0 && s->pipeline.items[0].commit_ms <= s->now_ms) {
        struct proposed p = s->pipeline.items[0];
        vec_remove(&s->pipeline, 0);
        commit(s, &p);
        buffer_deinit(&p.batch);
    }
}

/* --- The controller --- */

void quorum_batch(struct sim *s, struct message *m)
{
    if (s->controller_down)
        return;
    struct proposed p = {
        .batch = m->bytes, .from = m->from, .incarnation = m->from_incarnation, .sequence = m->id};
    m->bytes = (struct buffer){0};
    propose(s, &p);
}

void quorum_hello(struct sim *s, const struct message *m)
{
    if (s->controller_down)
        return;
    struct controller_effects fx = {0};
    struct controller_hello hello = m->hello;
    struct message *answer = message_new(MSG_WELCOME, CONTROLLER, m->from);
    hello.broker.endpoints = (struct image_endpoint *)&m->endpoint;
    hello.broker.endpoints_count = 1;
    answer->incarnation = m->from_incarnation;
    controller_hello(s->controller, s->img, s->now_ms, &hello, &answer->answer, &fx);
    propose_effects(s, &fx);
    post(s, answer);
}

void quorum_node_died(struct sim *s, int n, uint64_t connection)
{
    struct controller_effects fx = {0};
    if (s->controller_down || link_cut(s, n, CONTROLLER))
        return;
    controller_connection_lost(s->controller, connection, &fx);
    propose_effects(s, &fx);
}

void quorum_replace_controller(struct sim *s)
{
    if (s->controller_down)
        return;
    s->seen.controllers++;
    s->controller_down = true;
    s->controller_back_ms = s->now_ms + 30 + (int64_t)rng_below(&s->faults, 700);
    size_t keep = rng_below(&s->faults, s->pipeline.count + 1);
    while (s->pipeline.count > keep)
        buffer_deinit(&s->pipeline.items[--s->pipeline.count].batch);
}

static void controller_begin(struct sim *s)
{
    s->controller_down = false;
    s->controller_term++;
    controller_activate(s->controller, s->img, s->now_ms);
}

static bool all_active(const struct sim *s)
{
    for (int n = 0; n < s->plan.nodes; n++) {
        const struct image_broker *b = image_find_broker(s->img, n);
        if (b == NULL || b->fenced)
            return false;
    }
    return true;
}

static void create_topic(struct sim *s)
{
    struct buffer command = {0};
    int32_t ids[REPLICAS] = {0, 1, 2};
    struct command_assignment assignment = {0, ids, REPLICAS};
    struct image_config config = {SLICE("min.insync.replicas"),
                                  s->plan.min_isr == 2 ? SLICE("2") : SLICE("1")};
    struct create_topic c = {.name = SLICE(TOPIC),
                             .topic_id = {{9}},
                             .partitions = -1,
                             .replication_factor = -1,
                             .assignments = &assignment,
                             .assignments_count = 1,
                             .configs = &config,
                             .configs_count = 1};
    command_encode_create_topic(&command, &c);
    quorum_command(s, &command);
}

void quorum_step(struct sim *s)
{
    if (s->controller_down && s->now_ms >= s->controller_back_ms)
        controller_begin(s);
    if (!s->controller_down && s->now_ms % 40 == 0) {
        struct controller_effects fx = {0};
        controller_tick(s->controller, s->img, s->now_ms, &fx);
        propose_effects(s, &fx);
    }
    if (s->now_ms % 100 == 0 && committed_topic(s) == NULL && all_active(s))
        create_topic(s);
    commit_due(s);
}

void quorum_init(struct sim *s)
{
    struct controller_options options = {.session_timeout_ms = s->plan.session_ms};
    struct buffer form = {0};
    s->metadata = metadata_new();
    s->img = metadata_image(s->metadata);
    s->controller = controller_new(&options);
    s->committed_offset = -1;
    command_encode_form_cluster(&form, &(struct form_cluster){.cluster_id = SLICE("sim")});
    quorum_command(s, &form);
    controller_begin(s);
}

void quorum_deinit(struct sim *s)
{
    FOR_EACH (p, s->pipeline.items, s->pipeline.count)
        buffer_deinit(&p->batch);
    vec_deinit(&s->pipeline);
    controller_free(s->controller);
    image_unref(s->img);
    metadata_free(s->metadata);
}
