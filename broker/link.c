/* Hello and forwarding. */
#include "broker/link.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "broker/client.h"
#include "broker/node.h"
#include "broker/server.h"
#include "broker/wiring.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/messages.h"

#define KEY_SUBMIT_COMMANDS 20000
#define KEY_BROKER_HELLO    20001
#define RETRY_MS            50
#define FORWARD_TIMEOUT_MS  2000
#define SHUTDOWN_LOOK_MS    100
#define SHUTDOWN_SILENCE_MS 2000 /* no controller answers: there is nobody to hand over to */

struct link {
    struct node *node;
    struct net_thread *thread;
    struct client *hello_client;
    struct client *forward_client; /* its own connection: a batch must not wait behind a hello */
    char address[280];             /* of the controller that the clients point to */
    struct event *timer;
    bool hello_out;
    bool hello_again;
    int64_t hello_sent_ms;
    bool want_shutdown;
    sem_t shutdown_done;
    _Atomic int64_t answered_ms; /* when a controller last answered a hello */
    bool stopped;
};

struct forwarded {
    struct link *link;
    int64_t sequence;
    struct buffer batch;
};

static void hello(struct link *l) ON(NET);
static void hello_now(void *arg);

/* The clients follow the leader. false: no leader is known. */
static bool point_to_leader(struct link *l)
{
    thread_assert(&NET);
    struct quorum_status status;
    quorum_status(l->node->quorum, &status);
    if (status.leader_address[0] == '\0')
        return false;
    if (strcmp(status.leader_address, l->address) == 0)
        return true;
    snprintf(l->address, sizeof(l->address), "%s", status.leader_address);
    char host[280];
    snprintf(host, sizeof(host), "%s", l->address);
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    int32_t port = (int32_t)strtol(colon + 1, NULL, 10);
    struct client *old_hello = l->hello_client, *old_forward = l->forward_client;
    l->hello_client = client_new(l->thread, host, port, "millrace-hello");
    client_on_lost(l->hello_client, hello_now, l);
    l->forward_client = client_new(l->thread, host, port, "millrace-forward");
    client_free(old_hello);
    client_free(old_forward);
    return true;
}

static void hello_after(struct link *l, int64_t delay_ms)
{
    struct timeval after = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    if (!l->stopped)
        event_add(l->timer, &after);
}

static void hello_accepted(struct link *l, const struct broker_hello_response *r)
{
    struct node *node = l->node;
    atomic_store(&node->broker_epoch, r->broker_epoch);
    if (r->broker_epoch >= 0)
        replicas_set_broker_epoch(node->replicas, r->broker_epoch);
    bool was_fenced = atomic_exchange(&node->fenced, r->fenced);
    /* Counted from the sending: the controller cannot have heard us earlier than that. */
    atomic_store(&node->lease_end_ms, l->hello_sent_ms + r->lease_ms);
    if (was_fenced != r->fenced)
        LOG_INFO(r->fenced ? "this broker is fenced" : "this broker is unfenced",
                 "node_id=%d broker_epoch=%ld", node->id, (long)r->broker_epoch);
    if (l->want_shutdown && r->should_shutdown)
        sem_post(&l->shutdown_done);
}

static void hello_answered(void *arg, int err, const void *response)
{
    struct link *l = arg;
    const struct broker_hello_response *r = response;
    l->hello_out = false;
    if (err == -ECANCELED) {
        hello_after(l, 0); /* another leader is known by now */
        return;
    }
    int64_t next_ms = err == -ECONNRESET ? 0 : RETRY_MS;
    /* Nobody listens where the controller did: its process is gone. */
    if (err == -ECONNREFUSED)
        quorum_leader_gone(l->node->quorum, l->address);
    if (err == 0)
        atomic_store(&l->answered_ms, clock_monotonic_ms());
    if (err == 0 && r->error_code == ERR_NONE) {
        hello_accepted(l, r);
        /* Soon again while the controller is still bringing us in. */
        next_ms = r->fenced || l->want_shutdown
                      ? RETRY_MS
                      : config_number(&l->node->config, CONFIG_HEARTBEAT_MS);
    } else if (err == 0 && r->error_code == ERR_BROKER_ID_NOT_REGISTERED) {
        if (!atomic_exchange(&l->node->fenced, true))
            LOG_INFO("this broker was drained and is unregistered, it may be stopped", "node_id=%d",
                     l->node->id);
        next_ms = 500;
    } else if (err == 0 && r->error_code == ERR_DUPLICATE_BROKER_REGISTRATION) {
        LOG_WARN("another process is registered with this node id", "node_id=%d", l->node->id);
        next_ms = 500;
    }
    hello_after(l, l->hello_again ? 0 : next_ms);
    l->hello_again = false;
}

static void endpoint_fill(struct link *l, struct arena *arena, const struct listener_address *a,
                          int index, struct broker_hello_request_listener *out)
{
    const struct listener_address *advertised = listener_advertised(l->node, a->name);
    const char *host = advertised ? advertised->host : a->host;
    char name[256];
    if (host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        CHECK(gethostname(name, sizeof(name)) == 0);
        name[sizeof(name) - 1] = '\0';
        host = name;
    }
    const struct listener *bound = server_listener(l->node, index);
    out->name = slice_from_text(a->name);
    out->host = arena_text(arena, host);
    out->port = (uint16_t)(advertised ? advertised->port : bound ? listener_port(bound) : a->port);
    out->security_protocol = a->security_protocol;
}

