/*
 * The newest offset of every key, in bounded memory: keys are known by a 128-bit hash under a
 * random secret, so that nobody can make two of them meet.
 */
#pragma once

#include "proto/base/slice.h"

struct offset_map_slot {
    uint64_t hash[2];
    int64_t offset; /* -1: free */
};

struct offset_map {
    struct offset_map_slot *slots;
    uint64_t secret[2];
    size_t slots_count;
    size_t count;
};

/* slots_count >= 1. */
void offset_map_init(struct offset_map *m, size_t slots_count);
void offset_map_deinit(struct offset_map *m);
/* There is a free slot: offset_map.count < slots_count. */
void offset_map_put(struct offset_map *m, struct slice key, int64_t offset);
/* -1: unknown. */
int64_t offset_map_find(const struct offset_map *m, struct slice key);
