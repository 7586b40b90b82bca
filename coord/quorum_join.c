/*
 * First start and coming back: who may form a cluster, and how a node without a log gets one.
 *
 *   no log, no vote ever given here: ask the voters (PROBING)
 *       all are empty, or a majority for a while -> bootstrap with the configured voters, Raft id
 *                                                   by node id
 *       one belongs to a cluster -> a fresh Raft id, start empty, ask the leader (ASKING): it
 *                                   removes the old id, adds the new one, as standby, and gives
 *                                   a voter its vote once it has caught up
 *   a log: start; if no leader shows up for a while, ask (removed meanwhile, or moved)
 *
 * A voter that lost its disk would forget whom it voted for: so its old Raft id never comes back.
 * The wire: transport.h. A majority of empty voters forms a new cluster even where others still
 * have data: whoever wipes a majority has lost the cluster.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coord/quorum_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/base/rng.h"

#define PROBE_MS        50   /* between rounds of questions */
#define WATCH_MS        500  /* between looks at whether there is a leader */
#define LEADERLESS_MS   2000 /* then ask */
#define MAJORITY_MS     2000 /* how long a majority waits for the rest before it forms a cluster */
#define COMPLAIN_MS     10000
#define GENERATION_MASK 0x7fffffffu

enum join_status {
    STATUS_EMPTY,   /* no log, never had one: may form a cluster */
    STATUS_WAITING, /* no cluster, and may not form one */
    STATUS_FORMING, /* has the first log of a cluster, not yet its id */
    STATUS_FORMED,
    STATUS_JOINED,  /* JOIN: you are what you wanted to be */
    STATUS_PENDING, /* JOIN: ask again */
    STATUS_NOT_LEADER,
    STATUS_REFUSED
};

static void timer_set(struct quorum *q, uint64_t ms);

void join_introduce(void *arg, struct transport_hello *out)
{
    struct quorum *q = arg;
    *out = (struct transport_hello){.node_id = q->options.node_id,
                                    .from = q->raft_opened ? q->marker.raft_id : 0,
                                    .voter = q->options.voter};
    snprintf(out->cluster_id, sizeof(out->cluster_id), "%s", q->marker.cluster_id);
    snprintf(out->address, sizeof(out->address), "%s", q->address);
}

bool join_admit(void *arg, const struct transport_hello *hello)
{
    struct quorum *q = arg;
    const char *reason = NULL;
    if (hello->to != q->marker.raft_id)
        reason = "meant for another raft id";
    else if (hello->from == 0 || raft_id_node(hello->from) != hello->node_id)
        reason = "raft id of another node";
    else if (hello->cluster_id[0] != '\0' && q->marker.cluster_id[0] != '\0' &&
             strcmp(hello->cluster_id, q->marker.cluster_id) != 0)
        reason = "another cluster";
    if (reason == NULL)
        return true;
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - q->join.complained_ms >= COMPLAIN_MS) {
        q->join.complained_ms = now_ms;
        LOG_WARN("quorum connection refused", "node=%d cluster=%s reason=\"%s\"", hello->node_id,
                 hello->cluster_id, reason);
    }
    return false;
}

/* --- The leader takes a node in, one step a question --- */

struct change_request {
    struct raft_change req;
    struct quorum *q;
};

static void change_done(struct raft_change *req, int status)
{
    struct change_request *c = CONTAINER_OF(req, struct change_request, req);
    c->q->join.changing = false;
    if (status != 0)
        LOG_WARN("could not change the quorum's configuration", "error=\"%s\"",
                 raft_strerror(status));
    free(c);
}

static int change_add(struct quorum *q, raft_id id, const char *address)
{
    struct change_request *c = mem_zalloc(sizeof(*c));
    c->q = q;
    int rv = raft_add(&q->raft, &c->req, id, address, change_done);
    if (rv != 0)
        free(c);
    return rv;
}

static int change_assign(struct quorum *q, raft_id id, int role)
{
    struct change_request *c = mem_zalloc(sizeof(*c));
    c->q = q;
    int rv = raft_assign(&q->raft, &c->req, id, role, change_done);
    if (rv != 0)
        free(c);
    return rv;
}

static int change_remove(struct quorum *q, raft_id id)
{
    struct change_request *c = mem_zalloc(sizeof(*c));
    c->q = q;
    int rv = raft_remove(&q->raft, &c->req, id, change_done);
    if (rv != 0)
        free(c);
    return rv;
}

