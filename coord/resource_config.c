/* Group and client metrics settings: the tables, checking values, finding the one in force. */
#include "coord/resource_config.h"

#include <stdio.h>
#include <stdlib.h>

/* The bounds of what begins with consumer. are the brokers' settings: they check them when a value
 * is set, and keep to them when it is used. */
const struct topic_config group_configs[] = {
    {"consumer.assignment.interval.ms", CONFIG_INT, "1000", "group.consumer.assignment.interval.ms",
     0, INT32_MAX, NULL, "Shortest time between two assignments of the group.", false},
    {"consumer.heartbeat.interval.ms", CONFIG_INT, "5000", "group.consumer.heartbeat.interval.ms",
     1, INT32_MAX, NULL, "Time between two heartbeats of a member.", false},
    {"consumer.session.timeout.ms", CONFIG_INT, "45000", "group.consumer.session.timeout.ms", 1,
     INT32_MAX, NULL, "Time without a heartbeat after which a member is out.", false},
    {"errors.deadletterqueue.copy.record.enable", CONFIG_BOOLEAN, "false", NULL, 0, 0, NULL,
     "Whether a share group's dead letters carry the whole record.", false},
    {"errors.deadletterqueue.topic.name", CONFIG_STRING, "", NULL, 0, 0, NULL,
     "Where a share group puts records that it could not process.", false},
    {"share.assignment.interval.ms", CONFIG_INT, "1000", "group.share.assignment.interval.ms", 0,
     15000, NULL, "Shortest time between two assignments of the share group.", false},
    {"share.auto.offset.reset", CONFIG_STRING, "latest", NULL, 0, 0, NULL,
     "Where a share group begins: latest, earliest, or by_duration: and a duration.", false},
    {"share.delivery.count.limit", CONFIG_INT, "5", "group.share.delivery.count.limit", 2, 10, NULL,
     "How often a share group delivers a record at most.", false},
    {"share.heartbeat.interval.ms", CONFIG_INT, "5000", "group.share.heartbeat.interval.ms", 5000,
     15000, NULL, "Time between two heartbeats of a share group's member.", false},
    {"share.isolation.level", CONFIG_STRING, "read_uncommitted", NULL, 0, 0,
     "read_uncommitted read_committed", "Which records a share group sees.", false},
    {"share.partition.max.record.locks", CONFIG_INT, "2000",
     "group.share.partition.max.record.locks", 100, 10000, NULL,
     "How many records of a partition a share group may hold.", false},
    {"share.record.lock.duration.ms", CONFIG_INT, "30000", "group.share.record.lock.duration.ms",
     15000, 60000, NULL, "How long a share group's member may hold a record.", false},
    {"share.renew.acknowledge.enable", CONFIG_BOOLEAN, "true", NULL, 0, 0, NULL,
     "Whether a share group's member may hold a record for longer.", false},
    {"share.session.timeout.ms", CONFIG_INT, "45000", "group.share.session.timeout.ms", 45000,
     60000, NULL, "Time without a heartbeat after which a share group's member is out.", false},
    {"streams.assignment.interval.ms", CONFIG_INT, "1000", "group.streams.assignment.interval.ms",
     0, 15000, NULL, "Shortest time between two assignments of the streams group.", false},
    {"streams.assignor.name", CONFIG_STRING, "sticky", NULL, 0, 0, NULL,
     "Who assigns a streams group's tasks.", false},
    {"streams.heartbeat.interval.ms", CONFIG_INT, "5000", "group.streams.heartbeat.interval.ms",
     5000, 15000, NULL, "Time between two heartbeats of a streams group's member.", false},
    {"streams.initial.rebalance.delay.ms", CONFIG_INT, "3000",
     "group.streams.initial.rebalance.delay.ms", 0, INT32_MAX, NULL,
     "How long a new streams group waits for more members.", false},
    {"streams.num.standby.replicas", CONFIG_INT, "0", "group.streams.num.standby.replicas", 0, 2,
     NULL, "Standby copies of a streams group's stores.", false},
    {"streams.rack.aware.assignment.tags", CONFIG_STRING, "", NULL, 0, 0, NULL,
     "Client tags over which a streams group spreads standby copies.", false},
    {"streams.session.timeout.ms", CONFIG_INT, "45000", "group.streams.session.timeout.ms", 45000,
     60000, NULL, "Time without a heartbeat after which a streams group's member is out.", false},
};
const int group_configs_count = (int)ARRAY_COUNT(group_configs);

const struct topic_config client_metrics_configs[] = {
    {"interval.ms", CONFIG_INT, "300000", NULL, 100, 3600000, NULL,
     "Time between two pushes of a client's metrics.", false},
    {"match", CONFIG_LIST, "", NULL, 0, 0, NULL,
     "Which clients the subscription is for: name=pattern, separated by commas.", false},
    {"metrics", CONFIG_LIST, "", NULL, 0, 0, NULL,
     "Prefixes of the metrics that are wanted; * for all.", false},
};
const int client_metrics_configs_count = (int)ARRAY_COUNT(client_metrics_configs);

