/* Produce: validate, append as leader, wait for the high watermark where acks=all. */
#include "broker/handover.h"
#include "broker/leader_hint.h"
#include "broker/node.h"
#include "broker/quotas.h"
#include "broker/request.h"
#include "broker/topic_settings.h"
#include "broker/txn_append.h"
#include "proto/base/clock.h"

#define ACKS_NONE     0
#define ACKS_ALL      -1
#define IN_FLIGHT_MS  1000  /* what was sent before a refusal was heard of has come by then */
#define GAP_FORGET_MS 10000 /* a gap after that is another one */

/* What is appended stays in `batch`; rebuilt ones need memory until the append. */
struct produce_scratch {
    struct buffer inflated;
    struct buffer rebuilt;
};

/* --- Gaps in a sequence that are none of the producer's making --- */

static void refusal_note(struct request *req, enum error_code err)
{
    if (err == ERR_NOT_LEADER_OR_FOLLOWER || err == ERR_NOT_ENOUGH_REPLICAS ||
        err == ERR_KAFKA_STORAGE_ERROR)
        req->conn->refused_ms = clock_monotonic_ms();
}

/*
 * Told "out of order", librdkafka takes its state for lost: it begins with another epoch and sends
 * again all that was not acknowledged, also what an earlier leader had replicated: twice in the
 * log. So it is told "not leader", and sends what is missing in order, for a second where
 *
 *   - it had sent the batch behind one that was refused for now, and the reason passed in between
 *     (a lease is back, an ISR has grown);
 *   - the leader changed: what was under way to the one before may be queued for a retry a moment
 *     after the first batch went to the new one (librdkafka's threads race there).
 */
static enum error_code gap_answer(struct request *req, enum error_code err, bool leader_changed)
{
    struct conn *c = req->conn;
    int64_t now_ms = clock_monotonic_ms();
    if (err != ERR_OUT_OF_ORDER_SEQUENCE_NUMBER)
        return err;
    if (c->refused_ms != 0 && now_ms - c->refused_ms < IN_FLIGHT_MS)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (!leader_changed)
        return err;
    if (c->gap_ms == 0 || now_ms - c->gap_ms > GAP_FORGET_MS)
        c->gap_ms = now_ms;
    return now_ms - c->gap_ms < IN_FLIGHT_MS ? ERR_NOT_LEADER_OR_FOLLOWER : err;
}

static void errors_fill(struct request *req, const struct validated *v,
                        struct produce_response_response_partition_response *out)
{
    out->error_message = v->error_message;
    if (v->record_errors_count == 0)
        return;
    out->record_errors = produce_response_response_partition_response_record_error_array(
        &req->arena, v->record_errors_count);
    CHECK(out->record_errors != NULL);
    out->record_errors_count = v->record_errors_count;
    for (int i = 0; i < v->record_errors_count; i++) {
        out->record_errors[i].batch_index = v->record_errors[i].batch_index;
        out->record_errors[i].batch_index_error_message = v->record_errors[i].message;
    }
}

/* Under the partition's lock: after a handover began nothing is appended. */
struct append_check {
    const struct node *node;
    struct txn_guard *guard;
};

static enum error_code check_append(void *arg, struct partition *p)
{
    const struct append_check *check = arg;
    return handover_began(check->node) ? ERR_NOT_LEADER_OR_FOLLOWER
                                       : txn_append_check(check->guard, p);
}

static enum error_code append_to(struct request *req, struct replica *r, struct slice batch,
                                 struct txn_guard *guard, int16_t acks,
                                 struct produce_response_response_partition_response *out)
{
    thread_assert(&NET);
    struct partition_append_result result;
    struct append_check check = {req->node, guard};
    /* The bytes are the request's own buffer or our rebuilt copy: both may be stamped. */
    enum error_code err =
        replica_append_checked(r, (uint8_t *)(uintptr_t)batch.data, batch.size, guard->header, acks,
                               check_append, &check, &result);
    refusal_note(req, err);
    if (err != ERR_NONE)
        return gap_answer(req, err, result.gap_of_before);
    out->base_offset = result.base_offset;
    out->log_append_time_ms = result.log_append_time_ms;
    out->log_start_offset = result.log_start_offset;
    if (acks == ACKS_ALL)
        request_await_watermark(req, r, &result, &out->error_code);
    return ERR_NONE;
}

