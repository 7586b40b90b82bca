#include "tests/sim/sim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/records.h"

#define CONTROLLER      (-1)
#define CLIENT          (-2)
#define FAULTS_UNTIL_MS 12000
#define END_MS          24000
#define MIN_ISR         2
#define LOG_FOLDER      "t-0"
#define LOOSE_ID        1000000000 /* time stamps of acks=1 records begin here */
#define PRODUCER_ID     7

static void fail(struct sim *s, const char *fmt, ...)
{
    va_list args;
    if (s->failure[0] != 0)
        return;
    va_start(args, fmt);
    int n = snprintf(s->failure, sizeof(s->failure), "t=%lld ms: ", (long long)s->now_ms);
    vsnprintf(s->failure + n, sizeof(s->failure) - (size_t)n, fmt, args);
    va_end(args);
}

static bool chance(struct sim *s, struct rng *r, int percent)
{
    return !s->healing && (int)rng_below(r, 100) < percent;
}

/* --- Network --- */

static struct message *message_new(enum message_kind kind, int from, int to)
{
    struct message *m = mem_zalloc(sizeof(*m));
    m->kind = kind;
    m->from = from;
    m->to = to;
    return m;
}

static void message_free(struct message *m)
{
    buffer_deinit(&m->records);
    free(m);
}

/* Takes m. Most messages take some ms; some are lost; a few are very late. */
static void post(struct sim *s, struct message *m)
{
    bool reliable = m->kind == MSG_STATE || m->kind == MSG_FLUSH;
    if (!reliable && chance(s, &s->net, 4)) {
        message_free(m);
        return;
    }
    int64_t delay = 1 + (int64_t)rng_below(&s->net, 6);
    if (chance(s, &s->net, 6))
        delay += (int64_t)rng_below(&s->net, 1200);
    m->at_ms = s->now_ms + delay;
    m->order = s->order++;
    vec_push(&s->messages, m);
}

/* --- Nodes --- */

static struct partition_config sim_config(void)
{
    struct partition_config c = {.log = log_config_default(),
                                 .min_insync_replicas = MIN_ISR,
                                 .replica_lag_time_max_ms = 600};
    c.log.segment_bytes = 4096;
    return c;
}

static void flush_start(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    if (node->flushing)
        return;
    struct message *m = message_new(MSG_FLUSH, n, n);
    if (!log_flush_begin(partition_log(node->partition), &m->flush)) {
        message_free(m);
        return;
    }
    node->flushing = true;
    m->incarnation = node->incarnation;
    post(s, m);
}

static void propose(struct sim *s, int n, const struct isr_proposal *proposal)
{
    struct message *m = message_new(MSG_PROPOSE, n, CONTROLLER);
    m->proposal = *proposal;
    m->incarnation = s->nodes[n].incarnation;
    post(s, m);
}

static void effects(struct sim *s, int n, const struct partition_effects *fx)
{
    if (fx->appended)
        flush_start(s, n);
    if (fx->propose)
        propose(s, n, &fx->proposal);
}

static void node_apply(struct sim *s, int n, const struct partition_state *state)
{
    struct node *node = &s->nodes[n];
    struct partition_effects fx = {0};
    if (partition_apply(node->partition, state, s->now_ms, &fx) != ERR_NONE)
        fail(s, "node %d could not take its role", n);
    effects(s, n, &fx);
    if (partition_role(node->partition) != PARTITION_LEADER)
        return;
    int32_t epoch = partition_leader_epoch(node->partition);
    int32_t *leader = &s->leader_of_epoch[epoch];
    if (*leader >= 0 && *leader != n)
        fail(s, "two leaders in epoch %d", epoch);
    *leader = n;
}

static void controller_register(struct sim *s, int n);

static void node_start(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct partition_config config = sim_config();
    struct log *log;
    node->incarnation++;
    node->up = true;
    node->paused = node->flushing = false;
    node->fetch_id = 0;
    if (log_open(LOG_FOLDER, &node->fs, &config.log, (struct uuid){{9}}, false, 0, s->now_ms,
                 &log) != ERR_NONE) {
        fail(s, "node %d could not open its log", n);
        node->up = false;
        return;
    }
    node->partition =
        partition_new(n, SLICE("t"), (struct uuid){{9}}, 0, &config, log, node->checkpoint);
    controller_register(s, n);
}

