/* DescribeConfigs: topics, this broker, the cluster's defaults, log levels, groups, client metrics.
 */
#include <stdio.h>

#include "broker/config_change.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/topic_create.h"
#include "broker/topic_settings.h"
#include "coord/resource_config.h"
#include "proto/base/logging.h"

static bool asked_for(const struct describe_configs_request_resource *in, struct slice name)
{
    if (in->configuration_keys_count <= 0)
        return true;
    for (int i = 0; i < in->configuration_keys_count; i++)
        if (slice_equal(in->configuration_keys[i], name))
            return true;
    return false;
}

/* A default that no broker setting stands for is no synonym. */
static int synonyms_count(const struct topic_config *config,
                          const struct topic_config_layer *layers, int count)
{
    bool own_default = config != NULL && config->server_names == NULL && count > 0 &&
                       layers[count - 1].source == CONFIG_SOURCE_DEFAULT;
    return own_default ? count - 1 : count;
}

static void layers_fill(struct request *req, const struct topic_config_layer *layers, int count,
                        struct describe_configs_response_result_config *o)
{
    const struct describe_configs_request *all = req->in;
    o->synonyms_count = 0;
    if (!all->include_synonyms)
        return;
    o->synonyms = describe_configs_response_result_config_synonym_array(&req->arena, count);
    o->synonyms_count = count;
    for (int i = 0; i < count; i++) {
        o->synonyms[i].name =
            arena_copy(&req->arena, slice_of(layers[i].name, layers[i].name_size));
        o->synonyms[i].value = arena_copy(&req->arena, layers[i].value);
        o->synonyms[i].source = (int8_t)layers[i].source;
    }
}

static void config_fill(struct request *req, const struct topic_config *config,
                        const struct topic_config_layer *layers, int count,
                        struct describe_configs_response_result_config *o)
{
    const struct describe_configs_request *all = req->in;
    o->name = slice_from_text(config->name);
    o->value = arena_copy(&req->arena, layers[0].value);
    o->config_source = (int8_t)layers[0].source;
    o->config_type = (int8_t)config->type;
    if (all->include_documentation)
        o->documentation = slice_from_text(config->documentation);
    layers_fill(req, layers, synonyms_count(config, layers, count), o);
}

static void topic_fill(struct request *req, const struct image_topic *topic,
                       const struct describe_configs_request_resource *in,
                       struct describe_configs_response_result *o)
{
    struct config_node node = topic_config_node(&req->node->config);
    o->configs = describe_configs_response_result_config_array(&req->arena, topic_configs_count);
    for (int i = 0; i < topic_configs_count; i++) {
        const struct topic_config *tc = &topic_configs[i];
        if (!asked_for(in, slice_from_text(tc->name)))
            continue;
        struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
        int count = topic_config_layers(req->image, topic, tc, &node, layers);
        config_fill(req, tc, layers, count, &o->configs[o->configs_count++]);
    }
}

static void resource_fill(struct request *req, const struct describe_configs_request_resource *in,
                          struct describe_configs_response_result *o)
{
    bool group = in->resource_type == RESOURCE_GROUP;
    const struct topic_config *table = group ? group_configs : client_metrics_configs;
    int table_count = group ? group_configs_count : client_metrics_configs_count;
    struct config_node node = topic_config_node(&req->node->config);
    o->configs = describe_configs_response_result_config_array(&req->arena, table_count);
    for (int i = 0; i < table_count; i++) {
        if (!asked_for(in, slice_from_text(table[i].name)))
            continue;
        struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
        int count = resource_config_layers(req->image, in->resource_type, in->resource_name,
                                           &table[i], &node, layers);
        config_fill(req, &table[i], layers, count, &o->configs[o->configs_count++]);
    }
}

/* --- A broker's settings --- */

static void layer_add(struct topic_config_layer *layers, int *count, struct slice name,
                      struct slice value, enum config_source source)
{
    if (slice_is_null(value) && source != CONFIG_SOURCE_DEFAULT)
        return;
    layers[(*count)++] = (struct topic_config_layer){
        .name = (const char *)name.data, .name_size = name.size, .value = value, .source = source};
}

/* Dynamic, then static, then the default. */
static int broker_layers(struct request *req, struct slice name, struct slice initial,
                         struct topic_config_layer layers[4])
{
    const struct image *img = req->image;
    char text[128];
    snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(name));
    int count = 0;
    if (img != NULL) {
        struct slice own = image_broker_config(img, req->node->id, name);
        layer_add(layers, &count, name, own, CONFIG_SOURCE_DYNAMIC_BROKER);
        for (int i = 0; i < img->broker_configs_count; i++)
            if (slice_equal(img->broker_configs[i].name, name))
                layer_add(layers, &count, name, img->broker_configs[i].value,
                          CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
    }
    layer_add(layers, &count, name, config_set_text(&req->node->config, text),
              CONFIG_SOURCE_STATIC_BROKER);
    layer_add(layers, &count, name, initial, CONFIG_SOURCE_DEFAULT);
    return count;
}

static void broker_one_fill(struct request *req, struct slice name, struct slice initial,
                            int8_t type, struct describe_configs_response_result_config *o)
{
    struct topic_config_layer layers[4];
    int count = broker_layers(req, name, initial, layers);
    o->name = name;
    o->value = arena_copy(&req->arena, layers[0].value);
    o->read_only = !config_is_dynamic(name);
    o->config_source = (int8_t)layers[0].source;
    o->config_type = type;
    layers_fill(req, layers, count, o);
}

