/* What IncrementalAlterConfigs and AlterConfigs share. */
#include "broker/config_change.h"

#include <stdio.h>

#include "broker/config.h"
#include "broker/config_groups.h"
#include "broker/node.h"
#include "broker/topic_create.h"
#include "coord/image_resources.h"
#include "coord/metadata.h"
#include "coord/topic_config.h"
#include "proto/base/logging.h"

#define LOGGER_ROOT "root"

static enum error_code refuse(char reason[200], enum error_code code, const char *fmt, ...)
    PRINTF(3, 4);

static enum error_code refuse(char reason[200], enum error_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, 200, fmt, args);
    va_end(args);
    return code;
}

bool config_is_dynamic(struct slice name)
{
    int64_t unit;
    const struct topic_config *config = topic_config_find_server(name, &unit);
    if (config == NULL)
        return !config_is_known(name); /* somebody else's: kept for them */
    size_t size = strcspn(config->server_names, " *");
    return slice_equal(name, slice_of(config->server_names, size));
}

static enum error_code check_ops(const struct config_change *c, char reason[200])
{
    for (int32_t i = 0; i < c->ops_count; i++) {
        const struct command_config_op *op = &c->ops[i];
        for (int32_t k = 0; k < i; k++)
            if (slice_equal(op->name, c->ops[k].name))
                return refuse(reason, ERR_INVALID_REQUEST, "Error due to duplicate config keys");
        if (op->operation < CONFIG_SET || op->operation > CONFIG_SUBTRACT)
            return refuse(reason, ERR_INVALID_REQUEST, "Unknown operation type id %d",
                          op->operation);
        if (op->operation != CONFIG_DELETE && slice_is_null(op->value))
            return refuse(reason, ERR_INVALID_REQUEST, "Null value not supported for : %.*s",
                          (int)MIN(op->name.size, 150), (const char *)op->name.data);
    }
    return ERR_NONE;
}

static enum error_code check_own_id(struct request *req, struct slice name, char reason[200])
{
    char own[16];
    snprintf(own, sizeof(own), "%d", req->node->id);
    if (slice_equals_text(name, own))
        return ERR_NONE;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < '0' || name.data[i] > '9')
            return refuse(reason, ERR_INVALID_REQUEST,
                          "Node id must be an integer, but it is: %.*s", (int)MIN(name.size, 100),
                          (const char *)name.data);
    return refuse(reason, ERR_INVALID_REQUEST,
                  "Unexpected broker id, expected %d, but received %.*s", req->node->id,
                  (int)MIN(name.size, 100), (const char *)name.data);
}

