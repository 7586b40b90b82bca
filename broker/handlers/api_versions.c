/* ApiVersions: what this broker speaks (KIP-35, 511, 584, 1242). */
#include <ctype.h>
#include <stdio.h>

#include "broker/dispatch.h"
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
    if (wrong_target(req, in)) {
        out->error_code = ERR_REBOOTSTRAP_REQUIRED;
        request_reply(req);
        return;
    }
    keys_fill(req, out);
    out->finalized_features_epoch = req->image ? req->image->index : -1;
    request_reply(req);
}
