/*
 * TxnOffsetCommit: a transaction's offsets of a group, by a member of the group (KIP-447) or by
 * somebody outside of it. They take effect with the transaction's commit. From version 5 on the
 * group joins the transaction by this alone (KIP-890).
 */
#include "broker/groups.h"
#include "broker/node.h"
#include "broker/txns.h"
#include "proto/base/clock.h"

#define VERSION_ADDS     5
#define VERSION_TOPIC_ID 6

struct committing {
    int16_t **results; /* of what was submitted */
    int count;
};

static enum error_code error_of(enum error_code err)
{
    if (err == ERR_PRODUCER_FENCED)
        return ERR_INVALID_PRODUCER_EPOCH;
    if (err == ERR_REQUEST_TIMED_OUT)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    /* Transactions end by themselves: this is what makes every client ask again. */
    return err == ERR_CONCURRENT_TRANSACTIONS ? ERR_COORDINATOR_LOAD_IN_PROGRESS : err;
}

static void committed(struct request *req, void *arg, enum error_code err, struct slice value)
{
    (void)arg, (void)value;
    thread_assert(&NET);
    const struct committing *all = req->state;
    for (int i = 0; i < all->count; i++)
        *all->results[i] = (int16_t)error_of(err);
    request_reply(req);
}

static enum error_code check(const struct request *req, const struct image_topic *topic,
                             const struct txn_offset_commit_request_topic_partition *p)
{
    int64_t metadata_max = config_number(&req->node->config, CONFIG_OFFSET_METADATA_MAX);
    if (topic == NULL)
        return req->header.api_version >= VERSION_TOPIC_ID ? ERR_UNKNOWN_TOPIC_ID
                                                           : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (image_find_partition(topic, p->partition_index) == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!slice_is_null(p->committed_metadata) && (int64_t)p->committed_metadata.size > metadata_max)
        return ERR_OFFSET_METADATA_TOO_LARGE;
    return p->committed_offset < 0 ? ERR_INVALID_REQUEST : ERR_NONE;
}

static const struct image_topic *topic_find(const struct request *req,
                                            const struct txn_offset_commit_request_topic *t)
{
    if (req->image == NULL)
        return NULL;
    return req->header.api_version >= VERSION_TOPIC_ID
               ? image_find_topic_by_id(req->image, t->topic_id)
               : image_find_topic(req->image, t->name);
}

static struct command_offset offset_of(const struct image_topic *topic,
                                       const struct txn_offset_commit_request_topic_partition *p)
{
    return (struct command_offset){
        .topic = topic->name,
        .partition = p->partition_index,
        .offset = p->committed_offset,
        .leader_epoch = p->committed_leader_epoch,
        .metadata = slice_is_null(p->committed_metadata) ? SLICE("") : p->committed_metadata,
        .commit_time_ms = clock_wall_ms(),
        .expire_time_ms = -1,
    };
}

static void topic_fill(struct request *req, const struct txn_offset_commit_request_topic *t,
                       struct txn_offset_commit_response_topic *o, struct commit_offsets *c)
{
    struct committing *all = req->state;
    const struct image_topic *topic = topic_find(req, t);
    o->name = t->name;
    o->topic_id = t->topic_id;
    o->partitions =
        txn_offset_commit_response_topic_partition_array(&req->arena, t->partitions_count);
    o->partitions_count = t->partitions_count;
    for (int i = 0; i < t->partitions_count; i++) {
        o->partitions[i].partition_index = t->partitions[i].partition_index;
        o->partitions[i].error_code = (int16_t)check(req, topic, &t->partitions[i]);
        if (o->partitions[i].error_code != ERR_NONE)
            continue;
        all->results[all->count++] = &o->partitions[i].error_code;
        c->offsets[c->offsets_count++] = offset_of(topic, &t->partitions[i]);
    }
}

HANDLER(txn_offset_commit)
{
    thread_assert(&NET);
    struct committing *all = arena_need(&req->arena, sizeof(*all));
    struct commit_txn_offsets c = {
        .producer = {in->transactional_id, in->producer_id, in->producer_epoch},
        .add = req->header.api_version >= VERSION_ADDS,
        .now_ms = txns_clock_ms(req->node),
        .commit = {.group = in->group_id},
    };
    size_t count = 1;
    FOR_EACH (t, in->topics, in->topics_count)
        count += (size_t)MAX(t->partitions_count, 0);
    req->state = all;
    all->results = arena_need(&req->arena, count * sizeof(int16_t *));
    c.commit.offsets = arena_need(&req->arena, count * sizeof(*c.commit.offsets));
    out->topics = txn_offset_commit_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++)
        topic_fill(req, &in->topics[i], &out->topics[i], &c.commit);
    struct group_committer who = {
        .member_id = in->member_id,
        .instance_id = in->group_instance_id,
        .generation = in->generation_id_or_member_epoch,
        .modern = true,
    };
    groups_commit_txn(req, &who, &c, committed);
}