/* The controller elects by the cluster's value (KIP-966), so that it must exist and be one. */
static enum error_code check_min_isr(const struct config_change *c,
                                     const struct command_config_op *op, char reason[200])
{
    if (!slice_equals_text(op->name, "min.insync.replicas"))
        return ERR_NONE;
    if (c->name.size > 0)
        return refuse(reason, ERR_INVALID_CONFIG,
                      "Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
    if (op->operation == CONFIG_DELETE)
        return refuse(reason, ERR_INVALID_CONFIG,
                      "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
    return ERR_NONE;
}

static enum error_code check_broker(struct request *req, const struct config_change *c,
                                    char reason[200])
{
    enum error_code err = c->name.size > 0 ? check_own_id(req, c->name, reason) : ERR_NONE;
    for (int32_t i = 0; err == ERR_NONE && i < c->ops_count; i++) {
        if (!config_is_dynamic(c->ops[i].name))
            return refuse(reason, ERR_INVALID_REQUEST,
                          "Cannot update these configs dynamically: [%.*s]",
                          (int)MIN(c->ops[i].name.size, 120), (const char *)c->ops[i].name.data);
        err = check_min_isr(c, &c->ops[i], reason);
    }
    return err;
}

static int level_of(struct slice text)
{
    static const char *const LEVELS[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};
    for (int i = 0; i < (int)ARRAY_COUNT(LEVELS); i++)
        if (slice_equals_text(text, LEVELS[i]))
            return i;
    if (slice_equals_text(text, "TRACE"))
        return LOG_LEVEL_DEBUG;
    return slice_equals_text(text, "FATAL") ? LOG_LEVEL_ERROR : -1;
}

static enum error_code check_loggers(struct request *req, const struct config_change *c,
                                     char reason[200])
{
    if (c->replace_all)
        return refuse(reason, ERR_INVALID_REQUEST, "AlterConfigs does not set log levels");
    enum error_code err = check_own_id(req, c->name, reason);
    for (int32_t i = 0; err == ERR_NONE && i < c->ops_count; i++) {
        const struct command_config_op *op = &c->ops[i];
        if (!slice_equals_text(op->name, LOGGER_ROOT))
            return refuse(reason, ERR_INVALID_CONFIG, "Logger %.*s does not exist!",
                          (int)MIN(op->name.size, 100), (const char *)op->name.data);
        if (op->operation == CONFIG_DELETE)
            return refuse(reason, ERR_INVALID_REQUEST,
                          "Removing the log level of the root logger is not allowed");
        if (op->operation != CONFIG_SET)
            return refuse(reason, ERR_INVALID_REQUEST,
                          "APPEND and SUBTRACT are not for log levels");
        if (level_of(op->value) < 0)
            return refuse(reason, ERR_INVALID_CONFIG,
                          "Cannot set the log level of root to a value that is none of "
                          "TRACE, DEBUG, INFO, WARN, ERROR, FATAL, OFF");
    }
    return err;
}

static void set_loggers(const struct config_change *c)
{
    for (int32_t i = 0; i < c->ops_count; i++)
        log_set_level((enum log_level)level_of(c->ops[i].value));
}

static enum error_code check_topic(struct request *req, const struct config_change *c,
                                   char reason[200])
{
    if (c->name.size == 0)
        return refuse(reason, ERR_INVALID_REQUEST, "Default topic resources are not allowed.");
    if (!topic_name_valid(c->name))
        return refuse(reason, ERR_INVALID_TOPIC_EXCEPTION, "The topic's name is not legal");
    if (image_find_topic(req->image, c->name) != NULL)
        return ERR_NONE;
    return refuse(reason, ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
                  (int)MIN(c->name.size, 150), (const char *)c->name.data);
}

static enum error_code check_group(struct request *req, const struct config_change *c,
                                   char reason[200])
{
    enum error_code err = ERR_NONE;
    for (int32_t i = 0; err == ERR_NONE && i < c->ops_count; i++)
        if (c->ops[i].operation == CONFIG_SET)
            err = config_check_group(&req->node->config, c->ops[i].name, c->ops[i].value, reason);
    return err;
}

static enum error_code check(struct request *req, const struct config_change *c, char reason[200])
{
    enum error_code err = check_ops(c, reason);
    if (err != ERR_NONE)
        return err;
    if (req->image == NULL)
        return refuse(reason, ERR_NOT_CONTROLLER, "The cluster is not formed yet");
    switch (c->type) {
    case CONFIG_RESOURCE_TOPIC:
        return check_topic(req, c, reason);
    case CONFIG_RESOURCE_BROKER:
        return check_broker(req, c, reason);
    case CONFIG_RESOURCE_BROKER_LOGGER:
        return check_loggers(req, c, reason);
    case RESOURCE_CLIENT_METRICS:
    case RESOURCE_GROUP:
        if (c->name.size > 0)
            return c->type == RESOURCE_GROUP ? check_group(req, c, reason) : ERR_NONE;
        return refuse(reason, ERR_INVALID_REQUEST, "Default %s resources are not allowed.",
                      c->type == RESOURCE_GROUP ? "group" : "client metrics");
    default:
        return refuse(reason, ERR_INVALID_REQUEST, "Unknown resource type %d", c->type);
    }
}

static struct alter_configs wide(const struct config_change *c)
{
    return (struct alter_configs){
        .topic = c->type == CONFIG_RESOURCE_TOPIC ? c->name : SLICE_NULL,
        .replace_all = c->replace_all,
        .ops = c->ops,
        .ops_count = c->ops_count,
    };
}

static struct alter_resource narrow(const struct config_change *c)
{
    return (struct alter_resource){.kind = c->type,
                                   .name = c->name,
                                   .replace_all = c->replace_all,
                                   .ops = c->ops,
                                   .ops_count = c->ops_count};
}

static bool is_wide(const struct config_change *c)
{
    return c->type == CONFIG_RESOURCE_TOPIC ||
           (c->type == CONFIG_RESOURCE_BROKER && c->name.size == 0);
}

/* A value that a broker refuses is an invalid request in Kafka (KAFKA-13609). */
static enum error_code try_now(struct request *req, const struct config_change *c, char reason[200])
{
    enum error_code err;
    struct alter_configs all = wide(c);
    struct alter_resource one = narrow(c);
    if (is_wide(c))
        err = metadata_check_alter_configs(req->image, &all, reason);
    else
        err = metadata_check_alter_resource(req->image, &one, reason);
    return err == ERR_INVALID_CONFIG && c->type == CONFIG_RESOURCE_BROKER ? ERR_INVALID_REQUEST
                                                                          : err;
}

bool config_change_settle(struct request *req, const struct config_change *c, bool validate_only,
                          int16_t *error_code, struct slice *message)
{
    char reason[200] = "";
    bool loggers = c->type == CONFIG_RESOURCE_BROKER_LOGGER;
    enum error_code err = check(req, c, reason);
    if (err == ERR_NONE && !loggers)
        err = try_now(req, c, reason);
    *error_code = (int16_t)err;
    *message = reason[0] != '\0' ? arena_text(&req->arena, reason) : SLICE_NULL;
    if (err == ERR_NONE && loggers && !validate_only)
        set_loggers(c);
    return err != ERR_NONE || loggers || validate_only;
}

void config_change_encode(const struct config_change *c, struct buffer *out)
{
    struct alter_configs all = wide(c);
    struct alter_resource one = narrow(c);
    if (is_wide(c))
        command_encode_alter_configs(out, &all);
    else
        command_encode_alter_resource(out, &one);
}
