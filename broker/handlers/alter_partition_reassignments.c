/* AlterPartitionReassignments (KIP-455): partitions move to other brokers, or back. */
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/command.h"
#include "coord/metadata.h"

static void one_alter(struct request *req, struct submissions *all, struct slice topic,
                      const struct alter_partition_reassignments_request_topic_partition *in,
                      struct alter_partition_reassignments_response_response_partition *o)
{
    thread_assert(&NET);
    const struct alter_partition_reassignments_request *whole = req->in;
    struct alter_reassignment c = {
        .topic = topic,
        .partition = in->partition_index,
        .replicas = in->replicas,
        .replicas_count = in->replicas_count,
        .allow_factor_change = whole->allow_replication_factor_change,
    };
    char reason[200] = "";
    enum error_code err = metadata_check_alter_reassignment(req->image, &c, reason);
    o->partition_index = in->partition_index;
    o->error_code = (int16_t)err;
    if (err != ERR_NONE) {
        o->error_message = reason[0] != '\0' ? arena_text(&req->arena, reason) : SLICE_NULL;
        return;
    }
    struct buffer command = {0};
    command_encode_alter_reassignment(&command, &c);
    submissions_add(req, all, &command, &o->error_code, &o->error_message);
}

HANDLER(alter_partition_reassignments)
{
    thread_assert(&NET);
    if (req->image == NULL) {
        out->error_code = ERR_NOT_CONTROLLER;
        request_reply(req);
        return;
    }
    struct submissions *all = submissions_new(req, in->timeout_ms, request_reply);
    out->allow_replication_factor_change = in->allow_replication_factor_change;
    out->responses =
        alter_partition_reassignments_response_response_array(&req->arena, in->topics_count);
    out->responses_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        const struct alter_partition_reassignments_request_topic *t = &in->topics[i];
        struct alter_partition_reassignments_response_response *o = &out->responses[i];
        o->name = t->name;
        o->partitions = alter_partition_reassignments_response_response_partition_array(
            &req->arena, t->partitions_count);
        o->partitions_count = t->partitions_count;
        for (int k = 0; k < t->partitions_count; k++)
            one_alter(req, all, t->name, &t->partitions[k], &o->partitions[k]);
    }
    submissions_end(req, all);
}
