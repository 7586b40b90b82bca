/* Connecting, sending, matching answers, timing out. */
#include "broker/client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/resolve.h"
#include "proto/base/clock.h"
#include "proto/frame.h"

#define ANSWER_BYTES_MAX (256u << 20)
#define ARENA_GROWTH_MAX 64u

struct client_call {
    struct list link;
    int16_t api_key;
    int16_t version;
    int32_t correlation_id;
    int64_t deadline_ms;
    client_answered *answered;
    void *arg;
};

struct client {
    struct net_thread *thread;
    char *host;
    int32_t port;
    char *client_id;
    int fd; /* -1: not connected */
    bool connecting;
    struct resolve *resolving; /* the host's name is being looked up */
    struct addresses addresses;
    int address_next; /* tried when the one before does not answer */
    struct event *readable;
    struct event *writable;
    struct event *timer;
    struct evbuffer *output;
    struct list calls; /* in the order sent */
    int32_t next_correlation;
    uint8_t head[4];
    size_t head_size;
    uint8_t *frame;
    size_t frame_size;
    size_t frame_got;
    int pending_error;       /* the connect failed at once: told from the timer */
    void (*lost)(void *arg); /* or NULL */
    void *lost_arg;
    bool freed;
    int depth; /* callbacks on the stack */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

static void socket_close(struct client *c)
{
    if (c->fd < 0)
        return;
    event_free(c->readable);
    event_free(c->writable);
    c->readable = c->writable = NULL;
    close(c->fd);
    c->fd = -1;
    c->connecting = false;
}

static void disconnect(struct client *c)
{
    thread_assert(&NET);
    resolve_cancel(c->resolving);
    c->resolving = NULL;
    socket_close(c);
    free(c->frame);
    c->frame = NULL;
    c->head_size = c->frame_got = c->frame_size = 0;
    evbuffer_drain(c->output, evbuffer_get_length(c->output));
}

static void client_release(struct client *c)
{
    if (!c->freed || c->depth > 0)
        return;
    event_free(c->timer);
    evbuffer_free(c->output);
    free(c->host);
    free(c->client_id);
    free(c);
}

/* The connection is over: every call fails. Callbacks may send again (on a new connection). */
static void fail_all(struct client *c, int err)
{
    bool idle = list_is_empty(&c->calls);
    disconnect(c);
    struct list failed;
    list_init(&failed);
    list_splice(&failed, &c->calls);
    c->depth++;
    struct list *link;
    while ((link = list_pop_front(&failed)) != NULL) {
        struct client_call *call = CONTAINER_OF(link, struct client_call, link);
        call->answered(call->arg, err, NULL);
        free(call);
    }
    if (idle && c->lost != NULL && !c->freed)
        c->lost(c->lost_arg);
    c->depth--;
    client_release(c);
}

static void timer_arm(struct client *c)
{
    if (list_is_empty(&c->calls)) {
        event_del(c->timer);
        return;
    }
    int64_t first = INT64_MAX;
    LIST_FOR_EACH (call, &c->calls, struct client_call, link)
        first = MIN(first, call->deadline_ms);
    int64_t left = MAX(first - clock_monotonic_ms(), (int64_t)0);
    struct timeval after = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    event_add(c->timer, &after);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct client *c = arg;
    if (c->pending_error != 0) {
        int err = c->pending_error;
        c->pending_error = 0;
        fail_all(c, err);
        return;
    }
    int64_t now = clock_monotonic_ms();
    LIST_FOR_EACH (call, &c->calls, struct client_call, link) {
        if (call->deadline_ms > now)
            continue;
        /* Answers come in order: behind a lost one nothing can be trusted to come. */
        fail_all(c, -ETIMEDOUT);
        return;
    }
    timer_arm(c);
}

struct client *client_new(struct net_thread *thread, const char *host, int32_t port,
                          const char *client_id)
{
    net_assert(thread);
    struct client *c = mem_zalloc(sizeof(*c));
    *c = (struct client){.thread = thread,
                         .host = mem_strdup(host),
                         .port = port,
                         .client_id = mem_strdup(client_id),
                         .fd = -1};
    list_init(&c->calls);
    c->output = evbuffer_new();
    c->timer = evtimer_new(thread->base, on_timer, c);
    CHECK(c->output != NULL && c->timer != NULL);
    return c;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    net_assert(c->thread);
    c->freed = true;
    fail_all(c, -ECANCELED);
}

void client_on_lost(struct client *c, void (*lost)(void *arg), void *arg)
{
    c->lost = lost;
    c->lost_arg = arg;
}

bool client_is(const struct client *c, const char *host, int32_t port)
{
    return c->port == port && strcmp(c->host, host) == 0;
}

/* Begin to connect to the next address of the host. */
static int connect_next(struct client *c)
{
    int i = c->address_next++;
    const struct sockaddr *address = (const struct sockaddr *)&c->addresses.items[i];
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : 0;
    if (rc == 0 && connect(fd, address, c->addresses.sizes[i]) < 0 && errno != EINPROGRESS)
        rc = -errno;
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->fd = fd;
    c->connecting = true;
    c->readable = event_new(c->thread->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(c->thread->base, fd, EV_WRITE, on_writable, c);
    CHECK(c->readable != NULL && c->writable != NULL);
    event_add(c->readable, NULL);
    event_add(c->writable, NULL);
    return 0;
}

/* One address after the other until one can be tried; the last one's error when none can. */
static int connect_any(struct client *c, int err)
{
    while (err != 0 && c->address_next < c->addresses.count)
        err = connect_next(c);
    return err;
}

static void resolved(void *arg, int err, const struct addresses *found)
{
    struct client *c = arg;
    c->resolving = NULL;
    c->addresses = *found;
    c->address_next = 0;
    if (err == 0)
        err = connect_any(c, -EHOSTUNREACH);
    if (err != 0)
        fail_all(c, err);
}

static int connect_start(struct client *c)
{
    thread_assert(&NET);
    c->address_next = 0;
    if (resolve_numeric(c->host, c->port, &c->addresses))
        return connect_any(c, -EHOSTUNREACH);
    c->resolving = resolve_start(c->thread, c->host, c->port, resolved, c);
    return 0;
}

static void write_some(struct client *c)
{
    while (evbuffer_get_length(c->output) > 0) {
        int n = evbuffer_write(c->output, c->fd);
        if (n > 0)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            event_add(c->writable, NULL);
            return;
        }
        fail_all(c, n < 0 ? -errno : -EPIPE);
        return;
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    thread_assert(&NET);
    struct client *c = arg;
    if (c->connecting) {
        int err = 0;
        socklen_t size = sizeof(err);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
        if (err != 0) {
            socket_close(c);
            err = connect_any(c, -err);
            if (err != 0)
                fail_all(c, err);
            return;
        }
        c->connecting = false;
    }
    write_some(c);
}

/* Decode the complete frame and call back. */
static void answer(struct client *c)
{
    struct list *link = list_pop_front(&c->calls);
    struct client_call *call = link ? CONTAINER_OF(link, struct client_call, link) : NULL;
    const struct api_info *api = call ? api_find(call->api_key) : NULL;
    struct arena arena;
    struct wire_reader reader;
    int32_t correlation_id = -1;
    int rc = -EBADMSG;
    void *response = NULL;
    arena_init(&arena, c->frame_size * ARENA_GROWTH_MAX + 65536);
    wire_reader_init(&reader, slice_of(c->frame, c->frame_size), &arena);
    if (call != NULL)
        rc = response_header_decode(&reader, call->api_key, call->version, &correlation_id);
    if (rc == 0 && correlation_id != call->correlation_id)
        rc = -EBADMSG;
    if (rc == 0) {
        response = arena_need(&arena, api->response.struct_size);
        rc = api->response.decode(&reader, call->version, response);
    }
    if (call != NULL) {
        c->depth++;
        call->answered(call->arg, rc, rc == 0 ? response : NULL);
        c->depth--;
        free(call);
    }
    arena_deinit(&arena);
    if (rc != 0 && !c->freed)
        fail_all(c, rc);
}

static int receive(struct client *c, uint8_t *out, size_t size, size_t *got)
{
    ssize_t n = recv(c->fd, out, size, 0);
    if (n > 0) {
        *got += (size_t)n;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    fail_all(c, n < 0 ? -errno : -ECONNRESET);
    return -1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct client *c = arg;
    c->depth++; /* c stays until we are done with it */
    while (c->fd >= 0 && !c->freed) {
        int rc;
        if (c->frame == NULL) {
            rc = receive(c, c->head + c->head_size, sizeof(c->head) - c->head_size, &c->head_size);
            if (rc > 0 && c->head_size == sizeof(c->head)) {
                c->frame_size = wire_load(c->head, 4);
                if (c->frame_size < 4 || c->frame_size > ANSWER_BYTES_MAX) {
                    fail_all(c, -EBADMSG);
                    break;
                }
                c->frame = mem_alloc(c->frame_size);
                c->frame_got = 0;
            }
        } else {
            rc = receive(c, c->frame + c->frame_got, c->frame_size - c->frame_got, &c->frame_got);
        }
        if (rc <= 0)
            break;
        if (c->frame != NULL && c->frame_got == c->frame_size) {
            int connection = c->fd;
            uint8_t *frame = c->frame;
            answer(c);
            if (c->fd == connection && c->frame == frame) {
                free(c->frame);
                c->frame = NULL;
                c->head_size = 0;
                timer_arm(c);
            }
        }
    }
    c->depth--;
    client_release(c);
}

void client_send(struct client *c, int16_t api_key, int16_t version, const void *message,
                 int64_t timeout_ms, client_answered *answered, void *arg)
{
    net_assert(c->thread);
    struct client_call *call = mem_zalloc(sizeof(*call));
    *call = (struct client_call){.api_key = api_key,
                                 .version = version,
                                 .correlation_id = c->next_correlation++,
                                 .deadline_ms = clock_monotonic_ms() + timeout_ms,
                                 .answered = answered,
                                 .arg = arg};
    if (c->fd < 0 && c->resolving == NULL) {
        int rc = c->pending_error != 0 ? c->pending_error : connect_start(c);
        if (rc < 0) {
            list_push_back(&c->calls, &call->link);
            c->pending_error = rc;
            struct timeval now = {0};
            event_add(c->timer, &now);
            return;
        }
    }
    list_push_back(&c->calls, &call->link);
    struct request_header header = {.api_key = api_key,
                                    .api_version = version,
                                    .correlation_id = call->correlation_id,
                                    .client_id = slice_from_text(c->client_id)};
    struct buffer bytes = {0};
    struct wire_writer writer;
    wire_writer_init(&writer, &bytes);
    request_frame_encode(&writer, &header, message);
    wire_writer_deinit(&writer);
    evbuffer_add(c->output, bytes.data, bytes.size);
    buffer_deinit(&bytes);
    timer_arm(c);
    /* Written from the loop, so that a failure is never reported from inside this call. */
    if (c->fd >= 0)
        event_add(c->writable, NULL);
}
