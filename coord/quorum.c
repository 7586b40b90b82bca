/* The quorum's thread: its start and end, the turn of its loop, and what other threads may ask. */
#include "coord/quorum.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coord/image_internal.h"
#include "coord/quorum_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/base/rng.h"

#define TRANSFER_MS_MAX 1000 /* a node that stops waits so long for another Raft leader */

/* --- The turn --- */

static bool status_equal(const struct quorum_status *a, const struct quorum_status *b)
{
    return a->leader == b->leader && a->leader_id == b->leader_id && a->formed == b->formed &&
           a->term == b->term && strcmp(a->leader_address, b->leader_address) == 0 &&
           a->voters_count == b->voters_count &&
           memcmp(a->voters, b->voters, sizeof(a->voters)) == 0;
}

static void publish_status(struct quorum *q)
{
    struct quorum_status now = {.leader_id = -1, .formed = q->formed};
    raft_id id = 0;
    const char *address = NULL;
    raft_leader(&q->raft, &id, &address);
    now.leader = q->ready;
    now.leader_id = id ? raft_id_node(id) : -1;
    snprintf(now.leader_address, sizeof(now.leader_address), "%s", id && address ? address : "");
    now.term = (int64_t)raft_current_term(&q->raft);
    now.applied_index = q->applied_index;
    FOR_EACH (server, q->raft.configuration.servers, (int)q->raft.configuration.n) {
        if (server->role == RAFT_VOTER && now.voters_count < QUORUM_VOTERS_MAX)
            now.voters[now.voters_count++] = raft_id_node(server->id);
    }
    bool changed = !status_equal(&now, &q->status);
    if (!changed && now.applied_index == q->status.applied_index)
        return;
    mutex_lock(&q->lock);
    q->status = now;
    mutex_unlock(&q->lock);
    if (!changed)
        return;
    if (now.leader_id >= 0)
        raft_side_calm(q);
    submit_leader_changed(q);
    if (q->options.callbacks.status_changed != NULL)
        q->options.callbacks.status_changed(q->options.callbacks.arg, &now);
}

static void form_done(void *arg, enum error_code err, struct slice value)
{
    struct quorum *q = arg;
    (void)value;
    if (err != ERR_NONE) {
        LOG_WARN("could not form the cluster, trying again", "error=%s", error_name(err));
        q->forming = false;
    }
}

static void form_cluster(struct quorum *q)
{
    char text[UUID_TEXT_SIZE];
    struct buffer command = {0};
    q->forming = true;
    uuid_to_text(rng_system_uuid(), text);
    struct form_cluster c = {.cluster_id = slice_is_null(q->options.cluster_id)
                                               ? slice_from_text(text)
                                               : q->options.cluster_id,
                             .time_ms = clock_wall_ms(),
                             .configs = q->configs,
                             .configs_count = q->options.configs_count};
    command_encode_form_cluster(&command, &c);
    quorum_submit(q, buffer_slice(&command), 5000, form_done, q);
    buffer_deinit(&command);
}

void quorum_set_cluster_id(struct quorum *q, struct slice cluster_id)
{
    char text[TRANSPORT_TEXT_SIZE];
    if (q->formed)
        return;
    snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(cluster_id));
    if (q->marker.cluster_id[0] != '\0' && strcmp(q->marker.cluster_id, text) != 0) {
        LOG_ERROR("the metadata log belongs to another cluster, stopping", "folder=%s log=%s",
                  q->marker.cluster_id, text);
        abort();
    }
    q->formed = true;
    if (q->marker.cluster_id[0] != '\0')
        return;
    snprintf(q->marker.cluster_id, sizeof(q->marker.cluster_id), "%s", text);
    marker_write(q->dir, &q->marker);
    LOG_INFO("cluster formed", "cluster=%s", text);
}

static void close_now(struct quorum *q);

void quorum_turn(struct quorum *q)
{
    if (q->closing)
        return;
    if (q->raft_running) {
        raft_side_turn(q);
        publish_status(q);
        if (q->ready && !q->formed && !q->forming)
            form_cluster(q);
    }
    submit_turn(q);
    /* libraft forgets a transfer when it steps down meanwhile: nobody would tell us. */
    if (q->transferring &&
        (raft_state(&q->raft) != RAFT_LEADER || clock_monotonic_ms() >= q->transfer_deadline_ms))
        q->close_wanted = true;
    if (q->close_wanted && !q->snapshot.working)
        close_now(q);
}

