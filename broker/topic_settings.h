/*
 * A topic's settings in force: what was set on it, else the cluster's dynamic default, else this
 * node's configuration.
 */
#pragma once

#include "broker/config.h"
#include "coord/image.h"
#include "proto/validate.h"
#include "replication/partition.h"

/* Text of a setting, null when only the configuration's default applies. */
struct slice topic_setting(const struct image *img, const struct image_topic *topic,
                           const char *name);
int64_t topic_setting_number(const struct image *img, const struct image_topic *topic,
                             const char *name, int64_t fallback);

void topic_partition_config(const struct config *c, const struct image *img,
                            const struct image_topic *topic, struct partition_config *out);
void topic_validate_rules(const struct config *c, const struct image *img,
                          const struct image_topic *topic, int16_t produce_version,
                          struct validate_rules *out);
