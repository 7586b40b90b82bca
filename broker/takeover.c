/* Asking the other brokers whether they have heard. */
#include "broker/takeover.h"

#include <stdlib.h>

#include "broker/barrier.h"
#include "broker/client.h"
#include "broker/node.h"
#include "proto/base/logging.h"
#include "proto/messages.h"

#define ANSWER_MS 2000
#define RETRY_MS  20

struct peer {
    int32_t node_id;
    int64_t heard; /* index of the newest image that it said it has, -1: none */
    bool asking;
    bool failed; /* told in the log, until it answers */
};

struct takeover {
    struct node *node;
    struct net_thread *thread;
    void (*heard)(void *arg);
    void *arg;
    struct event *timer;
    int64_t wanted;
    VEC(struct peer) peers;
};

/* One AwaitImage that is out. */
struct asked {
    struct takeover *t;
    int32_t node_id;
    int64_t index;
};

static struct peer *peer_find(const struct takeover *t, int32_t node_id)
{
    FOR_EACH (p, t->peers.items, t->peers.count)
        if (p->node_id == node_id)
            return p;
    return NULL;
}

static struct peer *peer_get(struct takeover *t, int32_t node_id)
{
    struct peer *p = peer_find(t, node_id);
    if (p != NULL)
        return p;
    vec_push(&t->peers, ((struct peer){.node_id = node_id, .heard = -1}));
    return &t->peers.items[t->peers.count - 1];
}

static void again_after(struct takeover *t, int64_t delay_ms)
{
    struct timeval after = {.tv_usec = delay_ms * 1000};
    if (t->timer != NULL && !evtimer_pending(t->timer, NULL))
        event_add(t->timer, &after);
}

static void answered(void *arg, int err, const void *response)
{
    thread_assert(&NET);
    (void)response;
    struct asked *a = arg;
    struct takeover *t = a->t;
    struct peer *p = peer_get(t, a->node_id);
    p->asking = false;
    if (err == 0)
        p->heard = MAX(p->heard, a->index);
    else if (!p->failed && t->timer != NULL)
        LOG_INFO("a broker has not heard yet which groups are coordinated here, asking again",
                 "broker=%d error=\"%s\"", a->node_id, strerror(-err));
    p->failed = err != 0;
    free(a);
    if (t->timer == NULL)
        return;
    /* Not from here: the connection that called us may have to be replaced. */
    if (p->heard < t->wanted)
        again_after(t, err == 0 ? 0 : RETRY_MS);
    if (err == 0)
        t->heard(t->arg);
}

static void peer_ask(struct takeover *t, struct peer *p, const struct image_broker *b)
{
    thread_assert(&NET);
    if (p->asking || p->heard >= t->wanted)
        return;
    struct client *client = barrier_peer(t->node, t->thread, b);
    if (client == NULL) {
        again_after(t, RETRY_MS);
        return;
    }
    struct asked *a = mem_zalloc(sizeof(*a));
    *a = (struct asked){.t = t, .node_id = p->node_id, .index = t->wanted};
    p->asking = true;
    struct await_image_request in;
    await_image_request_init(&in);
    in.index = a->index;
    client_send(client, API_AWAIT_IMAGE, 0, &in, ANSWER_MS, answered, a);
}

/* May it take itself for a coordinator? Who is fenced has no lease, and who asked to leave resigned
 * before it asked. */
static bool may_speak(const struct takeover *t, const struct image_broker *b)
{
    return b->node_id != t->node->id && !b->fenced && !b->shutting_down;
}

static void ask_all(struct takeover *t)
{
    thread_assert(&NET);
    struct image *img = quorum_image(t->node->quorum);
    for (int i = 0; img != NULL && i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        if (may_speak(t, b))
            peer_ask(t, peer_get(t, b->node_id), b);
    }
    image_unref(img);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    ask_all(arg);
}

void takeover_ask(struct takeover *t, int64_t index)
{
    t->wanted = MAX(t->wanted, index);
    ask_all(t);
}

int64_t takeover_heard(const struct takeover *t, const struct image *img)
{
    int64_t heard = INT64_MAX;
    for (int i = 0; i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        if (!may_speak(t, b))
            continue;
        const struct peer *p = peer_find(t, b->node_id);
        heard = MIN(heard, p != NULL ? p->heard : -1);
    }
    return heard;
}

struct takeover *takeover_new(struct node *node, struct net_thread *thread, void (*heard)(void *),
                              void *arg)
{
    struct takeover *t = mem_zalloc(sizeof(*t));
    *t =
        (struct takeover){.node = node, .thread = thread, .heard = heard, .arg = arg, .wanted = -1};
    t->timer = evtimer_new(thread->base, on_timer, t);
    CHECK(t->timer != NULL);
    return t;
}

void takeover_stop(struct takeover *t)
{
    event_free(t->timer);
    t->timer = NULL;
}

void takeover_free(struct takeover *t)
{
    if (t == NULL)
        return;
    vec_deinit(&t->peers);
    free(t);
}