static void node_crash(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    if (!node->up)
        return;
    for (size_t i = 0; i < s->messages.count; i++) {
        struct message *m = s->messages.items[i];
        if (m->kind == MSG_FLUSH && m->to == n && m->incarnation == node->incarnation &&
            log_flush_end(partition_log(node->partition), &m->flush, -EIO) == ERR_NONE)
            fail(s, "a failed flush succeeded");
    }
    node->incarnation++;
    partition_free(node->partition);
    node->partition = NULL;
    node->up = false;
    s->down_since_ms[n] = s->now_ms;
    s->seen.lost_bytes += disk_crash(node->disk, &s->faults);
    s->seen.crashes++;
}

/* --- Controller: the committed state --- */

static void controller_publish(struct sim *s)
{
    s->state.partition_epoch++;
    for (int n = 0; n < NODES; n++) {
        struct message *m = message_new(MSG_STATE, CONTROLLER, n);
        m->state = s->state;
        post(s, m);
    }
}

static void controller_elect(struct sim *s, int avoid)
{
    int chosen = -1;
    for (int i = 0; i < s->state.isr_count; i++) {
        int n = s->state.isr[i];
        if (s->epochs[n] > 0 && (chosen < 0 || chosen == avoid))
            chosen = n;
    }
    s->state.leader = chosen;
    s->state.leader_epoch++;
    s->seen.elections++;
}

static bool node_in_isr(const struct partition_state *state, int n)
{
    for (int i = 0; i < state->isr_count; i++)
        if (state->isr[i] == n)
            return true;
    return false;
}

static void controller_fence(struct sim *s, int n)
{
    if (s->epochs[n] == 0)
        return;
    s->epochs[n] = 0;
    if (node_in_isr(&s->state, n) && s->state.isr_count > 1) {
        int count = 0;
        for (int i = 0; i < s->state.isr_count; i++)
            if (s->state.isr[i] != n)
                s->state.isr[count++] = s->state.isr[i];
        s->state.isr_count = count;
    }
    if (s->state.leader == n)
        controller_elect(s, n);
    controller_publish(s);
}

static void controller_register(struct sim *s, int n)
{
    controller_fence(s, n);
    s->epochs[n] = s->nodes[n].broker_epoch = ++s->next_epoch;
    if (s->state.leader < 0)
        controller_elect(s, -1);
    controller_publish(s);
    /* Older states are history: with them a node that lost its tail would lead its old epoch
     * again. */
    s->nodes[n].first_partition_epoch = s->state.partition_epoch;
}

static enum error_code check_proposal(const struct sim *s, const struct isr_proposal *p)
{
    if (p->leader_epoch != s->state.leader_epoch || p->partition_epoch != s->state.partition_epoch)
        return ERR_INVALID_UPDATE_VERSION;
    for (int i = 0; i < p->isr_count; i++) {
        int64_t epoch = s->epochs[p->isr[i]];
        if (epoch == 0 || (p->broker_epochs[i] >= 0 && p->broker_epochs[i] != epoch))
            return ERR_INELIGIBLE_REPLICA;
    }
    return ERR_NONE;
}

static void controller_alter(struct sim *s, const struct message *m)
{
    const struct isr_proposal *p = &m->proposal;
    enum error_code err = check_proposal(s, p);
    if (err == ERR_NONE) {
        if (p->isr_count < s->state.isr_count)
            s->seen.shrinks++;
        else
            s->seen.expansions++;
        memcpy(s->state.isr, p->isr, sizeof(s->state.isr));
        s->state.isr_count = p->isr_count;
        controller_publish(s);
        return;
    }
    struct message *answer = message_new(MSG_REFUSED, CONTROLLER, m->from);
    answer->err = err;
    answer->incarnation = m->incarnation;
    answer->proposal = *p;
    post(s, answer);
}

/* --- Fetching --- */

static void fetch_send(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct follower_fetch f = {.replica = n, .broker_epoch = node->broker_epoch};
    if (node->fetch_id != 0 && s->now_ms - node->fetch_sent_ms < 150)
        return;
    if (!partition_fetch_position(node->partition, &f.fetch_offset, &f.last_fetched_epoch,
                                  &f.leader_epoch))
        return;
    struct message *m = message_new(MSG_FETCH, n, partition_leader(node->partition));
    m->fetch = f;
    m->id = node->fetch_id = (int64_t)++s->order;
    node->fetch_sent_ms = s->now_ms;
    m->incarnation = node->incarnation;
    post(s, m);
}

