/*
 * One resource's new settings, as IncrementalAlterConfigs and AlterConfigs ask for them: what only
 * a broker can check, and which command it becomes.
 */
#pragma once

#include "broker/request.h"
#include "coord/command.h"

/* Kafka's numbers; see also coord/image_resources.h. */
#define CONFIG_RESOURCE_TOPIC         2
#define CONFIG_RESOURCE_BROKER        4
#define CONFIG_RESOURCE_BROKER_LOGGER 8

struct config_change {
    int8_t type;
    struct slice name;
    bool replace_all;
    struct command_config_op *ops;
    int32_t ops_count;
};

/* Answer what needs no command: refusals with Kafka's codes, validate_only, log levels (this
 * process's own, set here). false: it has to be submitted. */
bool config_change_settle(struct request *req, const struct config_change *c, bool validate_only,
                          int16_t *error_code, struct slice *message);
void config_change_encode(const struct config_change *c, struct buffer *out);

/* Whether a broker's setting may be changed while it runs. */
bool config_is_dynamic(struct slice name);
