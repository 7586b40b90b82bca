/*
 * Building the next image from the last one, for the state machine only (metadata*.c).
 *
 * An image that nobody else holds (refs == 1) is changed in place; a shared one is copied first
 * (image_copy: pointers only). The same rule holds one level down for topics and brokers:
 * image_edit_* gives back one that only this image holds. So an edit costs what it changes, and
 * readers never see it.
 */
#pragma once

#include "coord/image.h"

/* Empty, one reference: no brokers, no topics, no slot owned. */
struct image *image_new(void);
/* Shares topics and brokers with img. */
struct image *image_copy(const struct image *img);
/* Takes the reference to img; gives back img itself when nobody else holds it, else a copy. */
struct image *image_own(struct image *img);

/* Deep copies, refs == 1; names and arrays are owned by the copy. */
struct image_broker *image_broker_copy(const struct image_broker *b);
struct image_topic *image_topic_copy(const struct image_topic *topic);
/* Partitions are zeroed: image_partition_init() each. */
struct image_topic *image_topic_new(struct slice name, struct uuid id, int32_t partitions_count);
void image_topic_unref(struct image_topic *topic);
void image_broker_unref(struct image_broker *b);

/* Owns room for as many ISR and ELR members as there are replicas; leader -1, both empty, epochs 0.
 */
void image_partition_init(struct image_partition *p, const int32_t *replicas, int count);
/* Other replicas for a partition: ISR and ELR keep who still is one; nothing moves. */
void image_partition_assign(struct image_partition *p, const int32_t *replicas, int count);
/* Grow to `count`: the new partitions are zeroed. */
void image_topic_grow(struct image_topic *topic, int32_t count);

/* On an image with refs == 1. put takes the reference and replaces the one of the same id. */
void image_put_broker(struct image *img, struct image_broker *b);
void image_remove_broker(struct image *img, int32_t node_id);
void image_put_topic(struct image *img, struct image_topic *topic);
void image_remove_topic(struct image *img, struct uuid id);
/* Not NULL: it exists. Valid until the next change of the same topic or broker. */
struct image_topic *image_edit_topic(struct image *img, struct uuid id);
struct image_broker *image_edit_broker(struct image *img, int32_t node_id);

/* Sorted lists of settings; names and values are copied. A null value removes. */
void configs_put(struct image_config **configs, int *count, struct slice name, struct slice value);
void configs_free(struct image_config *configs, int count);
struct image_config *configs_copy(const struct image_config *configs, int count);
struct slice configs_find(const struct image_config *configs, int count, struct slice name);

/* Owned copy of the bytes (null stays null), and its release. */
struct slice slice_dup(struct slice s);
void slice_free(struct slice s);

bool ids_contain(const int32_t *ids, int count, int32_t id);
/* Unfenced and not shutting down: may lead, join an ISR and coordinate. */
bool image_broker_active(const struct image *img, int32_t node_id);
