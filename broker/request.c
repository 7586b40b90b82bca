/* The life of a request: answering, parking, being abandoned. */
#include "broker/request.h"

#include <stdlib.h>

#include "broker/node.h"
#include "broker/server.h"
#include "broker/wiring.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

struct request_wait {
    struct list link;
    struct waiter waiter;
    struct inbox_message message;
    struct net_thread *thread;
    struct request *req;
    int16_t *error_code; /* NULL: nobody asks for the outcome */
    enum error_code err; /* set before `woken` */
    _Atomic bool woken;  /* the message is on its way */
    bool settled;
};

struct request_call {
    struct inbox_message message;
    struct net_thread *thread;
    struct request *req;
    enum error_code err;
    struct buffer value;
    bool value_null;
    request_submitted *submitted;
    void (*resumed)(struct request *req, void *arg);
    void *arg;
};

struct request *request_new(struct conn *conn, uint8_t *frame, size_t size)
{
    struct request *req = mem_zalloc(sizeof(*req));
    req->conn = conn;
    req->thread = conn->thread;
    req->node = conn->node;
    req->frame = frame;
    req->frame_size = size;
    req->start_us = clock_monotonic_us();
    arena_init(&req->arena, 0);
    list_init(&req->waits);
    wire_writer_init(&req->writer, &req->answer);
    req->image = quorum_image(conn->node->quorum);
    list_push_back(&conn->requests, &req->link);
    conn->refs++;
    conn->in_flight++;
    return req;
}

static void request_free(struct request *req)
{
    thread_assert(&NET);
    for (size_t i = 0; i < req->writer.splices.count; i++) {
        struct file_range *file = req->writer.splices.items[i].file;
        file->release(file->owner);
    }
    wire_writer_deinit(&req->writer);
    buffer_deinit(&req->answer);
    if (req->timer != NULL)
        event_free(req->timer);
    image_unref(req->image);
    arena_deinit(&req->arena);
    free(req->frame);
    atomic_fetch_sub(&req->node->request_bytes, req->frame_size);
    conn_unref(req->conn);
    free(req);
}

static void timer_stop(struct request *req)
{
    if (req->timer != NULL)
        event_free(req->timer);
    req->timer = NULL;
}

/* --- Answering --- */

static void replied(struct request *req)
{
    thread_assert(&NET);
    CHECK(!req->replied);
    req->replied = true;
    timer_stop(req);
    if (req->abandoned) {
        if (req->outstanding == 0)
            request_free(req);
        return;
    }
    conn_flush(req->conn);
}

void request_reply(struct request *req)
{
    thread_assert(&NET);
    response_frame_encode(&req->writer, &req->header, req->out);
    replied(req);
}

void request_reply_silently(struct request *req, bool close)
{
    thread_assert(&NET);
    req->silent = true;
    req->close_after = close;
    replied(req);
}

void request_refuse(struct request *req, const char *reason)
{
    thread_assert(&NET);
    conn_close(req->conn, reason); /* abandons this request, too */
}

void request_release(struct request *req)
{
    CHECK(req->replied && req->outstanding == 0);
    request_free(req);
}

/* --- Parking --- */

static void settle(struct request_wait *w, enum error_code err)
{
    if (w->settled)
        return;
    w->settled = true;
    w->req->settled_any = true;
    w->req->parked--;
    if (w->error_code != NULL && err != ERR_NONE)
        *w->error_code = (int16_t)err;
}

/* Take back the waits that were not woken; the others' messages are on their way and come first. */
static void waits_remove(struct request *req, enum error_code err)
{
    LIST_FOR_EACH (w, &req->waits, struct request_wait, link) {
        if (w->settled)
            continue;
        waiter_remove(&w->waiter);
        if (atomic_load(&w->woken))
            continue;
        list_remove(&w->link);
        req->outstanding--;
        settle(w, err);
    }
}

/* Something ended: go on with the request when it has nothing more to wait for. */
static void advance(struct request *req)
{
    if (req->outstanding > 0)
        return;
    if (req->abandoned) {
        request_free(req);
        return;
    }
    void (*ready)(struct request *) = req->ready;
    if (ready != NULL) {
        req->ready = NULL;
        req->settled_any = false; /* of this round; the handler may begin another */
        timer_stop(req);
        ready(req);
    }
}

