/* ListOffsets: first, last, and by timestamp. */
#include "broker/named.h"
#include "broker/request.h"

/* From which version on a special timestamp is known; below it is an error of the partition. */
static bool timestamp_known(int64_t timestamp, int16_t version)
{
    switch (timestamp) {
    case -3: /* max timestamp */
        return version >= 7;
    case -4: /* earliest local */
        return version >= 8;
    case -5: /* latest tiered */
        return version >= 9;
    case -6: /* earliest pending upload */
        return version >= 11;
    default:
        return timestamp >= -2;
    }
}

static enum error_code look_up(struct request *req, const struct list_offsets_request *in,
                               const struct image_topic *topic,
                               const struct list_offsets_request_topic_partition *p,
                               struct list_offsets_response_topic_partition *o)
{
    if (!timestamp_known(p->timestamp, req->header.api_version))
        return ERR_UNSUPPORTED_VERSION;
    struct replica *r;
    enum error_code err = request_partition(req, topic, p->partition_index, &r);
    if (err != ERR_NONE)
        return err;
    enum partition_read_upto upto = in->replica_id >= 0        ? READ_TO_LOG_END
                                    : in->isolation_level == 1 ? READ_TO_LAST_STABLE
                                                               : READ_TO_HIGH_WATERMARK;
    mutex_lock(&r->lock);
    err = r->partition == NULL ? ERR_KAFKA_STORAGE_ERROR
                               : partition_check_leader(r->partition, p->current_leader_epoch);
    if (err == ERR_NONE && p->timestamp >= -4)
        err = partition_list_offset(r->partition, p->timestamp, upto, &o->offset, &o->timestamp,
                                    &o->leader_epoch);
    mutex_unlock(&r->lock);
    replica_unref(r);
    return err;
}

static bool role_is_coming(const struct request *req, const struct list_offsets_request *in)
{
    for (int i = 0; req->image != NULL && i < in->topics_count; i++) {
        const struct image_topic *topic = image_find_topic(req->image, in->topics[i].name);
        for (int k = 0; k < in->topics[i].partitions_count; k++)
            if (request_role_is_coming(req, topic, in->topics[i].partitions[k].partition_index))
                return true;
    }
    return false;
}

static void note_all(struct request *req, const struct list_offsets_request *in, struct map *named)
{
    FOR_EACH (t, in->topics, in->topics_count)
        FOR_EACH (p, t->partitions, t->partitions_count)
            named_note(named, named_key(&req->arena, p->partition_index, t->name));
}

HANDLER(list_offsets)
{
    thread_assert(&NET);
    if (role_is_coming(req, in)) {
        request_when_roles(req, handle_list_offsets);
        return;
    }
    struct map named = {0};
    note_all(req, in, &named);
    out->topics = list_offsets_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        const struct list_offsets_request_topic *t = &in->topics[i];
        const struct image_topic *topic = req->image ? image_find_topic(req->image, t->name) : NULL;
        struct list_offsets_response_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions =
            list_offsets_response_topic_partition_array(&req->arena, t->partitions_count);
        o->partitions_count = t->partitions_count;
        for (int k = 0; k < t->partitions_count; k++) {
            struct list_offsets_response_topic_partition *p = &o->partitions[k];
            p->partition_index = t->partitions[k].partition_index;
            p->offset = p->timestamp = p->leader_epoch = -1;
            struct slice key = named_key(&req->arena, p->partition_index, t->name);
            p->error_code =
                (int16_t)(named_twice(&named, key) ? ERR_INVALID_REQUEST
                                                   : look_up(req, in, topic, &t->partitions[k], p));
            if (p->error_code != ERR_NONE)
                p->offset = p->timestamp = p->leader_epoch = -1;
        }
    }
    map_deinit(&named);
    request_reply(req);
}
