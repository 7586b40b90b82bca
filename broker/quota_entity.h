/*
 * Who a quota is for: a user, a client id, both, or an address; each by name or the default.
 *
 * As the name of a resource (coord/image_resources.h) it is text, its parts in one order:
 * "client-id=web,user=<default>"; other bytes than [a-zA-Z0-9._-] in names are %XX.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/slice.h"
#include "proto/errors.h"

#define QUOTA_PARTS_MAX 3

struct quota_part {
    struct slice type;
    struct slice name; /* null: the default */
};

struct quota_entity {
    struct quota_part parts[QUOTA_PARTS_MAX]; /* sorted by type */
    int count;
};

/* Whether this is one that there may be: ERR_INVALID_REQUEST with a reason. */
enum error_code quota_entity_add(struct quota_entity *e, struct slice type, struct slice name,
                                 char reason[200]) MUST_CHECK;
enum error_code quota_entity_check(const struct quota_entity *e, char reason[200]) MUST_CHECK;
/* NULL: it has no such part. */
const struct quota_part *quota_entity_find(const struct quota_entity *e, struct slice type);

struct slice quota_entity_encode(const struct quota_entity *e, struct arena *arena);
/* 0, or -EBADMSG for what quota_entity_encode() never makes. Names go to the arena. */
int quota_entity_decode(struct slice text, struct arena *arena, struct quota_entity *e) MUST_CHECK;

/* A stored value. */
double quota_value_parse(struct slice text);
/* Whether this key is a quota of such an entity, and the value is right. */
enum error_code quota_value_check(const struct quota_entity *e, struct slice key, double value,
                                  char reason[200]) MUST_CHECK;