static void wait_woken(struct inbox_message *message)
{
    thread_assert(&NET);
    struct request_wait *w = CONTAINER_OF(message, struct request_wait, message);
    struct request *req = w->req;
    list_remove(&w->link);
    waiter_remove(&w->waiter); /* gives its replica back */
    req->outstanding--;
    settle(w, w->err);
    if (req->any && req->ready != NULL)
        waits_remove(req, ERR_NONE);
    advance(req);
}

/* Any thread, the partition's lock is held. */
static void waiter_wake(struct waiter *waiter, enum error_code err)
{
    struct request_wait *w = CONTAINER_OF(waiter, struct request_wait, waiter);
    struct net_thread *thread = w->thread;
    w->err = err;
    atomic_store(&w->woken, true);
    net_post(thread, &w->message);
}

static void park(struct request *req, struct replica *r, struct waiter waiter, int16_t *error_code)
{
    struct request_wait *w = arena_need(&req->arena, sizeof(*w));
    *w = (struct request_wait){
        .waiter = waiter,
        .message = {.run = wait_woken},
        .thread = req->thread,
        .req = req,
        .error_code = error_code,
    };
    w->waiter.wake = waiter_wake;
    req->outstanding++;
    req->parked++;
    list_push_back(&req->waits, &w->link);
    enum error_code err = ERR_NONE;
    if (waiter_park(r, &w->waiter, &err))
        return;
    list_remove(&w->link);
    req->outstanding--;
    settle(w, err);
}

void request_await_watermark(struct request *req, struct replica *r,
                             const struct partition_append_result *appended, int16_t *error_code)
{
    struct waiter waiter = {
        .kind = WAIT_HIGH_WATERMARK, .offset = appended->end_offset, .cuts = appended->cuts};
    park(req, r, waiter, error_code);
}

void request_await_low_watermark(struct request *req, struct replica *r, int64_t offset,
                                 int16_t *error_code)
{
    park(req, r, (struct waiter){.kind = WAIT_LOW_WATERMARK, .offset = offset}, error_code);
}

void request_await_data(struct request *req, struct replica *r, enum waiter_kind kind,
                        int64_t offset)
{
    park(req, r, (struct waiter){.kind = kind, .offset = offset}, NULL);
}

void request_interrupt(struct request *req)
{
    thread_assert(&NET);
    if (req->ready == NULL)
        return;
    waits_remove(req, req->any ? ERR_NONE : ERR_REQUEST_TIMED_OUT);
    advance(req);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    request_interrupt(arg);
}

static void wait_begin(struct request *req, int64_t timeout_ms, void (*ready)(struct request *))
{
    net_assert(req->thread);
    req->ready = ready;
    timeout_ms = MAX(timeout_ms, (int64_t)0);
    struct timeval after = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    req->timer = evtimer_new(req->thread->base, on_timeout, req);
    CHECK(req->timer != NULL && event_add(req->timer, &after) == 0);
}

void request_when_all(struct request *req, int64_t timeout_ms, void (*ready)(struct request *))
{
    req->any = false;
    if (req->parked == 0)
        ready(req);
    else
        wait_begin(req, timeout_ms, ready);
}

void request_when_any(struct request *req, int64_t timeout_ms, void (*ready)(struct request *))
{
    req->any = true;
    bool now = req->settled_any || timeout_ms <= 0;
    wait_begin(req, timeout_ms, ready);
    if (!now)
        return;
    waits_remove(req, ERR_NONE);
    advance(req);
}

void request_abandon(struct request *req)
{
    req->abandoned = true;
    timer_stop(req);
    waits_remove(req, ERR_NONE);
    if (req->outstanding == 0)
        request_free(req);
}

/* --- Other modules' callbacks --- */

static struct request_call *call_new(struct request *req)
{
    struct request_call *call = mem_zalloc(sizeof(*call));
    call->req = req;
    call->thread = req->thread;
    return call;
}

static void call_run(struct inbox_message *message)
{
    thread_assert(&NET);
    struct request_call *call = CONTAINER_OF(message, struct request_call, message);
    struct request *req = call->req;
    req->outstanding--;
    /* Also when the client is gone: the callback gives back what it holds, and its reply ends the
     * request. */
    if (call->submitted != NULL) {
        struct slice value =
            call->value_null ? SLICE_NULL : arena_copy(&req->arena, buffer_slice(&call->value));
        call->submitted(req, call->arg, call->err, value);
    } else {
        call->resumed(req, call->arg);
    }
    buffer_deinit(&call->value);
    free(call);
}

