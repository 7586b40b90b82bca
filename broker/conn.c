/* Reading frames, sending answers in order. */
#include "broker/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/controller_host.h"
#include "broker/dispatch.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/server.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define FRAME_FIRST_BYTES 65536u     /* memory for a frame before more of it arrived */
#define FRAMES_PER_TURN   32         /* then other connections have their turn */
#define OUTPUT_BYTES_MAX  (8u << 20) /* answers waiting for a slow reader */
#define MEMORY_RETRY_MS   20

static void conn_read_turn(struct conn *c) ON(NET);
static void conn_write(struct conn *c) ON(NET);

static void reading_set(struct conn *c, bool on)
{
    if (c->closed || c->reading == on)
        return;
    c->reading = on;
    if (on)
        event_add(c->readable, NULL);
    else
        event_del(c->readable);
}

static bool over_bounds(const struct conn *c)
{
    return c->muted || c->in_flight >= config_number(&c->node->config, CONFIG_IN_FLIGHT_MAX) ||
           evbuffer_get_length(c->output) > OUTPUT_BYTES_MAX;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    thread_assert(&NET);
    conn_read_turn(arg);
}

/* It waited for request memory. */
static void on_memory(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct conn *c = arg;
    if (!c->closed) {
        reading_set(c, true);
        conn_read_turn(c);
    }
    conn_unref(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct conn *c = arg;
    conn_write(c);
    if (!c->closed && !c->closing && !over_bounds(c))
        reading_set(c, true);
}

static void address_text(const struct sockaddr_storage *ss, char *host, size_t size, int *port)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        *port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)ss;
        if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
            inet_ntop(AF_INET, in->sin6_addr.s6_addr + 12, text, sizeof(text));
        else
            inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        *port = ntohs(in->sin6_port);
    }
    snprintf(host, size, "%s", text);
}

static void addresses_note(struct conn *c)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof(ss);
    char host[48];
    int port = 0;
    if (getpeername(c->fd, (struct sockaddr *)&ss, &size) == 0) {
        address_text(&ss, host, sizeof(host), &port);
        snprintf(c->peer, sizeof(c->peer), "%s:%d", host, port);
    }
    size = sizeof(ss);
    if (getsockname(c->fd, (struct sockaddr *)&ss, &size) == 0) {
        address_text(&ss, c->local_host, sizeof(c->local_host), &port);
        c->local_port = port;
    }
}