static void hello(struct link *l)
{
    if (l->stopped)
        return;
    bool known = point_to_leader(l); /* cancels what is out to a former leader */
    if (l->hello_out) {
        l->hello_again = true;
        return;
    }
    if (!known) {
        hello_after(l, RETRY_MS);
        return;
    }
    struct node *node = l->node;
    struct image *img = quorum_image(node->quorum);
    struct broker_hello_request in;
    struct arena arena;
    arena_init(&arena, 0);
    broker_hello_request_init(&in);
    in.node_id = node->id;
    in.incarnation = node->incarnation;
    in.cluster_id = img ? img->cluster_id : SLICE_NULL;
    in.listeners_count = node->config.listeners_count;
    in.listeners = broker_hello_request_listener_array(&arena, in.listeners_count);
    for (int i = 0; i < in.listeners_count; i++)
        endpoint_fill(l, &arena, &node->config.listeners[i], i, &in.listeners[i]);
    in.rack = slice_from_text(config_text(&node->config, CONFIG_RACK));
    in.want_shutdown = l->want_shutdown;
    /* Not what the database has: a broker that was fenced comes back when its roles are those of
     * the metadata, or it would lead once more where it was replaced. */
    in.applied_index = wiring_index(node->wiring);
    in.clean_epoch = replicas_clean_epoch(node->replicas);
    l->hello_out = true;
    l->hello_sent_ms = clock_monotonic_ms();
    client_send(l->hello_client, KEY_BROKER_HELLO, 0, &in,
                config_number(&node->config, CONFIG_SESSION_TIMEOUT_MS), hello_answered, l);
    arena_deinit(&arena);
    image_unref(img);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    hello(arg);
}

static void hello_now(void *arg)
{
    thread_assert(&NET);
    hello(arg);
}

void link_status_changed(struct link *l)
{
    net_call(l->thread, hello_now, l);
}

/* --- Forwarding --- */

static void forward_answered(void *arg, int err, const void *response)
{
    struct forwarded *f = arg;
    const struct submit_commands_response *r = response;
    struct command_results results = {0};
    enum error_code code = err == 0 ? (enum error_code)r->error_code : ERR_NETWORK_EXCEPTION;
    if (code == ERR_NONE) {
        for (int i = 0; i < r->results_count; i++) {
            struct command_result one = {(enum error_code)r->results[i].error_code,
                                         r->results[i].value};
            vec_push(&results.list, one);
        }
    }
    quorum_forwarded(f->link->node->quorum, f->sequence, code, err == 0 ? r->index : -1, &results);
    vec_deinit(&results.list);
    buffer_deinit(&f->batch);
    free(f);
}

static void forward_run(void *arg)
{
    thread_assert(&NET);
    struct forwarded *f = arg;
    struct link *l = f->link;
    struct submit_commands_request in;
    submit_commands_request_init(&in);
    in.node_id = l->node->id;
    in.incarnation = l->node->incarnation;
    in.sequence = f->sequence;
    in.commands_count = 1;
    struct submit_commands_request_command whole = {.bytes = buffer_slice(&f->batch)};
    in.commands = &whole;
    if (l->stopped) { /* the quorum stops as well, and may be gone */
        buffer_deinit(&f->batch);
        free(f);
        return;
    }
    if (!point_to_leader(l)) {
        struct command_results none = {0};
        quorum_forwarded(l->node->quorum, f->sequence, ERR_NOT_CONTROLLER, -1, &none);
        buffer_deinit(&f->batch);
        free(f);
        return;
    }
    client_send(l->forward_client, KEY_SUBMIT_COMMANDS, 0, &in, FORWARD_TIMEOUT_MS,
                forward_answered, f);
}

void link_forward(struct link *l, int64_t sequence, struct slice batch)
{
    struct forwarded *f = mem_zalloc(sizeof(*f));
    f->link = l;
    f->sequence = sequence;
    buffer_append_slice(&f->batch, batch);
    net_call(l->thread, forward_run, f);
}

/* --- Start and stop --- */

static void start_run(void *arg)
{
    thread_assert(&NET);
    struct link *l = arg;
    l->timer = evtimer_new(l->thread->base, on_timer, l);
    CHECK(l->timer != NULL);
    hello_after(l, 1);
}

struct link *link_start(struct node *node)
{
    struct link *l = mem_zalloc(sizeof(*l));
    l->node = node;
    l->thread = &node->net.threads[0];
    sem_init(&l->shutdown_done, 0, 0);
    net_call_wait(l->thread, start_run, l);
    return l;
}

static void shutdown_run(void *arg)
{
    thread_assert(&NET);
    struct link *l = arg;
    l->want_shutdown = true;
    hello(l);
}

bool link_controlled_shutdown(struct link *l, int64_t timeout_ms)
{
    int64_t began_ms = clock_monotonic_ms();
    net_call(l->thread, shutdown_run, l);
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += SHUTDOWN_LOOK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (sem_timedwait(&l->shutdown_done, &until) == 0)
            return true;
        int64_t now_ms = clock_monotonic_ms();
        int64_t heard_ms = MAX(atomic_load(&l->answered_ms), began_ms);
        if (now_ms - began_ms >= timeout_ms || now_ms - heard_ms >= SHUTDOWN_SILENCE_MS) {
            LOG_WARN("could not hand leaderships over in time, leaving anyway",
                     "waited_ms=%ld silence_ms=%ld", (long)(now_ms - began_ms),
                     (long)(now_ms - heard_ms));
            return false;
        }
    }
}

static void stop_run(void *arg)
{
    thread_assert(&NET);
    struct link *l = arg;
    l->stopped = true;
    event_free(l->timer);
    client_free(l->hello_client);
    client_free(l->forward_client);
    l->hello_client = l->forward_client = NULL;
}

void link_stop(struct link *l)
{
    if (l == NULL)
        return;
    net_call_wait(l->thread, stop_run, l);
}
