/*
 * Hash map from bytes (copied) to a pointer, iterated in the order of insertion, so that nothing
 * depends on addresses. Removal keeps the order of the others. A zeroed map is valid and empty.
 *
 *   MAP_FOR_EACH (entry, &map) { entry->key, entry->value }      no insertion or removal inside
 */
#pragma once

#include "proto/base/slice.h"

struct map_entry {
    struct slice key; /* owned by the map; data == NULL: removed */
    void *value;
    uint32_t hash;
};

struct map {
    struct map_entry *entries; /* in order of insertion, with holes */
    uint32_t *slots;           /* index + 1 into entries, 0: empty */
    size_t entries_count;      /* holes included */
    size_t slots_count;        /* a power of two */
    size_t count;              /* live entries */
};

void map_deinit(struct map *m);
void *map_find(const struct map *m, struct slice key);
/* Set key to value (not NULL); returns the value that was there before, or NULL. */
void *map_put(struct map *m, struct slice key, void *value);
/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct slice key);

struct map_entry *map_next(const struct map *m, struct map_entry *entry);

#define MAP_FOR_EACH(entry, m)                                                                     \
    for (struct map_entry *entry = map_next(m, NULL); entry != NULL; entry = map_next(m, entry))

/* Keys that are integers or ids: a slice over their bytes. */
#define MAP_KEY(variable) slice_of(&(variable), sizeof(variable))

uint32_t hash_bytes(struct slice s);