/* A batch whose transaction was asked for. */
static void append_kept(struct request *req, struct txn_append *a)
{
    thread_assert(&NET);
    const struct produce_request *in = req->in;
    struct produce_response_response_partition_response *out = a->out;
    if (a->err == ERR_NONE)
        a->err = append_to(req, a->r, a->batch, &a->guard, in->acks, out);
    if (a->err != ERR_NONE)
        out->error_code = (int16_t)a->err;
}

/* Append now, or keep the batch until its transaction is known. */
static enum error_code append_or_keep(struct request *req, struct replica *r, struct slice batch,
                                      const struct batch_header *header,
                                      struct produce_response_response_partition_response *out)
{
    thread_assert(&NET);
    const struct produce_request *in = req->in;
    struct txn_guard guard = {.header = header};
    if (batch_is_transactional(header) && slice_is_null(in->transactional_id))
        return ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (!txn_append_must_wait(req, r, &guard))
        return append_to(req, r, batch, &guard, in->acks, out);
    return txn_appends_keep(req->state, r, batch, &guard, out);
}

static enum error_code append(struct request *req, const struct image_topic *topic,
                              const struct produce_request_topic_data_partition_data *in,
                              struct produce_scratch *scratch,
                              struct produce_response_response_partition_response *out)
{
    struct replica *r;
    enum error_code err = request_partition(req, topic, in->index, &r);
    refusal_note(req, err);
    if (err != ERR_NONE)
        return err;
    struct validate_rules rules;
    struct validated v = {0};
    struct slice batch = SLICE_NULL;
    int64_t now_ms = clock_wall_ms();
    topic_validate_rules(&req->node->config, req->image, topic, req->header.api_version, &rules);
    err = validate_produce(in->records, &rules, now_ms, &req->arena, &scratch->inflated, &v);
    if (err == ERR_NONE)
        err = validated_finish(&v, &rules, now_ms, &scratch->inflated, &scratch->rebuilt, &batch);
    if (err == ERR_NONE)
        err = append_or_keep(req, r, batch, &v.header, out);
    else
        errors_fill(req, &v, out);
    replica_unref(r);
    return err;
}

/* Who leads now what was refused here, as far as the version can say it. */
static void hints_fill(struct request *req, const struct produce_request *in,
                       struct produce_response *out)
{
    struct leader_hints hints = {0};
    if (req->header.api_version < LEADER_HINT_PRODUCE_VERSION)
        return;
    for (int i = 0; i < out->responses_count; i++)
        for (int k = 0; k < out->responses[i].partition_responses_count; k++) {
            struct produce_response_response_partition_response *p =
                &out->responses[i].partition_responses[k];
            if (p->error_code == ERR_NOT_LEADER_OR_FOLLOWER)
                leader_hints_find(&hints, req, in->topic_data[i].name, in->topic_data[i].topic_id,
                                  p->index, &p->current_leader.leader_id,
                                  &p->current_leader.leader_epoch);
        }
    out->node_endpoints = produce_response_node_endpoint_array(&req->arena, hints.count);
    for (int i = 0; i < hints.count; i++) {
        struct produce_response_node_endpoint *e = &out->node_endpoints[out->node_endpoints_count];
        e->node_id = hints.leaders[i];
        out->node_endpoints_count +=
            leader_hint_endpoint(req, e->node_id, &e->host, &e->port, &e->rack);
    }
}

static void finish(struct request *req)
{
    thread_assert(&NET);
    const struct produce_request *in = req->in;
    struct produce_response *out = req->out;
    bool failed = false;
    for (int i = 0; i < out->responses_count; i++)
        for (int k = 0; k < out->responses[i].partition_responses_count; k++) {
            struct produce_response_response_partition_response *p =
                &out->responses[i].partition_responses[k];
            failed = failed || p->error_code != ERR_NONE;
            if (p->error_code != ERR_NONE)
                p->base_offset = -1;
        }
    struct quota_limit limit = quota_limit_find(req, QUOTA_PRODUCE);
    out->throttle_time_ms = quotas_record(req->node->quotas, &limit, (int64_t)req->frame_size);
    conn_mute(req->conn, out->throttle_time_ms);
    if (in->acks == ACKS_NONE) {
        /* No answer; the end of the connection is the only sign of failure (as in Kafka). */
        request_reply_silently(req, failed);
        return;
    }
    hints_fill(req, in, out);
    request_reply(req);
}

