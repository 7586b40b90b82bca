/*
 * The cluster's metadata at one index of the metadata log, immutable: what the data path reads.
 *
 * Readers take a reference (image_ref of the current one), look up, and give it back; no lock is
 * held meanwhile. Applying a command copies only what changed: topics and brokers are shared
 * between images and counted. Arrays are sorted (topics by name, brokers by node id), so that every
 * walk has one order.
 */
#pragma once

#include <stdatomic.h>

#include "proto/base/slice.h"
#include "proto/errors.h"

#define COORDINATOR_SLOTS  64
#define IMAGE_REPLICAS_MAX 32 /* most replicas of a partition */

struct image_resources;

struct image_endpoint {
    struct slice listener; /* listener name */
    struct slice host;
    int32_t port;
    int16_t security_protocol; /* 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL */
};

struct image_broker {
    atomic_int refs;
    int32_t node_id;
    struct uuid incarnation; /* one uptime of the process */
    int64_t epoch;           /* index of the registration; grows with every registration */
    bool fenced;
    bool shutting_down; /* controlled shutdown asked for */
    struct slice rack;  /* null: none */
    struct image_endpoint *endpoints;
    int endpoints_count;
};

struct image_partition {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t *replicas;
    int replicas_count;
    int32_t *isr;
    int isr_count;
    int32_t *elr; /* eligible leader replicas (KIP-966) */
    int elr_count;
    /* While it moves (KIP-455); both are among the replicas. */
    int32_t *adding;
    int adding_count;
    int32_t *removing;
    int removing_count;
};

struct image_config {
    struct slice name;
    struct slice value;
};

struct image_topic {
    atomic_int refs;
    struct slice name;
    struct uuid id;
    struct image_partition *partitions;
    int32_t partitions_count;
    struct image_config *configs; /* only what was set on the topic, sorted by name */
    int configs_count;
};

struct image_slot {
    int32_t node_id; /* -1: no live broker */
    int32_t epoch;   /* commands of an older epoch are refused when applied */
};

struct image {
    atomic_int refs;
    int64_t index;           /* metadata log index of the last change of this view */
    struct slice cluster_id; /* null before the cluster is formed */
    struct image_broker **brokers;
    int brokers_count;
    struct image_topic **topics; /* sorted by name */
    struct image_topic **topics_by_id;
    int32_t topics_count;
    struct image_slot slots[COORDINATOR_SLOTS];
    struct image_config *broker_configs; /* cluster-wide dynamic defaults ("" entity) */
    int broker_configs_count;
    struct image_resources *resources; /* other settings: image_resources.h; NULL: none */
};

struct image *image_ref(struct image *img);
void image_unref(struct image *img); /* NULL is fine */

const struct image_topic *image_find_topic(const struct image *img, struct slice name);
const struct image_topic *image_find_topic_by_id(const struct image *img, struct uuid id);
/* NULL when out of range. */
const struct image_partition *image_find_partition(const struct image_topic *topic, int32_t index);
const struct image_broker *image_find_broker(const struct image *img, int32_t node_id);
/* NULL when the broker has no such listener. */
const struct image_endpoint *image_find_endpoint(const struct image_broker *b,
                                                 struct slice listener);
/* Null slice when not set. */
struct slice image_topic_config(const struct image_topic *topic, struct slice name);
/* Likewise of a cluster-wide setting. */
struct slice image_cluster_config(const struct image *img, struct slice name);
/* Which slot coordinates this group or transactional id; equal on all nodes and for ever. */
int image_slot_of(struct slice id);

/* The current image, swapped atomically by its publisher (QUORUM), read by any thread. */
struct image_cell;
struct image_cell *image_cell_new(void);
void image_cell_free(struct image_cell *cell);
struct image *image_cell_get(struct image_cell *cell); /* a reference; NULL before the first */
void image_cell_set(struct image_cell *cell, struct image *img); /* takes the reference */
