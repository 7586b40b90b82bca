/*
 * OffsetFetch: what a group has committed. One group up to version 7, many from 8 on; topics by id
 * from 10 on. A partition without a commit has offset -1 and no error.
 */
#include "broker/groups.h"
#include "broker/node.h"

#define VERSION_GROUP_ERROR 2
#define VERSION_GROUPS      8
#define VERSION_TOPIC_ID    10

static struct offset_fetch_response_group_topic_partition none(int32_t index, enum error_code err)
{
    return (struct offset_fetch_response_group_topic_partition){.partition_index = index,
                                                                .committed_offset = -1,
                                                                .committed_leader_epoch = -1,
                                                                .metadata = SLICE(""),
                                                                .error_code = (int16_t)err};
}

static struct offset_fetch_response_group_topic_partition some(const struct committed_offset *c)
{
    struct offset_fetch_response_group_topic_partition p = none(c->partition, ERR_NONE);
    p.committed_offset = c->offset;
    if (c->offset >= 0) {
        p.committed_leader_epoch = c->leader_epoch;
        p.metadata = slice_is_null(c->metadata) ? SLICE("") : c->metadata;
    }
    return p;
}

static void fetch_topic(struct request *req, struct slice group,
                        const struct offset_fetch_request_group_topic *t,
                        struct offset_fetch_response_group_topic *o)
{
    struct slice name = t->name;
    enum error_code err = ERR_NONE;
    if (req->header.api_version >= VERSION_TOPIC_ID) {
        const struct image_topic *topic =
            req->image ? image_find_topic_by_id(req->image, t->topic_id) : NULL;
        err = topic == NULL ? ERR_UNKNOWN_TOPIC_ID : ERR_NONE;
        name = topic ? topic->name : SLICE("");
    }
    o->name = name;
    o->topic_id = t->topic_id;
    o->partitions_count = t->partition_indexes_count;
    o->partitions =
        offset_fetch_response_group_topic_partition_array(&req->arena, t->partition_indexes_count);
    for (int i = 0; i < t->partition_indexes_count; i++) {
        int32_t index = t->partition_indexes[i];
        struct committed_offset c;
        o->partitions[i] = none(index, err);
        if (err != ERR_NONE)
            continue;
        if (quorum_read_offset(req->node->quorum, group, name, index, &req->arena, &c) < 0)
            o->partitions[i] = none(index, ERR_COORDINATOR_NOT_AVAILABLE);
        else
            o->partitions[i] = some(&c);
    }
}

/* Topics that are gone have no id to be named by. */
static bool topic_named(const struct request *req, struct offset_fetch_response_group_topic *o)
{
    if (req->header.api_version < VERSION_TOPIC_ID)
        return true;
    const struct image_topic *topic = req->image ? image_find_topic(req->image, o->name) : NULL;
    if (topic != NULL)
        o->topic_id = topic->id;
    return topic != NULL;
}

/* Rows come sorted by topic. */
static enum error_code fetch_all(struct request *req, struct slice group,
                                 struct offset_fetch_response_group *o)
{
    struct committed_offset *rows;
    int count;
    if (quorum_read_offsets(req->node->quorum, group, &req->arena, &rows, &count) < 0)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    o->topics = offset_fetch_response_group_topic_array(&req->arena, count);
    struct offset_fetch_response_group_topic_partition *all =
        offset_fetch_response_group_topic_partition_array(&req->arena, count);
    for (int i = 0; i < count;) {
        struct offset_fetch_response_group_topic *topic = &o->topics[o->topics_count];
        topic->name = rows[i].topic;
        topic->partitions = &all[i];
        topic->partitions_count = 0;
        for (; i < count && slice_equal(rows[i].topic, topic->name); i++)
            topic->partitions[topic->partitions_count++] = some(&rows[i]);
        o->topics_count += topic_named(req, topic);
    }
    return ERR_NONE;
}

/* KIP-447: whoever asks for stable offsets is not given one that an open transaction will
 * replace. */
static void hide_unstable(struct request *req, struct slice group,
                          struct offset_fetch_response_group *o)
{
    struct committed_offset *pending;
    int count;
    if (quorum_read_pending_offsets(req->node->quorum, group, &req->arena, &pending, &count) < 0) {
        o->error_code = ERR_COORDINATOR_NOT_AVAILABLE;
        return;
    }
    for (int i = 0; count > 0 && i < o->topics_count; i++)
        for (int k = 0; k < o->topics[i].partitions_count; k++) {
            int32_t index = o->topics[i].partitions[k].partition_index;
            FOR_EACH (row, pending, count)
                if (row->partition == index && slice_equal(row->topic, o->topics[i].name))
                    o->topics[i].partitions[k] = none(index, ERR_UNSTABLE_OFFSET_COMMIT);
        }
}

