/* UnregisterBroker: forget a broker that does not come back. */
#include "broker/node.h"
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/command.h"

HANDLER(unregister_broker)
{
    thread_assert(&NET);
    if (req->image == NULL || image_find_broker(req->image, in->broker_id) == NULL) {
        out->error_code = ERR_BROKER_ID_NOT_REGISTERED;
        out->error_message =
            arena_printf(&req->arena, "Broker ID %d is not currently registered", in->broker_id);
        request_reply(req);
        return;
    }
    int64_t timeout_ms = config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS);
    struct submissions *all = submissions_new(req, timeout_ms, request_reply);
    struct broker_change c = {.node_id = in->broker_id, .broker_epoch = -1};
    struct buffer command = {0};
    command_encode_unregister_broker(&command, &c);
    submissions_add(req, all, &command, &out->error_code, &out->error_message);
    submissions_end(req, all);
}