/* QUORUM thread. */
static void command_done(void *arg, enum error_code err, struct slice value)
{
    struct request_call *call = arg;
    call->err = err;
    call->value_null = slice_is_null(value);
    buffer_append_slice(&call->value, value);
    net_post(call->thread, &call->message);
}

void request_submit(struct request *req, struct slice command, int64_t timeout_ms,
                    request_submitted *done, void *arg)
{
    struct request_call *call = call_new(req);
    call->message.run = call_run;
    call->submitted = done;
    call->arg = arg;
    req->outstanding++;
    quorum_submit(req->node->quorum, command, timeout_ms, command_done, call);
}

void request_hold(struct request *req)
{
    req->outstanding++;
}

bool request_unhold(struct request *req)
{
    req->outstanding--;
    if (!req->abandoned)
        return true;
    if (req->outstanding == 0)
        request_free(req);
    return false;
}

void request_resume(struct request *req, void (*fn)(struct request *req, void *arg), void *arg)
{
    struct request_call *call = mem_zalloc(sizeof(*call));
    *call = (struct request_call){
        .message.run = call_run, .req = req, .value_null = true, .resumed = fn, .arg = arg};
    call->thread = req->thread;
    net_post(call->thread, &call->message);
}

/* --- Shared look-ups --- */

enum error_code request_partition(struct request *req, const struct image_topic *topic,
                                  int32_t index, struct replica **r)
{
    *r = NULL;
    const struct image_partition *p = topic ? image_find_partition(topic, index) : NULL;
    if (p == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!node_has_lease(req->node))
        return ERR_NOT_LEADER_OR_FOLLOWER;
    *r = replicas_find(req->node->replicas, topic->id, index);
    if (*r == NULL)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return ERR_NONE;
}

bool request_role_is_coming(const struct request *req, const struct image_topic *topic,
                            int32_t index)
{
    if (req->roles_awaited)
        return false;
    /* A producer's batches come in order: what follows one that waits goes behind it, even if the
     * role was taken over meanwhile. Its first sequence would be out of order. */
    if (req->conn->roles_awaited > 0)
        return true;
    const struct image_partition *p = topic ? image_find_partition(topic, index) : NULL;
    if (p == NULL || p->leader != req->node->id ||
        wiring_index(req->node->wiring) >= req->image->index)
        return false;
    struct replica *r = replicas_find(req->node->replicas, topic->id, index);
    if (r == NULL)
        return true;
    mutex_lock(&r->lock);
    bool leads = r->partition == NULL || (partition_role(r->partition) == PARTITION_LEADER &&
                                          partition_leader_epoch(r->partition) >= p->leader_epoch);
    mutex_unlock(&r->lock);
    replica_unref(r);
    return !leads;
}

static void roles_taken(struct request *req, void *arg)
{
    (void)arg;
    thread_assert(&NET);
    req->conn->roles_awaited--;
    if (req->abandoned)
        request_reply(req); /* the client is gone: nothing begins for it any more */
    else
        req->again(req);
}

static void begin_again(struct request *req, int64_t index, void (*again)(struct request *req))
{
    req->again = again;
    req->roles_awaited = true;
    req->conn->roles_awaited++;
    wiring_await(req->node->wiring, index, req, roles_taken, NULL);
}

void request_when_roles(struct request *req, void (*again)(struct request *req))
{
    begin_again(req, req->image->index, again);
}

void request_when_changed(struct request *req, void (*again)(struct request *req))
{
    begin_again(req, req->image->index + 1, again);
}

bool request_endpoint(const struct request *req, const struct image_broker *b, struct slice *host,
                      int32_t *port)
{
    const char *listener = listener_name(req->conn->listener);
    if (b->node_id == req->node->id && listener_advertised(req->node, listener) == NULL) {
        /* Nothing advertised: the address this client used is one that works for it. */
        *host = slice_from_text(req->conn->local_host);
        *port = req->conn->local_port;
        return true;
    }
    const struct image_endpoint *e = image_find_endpoint(b, slice_from_text(listener));
    if (e == NULL && strcasecmp(listener, req->node->config.controller.name) == 0)
        e = image_find_endpoint(b, slice_from_text(req->node->config.inter_broker_listener));
    if (e == NULL)
        return false;
    *host = e->host;
    *port = e->port;
    return true;
}

struct slice request_client_host(struct request *req)
{
    const char *peer = req->conn->peer;
    const char *port = strrchr(peer, ':');
    int size = (int)(port != NULL ? (size_t)(port - peer) : strlen(peer));
    return arena_printf(&req->arena, "/%.*s", size, peer);
}
