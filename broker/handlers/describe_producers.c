/* DescribeProducers (KIP-664): who writes to a partition, and which transactions are open there. */
#include "broker/request.h"
#include "proto/base/vec.h"
#include "replication/log_txn.h"

struct producers_list {
    VEC(struct describe_producers_response_topic_partition_active_producer) list;
};

static void producer_add(void *arg, const struct log_producer *p)
{
    struct producers_list *out = arg;
    struct describe_producers_response_topic_partition_active_producer one;
    describe_producers_response_topic_partition_active_producer_init(&one);
    one.producer_id = p->id;
    one.producer_epoch = p->epoch;
    one.last_sequence = p->last_sequence;
    one.last_timestamp = p->last_timestamp;
    one.coordinator_epoch = p->coordinator_epoch;
    one.current_txn_start_offset = p->txn_first_offset;
    vec_push(&out->list, one);
}

static enum error_code describe(struct request *req, const struct image_topic *topic,
                                struct describe_producers_response_topic_partition *o)
{
    struct replica *r;
    enum error_code err = request_partition(req, topic, o->partition_index, &r);
    if (err != ERR_NONE)
        return err;
    struct producers_list found = {0};
    mutex_lock(&r->lock);
    err = r->partition == NULL ? ERR_KAFKA_STORAGE_ERROR : ERR_NONE; /* followers answer, too */
    if (err == ERR_NONE)
        log_each_producer(partition_log(r->partition), producer_add, &found);
    mutex_unlock(&r->lock);
    replica_unref(r);
    size_t size = found.list.count * sizeof(*found.list.items);
    if (size > 0)
        o->active_producers = memcpy(arena_need(&req->arena, size), found.list.items, size);
    o->active_producers_count = (int32_t)found.list.count;
    vec_deinit(&found.list);
    return err;
}

HANDLER(describe_producers)
{
    thread_assert(&NET);
    out->topics = describe_producers_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        const struct describe_producers_request_topic *t = &in->topics[i];
        const struct image_topic *topic = req->image ? image_find_topic(req->image, t->name) : NULL;
        struct describe_producers_response_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions = describe_producers_response_topic_partition_array(
            &req->arena, t->partition_indexes_count);
        o->partitions_count = t->partition_indexes_count;
        for (int k = 0; k < t->partition_indexes_count; k++) {
            o->partitions[k].partition_index = t->partition_indexes[k];
            o->partitions[k].error_code = (int16_t)describe(req, topic, &o->partitions[k]);
        }
    }
    request_reply(req);
}
