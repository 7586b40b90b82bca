/*
 * Typed growing arrays:  VEC(struct member *) members;  vec_push(&v, m);  v.items[i], v.count.
 * A zeroed vec is valid and empty.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count;                                                                              \
        size_t capacity;                                                                           \
    }

#define vec_reserve(v, more)                                                                       \
    do {                                                                                           \
        if ((v)->count + (more) > (v)->capacity) {                                                 \
            (v)->capacity = MAX((v)->count + (more), (v)->capacity * 2 + 4);                       \
            (v)->items = mem_realloc((v)->items, (v)->capacity * sizeof(*(v)->items));             \
        }                                                                                          \
    } while (0)

#define vec_push(v, item)                                                                          \
    do {                                                                                           \
        vec_reserve(v, 1);                                                                         \
        (v)->items[(v)->count++] = (item);                                                         \
    } while (0)

/* Remove item i; the order of the others stays. */
#define vec_remove(v, i)                                                                           \
    do {                                                                                           \
        size_t at_ = (i);                                                                          \
        memmove((v)->items + at_, (v)->items + at_ + 1,                                            \
                ((v)->count - at_ - 1) * sizeof(*(v)->items));                                     \
        (v)->count--;                                                                              \
    } while (0)

/* Insert before item i (<= count). */
#define vec_insert(v, i, item)                                                                     \
    do {                                                                                           \
        size_t at_ = (i);                                                                          \
        vec_reserve(v, 1);                                                                         \
        memmove((v)->items + at_ + 1, (v)->items + at_, ((v)->count - at_) * sizeof(*(v)->items)); \
        (v)->items[at_] = (item);                                                                  \
        (v)->count++;                                                                              \
    } while (0)

#define vec_clear(v) ((v)->count = 0)

#define vec_deinit(v)                                                                              \
    do {                                                                                           \
        free((v)->items);                                                                          \
        (v)->items = NULL;                                                                         \
        (v)->count = (v)->capacity = 0;                                                            \
    } while (0)

/* FOR_EACH (item, array, count): item points at each element; none where count <= 0. */
#define FOR_EACH(item, array, n)                                                                   \
    for (__typeof__(*(array)) *item = (array), *item##_end_ = (n) > 0 ? item + (n) : item;         \
         item < item##_end_; item++)
