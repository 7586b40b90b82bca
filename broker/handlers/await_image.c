/* AwaitImage: another node's barrier; it answers an admin request when we have caught up. */
#include "broker/node.h"
#include "broker/request.h"
#include "broker/wiring.h"

static void caught_up(struct request *req, void *arg)
{
    (void)arg;
    thread_assert(&NET);
    struct await_image_response *out = req->out;
    struct quorum_status status;
    quorum_status(req->node->quorum, &status);
    out->applied_index = status.applied_index;
    out->is_voter = req->node->config.is_controller;
    request_reply(req);
}

HANDLER(await_image)
{
    thread_assert(&NET);
    wiring_await(req->node->wiring, in->index, req, caught_up, NULL);
}
