/* Binding, accepting, spreading connections over the network threads. */
#include "broker/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/node.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define ACCEPTS_PER_TURN  64
#define ACCEPT_PAUSE_MS   100 /* out of descriptors: existing clients go on, new ones wait */
#define IDLE_CHECK_MS_MIN 100

struct listener {
    struct node *node;
    char name[64];
    int fd; /* -1: the controller listener, whose port the quorum owns */
    int32_t port;
    struct event *acceptable;
};

struct server {
    struct listener listeners[LISTENERS_MAX + 1];
    int count; /* without the controller listener, which is listeners[count] */
    _Atomic unsigned next_thread;
    struct event **idle_timers; /* one per net thread */
};

struct accepted {
    struct node *node;
    const struct listener *listener;
    struct net_thread *thread;
    int fd;
};

const char *listener_name(const struct listener *l)
{
    return l->name;
}

int32_t listener_port(const struct listener *l)
{
    return l->port;
}

const struct listener *server_listener(const struct node *node, int index)
{
    return index < node->server->count ? &node->server->listeners[index] : NULL;
}

const struct listener_address *listener_advertised(const struct node *node, const char *name)
{
    for (int i = 0; i < node->config.advertised_count; i++)
        if (strcasecmp(node->config.advertised[i].name, name) == 0)
            return &node->config.advertised[i];
    return NULL;
}

static void accepted_open(void *arg)
{
    struct accepted *a = arg;
    thread_assert(&NET);
    if (atomic_load(&a->node->stopping)) { /* nobody would close it */
        atomic_fetch_sub(&a->node->connections, 1);
        close(a->fd);
        free(a);
        return;
    }
    conn_open(a->node, a->thread, a->listener, a->fd);
    free(a);
}

static void hand_over(const struct listener *l, int fd)
{
    struct node *node = l->node;
    if (atomic_fetch_add(&node->connections, 1) >=
        config_number(&node->config, CONFIG_CONNECTIONS_MAX)) {
        atomic_fetch_sub(&node->connections, 1);
        LOG_WARN("connection refused", "listener=%s reason=max.connections", l->name);
        close(fd);
        return;
    }
    struct accepted *a = mem_alloc(sizeof(*a));
    unsigned turn = atomic_fetch_add(&node->server->next_thread, 1);
    *a = (struct accepted){node, l, &node->net.threads[turn % (unsigned)node->net.count], fd};
    net_call(a->thread, accepted_open, a);
}

void server_adopt(struct node *node, int fd)
{
    /* The quorum listens before the other parts are there. */
    if (!atomic_load(&node->up) || atomic_load(&node->stopping)) {
        close(fd);
        return;
    }
    evutil_make_socket_nonblocking(fd);
    hand_over(&node->server->listeners[node->server->count], fd);
}

static void accept_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct listener *l = arg;
    if (l->acceptable != NULL) /* else the server stopped meanwhile */
        event_add(l->acceptable, NULL);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct listener *l = arg;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            hand_over(l, client);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            LOG_WARN("could not accept a connection, pausing",
                     "listener=%s error=\"%s\" pause_ms=%d", l->name, strerror(errno),
                     ACCEPT_PAUSE_MS);
            event_del(l->acceptable);
            struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};
            event_base_once(event_get_base(l->acceptable), -1, EV_TIMEOUT, accept_resume, l,
                            &pause);
            return;
        }
    }
}

static int bind_one(const struct listener_address *address, int *fd)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", address->port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *host = address->host[0] ? address->host : "0.0.0.0";
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int rc = 0;
    int one = 1;
    *fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        rc = -errno;
    if (rc == 0)
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (rc == 0 && (bind(*fd, found->ai_addr, found->ai_addrlen) < 0 || listen(*fd, 1024) < 0))
        rc = -errno;
    if (rc < 0 && *fd >= 0)
        close(*fd);
    freeaddrinfo(found);
    return rc;
}

static int32_t bound_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof(ss);
    CHECK(getsockname(fd, (struct sockaddr *)&ss, &size) == 0);
    return ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
                                         : ((struct sockaddr_in6 *)&ss)->sin6_port);
}

