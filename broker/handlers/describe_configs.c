/* DescribeConfigs of topics and of this broker. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/node.h"
#include "broker/request.h"
#include "coord/topic_config.h"

#define RESOURCE_TOPIC  2
#define RESOURCE_BROKER 4

static struct slice static_value(void *arg, const char *server_name)
{
    struct request *req = arg;
    const struct config *c = &req->node->config;
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (!c->is_set[i] || strcmp(config_name((enum config_key)i), server_name) != 0)
            continue;
        char text[1024];
        config_value_text(c, (enum config_key)i, text, sizeof(text));
        return arena_text(&req->arena, text);
    }
    return SLICE_NULL;
}

static bool asked_for(const struct describe_configs_request_resource *in, const char *name)
{
    if (in->configuration_keys_count < 0)
        return true;
    for (int i = 0; i < in->configuration_keys_count; i++)
        if (slice_equals_text(in->configuration_keys[i], name))
            return true;
    return false;
}

static void synonyms_fill(struct request *req, const struct topic_config_layer *layers, int count,
                          struct describe_configs_response_result_config *o)
{
    o->synonyms = describe_configs_response_result_config_synonym_array(&req->arena, count);
    o->synonyms_count = count;
    for (int i = 0; i < count; i++) {
        o->synonyms[i].name =
            arena_copy(&req->arena, slice_of(layers[i].name, layers[i].name_size));
        o->synonyms[i].value = arena_copy(&req->arena, layers[i].value);
        o->synonyms[i].source = (int8_t)layers[i].source;
    }
}

static void topic_fill(struct request *req, const struct image_topic *topic,
                       const struct describe_configs_request_resource *in,
                       struct describe_configs_response_result *o)
{
    const struct describe_configs_request *all = req->in;
    o->configs = describe_configs_response_result_config_array(&req->arena, topic_configs_count);
    for (int i = 0; i < topic_configs_count; i++) {
        const struct topic_config *tc = &topic_configs[i];
        if (!asked_for(in, tc->name))
            continue;
        struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
        int count = topic_config_layers(req->image, topic, tc, static_value, req, layers);
        struct describe_configs_response_result_config *c = &o->configs[o->configs_count++];
        c->name = slice_from_text(tc->name);
        c->value = arena_copy(&req->arena, layers[0].value);
        c->config_source = (int8_t)layers[0].source;
        c->config_type = (int8_t)tc->type;
        if (all->include_documentation)
            c->documentation = slice_from_text(tc->documentation);
        if (all->include_synonyms)
            synonyms_fill(req, layers, count, c);
    }
}

static int8_t type_of(enum config_key key)
{
    static const int8_t TYPES[] = {CONFIG_LONG, CONFIG_BOOLEAN, CONFIG_STRING};
    return TYPES[config_type(key)];
}

static void broker_fill(struct request *req, const struct describe_configs_request_resource *in,
                        struct describe_configs_response_result *o)
{
    const struct config *config = &req->node->config;
    o->configs = describe_configs_response_result_config_array(&req->arena, CONFIG_COUNT);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        enum config_key key = (enum config_key)i;
        if (!asked_for(in, config_name(key)))
            continue;
        char text[1024];
        config_value_text(config, key, text, sizeof(text));
        struct describe_configs_response_result_config *c = &o->configs[o->configs_count++];
        c->name = slice_from_text(config_name(key));
        bool unset_text = config_type(key) == 2 && config_text(config, key) == NULL;
        c->value = unset_text ? SLICE_NULL : arena_text(&req->arena, text);
        c->read_only = true;
        c->config_source = config->is_set[i] ? CONFIG_SOURCE_STATIC_BROKER : CONFIG_SOURCE_DEFAULT;
        c->config_type = type_of(key);
    }
}

static enum error_code describe(struct request *req,
                                const struct describe_configs_request_resource *in,
                                struct describe_configs_response_result *o)
{
    if (in->resource_type == RESOURCE_TOPIC) {
        const struct image_topic *t =
            req->image ? image_find_topic(req->image, in->resource_name) : NULL;
        if (t == NULL)
            return ERR_UNKNOWN_TOPIC_OR_PARTITION;
        topic_fill(req, t, in, o);
        return ERR_NONE;
    }
    if (in->resource_type != RESOURCE_BROKER)
        return ERR_INVALID_REQUEST;
    char own[16];
    snprintf(own, sizeof(own), "%d", req->node->id);
    if (in->resource_name.size != 0 && !slice_equals_text(in->resource_name, own)) {
        o->error_message = SLICE("a broker's settings must be asked from that broker");
        return ERR_INVALID_REQUEST;
    }
    broker_fill(req, in, o);
    return ERR_NONE;
}

HANDLER(describe_configs)
{
    thread_assert(&NET);
    out->results = describe_configs_response_result_array(&req->arena, in->resources_count);
    out->results_count = in->resources_count;
    for (int i = 0; i < in->resources_count; i++) {
        out->results[i].resource_type = in->resources[i].resource_type;
        out->results[i].resource_name = in->resources[i].resource_name;
        out->results[i].error_code = (int16_t)describe(req, &in->resources[i], &out->results[i]);
    }
    request_reply(req);
}
