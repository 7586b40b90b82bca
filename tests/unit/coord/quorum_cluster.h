/*
 * Quorums of one process for tests: temporary folders, free ports, forwarding wired from one to the
 * other. Every node's quorum runs on its own thread; the test's thread starts and stops them.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coord/quorum_internal.h"
#include "proto/base/clock.h"
#include "proto/base/rng.h"

#define NODES   4
#define WAIT_MS 20000

struct cluster;

struct cluster_node {
    struct cluster *c;
    int32_t id;
    char dir[96];
    char address[32];
    struct quorum *q; /* guarded by cluster.lock */
    int starts;       /* guarded by cluster.lock */
};

struct cluster {
    char dir[32];
    struct mutex lock;
    struct cluster_node nodes[NODES];
    struct quorum_voter voters[3];
    atomic_int drop_answers; /* of so many forwarded batches the fate stays unknown */
    atomic_int adopted;
    int snapshot_threshold;             /* of nodes that start */
    const struct image_config *configs; /* likewise: of a new cluster */
    int configs_count;
};

struct forwarded {
    struct cluster_node *from;
    int starts;
    int64_t sequence;
};

static inline int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &size) == 0);
    close(fd);
    return ntohs(a.sin_port);
}

static inline void forward_done(void *arg, enum error_code err, int64_t index,
                                const struct command_results *results)
{
    struct forwarded *f = arg;
    struct cluster *c = f->from->c;
    if (err == ERR_NONE && atomic_load(&c->drop_answers) > 0) {
        atomic_fetch_sub(&c->drop_answers, 1);
        err = ERR_NETWORK_EXCEPTION;
    }
    mutex_lock(&c->lock);
    if (f->from->q != NULL && f->from->starts == f->starts)
        quorum_forwarded(f->from->q, f->sequence, err, index, results);
    mutex_unlock(&c->lock);
    free(f);
}

static inline void forward(void *arg, int32_t leader_id, int64_t sequence, struct slice batch)
{
    static const struct command_results none;
    struct cluster_node *n = arg;
    struct forwarded *f = mem_alloc(sizeof(*f));
    mutex_lock(&n->c->lock);
    *f = (struct forwarded){n, n->starts, sequence};
    struct quorum *leader = n->c->nodes[leader_id].q;
    bool sent = leader != NULL;
    if (sent)
        quorum_submit_batch(leader, batch, forward_done, f);
    mutex_unlock(&n->c->lock);
    if (!sent)
        forward_done(f, ERR_NETWORK_EXCEPTION, -1, &none);
}

static inline void adopt(void *arg, int fd)
{
    struct cluster_node *n = arg;
    char byte;
    CHECK(recv(fd, &byte, 1, 0) == 1 && byte == 'K'); /* nothing was read from it */
    atomic_fetch_add(&n->c->adopted, 1);
    close(fd);
}

static inline void cluster_init(struct cluster *c)
{
    *c = (struct cluster){.dir = "quorum-test-XXXXXX"};
    CHECK(mkdtemp(c->dir) != NULL);
    mutex_init(&c->lock);
    for (int i = 0; i < NODES; i++) {
        struct cluster_node *n = &c->nodes[i];
        n->c = c;
        n->id = i;
        snprintf(n->dir, sizeof(n->dir), "%s/%d", c->dir, i);
        snprintf(n->address, sizeof(n->address), "localhost:%d", free_port());
        if (i < 3)
            c->voters[i] = (struct quorum_voter){i, n->address};
    }
}

static inline int node_start(struct cluster_node *n)
{
    struct quorum_options o = {.node_id = n->id,
                               .incarnation = rng_system_uuid(),
                               .dir = n->dir,
                               .bind_address = n->address,
                               .voters = n->c->voters,
                               .voters_count = 3,
                               .voter = n->id < 3,
                               .snapshot_threshold = n->c->snapshot_threshold,
                               .snapshot_trailing = n->c->snapshot_threshold / 4,
                               .cluster_id = SLICE_NULL,
                               .configs = n->c->configs,
                               .configs_count = n->c->configs_count,
                               .callbacks = {.arg = n, .forward = forward, .adopt = adopt}};
    struct quorum *q;
    mutex_lock(&n->c->lock);
    n->starts++;
    mutex_unlock(&n->c->lock);
    int err = quorum_start(&o, &q);
    mutex_lock(&n->c->lock);
    n->q = q;
    mutex_unlock(&n->c->lock);
    return err;
}

static inline void node_stop(struct cluster_node *n, bool abrupt)
{
    mutex_lock(&n->c->lock);
    struct quorum *q = n->q;
    n->q = NULL;
    mutex_unlock(&n->c->lock);
    if (abrupt)
        quorum_stop_abruptly(q);
    else
        quorum_stop(q);
    quorum_free(q);
}

static inline void node_wipe(const struct cluster_node *n)
{
    char command[160];
    snprintf(command, sizeof(command), "rm -r %s", n->dir);
    CHECK(system(command) == 0);
}

static inline void cluster_deinit(struct cluster *c)
{
    char command[64];
    for (int i = 0; i < NODES; i++) {
        if (c->nodes[i].q != NULL)
            node_stop(&c->nodes[i], true);
    }
    snprintf(command, sizeof(command), "rm -r %s", c->dir);
    CHECK(system(command) == 0);
    mutex_deinit(&c->lock);
}

/* The leader among the running nodes that the others know, too; -1 after WAIT_MS. */
static inline int cluster_leader(struct cluster *c)
{
    for (int64_t end = clock_monotonic_ms() + WAIT_MS; clock_monotonic_ms() < end; usleep(2000)) {
        int leader = -1;
        bool agreed = true;
        struct quorum_status s;
        for (int i = 0; i < NODES; i++) {
            if (c->nodes[i].q == NULL)
                continue;
            quorum_status(c->nodes[i].q, &s);
            if (s.leader)
                leader = i;
        }
        for (int i = 0; i < NODES && leader >= 0; i++) {
            if (c->nodes[i].q == NULL)
                continue;
            quorum_status(c->nodes[i].q, &s);
            agreed = agreed && s.formed && s.leader_id == leader;
        }
        if (leader >= 0 && agreed)
            return leader;
    }
    return -1;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int missing;
    enum error_code err;
    int64_t value;
};

static inline void waiter_done(void *arg, enum error_code err, struct slice value)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->lock);
    if (err != ERR_NONE)
        w->err = err;
    else
        w->value = command_value_int64(value);
    if (--w->missing == 0)
        pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* Allocates `count` blocks of producer ids through this node: numbers that must neither repeat nor
 * skip. The last one, or -1. */
static inline int64_t allocate_many(struct cluster_node *n, int count)
{
    struct waiter w = {.missing = count};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.cond, NULL);
    struct buffer command = {0};
    command_encode_allocate_producer_ids(&command, &(struct allocate_producer_ids){n->id});
    for (int i = 0; i < count; i++)
        quorum_submit(n->q, buffer_slice(&command), WAIT_MS, waiter_done, &w);
    pthread_mutex_lock(&w.lock);
    while (w.missing > 0)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    buffer_deinit(&command);
    return w.err == ERR_NONE ? w.value : -1;
}

static inline int64_t allocate(struct cluster_node *n)
{
    return allocate_many(n, 1);
}
