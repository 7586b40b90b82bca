/* Sending markers, collecting answers. */
#include "broker/txn_markers.h"

#include <stdlib.h>

#include "broker/client.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/txns.h"
#include "coord/command.h"
#include "coord/txn.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/base/map.h"

#define MARKERS_VERSION 2
#define ANSWER_MS       15000
#define COMPLETE_MS     30000
#define CALLS_OUT_MAX   3  /* for one leader; what comes meanwhile travels together */
#define RETRY_SOON_MS   20 /* there is no leader, or another one */
#define RETRY_MS        100

enum marker_state { MARKER_DUE, MARKER_OUT, MARKER_WRITTEN };

struct marker {
    struct txn_partition at;
    enum marker_state state;
    int64_t retry_ms;
};

struct wait {
    struct list link;
    struct request *req;
    void (*next)(struct request *req, void *arg);
    void *arg;
    int64_t deadline_ms;
};

/* One transaction that is ending. */
struct ending {
    struct txn *txn; /* as it was stored */
    VEC(struct marker) markers;
    size_t open;     /* markers that are not written */
    int out;         /* of them are under way */
    bool completing; /* COMPLETE_TXN is under way */
    int64_t complete_retry_ms;
    struct list waits;
};

struct marker_ref {
    struct ending *e;
    size_t marker;
};

struct leader {
    struct txn_markers *ms;
    int32_t node_id;
    struct client *client;
    int calls_out;
    VEC(struct marker_ref) queue;
};

/* One WriteTxnMarkers that is out: its partitions in the order of the request. */
struct call {
    struct leader *leader;
    VEC(struct marker_ref) refs;
};

struct txn_markers {
    struct node *node;
    struct net_thread *thread;
    struct map endings; /* transactional id -> struct ending */
    VEC(struct leader *) leaders;
    bool stopped;
};

/* COMPLETE_TXN's way back from the quorum's thread. */
struct completion {
    struct txn_markers *ms;
    struct slice id;
    enum error_code err;
};

static void pump(struct txn_markers *ms, struct ending *e, int64_t now_ms) ON(NET);
static void send_all(struct txn_markers *ms) ON(NET);

struct txn_markers *txn_markers_new(struct node *node, struct net_thread *thread)
{
    struct txn_markers *ms = mem_zalloc(sizeof(*ms));
    ms->node = node;
    ms->thread = thread;
    return ms;
}

static void wait_over(struct wait *w)
{
    list_remove(&w->link);
    request_resume(w->req, w->next, w->arg);
    free(w);
}

static void ending_free(struct ending *e)
{
    txn_free(e->txn);
    vec_deinit(&e->markers);
    free(e);
}

static void waits_over(struct ending *e)
{
    while (!list_is_empty(&e->waits))
        wait_over(CONTAINER_OF(e->waits.next, struct wait, link));
}

void txn_markers_stop(struct txn_markers *ms)
{
    ms->stopped = true;
    MAP_FOR_EACH (entry, &ms->endings)
        waits_over(entry->value);
    for (size_t i = 0; i < ms->leaders.count; i++) {
        struct client *client = ms->leaders.items[i]->client;
        ms->leaders.items[i]->client = NULL;
        client_free(client);
    }
}

void txn_markers_free(struct txn_markers *ms)
{
    if (ms == NULL)
        return;
    MAP_FOR_EACH (entry, &ms->endings)
        ending_free(entry->value);
    map_deinit(&ms->endings);
    for (size_t i = 0; i < ms->leaders.count; i++) {
        vec_deinit(&ms->leaders.items[i]->queue);
        free(ms->leaders.items[i]);
    }
    vec_deinit(&ms->leaders);
    free(ms);
}

/* --- Completing --- */

static void completed_run(void *arg)
{
    thread_assert(&NET);
    struct completion *c = arg;
    struct ending *e = map_find(&c->ms->endings, c->id);
    bool over = c->err == ERR_NONE || c->err == ERR_INVALID_TXN_STATE ||
                c->err == ERR_INVALID_PRODUCER_ID_MAPPING;
    if (e != NULL && over) {
        map_remove(&c->ms->endings, c->id);
        waits_over(e);
        ending_free(e);
    } else if (e != NULL) {
        e->completing = false;
        e->complete_retry_ms = clock_monotonic_ms() + RETRY_MS;
    }
    free((void *)(uintptr_t)c->id.data);
    free(c);
}

static void completed(void *arg, enum error_code err, struct slice value)
{
    (void)value;
    struct completion *c = arg;
    c->err = err;
    net_call(c->ms->thread, completed_run, c);
}

static void complete(struct txn_markers *ms, struct ending *e)
{
    struct completion *c = mem_zalloc(sizeof(*c));
    c->ms = ms;
    c->id = slice_of(slice_to_text(e->txn->id), e->txn->id.size);
    struct complete_txn command = {
        .producer = {e->txn->id, e->txn->producer_id, e->txn->epoch},
        .now_ms = txns_clock_ms(ms->node),
    };
    struct buffer bytes = {0};
    command_encode_complete_txn(&bytes, &command);
    e->completing = true;
    quorum_submit(ms->node->quorum, buffer_slice(&bytes), COMPLETE_MS, completed, c);
    buffer_deinit(&bytes);
}

