/* OffsetForLeaderEpoch: where an epoch ended, for finding a diverging tail (KIP-101, 320). */
#include "broker/request.h"

static enum error_code look_up(struct request *req, const struct image_topic *topic,
                               const struct offset_for_leader_epoch_request_topic_partition *p,
                               struct offset_for_leader_epoch_response_topic_partition *o)
{
    struct replica *r;
    enum error_code err = request_partition(req, topic, p->partition, &r);
    if (err != ERR_NONE)
        return err;
    mutex_lock(&r->lock);
    err = r->partition == NULL ? ERR_KAFKA_STORAGE_ERROR
                               : partition_check_leader(r->partition, p->current_leader_epoch);
    if (err == ERR_NONE)
        err = partition_epoch_end(r->partition, p->leader_epoch, &o->leader_epoch, &o->end_offset);
    mutex_unlock(&r->lock);
    replica_unref(r);
    return err;
}

static bool role_is_coming(const struct request *req,
                           const struct offset_for_leader_epoch_request *in)
{
    for (int i = 0; req->image != NULL && i < in->topics_count; i++) {
        const struct image_topic *topic = image_find_topic(req->image, in->topics[i].topic);
        for (int k = 0; k < in->topics[i].partitions_count; k++)
            if (request_role_is_coming(req, topic, in->topics[i].partitions[k].partition))
                return true;
    }
    return false;
}

HANDLER(offset_for_leader_epoch)
{
    thread_assert(&NET);
    if (role_is_coming(req, in)) {
        request_when_roles(req, handle_offset_for_leader_epoch);
        return;
    }
    out->topics = offset_for_leader_epoch_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        const struct offset_for_leader_epoch_request_topic *t = &in->topics[i];
        const struct image_topic *topic =
            req->image ? image_find_topic(req->image, t->topic) : NULL;
        struct offset_for_leader_epoch_response_topic *o = &out->topics[i];
        o->topic = t->topic;
        o->partitions = offset_for_leader_epoch_response_topic_partition_array(&req->arena,
                                                                               t->partitions_count);
        o->partitions_count = t->partitions_count;
        for (int k = 0; k < t->partitions_count; k++) {
            struct offset_for_leader_epoch_response_topic_partition *p = &o->partitions[k];
            p->partition = t->partitions[k].partition;
            p->leader_epoch = -1;
            p->end_offset = -1;
            p->error_code = (int16_t)look_up(req, topic, &t->partitions[k], p);
        }
    }
    request_reply(req);
}
