/* DeleteRecords: everything below an offset goes; answered when no replica in sync shows it. */
#include "broker/node.h"
#include "broker/request.h"
#include "broker/topic_settings.h"

static bool is_internal(struct slice topic)
{
    return slice_equals_text(topic, "__consumer_offsets") ||
           slice_equals_text(topic, "__transaction_state");
}

static enum error_code check_topic(struct request *req, const struct image_topic *topic)
{
    struct config_node node = topic_config_node(&req->node->config);
    if (topic == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (is_internal(topic->name))
        return ERR_INVALID_TOPIC_EXCEPTION;
    if (!topic_config_list_has(req->image, topic, "cleanup.policy", "delete", &node))
        return ERR_POLICY_VIOLATION;
    return ERR_NONE;
}

static enum error_code delete_below(struct request *req, const struct image_topic *topic,
                                    const struct delete_records_request_topic_partition *in,
                                    struct delete_records_response_topic_partition *o)
{
    thread_assert(&NET);
    struct replica *r;
    enum error_code err = check_topic(req, topic);
    if (err == ERR_NONE)
        err = request_partition(req, topic, in->partition_index, &r);
    if (err != ERR_NONE)
        return err;
    int64_t log_start;
    err = replica_delete_records(req->node->replicas, r, in->offset, &log_start);
    if (err == ERR_NONE) {
        int64_t wanted = in->offset == -1 ? log_start : in->offset;
        o->low_watermark = log_start;
        request_await_low_watermark(req, r, wanted, &o->error_code);
    }
    replica_unref(r);
    return err;
}

static void finish(struct request *req)
{
    thread_assert(&NET);
    struct delete_records_response *out = req->out;
    for (int i = 0; i < out->topics_count; i++)
        for (int k = 0; k < out->topics[i].partitions_count; k++)
            if (out->topics[i].partitions[k].error_code != ERR_NONE)
                out->topics[i].partitions[k].low_watermark = -1;
    request_reply(req);
}

HANDLER(delete_records)
{
    thread_assert(&NET);
    out->topics = delete_records_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        const struct delete_records_request_topic *t = &in->topics[i];
        const struct image_topic *topic = req->image ? image_find_topic(req->image, t->name) : NULL;
        struct delete_records_response_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions =
            delete_records_response_topic_partition_array(&req->arena, t->partitions_count);
        o->partitions_count = t->partitions_count;
        for (int k = 0; k < t->partitions_count; k++) {
            struct delete_records_response_topic_partition *p = &o->partitions[k];
            p->partition_index = t->partitions[k].partition_index;
            enum error_code err = delete_below(req, topic, &t->partitions[k], p);
            if (err != ERR_NONE)
                p->error_code = (int16_t)err;
        }
    }
    request_when_all(req, in->timeout_ms, finish);
}