static void copy_range(struct node *node, const struct file_range *range, struct buffer *out)
{
    if (range->size <= 0)
        return;
    struct fs_file file = {range->fd};
    uint8_t *to = buffer_reserve(out, (size_t)range->size);
    int64_t n = node->fs.read(node->fs.arg, file, to, (size_t)range->size, range->position);
    out->size += n > 0 ? (size_t)n : 0;
    range->release(range->owner);
}

static void fetch_serve(struct sim *s, int n, const struct message *m)
{
    struct node *node = &s->nodes[n];
    struct partition *p = node->partition;
    struct partition_effects fx = {0};
    struct partition_read read = {0};
    struct message *answer = message_new(MSG_FETCHED, n, m->from);
    answer->id = m->id;
    answer->incarnation = m->incarnation;
    enum error_code err = partition_check_leader(p, m->fetch.leader_epoch);
    if (err == ERR_NONE)
        err = partition_read(p, m->fetch.fetch_offset, m->fetch.last_fetched_epoch, READ_TO_LOG_END,
                             2048, true, &read);
    if (err == ERR_NONE) {
        copy_range(node, &read.log.range, &answer->records);
        err = partition_follower_fetched(p, &m->fetch, s->now_ms, &fx);
        effects(s, n, &fx);
    }
    if (err == ERR_FENCED_LEADER_EPOCH || err == ERR_UNKNOWN_LEADER_EPOCH)
        s->seen.fenced_fetches++;
    bool diverging = err == ERR_NONE && read.diverging;
    answer->fetched = (struct fetched){.error_code = err,
                                       .leader_epoch = m->fetch.leader_epoch,
                                       .high_watermark = partition_high_watermark(p),
                                       .log_start_offset = log_start_offset(partition_log(p)),
                                       .diverging_epoch = diverging ? read.diverging_epoch : -1,
                                       .diverging_end_offset = read.diverging_end_offset};
    post(s, answer);
}

static void fetch_take(struct sim *s, int n, struct message *m)
{
    struct node *node = &s->nodes[n];
    if (m->id != node->fetch_id)
        return;
    node->fetch_id = 0;
    int64_t end = log_end_offset(partition_log(node->partition));
    struct partition_effects fx = {0};
    m->fetched.records = buffer_slice(&m->records);
    enum error_code err = partition_fetched(node->partition, &m->fetched, s->now_ms, &fx);
    if (err == ERR_CORRUPT_MESSAGE || err == ERR_KAFKA_STORAGE_ERROR)
        fail(s, "node %d cannot append what it fetched: %d", n, err);
    if (log_end_offset(partition_log(node->partition)) < end)
        s->seen.truncations++;
    effects(s, n, &fx);
}

/* --- Producing --- */

static void produce_send(struct sim *s, int16_t acks, int64_t id)
{
    struct batch_builder b;
    struct message *m = message_new(MSG_PRODUCE, CLIENT, s->believed_leader);
    batch_builder_init(&b);
    batch_builder_append(&b, id, SLICE_NULL, SLICE("value"), SLICE_NULL, 0);
    if (acks == -1) {
        b.header.producer_id = PRODUCER_ID;
        b.header.producer_epoch = 0;
        b.header.base_sequence = (int32_t)id;
    }
    CHECK(batch_builder_finish(&b, 0, 0, &m->records) == 0);
    batch_builder_deinit(&b);
    m->id = id;
    m->acks = acks;
    post(s, m);
}

static void produce_answer(struct sim *s, int n, int64_t id, enum error_code err, int64_t offset)
{
    struct message *m = message_new(MSG_PRODUCED, n, CLIENT);
    m->id = id;
    m->err = err;
    m->offset = offset;
    post(s, m);
}

static void produce_take(struct sim *s, int n, struct message *m)
{
    struct partition *p = s->nodes[n].partition;
    struct partition_append_result result;
    struct partition_effects fx = {0};
    struct batch_header header;
    CHECK(batch_header_decode(buffer_slice(&m->records), &header) == 0);
    enum error_code err = partition_append(p, m->records.data, m->records.size, &header, m->acks,
                                           s->now_ms, &result, &fx);
    effects(s, n, &fx);
    if (m->acks != -1)
        return;
    if (err == ERR_NOT_ENOUGH_REPLICAS)
        s->seen.refused_under_min++;
    if (err != ERR_NONE) {
        produce_answer(s, n, m->id, err, -1);
        return;
    }
    s->seen.duplicates += result.duplicate;
    struct parked w = {n, partition_leader_epoch(p), result.end_offset, m->id, result.base_offset};
    vec_push(&s->parked, w);
}