static bool may_vote(const struct quorum *q, int32_t node_id)
{
    for (int i = 0; i < q->options.voters_count; i++) {
        if (q->options.voters[i].node_id == node_id)
            return true;
    }
    return false;
}

static const struct raft_server *server_find(const struct quorum *q, raft_id id)
{
    FOR_EACH (s, q->raft.configuration.servers, (int)q->raft.configuration.n) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

/* Another identity of the same node, or another node at the same address. */
static const struct raft_server *server_in_the_way(const struct quorum *q, raft_id id,
                                                   const char *address)
{
    FOR_EACH (s, q->raft.configuration.servers, (int)q->raft.configuration.n) {
        if (s->id != id &&
            (raft_id_node(s->id) == raft_id_node(id) || strcmp(s->address, address) == 0))
            return s;
    }
    return NULL;
}

static enum join_status changed(struct quorum *q, int rv, const char *what, raft_id id)
{
    q->join.changing = rv == 0;
    if (rv == 0)
        LOG_INFO("changing the quorum's configuration", "change=%s node=%d raft_id=%llu", what,
                 raft_id_node(id), id);
    else
        LOG_WARN("could not change the quorum's configuration", "change=%s node=%d error=\"%s\"",
                 what, raft_id_node(id), raft_strerror(rv));
    return STATUS_PENDING;
}

static enum join_status take_in(struct quorum *q, raft_id id, const char *address, bool voter)
{
    if (q->join.changing)
        return STATUS_PENDING;
    const struct raft_server *s = server_find(q, id);
    if (s != NULL && strcmp(s->address, address) != 0)
        return changed(q, change_remove(q, id), "remove", id);
    if (s == NULL) {
        const struct raft_server *other = server_in_the_way(q, id, address);
        if (other == NULL)
            return changed(q, change_add(q, id, address), "add", id);
        int64_t heard_ms = raft_side_heard_ms(q, other->id);
        if (other->id == q->marker.raft_id ||
            (heard_ms >= 0 && clock_monotonic_ms() - heard_ms < 4 * q->options.election_timeout_ms))
            return STATUS_REFUSED;
        return changed(q, change_remove(q, other->id), "remove", other->id);
    }
    if (s->role == RAFT_SPARE)
        return changed(q, change_assign(q, id, RAFT_STANDBY), "standby", id);
    if (s->role == RAFT_STANDBY && voter)
        return changed(q, change_assign(q, id, RAFT_VOTER), "voter", id);
    return STATUS_JOINED;
}

static enum join_status asked_to_join(struct quorum *q, const struct transport_hello *hello,
                                      const char *peer)
{
    char host[TRANSPORT_TEXT_SIZE], port[8], address[2 * TRANSPORT_TEXT_SIZE];
    if (!q->ready || q->stopping)
        return STATUS_NOT_LEADER;
    if (hello->from == 0 || raft_id_node(hello->from) != hello->node_id || hello->node_id < 0 ||
        !transport_split(hello->address, host, port) ||
        strcmp(hello->cluster_id, q->marker.cluster_id) != 0)
        return STATUS_REFUSED;
    if (host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        snprintf(address, sizeof(address), strchr(peer, ':') ? "[%s]:%s" : "%s:%s", peer, port);
    else
        snprintf(address, sizeof(address), "%s", hello->address);
    return take_in(q, hello->from, address, hello->voter && may_vote(q, hello->node_id));
}

static enum join_status own_status(const struct quorum *q)
{
    if (q->marker.cluster_id[0] != '\0' && q->raft_running)
        return STATUS_FORMED;
    if (q->raft_running)
        return q->marker.raft_id >> 32 == 0 ? STATUS_FORMING : STATUS_WAITING;
    return q->options.voter && !q->join.lost ? STATUS_EMPTY : STATUS_WAITING;
}

void join_asked(void *arg, const struct transport_hello *hello, const char *peer,
                struct transport_answer *out)
{
    struct quorum *q = arg;
    out->node_id = q->options.node_id;
    out->leader_id = q->status.leader_id;
    snprintf(out->cluster_id, sizeof(out->cluster_id), "%s", q->marker.cluster_id);
    snprintf(out->leader_address, sizeof(out->leader_address), "%s", q->status.leader_address);
    out->status =
        (int8_t)(hello->kind == TRANSPORT_JOIN ? asked_to_join(q, hello, peer) : own_status(q));
}

/* --- The node that asks --- */

static int start_with(struct quorum *q, raft_id id, bool bootstrap)
{
    /* Who bootstraps writes the marker afterwards: a crash in between leaves a log and no id, which
     * can only be this one. Who joins writes it first, so that no id is used twice. */
    q->marker.raft_id = id;
    if (!bootstrap)
        marker_write(q->dir, &q->marker);
    int err = raft_side_open(q);
    if (err == 0 && bootstrap)
        err = raft_side_bootstrap(q);
    if (err != 0)
        return err;
    marker_write(q->dir, &q->marker);
    return raft_side_start(q);
}

static void must_start_with(struct quorum *q, raft_id id, bool bootstrap)
{
    if (start_with(q, id, bootstrap) != 0)
        abort(); /* logged */
    q->join.lost = false;
}

static void complain(struct quorum *q, const char *reason)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - q->join.complained_ms < COMPLAIN_MS)
        return;
    q->join.complained_ms = now_ms;
    LOG_INFO("waiting for the quorum", "reason=\"%s\" empty=%d voters=%d", reason, q->join.empty,
             q->options.voters_count);
}

