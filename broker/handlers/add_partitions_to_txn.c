/*
 * AddPartitionsToTxn: by a producer of transactions version 1, one transaction in a request (up to
 * version 3), or by brokers for many, which add or only verify (KIP-890). Our own brokers do not
 * ask this way: they submit the command themselves.
 */
#include "broker/node.h"
#include "broker/txns.h"
#include "coord/command.h"

#define VERSION_FENCED  2 /* knows PRODUCER_FENCED */
#define VERSION_BATCHED 4

/* One transaction of the request. */
struct adding {
    struct add_partitions_to_txn_request_transaction in;
    struct add_partitions_to_txn_response_topic_result *results;
    struct adding_all *all;
};

struct adding_all {
    int open; /* transactions that were submitted */
};

static void results_make(struct request *req, struct adding *a)
{
    a->results = add_partitions_to_txn_response_topic_result_array(&req->arena, a->in.topics_count);
    for (int i = 0; i < a->in.topics_count; i++) {
        struct add_partitions_to_txn_response_topic_result *o = &a->results[i];
        int count = a->in.topics[i].partitions_count;
        o->name = a->in.topics[i].name;
        o->results_by_partition =
            add_partitions_to_txn_response_partition_result_array(&req->arena, count);
        o->results_by_partition_count = count;
        for (int k = 0; k < count; k++)
            o->results_by_partition[k].partition_index = a->in.topics[i].partitions[k];
    }
}

static void results_set(struct adding *a, int16_t err)
{
    for (int i = 0; i < a->in.topics_count; i++)
        for (int k = 0; k < a->results[i].results_by_partition_count; k++)
            a->results[i].results_by_partition[k].partition_error_code = err;
}

static void one_done(struct request *req, struct adding_all *all)
{
    thread_assert(&NET);
    if (--all->open == 0)
        request_reply(req);
}

static void added(struct request *req, void *arg, enum error_code err, struct slice value)
{
    thread_assert(&NET);
    struct adding *a = arg;
    if (err != ERR_NONE) {
        results_set(a, txns_error(err, req->header.api_version >= VERSION_FENCED));
    } else if (a->in.verify_only) {
        int at = 0;
        for (int i = 0; i < a->in.topics_count; i++)
            for (int k = 0; k < a->results[i].results_by_partition_count; k++)
                a->results[i].results_by_partition[k].partition_error_code =
                    (int16_t)command_value_error(value, at++);
    }
    one_done(req, a->all);
}

/* Fill the command's partitions; false when one does not exist: it is told, and so are the others
 * that nothing was tried. */
static bool partitions_fill(struct request *req, struct adding *a, struct add_to_txn *c)
{
    bool exist = true;
    size_t count = 1;
    for (int i = 0; i < a->in.topics_count; i++)
        count += (size_t)a->results[i].results_by_partition_count;
    c->partitions = arena_need(&req->arena, count * sizeof(*c->partitions));
    results_set(a, ERR_OPERATION_NOT_ATTEMPTED);
    for (int i = 0; i < a->in.topics_count; i++) {
        const struct image_topic *topic = image_find_topic(req->image, a->in.topics[i].name);
        for (int k = 0; k < a->results[i].results_by_partition_count; k++) {
            int32_t index = a->in.topics[i].partitions[k];
            if (topic != NULL && image_find_partition(topic, index) != NULL) {
                c->partitions[c->partitions_count++] =
                    (struct command_txn_partition){topic->id, index};
                continue;
            }
            a->results[i].results_by_partition[k].partition_error_code =
                ERR_UNKNOWN_TOPIC_OR_PARTITION;
            exist = false;
        }
    }
    return exist;
}

static void add(struct request *req, struct adding *a)
{
    thread_assert(&NET);
    struct add_to_txn c = {
        .producer = {a->in.transactional_id, a->in.producer_id, a->in.producer_epoch},
        .verify_only = a->in.verify_only,
        .now_ms = txns_clock_ms(req->node),
    };
    struct buffer command = {0};
    enum error_code err = txns_check(req, a->in.transactional_id);
    results_make(req, a);
    if (err != ERR_NONE)
        results_set(a, (int16_t)err);
    else if (partitions_fill(req, a, &c)) {
        results_set(a, ERR_NONE);
        command_encode_add_to_txn(&command, &c);
        a->all->open++;
        request_submit(req, buffer_slice(&command),
                       config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), added, a);
        buffer_deinit(&command);
    }
}

static void add_one(struct request *req, const struct add_partitions_to_txn_request *in,
                    struct add_partitions_to_txn_response *out, struct adding_all *all)
{
    thread_assert(&NET);
    struct adding *a = arena_need(&req->arena, sizeof(*a));
    a->all = all;
    a->in.transactional_id = in->v3_and_below_transactional_id;
    a->in.producer_id = in->v3_and_below_producer_id;
    a->in.producer_epoch = in->v3_and_below_producer_epoch;
    a->in.topics = in->v3_and_below_topics;
    a->in.topics_count = in->v3_and_below_topics_count;
    add(req, a);
    out->results_by_topic_v3_and_below = a->results;
    out->results_by_topic_v3_and_below_count = in->v3_and_below_topics_count;
}

HANDLER(add_partitions_to_txn)
{
    thread_assert(&NET);
    struct adding_all *all = arena_need(&req->arena, sizeof(*all));
    all->open = 1;
    if (req->header.api_version < VERSION_BATCHED) {
        add_one(req, in, out, all);
        one_done(req, all);
        return;
    }
    struct adding *list =
        arena_need(&req->arena, ((size_t)MAX(in->transactions_count, 0) + 1) * sizeof(*list));
    out->results_by_transaction = add_partitions_to_txn_response_results_by_transaction_array(
        &req->arena, in->transactions_count);
    out->results_by_transaction_count = in->transactions_count;
    for (int i = 0; i < in->transactions_count; i++) {
        list[i] = (struct adding){.in = in->transactions[i], .all = all};
        add(req, &list[i]);
        out->results_by_transaction[i].transactional_id = in->transactions[i].transactional_id;
        out->results_by_transaction[i].topic_results = list[i].results;
        out->results_by_transaction[i].topic_results_count = in->transactions[i].topics_count;
    }
    one_done(req, all);
}
