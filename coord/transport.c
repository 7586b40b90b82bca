/* Opening and closing the transport, and its face towards libraft. */
#include "coord/transport.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coord/transport_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define SWEEP_MS 100

static void on_sweep(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    incoming_sweep(t, now_ms);
    outgoing_sweep(t, now_ms);
    if (t->accept_paused && !t->closing) {
        t->accept_paused = false;
        uv_poll_start(&t->listener, UV_READABLE, transport_acceptable);
    }
    if (list_is_empty(&t->incoming) && list_is_empty(&t->outgoing))
        uv_timer_stop(timer);
}

void transport_sweep_start(struct transport *t)
{
    if (!t->closing && !uv_is_active((uv_handle_t *)&t->sweeper))
        uv_timer_start(&t->sweeper, on_sweep, SWEEP_MS, SWEEP_MS);
}

/* --- libraft's side --- */

static int raft_side_init(struct raft_uv_transport *raft, raft_id id, const char *address)
{
    (void)raft, (void)id, (void)address;
    return 0;
}

static int raft_side_listen(struct raft_uv_transport *raft, raft_uv_accept_cb cb)
{
    struct transport *t = raft->impl;
    t->accept_cb = cb;
    return 0;
}

static void raft_side_closed(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    if (outgoing_has_raft(t))
        return;
    uv_timer_stop(timer);
    t->raft_close_cb(&t->raft);
}

/* Never calls back from within: libraft counts on that. */
static void raft_side_close(struct raft_uv_transport *raft, raft_uv_transport_close_cb cb)
{
    struct transport *t = raft->impl;
    t->accept_cb = NULL;
    t->raft_close_cb = cb;
    outgoing_abort(t, false);
    uv_timer_start(&t->raft_closer, raft_side_closed, 0, 1);
}

struct raft_uv_transport *transport_raft(struct transport *t)
{
    return &t->raft;
}

/* --- Open and close --- */

static int listen_on(const char *address, int *out)
{
    char host[TRANSPORT_TEXT_SIZE], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    if (!transport_split(address, host, port) ||
        getaddrinfo(host[0] ? host : NULL, port, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int one = 1, err = 0;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 128) != 0)
        err = -errno;
    freeaddrinfo(found);
    if (err != 0 && fd >= 0)
        close(fd);
    *out = fd;
    return err;
}

int transport_open(uv_loop_t *loop, const char *bind_address, int connect_timeout_ms,
                   const struct transport_callbacks *callbacks, struct transport **out)
{
    *out = NULL;
    int fd;
    int err = listen_on(bind_address, &fd);
    if (err != 0) {
        LOG_ERROR("cannot listen for the quorum", "address=%s error=\"%s\"", bind_address,
                  strerror(-err));
        return err;
    }
    struct transport *t = mem_zalloc(sizeof(*t));
    t->loop = loop;
    t->callbacks = *callbacks;
    t->timeout_ms = connect_timeout_ms;
    t->listen_fd = fd;
    list_init(&t->incoming);
    list_init(&t->outgoing);
    t->raft.version = 1;
    t->raft.impl = t;
    t->raft.init = raft_side_init;
    t->raft.listen = raft_side_listen;
    t->raft.connect = transport_raft_connect;
    t->raft.close = raft_side_close;
    CHECK(uv_timer_init(loop, &t->sweeper) == 0);
    CHECK(uv_timer_init(loop, &t->raft_closer) == 0);
    CHECK(uv_poll_init(loop, &t->listener, fd) == 0);
    t->sweeper.data = t->raft_closer.data = t->listener.data = t;
    t->handles = 3;
    CHECK(uv_poll_start(&t->listener, UV_READABLE, transport_acceptable) == 0);
    *out = t;
    return 0;
}

void transport_closed_maybe(struct transport *t)
{
    if (t->closing && t->handles == 0 && t->incoming_count == 0 && list_is_empty(&t->outgoing) &&
        t->closed != NULL) {
        void (*closed)(void *) = t->closed;
        t->closed = NULL;
        closed(t->closed_arg);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;
    t->handles--;
    transport_closed_maybe(t);
}

void transport_close(struct transport *t, void (*closed)(void *arg), void *arg)
{
    t->closed = closed;
    t->closed_arg = arg;
    incoming_sweep(t, INT64_MAX);
    outgoing_abort(t, true);
    t->closing = true;
    uv_close((uv_handle_t *)&t->listener, handle_closed);
    uv_close((uv_handle_t *)&t->sweeper, handle_closed);
    uv_close((uv_handle_t *)&t->raft_closer, handle_closed);
}

void transport_free(struct transport *t)
{
    if (t == NULL)
        return;
    close(t->listen_fd);
    free(t);
}
