/*
 * Follower fetching. One peer a leader; a peer has one request out at a time, over all partitions
 * that follow there. The next one goes out when everything that the last one brought is on disk: so
 * its fetch offsets say what is durable here.
 */
#include "broker/fetchers.h"

#include <stdlib.h>

#include "broker/client.h"
#include "broker/node.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/base/map.h"
#include "proto/messages.h"

#define FETCH_VERSION   17 /* topic ids and the replica's epoch */
#define BACKOFF_MS      50
#define TIMEOUT_MORE_MS 5000

struct followed {
    struct uuid topic_id;
    int32_t index;
    int32_t leader_epoch; /* of the request that is out */
    bool asked;           /* is in the request that is out */
    bool flushing;        /* brought data that is not on disk yet */
    int64_t backoff_until_ms;
};

struct peer {
    struct node *node;
    struct net_thread *thread;
    int32_t node_id;
    char *host;
    int32_t port;
    /* NET only */
    struct client *client;
    struct event *timer;
    VEC(struct followed) partitions;
    int flushing; /* how many partitions are */
    bool out;     /* a request is */
    bool stopped;
};

struct fetchers {
    struct mutex lock;
    VEC(struct peer *) peers; /* guarded by lock; peers stay until fetchers_stop() */
};

/* A new assignment for a peer, or a flush that ended. */
struct peer_news {
    struct peer *peer;
    char *host;
    int32_t port;
    VEC(struct followed) partitions;
    struct uuid topic_id;
    int32_t index;
};

static void poll_leader(struct peer *p) ON(NET);

static void poll_after(struct peer *p, int64_t delay_ms)
{
    struct timeval after = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    if (!p->stopped)
        event_add(p->timer, &after);
}

static struct followed *followed_find(struct peer *p, struct uuid topic_id, int32_t index)
{
    FOR_EACH (f, p->partitions.items, p->partitions.count)
        if (f->index == index && uuid_equal(f->topic_id, topic_id))
            return f;
    return NULL;
}

/* --- The answer --- */

static void partition_answered(struct peer *p, struct followed *f,
                               const struct fetch_response_response_partition *r)
{
    struct replica *replica = replicas_find(p->node->replicas, f->topic_id, f->index);
    if (replica == NULL)
        return;
    struct fetched answer = {
        .error_code = (enum error_code)r->error_code,
        .leader_epoch = f->leader_epoch,
        .records = r->records.bytes,
        .high_watermark = r->high_watermark,
        .log_start_offset = r->log_start_offset,
        .diverging_epoch = r->diverging_epoch.epoch,
        .diverging_end_offset = r->diverging_epoch.end_offset,
    };
    bool flush_pending;
    enum error_code err = replica_fetched(p->node->replicas, replica, &answer, &flush_pending);
    replica_unref(replica);
    if (err != ERR_NONE) {
        LOG_DEBUG("a followed partition could not be fetched", "partition=%d leader=%d error=%s",
                  f->index, p->node_id, error_name(err));
        f->backoff_until_ms = clock_monotonic_ms() + BACKOFF_MS;
    }
    if (flush_pending && !f->flushing) {
        f->flushing = true;
        p->flushing++;
    }
}

static void answered(void *arg, int err, const void *response)
{
    thread_assert(&NET);
    struct peer *p = arg;
    const struct fetch_response *r = response;
    p->out = false;
    if (p->stopped)
        return;
    if (err != 0 || r->error_code != ERR_NONE) {
        poll_after(p, BACKOFF_MS);
        return;
    }
    for (int i = 0; i < r->responses_count; i++)
        for (int k = 0; k < r->responses[i].partitions_count; k++) {
            const struct fetch_response_response_partition *part = &r->responses[i].partitions[k];
            struct followed *f = followed_find(p, r->responses[i].topic_id, part->partition_index);
            if (f != NULL && f->asked)
                partition_answered(p, f, part);
        }
    poll_leader(p);
}

/* --- The request --- */

