/*
 * A set of partitions, sorted by topic id and number, each with the epoch at which it was given
 * out. A zeroed set is valid and empty; sets do not share memory.
 */
#pragma once

#include "proto/base/slice.h"
#include "proto/base/vec.h"

struct set_partition {
    struct uuid topic;
    int32_t index;
    int32_t epoch; /* not part of what is compared */
};

struct partition_set {
    struct set_partition *items;
    size_t count;
    size_t capacity;
};

void partition_set_deinit(struct partition_set *set);
/* Anywhere; partition_set_sort() must follow before anything else is asked. */
void partition_set_push(struct partition_set *set, struct uuid topic, int32_t index, int32_t epoch);
void partition_set_sort(struct partition_set *set); /* doubles are dropped */

const struct set_partition *partition_set_find(const struct partition_set *set, struct uuid topic,
                                               int32_t index);
/* The items of one topic lie together: the first at or after `from` of another topic. */
size_t partition_set_topic_end(const struct partition_set *set, size_t from);

bool partition_set_equal(const struct partition_set *a, const struct partition_set *b);
bool partition_set_contains(const struct partition_set *set, const struct partition_set *part);
bool partition_set_intersects(const struct partition_set *a, const struct partition_set *b);

void partition_set_copy(struct partition_set *to, const struct partition_set *from);
void partition_set_keep(struct partition_set *set, const struct partition_set *only);
void partition_set_drop(struct partition_set *set, const struct partition_set *what);
/* Epochs of those that are in both stay as they are in `set`. */
void partition_set_add(struct partition_set *set, const struct partition_set *more);
/* `from` is empty afterwards. */
void partition_set_move(struct partition_set *to, struct partition_set *from);
