/*
 * Fetch: whole batches from page cache to socket, parked until there is enough or time is up.
 *
 * A session (fetch_sessions.h) turns the request into a plan: all partitions to read, in their
 * order. Every round reads all of them; too little to answer: what was read is given back and the
 * request parks on them (KIP-74 keeps the first batch whole). The answer leaves out what the
 * session's client knows already.
 *
 * A follower may send its next request while one waits here: the one that waits is answered at
 * once, so that what came to that follower's disk counts without delay.
 */
#include <stdlib.h>

#include "broker/fetch_sessions.h"
#include "broker/leader_hint.h"
#include "broker/node.h"
#include "broker/quotas.h"
#include "broker/read_replica.h"
#include "broker/request.h"
#include "proto/base/clock.h"

#define BY_ID_VERSION 13

struct fetch_state {
    struct fetch_plan plan;
    struct fetch_response_response_partition *found; /* of plan.wants, in the same order */
    int64_t deadline_ms;
    int32_t replica_id; /* -1: a consumer */
    int64_t replica_epoch;
    struct read_near near; /* to the consumer */
    struct quota_limit quota;
    bool followed;    /* the follower's positions were counted in the first round */
    bool interrupted; /* by the same follower's next request */
};

struct fetch_round {
    int64_t bytes;
    int32_t bytes_left;
    bool failed; /* a partition has news that must not wait: an error, a divergence, a better
                  * replica, a watermark for a follower that is read from */
};

static const struct image_topic *topic_of(const struct request *req, const struct fetch_want *w)
{
    if (req->image == NULL)
        return NULL;
    return req->header.api_version >= BY_ID_VERSION
               ? image_find_topic_by_id(req->image, w->topic_id)
               : image_find_topic(req->image, w->topic);
}

/* --- Reading --- */

static enum partition_read_upto read_upto(const struct request *req, const struct fetch_state *st)
{
    const struct fetch_request *in = req->in;
    if (st->replica_id >= 0)
        return READ_TO_LOG_END;
    return in->isolation_level == 1 ? READ_TO_LAST_STABLE : READ_TO_HIGH_WATERMARK;
}

struct aborted_list {
    VEC(struct fetch_response_response_partition_aborted_transaction) items;
};

static void aborted_add(void *arg, int64_t producer_id, int64_t first_offset)
{
    struct aborted_list *list = arg;
    struct fetch_response_response_partition_aborted_transaction one = {
        .producer_id = producer_id, .first_offset = first_offset};
    vec_push(&list->items, one);
}