static bool position_fill(struct peer *p, struct followed *f,
                          struct fetch_request_topic_partition *out)
{
    struct replica *replica = replicas_find(p->node->replicas, f->topic_id, f->index);
    f->asked = false;
    if (replica == NULL)
        return false;
    mutex_lock(&replica->lock);
    struct partition *part = replica->partition;
    bool follows = part != NULL && partition_leader(part) == p->node_id &&
                   partition_fetch_position(part, &out->fetch_offset, &out->last_fetched_epoch,
                                            &out->current_leader_epoch);
    if (follows)
        out->log_start_offset = log_start_offset(partition_log(part));
    mutex_unlock(&replica->lock);
    replica_unref(replica);
    out->partition = f->index;
    out->partition_max_bytes = (int32_t)config_number(&p->node->config, CONFIG_REPLICA_FETCH_BYTES);
    f->leader_epoch = out->current_leader_epoch;
    f->asked = follows;
    return follows;
}

/* One topic entry a partition: the order of partitions is the order of fairness. */
static int32_t topics_fill(struct peer *p, struct arena *arena, struct fetch_request *in)
{
    int64_t now_ms = clock_monotonic_ms();
    in->topics = fetch_request_topic_array(arena, (int32_t)p->partitions.count);
    FOR_EACH (f, p->partitions.items, p->partitions.count) {
        struct fetch_request_topic *t = &in->topics[in->topics_count];
        f->asked = false;
        if (f->backoff_until_ms > now_ms)
            continue;
        t->topic_id = f->topic_id;
        t->partitions = fetch_request_topic_partition_array(arena, 1);
        t->partitions_count = 1;
        if (position_fill(p, f, t->partitions))
            in->topics_count++;
    }
    return in->topics_count;
}

static void poll_leader(struct peer *p)
{
    if (p->stopped || p->out || p->flushing > 0 || p->partitions.count == 0)
        return;
    const struct config *c = &p->node->config;
    struct arena arena;
    struct fetch_request in;
    arena_init(&arena, 0);
    fetch_request_init(&in);
    in.replica_state.replica_id = p->node->id;
    in.replica_state.replica_epoch = atomic_load(&p->node->broker_epoch);
    in.max_wait_ms = (int32_t)config_number(c, CONFIG_REPLICA_WAIT_MS);
    in.min_bytes = 1;
    in.max_bytes = (int32_t)config_number(c, CONFIG_REPLICA_RESPONSE_BYTES);
    in.rack_id = SLICE("");
    if (topics_fill(p, &arena, &in) == 0) {
        poll_after(p, BACKOFF_MS);
    } else {
        if (p->client == NULL)
            p->client = client_new(p->thread, p->host, p->port, "millrace-fetcher");
        p->out = true;
        client_send(p->client, API_FETCH, FETCH_VERSION, &in, in.max_wait_ms + TIMEOUT_MORE_MS,
                    answered, p);
    }
    arena_deinit(&arena);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    poll_leader(arg);
}

/* --- News --- */

static void flushed_run(void *arg)
{
    thread_assert(&NET);
    struct peer_news *news = arg;
    struct peer *p = news->peer;
    struct followed *f = followed_find(p, news->topic_id, news->index);
    if (f != NULL && f->flushing) {
        f->flushing = false;
        p->flushing--;
        poll_leader(p);
    }
    free(news);
}

void fetchers_flushed(struct node *node, struct uuid topic_id, int32_t partition)
{
    struct fetchers *fs = node->fetchers;
    if (fs == NULL)
        return;
    mutex_lock(&fs->lock);
    for (size_t i = 0; i < fs->peers.count; i++) {
        struct peer_news *news = mem_zalloc(sizeof(*news));
        news->peer = fs->peers.items[i];
        news->topic_id = topic_id;
        news->index = partition;
        net_call(news->peer->thread, flushed_run, news);
    }
    mutex_unlock(&fs->lock);
}