static void on_prepare(uv_prepare_t *handle)
{
    quorum_turn(handle->data);
}

static void on_check(uv_check_t *handle)
{
    quorum_turn(handle->data);
}

static void on_inbox(uv_poll_t *handle, int status, int events)
{
    (void)status, (void)events;
    struct quorum *q = handle->data;
    thread_assert(&QUORUM);
    inbox_drain(&q->inbox);
}

bool quorum_leads_surely(const struct quorum *q)
{
    return pulse_is_sure(&q->pulse, clock_monotonic_ms());
}

struct leader_gone {
    struct inbox_message message;
    struct quorum *q;
    char address[sizeof(((struct quorum_status *)0)->leader_address)];
};

static void leader_gone_arrived(struct inbox_message *message)
{
    struct leader_gone *g = CONTAINER_OF(message, struct leader_gone, message);
    struct quorum *q = g->q;
    if (!q->stopping && !q->status.leader && strcmp(q->status.leader_address, g->address) == 0)
        raft_side_hurry(q);
    free(g);
}

void quorum_leader_gone(struct quorum *q, const char *address)
{
    struct leader_gone *g = mem_zalloc(sizeof(*g));
    g->message.run = leader_gone_arrived;
    g->q = q;
    snprintf(g->address, sizeof(g->address), "%s", address);
    if (!inbox_post(&q->inbox, &g->message))
        free(g);
}

/* --- The end --- */

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void transport_closed(void *arg)
{
    struct quorum *q = arg;
    uv_close((uv_handle_t *)&q->inbox_poll, handle_closed);
    uv_close((uv_handle_t *)&q->prepare, handle_closed);
    uv_close((uv_handle_t *)&q->check, handle_closed);
    uv_close((uv_handle_t *)&q->submit_timer, handle_closed);
    uv_close((uv_handle_t *)&q->join_timer, handle_closed);
}

static void raft_closed(struct raft *raft)
{
    struct quorum *q = raft->data;
    raft_uv_close(&q->io);
    transport_close(q->transport, transport_closed, q);
}

static void close_now(struct quorum *q)
{
    q->closing = true;
    inbox_close(&q->inbox);
    uv_timer_stop(&q->submit_timer);
    uv_timer_stop(&q->join_timer);
    if (q->raft_opened)
        raft_close(&q->raft, raft_closed);
    else
        transport_close(q->transport, transport_closed, q);
}

static void transferred(struct raft_transfer *req)
{
    struct quorum *q = CONTAINER_OF(req, struct quorum, transfer);
    q->transferring = false;
    q->close_wanted = true;
}

static void stop_arrived(struct inbox_message *message)
{
    struct quorum *q = CONTAINER_OF(message, struct quorum, stop_message);
    q->stopping = true;
    if (!q->abrupt && q->raft_running && raft_state(&q->raft) == RAFT_LEADER &&
        raft_transfer(&q->raft, &q->transfer, 0, transferred) == 0) {
        q->transferring = true;
        q->transfer_deadline_ms = clock_monotonic_ms() + TRANSFER_MS_MAX;
        return;
    }
    q->close_wanted = true;
}

void quorum_free(struct quorum *q)
{
    if (q == NULL)
        return;
    submit_deinit(q);
    transport_free(q->transport);
    metadata_free(q->metadata);
    state_close(q->state);
    if (q->cell != NULL)
        image_cell_free(q->cell);
    if (q->lock_fd >= 0)
        close(q->lock_fd);
    for (int i = 0; i < q->options.voters_count; i++)
        free(q->options.voters[i].address);
    free((void *)q->options.voters);
    free((void *)q->options.bind_address);
    free((void *)q->options.cluster_id.data);
    configs_free(q->configs, q->options.configs_count);
    vec_deinit(&q->heard);
    inbox_deinit(&q->inbox);
    mutex_deinit(&q->lock);
    pthread_cond_destroy(&q->started_cond);
    free(q->dir);
    free(q->raft_dir);
    free(q->address);
    free(q);
}

static void stop(struct quorum *q, bool abrupt)
{
    if (q == NULL)
        return;
    q->abrupt = abrupt;
    q->stop_message.run = stop_arrived;
    state_give_up(q->state);
    inbox_post(&q->inbox, &q->stop_message);
    pthread_join(q->thread, NULL);
}

void quorum_stop(struct quorum *q)
{
    stop(q, false);
}

void quorum_stop_abruptly(struct quorum *q)
{
    stop(q, true);
}

/* --- The start --- */