static int by_first_offset(const void *a, const void *b)
{
    const struct fetch_response_response_partition_aborted_transaction *x = a, *y = b;
    return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

/* Lock held. Clients walk the list along with the records: it must be in the order of first
 * offsets. */
static void aborted_fill(struct request *req, struct replica *r, int64_t offset,
                         const struct partition_read *read,
                         struct fetch_response_response_partition *o)
{
    struct aborted_list list = {0};
    log_each_aborted(partition_log(r->partition), offset, read->last_stable_offset, aborted_add,
                     &list);
    int32_t count = (int32_t)list.items.count;
    if (count > 0) {
        o->aborted_transactions =
            fetch_response_response_partition_aborted_transaction_array(&req->arena, count);
        CHECK(o->aborted_transactions != NULL);
        memcpy(o->aborted_transactions, list.items.items,
               sizeof(*list.items.items) * list.items.count);
        qsort(o->aborted_transactions, list.items.count, sizeof(*o->aborted_transactions),
              by_first_offset);
        o->aborted_transactions_count = count;
    }
    vec_deinit(&list.items);
}

static void read_fill(struct request *req, const struct partition_read *read,
                      struct fetch_response_response_partition *o, struct fetch_round *round)
{
    o->high_watermark = read->high_watermark;
    o->last_stable_offset = read->last_stable_offset;
    o->log_start_offset = read->log_start_offset;
    if (read->diverging) {
        o->diverging_epoch.epoch = read->diverging_epoch;
        o->diverging_epoch.end_offset = read->diverging_end_offset;
        round->failed = true;
        return;
    }
    if (read->log.range.size == 0)
        return;
    struct file_range *file = arena_need(&req->arena, sizeof(*file));
    *file = read->log.range;
    o->records.file = file;
    round->bytes += file->size;
    round->bytes_left -= MIN(round->bytes_left, file->size);
}

static enum error_code follower_note(struct request *req, const struct fetch_state *st,
                                     struct replica *r, const struct fetch_want *w)
{
    if (st->replica_id < 0 || st->followed)
        return ERR_NONE;
    return replica_follower_fetched(
        req->node->replicas, r,
        &(struct follower_fetch){.replica = st->replica_id,
                                 .broker_epoch = st->replica_epoch,
                                 .leader_epoch = w->current_leader_epoch,
                                 .fetch_offset = w->fetch_offset,
                                 .last_fetched_epoch = w->last_fetched_epoch,
                                 .log_start_offset = w->log_start_offset});
}

/* Lock held. */
static enum error_code check_role(const struct request *req, const struct fetch_state *st,
                                  const struct replica *r, const struct fetch_want *w)
{
    if (r->partition == NULL)
        return ERR_KAFKA_STORAGE_ERROR;
    bool any_role = st->replica_id < 0 && req->header.api_version >= READ_REPLICA_VERSION;
    return any_role ? partition_check_readable(r->partition, w->current_leader_epoch)
                    : partition_check_leader(r->partition, w->current_leader_epoch);
}

/* Lock held. Is there a better place for this consumer to read from? Then it is told at once, and
 * nothing is read. */
static bool sent_elsewhere(const struct request *req, const struct fetch_state *st,
                           const struct replica *r, const struct fetch_want *w,
                           struct fetch_response_response_partition *o, struct fetch_round *round)
{
    if (st->near.count == 0 || partition_role(r->partition) != PARTITION_LEADER)
        return false;
    int32_t best =
        partition_preferred_replica(r->partition, w->fetch_offset, st->near.ids, st->near.count);
    if (best == req->node->id)
        return false;
    o->preferred_read_replica = best;
    round->failed = true;
    return true;
}

static enum error_code read_one(struct request *req, const struct fetch_state *st,
                                const struct image_topic *topic, const struct fetch_want *w,
                                struct fetch_response_response_partition *o,
                                struct fetch_round *round)
{
    struct replica *r;
    enum error_code err = request_partition(req, topic, w->partition, &r);
    if (err != ERR_NONE)
        return err;
    const struct fetch_request *in = req->in;
    struct partition_read read = {0};
    int32_t bytes_max = MIN(w->bytes_max, round->bytes_left);
    mutex_lock(&r->lock);
    err = check_role(req, st, r, w);
    mutex_unlock(&r->lock);
    if (err == ERR_NONE)
        err = follower_note(req, st, r, w);
    mutex_lock(&r->lock);
    if (err == ERR_NONE)
        err = check_role(req, st, r, w);
    if (err == ERR_NONE && sent_elsewhere(req, st, r, w, o, round))
        bytes_max = -1;
    if (err == ERR_NONE) {
        err = partition_read(r->partition, w->fetch_offset, w->last_fetched_epoch,
                             read_upto(req, st), bytes_max, round->bytes == 0, &read);
        if (err == ERR_NONE && in->isolation_level == 1 && read.log.range.size > 0)
            aborted_fill(req, r, w->fetch_offset, &read, o);
        /* A follower finds its new place by these; a client is told nothing, as in Kafka. */
        if (err == ERR_OFFSET_OUT_OF_RANGE && st->replica_id >= 0)
            read_fill(req, &read, o, round);
    }
    mutex_unlock(&r->lock);
    replica_unref(r);
    if (err == ERR_NONE)
        read_fill(req, &read, o, round);
    return err;
}

/* What consumers see at a follower is as old as the watermark that it knows. */
static bool follower_wants_watermarks(const struct request *req, const struct fetch_state *st)
{
    return st->replica_id >= 0 && st->plan.kind == FETCH_INCREMENTAL &&
           read_replica_is_selected(&req->node->config);
}

static void found_reset(struct request *req, int32_t index,
                        struct fetch_response_response_partition *o)
{
    const struct fetch_request *in = req->in;
    fetch_response_response_partition_init(o);
    o->partition_index = index;
    o->high_watermark = o->last_stable_offset = o->log_start_offset = -1;
    o->records.bytes = SLICE("");
    /* read_committed gets a list, read_uncommitted null. */
    o->aborted_transactions_count = in->isolation_level == 1 ? 0 : -1;
}

static void read_all(struct request *req, struct fetch_state *st, struct fetch_round *round)
{
    bool watermarks = follower_wants_watermarks(req, st);
    for (int i = 0; i < st->plan.count; i++) {
        const struct fetch_want *w = &st->plan.wants[i];
        const struct image_topic *topic = topic_of(req, w);
        found_reset(req, w->partition, &st->found[i]);
        enum error_code err = topic == NULL && req->header.api_version >= BY_ID_VERSION
                                  ? ERR_UNKNOWN_TOPIC_ID
                                  : read_one(req, st, topic, w, &st->found[i], round);
        st->found[i].error_code = (int16_t)err;
        round->failed = round->failed || err != ERR_NONE ||
                        (watermarks && st->found[i].high_watermark > w->told_high_watermark);
    }
    st->followed = true;
}

static void reads_release(const struct fetch_state *st)
{
    for (int i = 0; i < st->plan.count; i++) {
        struct records *records = &st->found[i].records;
        if (records->file != NULL)
            records->file->release(records->file->owner);
        records->file = NULL;
    }
}

/* --- Answering --- */

static void hints_fill(struct request *req, const struct fetch_state *st)
{
    struct fetch_response *out = req->out;
    struct leader_hints hints = {0};
    if (req->header.api_version < LEADER_HINT_FETCH_VERSION)
        return;
    for (int i = 0; i < st->plan.count; i++) {
        struct fetch_response_response_partition *o = &st->found[i];
        if (o->error_code == ERR_NOT_LEADER_OR_FOLLOWER || o->error_code == ERR_FENCED_LEADER_EPOCH)
            leader_hints_find(&hints, req, st->plan.wants[i].topic, st->plan.wants[i].topic_id,
                              o->partition_index, &o->current_leader.leader_id,
                              &o->current_leader.leader_epoch);
    }
    out->node_endpoints = fetch_response_node_endpoint_array(&req->arena, hints.count);
    for (int i = 0; i < hints.count; i++) {
        struct fetch_response_node_endpoint *e = &out->node_endpoints[out->node_endpoints_count];
        e->node_id = hints.leaders[i];
        out->node_endpoints_count +=
            leader_hint_endpoint(req, e->node_id, &e->host, &e->port, &e->rack);
    }
}

/* What belongs into the answer, in runs of one topic. */
static void topics_fill(struct request *req, const struct fetch_state *st,
                        const struct fetch_news *news)
{
    struct fetch_response *out = req->out;
    out->responses = fetch_response_response_array(&req->arena, st->plan.count);
    struct fetch_response_response *t = NULL;
    int kept = 0; /* those left out are dropped from `found`: each run lies in one piece */
    for (int i = 0; i < st->plan.count; i++) {
        if (!news[i].include)
            continue;
        const struct fetch_want *w = &st->plan.wants[i];
        st->found[kept] = st->found[i];
        if (t == NULL || !slice_equal(t->topic, w->topic) ||
            !uuid_equal(t->topic_id, w->topic_id)) {
            t = &out->responses[out->responses_count++];
            t->topic = w->topic;
            t->topic_id = w->topic_id;
            t->partitions = &st->found[kept];
        }
        t->partitions_count++;
        kept++;
    }
}

static void answer(struct request *req, struct fetch_state *st)
{
    thread_assert(&NET);
    struct node *node = req->node;
    struct fetch_response *out = req->out;
    struct fetch_news *news = arena_need(&req->arena, sizeof(*news) * (size_t)st->plan.count);
    for (int i = 0; i < st->plan.count; i++)
        news[i] = (struct fetch_news){.error_code = (enum error_code)st->found[i].error_code,
                                      .high_watermark = st->found[i].high_watermark,
                                      .log_start_offset = st->found[i].log_start_offset,
                                      .records = st->found[i].records.file != NULL,
                                      .must_tell = st->found[i].diverging_epoch.end_offset >= 0 ||
                                                   st->found[i].preferred_read_replica >= 0};
    mutex_lock(&node->fetch_sessions_lock);
    enum error_code err =
        fetch_sessions_end(node->fetch_sessions, &st->plan, news, st->replica_id >= 0,
                           clock_monotonic_ms(), &out->session_id);
    mutex_unlock(&node->fetch_sessions_lock);
    out->error_code = (int16_t)err;
    if (err == ERR_NONE) {
        hints_fill(req, st);
        topics_fill(req, st, news);
    } else {
        reads_release(st);
    }
    request_reply(req);
}

/* Over its quota, a consumer gets nothing now, and asks again later. */
static bool is_held(struct request *req, const struct fetch_state *st, int64_t bytes)
{
    thread_assert(&NET);
    struct fetch_response *out = req->out;
    bool hold;
    if (st->replica_id >= 0)
        return false;
    out->throttle_time_ms = quotas_record_or_hold(req->node->quotas, &st->quota, bytes, &hold);
    conn_mute(req->conn, out->throttle_time_ms);
    return hold;
}

static void answer_empty(struct request *req, const struct fetch_state *st)
{
    thread_assert(&NET);
    struct fetch_response *out = req->out;
    reads_release(st);
    out->session_id = st->plan.kind == FETCH_INCREMENTAL ? st->plan.session_id : 0;
    request_reply(req);
}

/* --- Rounds --- */

static void round_run(struct request *req);

static void park_all(struct request *req, const struct fetch_state *st, int64_t wait_ms)
{
    thread_assert(&NET);
    enum waiter_kind kind = st->replica_id >= 0 ? WAIT_APPENDED_DATA : WAIT_COMMITTED_DATA;
    bool watermarks = follower_wants_watermarks(req, st);
    for (int i = 0; i < st->plan.count; i++) {
        const struct fetch_want *w = &st->plan.wants[i];
        const struct image_topic *topic = topic_of(req, w);
        struct replica *r =
            topic ? replicas_find(req->node->replicas, topic->id, w->partition) : NULL;
        if (r == NULL)
            continue;
        /* A consumer has seen all below this watermark and found it too little; a follower has all
         * below its position. */
        int64_t seen = kind == WAIT_COMMITTED_DATA ? st->found[i].high_watermark : w->fetch_offset;
        request_await_data(req, r, kind, seen);
        if (watermarks)
            request_await_data(req, r, WAIT_COMMITTED_DATA, st->found[i].high_watermark);
        replica_unref(r);
    }
    request_when_any(req, wait_ms, round_run);
}

static void round_run(struct request *req)
{
    thread_assert(&NET);
    const struct fetch_request *in = req->in;
    struct fetch_state *st = req->state;
    struct fetch_round round = {
        .bytes_left = (int32_t)MIN((int64_t)MAX(in->max_bytes, 0), quota_limit_most(&st->quota))};
    read_all(req, st, &round);
    int64_t wait_ms = st->deadline_ms - clock_monotonic_ms();
    if (round.failed || round.bytes >= in->min_bytes || wait_ms <= 0 || st->interrupted) {
        if (is_held(req, st, round.bytes))
            answer_empty(req, st);
        else
            answer(req, st);
        return;
    }
    reads_release(st);
    park_all(req, st, wait_ms);
}

/* The same follower's request that waits before this one on the connection. */
static void interrupt_former(struct request *req)
{
    thread_assert(&NET);
    struct list *link = req->link.prev;
    if (link == &req->conn->requests)
        return;
    struct request *former = CONTAINER_OF(link, struct request, link);
    struct fetch_state *st = former->state;
    if (former->handler != req->handler || former->replied || st == NULL || st->replica_id < 0)
        return;
    st->interrupted = true;
    request_interrupt(former);
}

static bool role_is_coming(const struct request *req, const struct fetch_plan *plan)
{
    for (int i = 0; i < plan->count; i++)
        if (request_role_is_coming(req, topic_of(req, &plan->wants[i]), plan->wants[i].partition))
            return true;
    return false;
}

static enum error_code begin(struct request *req, const struct fetch_request *in)
{
    struct node *node = req->node;
    struct fetch_state *st = arena_need(&req->arena, sizeof(*st));
    bool new_style = req->header.api_version >= 15;
    st->replica_id = new_style ? in->replica_state.replica_id : in->replica_id;
    st->replica_epoch = new_style ? in->replica_state.replica_epoch : -1;
    st->deadline_ms = clock_monotonic_ms() + MAX(in->max_wait_ms, 0);
    mutex_lock(&node->fetch_sessions_lock);
    enum error_code err = fetch_sessions_begin(node->fetch_sessions, in, req->header.api_version,
                                               clock_monotonic_ms(), &req->arena, &st->plan);
    mutex_unlock(&node->fetch_sessions_lock);
    if (err != ERR_NONE)
        return err;
    if (st->replica_id < 0)
        st->quota = quota_limit_find(req, QUOTA_FETCH);
    if (st->replica_id < 0 && req->header.api_version >= READ_REPLICA_VERSION)
        st->near = read_replica_near(req, in->rack_id);
    st->found = fetch_response_response_partition_array(&req->arena, st->plan.count);
    CHECK(st->found != NULL || st->plan.count == 0);
    req->state = st;
    return ERR_NONE;
}

HANDLER(fetch)
{
    thread_assert(&NET);
    struct fetch_state *st = req->state;
    if (st == NULL) {
        request_hold(req); /* answering the former may find the connection broken */
        interrupt_former(req);
        if (!request_unhold(req))
            return;
        out->error_code = (int16_t)begin(req, in);
        if (out->error_code != ERR_NONE) {
            request_reply(req);
            return;
        }
        st = req->state;
        if (role_is_coming(req, &st->plan)) {
            request_when_roles(req, handle_fetch);
            return;
        }
    }
    round_run(req);
}
