/*
 * Follower fetching: the sockets, threads and flush completions around replication/fetcher.h. One
 * peer a leader; each with one connection and one fetch session.
 */
#include "broker/fetchers.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/client.h"
#include "broker/node.h"
#include "broker/suspects.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/messages.h"
#include "replication/fetcher.h"

#define FETCH_VERSION   17 /* topic ids and the replica's epoch */
#define BACKOFF_MS      50
#define TIMEOUT_MORE_MS 5000

struct peer {
    struct node *node;
    struct net_thread *thread;
    int32_t node_id;
    /* NET only */
    char *host; /* NULL: not known yet */
    int32_t port;
    struct client *client;
    struct event *timer;
    struct fetcher *fetcher;
    bool stopped;
};

/* A request that is out. */
struct fetch_call {
    struct peer *peer;
    int64_t number;
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
    VEC(struct fetcher_key) partitions;
    struct fetcher_key flushed;
};

static void poll_leader(struct peer *p) ON(NET);

/* --- The answer --- */

static enum fetcher_outcome partition_answered(struct peer *p, const struct fetcher_key *key,
                                               int32_t leader_epoch,
                                               const struct fetch_response_response_partition *r)
{
    struct replica *replica = replicas_find(p->node->replicas, key->topic_id, key->index);
    if (replica == NULL)
        return FETCHED_FAILED;
    struct fetched answer = {
        .error_code = (enum error_code)r->error_code,
        .leader_epoch = leader_epoch,
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
                  key->index, p->node_id, error_name(err));
        /* Out of range moved us to where the leader's log begins: no reason to wait. */
        return err == ERR_OFFSET_OUT_OF_RANGE ? FETCHED_MOVED : FETCHED_FAILED;
    }
    if (flush_pending)
        return FETCHED_FLUSHING;
    return answer.records.size > 0 || answer.diverging_end_offset >= 0 ||
                   answer.error_code != ERR_NONE
               ? FETCHED_MOVED
               : FETCHED_NEWS;
}

static void answered(void *arg, int err, const void *response)
{
    thread_assert(&NET);
    struct fetch_call *call = arg;
    struct peer *p = call->peer;
    const struct fetch_response *r = response;
    int64_t number = call->number, now_ms = clock_monotonic_ms();
    free(call);
    if (p->stopped)
        return;
    if (err == 0)
        suspects_clear(p->node->suspects, p->node_id);
    else if (err == -ECONNRESET || err == -ECONNREFUSED || err == -EPIPE)
        suspects_note(p->node->suspects, p->node_id, now_ms);
    enum error_code code = err != 0 ? ERR_NETWORK_EXCEPTION : (enum error_code)r->error_code;
    bool take = fetcher_answered(p->fetcher, number, code, err == 0 ? r->session_id : 0, now_ms);
    for (int i = 0; take && i < r->responses_count; i++)
        for (int k = 0; k < r->responses[i].partitions_count; k++) {
            const struct fetch_response_response_partition *part = &r->responses[i].partitions[k];
            struct fetcher_key key = {r->responses[i].topic_id, part->partition_index, 0};
            int32_t leader_epoch;
            if (fetcher_takes(p->fetcher, number, &key, &leader_epoch))
                fetcher_taken(p->fetcher, &key, partition_answered(p, &key, leader_epoch, part),
                              now_ms);
        }
    poll_leader(p);
}

/* --- The request --- */

static bool position_of(void *arg, const struct fetcher_key *key, struct fetcher_position *out)
{
    struct peer *p = arg;
    struct replica *replica = replicas_find(p->node->replicas, key->topic_id, key->index);
    if (replica == NULL)
        return false;
    mutex_lock(&replica->lock);
    struct partition *part = replica->partition;
    bool follows = part != NULL && partition_leader(part) == p->node_id &&
                   partition_fetch_position(part, &out->fetch_offset, &out->last_fetched_epoch,
                                            &out->leader_epoch);
    if (follows)
        out->log_start_offset = log_start_offset(partition_log(part));
    mutex_unlock(&replica->lock);
    replica_unref(replica);
    return follows;
}

/* One topic entry a partition: the order of partitions is the order of fairness. */
static void asks_fill(const struct fetcher_request *next, int32_t bytes_max, struct arena *arena,
                      struct fetch_request *in)
{
    in->topics = fetch_request_topic_array(arena, next->asks_count);
    in->topics_count = next->asks_count;
    for (int i = 0; i < next->asks_count; i++) {
        const struct fetcher_ask *ask = &next->asks[i];
        struct fetch_request_topic *t = &in->topics[i];
        t->topic_id = ask->key.topic_id;
        t->partitions = fetch_request_topic_partition_array(arena, 1);
        t->partitions_count = 1;
        t->partitions[0].partition = ask->key.index;
        t->partitions[0].current_leader_epoch = ask->at.leader_epoch;
        t->partitions[0].fetch_offset = ask->at.fetch_offset;
        t->partitions[0].last_fetched_epoch = ask->at.last_fetched_epoch;
        t->partitions[0].log_start_offset = ask->at.log_start_offset;
        t->partitions[0].partition_max_bytes = bytes_max;
    }
}

