/*
 * DescribeClientQuotas and AlterClientQuotas (KIP-546): limits of users, client ids and addresses,
 * kept as resources of the metadata.
 */
#include <stdio.h>

#include "broker/node.h"
#include "broker/quota_entity.h"
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/command.h"
#include "coord/image_resources.h"

enum match { MATCH_EXACT, MATCH_DEFAULT, MATCH_ANY };

/* --- Describe --- */

static enum error_code component_check(const struct describe_client_quotas_request *in, int index,
                                       char reason[200])
{
    const struct describe_client_quotas_request_component *c = &in->components[index];
    const char *wrong = NULL;
    bool known = slice_equals_text(c->entity_type, "user") ||
                 slice_equals_text(c->entity_type, "client-id") ||
                 slice_equals_text(c->entity_type, "ip");
    for (int i = 0; i < index; i++)
        if (slice_equal(in->components[i].entity_type, c->entity_type))
            wrong = "an entity type is named twice";
    if (c->entity_type.size == 0)
        wrong = "an entity type is empty";
    else if (c->match_type < MATCH_EXACT || c->match_type > MATCH_ANY)
        wrong = "unknown match type";
    else if ((c->match_type == MATCH_EXACT) == slice_is_null(c->match))
        wrong = "a name to match comes with an exact match, and only with it";
    if (wrong != NULL) {
        snprintf(reason, 200, "Invalid quota filter: %s", wrong);
        return ERR_INVALID_REQUEST;
    }
    if (!known)
        snprintf(reason, 200, "Custom entity type '%.*s' not supported",
                 (int)MIN(c->entity_type.size, 100), (const char *)c->entity_type.data);
    return known ? ERR_NONE : ERR_UNSUPPORTED_VERSION;
}

static enum error_code filter_check(const struct describe_client_quotas_request *in,
                                    char reason[200])
{
    bool ip = false;
    for (int i = 0; i < in->components_count; i++) {
        enum error_code err = component_check(in, i, reason);
        if (err != ERR_NONE)
            return err;
        ip = ip || slice_equals_text(in->components[i].entity_type, "ip");
    }
    if (!ip || in->components_count == 1)
        return ERR_NONE;
    snprintf(reason, 200, "Invalid quota filter: ip cannot be combined with user or client-id");
    return ERR_INVALID_REQUEST;
}

static bool matches(const struct describe_client_quotas_request *in, const struct quota_entity *e)
{
    if (in->strict && e->count != in->components_count)
        return false;
    for (int i = 0; i < in->components_count; i++) {
        const struct describe_client_quotas_request_component *c = &in->components[i];
        const struct quota_part *part = quota_entity_find(e, c->entity_type);
        if (part == NULL)
            return false;
        if (c->match_type == MATCH_DEFAULT && !slice_is_null(part->name))
            return false;
        if (c->match_type == MATCH_EXACT &&
            (slice_is_null(part->name) || !slice_equal(part->name, c->match)))
            return false;
    }
    return true;
}

static void entry_fill(struct request *req, const struct quota_entity *e,
                       const struct image_resource *r,
                       struct describe_client_quotas_response_entry *o)
{
    o->entity = describe_client_quotas_response_entry_entity_array(&req->arena, e->count);
    o->entity_count = e->count;
    for (int i = 0; i < e->count; i++) {
        o->entity[i].entity_type = e->parts[i].type;
        o->entity[i].entity_name = e->parts[i].name;
    }
    o->values = describe_client_quotas_response_entry_value_array(&req->arena, r->configs_count);
    o->values_count = r->configs_count;
    for (int i = 0; i < r->configs_count; i++) {
        o->values[i].key = r->configs[i].name;
        o->values[i].value = quota_value_parse(r->configs[i].value);
    }
}

