/*
 * Memory of one request: allocated piece by piece, freed at once.
 *
 * Blocks grow up to ARENA_BLOCK_MAX; larger pieces get a block of their own. The limit bounds what
 * a peer can make us allocate: past it arena_alloc() returns NULL and the decoder refuses the
 * request. Not thread-safe: it belongs to whoever holds the request.
 */
#pragma once

#include <stdint.h>

#include "proto/base/check.h"
#include "proto/base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used_bytes;
    size_t limit_bytes;
};

/* limit_bytes: most that the arena will hand out in all; 0 means no limit (own data only). */
void arena_init(struct arena *a, size_t limit_bytes);
void arena_deinit(struct arena *a);

/* Zeroed memory, aligned for any type, valid until arena_deinit(); NULL once the limit is
 * reached. */
void *arena_alloc(struct arena *a, size_t size) MUST_CHECK;

/* Zeroed array of count items; NULL on overflow or at the limit. */
void *arena_alloc_array(struct arena *a, size_t count, size_t item_size) MUST_CHECK;

/* Copies that abort at the limit: for answers that we build ourselves. */
struct slice arena_copy(struct arena *a, struct slice s);
struct slice arena_text(struct arena *a, const char *text);
struct slice arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);

/* Zeroed memory for answers that we build ourselves; aborts at the limit. */
void *arena_need(struct arena *a, size_t size);
