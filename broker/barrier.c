/* Asking every live broker; each network thread has connections of its own for it. */
#include "broker/barrier.h"

#include <stdlib.h>

#include "broker/client.h"
#include "broker/node.h"
#include "broker/wiring.h"

#define KEY_AWAIT_IMAGE 20003
#define WAIT_MS_MAX     2000 /* for a broker that hangs and is not fenced yet */

struct barrier_peer {
    int32_t node_id;
    struct client *client;
};

struct barrier_thread {
    VEC(struct barrier_peer) peers; /* NET only */
    bool stopped;
};

struct barrier {
    struct node *node;
    struct barrier_thread *threads; /* one per network thread */
};

struct waiting {
    struct request *req;
    void (*ready)(struct request *req);
    int open;
};

struct client *barrier_peer(struct node *node, struct net_thread *thread,
                            const struct image_broker *b)
{
    struct barrier_thread *t = &node->barrier->threads[thread->index];
    const struct image_endpoint *e =
        image_find_endpoint(b, slice_from_text(node->config.inter_broker_listener));
    if (e == NULL || t->stopped)
        return NULL;
    char *host = slice_to_text(e->host);
    struct barrier_peer *peer = NULL;
    FOR_EACH (one, t->peers.items, t->peers.count)
        if (one->node_id == b->node_id)
            peer = one;
    if (peer == NULL) {
        struct barrier_peer fresh = {.node_id = b->node_id};
        vec_push(&t->peers, fresh);
        peer = &t->peers.items[t->peers.count - 1];
    }
    if (peer->client != NULL && !client_is(peer->client, host, e->port)) {
        client_free(peer->client);
        peer->client = NULL;
    }
    if (peer->client == NULL)
        peer->client = client_new(thread, host, e->port, "millrace-barrier");
    free(host);
    return peer->client;
}

struct client *barrier_client(struct request *req, const struct image_broker *b)
{
    return barrier_peer(req->node, req->thread, b);
}

static void one_done(struct waiting *w)
{
    if (--w->open > 0)
        return;
    struct request *req = w->req;
    void (*ready)(struct request * req) = w->ready;
    free(w);
    ready(req);
}

static void resumed(struct request *req, void *arg)
{
    (void)req;
    one_done(arg);
}

static void answered(void *arg, int err, const void *response)
{
    (void)err, (void)response; /* gone, or too slow: it is no reason to refuse what has happened */
    struct waiting *w = arg;
    request_resume(w->req, resumed, w);
}

void request_when_everywhere(struct request *req, void (*ready)(struct request *req))
{
    struct node *node = req->node;
    struct image *img = quorum_image(node->quorum);
    struct waiting *w = mem_zalloc(sizeof(*w));
    *w = (struct waiting){.req = req, .ready = ready, .open = 1};
    struct await_image_request in;
    await_image_request_init(&in);
    in.index = img ? img->index : -1;
    for (int i = 0; img != NULL && i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        struct client *client = NULL;
        if (b->node_id != node->id && !b->fenced)
            client = barrier_peer(node, req->thread, b);
        if (client == NULL)
            continue;
        w->open++;
        request_hold(req);
        client_send(client, KEY_AWAIT_IMAGE, 0, &in, WAIT_MS_MAX, answered, w);
    }
    image_unref(img);
    wiring_await(node->wiring, in.index, req, resumed, w);
}

int barrier_start(struct node *node)
{
    struct barrier *b = mem_zalloc(sizeof(*b));
    b->node = node;
    b->threads = mem_zalloc((size_t)node->net.count * sizeof(*b->threads));
    node->barrier = b;
    return 0;
}

static void thread_stop(void *arg)
{
    thread_assert(&NET);
    struct barrier_thread *t = arg;
    t->stopped = true;
    for (size_t i = 0; i < t->peers.count; i++)
        client_free(t->peers.items[i].client);
    vec_deinit(&t->peers);
}

void barrier_stop(struct node *node)
{
    struct barrier *b = node->barrier;
    if (b == NULL)
        return;
    for (int i = 0; i < node->net.count; i++)
        net_call_wait(&node->net.threads[i], thread_stop, &b->threads[i]);
}