static bool enough_empty(struct quorum *q)
{
    struct join *j = &q->join;
    int voters = q->options.voters_count;
    if (!q->options.voter || j->lost || j->empty < voters / 2 + 1) {
        j->majority_since_ms = 0;
        return false;
    }
    int64_t now_ms = clock_monotonic_ms();
    if (j->majority_since_ms == 0)
        j->majority_since_ms = now_ms;
    return j->empty == voters || j->forming || now_ms - j->majority_since_ms >= MAJORITY_MS;
}

static void join_cluster(struct quorum *q)
{
    uint32_t generation;
    if (q->marker.cluster_id[0] != '\0' && strcmp(q->marker.cluster_id, q->join.cluster_id) != 0) {
        complain(q, "the others belong to another cluster than this folder");
        return;
    }
    rng_system_bytes(&generation, sizeof(generation));
    snprintf(q->marker.cluster_id, sizeof(q->marker.cluster_id), "%s", q->join.cluster_id);
    must_start_with(q, raft_id_of(q->options.node_id, (generation & GENERATION_MASK) | 1), false);
    LOG_INFO("joining the quorum as a new member", "cluster=%s raft_id=%llu", q->marker.cluster_id,
             q->marker.raft_id);
    q->join.phase = JOIN_ASKING;
}

static void round_done(struct quorum *q)
{
    struct join *j = &q->join;
    if (j->phase == JOIN_PROBING) {
        if (j->cluster_id[0] != '\0') {
            join_cluster(q);
        } else if (enough_empty(q)) {
            LOG_INFO("forming a new cluster", "empty=%d voters=%d", j->empty,
                     q->options.voters_count);
            must_start_with(q, raft_id_of(q->options.node_id, 0), true);
            j->phase = JOIN_IDLE;
        } else {
            complain(q, j->lost ? "this node lost its log and needs the others"
                                : "no majority of voters answered yet");
        }
    } else if (j->phase == JOIN_IDLE && j->leader_address[0] != '\0' &&
               strcmp(j->cluster_id, q->marker.cluster_id) == 0) {
        j->phase = JOIN_ASKING;
    }
    timer_set(q, j->phase == JOIN_IDLE ? WATCH_MS : PROBE_MS);
}

static void probed(void *arg, const struct transport_answer *answer)
{
    struct quorum *q = arg;
    struct join *j = &q->join;
    j->asks--;
    if (q->closing)
        return;
    if (answer != NULL) {
        j->empty += answer->status == STATUS_EMPTY || answer->status == STATUS_FORMING;
        j->forming |= answer->status == STATUS_FORMING;
        if (answer->status == STATUS_FORMED) {
            snprintf(j->cluster_id, sizeof(j->cluster_id), "%s", answer->cluster_id);
            if (answer->leader_address[0] != '\0')
                snprintf(j->leader_address, sizeof(j->leader_address), "%s",
                         answer->leader_address);
        }
    }
    if (j->asks == 0)
        round_done(q);
}

