/* A node's shell: what broker/ does around the partition, with one partition and no threads. */
#include <errno.h>
#include <stdlib.h>

#include "coord/topic_config.h"
#include "proto/records.h"
#include "tests/sim/sim.h"

#define LOG_FOLDER       "t-0"
#define FETCH_BYTES      2048
#define FETCH_TIMEOUT_MS 150
#define BATCH_COMMANDS   8
#define BATCH_REPEAT_MS  250
#define COMMAND_LIMIT_MS 1500

static void node_propose(struct sim *s, int n, const struct isr_proposal *isr)
{
    struct node *node = &s->nodes[n];
    struct command_isr_member members[REPLICAS_MAX];
    struct buffer command = {0};
    for (int i = 0; i < isr->isr_count; i++)
        members[i] = (struct command_isr_member){isr->isr[i], isr->broker_epochs[i]};
    struct alter_partition c = {.node_id = n,
                                .broker_epoch = node->broker_epoch,
                                .topic_id = isr->topic_id,
                                .partition = isr->partition,
                                .leader_epoch = isr->leader_epoch,
                                .partition_epoch = isr->partition_epoch,
                                .isr = members,
                                .isr_count = isr->isr_count};
    command_encode_alter_partition(&command, &c);
    node_submit(s, n, COMMAND_ALTER_PARTITION, &command)->proposal = *isr;
    provoke(s, n, isr->isr[isr->isr_count - 1]);
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

static void effects(struct sim *s, int n, const struct partition_effects *fx)
{
    if (fx->appended)
        flush_start(s, n);
    if (fx->propose)
        node_propose(s, n, &fx->proposal);
}

/* An error of the disk that was not asked for; a log that failed ends the process, as with a single
 * folder. */
static void storage(struct sim *s, int n, enum error_code err, const char *doing)
{
    struct node *node = &s->nodes[n];
    if (err != ERR_KAFKA_STORAGE_ERROR || disk_stopped(node->disk))
        return;
    if (log_is_failed(partition_log(node->partition)))
        node_crash(s, n, false);
    else if (!node->full)
        fail(s, "node %d: the disk refuses %s", n, doing);
}

/* --- Life --- */

static struct partition_config config_of(const struct sim *s, const struct image *img)
{
    struct partition_config c = {.log = log_config_default(),
                                 .min_insync_replicas = 1,
                                 .write_caching = s->plan.write_caching,
                                 .replica_lag_time_max_ms = s->plan.lag_ms};
    const struct image_topic *topic = img ? image_find_topic(img, SLICE(TOPIC)) : NULL;
    c.log.segment_bytes = 4096;
    if (topic != NULL)
        c.min_insync_replicas =
            (int32_t)topic_config_number(img, topic, "min.insync.replicas", NULL);
    return c;
}

uint64_t node_connection(const struct sim *s, int n)
{
    return (uint64_t)s->nodes[n].incarnation * ENDPOINTS + (uint64_t)n + 1;
}

void node_start(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct partition_config config = config_of(s, NULL);
    bool clean = node->clean_file >= 0 || (MUTANT(MUTANT_TRUST_STALE_MARKER) && node->sequence > 0);
    struct log *log;
    bool excused = disk_is_faulty(node->disk);
    node->incarnation++;
    node->clean_epoch = node->clean_file;
    node->clean_file = -1; /* from now on a crash is a crash */
    node->former_epoch = MAX(node->former_epoch, node->broker_epoch);
    node->broker_epoch = -1;
    enum error_code err = log_open(LOG_FOLDER, &node->fs, &config.log, (struct uuid){{9}}, clean,
                                   node->recovery_file, s->now_ms, &log);
    if (err != ERR_NONE) {
        if (!excused || err != ERR_KAFKA_STORAGE_ERROR)
            fail(s, "node %d cannot open its log: %s", n, error_name(err));
        s->seen.inside++;
        (void)disk_crash(node->disk, &s->faults);
        node->start_ms = s->now_ms + 20;
        return;
    }
    trace(s, "node %d starts: clean=%d start=%lld end=%lld", n, clean,
          (long long)log_start_offset(log), (long long)log_end_offset(log));
    node->up = true;
    node->paused = node->flushing = node->stopping = false;
    memset(node->fetch_id, 0, sizeof(node->fetch_id));
    node->hello_ms = 0;
    node->next_producer_id = node->producer_ids_end = 0;
    node->partition =
        partition_new(n, SLICE(TOPIC), (struct uuid){{9}}, 0, &config, log, node->watermark_file);
    quorum_catch_up(s, n);
}

static void queue_clear(struct node *node)
{
    FOR_EACH (q, node->queue.items, node->queue.count)
        buffer_deinit(&q->command);
    vec_clear(&node->queue);
    node->batch_count = 0;
}

/* What is in memory goes. */
static void node_forget(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    uint64_t connection = node_connection(s, n);
    partition_free(node->partition);
    node->partition = NULL;
    node->up = node->paused = false;
    vec_clear(&node->parked);
    queue_clear(node);
    image_unref(node->applied);
    image_unref(node->wired);
    node->applied = node->wired = NULL;
    node->applied_index = 0;
    bool quick = rng_below(&s->faults, 3) == 0;
    node->start_ms = s->now_ms + 3 + (int64_t)rng_below(&s->faults, quick ? 40 : 1500);
    quorum_node_died(s, n, connection);
}

void node_crash(struct sim *s, int n, bool wipe)
{
    struct node *node = &s->nodes[n];
    if (!node->up)
        return;
    trace(s, "node %d dies%s: end=%lld flushed=%lld watermark=%lld", n, wipe ? ", disk lost" : "",
          (long long)log_end_offset(partition_log(node->partition)),
          (long long)log_flushed_end_offset(partition_log(node->partition)),
          (long long)partition_high_watermark(node->partition));
    for (size_t i = 0; i < s->messages.count; i++) {
        struct message *m = s->messages.items[i];
        if (m->kind == MSG_FLUSH && m->to == n && m->incarnation == node->incarnation &&
            log_flush_end(partition_log(node->partition), &m->flush, -EIO) == ERR_NONE &&
            !MUTANT(MUTANT_SYNC_ERROR_IGNORED))
            fail(s, "a failed flush succeeded");
    }
    node->lossy = true;
    node_forget(s, n);
    s->seen.crashes++;
    s->seen.lost_bytes += disk_crash(node->disk, &s->faults);
    if (!wipe)
        return;
    s->seen.wipes++;
    disk_free(node->disk);
    node->disk = disk_new();
    node->fs = disk_fs(node->disk);
    node->watermark_file = node->recovery_file = 0;
}

/* Everything flushed, the marker written. */
static void node_stop(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct log *log = partition_log(node->partition);
    struct log_flush flush = {0};
    enum error_code err = ERR_NONE;
    while (err == ERR_NONE && log_flush_begin(log, &flush))
        err = log_flush_end(log, &flush, log_flush_sync(log, &flush));
    if (err == ERR_NONE)
        err = log_checkpoint(log);
    if (err != ERR_NONE) {
        node_crash(s, n, false);
        return;
    }
    trace(s, "node %d stops", n);
    node->watermark_file = partition_high_watermark(node->partition);
    node->recovery_file = log_flushed_end_offset(log);
    node->clean_file = node->broker_epoch;
    node_forget(s, n);
    s->seen.clean_stops++;
    (void)disk_crash(node->disk, &s->faults); /* what it said is durable is so */
}

/* --- Commands --- */

struct queued *node_submit(struct sim *s, int n, enum command_kind kind, struct buffer *command)
{
    struct node *node = &s->nodes[n];
    vec_push(&node->queue, ((struct queued){*command, kind, .since_ms = s->now_ms}));
    return &node->queue.items[node->queue.count - 1];
}

static void batch_send(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct slice commands[BATCH_COMMANDS];
    struct message *m = message_new(MSG_BATCH, n, CONTROLLER);
    struct command_batch batch = {.node_id = n,
                                  .incarnation = {{(uint8_t)n + 1}},
                                  .sequence = node->sequence,
                                  .commands = commands,
                                  .commands_count = node->batch_count};
    memcpy(batch.incarnation.bytes + 8, &node->incarnation, sizeof(node->incarnation));
    for (int i = 0; i < node->batch_count; i++)
        commands[i] = buffer_slice(&node->queue.items[i].command);
    command_batch_encode(&m->bytes, &batch);
    m->id = node->sequence;
    node->batch_sent_ms = s->now_ms;
    post(s, m);
}

static void command_done(struct sim *s, int n, const struct queued *q, enum error_code err,
                         int64_t value)
{
    struct node *node = &s->nodes[n];
    switch (q->kind) {
    case COMMAND_ALTER_PARTITION:
        if (err == ERR_NONE)
            break;
        s->seen.refused_proposals++;
        partition_proposal_failed(node->partition, &q->proposal, err, s->now_ms);
        break;
    case COMMAND_COMMIT_OFFSETS:
        commit_answer(s, n, q->id, err);
        break;
    case COMMAND_ALLOCATE_PRODUCER_IDS:
        if (err != ERR_NONE)
            break;
        node->next_producer_id = value;
        node->producer_ids_end = value + PRODUCER_ID_BLOCK;
        producer_id_answer(s, n, q->id);
        break;
    default:
        CHECK(false);
    }
}

static void submit_step(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    for (size_t i = 0; i < node->queue.count; i++) {
        struct queued *q = &node->queue.items[i];
        if (q->timed_out || s->now_ms - q->since_ms < COMMAND_LIMIT_MS)
            continue;
        q->timed_out = true; /* it may still happen */
        command_done(s, n, q, ERR_REQUEST_TIMED_OUT, -1);
    }
    if (node->batch_count == 0 && node->queue.count > 0) {
        node->batch_count = (int)MIN(node->queue.count, BATCH_COMMANDS);
        node->sequence++;
        batch_send(s, n);
    } else if (node->batch_count > 0 && s->now_ms - node->batch_sent_ms > BATCH_REPEAT_MS) {
        batch_send(s, n);
    }
}

static void results_take(struct sim *s, int n, const struct batch_results *results)
{
    struct node *node = &s->nodes[n];
    if (node->batch_count == 0 || results->sequence != node->sequence)
        return;
    CHECK(results->count == node->batch_count);
    node->batch_count = 0;
    for (int i = 0; i < results->count; i++) {
        struct queued q = node->queue.items[0];
        vec_remove(&node->queue, 0);
        if (!q.timed_out)
            command_done(s, n, &q, results->codes[i], results->values[i]);
        buffer_deinit(&q.command);
    }
}

/* --- The metadata --- */

static struct uuid incarnation_of(const struct sim *s, int n)
{
    struct uuid id = {{(uint8_t)n + 1}};
    memcpy(id.bytes + 8, &s->nodes[n].incarnation, sizeof(int64_t));
    return id;
}

bool node_registered(const struct sim *s, int n, const struct image *img)
{
    const struct image_broker *b = image_find_broker(img, n);
    return b != NULL && uuid_equal(b->incarnation, incarnation_of(s, n));
}

static void state_of(const struct image_partition *p, struct partition_state *out)
{
    *out = (struct partition_state){.leader = p->leader,
                                    .leader_epoch = p->leader_epoch,
                                    .partition_epoch = p->partition_epoch,
                                    .replicas_count = p->replicas_count,
                                    .isr_count = p->isr_count};
    memcpy(out->replicas, p->replicas, (size_t)p->replicas_count * sizeof(int32_t));
    memcpy(out->isr, p->isr, (size_t)p->isr_count * sizeof(int32_t));
}

static void roles_apply(struct sim *s, int n, const struct image *img)
{
    struct node *node = &s->nodes[n];
    const struct image_topic *topic = image_find_topic(img, SLICE(TOPIC));
    const struct image_partition *p = topic ? image_find_partition(topic, 0) : NULL;
    struct partition_config config = config_of(s, img);
    struct partition_effects fx = {0};
    struct partition_state state;
    if (p == NULL || n >= REPLICAS)
        return;
    state_of(p, &state);
    partition_configure(node->partition, &config);
    enum error_code err = partition_apply(node->partition, &state, s->now_ms, &fx);
    if (disk_stopped(node->disk))
        return;
    effects(s, n, &fx);
    if (fx.role_changed) {
        trace(s, "node %d %s in epoch %d (leader %d): end=%lld watermark=%lld", n,
              state.leader == n ? "leads" : "follows", state.leader_epoch, state.leader,
              (long long)log_end_offset(partition_log(node->partition)),
              (long long)partition_high_watermark(node->partition));
        provoke(s, n, state.leader >= 0 ? state.leader : n);
    }
    if (partition_role(node->partition) == PARTITION_LEADER)
        check_leads(s, n, partition_leader_epoch(node->partition));
    storage(s, n, err, "a role");
}

static void image_take(struct sim *s, int n, struct message *m)
{
    struct node *node = &s->nodes[n];
    bool ours = node_registered(s, n, m->img) || MUTANT(MUTANT_OLD_IMAGE_GIVES_ROLES);
    if (!ours || m->img == node->wired ||
        (node->wired != NULL && m->img->index < node->wired->index))
        return;
    image_unref(node->wired);
    node->wired = m->img;
    m->img = NULL;
    roles_apply(s, n, node->wired);
}

static void entry_take(struct sim *s, int n, struct message *m)
{
    struct node *node = &s->nodes[n];
    struct message *image = message_new(MSG_IMAGE, n, n);
    node->applied_index = m->id;
    image_unref(node->applied);
    node->applied = image_ref(m->img);
    image->img = image_ref(m->img);
    post(s, image);
    results_take(s, n, &m->results);
}

static void hello_send(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct message *m = message_new(MSG_HELLO, n, CONTROLLER);
    bool trusted = MUTANT(MUTANT_TRUST_STALE_MARKER) && node->former_epoch >= 0;
    node->hello_ms = s->now_ms;
    m->endpoint =
        (struct image_endpoint){SLICE("PLAINTEXT"), SLICE("host"), (int32_t)(9000 + n), 0};
    m->hello = (struct controller_hello){
        .broker = {.node_id = n,
                   .incarnation = incarnation_of(s, n),
                   .clean_epoch = trusted ? node->former_epoch : node->clean_epoch},
        .want_shutdown = node->stopping,
        .applied_index = node->applied_index,
        .connection = node_connection(s, n)};
    post(s, m);
}

static void welcome_take(struct sim *s, int n, const struct message *m)
{
    struct node *node = &s->nodes[n];
    if (m->answer.error_code != ERR_NONE || m->answer.broker_epoch < 0)
        return;
    node->broker_epoch = m->answer.broker_epoch;
    if (node->stopping && m->answer.should_shutdown)
        node->stop_by_ms = s->now_ms;
}

/* --- Fetching --- */

static void fetch_send(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct follower_fetch f = {.replica = n, .broker_epoch = node->broker_epoch};
    if (!partition_fetch_position(node->partition, &f.fetch_offset, &f.last_fetched_epoch,
                                  &f.leader_epoch))
        return;
    int leader = partition_leader(node->partition);
    if (node->fetch_id[leader] != 0 && s->now_ms - node->fetch_sent_ms[leader] < FETCH_TIMEOUT_MS)
        return;
    f.log_start_offset = log_start_offset(partition_log(node->partition));
    struct message *m = message_new(MSG_FETCH, n, leader);
    m->fetch = f;
    m->id = node->fetch_id[leader] = (int64_t)++s->order;
    node->fetch_sent_ms[leader] = s->now_ms;
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
    answer->incarnation = m->from_incarnation;
    enum error_code err = partition_check_leader(p, m->fetch.leader_epoch);
    if (err == ERR_NONE)
        err = partition_read(p, m->fetch.fetch_offset, m->fetch.last_fetched_epoch, READ_TO_LOG_END,
                             FETCH_BYTES, true, &read);
    if (err == ERR_NONE) {
        copy_range(node, &read.log.range, &answer->bytes);
        err = partition_follower_fetched(p, &m->fetch, s->now_ms, &fx);
        effects(s, n, &fx);
    }
    s->seen.fenced_fetches += err == ERR_FENCED_LEADER_EPOCH || err == ERR_UNKNOWN_LEADER_EPOCH;
    s->seen.stale_broker_fetches += err == ERR_STALE_BROKER_EPOCH;
    bool diverging = err == ERR_NONE && read.diverging;
    answer->fetched = (struct fetched){.error_code = err,
                                       .leader_epoch = m->fetch.leader_epoch,
                                       .high_watermark = partition_high_watermark(p),
                                       .log_start_offset = log_start_offset(partition_log(p)),
                                       .diverging_epoch = diverging ? read.diverging_epoch : -1,
                                       .diverging_end_offset = read.diverging_end_offset};
    post(s, answer);
}

/* One connection a leader: what was not answered in time is given up, and so is its answer. */
static void fetch_take(struct sim *s, int n, struct message *m)
{
    struct node *node = &s->nodes[n];
    if (m->id != node->fetch_id[m->from])
        return;
    node->fetch_id[m->from] = 0;
    int64_t end = log_end_offset(partition_log(node->partition));
    struct partition_effects fx = {0};
    m->fetched.records = buffer_slice(&m->bytes);
    enum error_code err = partition_fetched(node->partition, &m->fetched, s->now_ms, &fx);
    if (err == ERR_CORRUPT_MESSAGE)
        fail(s, "node %d cannot append what it fetched", n);
    int64_t now = log_end_offset(partition_log(node->partition));
    s->seen.truncations += now < end;
    if (now < end) {
        trace(s, "node %d truncates from %lld to %lld", n, (long long)end, (long long)now);
        provoke(s, n, m->from);
    }
    effects(s, n, &fx);
    storage(s, n, err, "what was fetched");
}

static void flush_done(struct sim *s, int n, struct message *m)
{
    struct node *node = &s->nodes[n];
    struct partition_effects fx = {0};
    struct log *log = partition_log(node->partition);
    int err = log_flush_sync(log, &m->flush);
    node->flushing = false;
    if (log_flush_end(log, &m->flush, err) != ERR_NONE) {
        s->seen.sync_failures += !disk_stopped(node->disk);
        storage(s, n, ERR_KAFKA_STORAGE_ERROR, "a sync");
        return;
    }
    partition_flushed(node->partition, s->now_ms, &fx);
    effects(s, n, &fx);
    flush_start(s, n);
}

/* --- Producing --- */

static void produce_answer(struct sim *s, int n, const struct parked *w, enum error_code err)
{
    struct message *m = message_new(MSG_PRODUCED, n, CLIENT);
    m->id = w->id;
    m->producer = w->producer;
    m->err = err;
    m->offset = w->base_offset;
    post(s, m);
}

void produce_take(struct sim *s, int n, struct message *m)
{
    struct node *node = &s->nodes[n];
    struct partition *p = node->partition;
    struct partition_append_result result;
    struct partition_effects fx = {0};
    struct batch_header header;
    CHECK(batch_header_decode(buffer_slice(&m->bytes), &header) == 0);
    enum error_code err = partition_append(p, m->bytes.data, m->bytes.size, &header, m->acks,
                                           s->now_ms, &result, &fx);
    effects(s, n, &fx);
    s->seen.refused_under_min += err == ERR_NOT_ENOUGH_REPLICAS;
    s->seen.duplicates += err == ERR_NONE && result.duplicate;
    struct parked w = {partition_leader_epoch(p), result.base_offset, result.end_offset, m->id,
                       m->producer};
    if (m->acks == -1 && err == ERR_NONE)
        vec_push(&node->parked, w);
    else if (m->acks == -1)
        produce_answer(s, n, &w, err);
    storage(s, n, err, "an append");
}

void parked_check(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct partition *p = node->partition;
    for (size_t i = 0; i < node->parked.count;) {
        struct parked w = node->parked.items[i];
        enum error_code err = ERR_NOT_LEADER_OR_FOLLOWER;
        if (partition_role(p) == PARTITION_LEADER && partition_leader_epoch(p) == w.leader_epoch) {
            bool done = partition_high_watermark(p) >= w.end_offset;
            if (!done && !partition_is_under_min_isr(p)) {
                i++;
                continue;
            }
            s->seen.refused_after_append += !done;
            err = done ? ERR_NONE : ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        }
        produce_answer(s, n, &w, err);
        vec_remove(&node->parked, i);
    }
}

/* --- Turn --- */

static void take(struct sim *s, int n, struct message *m)
{
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
    case MSG_FLUSH:
        flush_done(s, n, m);
        break;
    case MSG_WELCOME:
        welcome_take(s, n, m);
        break;
    case MSG_ENTRY:
        entry_take(s, n, m);
        break;
    case MSG_IMAGE:
        image_take(s, n, m);
        break;
    case MSG_COMMIT:
        commit_take(s, n, m);
        break;
    case MSG_PRODUCER_ID:
        producer_id_take(s, n, m);
        break;
    default:
        CHECK(false);
    }
}

