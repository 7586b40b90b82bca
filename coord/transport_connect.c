/*
 * Connections that this node opens: resolve, connect, say hello; then they are Raft's, or wait for
 * the answer to a question.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "coord/transport_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/wire.h"

struct outgoing {
    struct list link;
    struct transport *t;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_tcp_t *tcp; /* from raft_malloc: Raft frees it */
    struct transport_hello hello;
    int64_t deadline_ms;
    bool resolving;
    bool ended;
    bool canceled;
    struct raft_uv_connect *req; /* Raft's, or NULL for a question */
    raft_uv_connect_cb req_cb;
    transport_ask_done *done;
    void *arg;
    struct transport_answer answer;
    bool answered;
    size_t size;
    uint8_t bytes[2 + TRANSPORT_BODY_MAX];
};

static void report(struct outgoing *out)
{
    struct transport *t = out->t;
    list_remove(&out->link);
    if (out->req != NULL)
        out->req_cb(out->req, NULL, out->canceled ? RAFT_CANCELED : RAFT_NOCONNECTION);
    else
        out->done(out->arg, out->answered ? &out->answer : NULL);
    free(out);
    transport_closed_maybe(t);
}

static void outgoing_closed(uv_handle_t *handle)
{
    struct outgoing *out = handle->data;
    raft_free(out->tcp);
    report(out);
}

static void outgoing_end(struct outgoing *out)
{
    if (out->ended)
        return;
    out->ended = true;
    if (out->resolving)
        uv_cancel((uv_req_t *)&out->resolve); /* on_resolved() reports */
    else
        uv_close((uv_handle_t *)out->tcp, outgoing_closed);
}

static void give_to_raft(struct outgoing *out)
{
    struct transport *t = out->t;
    list_remove(&out->link);
    out->req_cb(out->req, (struct uv_stream_s *)out->tcp, 0);
    free(out);
    transport_closed_maybe(t);
}

static void answer_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct outgoing *out = handle->data;
    *buf = uv_buf_init((char *)out->bytes + out->size, (unsigned)(sizeof(out->bytes) - out->size));
}

static void answer_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)buf;
    struct outgoing *out = stream->data;
    if (count < 0) {
        outgoing_end(out);
        return;
    }
    out->size += (size_t)count;
    if (out->size < 2)
        return;
    size_t body = wire_load(out->bytes, 2);
    if (out->size < body + 2 && body <= TRANSPORT_BODY_MAX)
        return;
    out->answered = body <= TRANSPORT_BODY_MAX &&
                    answer_decode(slice_of(out->bytes + 2, body), &out->answer) == 0;
    outgoing_end(out);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct outgoing *out = connect->data;
    thread_assert(&QUORUM);
    if (out->ended)
        return;
    struct buffer bytes = {0};
    hello_encode(&bytes, &out->hello);
    uv_buf_t buf = uv_buf_init((char *)bytes.data, (unsigned)bytes.size);
    /* The send buffer of a new connection takes the whole hello. */
    bool sent = status == 0 && uv_try_write((uv_stream_t *)out->tcp, &buf, 1) == (int)bytes.size;
    buffer_deinit(&bytes);
    if (!sent)
        outgoing_end(out);
    else if (out->req != NULL)
        give_to_raft(out);
    else if (uv_read_start((uv_stream_t *)out->tcp, answer_buffer, answer_read) != 0)
        outgoing_end(out);
}

/* Silence of the peer's machine ends the connection; without this, after a quarter of an hour. */
static void tune(struct outgoing *out)
{
    uv_os_fd_t fd;
    unsigned timeout_ms = (unsigned)out->t->timeout_ms;
    uv_tcp_nodelay(out->tcp, 1);
    if (uv_fileno((uv_handle_t *)out->tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct outgoing *out = resolve->data;
    thread_assert(&QUORUM);
    out->resolving = false;
    if (out->ended || status != 0) {
        uv_freeaddrinfo(found);
        report(out);
        return;
    }
    out->tcp = raft_malloc(sizeof(*out->tcp));
    CHECK(out->tcp != NULL);
    if (uv_tcp_init_ex(out->t->loop, out->tcp, (unsigned)found->ai_family) != 0) {
        raft_free(out->tcp);
        uv_freeaddrinfo(found);
        report(out);
        return;
    }
    out->tcp->data = out;
    out->connect.data = out;
    tune(out);
    int rc = uv_tcp_connect(&out->connect, out->tcp, found->ai_addr, on_connected);
    uv_freeaddrinfo(found);
    if (rc != 0)
        outgoing_end(out);
}

/* 0, or RAFT_NOCONNECTION when the address makes no sense. */
static int outgoing_start(struct outgoing *out, const char *address)
{
    struct transport *t = out->t;
    char host[TRANSPORT_TEXT_SIZE], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    out->resolve.data = out;
    out->resolving = true;
    out->deadline_ms = clock_monotonic_ms() + t->timeout_ms;
    if (!transport_split(address, host, port) ||
        uv_getaddrinfo(t->loop, &out->resolve, on_resolved, host[0] ? host : "localhost", port,
                       &hints) != 0)
        return RAFT_NOCONNECTION;
    list_push_back(&t->outgoing, &out->link);
    transport_sweep_start(t);
    return 0;
}

int transport_raft_connect(struct raft_uv_transport *raft, struct raft_uv_connect *req, raft_id id,
                           const char *address, raft_uv_connect_cb cb)
{
    struct outgoing *out = mem_zalloc(sizeof(*out));
    out->t = raft->impl;
    out->req = req;
    out->req_cb = cb;
    out->t->callbacks.introduce(out->t->callbacks.arg, &out->hello);
    out->hello.kind = TRANSPORT_RAFT;
    out->hello.to = id;
    int rv = outgoing_start(out, address);
    if (rv != 0)
        free(out);
    return rv;
}

void transport_ask(struct transport *t, const char *address, const struct transport_hello *hello,
                   transport_ask_done *done, void *arg)
{
    struct outgoing *out = mem_zalloc(sizeof(*out));
    out->t = t;
    out->hello = *hello;
    out->done = done;
    out->arg = arg;
    if (outgoing_start(out, address) != 0) {
        LOG_WARN("cannot ask a node of the quorum", "address=%s reason=\"bad address\"", address);
        done(arg, NULL);
        free(out);
    }
}

void outgoing_sweep(struct transport *t, int64_t now_ms)
{
    LIST_FOR_EACH (out, &t->outgoing, struct outgoing, link) {
        if (now_ms >= out->deadline_ms)
            outgoing_end(out);
    }
}

void outgoing_abort(struct transport *t, bool all)
{
    LIST_FOR_EACH (out, &t->outgoing, struct outgoing, link) {
        if (all || out->req != NULL) {
            out->canceled = true;
            outgoing_end(out);
        }
    }
}

bool outgoing_has_raft(const struct transport *t)
{
    LIST_FOR_EACH (out, &t->outgoing, struct outgoing, link) {
        if (out->req != NULL)
            return true;
    }
    return false;
}
