/* From images to roles, from proposals to commands. */
#include "broker/wiring.h"

#include <stdlib.h>

#include "broker/departures.h"
#include "broker/fetchers.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/topic_settings.h"
#include "coord/command.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

struct lost_replica {
    struct uuid topic_id;
    int32_t index;
};

struct wiring {
    struct node *node;
    struct inbox inbox;
    pthread_t thread;
    _Atomic bool stopping;
    struct mutex lock;
    struct image *newest;  /* guarded by lock; NULL: taken */
    struct list waiting;   /* guarded by lock: struct wiring_waiter.link */
    _Atomic int64_t index; /* of `applied`, -1: none yet; written under lock */
    struct image *applied; /* written by BACKGROUND, under lock */
    bool strays_removed;   /* BACKGROUND only, as the next two */
    bool cluster_noted;
    VEC(struct lost_replica) lost; /* the only one in sync, on a disk that is gone */
    struct departures *departures;
};

struct wiring_waiter {
    struct list link;
    int64_t index;
    struct request *req;
    void (*fn)(struct request *req, void *arg);
    void *arg;
};

struct proposal {
    struct inbox_message message;
    struct wiring *wiring;
    struct isr_proposal isr;
};

struct failure {
    struct inbox_message message;
    struct wiring *wiring;
    struct uuid topic_id;
    int32_t partition;
    bool serves;
};

