/* ListConfigResources (KIP-1142): what has, or could have, settings. Version 0 asks for client
 * metrics subscriptions only. */
#include "broker/config_change.h"
#include "broker/request.h"
#include "coord/image_resources.h"

static bool asked_for(const struct request *req, int8_t type)
{
    const struct list_config_resources_request *in = req->in;
    if (req->header.api_version == 0)
        return type == RESOURCE_CLIENT_METRICS;
    for (int i = 0; i < in->resource_types_count; i++)
        if (in->resource_types[i] == type)
            return true;
    return in->resource_types_count <= 0;
}

static bool types_known(const struct list_config_resources_request *in)
{
    for (int i = 0; i < in->resource_types_count; i++) {
        switch (in->resource_types[i]) {
        case CONFIG_RESOURCE_TOPIC:
        case CONFIG_RESOURCE_BROKER:
        case CONFIG_RESOURCE_BROKER_LOGGER:
        case RESOURCE_CLIENT_METRICS:
        case RESOURCE_GROUP:
            break;
        default:
            return false;
        }
    }
    return true;
}

static void add(struct list_config_resources_response *out, int8_t type, struct slice name)
{
    out->config_resources[out->config_resources_count++] =
        (struct list_config_resources_response_config_resource){.resource_name = name,
                                                                .resource_type = type};
}

static void brokers_add(struct request *req, int8_t type)
{
    for (int i = 0; asked_for(req, type) && i < req->image->brokers_count; i++)
        add(req->out, type, arena_printf(&req->arena, "%d", req->image->brokers[i]->node_id));
}

HANDLER(list_config_resources)
{
    thread_assert(&NET);
    const struct image *img = req->image;
    if (img == NULL || (req->header.api_version > 0 && !types_known(in))) {
        out->error_code = img == NULL ? ERR_NOT_CONTROLLER : ERR_UNSUPPORTED_VERSION;
        request_reply(req);
        return;
    }
    int others = img->resources != NULL ? img->resources->count : 0;
    out->config_resources = list_config_resources_response_config_resource_array(
        &req->arena, img->topics_count + 2 * img->brokers_count + others);
    for (int i = 0; asked_for(req, CONFIG_RESOURCE_TOPIC) && i < img->topics_count; i++)
        add(out, CONFIG_RESOURCE_TOPIC, img->topics[i]->name);
    brokers_add(req, CONFIG_RESOURCE_BROKER);
    brokers_add(req, CONFIG_RESOURCE_BROKER_LOGGER);
    for (int i = 0; i < others; i++) {
        const struct image_resource *r = &img->resources->items[i];
        if ((r->kind == RESOURCE_GROUP || r->kind == RESOURCE_CLIENT_METRICS) &&
            asked_for(req, r->kind))
            add(out, r->kind, r->name);
    }
    request_reply(req);
}