static void parked_check(struct sim *s)
{
    for (size_t i = 0; i < s->parked.count;) {
        struct parked w = s->parked.items[i];
        struct node *node = &s->nodes[w.node];
        struct partition *p = node->partition;
        if (node->up && node->paused) {
            i++;
            continue;
        }
        if (node->up && partition_role(p) == PARTITION_LEADER &&
            partition_leader_epoch(p) == w.leader_epoch) {
            bool under = partition_is_under_min_isr(p);
            if (partition_high_watermark(p) < w.end_offset && !under) {
                i++;
                continue;
            }
            bool done = partition_high_watermark(p) >= w.end_offset;
            s->seen.refused_after_append += !done;
            produce_answer(s, w.node, w.id, done ? ERR_NONE : ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                           w.base_offset);
        } else if (node->up) {
            produce_answer(s, w.node, w.id, ERR_NOT_LEADER_OR_FOLLOWER, -1);
        }
        vec_remove(&s->parked, i);
    }
}

static void client_take(struct sim *s, const struct message *m)
{
    if (m->err == ERR_NONE && m->id < (int64_t)s->acked.count && s->acked.items[m->id] != m->offset)
        fail(s, "record %lld acknowledged at %lld and at %lld", (long long)m->id,
             (long long)s->acked.items[m->id], (long long)m->offset);
    if (m->id != s->next_id)
        return;
    s->sent_ms = 0;
    if (m->err == ERR_NONE) {
        vec_push(&s->acked, m->offset);
        s->next_id++;
        s->seen.acked++;
    } else {
        s->believed_leader = (int)rng_below(&s->load, NODES);
        s->sent_ms = s->now_ms - 280; /* again soon */
    }
}

static void client_step(struct sim *s)
{
    if (s->state.leader >= 0 && rng_below(&s->load, 20) == 0)
        s->believed_leader = s->state.leader;
    if (s->sent_ms == 0 || s->now_ms - s->sent_ms > 300) {
        produce_send(s, -1, s->next_id);
        s->sent_ms = s->now_ms;
    }
    if (s->now_ms < FAULTS_UNTIL_MS && rng_below(&s->load, 15) == 0)
        produce_send(s, 1, LOOSE_ID + s->next_loose++);
}

/* --- Checks --- */

static void read_ids(struct node *node, int64_t end_offset, int64_t *ids, int32_t *epochs)
{
    struct log *log = partition_log(node->partition);
    struct buffer bytes = {0};
    struct log_read read;
    for (int64_t at = log_start_offset(log); at < end_offset;) {
        struct log_read_limits limits = {end_offset, 1 << 20, true};
        if (log_read(log, at, &limits, &read) != ERR_NONE || read.range.size <= 0)
            break;
        bytes.size = 0;
        copy_range(node, &read.range, &bytes);
        struct slice rest = buffer_slice(&bytes), batch;
        struct batch_header h;
        while (batch_next(&rest, &batch, &h) == 1) {
            ids[h.base_offset] = h.base_timestamp;
            epochs[h.base_offset] = h.leader_epoch;
            at = batch_next_offset(&h);
        }
    }
    buffer_deinit(&bytes);
}

struct copy {
    int64_t *ids;
    int32_t *epochs;
    int64_t watermark;
};

static struct copy copy_of(struct node *node)
{
    struct copy c = {.watermark = partition_high_watermark(node->partition)};
    size_t count = (size_t)log_end_offset(partition_log(node->partition)) + 1;
    c.ids = mem_alloc(count * sizeof(*c.ids));
    c.epochs = mem_alloc(count * sizeof(*c.epochs));
    memset(c.ids, 0xff, count * sizeof(*c.ids));
    memset(c.epochs, 0xff, count * sizeof(*c.epochs));
    read_ids(node, (int64_t)count - 1, c.ids, c.epochs);
    return c;
}