static bool contains(const int32_t *ids, int count, int32_t id)
{
    for (int i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static bool absent(const struct image_broker *b)
{
    return b == NULL || b->fenced || b->shutting_down;
}

static void state_of(const struct image *img, const struct image_partition *p,
                     struct partition_state *out)
{
    *out = (struct partition_state){.leader = p->leader,
                                    .leader_epoch = p->leader_epoch,
                                    .partition_epoch = p->partition_epoch,
                                    .replicas_count = MIN(p->replicas_count, REPLICAS_MAX),
                                    .isr_count = MIN(p->isr_count, REPLICAS_MAX)};
    for (int i = 0; i < out->replicas_count; i++)
        out->replicas[i] = p->replicas[i];
    for (int i = 0; i < out->replicas_count; i++)
        out->absent |= (uint32_t)absent(image_find_broker(img, p->replicas[i])) << i;
    for (int i = 0; i < out->isr_count; i++)
        out->isr[i] = p->isr[i];
}

/* --- Replicas on a disk that was replaced --- */

/*
 * Alone in the ISR, and nothing of it is here, because the disk is another one: whoever led with an
 * empty log now would make the others throw away what they have. So no role is taken over before
 * somebody else leads, or the old disk is back.
 */
static bool is_lost(struct wiring *w, const struct image_topic *topic, int32_t index)
{
    FOR_EACH (lost, w->lost.items, w->lost.count)
        if (uuid_equal(lost->topic_id, topic->id) && lost->index == index)
            return true;
    const struct image_partition *p = &topic->partitions[index];
    struct node *node = w->node;
    if (w->applied != NULL || !contains(p->isr, p->isr_count, node->id) ||
        !replicas_disk_is_new(node->replicas))
        return false;
    struct replica *r = replicas_find(node->replicas, topic->id, index);
    replica_unref(r);
    if (r != NULL)
        return false;
    vec_push(&w->lost, ((struct lost_replica){topic->id, index}));
    LOG_ERROR("the only replica in sync was on a disk that is gone",
              "topic=" SLICE_FMT
              " partition=%d way_out=\"start this node with its old disk, or set "
              "unclean.leader.election.enable=true for the topic, which loses what only this "
              "replica had\"",
              SLICE_ARG(topic->name), index);
    return true;
}

/* Somebody else is in sync now, or the topic is gone. */
static void lost_sweep(struct wiring *w, const struct image *img)
{
    for (size_t i = w->lost.count; i-- > 0;) {
        const struct lost_replica *lost = &w->lost.items[i];
        const struct image_topic *t = image_find_topic_by_id(img, lost->topic_id);
        const struct image_partition *p = t ? image_find_partition(t, lost->index) : NULL;
        if (p == NULL || !contains(p->isr, p->isr_count, w->node->id))
            vec_remove(&w->lost, i);
    }
}

static void topic_apply(struct wiring *w, const struct image *img, const struct image_topic *topic,
                        const struct image_topic *before)
{
    struct node *node = w->node;
    struct partition_config config;
    topic_partition_config(&node->config, img, topic, &config);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const struct image_partition *p = &topic->partitions[i];
        if (!contains(p->replicas, p->replicas_count, node->id)) {
            const struct image_partition *old = before ? image_find_partition(before, i) : NULL;
            if (old != NULL && contains(old->replicas, old->replicas_count, node->id))
                replicas_remove(node->replicas, topic->id, i);
            continue;
        }
        if (is_lost(w, topic, i)) {
            if (p->leader == node->id)
                wiring_replica_failed(w, topic->id, i, false);
            continue;
        }
        struct partition_state state;
        state_of(img, p, &state);
        enum error_code err =
            replicas_apply(node->replicas, topic->name, topic->id, i, &state, &config);
        if (err == ERR_NONE)
            continue;
        LOG_ERROR("could not take over a partition's role",
                  "topic=" SLICE_FMT " partition=%d error=%s", SLICE_ARG(topic->name), i,
                  error_name(err));
        if (err == ERR_KAFKA_STORAGE_ERROR && contains(p->isr, p->isr_count, node->id))
            wiring_replica_failed(w, topic->id, i, false);
    }
}

static void topics_remove(struct wiring *w, const struct image *before, const struct image *img)
{
    for (int i = 0; i < before->topics_count; i++) {
        const struct image_topic *t = before->topics[i];
        if (image_find_topic_by_id(img, t->id) != NULL)
            continue;
        for (int32_t k = 0; k < t->partitions_count; k++)
            if (contains(t->partitions[k].replicas, t->partitions[k].replicas_count, w->node->id))
                replicas_remove(w->node->replicas, t->id, k);
    }
}

static bool broker_configs_changed(const struct image *a, const struct image *b)
{
    if (a == NULL || a->broker_configs_count != b->broker_configs_count ||
        a->resources != b->resources)
        return true;
    for (int i = 0; i < a->broker_configs_count; i++)
        if (!slice_equal(a->broker_configs[i].name, b->broker_configs[i].name) ||
            !slice_equal(a->broker_configs[i].value, b->broker_configs[i].value))
            return true;
    return false;
}

struct keeping {
    const struct image *img;
    int32_t node_id;
};

/* Did a broker come or go? */
static bool presence_changed(const struct image *a, const struct image *b)
{
    if (a == NULL || a->brokers_count != b->brokers_count)
        return true;
    for (int i = 0; i < a->brokers_count; i++)
        if (a->brokers[i] != b->brokers[i] && (a->brokers[i]->node_id != b->brokers[i]->node_id ||
                                               absent(a->brokers[i]) != absent(b->brokers[i])))
            return true;
    return false;
}

static bool stray_keep(void *arg, struct uuid topic_id, int32_t index)
{
    const struct keeping *keeping = arg;
    const struct image_topic *t = image_find_topic_by_id(keeping->img, topic_id);
    const struct image_partition *p = t ? image_find_partition(t, index) : NULL;
    return p != NULL && contains(p->replicas, p->replicas_count, keeping->node_id);
}

/* Before roles are taken over: a topic made anew while this node was away needs the folder that its
 * predecessor of the same name still has. */
static void strays_remove(struct wiring *w, const struct image *img)
{
    struct keeping keeping = {img, w->node->id};
    if (w->strays_removed)
        return;
    w->strays_removed = true;
    replicas_remove_strays(w->node->replicas, stray_keep, &keeping);
}

/* Only an image that has this process's registration is complete: an older one, seen while the log
 * is being replayed, may not know a topic yet. */
static bool complete(const struct wiring *w, const struct image *img)
{
    const struct image_broker *self = image_find_broker(img, w->node->id);
    return self != NULL && uuid_equal(self->incarnation, w->node->incarnation);
}

/* --- Requests that wait for a role --- */

struct image *wiring_image(struct wiring *w)
{
    mutex_lock(&w->lock);
    struct image *img = w->applied ? image_ref(w->applied) : NULL;
    mutex_unlock(&w->lock);
    return img;
}

int64_t wiring_index(const struct wiring *w)
{
    return atomic_load(&w->index);
}

void wiring_await(struct wiring *w, int64_t index, struct request *req,
                  void (*fn)(struct request *req, void *arg), void *arg)
{
    thread_assert(&NET);
    request_hold(req);
    mutex_lock(&w->lock);
    bool now = atomic_load(&w->index) >= index;
    if (!now) {
        struct wiring_waiter *waiter = mem_alloc(sizeof(*waiter));
        *waiter = (struct wiring_waiter){.index = index, .req = req, .fn = fn, .arg = arg};
        list_push_back(&w->waiting, &waiter->link);
    }
    mutex_unlock(&w->lock);
    if (now)
        request_resume(req, fn, arg);
}

static void index_reached(struct wiring *w, int64_t index)
{
    mutex_lock(&w->lock);
    atomic_store(&w->index, index);
    LIST_FOR_EACH (waiter, &w->waiting, struct wiring_waiter, link) {
        if (waiter->index > index)
            continue;
        list_remove(&waiter->link);
        request_resume(waiter->req, waiter->fn, waiter->arg);
        free(waiter);
    }
    mutex_unlock(&w->lock);
}

/* --- Images --- */

static void image_apply(struct wiring *w, struct image *img)
{
    if (!complete(w, img)) {
        image_unref(img);
        return;
    }
    strays_remove(w, img);
    struct image *before = w->applied;
    lost_sweep(w, img);
    bool all = broker_configs_changed(before, img) || presence_changed(before, img);
    for (int i = 0; i < img->topics_count; i++) {
        const struct image_topic *topic = img->topics[i];
        const struct image_topic *old = before ? image_find_topic_by_id(before, topic->id) : NULL;
        if (all || topic != old)
            topic_apply(w, img, topic, old);
    }
    if (before != NULL)
        topics_remove(w, before, img);
    mutex_lock(&w->lock);
    w->applied = img;
    mutex_unlock(&w->lock);
    image_unref(before);
    /* From then on the disk is not new any more: not as long as something on it is missing. */
    if (!w->cluster_noted && w->lost.count == 0) {
        w->cluster_noted = true;
        replicas_note_cluster(w->node->replicas, img->cluster_id);
    }
    fetchers_update(w->node, img);
    index_reached(w, img->index);
}

static void image_take(struct wiring *w)
{
    mutex_lock(&w->lock);
    struct image *img = w->newest;
    w->newest = NULL;
    mutex_unlock(&w->lock);
    if (img != NULL)
        image_apply(w, img);
}

static void proposal_done(void *arg, enum error_code err, struct slice value)
{
    (void)value;
    struct proposal *p = arg;
    if (err != ERR_NONE)
        replicas_proposal_failed(p->wiring->node->replicas, &p->isr, err);
    free(p);
}

static void proposal_run(struct inbox_message *message)
{
    struct proposal *p = CONTAINER_OF(message, struct proposal, message);
    struct node *node = p->wiring->node;
    struct command_isr_member members[REPLICAS_MAX];
    for (int i = 0; i < p->isr.isr_count; i++)
        members[i] = (struct command_isr_member){p->isr.isr[i], p->isr.broker_epochs[i]};
    struct alter_partition c = {
        .node_id = node->id,
        .broker_epoch = atomic_load(&node->broker_epoch),
        .topic_id = p->isr.topic_id,
        .partition = p->isr.partition,
        .leader_epoch = p->isr.leader_epoch,
        .partition_epoch = p->isr.partition_epoch,
        .isr = members,
        .isr_count = p->isr.isr_count,
    };
    struct buffer command = {0};
    command_encode_alter_partition(&command, &c);
    quorum_submit(node->quorum, buffer_slice(&command),
                  config_number(&node->config, CONFIG_REQUEST_TIMEOUT_MS), proposal_done, p);
    buffer_deinit(&command);
}

static void failure_run(struct inbox_message *message);

/* Said again until the metadata has it: nobody else can tell that this replica is of no use. */
static void failure_done(void *arg, enum error_code err, struct slice value)
{
    struct failure *f = arg;
    bool unknown = err == ERR_REQUEST_TIMED_OUT || err == ERR_NOT_CONTROLLER;
    if (unknown && inbox_post(&f->wiring->inbox, &f->message))
        return;
    if (err != ERR_NONE)
        LOG_WARN("the metadata refused the report of a failed replica",
                 "partition=%d error=%s reason=\"" SLICE_FMT "\"", f->partition, error_name(err),
                 SLICE_ARG(value));
    free(f);
}

static void failure_run(struct inbox_message *message)
{
    struct failure *f = CONTAINER_OF(message, struct failure, message);
    struct node *node = f->wiring->node;
    struct replica_failed c = {.node_id = node->id,
                               .broker_epoch = atomic_load(&node->broker_epoch),
                               .topic_id = f->topic_id,
                               .partition = f->partition,
                               .serves = f->serves};
    struct buffer command = {0};
    command_encode_replica_failed(&command, &c);
    quorum_submit(node->quorum, buffer_slice(&command),
                  config_number(&node->config, CONFIG_REQUEST_TIMEOUT_MS), failure_done, f);
    buffer_deinit(&command);
}

static void wiring_run(void *arg)
{
    struct wiring *w = arg;
    while (!atomic_load(&w->stopping)) {
        inbox_wait(&w->inbox, -1);
        inbox_drain(&w->inbox);
        image_take(w);
    }
}

struct nudge {
    struct inbox_message message;
};

static void nudge_run(struct inbox_message *message)
{
    free(CONTAINER_OF(message, struct nudge, message));
}

static void nudge(struct wiring *w)
{
    struct nudge *n = mem_zalloc(sizeof(*n));
    n->message.run = nudge_run;
    if (!inbox_post(&w->inbox, &n->message))
        free(n);
}

void wiring_published(struct wiring *w, struct image *img)
{
    struct image *skipped = NULL;
    mutex_lock(&w->lock);
    bool stopping = atomic_load(&w->stopping);
    if (!stopping) {
        departures_note(w->departures, img, clock_monotonic_ms());
        skipped = w->newest;
        w->newest = image_ref(img);
    }
    mutex_unlock(&w->lock);
    image_unref(skipped);
    if (!stopping)
        nudge(w);
}

bool wiring_left_lately(struct wiring *w, int32_t node_id)
{
    return departures_recent(w->departures, node_id, clock_monotonic_ms());
}

void wiring_propose_isr(struct wiring *w, const struct isr_proposal *isr)
{
    struct proposal *p = mem_zalloc(sizeof(*p));
    *p = (struct proposal){.message.run = proposal_run, .wiring = w, .isr = *isr};
    if (!inbox_post(&w->inbox, &p->message))
        free(p);
}

void wiring_replica_failed(struct wiring *w, struct uuid topic_id, int32_t partition, bool serves)
{
    struct failure *f = mem_zalloc(sizeof(*f));
    *f = (struct failure){.message.run = failure_run,
                          .wiring = w,
                          .topic_id = topic_id,
                          .partition = partition,
                          .serves = serves};
    if (!inbox_post(&w->inbox, &f->message))
        free(f);
}

int wiring_start(struct node *node)
{
    struct wiring *w = mem_zalloc(sizeof(*w));
    w->node = node;
    w->departures = departures_new();
    mutex_init(&w->lock);
    list_init(&w->waiting);
    atomic_init(&w->index, -1);
    node->wiring = w;
    int rc = inbox_init(&w->inbox);
    return rc < 0 ? rc : thread_start(&w->thread, &BACKGROUND, "wiring", wiring_run, w);
}

void wiring_stop(struct node *node)
{
    struct wiring *w = node->wiring;
    if (w == NULL)
        return;
    atomic_store(&w->stopping, true);
    nudge(w);
    pthread_join(w->thread, NULL);
    vec_deinit(&w->lost);
    inbox_close(&w->inbox);
    index_reached(w, INT64_MAX); /* nobody waits for a node that stops */
    mutex_lock(&w->lock);        /* the quorum may publish still */
    image_unref(w->newest);
    image_unref(w->applied);
    w->newest = w->applied = NULL;
    departures_free(w->departures);
    w->departures = NULL;
    mutex_unlock(&w->lock);
}
