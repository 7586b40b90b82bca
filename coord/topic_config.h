/*
 * The settings of topics: names, types, defaults, what values are right, and where a value comes
 * from.
 *
 *   topic's own  >  cluster-wide (dynamic)  >  this node's file (static)  >  built-in default
 *
 * Names, types and defaults are those of Apache Kafka 4.4, plus write.caching, which is ours.
 */
#pragma once

#include "coord/image.h"
#include "proto/base/check.h"

/* Numbers as in DescribeConfigs. */
enum config_type {
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7
};

enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER = 3,
    CONFIG_SOURCE_STATIC_BROKER = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_BROKER_LOGGER = 6,
    CONFIG_SOURCE_CLIENT_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8
};

struct topic_config {
    const char *name;
    enum config_type type;
    const char *default_value;
    /* Names of the same setting for a whole broker, "name" or "name*milliseconds per unit",
     * separated by spaces, the strongest first; NULL: none. */
    const char *server_names;
    int64_t min;
    int64_t max;
    const char *values; /* allowed words, separated by spaces; NULL: any */
    const char *documentation;
    bool ours; /* Kafka does not have it */
};

extern const struct topic_config topic_configs[]; /* sorted by name */
extern const int topic_configs_count;

/* NULL for a name that is no topic setting. */
const struct topic_config *topic_config_find(struct slice name);
/* By a broker's name of it: log.retention.hours gives retention.ms, *unit its milliseconds (else
 * 1). */
const struct topic_config *topic_config_find_server(struct slice server_name, int64_t *unit);

/* ERR_INVALID_CONFIG with a sentence in reason. A null value is refused. */
enum error_code topic_config_check(const struct topic_config *config, struct slice value,
                                   char reason[200]) MUST_CHECK;
/* Name and value. */
enum error_code topic_config_check_named(struct slice name, struct slice value,
                                         char reason[200]) MUST_CHECK;
/* Cluster-wide broker settings: those that topics inherit are checked, others are taken as they
 * are. */
enum error_code server_config_check_named(struct slice name, struct slice value,
                                          char reason[200]) MUST_CHECK;

/* The node whose settings count beside the cluster's. */
struct config_node {
    int32_t node_id;
    /* Its own setting by its broker name; null slice: not set in its file. */
    struct slice (*static_value)(void *arg, const char *server_name);
    void *arg;
};

#define TOPIC_CONFIG_LAYERS_MAX 16

struct topic_config_layer {
    const char *name; /* of the setting on this layer */
    size_t name_size;
    struct slice value; /* borrows image, static value or text */
    enum config_source source;
    char text[24]; /* room for a converted value */
};

/* All layers that give a value, the one in force first; at least the built-in default. topic may be
 * NULL, node too (what the whole cluster agrees on). Returns their number. `layers` must not move
 * while values are used. */
int topic_config_layers(const struct image *img, const struct image_topic *topic,
                        const struct topic_config *config, const struct config_node *node,
                        struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX]);

/* The value in force: numbers, booleans (0, 1), or text into out (cut to fit). The name must exist.
 */
int64_t topic_config_number(const struct image *img, const struct image_topic *topic,
                            const char *name, const struct config_node *node);
double topic_config_double(const struct image *img, const struct image_topic *topic,
                           const char *name, const struct config_node *node);
void topic_config_text(const struct image *img, const struct image_topic *topic, const char *name,
                       const struct config_node *node, char out[200]);
/* Whether a list (cleanup.policy) has this word. */
bool topic_config_list_has(const struct image *img, const struct image_topic *topic,
                           const char *name, const char *word, const struct config_node *node);
