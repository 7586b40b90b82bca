/*
 * What one request names more than once, which Kafka refuses: noted by key first, then asked, so
 * that a request of a million names costs a million look-ups and not their square.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/map.h"

void named_note(struct map *named, struct slice key);
bool named_twice(const struct map *named, struct slice key);

/* A key of a number and a name: a type with its resource, a partition with its topic. */
struct slice named_key(struct arena *arena, int32_t number, struct slice name);
