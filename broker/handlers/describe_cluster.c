/* DescribeCluster: brokers and controller. */
#include "broker/node.h"
#include "broker/operations.h"
#include "broker/request.h"

#define ENDPOINTS_OF_BROKERS     1
#define ENDPOINTS_OF_CONTROLLERS 2

HANDLER(describe_cluster)
{
    thread_assert(&NET);
    out->endpoint_type = ENDPOINTS_OF_BROKERS;
    out->cluster_authorized_operations =
        in->include_cluster_authorized_operations ? OPERATIONS_OF_CLUSTER : OPERATIONS_NOT_ASKED;
    out->controller_id = -1;
    if (in->endpoint_type != ENDPOINTS_OF_BROKERS) {
        out->error_code = in->endpoint_type == ENDPOINTS_OF_CONTROLLERS
                              ? ERR_MISMATCHED_ENDPOINT_TYPE
                              : ERR_UNSUPPORTED_ENDPOINT_TYPE;
        out->error_message = SLICE("this listener answers for brokers: endpoint type 1");
        request_reply(req);
        return;
    }
    const struct image *img = req->image;
    struct quorum_status status;
    quorum_status(req->node->quorum, &status);
    out->cluster_id = img ? img->cluster_id : SLICE("");
    out->controller_id = status.leader_id;
    out->brokers =
        describe_cluster_response_broker_array(&req->arena, img ? img->brokers_count : 0);
    for (int i = 0; img != NULL && i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        struct describe_cluster_response_broker *o = &out->brokers[out->brokers_count];
        if ((b->fenced && !in->include_fenced_brokers) ||
            !request_endpoint(req, b, &o->host, &o->port))
            continue;
        o->broker_id = b->node_id;
        o->rack = b->rack;
        o->is_fenced = b->fenced;
        out->brokers_count++;
    }
    request_reply(req);
}