static int listener_open(struct node *node, struct listener *l, const struct listener_address *a)
{
    *l = (struct listener){.node = node, .fd = -1};
    snprintf(l->name, sizeof(l->name), "%s", a->name);
    int rc = bind_one(a, &l->fd);
    if (rc < 0) {
        LOG_ERROR(
            "cannot listen, not starting",
            "listener=%s host=%s port=%d error=\"%s\" way_out=\"stop what uses the port or change "
            "`listeners`\"",
            a->name, a->host, a->port, strerror(-rc));
        return rc;
    }
    l->port = bound_port(l->fd);
    return 0;
}

static void idle_check(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct node *node = arg;
    int64_t idle_ms = config_number(&node->config, CONFIG_CONNECTIONS_IDLE_MS);
    for (int i = 0; i < node->net.count; i++)
        if (pthread_equal(node->net.threads[i].thread, pthread_self()) && idle_ms >= 0)
            conn_expire_idle(&node->net.threads[i], clock_monotonic_ms(), idle_ms);
}

/* What one network thread does for the server. A libevent base belongs to its thread: events are
 * added and freed there only. */
struct thread_part {
    struct node *node;
    int index;
};

static void idle_timer_start(struct node *node, int index)
{
    int64_t idle_ms = config_number(&node->config, CONFIG_CONNECTIONS_IDLE_MS);
    if (idle_ms < 0)
        return;
    int64_t every_ms = MAX(MIN(idle_ms / 4, 10000), IDLE_CHECK_MS_MIN);
    struct timeval every = {.tv_sec = every_ms / 1000, .tv_usec = every_ms % 1000 * 1000};
    struct event *timer =
        event_new(node->net.threads[index].base, -1, EV_PERSIST, idle_check, node);
    CHECK(timer != NULL && event_add(timer, &every) == 0);
    node->server->idle_timers[index] = timer;
}

static void part_start(void *arg)
{
    thread_assert(&NET);
    struct thread_part *part = arg;
    struct server *s = part->node->server;
    idle_timer_start(part->node, part->index);
    for (int i = 0; part->index == 0 && i < s->count; i++) {
        struct listener *l = &s->listeners[i];
        l->acceptable = event_new(part->node->net.threads[0].base, l->fd, EV_READ | EV_PERSIST,
                                  on_acceptable, l);
        CHECK(l->acceptable != NULL && event_add(l->acceptable, NULL) == 0);
    }
}

static void part_stop(void *arg)
{
    thread_assert(&NET);
    struct thread_part *part = arg;
    struct server *s = part->node->server;
    struct net_thread *t = &part->node->net.threads[part->index];
    for (int i = 0; part->index == 0 && i < s->count; i++) {
        if (s->listeners[i].acceptable != NULL)
            event_free(s->listeners[i].acceptable);
        s->listeners[i].acceptable = NULL;
        close(s->listeners[i].fd);
    }
    if (s->idle_timers[part->index] != NULL)
        event_free(s->idle_timers[part->index]);
    while (!list_is_empty(&t->conns))
        conn_close(CONTAINER_OF(t->conns.next, struct conn, link), NULL);
}

static void each_thread(struct node *node, void (*run)(void *arg))
{
    for (int i = 0; i < node->net.count; i++) {
        struct thread_part part = {node, i};
        net_call_wait(&node->net.threads[i], run, &part);
    }
}

int server_bind(struct node *node)
{
    struct server *s = mem_zalloc(sizeof(*s));
    s->idle_timers = mem_zalloc((size_t)node->net.count * sizeof(struct event *));
    node->server = s;
    for (int i = 0; i < node->config.listeners_count; i++) {
        int rc = listener_open(node, &s->listeners[i], &node->config.listeners[i]);
        if (rc < 0)
            return rc;
        s->count++;
    }
    struct listener *controller = &s->listeners[s->count];
    *controller = (struct listener){.node = node, .fd = -1, .port = node->config.controller.port};
    snprintf(controller->name, sizeof(controller->name), "%s", node->config.controller.name);
    return 0;
}

void server_accept(struct node *node)
{
    each_thread(node, part_start);
}

void server_stop(struct node *node)
{
    struct server *s = node->server;
    if (s == NULL)
        return;
    each_thread(node, part_stop);
    free(s->idle_timers);
    s->idle_timers = NULL;
}
