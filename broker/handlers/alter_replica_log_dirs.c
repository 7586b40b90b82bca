/*
 * AlterReplicaLogDirs (KIP-113): a replica to another log folder of this node. Where it lies
 * already is a success; moving between folders is not built, and says so.
 */
#include "broker/node.h"
#include "broker/request.h"

static int dir_find(const struct replicas *rs, struct slice path)
{
    for (int i = 0; i < replicas_dirs_count(rs); i++)
        if (slice_equals_text(path, replicas_dir_path(rs, i)))
            return i;
    return -1;
}

static enum error_code alter(struct request *req, struct slice path, struct slice topic,
                             int32_t index)
{
    struct replicas *rs = req->node->replicas;
    int dir = dir_find(rs, path);
    if (dir < 0)
        return ERR_LOG_DIR_NOT_FOUND;
    const struct image_topic *t = req->image ? image_find_topic(req->image, topic) : NULL;
    if (t == NULL || image_find_partition(t, index) == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    struct replica *r = replicas_find(rs, t->id, index);
    if (r == NULL)
        return ERR_REPLICA_NOT_AVAILABLE;
    bool there = replica_dir(r) == dir;
    replica_unref(r);
    return there ? ERR_NONE : ERR_OPERATION_NOT_ATTEMPTED;
}

static void topic_fill(struct request *req, struct slice path,
                       const struct alter_replica_log_dirs_request_dir_topic *in,
                       struct alter_replica_log_dirs_response_result *o)
{
    o->topic_name = in->name;
    o->partitions =
        alter_replica_log_dirs_response_result_partition_array(&req->arena, in->partitions_count);
    o->partitions_count = in->partitions_count;
    for (int i = 0; i < in->partitions_count; i++) {
        o->partitions[i].partition_index = in->partitions[i];
        o->partitions[i].error_code = (int16_t)alter(req, path, in->name, in->partitions[i]);
    }
}

HANDLER(alter_replica_log_dirs)
{
    thread_assert(&NET);
    int32_t count = 0;
    for (int i = 0; i < in->dirs_count; i++)
        count += MAX(in->dirs[i].topics_count, 0);
    out->results = alter_replica_log_dirs_response_result_array(&req->arena, count);
    for (int i = 0; i < in->dirs_count; i++)
        for (int k = 0; k < in->dirs[i].topics_count; k++)
            topic_fill(req, in->dirs[i].path, &in->dirs[i].topics[k],
                       &out->results[out->results_count++]);
    request_reply(req);
}
