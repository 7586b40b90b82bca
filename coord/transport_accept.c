/* Connections that others open: find out what they are, and hand them over. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coord/transport_internal.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/wire.h"

enum incoming_fate { INCOMING_DROP, INCOMING_ADOPT, INCOMING_RAFT };

struct incoming {
    struct list link;
    struct transport *t;
    uv_poll_t poll;
    int fd;
    int64_t deadline_ms;
    enum incoming_fate fate;
    struct transport_hello hello;
    size_t size;
    uint8_t bytes[TRANSPORT_HEADER + TRANSPORT_BODY_MAX];
};

static void give_to_raft(struct incoming *in)
{
    struct transport *t = in->t;
    uv_tcp_t *tcp = raft_malloc(sizeof(*tcp)); /* raft frees it */
    CHECK(tcp != NULL);
    if (uv_tcp_init(t->loop, tcp) != 0) {
        raft_free(tcp);
        close(in->fd);
        return;
    }
    if (uv_tcp_open(tcp, in->fd) != 0) {
        close(in->fd);
        uv_close((uv_handle_t *)tcp, (uv_close_cb)raft_free);
        return;
    }
    t->accept_cb(&t->raft, in->hello.from, in->hello.address, (struct uv_stream_s *)tcp);
}

static void incoming_closed(uv_handle_t *handle)
{
    struct incoming *in = handle->data;
    struct transport *t = in->t;
    if (in->fate == INCOMING_ADOPT && !t->closing && t->callbacks.adopt != NULL)
        t->callbacks.adopt(t->callbacks.arg, in->fd);
    else if (in->fate == INCOMING_RAFT && !t->closing && t->accept_cb != NULL)
        give_to_raft(in);
    else
        close(in->fd);
    t->incoming_count--;
    free(in);
    transport_closed_maybe(t);
}

static void incoming_end(struct incoming *in, enum incoming_fate fate)
{
    in->fate = fate;
    list_remove(&in->link);
    uv_poll_stop(&in->poll);
    uv_close((uv_handle_t *)&in->poll, incoming_closed);
}

static void answer(struct incoming *in)
{
    struct transport *t = in->t;
    struct transport_answer out = {.leader_id = -1};
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    char host[NI_MAXHOST] = "";
    if (getpeername(in->fd, (struct sockaddr *)&peer, &size) == 0)
        getnameinfo((struct sockaddr *)&peer, size, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
    t->callbacks.asked(t->callbacks.arg, &in->hello, host, &out);
    struct buffer bytes = {0};
    answer_encode(&bytes, &out);
    /* It fits into the empty send buffer of a new connection; if not, the peer asks again. */
    if (send(in->fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        LOG_DEBUG("could not answer", "peer=%s errno=%d", host, errno);
    buffer_deinit(&bytes);
    incoming_end(in, INCOMING_DROP);
}

static void hello_received(struct incoming *in)
{
    struct transport *t = in->t;
    struct slice body = slice_of(in->bytes + TRANSPORT_HEADER, in->size - TRANSPORT_HEADER);
    if (hello_decode(body, &in->hello) != 0) {
        LOG_WARN("quorum connection refused", "reason=\"malformed hello\"%s", "");
        incoming_end(in, INCOMING_DROP);
        return;
    }
    if (in->hello.kind != TRANSPORT_RAFT) {
        answer(in);
        return;
    }
    bool admitted = t->accept_cb != NULL && t->callbacks.admit(t->callbacks.arg, &in->hello);
    incoming_end(in, admitted ? INCOMING_RAFT : INCOMING_DROP);
}

/* How many bytes of the hello are to be read next; 0: it is complete; -1: too long. */
static ssize_t hello_missing(const struct incoming *in)
{
    if (in->size < TRANSPORT_HEADER)
        return (ssize_t)(TRANSPORT_HEADER - in->size);
    size_t body = wire_load(in->bytes + 4, 2);
    return body > TRANSPORT_BODY_MAX ? -1 : (ssize_t)(TRANSPORT_HEADER + body - in->size);
}

static void read_hello(struct incoming *in)
{
    ssize_t missing;
    while ((missing = hello_missing(in)) > 0) {
        ssize_t got = recv(in->fd, in->bytes + in->size, (size_t)missing, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            incoming_end(in, INCOMING_DROP);
            return;
        }
        in->size += (size_t)got;
    }
    if (missing < 0)
        incoming_end(in, INCOMING_DROP);
    else
        hello_received(in);
}

static void set_low_water(int fd, int bytes)
{
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

static void incoming_readable(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct incoming *in = handle->data;
    thread_assert(&QUORUM);
    if (in->size == 0) {
        char start[4];
        ssize_t got = recv(in->fd, start, sizeof(start), MSG_PEEK | MSG_DONTWAIT);
        if (status == 0 && got < 0 && errno == EAGAIN)
            return;
        if (status != 0 || got < (ssize_t)sizeof(start)) {
            incoming_end(in, INCOMING_DROP);
            return;
        }
        set_low_water(in->fd, 1);
        if (memcmp(start, TRANSPORT_MAGIC, sizeof(start)) != 0) {
            incoming_end(in, INCOMING_ADOPT);
            return;
        }
    }
    read_hello(in);
}

static void incoming_new(struct transport *t, int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    set_low_water(fd, 4); /* so that a shorter beginning does not wake us again and again */
    struct incoming *in = mem_zalloc(sizeof(*in));
    in->t = t;
    in->fd = fd;
    in->deadline_ms = clock_monotonic_ms() + t->timeout_ms;
    if (uv_poll_init(t->loop, &in->poll, fd) != 0) {
        close(fd);
        free(in);
        return;
    }
    in->poll.data = in;
    list_push_back(&t->incoming, &in->link);
    t->incoming_count++;
    uv_poll_start(&in->poll, UV_READABLE, incoming_readable);
    transport_sweep_start(t);
}

void transport_acceptable(uv_poll_t *handle, int status, int events)
{
    (void)status, (void)events;
    struct transport *t = handle->data;
    thread_assert(&QUORUM);
    for (int i = 0; i < 16; i++) {
        int fd = accept4(t->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && t->incoming_count >= INCOMING_MAX) {
            close(fd);
            continue;
        }
        if (fd >= 0) {
            incoming_new(t, fd);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            LOG_WARN("could not accept a quorum connection, pausing", "errno=%d", errno);
            t->accept_paused = true;
            uv_poll_stop(&t->listener);
            transport_sweep_start(t);
        }
        return;
    }
}

void incoming_sweep(struct transport *t, int64_t now_ms)
{
    LIST_FOR_EACH (in, &t->incoming, struct incoming, link) {
        if (now_ms >= in->deadline_ms)
            incoming_end(in, INCOMING_DROP);
    }
}
