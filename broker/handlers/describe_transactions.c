/* DescribeTransactions (KIP-664): the state of transactional ids that this node coordinates. */
#include "broker/node.h"
#include "broker/txns.h"
#include "coord/txn.h"

/* The partitions stand sorted by topic. */
static void topics_fill(struct request *req, const struct txn *t,
                        struct describe_transactions_response_transaction_state *o)
{
    size_t count = t->partitions.count;
    o->topics = arena_need(&req->arena, (count + 1) * sizeof(*o->topics));
    int32_t *indexes = arena_need(&req->arena, (count + 1) * sizeof(*indexes));
    for (size_t i = 0; i < count;) {
        struct uuid id = t->partitions.items[i].topic_id;
        const struct image_topic *topic = image_find_topic_by_id(req->image, id);
        struct describe_transactions_response_transaction_state_topic *topic_out =
            &o->topics[o->topics_count];
        topic_out->topic = topic ? topic->name : SLICE("");
        topic_out->partitions = &indexes[i];
        topic_out->partitions_count = 0;
        for (; i < count && uuid_equal(t->partitions.items[i].topic_id, id); i++)
            topic_out->partitions[topic_out->partitions_count++] = t->partitions.items[i].partition;
        o->topics_count += topic != NULL;
    }
}

static enum error_code describe(struct request *req, struct slice id,
                                struct describe_transactions_response_transaction_state *o)
{
    struct slice value;
    struct txn *t;
    enum error_code err = txns_check(req, id);
    if (err != ERR_NONE)
        return err;
    if (quorum_read_txn(req->node->quorum, id, &req->arena, &value) < 0)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    if (slice_is_null(value) || txn_decode(id, value, &t) != 0)
        return ERR_TRANSACTIONAL_ID_NOT_FOUND;
    o->transaction_state = slice_from_text(txn_state_name(t->state));
    o->transaction_timeout_ms = t->timeout_ms;
    o->transaction_start_time_ms = t->start_ms;
    o->producer_id = t->producer_id;
    o->producer_epoch = t->epoch;
    topics_fill(req, t, o);
    txn_free(t);
    return ERR_NONE;
}

HANDLER(describe_transactions)
{
    thread_assert(&NET);
    out->transaction_states = describe_transactions_response_transaction_state_array(
        &req->arena, in->transactional_ids_count);
    out->transaction_states_count = in->transactional_ids_count;
    for (int i = 0; i < in->transactional_ids_count; i++) {
        struct describe_transactions_response_transaction_state *o = &out->transaction_states[i];
        o->transactional_id = in->transactional_ids[i];
        o->transaction_state = SLICE("");
        o->error_code = (int16_t)describe(req, in->transactional_ids[i], o);
    }
    request_reply(req);
}
