/* ApiVersions: what this broker speaks (KIP-35, 511, 584, 1242). */
#include <ctype.h>
#include <stdio.h>

#include "broker/dispatch.h"
#include "broker/features.h"
#include "broker/node.h"

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool software_text_valid(struct slice s)
{
    if (s.size == 0)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        bool edge = i == 0 || i + 1 == s.size;
        if (!isalnum(s.data[i]) && (edge || (s.data[i] != '-' && s.data[i] != '.')))
            return false;
    }
    return true;
}

/* A version 5 client names both or neither. */
static bool target_incomplete(const struct request *req, const struct api_versions_request *in)
{
    return req->header.api_version >= 5 && slice_is_null(in->cluster_id) != (in->node_id < 0);
}

/* A client that knows which cluster and node it wants, and reached another (KIP-1242). */
static bool wrong_target(const struct request *req, const struct api_versions_request *in)
{
    if (req->header.api_version < 5 || slice_is_null(in->cluster_id) || req->image == NULL)
        return false;
    if (!slice_equal(in->cluster_id, req->image->cluster_id))
        return true;
    return in->node_id >= 0 && in->node_id != req->node->id;
}

static void keys_fill(struct request *req, struct api_versions_response *out)
{
    out->api_keys = api_versions_response_api_key_array(&req->arena, (int32_t)api_table_count);
    CHECK(out->api_keys != NULL);
    for (size_t i = 0; i < api_table_count; i++) {
        const struct api_info *api = &api_table[i];
        const struct handler *h = handler_find(api->key);
        if (h == NULL || (h->flags & HANDLER_INTERNAL))
            continue;
        struct api_versions_response_api_key *key = &out->api_keys[out->api_keys_count++];
        key->api_key = api->key;
        key->min_version = handler_advertised_min(api);
        key->max_version = api->version_max;
    }
}

/* A feature that may be absent (version 0) breaks older clients below version 4 (KAFKA-17011). */
static void features_fill(struct request *req, struct api_versions_response *out)
{
    out->finalized_features_epoch = req->image ? req->image->index : -1;
    out->supported_features =
        api_versions_response_supported_feature_array(&req->arena, features_count);
    out->finalized_features =
        api_versions_response_finalized_feature_array(&req->arena, features_count);
    CHECK(out->supported_features != NULL && out->finalized_features != NULL);
    for (int i = 0; i < features_count; i++) {
        const struct feature *f = &features[i];
        int16_t level = feature_level(req->image, f);
        if (f->min > 0 || req->header.api_version >= 4) {
            struct api_versions_response_supported_feature *s =
                &out->supported_features[out->supported_features_count++];
            s->name = slice_from_text(f->name);
            s->min_version = f->min;
            s->max_version = f->max;
        }
        if (level == 0 || req->image == NULL)
            continue;
        struct api_versions_response_finalized_feature *o =
            &out->finalized_features[out->finalized_features_count++];
        o->name = slice_from_text(f->name);
        o->max_version_level = o->min_version_level = level;
    }
}

HANDLER(api_versions)
{
    thread_assert(&NET);
    if (req->header.api_version >= 3) {
        if (!software_text_valid(in->client_software_name) ||
            !software_text_valid(in->client_software_version)) {
            out->error_code = ERR_INVALID_REQUEST;
            request_reply(req);
            return;
        }
        snprintf(req->conn->client_software, sizeof(req->conn->client_software),
                 SLICE_FMT "-" SLICE_FMT, SLICE_ARG(in->client_software_name),
                 SLICE_ARG(in->client_software_version));
    }
    if (target_incomplete(req, in)) {
        out->error_code = ERR_INVALID_REQUEST;
        request_reply(req);
        return;
    }
    if (wrong_target(req, in)) {
        out->error_code = ERR_REBOOTSTRAP_REQUIRED;
        request_reply(req);
        return;
    }
    keys_fill(req, out);
    features_fill(req, out);
    request_reply(req);
}