/* --- Answers --- */

static void marker_answered(struct marker_ref ref, enum error_code err, int64_t now_ms)
{
    struct marker *m = &ref.e->markers.items[ref.marker];
    ref.e->out--;
    /* INVALID_PRODUCER_EPOCH: the partition saw a later epoch, so nothing of this one is open. */
    if (err == ERR_NONE || err == ERR_INVALID_PRODUCER_EPOCH) {
        m->state = MARKER_WRITTEN;
        ref.e->open--;
        return;
    }
    LOG_DEBUG("a transaction's marker could not be written",
              "id=" SLICE_FMT " partition=%d error=%s", SLICE_ARG(ref.e->txn->id), m->at.partition,
              error_name(err));
    m->state = MARKER_DUE;
    m->retry_ms = now_ms + (err == ERR_NOT_LEADER_OR_FOLLOWER ? RETRY_SOON_MS : RETRY_MS);
}

/* The error of the i-th partition of the answer, whose order is the request's. */
struct answer_cursor {
    const struct write_txn_markers_response *r;
    int marker, topic, partition;
};

static enum error_code cursor_next(struct answer_cursor *at)
{
    while (at->r != NULL && at->marker < at->r->markers_count) {
        const struct write_txn_markers_response_marker *m = &at->r->markers[at->marker];
        if (at->topic >= m->topics_count) {
            at->marker++;
            at->topic = at->partition = 0;
        } else if (at->partition >= m->topics[at->topic].partitions_count) {
            at->topic++;
            at->partition = 0;
        } else {
            return (enum error_code)m->topics[at->topic].partitions[at->partition++].error_code;
        }
    }
    return ERR_NOT_LEADER_OR_FOLLOWER; /* no answer: again */
}

static void answered(void *arg, int err, const void *response)
{
    thread_assert(&NET);
    struct call *call = arg;
    struct txn_markers *ms = call->leader->ms;
    struct answer_cursor at = {.r = err == 0 ? response : NULL};
    int64_t now_ms = clock_monotonic_ms();
    call->leader->calls_out--;
    FOR_EACH (ref, call->refs.items, (ptrdiff_t)call->refs.count)
        marker_answered(*ref, cursor_next(&at), now_ms);
    if (!ms->stopped) {
        FOR_EACH (ref, call->refs.items, (ptrdiff_t)call->refs.count)
            if (ref->e->open == 0 && !ref->e->completing)
                complete(ms, ref->e);
        send_all(ms);
    }
    vec_deinit(&call->refs);
    free(call);
}

/* --- Requests --- */

static struct leader *leader_get(struct txn_markers *ms, int32_t node_id)
{
    for (size_t i = 0; i < ms->leaders.count; i++)
        if (ms->leaders.items[i]->node_id == node_id)
            return ms->leaders.items[i];
    struct leader *l = mem_zalloc(sizeof(*l));
    l->ms = ms;
    l->node_id = node_id;
    vec_push(&ms->leaders, l);
    return l;
}

static struct client *client_of(struct leader *l, const struct image *img)
{
    thread_assert(&NET);
    struct node *node = l->ms->node;
    const struct image_broker *b = image_find_broker(img, l->node_id);
    const struct image_endpoint *e =
        b ? image_find_endpoint(b, slice_from_text(node->config.inter_broker_listener)) : NULL;
    if (e == NULL)
        return NULL;
    char *host = slice_to_text(e->host);
    struct client *old = l->client;
    if (old == NULL || !client_is(old, host, e->port)) {
        l->client = client_new(l->ms->thread, host, e->port, "millrace-transactions");
        client_free(old);
    }
    free(host);
    return l->client;
}

static void marker_fill(const struct image *img, const struct txn *t, struct arena *arena,
                        struct write_txn_markers_request_marker *out)
{
    out->producer_id = t->producer_id;
    out->producer_epoch = t->epoch;
    out->transaction_result = t->state == TXN_PREPARE_COMMIT;
    out->coordinator_epoch = img->slots[image_slot_of(t->id)].epoch;
    out->transaction_version = t->version;
    out->topics = arena_need(arena, sizeof(*out->topics));
}

/* One topic entry a partition, one marker entry for neighbours of one transaction. */
static void request_fill(const struct call *call, const struct image *img, struct arena *arena,
                         struct write_txn_markers_request *in)
{
    size_t count = call->refs.count;
    in->markers = write_txn_markers_request_marker_array(arena, (int32_t)count);
    struct write_txn_markers_request_marker_topic *topics =
        write_txn_markers_request_marker_topic_array(arena, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct marker_ref *ref = &call->refs.items[i];
        const struct txn_partition *at = &ref->e->markers.items[ref->marker].at;
        if (i == 0 || ref[-1].e != ref->e) {
            marker_fill(img, ref->e->txn, arena, &in->markers[in->markers_count]);
            in->markers[in->markers_count++].topics = &topics[i];
        }
        const struct image_topic *topic = image_find_topic_by_id(img, at->topic_id);
        topics[i].name = topic ? topic->name : SLICE("");
        topics[i].partition_indexes = arena_need(arena, sizeof(int32_t));
        topics[i].partition_indexes[0] = at->partition;
        topics[i].partition_indexes_count = 1;
        in->markers[in->markers_count - 1].topics_count++;
    }
}