HANDLER(describe_client_quotas)
{
    thread_assert(&NET);
    char reason[200] = "";
    enum error_code err = filter_check(in, reason);
    const struct image_resources *rs = req->image ? req->image->resources : NULL;
    int count = rs != NULL ? rs->count : 0;
    if (err != ERR_NONE) {
        out->error_code = (int16_t)err;
        out->error_message = arena_text(&req->arena, reason);
        out->entries_count = -1;
        request_reply(req);
        return;
    }
    out->entries = describe_client_quotas_response_entry_array(&req->arena, count);
    for (int i = 0; i < count; i++) {
        struct quota_entity e;
        if (rs->items[i].kind == RESOURCE_QUOTA &&
            quota_entity_decode(rs->items[i].name, &req->arena, &e) == 0 && matches(in, &e))
            entry_fill(req, &e, &rs->items[i], &out->entries[out->entries_count++]);
    }
    request_reply(req);
}

/* --- Alter --- */

static enum error_code entity_of(const struct alter_client_quotas_request_entry *in,
                                 struct quota_entity *e, char reason[200])
{
    *e = (struct quota_entity){0};
    for (int i = 0; i < in->entity_count; i++) {
        enum error_code err =
            quota_entity_add(e, in->entity[i].entity_type, in->entity[i].entity_name, reason);
        if (err != ERR_NONE)
            return err;
    }
    return quota_entity_check(e, reason);
}

static enum error_code op_of(struct request *req, const struct quota_entity *e,
                             const struct alter_client_quotas_request_entry_op *in,
                             struct command_config_op *op, char reason[200])
{
    *op = (struct command_config_op){.name = in->key, .operation = CONFIG_DELETE};
    enum error_code err = quota_value_check(e, in->key, in->remove ? 1 : in->value, reason);
    if (err == ERR_NONE && !in->remove) {
        op->operation = CONFIG_SET;
        op->value = arena_printf(&req->arena, "%.17g", in->value);
    }
    return err;
}

static enum error_code command_of(struct request *req,
                                  const struct alter_client_quotas_request_entry *in,
                                  struct alter_resource *c, char reason[200])
{
    struct quota_entity e;
    enum error_code err = entity_of(in, &e, reason);
    *c = (struct alter_resource){
        .kind = RESOURCE_QUOTA,
        .ops = arena_need(&req->arena, sizeof(*c->ops) * (size_t)MAX(in->ops_count, 0)),
        .ops_count = MAX(in->ops_count, 0)};
    for (int i = 0; err == ERR_NONE && i < in->ops_count; i++)
        err = op_of(req, &e, &in->ops[i], &c->ops[i], reason);
    if (err == ERR_NONE)
        c->name = quota_entity_encode(&e, &req->arena);
    return err;
}

static void entity_copy(struct request *req, const struct alter_client_quotas_request_entry *in,
                        struct alter_client_quotas_response_entry *o)
{
    o->entity = alter_client_quotas_response_entry_entity_array(&req->arena, in->entity_count);
    o->entity_count = in->entity_count;
    for (int i = 0; i < in->entity_count; i++) {
        o->entity[i].entity_type = in->entity[i].entity_type;
        o->entity[i].entity_name = in->entity[i].entity_name;
    }
}

HANDLER(alter_client_quotas)
{
    thread_assert(&NET);
    int64_t timeout_ms = config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS);
    struct submissions *all = submissions_new(req, timeout_ms, request_reply);
    out->entries = alter_client_quotas_response_entry_array(&req->arena, in->entries_count);
    out->entries_count = in->entries_count;
    for (int i = 0; i < in->entries_count; i++) {
        struct alter_client_quotas_response_entry *o = &out->entries[i];
        struct alter_resource c;
        char reason[200] = "";
        entity_copy(req, &in->entries[i], o);
        o->error_code = (int16_t)command_of(req, &in->entries[i], &c, reason);
        if (o->error_code != ERR_NONE) {
            o->error_message = arena_text(&req->arena, reason);
            continue;
        }
        if (in->validate_only)
            continue;
        struct buffer command = {0};
        command_encode_alter_resource(&command, &c);
        submissions_add(req, all, &command, &o->error_code, &o->error_message);
    }
    submissions_end(req, all);
}