/* I-LM: equal records below the smaller high watermark. */
static void check_matching(struct sim *s)
{
    struct copy copies[NODES] = {0};
    for (int n = 0; n < NODES; n++)
        if (s->nodes[n].up)
            copies[n] = copy_of(&s->nodes[n]);
    for (int a = 0; a < NODES; a++) {
        for (int b = a + 1; b < NODES; b++) {
            int64_t end = MIN(copies[a].watermark, copies[b].watermark);
            for (int64_t i = 0; i < end && copies[a].ids && copies[b].ids; i++)
                if (copies[a].ids[i] != copies[b].ids[i] ||
                    copies[a].epochs[i] != copies[b].epochs[i])
                    fail(s, "nodes %d (%lld/%d) and %d (%lld/%d) differ at offset %lld below %lld",
                         a, (long long)copies[a].ids[i], copies[a].epochs[i], b,
                         (long long)copies[b].ids[i], copies[b].epochs[i], (long long)i,
                         (long long)end);
        }
    }
    for (int n = 0; n < NODES; n++) {
        free(copies[n].ids);
        free(copies[n].epochs);
    }
}

/* I-HW, I-LC: the leader of the committed epoch serves a high watermark that never goes back. */
static void check_watermark(struct sim *s)
{
    int n = s->state.leader;
    if (n < 0 || !s->nodes[n].up || s->nodes[n].paused)
        return;
    struct partition *p = s->nodes[n].partition;
    if (partition_role(p) != PARTITION_LEADER ||
        partition_leader_epoch(p) != s->state.leader_epoch || !partition_watermark_is_known(p))
        return;
    int64_t watermark = partition_high_watermark(p);
    if (watermark < s->served_watermark)
        fail(s, "node %d serves high watermark %lld after %lld", n, (long long)watermark,
             (long long)s->served_watermark);
    s->served_watermark = watermark;
}

/* C1, C4: every acknowledged record is at its offset, and nowhere else. */
static void check_acked(struct sim *s)
{
    if (s->state.leader < 0 || !s->nodes[s->state.leader].up) {
        fail(s, "no leader after healing");
        return;
    }
    struct node *node = &s->nodes[s->state.leader];
    struct copy c = copy_of(node);
    int64_t *times = mem_zalloc(((size_t)s->next_id + 1) * sizeof(*times));
    for (int64_t i = 0; i < c.watermark; i++)
        if (c.ids[i] >= 0 && c.ids[i] <= s->next_id && times[c.ids[i]]++ > 0)
            fail(s, "record %lld is there twice", (long long)c.ids[i]);
    for (size_t id = 0; id < s->acked.count; id++)
        if (s->acked.items[id] >= c.watermark || c.ids[s->acked.items[id]] != (int64_t)id)
            fail(s, "acknowledged record %zu at offset %lld is lost", id,
                 (long long)s->acked.items[id]);
    free(times);
    free(c.ids);
    free(c.epochs);
}

static void check_end(struct sim *s)
{
    check_matching(s);
    check_acked(s);
    if (s->state.isr_count != NODES)
        fail(s, "the ISR has %d members after healing", s->state.isr_count);
}

/* --- Events --- */

static void flush_done(struct sim *s, int n, struct message *m)
{
    struct partition_effects fx = {0};
    struct partition *p = s->nodes[n].partition;
    struct log *log = partition_log(p);
    int err = log_flush_sync(log, &m->flush);
    if (log_flush_end(log, &m->flush, err) != ERR_NONE)
        fail(s, "node %d could not flush", n);
    s->nodes[n].flushing = false;
    partition_flushed(p, s->now_ms, &fx);
    effects(s, n, &fx);
    flush_start(s, n);
}

static void deliver(struct sim *s, struct message *m)
{
    int n = m->to;
    if (n == CONTROLLER) {
        controller_alter(s, m);
        return;
    }
    if (n == CLIENT) {
        client_take(s, m);
        return;
    }
    struct node *node = &s->nodes[n];
    bool bound = m->kind == MSG_FETCHED || m->kind == MSG_FLUSH || m->kind == MSG_REFUSED;
    if (!node->up || (bound && m->incarnation != node->incarnation))
        return;
    switch (m->kind) {
    case MSG_FETCH:
        fetch_serve(s, n, m);
        break;
    case MSG_FETCHED:
        fetch_take(s, n, m);
        break;
    case MSG_PRODUCE:
        produce_take(s, n, m);
        break;
    case MSG_REFUSED:
        partition_proposal_failed(node->partition, m->err, s->now_ms);
        break;
    case MSG_STATE:
        if (m->state.partition_epoch >= node->first_partition_epoch)
            node_apply(s, n, &m->state);
        break;
    case MSG_FLUSH:
        flush_done(s, n, m);
        break;
    default:
        CHECK(false);
    }
}

