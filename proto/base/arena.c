/* Bump allocation in a chain of blocks. */
#include "proto/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BLOCK_MIN 1024u
#define ARENA_BLOCK_MAX 65536u
#define ARENA_ALIGN     16u

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    _Alignas(16) uint8_t bytes[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit_bytes = limit_bytes};
}

void arena_deinit(struct arena *a)
{
    struct arena_block *block = a->head;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *a = (struct arena){.limit_bytes = a->limit_bytes};
}

static struct arena_block *block_add(struct arena *a, size_t need)
{
    size_t size = a->head ? MIN(a->head->size * 2, ARENA_BLOCK_MAX) : ARENA_BLOCK_MIN;
    bool own = need > size / 2;
    if (own)
        size = need;
    struct arena_block *block = mem_alloc(sizeof(*block) + size);
    block->size = size;
    block->used = 0;
    /* A block made for one large piece is full: keep the half-empty head in front of it. */
    if (own && a->head != NULL) {
        block->next = a->head->next;
        a->head->next = block;
    } else {
        block->next = a->head;
        a->head = block;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t need = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->limit_bytes != 0 && need > a->limit_bytes - MIN(a->limit_bytes, a->used_bytes))
        return NULL;
    struct arena_block *block = a->head;
    if (block == NULL || block->size - block->used < need)
        block = block_add(a, need);
    void *memory = block->bytes + block->used;
    block->used += need;
    a->used_bytes += need;
    return memset(memory, 0, need);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t item_size)
{
    size_t size;
    if (__builtin_mul_overflow(count, item_size, &size))
        return NULL;
    return arena_alloc(a, size);
}

void *arena_need(struct arena *a, size_t size)
{
    size_t limit = a->limit_bytes;
    a->limit_bytes = 0; /* the limit is for what the peer asks for, not for what we answer */
    void *memory = arena_alloc(a, size);
    a->limit_bytes = limit;
    CHECK(memory != NULL);
    return memory;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    if (slice_is_null(s))
        return SLICE_NULL;
    uint8_t *copy = arena_need(a, s.size + 1);
    memcpy(copy, s.data, s.size);
    return slice_of(copy, s.size);
}

struct slice arena_text(struct arena *a, const char *text)
{
    return arena_copy(a, slice_from_text(text));
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    CHECK(size >= 0);
    char *text = arena_need(a, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, fmt, again);
    va_end(again);
    return slice_of(text, (size_t)size);
}