static void fetch_group(struct request *req, const struct offset_fetch_request_group *in,
                        bool stable, struct offset_fetch_response_group *o)
{
    o->group_id = in->group_id;
    o->topics_count = 0;
    o->error_code =
        (int16_t)groups_check_fetch(req->node, in->group_id, in->member_id, in->member_epoch);
    if (o->error_code != ERR_NONE)
        return;
    if (in->topics_count < 0) {
        o->error_code = (int16_t)fetch_all(req, in->group_id, o);
        if (stable)
            hide_unstable(req, in->group_id, o);
        return;
    }
    o->topics = offset_fetch_response_group_topic_array(&req->arena, in->topics_count);
    o->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++)
        fetch_topic(req, in->group_id, &in->topics[i], &o->topics[i]);
    if (stable)
        hide_unstable(req, in->group_id, o);
}

/* --- Up to version 7: the same in other structs --- */

static void ask_one(struct request *req, const struct offset_fetch_request *in,
                    struct offset_fetch_request_group *group)
{
    *group = (struct offset_fetch_request_group){.group_id = in->group_id,
                                                 .member_id = SLICE_NULL,
                                                 .member_epoch = -1,
                                                 .topics_count = in->topics_count};
    group->topics = offset_fetch_request_group_topic_array(&req->arena, MAX(in->topics_count, 0));
    for (int i = 0; i < in->topics_count; i++) {
        group->topics[i].name = in->topics[i].name;
        group->topics[i].partition_indexes = in->topics[i].partition_indexes;
        group->topics[i].partition_indexes_count = in->topics[i].partition_indexes_count;
    }
}

static void answer_one(struct request *req, const struct offset_fetch_response_group *group,
                       struct offset_fetch_response *out)
{
    out->error_code = group->error_code;
    out->topics = offset_fetch_response_topic_array(&req->arena, group->topics_count);
    out->topics_count = group->topics_count;
    for (int i = 0; i < group->topics_count; i++) {
        const struct offset_fetch_response_group_topic *t = &group->topics[i];
        struct offset_fetch_response_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions_count = t->partitions_count;
        o->partitions =
            offset_fetch_response_topic_partition_array(&req->arena, t->partitions_count);
        for (int k = 0; k < t->partitions_count; k++) {
            o->partitions[k].partition_index = t->partitions[k].partition_index;
            o->partitions[k].committed_offset = t->partitions[k].committed_offset;
            o->partitions[k].committed_leader_epoch = t->partitions[k].committed_leader_epoch;
            o->partitions[k].metadata = t->partitions[k].metadata;
            o->partitions[k].error_code = t->partitions[k].error_code;
        }
    }
}

/* Version 1 has no error of the group: each partition tells it. */
static void fail_partitions(struct request *req, const struct offset_fetch_request_group *in,
                            struct offset_fetch_response_group *group)
{
    group->topics = offset_fetch_response_group_topic_array(&req->arena, in->topics_count);
    group->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        int count = in->topics[i].partition_indexes_count;
        struct offset_fetch_response_group_topic *o = &group->topics[i];
        o->name = in->topics[i].name;
        o->partitions = offset_fetch_response_group_topic_partition_array(&req->arena, count);
        o->partitions_count = count;
        for (int k = 0; k < count; k++)
            o->partitions[k] =
                none(in->topics[i].partition_indexes[k], (enum error_code)group->error_code);
    }
}

HANDLER(offset_fetch)
{
    thread_assert(&NET);
    if (req->header.api_version < VERSION_GROUPS) {
        struct offset_fetch_request_group group;
        struct offset_fetch_response_group answer = {0};
        ask_one(req, in, &group);
        fetch_group(req, &group, in->require_stable, &answer);
        if (answer.error_code != ERR_NONE && req->header.api_version < VERSION_GROUP_ERROR)
            fail_partitions(req, &group, &answer);
        answer_one(req, &answer, out);
        request_reply(req);
        return;
    }
    out->groups = offset_fetch_response_group_array(&req->arena, in->groups_count);
    out->groups_count = in->groups_count;
    for (int i = 0; i < in->groups_count; i++)
        fetch_group(req, &in->groups[i], in->require_stable, &out->groups[i]);
    request_reply(req);
}
