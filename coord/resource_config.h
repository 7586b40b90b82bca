/*
 * The settings of groups and of client metrics subscriptions: names, types, defaults, and what
 * values are right (those of Apache Kafka 4.4). Where they are kept: image_resources.h.
 */
#pragma once

#include "coord/image_resources.h"
#include "coord/topic_config.h"

extern const struct topic_config group_configs[]; /* sorted by name */
extern const int group_configs_count;
extern const struct topic_config client_metrics_configs[]; /* sorted by name */
extern const int client_metrics_configs_count;

/* NULL for a name that this kind of resource does not have. */
const struct topic_config *resource_config_find(int8_t kind, struct slice name);

/* Kafka's errors: ERR_INVALID_CONFIG for groups, ERR_INVALID_REQUEST for client metrics. Kinds
 * without a table take anything. */
enum error_code resource_config_check(int8_t kind, struct slice name, struct slice value,
                                      char reason[200]) MUST_CHECK;

/* All layers that give a value, as topic_config_layers(); the resource's own comes first. */
int resource_config_layers(const struct image *img, int8_t kind, struct slice resource,
                           const struct topic_config *config, const struct config_node *node,
                           struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX]);

/* The value in force for a group. The name must exist and be a number or boolean (0, 1). */
int64_t group_config_number(const struct image *img, struct slice group, const char *name,
                            const struct config_node *node);
