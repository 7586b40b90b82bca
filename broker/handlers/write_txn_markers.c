/* WriteTxnMarkers: a coordinator ends a producer's transaction in partitions that this node
 * leads; Kafka's transaction tool aborts a hanging one so. */
#include "broker/node.h"
#include "broker/request.h"
#include "proto/base/clock.h"
#include "proto/records.h"
#include "replication/log_txn.h"

#define COMMIT_WAIT_MS 5000 /* the coordinator asks again */

struct marker_check {
    struct batch_header header;
    int32_t coordinator_epoch;
    bool strict;
};

static enum error_code check(void *arg, struct partition *p)
{
    const struct marker_check *c = arg;
    if (partition_role(p) != PARTITION_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return log_check_marker(partition_log(p), &c->header, c->coordinator_epoch, c->strict);
}

static enum error_code write_marker(struct request *req, struct replica *r,
                                    const struct write_txn_markers_request_marker *in,
                                    int16_t *error_code)
{
    thread_assert(&NET);
    struct control_record marker = {
        .type = in->transaction_result ? CONTROL_COMMIT : CONTROL_ABORT,
        .coordinator_epoch = in->coordinator_epoch,
    };
    struct marker_check c = {.coordinator_epoch = in->coordinator_epoch,
                             .strict = in->transaction_version >= 2};
    struct partition_append_result result;
    struct buffer batch = {0};
    batch_build_control(&batch, in->producer_id, in->producer_epoch, &marker, clock_wall_ms());
    CHECK(batch_header_decode(buffer_slice(&batch), &c.header) == 0);
    enum error_code err =
        replica_append_checked(r, batch.data, batch.size, &c.header, -1, check, &c, &result);
    if (err == ERR_NONE)
        request_await_watermark(req, r, &result, error_code);
    buffer_deinit(&batch);
    return err;
}

static enum error_code write_to(struct request *req, struct slice topic_name, int32_t index,
                                const struct write_txn_markers_request_marker *in,
                                int16_t *error_code)
{
    thread_assert(&NET);
    struct replica *r;
    const struct image_topic *topic = image_find_topic(req->image, topic_name);
    enum error_code err = request_partition(req, topic, index, &r);
    if (err != ERR_NONE)
        return err;
    if (in->producer_id < 0 || in->producer_epoch < 0)
        err = ERR_INVALID_REQUEST;
    else
        err = write_marker(req, r, in, error_code);
    replica_unref(r);
    return err;
}

static void marker_write(struct request *req, const struct write_txn_markers_request_marker *in,
                         struct write_txn_markers_response_marker *out)
{
    thread_assert(&NET);
    out->producer_id = in->producer_id;
    out->topics = write_txn_markers_response_marker_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        const struct write_txn_markers_request_marker_topic *t = &in->topics[i];
        struct write_txn_markers_response_marker_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions = write_txn_markers_response_marker_topic_partition_array(
            &req->arena, t->partition_indexes_count);
        o->partitions_count = t->partition_indexes_count;
        for (int k = 0; k < t->partition_indexes_count; k++) {
            o->partitions[k].partition_index = t->partition_indexes[k];
            enum error_code err =
                write_to(req, t->name, t->partition_indexes[k], in, &o->partitions[k].error_code);
            if (err != ERR_NONE)
                o->partitions[k].error_code = (int16_t)err;
        }
    }
}

static bool role_is_coming(const struct request *req,
                           const struct write_txn_markers_request_marker *in)
{
    for (int i = 0; i < in->topics_count; i++) {
        const struct image_topic *topic = image_find_topic(req->image, in->topics[i].name);
        for (int k = 0; k < in->topics[i].partition_indexes_count; k++)
            if (request_role_is_coming(req, topic, in->topics[i].partition_indexes[k]))
                return true;
    }
    return false;
}

HANDLER(write_txn_markers)
{
    thread_assert(&NET);
    if (req->image == NULL) {
        request_refuse(req, "no cluster is formed yet");
        return;
    }
    for (int i = 0; i < in->markers_count; i++)
        if (role_is_coming(req, &in->markers[i])) {
            request_when_roles(req, handle_write_txn_markers);
            return;
        }
    out->markers = write_txn_markers_response_marker_array(&req->arena, in->markers_count);
    out->markers_count = in->markers_count;
    for (int i = 0; i < in->markers_count; i++)
        marker_write(req, &in->markers[i], &out->markers[i]);
    request_when_all(req, COMMIT_WAIT_MS, request_reply);
}