static int8_t type_of(enum config_key key)
{
    if (config_type(key) == 1)
        return CONFIG_BOOLEAN;
    if (config_type(key) == 2)
        return CONFIG_STRING;
    return config_is_int(key) ? CONFIG_INT : CONFIG_LONG;
}

/* What topics inherit and the server's own table does not name. */
static bool is_inherited_only(struct slice name)
{
    return name.size > 0 && !config_is_known(name);
}

static struct slice server_name(const struct topic_config *tc)
{
    const char *names = tc->server_names != NULL ? tc->server_names : "";
    return slice_of(names, strcspn(names, " *"));
}

static void broker_fill(struct request *req, const struct describe_configs_request_resource *in,
                        struct describe_configs_response_result *o)
{
    struct arena *arena = &req->arena;
    o->configs =
        describe_configs_response_result_config_array(arena, CONFIG_COUNT + topic_configs_count);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        enum config_key key = (enum config_key)i;
        struct slice name = slice_from_text(config_name(key));
        if (asked_for(in, name))
            broker_one_fill(req, name, config_initial_text(key, arena), type_of(key),
                            &o->configs[o->configs_count++]);
    }
    for (int i = 0; i < topic_configs_count; i++) {
        struct slice name = server_name(&topic_configs[i]);
        if (is_inherited_only(name) && asked_for(in, name))
            broker_one_fill(req, name, slice_from_text(topic_configs[i].default_value),
                            (int8_t)topic_configs[i].type, &o->configs[o->configs_count++]);
    }
}

/* The cluster's defaults: what was set. What nobody here knows may be secret. */
static void defaults_fill(struct request *req, const struct describe_configs_request_resource *in,
                          struct describe_configs_response_result *o)
{
    const struct image *img = req->image;
    int count = img != NULL ? img->broker_configs_count : 0;
    o->configs = describe_configs_response_result_config_array(&req->arena, count);
    for (int i = 0; i < count; i++) {
        const struct image_config *config = &img->broker_configs[i];
        if (!asked_for(in, config->name))
            continue;
        struct describe_configs_response_result_config *c = &o->configs[o->configs_count++];
        int64_t unit;
        const struct topic_config *tc = topic_config_find_server(config->name, &unit);
        c->name = config->name;
        c->is_sensitive = tc == NULL && !config_is_known(config->name);
        c->value = c->is_sensitive ? SLICE_NULL : config->value;
        c->config_source = CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER;
        c->config_type = tc != NULL ? (int8_t)tc->type : 0;
        struct topic_config_layer layer = {.name = (const char *)config->name.data,
                                           .name_size = config->name.size,
                                           .value = c->value,
                                           .source = CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER};
        layers_fill(req, &layer, 1, c);
    }
}

static void loggers_fill(struct request *req, struct describe_configs_response_result *o)
{
    static const char *const LEVELS[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};
    enum log_level level = LOG_LEVEL_DEBUG;
    while (level < LOG_LEVEL_OFF && !log_level_enabled(level))
        level++;
    o->configs = describe_configs_response_result_config_array(&req->arena, 1);
    o->configs_count = 1;
    o->configs[0].name = SLICE("root");
    o->configs[0].value = slice_from_text(LEVELS[level]);
    o->configs[0].config_source = CONFIG_SOURCE_BROKER_LOGGER;
    o->configs[0].config_type = CONFIG_STRING;
}

/* --- Which one --- */

static enum error_code describe_broker(struct request *req,
                                       const struct describe_configs_request_resource *in,
                                       struct describe_configs_response_result *o)
{
    char own[16];
    snprintf(own, sizeof(own), "%d", req->node->id);
    bool loggers = in->resource_type == CONFIG_RESOURCE_BROKER_LOGGER;
    if (in->resource_name.size == 0 && !loggers) {
        defaults_fill(req, in, o);
        return ERR_NONE;
    }
    if (!slice_equals_text(in->resource_name, own)) {
        o->error_message = arena_printf(
            &req->arena, "Unexpected broker id, expected %d or empty string, but received %.*s",
            req->node->id, (int)MIN(in->resource_name.size, 100),
            (const char *)in->resource_name.data);
        return ERR_INVALID_REQUEST;
    }
    if (loggers)
        loggers_fill(req, o);
    else
        broker_fill(req, in, o);
    return ERR_NONE;
}

static enum error_code describe(struct request *req,
                                const struct describe_configs_request_resource *in,
                                struct describe_configs_response_result *o)
{
    const struct image_topic *topic;
    switch (in->resource_type) {
    case CONFIG_RESOURCE_TOPIC:
        topic = req->image ? image_find_topic(req->image, in->resource_name) : NULL;
        if (topic == NULL)
            return topic_name_valid(in->resource_name) ? ERR_UNKNOWN_TOPIC_OR_PARTITION
                                                       : ERR_INVALID_TOPIC_EXCEPTION;
        topic_fill(req, topic, in, o);
        return ERR_NONE;
    case CONFIG_RESOURCE_BROKER:
    case CONFIG_RESOURCE_BROKER_LOGGER:
        return describe_broker(req, in, o);
    case RESOURCE_GROUP:
    case RESOURCE_CLIENT_METRICS:
        if (in->resource_name.size == 0) {
            o->error_message = in->resource_type == RESOURCE_GROUP
                                   ? SLICE("Group name must not be empty")
                                   : SLICE("Client metrics subscription name must not be empty");
            return ERR_INVALID_REQUEST;
        }
        if (req->image != NULL)
            resource_fill(req, in, o);
        return ERR_NONE;
    default:
        o->error_message =
            arena_printf(&req->arena, "Unsupported resource type: %d", in->resource_type);
        return ERR_INVALID_REQUEST;
    }
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
