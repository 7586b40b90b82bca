/* Hosting the controller. */
#include "broker/controller_host.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/client.h"
#include "broker/node.h"
#include "coord/controller.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/messages.h"

#define TICK_MS            100
#define TICK_PASSIVE_MS    500
#define BALANCE_MS         1000
#define COMMAND_TIMEOUT_MS 5000
#define PROBE_TIMEOUT_MS   1000

struct controller_host {
    struct node *node;
    struct net_thread *thread; /* of the tick and the probes */
    struct event *tick;        /* that thread only, as the probes; NULL: stopped */
    struct list probes;        /* that have no answer yet */
    struct mutex lock;
    struct controller *controller; /* guarded by lock */
    bool active;                   /* guarded by lock */
    bool stopped;                  /* guarded by lock */
};

struct probe {
    struct list link;
    struct controller_host *host;
    int32_t node_id;
    struct client *client;
};

static void command_done(void *arg, enum error_code err, struct slice value)
{
    (void)arg;
    if (err != ERR_NONE)
        LOG_WARN("the metadata refused a proposal of the controller",
                 "error=%s reason=\"" SLICE_FMT "\"", error_name(err), SLICE_ARG(value));
}

static void probe_free(void *arg)
{
    thread_assert(&NET);
    struct probe *p = arg;
    client_free(p->client);
    free(p);
}

static void effects_run(struct controller_host *h, struct controller_effects *fx);

static void probe_answered(void *arg, int err, const void *response)
{
    (void)response;
    struct probe *p = arg;
    struct controller_host *h = p->host;
    if (err == -ECANCELED)
        return; /* tick_stop() frees it */
    list_remove(&p->link);
    if (err == -ECONNREFUSED) {
        struct controller_effects fx = {0};
        struct image *img = quorum_image(h->node->quorum);
        mutex_lock(&h->lock);
        if (h->active && img != NULL)
            controller_connect_refused(h->controller, img, clock_monotonic_ms(), p->node_id, &fx);
        mutex_unlock(&h->lock);
        image_unref(img);
        effects_run(h, &fx);
    }
    net_call(h->thread, probe_free, p); /* the client is still on the stack */
}

static void probe_run(void *arg)
{
    thread_assert(&NET);
    struct probe *p = arg;
    struct node *node = p->host->node;
    if (p->host->tick == NULL) {
        free(p);
        return;
    }
    struct image *img = quorum_image(node->quorum);
    const struct image_broker *b = img ? image_find_broker(img, p->node_id) : NULL;
    const struct image_endpoint *e =
        b ? image_find_endpoint(b, slice_from_text(node->config.inter_broker_listener)) : NULL;
    if (e == NULL) {
        free(p);
    } else {
        char *host = slice_to_text(e->host);
        struct api_versions_request in;
        api_versions_request_init(&in);
        list_push_back(&p->host->probes, &p->link);
        p->client = client_new(p->host->thread, host, e->port, "millrace-probe");
        client_send(p->client, API_API_VERSIONS, 0, &in, PROBE_TIMEOUT_MS, probe_answered, p);
        free(host);
    }
    image_unref(img);
}

static void effects_run(struct controller_host *h, struct controller_effects *fx)
{
    for (size_t i = 0; i < fx->commands.count; i++)
        quorum_submit(h->node->quorum, buffer_slice(&fx->commands.items[i]), COMMAND_TIMEOUT_MS,
                      command_done, h);
    for (size_t i = 0; i < fx->probes.count; i++) {
        struct probe *p = mem_zalloc(sizeof(*p));
        *p = (struct probe){.host = h, .node_id = fx->probes.items[i]};
        net_call(h->thread, probe_run, p);
    }
    controller_effects_deinit(fx);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct controller_host *h = arg;
    struct controller_effects fx = {0};
    struct image *img = quorum_image(h->node->quorum);
    mutex_lock(&h->lock);
    bool active = h->active;
    if (active && img != NULL)
        controller_tick(h->controller, img, clock_monotonic_ms(), &fx);
    mutex_unlock(&h->lock);
    image_unref(img);
    effects_run(h, &fx);
    struct timeval next = {.tv_usec = (active ? TICK_MS : TICK_PASSIVE_MS) * 1000};
    event_add(h->tick, &next);
}

