/* ListPartitionReassignments: which partitions move, from where to where. */
#include "broker/request.h"

static void partition_fill(const struct image_topic *t, int32_t index,
                           struct list_partition_reassignments_response_topic *o)
{
    const struct image_partition *p = image_find_partition(t, index);
    if (p == NULL || p->adding_count + p->removing_count == 0)
        return;
    struct list_partition_reassignments_response_topic_partition *q =
        &o->partitions[o->partitions_count++];
    q->partition_index = index;
    q->replicas = p->replicas;
    q->replicas_count = p->replicas_count;
    q->adding_replicas = p->adding;
    q->adding_replicas_count = p->adding_count;
    q->removing_replicas = p->removing;
    q->removing_replicas_count = p->removing_count;
}

static struct list_partition_reassignments_response_topic *topic_begin(struct request *req,
                                                                       const struct image_topic *t,
                                                                       int32_t most)
{
    struct list_partition_reassignments_response *out = req->out;
    struct list_partition_reassignments_response_topic *o = &out->topics[out->topics_count];
    o->name = t->name;
    o->partitions = list_partition_reassignments_response_topic_partition_array(&req->arena, most);
    return o;
}

static void all_fill(struct request *req)
{
    struct list_partition_reassignments_response *out = req->out;
    const struct image *img = req->image;
    out->topics = list_partition_reassignments_response_topic_array(&req->arena, img->topics_count);
    for (int32_t i = 0; i < img->topics_count; i++) {
        const struct image_topic *t = img->topics[i];
        struct list_partition_reassignments_response_topic *o =
            topic_begin(req, t, t->partitions_count);
        for (int32_t k = 0; k < t->partitions_count; k++)
            partition_fill(t, k, o);
        out->topics_count += o->partitions_count > 0;
    }
}

static void named_fill(struct request *req, const struct list_partition_reassignments_request *in)
{
    struct list_partition_reassignments_response *out = req->out;
    out->topics = list_partition_reassignments_response_topic_array(&req->arena, in->topics_count);
    for (int i = 0; i < in->topics_count; i++) {
        const struct list_partition_reassignments_request_topic *wanted = &in->topics[i];
        const struct image_topic *t = image_find_topic(req->image, wanted->name);
        if (t == NULL)
            continue;
        struct list_partition_reassignments_response_topic *o =
            topic_begin(req, t, wanted->partition_indexes_count);
        for (int k = 0; k < wanted->partition_indexes_count; k++)
            partition_fill(t, wanted->partition_indexes[k], o);
        out->topics_count += o->partitions_count > 0;
    }
}

HANDLER(list_partition_reassignments)
{
    thread_assert(&NET);
    if (req->image == NULL)
        out->error_code = ERR_NOT_CONTROLLER;
    else if (in->topics_count < 0)
        all_fill(req);
    else
        named_fill(req, in);
    request_reply(req);
}
