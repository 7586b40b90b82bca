/* AwaitImage: another node's barrier; it answers an admin request when we have caught up. */
#include "broker/node.h"
#include "broker/request.h"
#include "broker/wiring.h"

static void caught_up(struct request *req, void *arg)
{
    (void)arg;
    thread_assert(&NET);
    request_reply(req);
}

HANDLER(await_image)
{
    thread_assert(&NET);
    wiring_await(req->node->wiring, in->index, req, caught_up, NULL);
}
