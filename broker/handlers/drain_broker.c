/*
 * DrainBroker: a broker is to give everything away and go. The first request says so in the
 * metadata, the controller moves the replicas (coord/balance.h), and the request that finds none
 * left unregisters the broker. Whoever asks repeats it until then.
 */
#include <stdio.h>

#include "broker/node.h"
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/balance.h"
#include "coord/command.h"
#include "coord/image_resources.h"

static bool votes(const struct node *node, int32_t node_id)
{
    struct quorum_status status;
    quorum_status(node->quorum, &status);
    for (int i = 0; i < status.voters_count; i++)
        if (status.voters[i] == node_id)
            return true;
    return false;
}

static enum error_code check(struct request *req, int32_t node_id, char reason[200])
{
    if (votes(req->node, node_id)) {
        snprintf(reason, 200,
                 "Broker %d votes in the quorum, which would be one voter short without it. A node "
                 "with an empty disk can take its place under the same id.",
                 node_id);
        return ERR_INVALID_REQUEST;
    }
    return drain_check(req->image, node_id, reason);
}

static void submit(struct request *req, struct buffer *command, struct drain_broker_response *out)
{
    thread_assert(&NET);
    int64_t timeout_ms = config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS);
    struct submissions *all = submissions_new(req, timeout_ms, request_reply);
    submissions_add(req, all, command, &out->error_code, &out->error_message);
    submissions_end(req, all);
}

static void setting_submit(struct request *req, int32_t node_id, bool wanted,
                           struct drain_broker_response *out)
{
    struct command_config_op op = {.name = BROKER_DRAIN,
                                   .operation = wanted ? CONFIG_SET : CONFIG_DELETE,
                                   .value = wanted ? SLICE("true") : SLICE_NULL};
    struct alter_resource c = {.kind = RESOURCE_BROKER,
                               .name = arena_printf(&req->arena, "%d", node_id),
                               .ops = &op,
                               .ops_count = 1};
    struct buffer command = {0};
    command_encode_alter_resource(&command, &c);
    submit(req, &command, out);
}

static void unregister_submit(struct request *req, int32_t node_id,
                              struct drain_broker_response *out)
{
    struct broker_change c = {.node_id = node_id, .broker_epoch = -1};
    struct buffer command = {0};
    command_encode_unregister_broker(&command, &c);
    submit(req, &command, out);
}

HANDLER(drain_broker)
{
    thread_assert(&NET);
    char reason[200] = "";
    const struct image *img = req->image;
    bool known = img != NULL && image_find_broker(img, in->broker_id) != NULL;
    bool wanted = img != NULL && drain_is_wanted(img, in->broker_id);
    enum error_code err = ERR_NONE;
    if (img == NULL)
        err = ERR_NOT_CONTROLLER;
    else if (!known && !wanted)
        err = ERR_BROKER_ID_NOT_REGISTERED;
    else if (known && !in->cancel)
        err = check(req, in->broker_id, reason);
    out->unregistered = !known;
    out->partitions_left = img != NULL ? drain_left(img, in->broker_id) : 0;
    if (err == ERR_NONE && wanted == in->cancel) {
        setting_submit(req, in->broker_id, !in->cancel, out);
        return;
    }
    if (err == ERR_NONE && wanted && known && out->partitions_left == 0) {
        unregister_submit(req, in->broker_id, out);
        return;
    }
    out->error_code = (int16_t)err;
    if (reason[0] != '\0')
        out->error_message = arena_text(&req->arena, reason);
    request_reply(req);
}
