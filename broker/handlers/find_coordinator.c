/* FindCoordinator: the broker that leads the slot of a group or a transactional id. */
#include "broker/node.h"
#include "broker/request.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

struct found {
    enum error_code err;
    const char *message;
    int32_t node_id;
    struct slice host;
    int32_t port;
};

static struct found find(const struct request *req, int8_t key_type, struct slice key)
{
    struct found f = {.node_id = -1, .host = SLICE(""), .port = -1};
    if (key_type != KEY_GROUP && key_type != KEY_TRANSACTION) {
        f.err = ERR_INVALID_REQUEST;
        f.message = "The type of the key has no coordinator here";
        return f;
    }
    f.err = ERR_COORDINATOR_NOT_AVAILABLE;
    f.message = "No live broker coordinates it just now";
    if (req->image == NULL)
        return f;
    int32_t owner = req->image->slots[image_slot_of(key)].node_id;
    const struct image_broker *b = owner >= 0 ? image_find_broker(req->image, owner) : NULL;
    if (b == NULL || !request_endpoint(req, b, &f.host, &f.port))
        return f;
    f.err = ERR_NONE;
    f.message = NULL;
    f.node_id = owner;
    return f;
}

static void answer_one(struct request *req, const struct find_coordinator_request *in,
                       struct find_coordinator_response *out)
{
    struct found f = find(req, in->key_type, in->key);
    out->error_code = (int16_t)f.err;
    out->error_message = slice_from_text(f.message);
    out->node_id = f.node_id;
    out->host = f.host;
    out->port = f.port;
}

HANDLER(find_coordinator)
{
    thread_assert(&NET);
    if (req->header.api_version < 4) {
        answer_one(req, in, out);
        request_reply(req);
        return;
    }
    out->coordinators =
        find_coordinator_response_coordinator_array(&req->arena, in->coordinator_keys_count);
    out->coordinators_count = in->coordinator_keys_count;
    for (int i = 0; i < in->coordinator_keys_count; i++) {
        struct find_coordinator_response_coordinator *o = &out->coordinators[i];
        struct found f = find(req, in->key_type, in->coordinator_keys[i]);
        o->key = in->coordinator_keys[i];
        o->error_code = (int16_t)f.err;
        o->error_message = slice_from_text(f.message);
        o->node_id = f.node_id;
        o->host = f.host;
        o->port = f.port;
    }
    request_reply(req);
}