/* The tick of a node that has just become the controller must not wait as for a passive one. */
static void tick_now(void *arg)
{
    thread_assert(&NET);
    struct controller_host *h = arg;
    if (h->tick != NULL)
        event_active(h->tick, EV_TIMEOUT, 0);
}

void controller_host_status(struct node *node, const struct quorum_status *status)
{
    struct controller_host *h = node->controller;
    struct image *img = quorum_image(node->quorum);
    mutex_lock(&h->lock);
    bool leads = status->leader && img != NULL && !h->stopped;
    bool activate = leads && !h->active;
    if (activate)
        controller_activate(h->controller, img, clock_monotonic_ms());
    h->active = leads;
    mutex_unlock(&h->lock);
    image_unref(img);
    if (!activate)
        return;
    net_call(h->thread, tick_now, h);
    LOG_INFO("this node is the active controller", "node_id=%d term=%ld", node->id,
             (long)status->term);
}

void controller_host_hello(struct node *node, const struct controller_hello *hello,
                           struct controller_answer *answer)
{
    struct controller_host *h = node->controller;
    struct controller_effects fx = {0};
    struct quorum_status status;
    *answer = (struct controller_answer){.error_code = ERR_NOT_CONTROLLER, .broker_epoch = -1};
    quorum_status(node->quorum, &status);
    controller_host_status(node, &status);
    struct image *img = quorum_image(node->quorum);
    mutex_lock(&h->lock);
    /* Its answer is a lease: one that may have been replaced grants none. */
    if (h->active && img != NULL && status.leader && quorum_leads_surely(node->quorum))
        controller_hello(h->controller, img, clock_monotonic_ms(), hello, answer, &fx);
    mutex_unlock(&h->lock);
    image_unref(img);
    effects_run(h, &fx);
}

void controller_host_connection_lost(struct node *node, uint64_t connection)
{
    struct controller_host *h = node->controller;
    struct controller_effects fx = {0};
    mutex_lock(&h->lock);
    if (h->active)
        controller_connection_lost(h->controller, connection, &fx);
    mutex_unlock(&h->lock);
    effects_run(h, &fx);
}

static void tick_start(void *arg)
{
    thread_assert(&NET);
    struct controller_host *h = arg;
    struct timeval first = {.tv_usec = TICK_MS * 1000};
    h->tick = evtimer_new(h->thread->base, on_tick, h);
    CHECK(h->tick != NULL && event_add(h->tick, &first) == 0);
}

int controller_host_start(struct node *node)
{
    struct controller_host *h = mem_zalloc(sizeof(*h));
    struct controller_options options = {
        .session_timeout_ms = config_number(&node->config, CONFIG_SESSION_TIMEOUT_MS),
        .election_timeout_ms = config_number(&node->config, CONFIG_QUORUM_ELECTION_MS),
        .rebalance_enabled = config_number(&node->config, CONFIG_AUTO_REBALANCE) != 0,
        .rebalance_interval_ms = config_number(&node->config, CONFIG_REBALANCE_CHECK_S) * 1000,
        .balance_enabled = config_number(&node->config, CONFIG_AUTO_BALANCE) != 0,
        .balance_interval_ms = BALANCE_MS,
        .balance_moves_max = (int)config_number(&node->config, CONFIG_AUTO_BALANCE_MOVES),
    };
    h->node = node;
    h->thread = &node->net.threads[0];
    list_init(&h->probes);
    mutex_init(&h->lock);
    h->controller = controller_new(&options);
    node->controller = h;
    net_call_wait(h->thread, tick_start, h);
    return 0;
}

static void tick_stop(void *arg)
{
    thread_assert(&NET);
    struct controller_host *h = arg;
    event_free(h->tick);
    h->tick = NULL;
    struct list *link;
    while ((link = list_pop_front(&h->probes)) != NULL)
        probe_free(CONTAINER_OF(link, struct probe, link));
}

void controller_host_stop(struct node *node)
{
    struct controller_host *h = node->controller;
    if (h == NULL)
        return;
    net_call_wait(h->thread, tick_stop, h);
    mutex_lock(&h->lock);
    h->active = false;
    h->stopped = true;
    mutex_unlock(&h->lock);
}