/* Its disk stood still in the middle: it died there, and what it did afterwards did not happen. */
static void die_inside(struct sim *s, int n, uint64_t order)
{
    if (!s->nodes[n].up || !disk_stopped(s->nodes[n].disk))
        return;
    s->seen.inside++;
    unsend(s, n, order);
    node_crash(s, n, false);
}

void node_take(struct sim *s, int n, struct message *m)
{
    uint64_t order = s->order;
    take(s, n, m);
    if (s->nodes[n].up)
        parked_check(s, n);
    die_inside(s, n, order);
}

static void tick(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    struct partition_effects fx = {0};
    partition_tick(node->partition, s->now_ms, &fx);
    effects(s, n, &fx);
    node->watermark_file = partition_high_watermark(node->partition);
    node->recovery_file = log_flushed_end_offset(partition_log(node->partition));
    flush_start(s, n);
}

static void node_down_step(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    if (s->now_ms < node->start_ms && !s->healing)
        return;
    if (!s->healing && s->plan.every_ms[FAULT_CRASH_INSIDE] > 0 && may_crash(s, n) &&
        rng_below(&s->faults, 5) == 0)
        disk_stop_after(node->disk, (int)rng_below(&s->faults, 12));
    node_start(s, n);
}

void node_step(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    uint64_t order = s->order;
    if (node->full && (s->healing || s->now_ms >= node->full_until_ms)) {
        node->full = false;
        disk_set_full(node->disk, false);
    }
    if (!node->up) {
        node_down_step(s, n);
        return;
    }
    if (node->paused && (s->healing || s->now_ms >= node->resume_ms))
        node->paused = false;
    if (node->paused)
        return;
    if (log_is_failed(partition_log(node->partition)) && !disk_stopped(node->disk)) {
        node_crash(s, n, false); /* an operation failed whose error nobody looks at */
        return;
    }
    if (node->stopping && s->now_ms >= node->stop_by_ms && !node->flushing) {
        node_stop(s, n);
        return;
    }
    fetch_send(s, n);
    if (s->now_ms - node->hello_ms >= 40)
        hello_send(s, n);
    submit_step(s, n);
    if (s->now_ms % 50 == n)
        tick(s, n);
    parked_check(s, n);
    die_inside(s, n, order);
}