static void started(struct quorum *q, int err)
{
    mutex_lock(&q->lock);
    q->started = true;
    q->start_err = err;
    pthread_cond_signal(&q->started_cond);
    mutex_unlock(&q->lock);
}

static void handles_init(struct quorum *q)
{
    CHECK(uv_poll_init(&q->loop, &q->inbox_poll, inbox_fd(&q->inbox)) == 0);
    CHECK(uv_prepare_init(&q->loop, &q->prepare) == 0);
    CHECK(uv_check_init(&q->loop, &q->check) == 0);
    CHECK(uv_timer_init(&q->loop, &q->submit_timer) == 0);
    CHECK(uv_timer_init(&q->loop, &q->join_timer) == 0);
    q->inbox_poll.data = q->prepare.data = q->check.data = q;
    q->submit_timer.data = q->join_timer.data = q;
    uv_poll_start(&q->inbox_poll, UV_READABLE, on_inbox);
    uv_prepare_start(&q->prepare, on_prepare);
    uv_check_start(&q->check, on_check);
}

static void adopt_fd(void *arg, int fd)
{
    struct quorum *q = arg;
    if (q->options.callbacks.adopt != NULL && !q->stopping)
        q->options.callbacks.adopt(q->options.callbacks.arg, fd);
    else
        close(fd);
}

static void run(void *arg)
{
    struct quorum *q = arg;
    thread_assert(&QUORUM);
    struct transport_callbacks callbacks = {.arg = q,
                                            .adopt = adopt_fd,
                                            .introduce = join_introduce,
                                            .admit = join_admit,
                                            .asked = join_asked};
    CHECK(uv_loop_init(&q->loop) == 0);
    int timeout_ms = MAX(1000, 4 * q->options.election_timeout_ms);
    int err =
        transport_open(&q->loop, q->options.bind_address, timeout_ms, &callbacks, &q->transport);
    if (err == 0) {
        handles_init(q);
        err = join_start(q);
        if (err != 0)
            close_now(q);
        else
            started(q, 0);
        uv_run(&q->loop, UV_RUN_DEFAULT);
    }
    inbox_close(&q->inbox);
    inbox_drain(&q->inbox); /* late ones are answered: the stop flag is set */
    CHECK(uv_loop_close(&q->loop) == 0);
    submit_fail_all(q);
    if (err != 0)
        started(q, err);
}

static int marker_check(struct quorum *q)
{
    int err = marker_read(q->dir, &q->marker);
    if (err != 0)
        return err;
    const char *wanted = (const char *)q->options.cluster_id.data;
    if (q->marker.node_id >= 0 && q->marker.node_id != q->options.node_id) {
        LOG_ERROR("the quorum folder belongs to another node", "dir=%s node=%d this=%d", q->dir,
                  q->marker.node_id, q->options.node_id);
        return -EINVAL;
    }
    if (wanted != NULL && q->marker.cluster_id[0] != '\0' &&
        strcmp(wanted, q->marker.cluster_id) != 0) {
        LOG_ERROR("the quorum folder belongs to another cluster", "dir=%s cluster=%s this=%s",
                  q->dir, q->marker.cluster_id, wanted);
        return -EINVAL;
    }
    q->marker.node_id = q->options.node_id;
    return 0;
}

static int folder_open(struct quorum *q)
{
    char path[4096];
    if ((mkdir(q->dir, 0755) != 0 && errno != EEXIST) ||
        (mkdir(q->raft_dir, 0755) != 0 && errno != EEXIST)) {
        LOG_ERROR("cannot make the quorum folder", "dir=%s error=\"%s\"", q->raft_dir,
                  strerror(errno));
        return -errno;
    }
    q->lock_fd = marker_lock(q->dir);
    if (q->lock_fd < 0)
        return q->lock_fd;
    int err = marker_check(q);
    if (err != 0)
        return err;
    snprintf(path, sizeof(path), "%s/metadata.db", q->dir);
    return state_open(path, q->options.callbacks.disk_full, q->options.callbacks.arg, &q->state);
}