static const struct topic_config *table_of(int8_t kind, int *count)
{
    *count = kind == RESOURCE_GROUP ? group_configs_count : client_metrics_configs_count;
    return kind == RESOURCE_GROUP ? group_configs : client_metrics_configs;
}

const struct topic_config *resource_config_find(int8_t kind, struct slice name)
{
    int count;
    const struct topic_config *table = table_of(kind, &count);
    for (int i = 0; i < count; i++) {
        if (slice_equals_text(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

static enum error_code unknown_name(int8_t kind, struct slice name, char reason[200])
{
    const char *what = kind == RESOURCE_GROUP ? "Unknown group config name"
                                              : "Unknown client metrics configuration";
    snprintf(reason, 200, "%s: %.*s", what, (int)MIN(name.size, 100), (const char *)name.data);
    return kind == RESOURCE_GROUP ? ERR_INVALID_CONFIG : ERR_INVALID_REQUEST;
}

/* name=pattern pairs of the selectors that KIP-714 has. */
static bool match_allowed(struct slice value)
{
    static const char *const NAMES[] = {"client_instance_id",    "client_id",
                                        "client_software_name",  "client_software_version",
                                        "client_source_address", "client_source_port"};
    while (value.size > 0) {
        const uint8_t *comma = memchr(value.data, ',', value.size);
        size_t size = comma != NULL ? (size_t)(comma - value.data) : value.size;
        const uint8_t *equals = memchr(value.data, '=', size);
        struct slice name =
            slice_of(value.data, equals != NULL ? (size_t)(equals - value.data) : 0);
        bool known = false;
        for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
            known = known || slice_equals_text(name, NAMES[i]);
        if (!known)
            return false;
        size_t used = MIN(size + 1, value.size);
        value = slice_of(value.data + used, value.size - used);
    }
    return true;
}

enum error_code resource_config_check(int8_t kind, struct slice name, struct slice value,
                                      char reason[200])
{
    if (kind != RESOURCE_GROUP && kind != RESOURCE_CLIENT_METRICS)
        return ERR_NONE;
    const struct topic_config *config = resource_config_find(kind, name);
    if (config == NULL)
        return unknown_name(kind, name, reason);
    if (strcmp(config->name, "match") == 0 && !match_allowed(value)) {
        snprintf(reason, 200, "Illegal client matching pattern: %.*s", (int)MIN(value.size, 100),
                 (const char *)value.data);
        return ERR_INVALID_CONFIG;
    }
    enum error_code err = topic_config_check(config, value, reason);
    return err != ERR_NONE && kind == RESOURCE_CLIENT_METRICS ? ERR_INVALID_REQUEST : err;
}

int resource_config_layers(const struct image *img, int8_t kind, struct slice resource,
                           const struct topic_config *config, const struct config_node *node,
                           struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX])
{
    struct slice own = image_resource_config(img, kind, resource, slice_from_text(config->name));
    if (slice_is_null(own))
        return topic_config_layers(img, NULL, config, node, layers);
    layers[0] = (struct topic_config_layer){
        .name = config->name,
        .name_size = strlen(config->name),
        .value = own,
        .source = kind == RESOURCE_GROUP ? CONFIG_SOURCE_GROUP : CONFIG_SOURCE_CLIENT_METRICS};
    struct topic_config_layer others[TOPIC_CONFIG_LAYERS_MAX];
    int count =
        MIN(topic_config_layers(img, NULL, config, node, others), TOPIC_CONFIG_LAYERS_MAX - 1);
    for (int i = 0; i < count; i++) {
        layers[i + 1] = others[i];
        if (others[i].value.data == (const uint8_t *)others[i].text)
            layers[i + 1].value = slice_of(layers[i + 1].text, others[i].value.size);
    }
    return count + 1;
}

int64_t group_config_number(const struct image *img, struct slice group, const char *name,
                            const struct config_node *node)
{
    const struct topic_config *config = resource_config_find(RESOURCE_GROUP, slice_from_text(name));
    CHECK(config != NULL);
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    int count = resource_config_layers(img, RESOURCE_GROUP, group, config, node, layers);
    char reason[200];
    int i = 0;
    while (i < count - 1 && topic_config_check(config, layers[i].value, reason) != ERR_NONE)
        i++;
    struct slice value = layers[i].value;
    if (config->type == CONFIG_BOOLEAN)
        return slice_equals_text(value, "true");
    char text[32] = "";
    memcpy(text, value.data, MIN(value.size, sizeof(text) - 1));
    return strtoll(text, NULL, 10);
}
