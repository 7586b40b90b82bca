/* Counting names; the values of the map are marks. */
#include "broker/named.h"

#include <string.h>

#define ONCE  ((void *)1)
#define TWICE ((void *)2)

void named_note(struct map *named, struct slice key)
{
    if (map_put(named, key, ONCE) != NULL)
        map_put(named, key, TWICE);
}

bool named_twice(const struct map *named, struct slice key)
{
    return map_find(named, key) == TWICE;
}

struct slice named_key(struct arena *arena, int32_t number, struct slice name)
{
    uint8_t *key = arena_need(arena, sizeof(number) + name.size);
    memcpy(key, &number, sizeof(number));
    if (name.size > 0)
        memcpy(key + sizeof(number), name.data, name.size);
    return slice_of(key, sizeof(number) + name.size);
}
