/*
 * libraft's life: opening with the settings and the six wraps that make 0.22.1 safe to use, and
 * what its state means for this node on every turn of the loop.
 */
#include <errno.h>
#include <stdlib.h>

#include "coord/quorum_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define HURRIED_TIMEOUT_MS 40u
#define HURRY_MS_MAX       1000

struct append_wrap {
    struct raft_io_append req;
    struct raft_io_append *inner;
    raft_io_append_cb cb;
};

/* A log write that failed must not be followed by one that succeeds: the log would have a hole. */
static void append_done(struct raft_io_append *req, int status)
{
    struct append_wrap *wrap = req->data;
    if (status != 0 && status != RAFT_CANCELED) {
        LOG_ERROR("cannot write the raft log, stopping", "error=\"%s\"", raft_strerror(status));
        abort();
    }
    wrap->cb(wrap->inner, status);
    free(wrap);
}

static int append_wrapped(struct raft_io *io, struct raft_io_append *req,
                          const struct raft_entry entries[], unsigned n, raft_io_append_cb cb)
{
    struct quorum *q = ((struct raft *)io->data)->data;
    struct append_wrap *wrap = mem_zalloc(sizeof(*wrap));
    wrap->req.data = wrap;
    wrap->inner = req;
    wrap->cb = cb;
    int rv = q->io_append(io, &wrap->req, entries, n, append_done);
    if (rv != 0) {
        free(wrap);
        LOG_ERROR("cannot write the raft log, stopping", "error=\"%s\"", raft_strerror(rv));
        abort();
    }
    return rv;
}

static void heard_from(struct quorum *q, raft_id id)
{
    int64_t now_ms = clock_monotonic_ms();
    FOR_EACH (h, q->heard.items, q->heard.count) {
        if (h->id == id) {
            h->at_ms = now_ms;
            return;
        }
    }
    if (q->heard.count >= 64)
        vec_remove(&q->heard, 0);
    struct heard first = {id, now_ms};
    vec_push(&q->heard, first);
}

int64_t raft_side_heard_ms(const struct quorum *q, raft_id id)
{
    FOR_EACH (h, q->heard.items, q->heard.count) {
        if (h->id == id)
            return h->at_ms;
    }
    return -1;
}

/* While this node writes its own snapshot, libraft 0.22.1 crashes on a leader's; it comes again. */
static void recv_wrapped(struct raft_io *io, struct raft_message *message)
{
    struct quorum *q = ((struct raft *)io->data)->data;
    thread_assert(&QUORUM);
    heard_from(q, message->server_id);
    if (message->type == RAFT_INSTALL_SNAPSHOT && q->snapshot.active) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
        return;
    }
    q->recv(io, message);
}

struct snapshot_get_wrap {
    struct raft_io_snapshot_get req;
    struct raft_io_snapshot_get *inner;
    raft_io_snapshot_get_cb cb;
    struct raft_io *io;
    int failures;
};

/*
 * A snapshot that cannot be read makes libraft 0.22.1 free what it never set. It may be gone
 * because a newer one took its place, which is read then; who no longer leads has no use for it.
 */
static void snapshot_got(struct raft_io_snapshot_get *req, struct raft_snapshot *snapshot,
                         int status)
{
    struct snapshot_get_wrap *wrap = req->data;
    struct raft *raft = wrap->io->data;
    struct quorum *q = raft->data;
    if (status != 0) {
        raft_free(snapshot);
        if (raft->state == RAFT_LEADER && ++wrap->failures < 3)
            status = q->io_snapshot_get(wrap->io, &wrap->req, snapshot_got);
        if (status == 0)
            return;
        if (raft->state == RAFT_LEADER) {
            LOG_ERROR("cannot read the metadata snapshot, stopping", "dir=%s error=\"%s\"",
                      q->raft_dir, raft_strerror(status));
            abort();
        }
    } else {
        wrap->cb(wrap->inner, snapshot, 0);
    }
    free(wrap);
}

static int snapshot_get_wrapped(struct raft_io *io, struct raft_io_snapshot_get *req,
                                raft_io_snapshot_get_cb cb)
{
    struct quorum *q = ((struct raft *)io->data)->data;
    struct snapshot_get_wrap *wrap = mem_zalloc(sizeof(*wrap));
    *wrap = (struct snapshot_get_wrap){.inner = req, .cb = cb, .io = io};
    wrap->req.data = wrap;
    int rv = q->io_snapshot_get(io, &wrap->req, snapshot_got);
    if (rv != 0)
        free(wrap);
    return rv;
}

