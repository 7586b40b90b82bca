/* Header, key, version, decoding, handler. */
#include "broker/dispatch.h"

#include <errno.h>
#include <stdio.h>

#include "proto/base/logging.h"

#define KEY_PRODUCE      0
#define KEY_API_VERSIONS 18

#define API(name, key, flags) void handle_##name(struct request *req);
#include "broker/handlers/handlers.def"
#undef API

static const struct handler HANDLERS[] = {
#define API(name, key, flags) {key, flags, handle_##name},
#include "broker/handlers/handlers.def"
#undef API
};

const struct handler *handler_find(int16_t key)
{
    for (size_t i = 0; i < ARRAY_COUNT(HANDLERS); i++)
        if (HANDLERS[i].key == key)
            return &HANDLERS[i];
    return NULL;
}

int16_t handler_advertised_min(const struct api_info *api)
{
    return api->key == KEY_PRODUCE ? 0 : api->version_min;
}

static void refuse_unknown(struct request *req)
{
    thread_assert(&NET);
    char reason[96];
    snprintf(reason, sizeof(reason), "no such api key or version: key %d version %d",
             req->header.api_key, req->header.api_version);
    request_refuse(req, reason);
}

/* A client that speaks a newer ApiVersions than we do is answered in version 0, so that it can step
 * down (KIP-511). */
static void answer_version_zero(struct request *req)
{
    thread_assert(&NET);
    req->header.api_version = 0;
    struct api_versions_response *out = req->out;
    out->error_code = ERR_UNSUPPORTED_VERSION;
    out->api_keys = api_versions_response_api_key_array(&req->arena, 1);
    CHECK(out->api_keys != NULL);
    out->api_keys_count = 1;
    out->api_keys[0].api_key = KEY_API_VERSIONS;
    out->api_keys[0].min_version = req->api->version_min;
    out->api_keys[0].max_version = req->api->version_max;
    request_reply(req);
}

static void prepare(struct request *req)
{
    /* The decoder's share is bounded by the frame; the limit is lifted for what we answer. */
    req->arena.limit_bytes = req->api->request.growth * req->frame_size + 65536;
    req->in = arena_need(&req->arena, req->api->request.struct_size);
    req->out = arena_need(&req->arena, req->api->response.struct_size);
    req->api->request.init(req->in);
    req->api->response.init(req->out);
}

void dispatch(struct request *req)
{
    struct wire_reader reader;
    wire_reader_init(&reader, slice_of(req->frame, req->frame_size), &req->arena);
    if (request_header_decode(&reader, &req->header) != 0) {
        request_refuse(req, "the request header is malformed");
        return;
    }
    int16_t version = req->header.api_version;
    req->handler = handler_find(req->header.api_key);
    req->api = api_find(req->header.api_key);
    if (req->handler == NULL || req->api == NULL) {
        refuse_unknown(req);
        return;
    }
    prepare(req);
    if (version < req->api->version_min || version > req->api->version_max) {
        if (req->header.api_key == KEY_API_VERSIONS)
            answer_version_zero(req);
        else
            refuse_unknown(req);
        return;
    }
    int rc = req->api->request.decode(&reader, version, req->in);
    if (rc != 0) {
        char reason[128];
        snprintf(reason, sizeof(reason), "%s version %d %s", req->api->name, version,
                 rc == -ENOMEM ? "wants too much memory" : "is malformed");
        request_refuse(req, reason);
        return;
    }
    req->arena.limit_bytes = 0;
    req->handler->handle(req);
}
