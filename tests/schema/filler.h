/*
 * Random values for the fields of messages: often the extremes, strings that are valid UTF-8 (Java
 * would change others), arrays of a few elements. A seed is the whole input.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/rng.h"

struct filler {
    struct rng rng;
    struct arena *arena;
};

bool filler_null(struct filler *f);
bool filler_bool(struct filler *f);
int8_t filler_i8(struct filler *f);
int16_t filler_i16(struct filler *f);
uint16_t filler_u16(struct filler *f);
int32_t filler_i32(struct filler *f);
uint32_t filler_u32(struct filler *f);
int64_t filler_i64(struct filler *f);
double filler_f64(struct filler *f);
struct uuid filler_uuid(struct filler *f);
struct slice filler_string(struct filler *f, bool nullable);
struct slice filler_bytes(struct filler *f, bool nullable);
/* -1 for null. */
int32_t filler_count(struct filler *f, bool nullable);
void *filler_array(struct filler *f, int32_t count, size_t item_size);
