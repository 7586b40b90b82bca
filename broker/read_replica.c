/* Reading from the nearest replica. */
#include "broker/read_replica.h"

#include <errno.h>

#include "broker/node.h"
#include "proto/base/logging.h"

/* Kafka's own two, by the names that its configurations have. */
#define RACK_AWARE   "org.apache.kafka.common.replica.RackAwareReplicaSelector"
#define LEADERS_ONLY "org.apache.kafka.common.replica.LeaderSelector"

int read_replica_check(const struct config *c)
{
    const char *wanted = config_text(c, CONFIG_REPLICA_SELECTOR);
    if (wanted == NULL || wanted[0] == '\0' || strcmp(wanted, LEADERS_ONLY) == 0 ||
        read_replica_is_selected(c))
        return 0;
    LOG_ERROR("bad configuration value", "key=%s value=\"%s\" right=\"%s, %s or nothing\"",
              config_name(CONFIG_REPLICA_SELECTOR), wanted, RACK_AWARE, LEADERS_ONLY);
    return -EINVAL;
}

bool read_replica_is_selected(const struct config *c)
{
    const char *wanted = config_text(c, CONFIG_REPLICA_SELECTOR);
    return wanted != NULL && strcmp(wanted, RACK_AWARE) == 0;
}

struct read_near read_replica_near(struct request *req, struct slice rack)
{
    const struct image *img = req->image;
    struct read_near near = {0};
    if (slice_is_null(rack) || rack.size == 0 || img == NULL ||
        !read_replica_is_selected(&req->node->config))
        return near;
    int32_t *ids = arena_need(&req->arena, sizeof(*ids) * (size_t)img->brokers_count);
    near.ids = ids;
    for (int i = 0; i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        struct slice host;
        int32_t port;
        if (!b->fenced && !b->shutting_down && slice_equal(b->rack, rack) &&
            request_endpoint(req, b, &host, &port))
            ids[near.count++] = b->node_id;
    }
    return near;
}
