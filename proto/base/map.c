/* Open addressing over an array of entries that keeps the order of insertion. */
#include "proto/base/map.h"

#include <stdlib.h>

#include "proto/base/check.h"

/* FNV-1a with a final mix. Peers choose keys (topic, group, client ids), but every table keyed by
 * them is bounded by configuration, so that a flood of colliding keys costs its sender its own
 * bound. */
uint32_t hash_bytes(struct slice s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ s.data[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return (uint32_t)(h ^ (h >> 32));
}

void map_deinit(struct map *m)
{
    for (size_t i = 0; i < m->entries_count; i++)
        free((void *)m->entries[i].key.data);
    free(m->entries);
    free(m->slots);
    *m = (struct map){0};
}

static void slot_insert(struct map *m, uint32_t hash, uint32_t index)
{
    size_t at = hash & (m->slots_count - 1);
    while (m->slots[at] != 0)
        at = (at + 1) & (m->slots_count - 1);
    m->slots[at] = index + 1;
}

/* Drop the holes and make room for twice the live entries. */
static void rebuild(struct map *m)
{
    size_t live = 0;
    for (size_t i = 0; i < m->entries_count; i++)
        if (m->entries[i].key.data != NULL)
            m->entries[live++] = m->entries[i];
    m->entries_count = live;

    size_t slots = 16;
    while (slots < live * 4)
        slots *= 2;
    free(m->slots);
    m->slots = mem_zalloc(slots * sizeof(*m->slots));
    m->slots_count = slots;
    m->entries = mem_realloc(m->entries, (slots / 2) * sizeof(*m->entries));
    for (size_t i = 0; i < live; i++)
        slot_insert(m, m->entries[i].hash, (uint32_t)i);
}

static struct map_entry *entry_find(const struct map *m, struct slice key, uint32_t hash)
{
    if (m->slots_count == 0)
        return NULL;
    size_t at = hash & (m->slots_count - 1);
    while (m->slots[at] != 0) {
        struct map_entry *entry = &m->entries[m->slots[at] - 1];
        if (entry->hash == hash && entry->key.data != NULL && slice_equal(entry->key, key))
            return entry;
        at = (at + 1) & (m->slots_count - 1);
    }
    return NULL;
}

void *map_find(const struct map *m, struct slice key)
{
    struct map_entry *entry = entry_find(m, key, hash_bytes(key));
    return entry ? entry->value : NULL;
}

void *map_put(struct map *m, struct slice key, void *value)
{
    CHECK(value != NULL);
    uint32_t hash = hash_bytes(key);
    struct map_entry *entry = entry_find(m, key, hash);
    if (entry != NULL) {
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    if (m->entries_count >= m->slots_count / 2)
        rebuild(m);
    uint8_t *copy = mem_alloc(key.size + 1);
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    copy[key.size] = '\0';
    m->entries[m->entries_count] =
        (struct map_entry){.key = {copy, key.size}, .value = value, .hash = hash};
    slot_insert(m, hash, (uint32_t)m->entries_count++);
    m->count++;
    return NULL;
}

void *map_remove(struct map *m, struct slice key)
{
    struct map_entry *entry = entry_find(m, key, hash_bytes(key));
    if (entry == NULL)
        return NULL;
    void *old = entry->value;
    free((void *)entry->key.data);
    entry->key = SLICE_NULL; /* stays as a hole until the next rebuild, so that probing goes on */
    entry->value = NULL;
    m->count--;
    return old;
}

struct map_entry *map_next(const struct map *m, struct map_entry *entry)
{
    size_t i = entry ? (size_t)(entry - m->entries) + 1 : 0;
    for (; i < m->entries_count; i++)
        if (m->entries[i].key.data != NULL)
            return &m->entries[i];
    return NULL;
}
