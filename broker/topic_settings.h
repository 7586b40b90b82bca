/*
 * A topic's settings in force: what was set on it, else the cluster's dynamic default, else this
 * node's configuration.
 */
#pragma once

#include "broker/config.h"
#include "coord/image.h"
#include "coord/topic_config.h"
#include "proto/validate.h"
#include "replication/partition.h"

/* This node, for the lookups of coord/topic_config.h. */
struct config_node topic_config_node(const struct config *c);

void topic_partition_config(const struct config *c, const struct image *img,
                            const struct image_topic *topic, struct partition_config *out);
void topic_validate_rules(const struct config *c, const struct image *img,
                          const struct image_topic *topic, int16_t produce_version,
                          struct validate_rules *out);