void conn_open(struct node *node, struct net_thread *thread, const struct listener *listener,
               int fd)
{
    struct conn *c = mem_zalloc(sizeof(*c));
    *c = (struct conn){.node = node, .thread = thread, .listener = listener, .fd = fd, .refs = 1};
    c->number = atomic_fetch_add(&node->connection_numbers, 1) + 1;
    list_init(&c->requests);
    list_push_back(&thread->conns, &c->link);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    addresses_note(c);
    c->last_active_ms = clock_monotonic_ms();
    c->output = evbuffer_new();
    c->readable = event_new(thread->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(thread->base, fd, EV_WRITE, on_writable, c);
    CHECK(c->output != NULL && c->readable != NULL && c->writable != NULL);
    /* Files go to the socket by sendfile instead of being mapped into memory. */
    evbuffer_set_flags(c->output, EVBUFFER_FLAG_DRAINS_TO_FD);
    reading_set(c, true);
}

void conn_unref(struct conn *c)
{
    if (--c->refs == 0)
        free(c);
}

static void closed_unref(void *arg)
{
    thread_assert(&NET);
    conn_unref(arg);
}

void conn_close(struct conn *c, const char *reason)
{
    if (c->closed)
        return;
    c->closed = true;
    if (reason != NULL)
        LOG_WARN("connection closed", "peer=%s listener=%s reason=\"%s\"", c->peer,
                 listener_name(c->listener), reason);
    if (c->hello)
        controller_host_connection_lost(c->node, c->number);
    list_remove(&c->link);
    event_free(c->readable);
    event_free(c->writable);
    if (c->unmute != NULL)
        event_free(c->unmute);
    evbuffer_free(c->output);
    close(c->fd);
    free(c->frame);
    if (c->frame_capacity != 0)
        atomic_fetch_sub(&c->node->request_bytes, c->frame_size);
    atomic_fetch_sub(&c->node->connections, 1);
    struct list *link;
    while ((link = list_pop_front(&c->requests)) != NULL)
        request_abandon(CONTAINER_OF(link, struct request, link));
    /* Callers up the stack still look at c->closed. */
    net_call(c->thread, closed_unref, c);
}

/* --- Reading --- */

/* 1: go on, 0: nothing there now, -1: closed. */
static int receive(struct conn *c, uint8_t *out, size_t size, size_t *got)
{
    thread_assert(&NET);
    ssize_t n = recv(c->fd, out, size, 0);
    if (n > 0) {
        *got += (size_t)n;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    /* The client left; in the middle of a frame that is worth a line. */
    conn_close(c, n < 0 && errno != ECONNRESET      ? strerror(errno)
                  : c->frame_got + c->head_size > 0 ? "the client left in the middle of a request"
                                                    : NULL);
    return -1;
}

/* The length is complete: check it and make room. Returns as receive(). */
static int frame_start(struct conn *c)
{
    thread_assert(&NET);
    int32_t size = (int32_t)wire_load(c->head, 4);
    if (size < 8 || size > config_number(&c->node->config, CONFIG_SOCKET_REQUEST_MAX)) {
        char reason[96];
        snprintf(reason, sizeof(reason),
                 "request size %d is not within 8 and socket.request.max.bytes", size);
        conn_close(c, reason);
        return -1;
    }
    size_t before = atomic_fetch_add(&c->node->request_bytes, (size_t)size);
    if (before + (size_t)size > (size_t)config_number(&c->node->config, CONFIG_REQUEST_BYTES_MAX) &&
        before > 0) {
        atomic_fetch_sub(&c->node->request_bytes, (size_t)size);
        reading_set(c, false);
        struct timeval retry = {.tv_usec = MEMORY_RETRY_MS * 1000};
        c->refs++;
        event_base_once(c->thread->base, -1, EV_TIMEOUT, on_memory, c, &retry);
        return 0;
    }
    c->frame_size = (size_t)size;
    c->frame_capacity = MIN(c->frame_size, FRAME_FIRST_BYTES);
    c->frame = mem_alloc(c->frame_capacity);
    c->frame_got = 0;
    return 1;
}

static int frame_read(struct conn *c)
{
    if (c->frame_got == c->frame_capacity) {
        /* Memory only for what really arrives: a length alone costs nothing. */
        c->frame_capacity = MIN(c->frame_size, c->frame_capacity * 4);
        c->frame = mem_realloc(c->frame, c->frame_capacity);
    }
    return receive(c, c->frame + c->frame_got, c->frame_capacity - c->frame_got, &c->frame_got);
}

static void frame_done(struct conn *c)
{
    thread_assert(&NET);
    struct request *req = request_new(c, c->frame, c->frame_size);
    c->frame = NULL;
    c->frame_size = c->frame_got = c->frame_capacity = c->head_size = 0;
    c->last_active_ms = clock_monotonic_ms();
    dispatch(req);
}

static void conn_read_turn(struct conn *c)
{
    for (int frames = 0; frames < FRAMES_PER_TURN && !c->closed && !c->closing;) {
        if (over_bounds(c)) {
            reading_set(c, false);
            return;
        }
        int rc = 1;
        if (c->head_size < sizeof(c->head))
            rc = receive(c, c->head + c->head_size, sizeof(c->head) - c->head_size, &c->head_size);
        else if (c->frame == NULL)
            rc = frame_start(c);
        else
            rc = frame_read(c);
        if (rc <= 0)
            return;
        if (c->frame != NULL && c->frame_got == c->frame_size) {
            frame_done(c);
            frames++;
        }
    }
}

/* --- Writing --- */

static void segment_released(struct evbuffer_file_segment const *segment, int flags, void *arg)
{
    (void)segment, (void)flags;
    struct file_range *range = arg;
    range->release(range->owner);
    free(range);
}

static void output_add_file(struct conn *c, const struct file_range *file)
{
    struct file_range *range = mem_alloc(sizeof(*range));
    *range = *file; /* the request's arena is gone before the bytes are sent */
    struct evbuffer_file_segment *segment =
        evbuffer_file_segment_new(range->fd, range->position, range->size, 0);
    CHECK(segment != NULL);
    evbuffer_file_segment_add_cleanup_cb(segment, segment_released, range);
    CHECK(evbuffer_add_file_segment(c->output, segment, 0, range->size) == 0);
    evbuffer_file_segment_free(segment);
}

static void output_add(struct conn *c, struct request *req)
{
    size_t done = 0;
    for (size_t i = 0; i < req->writer.splices.count; i++) {
        const struct wire_splice *splice = &req->writer.splices.items[i];
        evbuffer_add(c->output, req->answer.data + done, splice->offset - done);
        done = splice->offset;
        output_add_file(c, splice->file);
    }
    req->writer.splices.count = 0;
    evbuffer_add(c->output, req->answer.data + done, req->answer.size - done);
}

void conn_flush(struct conn *c)
{
    bool any = false;
    while (!c->closed && !list_is_empty(&c->requests)) {
        struct request *req = CONTAINER_OF(c->requests.next, struct request, link);
        if (!req->replied)
            break;
        list_remove(&req->link);
        c->in_flight--;
        if (!req->silent)
            output_add(c, req);
        any = any || !req->silent;
        c->closing = c->closing || req->close_after;
        request_release(req);
    }
    if (c->closed)
        return;
    if (any || c->closing)
        conn_write(c);
    if (!c->closed && !c->closing && !over_bounds(c))
        reading_set(c, true);
}

static void conn_write(struct conn *c)
{
    while (evbuffer_get_length(c->output) > 0) {
        errno = 0;
        int n = evbuffer_write(c->output, c->fd);
        if (n > 0) {
            c->last_active_ms = clock_monotonic_ms();
            continue;
        }
        /* For a file libevent says 0 when the socket is full, as for a file that ended too
         * early. */
        if (errno == EAGAIN || errno == EINTR) {
            event_add(c->writable, NULL);
            return;
        }
        conn_close(c, NULL); /* the client is gone, or a file was shorter than promised */
        return;
    }
    if (c->closing)
        conn_close(c, NULL);
}

static void on_unmute(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct conn *c = arg;
    c->muted = false;
    c->last_active_ms = clock_monotonic_ms();
    if (!c->closing && !over_bounds(c)) {
        reading_set(c, true);
        conn_read_turn(c);
    }
}

void conn_mute(struct conn *c, int64_t ms)
{
    if (ms <= 0 || c->closed || c->muted)
        return;
    c->muted = true;
    reading_set(c, false);
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    if (c->unmute == NULL)
        c->unmute = evtimer_new(c->thread->base, on_unmute, c);
    CHECK(c->unmute != NULL && event_add(c->unmute, &after) == 0);
}

void conn_expire_idle(struct net_thread *thread, int64_t now_ms, int64_t idle_ms_max)
{
    LIST_FOR_EACH (c, &thread->conns, struct conn, link) {
        if (list_is_empty(&c->requests) && !c->muted && now_ms - c->last_active_ms > idle_ms_max)
            conn_close(c, NULL);
    }
}