static void assignment_run(void *arg)
{
    thread_assert(&NET);
    struct peer_news *news = arg;
    struct peer *p = news->peer;
    if (news->host != NULL &&
        (p->host == NULL || p->port != news->port || strcmp(p->host, news->host) != 0)) {
        struct client *old = p->client;
        free(p->host);
        p->host = news->host;
        news->host = NULL;
        p->port = news->port;
        p->client = NULL;
        client_free(old);
    }
    /* What is being flushed stays so; the rest starts fresh: new epochs deserve a new try. */
    p->flushing = 0;
    FOR_EACH (f, news->partitions.items, news->partitions.count) {
        struct followed *old = followed_find(p, f->topic_id, f->index);
        if (old != NULL) {
            f->flushing = old->flushing;
            f->asked = old->asked;
            f->leader_epoch = old->leader_epoch;
        }
        p->flushing += f->flushing;
    }
    vec_deinit(&p->partitions);
    vec_reserve(&p->partitions, news->partitions.count);
    FOR_EACH (f, news->partitions.items, news->partitions.count)
        vec_push(&p->partitions, *f);
    poll_leader(p);
    vec_deinit(&news->partitions);
    free(news->host);
    free(news);
}

static void peer_start(void *arg)
{
    thread_assert(&NET);
    struct peer *p = arg;
    p->timer = evtimer_new(p->thread->base, on_timer, p);
    CHECK(p->timer != NULL);
}

static struct peer *peer_get(struct node *node, int32_t node_id)
{
    struct fetchers *fs = node->fetchers;
    struct peer *p = NULL;
    mutex_lock(&fs->lock);
    for (size_t i = 0; i < fs->peers.count && p == NULL; i++)
        if (fs->peers.items[i]->node_id == node_id)
            p = fs->peers.items[i];
    if (p == NULL) {
        p = mem_zalloc(sizeof(*p));
        p->node = node;
        p->node_id = node_id;
        p->thread = &node->net.threads[(size_t)fs->peers.count % (size_t)node->net.count];
        net_call(p->thread, peer_start, p);
        vec_push(&fs->peers, p);
    }
    mutex_unlock(&fs->lock);
    return p;
}

static bool follows(const struct image_partition *part, int32_t self, int32_t leader)
{
    if (part->leader != leader)
        return false;
    for (int i = 0; i < part->replicas_count; i++)
        if (part->replicas[i] == self)
            return true;
    return false;
}

static void assignment_send(struct node *node, const struct image *img,
                            const struct image_broker *b)
{
    struct peer_news *news = mem_zalloc(sizeof(*news));
    for (int i = 0; i < img->topics_count; i++)
        for (int32_t k = 0; k < img->topics[i]->partitions_count; k++)
            if (follows(&img->topics[i]->partitions[k], node->id, b->node_id)) {
                struct followed f = {.topic_id = img->topics[i]->id, .index = k};
                vec_push(&news->partitions, f);
            }
    const struct image_endpoint *e =
        image_find_endpoint(b, slice_from_text(node->config.inter_broker_listener));
    news->host = e ? slice_to_text(e->host) : NULL;
    news->port = e ? e->port : 0;
    news->peer = peer_get(node, b->node_id);
    net_call(news->peer->thread, assignment_run, news);
}

void fetchers_update(struct node *node, const struct image *img)
{
    if (node->fetchers == NULL)
        return;
    for (int i = 0; i < img->brokers_count; i++)
        if (img->brokers[i]->node_id != node->id)
            assignment_send(node, img, img->brokers[i]);
}

int fetchers_start(struct node *node)
{
    struct fetchers *fs = mem_zalloc(sizeof(*fs));
    mutex_init(&fs->lock);
    node->fetchers = fs;
    return 0;
}

static void peer_stop(void *arg)
{
    thread_assert(&NET);
    struct peer *p = arg;
    p->stopped = true;
    event_free(p->timer);
    client_free(p->client);
    p->client = NULL;
}

void fetchers_stop(struct node *node)
{
    struct fetchers *fs = node->fetchers;
    if (fs == NULL)
        return;
    for (size_t i = 0; i < fs->peers.count; i++)
        net_call_wait(fs->peers.items[i]->thread, peer_stop, fs->peers.items[i]);
}
