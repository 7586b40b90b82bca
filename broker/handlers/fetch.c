/*
 * Fetch: whole batches from page cache to socket, parked until there is enough or time is up.
 *
 * Every round reads all partitions; too little to answer: what was read is given back and the
 * request parks on all of them (KIP-74 keeps the first batch whole). Session id 0 is always
 * answered: a client or follower then sends all its partitions each time, which KIP-227 allows.
 */
#include "broker/leader_hint.h"
#include "broker/node.h"
#include "broker/request.h"
#include "proto/base/clock.h"

struct fetch_state {
    int64_t deadline_ms;
    int32_t replica_id; /* -1: a consumer */
    int64_t replica_epoch;
    bool followed; /* the follower's positions were counted in the first round */
};

struct fetch_round {
    int64_t bytes;
    int32_t bytes_left;
    bool failed; /* a partition has news that must not wait: an error or a divergence */
};

static const struct image_topic *topic_of(const struct request *req,
                                          const struct fetch_request_topic *t)
{
    if (req->image == NULL)
        return NULL;
    return req->header.api_version >= 13 ? image_find_topic_by_id(req->image, t->topic_id)
                                         : image_find_topic(req->image, t->topic);
}

static enum partition_read_upto read_upto(const struct request *req, const struct fetch_state *st)
{
    const struct fetch_request *in = req->in;
    if (st->replica_id >= 0)
        return READ_TO_LOG_END;
    return in->isolation_level == 1 ? READ_TO_LAST_STABLE : READ_TO_HIGH_WATERMARK;
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

static enum error_code read_one(struct request *req, const struct fetch_state *st,
                                const struct image_topic *topic,
                                const struct fetch_request_topic_partition *p,
                                struct fetch_response_response_partition *o,
                                struct fetch_round *round)
{
    struct replica *r;
    enum error_code err = request_partition(req, topic, p->partition, &r);
    if (err != ERR_NONE)
        return err;
    mutex_lock(&r->lock);
    err = r->partition == NULL ? ERR_KAFKA_STORAGE_ERROR
                               : partition_check_leader(r->partition, p->current_leader_epoch);
    mutex_unlock(&r->lock);
    if (err == ERR_NONE && st->replica_id >= 0 && !st->followed)
        err = replica_follower_fetched(
            req->node->replicas, r,
            &(struct follower_fetch){.replica = st->replica_id,
                                     .broker_epoch = st->replica_epoch,
                                     .leader_epoch = p->current_leader_epoch,
                                     .fetch_offset = p->fetch_offset,
                                     .last_fetched_epoch = p->last_fetched_epoch,
                                     .log_start_offset = p->log_start_offset});
    struct partition_read read = {0};
    int32_t bytes_max = MIN(p->partition_max_bytes, round->bytes_left);
    mutex_lock(&r->lock);
    if (err == ERR_NONE && r->partition == NULL)
        err = ERR_KAFKA_STORAGE_ERROR;
    if (err == ERR_NONE)
        err = partition_check_leader(r->partition, p->current_leader_epoch);
    if (err == ERR_NONE)
        err = partition_read(r->partition, p->fetch_offset, p->last_fetched_epoch,
                             read_upto(req, st), bytes_max, round->bytes == 0, &read);
    mutex_unlock(&r->lock);
    replica_unref(r);
    if (err == ERR_NONE)
        read_fill(req, &read, o, round);
    return err;
}

static void partition_reset(struct request *req, int32_t index,
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
    const struct fetch_request *in = req->in;
    struct fetch_response *out = req->out;
    for (int i = 0; i < in->topics_count; i++) {
        const struct fetch_request_topic *t = &in->topics[i];
        const struct image_topic *topic = topic_of(req, t);
        for (int k = 0; k < t->partitions_count; k++) {
            struct fetch_response_response_partition *o = &out->responses[i].partitions[k];
            partition_reset(req, t->partitions[k].partition, o);
            enum error_code err = topic == NULL && req->header.api_version >= 13
                                      ? ERR_UNKNOWN_TOPIC_ID
                                      : read_one(req, st, topic, &t->partitions[k], o, round);
            o->error_code = (int16_t)err;
            round->failed = round->failed || err != ERR_NONE;
        }
    }
    st->followed = true;
}

static void reads_release(struct fetch_response *out)
{
    for (int i = 0; i < out->responses_count; i++)
        for (int k = 0; k < out->responses[i].partitions_count; k++) {
            struct records *records = &out->responses[i].partitions[k].records;
            if (records->file != NULL)
                records->file->release(records->file->owner);
            records->file = NULL;
        }
}

static void hints_fill(struct request *req)
{
    const struct fetch_request *in = req->in;
    struct fetch_response *out = req->out;
    for (int i = 0; i < in->topics_count; i++) {
        const struct image_topic *topic = topic_of(req, &in->topics[i]);
        struct uuid id = topic ? topic->id : UUID_ZERO;
        for (int k = 0; k < out->responses[i].partitions_count; k++) {
            struct fetch_response_response_partition *o = &out->responses[i].partitions[k];
            if (o->error_code == ERR_NOT_LEADER_OR_FOLLOWER ||
                o->error_code == ERR_FENCED_LEADER_EPOCH)
                leader_hint_find(req, id, o->partition_index, &o->current_leader.leader_id,
                                 &o->current_leader.leader_epoch);
        }
    }
}

static void round_run(struct request *req);

static void park_all(struct request *req, const struct fetch_state *st, int64_t wait_ms)
{
    thread_assert(&NET);
    const struct fetch_request *in = req->in;
    const struct fetch_response *out = req->out;
    enum waiter_kind kind = st->replica_id >= 0 ? WAIT_APPENDED_DATA : WAIT_COMMITTED_DATA;
    for (int i = 0; i < in->topics_count; i++) {
        const struct image_topic *topic = topic_of(req, &in->topics[i]);
        for (int k = 0; topic != NULL && k < in->topics[i].partitions_count; k++) {
            const struct fetch_request_topic_partition *p = &in->topics[i].partitions[k];
            struct replica *r = replicas_find(req->node->replicas, topic->id, p->partition);
            if (r == NULL)
                continue;
            /* A consumer has seen all below this watermark and found it too little; a follower has
             * all below its position. */
            int64_t seen = kind == WAIT_COMMITTED_DATA
                               ? out->responses[i].partitions[k].high_watermark
                               : p->fetch_offset;
            request_await_data(req, r, kind, seen);
            replica_unref(r);
        }
    }
    request_when_any(req, wait_ms, round_run);
}

static void round_run(struct request *req)
{
    thread_assert(&NET);
    const struct fetch_request *in = req->in;
    struct fetch_state *st = req->state;
    struct fetch_round round = {.bytes_left = MAX(in->max_bytes, 0)};
    read_all(req, st, &round);
    int64_t wait_ms = st->deadline_ms - clock_monotonic_ms();
    if (round.failed || round.bytes >= in->min_bytes || wait_ms <= 0) {
        hints_fill(req);
        request_reply(req);
        return;
    }
    reads_release(req->out);
    park_all(req, st, wait_ms);
}

static bool role_is_coming(const struct request *req, const struct fetch_request *in)
{
    for (int i = 0; i < in->topics_count; i++) {
        const struct image_topic *topic = topic_of(req, &in->topics[i]);
        for (int k = 0; k < in->topics[i].partitions_count; k++)
            if (request_role_is_coming(req, topic, in->topics[i].partitions[k].partition))
                return true;
    }
    return false;
}

HANDLER(fetch)
{
    thread_assert(&NET);
    if (role_is_coming(req, in)) {
        request_when_roles(req, handle_fetch);
        return;
    }
    struct fetch_state *st = arena_need(&req->arena, sizeof(*st));
    bool new_style = req->header.api_version >= 15;
    st->replica_id = new_style ? in->replica_state.replica_id : in->replica_id;
    st->replica_epoch = new_style ? in->replica_state.replica_epoch : -1;
    st->deadline_ms = clock_monotonic_ms() + MAX(in->max_wait_ms, 0);
    req->state = st;
    if (in->session_id != 0) {
        out->error_code = ERR_FETCH_SESSION_ID_NOT_FOUND; /* cheap: the client opens anew */
        request_reply(req);
        return;
    }
    out->responses = fetch_response_response_array(&req->arena, in->topics_count);
    out->responses_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        struct fetch_response_response *o = &out->responses[i];
        o->topic = in->topics[i].topic;
        o->topic_id = in->topics[i].topic_id;
        o->partitions =
            fetch_response_response_partition_array(&req->arena, in->topics[i].partitions_count);
        o->partitions_count = in->topics[i].partitions_count;
    }
    round_run(req);
}