static void probe(struct quorum *q)
{
    struct join *j = &q->join;
    struct transport_hello hello;
    join_introduce(q, &hello);
    hello.kind = TRANSPORT_ASK;
    j->empty = q->options.voter && !q->raft_running ? 1 : 0;
    j->forming = false;
    j->cluster_id[0] = j->leader_address[0] = '\0';
    j->asks = 1; /* so that no round ends while it begins */
    for (int i = 0; i < q->options.voters_count; i++) {
        const struct quorum_voter *v = &q->options.voters[i];
        if (v->node_id == q->options.node_id)
            continue;
        j->asks++;
        transport_ask(q->transport, v->address, &hello, probed, q);
    }
    if (--j->asks == 0)
        round_done(q);
}

static void join_answered(void *arg, const struct transport_answer *answer)
{
    struct quorum *q = arg;
    struct join *j = &q->join;
    j->asks--;
    if (q->closing)
        return;
    if (answer != NULL && answer->status == STATUS_JOINED) {
        LOG_INFO("joined the quorum", "raft_id=%llu voter=%d", q->marker.raft_id, q->options.voter);
        j->phase = JOIN_IDLE;
    } else if (answer != NULL && answer->status == STATUS_REFUSED) {
        complain(q, "the leader refuses: is another node running under this id?");
    } else if (answer == NULL || answer->status == STATUS_NOT_LEADER) {
        snprintf(j->leader_address, sizeof(j->leader_address), "%s",
                 answer ? answer->leader_address : "");
    }
    timer_set(q, j->phase == JOIN_IDLE ? WATCH_MS : PROBE_MS);
}

static void found_leader(void *arg, const struct transport_answer *answer)
{
    struct quorum *q = arg;
    q->join.asks--;
    if (answer != NULL && answer->status == STATUS_FORMED && answer->leader_address[0] != '\0')
        snprintf(q->join.leader_address, sizeof(q->join.leader_address), "%s",
                 answer->leader_address);
    if (!q->closing && q->join.asks == 0)
        timer_set(q, PROBE_MS);
}

static void ask_to_join(struct quorum *q)
{
    struct join *j = &q->join;
    struct transport_hello hello;
    join_introduce(q, &hello);
    if (j->leader_address[0] != '\0') {
        hello.kind = TRANSPORT_JOIN;
        j->asks = 1;
        transport_ask(q->transport, j->leader_address, &hello, join_answered, q);
        return;
    }
    hello.kind = TRANSPORT_ASK;
    for (int i = 0; i < q->options.voters_count; i++) {
        if (q->options.voters[i].node_id == q->options.node_id)
            continue;
        j->asks++;
        transport_ask(q->transport, q->options.voters[i].address, &hello, found_leader, q);
    }
}

static void watch(struct quorum *q)
{
    struct join *j = &q->join;
    int64_t now_ms = clock_monotonic_ms();
    if (q->status.leader_id >= 0 || q->marker.cluster_id[0] == '\0') {
        j->leaderless_since_ms = 0;
    } else if (j->leaderless_since_ms == 0) {
        j->leaderless_since_ms = now_ms;
    } else if (now_ms - j->leaderless_since_ms >= LEADERLESS_MS) {
        j->leaderless_since_ms = 0;
        probe(q);
        return;
    }
    timer_set(q, WATCH_MS);
}

void join_tick(struct quorum *q)
{
    if (q->closing || q->join.asks > 0)
        return;
    if (q->join.phase == JOIN_PROBING)
        probe(q);
    else if (q->join.phase == JOIN_ASKING)
        ask_to_join(q);
    else
        watch(q);
}

static void on_timer(uv_timer_t *timer)
{
    thread_assert(&QUORUM);
    join_tick(timer->data);
}

static void timer_set(struct quorum *q, uint64_t ms)
{
    uv_timer_start(&q->join_timer, on_timer, ms, 0);
}

int join_start(struct quorum *q)
{
    bool empty = marker_folder_empty(q->raft_dir);
    int err = 0;
    if (!empty) {
        raft_id id = q->marker.raft_id ? q->marker.raft_id : raft_id_of(q->options.node_id, 0);
        err = start_with(q, id, false);
    } else if (q->options.voter && q->options.voters_count == 1 && q->marker.raft_id == 0) {
        err = start_with(q, raft_id_of(q->options.node_id, 0), true);
    } else {
        q->join.phase = JOIN_PROBING;
        q->join.lost = q->marker.raft_id != 0;
        q->join.complained_ms = clock_monotonic_ms();
        if (q->join.lost)
            LOG_WARN("the raft log is gone, joining as a new member", "dir=%s", q->raft_dir);
    }
    if (err == 0)
        timer_set(q, 1);
    return err;
}