/*
 * libraft 0.22.1 reads a snapshot from disk before it sends it, and keeps the address of the
 * receiver meanwhile as a pointer into its configuration, which a change of the configuration
 * frees.
 */
static int send_wrapped(struct raft_io *io, struct raft_io_send *req,
                        const struct raft_message *message, raft_io_send_cb cb)
{
    struct raft *raft = io->data;
    struct quorum *q = raft->data;
    if (message->type != RAFT_INSTALL_SNAPSHOT)
        return q->io_send(io, req, message, cb);
    if (raft->state != RAFT_LEADER)
        return RAFT_CANCELED;
    FOR_EACH (server, raft->configuration.servers, raft->configuration.n) {
        if (server->id == message->server_id) {
            struct raft_message addressed = *message;
            addressed.server_address = server->address;
            return q->io_send(io, req, &addressed, cb);
        }
    }
    return RAFT_CANCELED;
}

/* libraft looks at its timers as often as it sends heartbeats; more often costs an idle node
 * little, and an election begins sooner. */
static int start_wrapped(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
                         raft_io_recv_cb recv)
{
    struct quorum *q = ((struct raft *)io->data)->data;
    q->recv = recv;
    return q->io_start(io, MAX(msecs / 2, 1U), tick, recv_wrapped);
}

static int raft_failed(struct quorum *q, const char *what, int rv)
{
    LOG_ERROR("cannot start raft", "during=%s dir=%s error=\"%s\" detail=\"%s\"", what, q->raft_dir,
              raft_strerror(rv), q->raft.errmsg);
    return -EIO;
}

int raft_side_open(struct quorum *q)
{
    int rv = raft_uv_init(&q->io, &q->loop, q->raft_dir, transport_raft(q->transport));
    if (rv != 0)
        return raft_failed(q, "init", rv);
    q->io_append = q->io.append;
    q->io_start = q->io.start;
    q->io_send = q->io.send;
    q->io_snapshot_get = q->io.snapshot_get;
    q->io_snapshot_put = q->io.snapshot_put;
    q->io.append = append_wrapped;
    q->io.start = start_wrapped;
    q->io.send = send_wrapped;
    q->io.snapshot_get = snapshot_get_wrapped;
    q->io.snapshot_put = fsm_snapshot_put;
    raft_uv_set_connect_retry_delay(&q->io, 100);
    raft_uv_set_auto_recovery(&q->io, !q->options.voter);
    fsm_init(q);
    rv = raft_init(&q->raft, &q->io, &q->fsm, q->marker.raft_id, q->address);
    if (rv != 0) {
        raft_uv_close(&q->io);
        return raft_failed(q, "init", rv);
    }
    q->raft_opened = true;
    q->raft.data = q;
    raft_set_election_timeout(&q->raft, (unsigned)q->options.election_timeout_ms);
    raft_set_heartbeat_timeout(&q->raft, (unsigned)q->options.heartbeat_ms);
    raft_set_pre_vote(&q->raft, true);
    raft_set_snapshot_threshold(&q->raft, (unsigned)q->options.snapshot_threshold);
    raft_set_snapshot_trailing(&q->raft, (unsigned)q->options.snapshot_trailing);
    raft_set_install_snapshot_timeout(&q->raft, 10000);
    raft_set_max_catch_up_rounds(&q->raft, 100);
    raft_set_max_catch_up_round_duration(&q->raft, 50 * 1000);
    return 0;
}

int raft_side_bootstrap(struct quorum *q)
{
    struct raft_configuration conf;
    raft_configuration_init(&conf);
    int rv = 0;
    for (int i = 0; i < q->options.voters_count && rv == 0; i++) {
        const struct quorum_voter *v = &q->options.voters[i];
        rv = raft_configuration_add(&conf, raft_id_of(v->node_id, 0), v->address, RAFT_VOTER);
    }
    if (rv == 0)
        rv = raft_bootstrap(&q->raft, &conf);
    raft_configuration_close(&conf);
    return rv == 0 || rv == RAFT_CANTBOOTSTRAP ? 0 : raft_failed(q, "bootstrap", rv);
}

int raft_side_start(struct quorum *q)
{
    int rv = raft_start(&q->raft);
    if (rv != 0)
        return raft_failed(q, "start", rv);
    q->raft_running = true;
    return 0;
}

/* --- Elections in a hurry --- */