static void forgotten_fill(const struct fetcher_request *next, struct arena *arena,
                           struct fetch_request *in)
{
    in->forgotten_topics_data =
        fetch_request_forgotten_topics_data_array(arena, next->forgotten_count);
    in->forgotten_topics_data_count = next->forgotten_count;
    for (int i = 0; i < next->forgotten_count; i++) {
        struct fetch_request_forgotten_topics_data *t = &in->forgotten_topics_data[i];
        t->topic_id = next->forgotten[i].topic_id;
        t->partitions = &next->forgotten[i].index;
        t->partitions_count = 1;
    }
}

static void request_send(struct peer *p, struct arena *arena, const struct fetcher_request *next)
{
    thread_assert(&NET);
    const struct config *c = &p->node->config;
    struct fetch_request in;
    fetch_request_init(&in);
    in.replica_state.replica_id = p->node->id;
    in.replica_state.replica_epoch = atomic_load(&p->node->broker_epoch);
    in.max_wait_ms = next->wait ? (int32_t)config_number(c, CONFIG_REPLICA_WAIT_MS) : 0;
    in.min_bytes = 1;
    in.max_bytes = (int32_t)config_number(c, CONFIG_REPLICA_RESPONSE_BYTES);
    in.session_id = next->session_id;
    in.session_epoch = next->session_epoch;
    in.rack_id = SLICE("");
    asks_fill(next, (int32_t)config_number(c, CONFIG_REPLICA_FETCH_BYTES), arena, &in);
    forgotten_fill(next, arena, &in);
    if (p->client == NULL)
        p->client = client_new(p->thread, p->host, p->port, "millrace-fetcher");
    struct fetch_call *call = mem_alloc(sizeof(*call));
    *call = (struct fetch_call){p, next->number};
    client_send(p->client, API_FETCH, FETCH_VERSION, &in, in.max_wait_ms + TIMEOUT_MORE_MS,
                answered, call);
}

static void poll_leader(struct peer *p)
{
    if (p->stopped || p->host == NULL)
        return;
    struct fetcher_request next;
    bool more = true;
    while (more) {
        struct arena arena;
        arena_init(&arena, 0);
        more = fetcher_next(p->fetcher, clock_monotonic_ms(), position_of, p, &arena, &next);
        if (more)
            request_send(p, &arena, &next);
        arena_deinit(&arena);
    }
    int64_t pause_ms = fetcher_pause_ms(p->fetcher, clock_monotonic_ms());
    struct timeval after = {.tv_sec = pause_ms / 1000, .tv_usec = pause_ms % 1000 * 1000};
    if (pause_ms >= 0)
        event_add(p->timer, &after);
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
    if (!p->stopped) {
        fetcher_flushed(p->fetcher, &news->flushed);
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
        news->flushed = (struct fetcher_key){topic_id, partition, 0};
        net_call(news->peer->thread, flushed_run, news);
    }
    mutex_unlock(&fs->lock);
}

static void address_take(struct peer *p, struct peer_news *news)
{
    thread_assert(&NET);
    if (news->host == NULL ||
        (p->host != NULL && p->port == news->port && strcmp(p->host, news->host) == 0))
        return;
    struct client *old = p->client;
    free(p->host);
    p->host = news->host;
    news->host = NULL;
    p->port = news->port;
    p->client = NULL;
    client_free(old);
}

static void assignment_run(void *arg)
{
    thread_assert(&NET);
    struct peer_news *news = arg;
    struct peer *p = news->peer;
    if (!p->stopped) {
        address_take(p, news);
        fetcher_assign(p->fetcher, news->partitions.items, (int)news->partitions.count);
        poll_leader(p);
    }
    vec_deinit(&news->partitions);
    free(news->host);
    free(news);
}

static void peer_start(void *arg)
{
    thread_assert(&NET);
    struct peer *p = arg;
    p->fetcher = fetcher_new(BACKOFF_MS);
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
                struct fetcher_key key = {img->topics[i]->id, k, 0};
                vec_push(&news->partitions, key);
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
    fetcher_free(p->fetcher);
    p->fetcher = NULL;
    free(p->host);
    p->host = NULL;
}

void fetchers_stop(struct node *node)
{
    struct fetchers *fs = node->fetchers;
    if (fs == NULL)
        return;
    for (size_t i = 0; i < fs->peers.count; i++)
        net_call_wait(fs->peers.items[i]->thread, peer_stop, fs->peers.items[i]);
}