static const struct image_topic *topic_of(const struct request *req,
                                          const struct produce_request_topic_data *t)
{
    return req->header.api_version >= 13 ? image_find_topic_by_id(req->image, t->topic_id)
                                         : image_find_topic(req->image, t->name);
}

static void topic_produce(struct request *req, const struct produce_request_topic_data *topic_in,
                          struct produce_scratch *scratch,
                          struct produce_response_response *topic_out)
{
    bool by_id = req->header.api_version >= 13;
    const struct image_topic *topic = topic_of(req, topic_in);
    topic_out->name = topic_in->name;
    topic_out->topic_id = topic_in->topic_id;
    int count = topic_in->partition_data_count;
    topic_out->partition_responses =
        produce_response_response_partition_response_array(&req->arena, count);
    topic_out->partition_responses_count = count;
    for (int k = 0; k < count; k++) {
        struct produce_response_response_partition_response *p = &topic_out->partition_responses[k];
        p->index = topic_in->partition_data[k].index;
        p->base_offset = p->log_append_time_ms = p->log_start_offset = -1;
        enum error_code err = topic == NULL
                                  ? (by_id ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION)
                                  : append(req, topic, &topic_in->partition_data[k], scratch, p);
        if (err != ERR_NONE)
            p->error_code = (int16_t)err;
    }
}

static void refuse_all(const struct produce_request *in, struct request *req,
                       struct produce_response *out, enum error_code err)
{
    for (int i = 0; i < in->topic_data_count; i++) {
        const struct produce_request_topic_data *t = &in->topic_data[i];
        struct produce_response_response *o = &out->responses[i];
        o->name = t->name;
        o->topic_id = t->topic_id;
        o->partition_responses = produce_response_response_partition_response_array(
            &req->arena, t->partition_data_count);
        o->partition_responses_count = t->partition_data_count;
        for (int k = 0; k < t->partition_data_count; k++) {
            o->partition_responses[k].index = t->partition_data[k].index;
            o->partition_responses[k].error_code = (int16_t)err;
            o->partition_responses[k].base_offset = -1;
        }
    }
}

typedef bool partition_question(const struct request *req, const struct image_topic *topic,
                                int32_t index);

static bool any_partition(const struct request *req, const struct produce_request *in,
                          partition_question *is_so)
{
    for (int i = 0; req->image != NULL && i < in->topic_data_count; i++) {
        const struct image_topic *topic = topic_of(req, &in->topic_data[i]);
        for (int k = 0; k < in->topic_data[i].partition_data_count; k++)
            if (is_so(req, topic, in->topic_data[i].partition_data[k].index))
                return true;
    }
    return false;
}

/* As far as the metadata knows, this node leads it still. */
static bool is_ours(const struct request *req, const struct image_topic *topic, int32_t index)
{
    const struct image_partition *p = topic ? image_find_partition(topic, index) : NULL;
    return p != NULL && p->leader == req->node->id;
}

/* Everything is appended. */
static void await_all(struct request *req)
{
    thread_assert(&NET);
    const struct produce_request *in = req->in;
    request_when_all(req, in->timeout_ms, finish);
}

HANDLER(produce)
{
    thread_assert(&NET);
    if (handover_began(req->node) && !req->roles_awaited && any_partition(req, in, is_ours)) {
        request_when_changed(req, handle_produce);
        return;
    }
    if (any_partition(req, in, request_role_is_coming)) {
        request_when_roles(req, handle_produce);
        return;
    }
    out->responses = produce_response_response_array(&req->arena, in->topic_data_count);
    out->responses_count = in->topic_data_count;
    if (in->acks < ACKS_ALL || in->acks > 1) {
        refuse_all(in, req, out, ERR_INVALID_REQUIRED_ACKS);
        finish(req);
        return;
    }
    struct produce_scratch scratch = {0};
    struct txn_appends *kept = txn_appends_new(req, in->transactional_id, append_kept, await_all);
    req->state = kept;
    for (int i = 0; i < in->topic_data_count && req->image != NULL; i++)
        topic_produce(req, &in->topic_data[i], &scratch, &out->responses[i]);
    buffer_deinit(&scratch.inflated);
    buffer_deinit(&scratch.rebuilt);
    if (req->image == NULL)
        refuse_all(in, req, out, ERR_NOT_LEADER_OR_FOLLOWER);
    txn_appends_submit(kept);
}
