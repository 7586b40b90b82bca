/*
 * Settings of what is neither a topic nor the whole cluster: one broker, a group, a client metrics
 * subscription, the quotas of a client, feature levels. Part of an image (image.h), shared between
 * images and counted, because it seldom changes.
 */
#pragma once

#include "coord/image.h"

/* Kafka's numbers of resource types where it has one. */
enum image_resource_kind {
    RESOURCE_BROKER = 4, /* name: its node id */
    RESOURCE_CLIENT_METRICS = 16,
    RESOURCE_GROUP = 32,
    RESOURCE_QUOTA = 100,  /* name: the entity, see broker/quota_entity.h */
    RESOURCE_FEATURE = 101 /* name: "cluster"; settings: feature names and levels */
};

struct image_resource {
    int8_t kind;
    struct slice name;
    struct image_config *configs; /* sorted by name, at least one */
    int configs_count;
};

struct image_resources {
    atomic_int refs;
    struct image_resource *items; /* sorted by kind, then name */
    int count;
};

/* NULL: it has no settings. */
const struct image_resource *image_find_resource(const struct image *img, int8_t kind,
                                                 struct slice name);
/* Null slice: not set. */
struct slice image_resource_config(const struct image *img, int8_t kind, struct slice name,
                                   struct slice config);
/* What is set on one broker beside the cluster-wide defaults. */
struct slice image_broker_config(const struct image *img, int32_t node_id, struct slice config);

/* For the state machine only, on an image with refs == 1. Takes the settings (from configs_copy);
 * none: the resource is forgotten. */
void image_put_resource(struct image *img, int8_t kind, struct slice name,
                        struct image_config *configs, int configs_count);
struct image_resources *image_resources_ref(struct image_resources *rs); /* NULL stays NULL */
void image_resources_unref(struct image_resources *rs);
