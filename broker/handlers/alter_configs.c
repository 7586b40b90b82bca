/* AlterConfigs: all settings of a resource set anew; what is not named goes back to its default. */
#include "broker/config_change.h"
#include "broker/named.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/submissions.h"

static struct config_change change_of(struct request *req,
                                      const struct alter_configs_request_resource *in)
{
    int32_t count = MAX(in->configs_count, 0);
    struct config_change c = {
        .type = in->resource_type,
        .name = in->resource_name,
        .replace_all = true,
        .ops = arena_need(&req->arena, sizeof(*c.ops) * (size_t)count),
        .ops_count = count,
    };
    for (int32_t i = 0; i < count; i++)
        c.ops[i] =
            (struct command_config_op){in->configs[i].name, CONFIG_SET, in->configs[i].value};
    return c;
}

HANDLER(alter_configs)
{
    thread_assert(&NET);
    int64_t timeout_ms = config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS);
    struct submissions *all = submissions_new(req, timeout_ms, request_reply);
    out->responses = alter_configs_response_response_array(&req->arena, in->resources_count);
    out->responses_count = in->resources_count;
    struct map named = {0};
    FOR_EACH (r, in->resources, in->resources_count)
        named_note(&named, named_key(&req->arena, r->resource_type, r->resource_name));
    for (int i = 0; i < in->resources_count; i++) {
        struct alter_configs_response_response *o = &out->responses[i];
        o->resource_type = in->resources[i].resource_type;
        o->resource_name = in->resources[i].resource_name;
        if (named_twice(&named, named_key(&req->arena, o->resource_type, o->resource_name))) {
            o->error_code = ERR_INVALID_REQUEST;
            o->error_message = SLICE("Each resource must appear at most once.");
            continue;
        }
        struct config_change c = change_of(req, &in->resources[i]);
        if (config_change_settle(req, &c, in->validate_only, &o->error_code, &o->error_message))
            continue;
        struct buffer command = {0};
        config_change_encode(&c, &command);
        submissions_add(req, all, &command, &o->error_code, &o->error_message);
    }
    map_deinit(&named);
    submissions_end(req, all);
}
