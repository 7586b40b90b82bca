/*
 * What consumers of the classic protocol put into their metadata and assignments (Kafka's
 * ConsumerProtocol): topics by name, partitions, a rack. Read and written by the coordinator only
 * where members of both protocols are in one group.
 */
#pragma once

#include "coord/image.h"
#include "coord/partition_set.h"
#include "proto/base/arena.h"
#include "proto/base/buffer.h"
#include "proto/base/check.h"

struct embedded_subscription {
    int16_t version;
    struct slice *topics;
    int32_t topics_count;
    struct partition_set owned; /* of topics that there are; the caller's to free */
    struct slice rack;          /* null: none */
};

/* Slices borrow the metadata, the array is the arena's. 0 or -EBADMSG, then nothing is owned. */
int embedded_subscription_decode(struct slice metadata, const struct image *img,
                                 struct arena *arena, struct embedded_subscription *out) MUST_CHECK;
/* Adds to out, which is to be sorted. *custom: it carries data of an assignor of its own. */
int embedded_assignment_decode(struct slice assignment, const struct image *img,
                               struct partition_set *out, bool *custom) MUST_CHECK;
void embedded_assignment_encode(const struct partition_set *set, const struct image *img,
                                int16_t version, struct buffer *out);