static void send_queue(struct leader *l, const struct image *img)
{
    thread_assert(&NET);
    struct client *client = client_of(l, img);
    if (client == NULL || l->queue.count == 0)
        return;
    struct call *call = mem_zalloc(sizeof(*call));
    call->leader = l;
    vec_reserve(&call->refs, l->queue.count);
    FOR_EACH (ref, l->queue.items, (ptrdiff_t)l->queue.count)
        vec_push(&call->refs, *ref);
    vec_clear(&l->queue);
    struct arena arena;
    struct write_txn_markers_request in;
    arena_init(&arena, 0);
    write_txn_markers_request_init(&in);
    request_fill(call, img, &arena, &in);
    l->calls_out++;
    client_send(client, API_WRITE_TXN_MARKERS, MARKERS_VERSION, &in, ANSWER_MS, answered, call);
    arena_deinit(&arena);
}

static void send_all(struct txn_markers *ms)
{
    struct image *img = quorum_image(ms->node->quorum);
    for (size_t i = 0; img != NULL && i < ms->leaders.count; i++) {
        struct leader *l = ms->leaders.items[i];
        if (l->queue.count > 0 && l->calls_out < CALLS_OUT_MAX)
            send_queue(l, img);
    }
    image_unref(img);
}

static void marker_pump(struct txn_markers *ms, struct ending *e, size_t i, const struct image *img,
                        int64_t now_ms)
{
    struct marker *m = &e->markers.items[i];
    const struct image_topic *topic = image_find_topic_by_id(img, m->at.topic_id);
    const struct image_partition *p = topic ? image_find_partition(topic, m->at.partition) : NULL;
    if (p == NULL) {
        m->state = MARKER_WRITTEN;
        e->open--;
        return;
    }
    if (p->leader < 0) {
        m->retry_ms = now_ms + RETRY_SOON_MS;
        return;
    }
    struct marker_ref ref = {e, i};
    m->state = MARKER_OUT;
    e->out++;
    vec_push(&leader_get(ms, p->leader)->queue, ref);
}

/* Hand over what is due. */
static void pump(struct txn_markers *ms, struct ending *e, int64_t now_ms)
{
    struct image *img = quorum_image(ms->node->quorum);
    for (size_t i = 0; img != NULL && i < e->markers.count; i++) {
        struct marker *m = &e->markers.items[i];
        if (m->state == MARKER_DUE && m->retry_ms <= now_ms)
            marker_pump(ms, e, i, img, now_ms);
    }
    image_unref(img);
    if (e->open == 0 && !e->completing && e->complete_retry_ms <= now_ms)
        complete(ms, e);
}

/* --- From outside --- */

bool txn_markers_has(const struct txn_markers *ms, struct slice id)
{
    return map_find(&ms->endings, id) != NULL;
}

bool txn_markers_add(struct txn_markers *ms, struct slice id, struct slice value)
{
    struct txn *t;
    if (txn_markers_has(ms, id))
        return true;
    if (ms->stopped || txn_decode(id, value, &t) != 0)
        return false;
    if (!txn_is_ending(t->state)) {
        txn_free(t);
        return false;
    }
    struct ending *e = mem_zalloc(sizeof(*e));
    e->txn = t;
    list_init(&e->waits);
    FOR_EACH (p, t->partitions.items, (ptrdiff_t)t->partitions.count) {
        struct marker m = {.at = *p};
        vec_push(&e->markers, m);
    }
    e->open = e->markers.count;
    map_put(&ms->endings, t->id, e);
    pump(ms, e, clock_monotonic_ms());
    send_all(ms);
    return true;
}

void txn_markers_await(struct txn_markers *ms, struct slice id, int64_t deadline_ms,
                       struct request *req, void (*next)(struct request *req, void *arg), void *arg)
{
    struct ending *e = map_find(&ms->endings, id);
    struct wait *w = mem_zalloc(sizeof(*w));
    CHECK(e != NULL);
    *w = (struct wait){.req = req, .next = next, .arg = arg, .deadline_ms = deadline_ms};
    list_push_back(&e->waits, &w->link);
}

static void waits_tick(struct ending *e, int64_t now_ms)
{
    for (struct list *at = e->waits.next; at != &e->waits;) {
        struct wait *w = CONTAINER_OF(at, struct wait, link);
        at = at->next;
        if (w->deadline_ms <= now_ms)
            wait_over(w);
    }
}

bool txn_markers_tick(struct txn_markers *ms, int64_t now_ms)
{
    if (ms->stopped)
        return false;
    MAP_FOR_EACH (entry, &ms->endings) {
        waits_tick(entry->value, now_ms);
        pump(ms, entry->value, now_ms);
    }
    send_all(ms);
    return ms->endings.count > 0;
}
