/*
 * Who gets which partitions in a group of the consumer protocol (KIP-848): pure.
 *
 *   uniform  as many for each as for the others; what somebody has stays with him where it can; a
 *            partition that is to be given out goes to a member of one of its replicas' racks
 *   range    each topic by itself, cut into ranges in the order of the members: topics with equal
 *            counts and subscribers are cut equally
 *
 * Both depend on the input alone, so that the same group is assigned alike by every coordinator.
 */
#pragma once

#include "coord/image.h"
#include "coord/partition_set.h"
#include "proto/base/arena.h"

struct assignor_member {
    struct slice id;
    struct slice instance_id; /* null: dynamic */
    struct slice rack;        /* null: none */
    int32_t *topics;          /* numbers of the topics that it wants, ascending */
    int32_t topics_count;
    struct partition_set now; /* what it was to have until now */
    struct partition_set out; /* what it is to have: the result, sorted */
};

struct assignor_group {
    const struct image *img;           /* for racks */
    const struct image_topic **topics; /* in the order of their ids, each once */
    int32_t topics_count;
    struct assignor_member *members; /* in the order of their ids */
    int32_t members_count;
};

typedef void assignor(struct assignor_group *g);

/* NULL: there is none of this name. */
assignor *assignor_find(struct slice name);

void assign_uniform(struct assignor_group *g);
void assign_range(struct assignor_group *g);