static struct message *next_message(struct sim *s)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->messages.count; i++) {
        struct message *m = s->messages.items[i];
        if (m->to >= 0 && s->nodes[m->to].paused) {
            continue;
        }
        if (m->at_ms <= s->now_ms &&
            (best == SIZE_MAX || m->at_ms < s->messages.items[best]->at_ms))
            best = i;
    }
    if (best == SIZE_MAX)
        return NULL;
    struct message *m = s->messages.items[best];
    vec_remove(&s->messages, best);
    return m;
}

static void faults_step(struct sim *s)
{
    if (rng_below(&s->faults, 500) == 0)
        node_crash(s, (int)rng_below(&s->faults, NODES));
    if (rng_below(&s->faults, 4000) == 0) {
        s->seen.power_losses++;
        for (int n = 0; n < NODES; n++)
            node_crash(s, n);
    }
    if (rng_below(&s->faults, 600) == 0) {
        struct node *node = &s->nodes[rng_below(&s->faults, NODES)];
        node->paused = node->up;
        node->resume_ms = s->now_ms + 100 + (int64_t)rng_below(&s->faults, 1500);
    }
    if (rng_below(&s->faults, 300) == 0 && s->state.leader >= 0 && s->state.isr_count > 1) {
        controller_elect(s, s->state.leader);
        controller_publish(s);
    }
}

static void nodes_step(struct sim *s)
{
    for (int n = 0; n < NODES; n++) {
        struct node *node = &s->nodes[n];
        if (!node->up) {
            int64_t down_ms = s->now_ms - s->down_since_ms[n];
            if (down_ms > 200)
                controller_fence(s, n);
            if (s->healing || (down_ms > 50 && rng_below(&s->faults, 500) == 0))
                node_start(s, n);
            continue;
        }
        if (node->paused && (s->healing || s->now_ms >= node->resume_ms))
            node->paused = false;
        if (node->paused)
            continue;
        if (partition_role(node->partition) == PARTITION_FOLLOWER)
            fetch_send(s, n);
        if (s->now_ms % 100 == n) {
            struct partition_effects fx = {0};
            partition_tick(node->partition, s->now_ms, &fx);
            effects(s, n, &fx);
            node->checkpoint = partition_high_watermark(node->partition);
        }
    }
}

static void step(struct sim *s)
{
    struct message *m;
    s->healing = s->now_ms >= FAULTS_UNTIL_MS;
    if (!s->healing)
        faults_step(s);
    nodes_step(s);
    client_step(s);
    while (s->failure[0] == 0 && (m = next_message(s)) != NULL) {
        deliver(s, m);
        message_free(m);
        check_watermark(s);
    }
    parked_check(s);
    if (s->now_ms % 50 == 0)
        check_matching(s);
}

static void sim_init(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    s->seed = seed;
    rng_init(&s->net, seed * 3 + 1);
    rng_init(&s->faults, seed * 3 + 2);
    rng_init(&s->load, seed * 3 + 3);
    memset(s->leader_of_epoch, 0xff, sizeof(s->leader_of_epoch));
    s->state = (struct partition_state){.leader = -1,
                                        .replicas = {0, 1, 2},
                                        .replicas_count = NODES,
                                        .isr = {0, 1, 2},
                                        .isr_count = NODES};
    for (int n = 0; n < NODES; n++) {
        s->nodes[n].disk = disk_new();
        s->nodes[n].fs = disk_fs(s->nodes[n].disk);
        node_start(s, n);
    }
}

static void sim_deinit(struct sim *s)
{
    struct counters seen = s->seen;
    for (int n = 0; n < NODES; n++)
        node_crash(s, n);
    s->seen = seen;
    for (size_t i = 0; i < s->messages.count; i++)
        message_free(s->messages.items[i]);
    for (int n = 0; n < NODES; n++)
        disk_free(s->nodes[n].disk);
    vec_deinit(&s->messages);
    vec_deinit(&s->parked);
    vec_deinit(&s->acked);
}

bool sim_run(struct sim *s, uint64_t seed)
{
    sim_init(s, seed);
    for (s->now_ms = 1; s->now_ms < END_MS && s->failure[0] == 0; s->now_ms++)
        step(s);
    if (s->failure[0] == 0)
        check_end(s);
    sim_deinit(s);
    return s->failure[0] == 0;
}