/*
 * A follower that has a leader gives nobody else its vote before its own timeout is over, so all of
 * them have to hurry: each hears for itself that the leader's process is gone. A false alarm is one
 * more pre-vote that those who hear the leader refuse.
 */
void raft_side_hurry(struct quorum *q)
{
    if (!q->raft_running || raft_state(&q->raft) != RAFT_FOLLOWER)
        return;
    LOG_INFO("the leader's process is gone, electing another", "leader=%d", q->status.leader_id);
    q->hurried_until_ms = clock_monotonic_ms() + HURRY_MS_MAX;
    raft_set_election_timeout(&q->raft, HURRIED_TIMEOUT_MS);
}

void raft_side_calm(struct quorum *q)
{
    if (q->hurried_until_ms == 0)
        return;
    q->hurried_until_ms = 0;
    raft_set_election_timeout(&q->raft, (unsigned)q->options.election_timeout_ms);
}

/* --- Every turn of the loop --- */

struct barrier {
    struct raft_barrier req;
    struct quorum *q;
    raft_term term;
    uint64_t stalls; /* of the pulse, when it was sent */
};

static void ready_done(struct raft_barrier *req, int status)
{
    struct barrier *b = CONTAINER_OF(req, struct barrier, req);
    struct quorum *q = b->q;
    if (status == 0 && b->term == q->lead_term) {
        q->ready = true;
        pulse_confirmed(&q->pulse, b->stalls);
        LOG_INFO("this node leads the quorum", "term=%llu applied=%lld", b->term,
                 (long long)q->applied_index);
    }
    free(b);
}

static void push_done(struct raft_barrier *req, int status)
{
    struct barrier *b = CONTAINER_OF(req, struct barrier, req);
    if (status == 0 && b->term == b->q->lead_term)
        pulse_confirmed(&b->q->pulse, b->stalls);
    b->q->pushing = false;
    free(b);
}

static bool send_barrier(struct quorum *q, raft_term term, raft_barrier_cb cb)
{
    struct barrier *b = mem_zalloc(sizeof(*b));
    b->q = q;
    b->term = term;
    b->stalls = q->pulse.stalls;
    if (raft_barrier(&q->raft, &b->req, cb) == 0)
        return true;
    free(b);
    return false;
}

static void leadership(struct quorum *q)
{
    bool leader = raft_state(&q->raft) == RAFT_LEADER;
    raft_term term = raft_current_term(&q->raft);
    if (q->lead_term != 0 && (!leader || term != q->lead_term)) {
        LOG_INFO("this node no longer leads the quorum", "term=%llu", q->lead_term);
        q->lead_term = 0;
        q->ready = q->forming = q->push_wanted = false;
        pulse_turn(&q->pulse, false, clock_monotonic_ms());
        submit_leadership_lost(q);
    }
    /* Nothing is served before an entry of the own term is applied: only then is all of the past.
     */
    if (leader && q->lead_term == 0 && send_barrier(q, term, ready_done))
        q->lead_term = term;
}

/* Followers hear of a commit with the leader's next message: when nothing else is to be sent, an
 * empty entry makes one, so that they need not wait for a heartbeat. Likewise a leader that is
 * unsure of itself proposes one: committed, it proves that it leads. */
static void push_commit(struct quorum *q)
{
    bool unsure = !atomic_load(&q->pulse.sure);
    if (!(q->push_wanted || unsure) || q->pushing || q->in_flight.active ||
        !list_is_empty(&q->proposals))
        return;
    q->push_wanted = false;
    if (q->ready && (unsure || q->raft.configuration.n > 1))
        q->pushing = send_barrier(q, q->lead_term, push_done);
}

void raft_side_turn(struct quorum *q)
{
    if (raft_state(&q->raft) == RAFT_UNAVAILABLE) {
        LOG_ERROR("raft is unavailable, stopping", "detail=\"%s\"", q->raft.errmsg);
        abort();
    }
    /* Barriers and snapshots move it, too, without a call of the state machine. */
    int64_t last_applied = (int64_t)raft_last_applied(&q->raft);
    if (last_applied > q->applied_index) {
        q->applied_index = last_applied;
        submit_progress(q);
    }
    leadership(q);
    pulse_turn(&q->pulse, q->lead_term != 0, clock_monotonic_ms());
    if (q->hurried_until_ms != 0 && clock_monotonic_ms() >= q->hurried_until_ms)
        raft_side_calm(q);
    if (q->log_bytes > SNAPSHOT_LOG_BYTES && !q->snapshot.active)
        raft_set_snapshot_threshold(&q->raft, 1);
    push_commit(q);
}