/* The caller's strings need not outlive quorum_start(). */
static void options_copy(struct quorum *q, const struct quorum_options *o)
{
    q->options = *o;
    struct quorum_voter *voters = mem_zalloc(((size_t)o->voters_count + 1) * sizeof(*voters));
    for (int i = 0; i < o->voters_count; i++) {
        voters[i] = (struct quorum_voter){o->voters[i].node_id, mem_strdup(o->voters[i].address)};
        if (o->address == NULL && o->voter && o->voters[i].node_id == o->node_id)
            q->address = mem_strdup(o->voters[i].address);
    }
    if (q->address == NULL)
        q->address = mem_strdup(o->address ? o->address : o->bind_address);
    q->options.address = q->address;
    q->options.voters = voters;
    q->options.bind_address = mem_strdup(o->bind_address);
    q->options.cluster_id = slice_from_text(slice_to_text(o->cluster_id));
    q->configs = configs_copy(o->configs, o->configs_count);
    q->options.configs = q->configs;
    if (q->options.election_timeout_ms <= 0)
        q->options.election_timeout_ms = 250;
    if (q->options.heartbeat_ms <= 0)
        q->options.heartbeat_ms = 100;
    pulse_init(&q->pulse,
               pulse_still_ms_max(q->options.election_timeout_ms, q->options.heartbeat_ms),
               clock_monotonic_ms());
    if (q->options.snapshot_threshold <= 0)
        q->options.snapshot_threshold = SNAPSHOT_THRESHOLD;
    if (q->options.snapshot_trailing <= 0)
        q->options.snapshot_trailing = SNAPSHOT_TRAILING;
}

static struct quorum *quorum_new(const struct quorum_options *options)
{
    struct quorum *q = mem_zalloc(sizeof(*q));
    char path[4096];
    q->lock_fd = -1;
    q->status.leader_id = -1;
    mutex_init(&q->lock);
    CHECK(pthread_cond_init(&q->started_cond, NULL) == 0);
    q->dir = mem_strdup(options->dir);
    snprintf(path, sizeof(path), "%s/raft", options->dir);
    q->raft_dir = mem_strdup(path);
    q->cell = image_cell_new();
    options_copy(q, options);
    submit_init(q);
    return q;
}

int quorum_start(const struct quorum_options *options, struct quorum **quorum)
{
    *quorum = NULL;
    signal(SIGPIPE, SIG_IGN); /* libuv writes to sockets of dead peers */
    struct quorum *q = quorum_new(options);
    int err = inbox_init(&q->inbox);
    CHECK(err == 0);
    err = folder_open(q);
    if (err == 0)
        err = thread_start(&q->thread, &QUORUM, "quorum", run, q);
    if (err == 0) {
        mutex_lock(&q->lock);
        while (!q->started)
            pthread_cond_wait(&q->started_cond, &q->lock.m);
        err = q->start_err;
        mutex_unlock(&q->lock);
        if (err != 0)
            pthread_join(q->thread, NULL);
    }
    if (err != 0) {
        quorum_free(q);
        return err;
    }
    *quorum = q;
    return 0;
}

/* --- Any thread --- */

struct image *quorum_image(struct quorum *q)
{
    return image_cell_get(q->cell);
}

void quorum_status(struct quorum *q, struct quorum_status *out)
{
    mutex_lock(&q->lock);
    *out = q->status;
    mutex_unlock(&q->lock);
}

void quorum_add_standby(struct quorum *q, int32_t node_id, struct slice address)
{
    /* A node asks for itself, because only it knows its Raft id (quorum_join.c). */
    (void)q, (void)node_id, (void)address;
}

int quorum_read_offset(struct quorum *q, struct slice group, struct slice topic, int32_t partition,
                       struct arena *arena, struct committed_offset *out)
{
    return state_read_offset(q->state, group, topic, partition, arena, out);
}

int quorum_read_offsets(struct quorum *q, struct slice group, struct arena *arena,
                        struct committed_offset **out, int *count)
{
    return state_read_offsets(q->state, group, arena, out, count);
}

int quorum_read_group(struct quorum *q, struct slice group, struct arena *arena, struct slice *blob)
{
    return state_read_group(q->state, group, arena, blob);
}

int quorum_list_groups(struct quorum *q, struct arena *arena, struct slice **ids, int *count)
{
    return state_list_groups(q->state, arena, ids, count);
}

int quorum_read_pending_offsets(struct quorum *q, struct slice group, struct arena *arena,
                                struct committed_offset **out, int *count)
{
    return state_read_pending_offsets(q->state, group, arena, out, count);
}

int quorum_read_txn(struct quorum *q, struct slice id, struct arena *arena, struct slice *blob)
{
    return state_read_txn(q->state, id, arena, blob);
}

int quorum_list_txns(struct quorum *q, int state_min, int state_max, struct arena *arena,
                     struct stored_txn **out, int *count)
{
    return state_list_txns(q->state, state_min, state_max, arena, out, count);
}
