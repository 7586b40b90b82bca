/*
 * Growing bytes owned by their holder: encoded answers, command batches, files read whole.
 */
#pragma once

#include "proto/base/check.h"
#include "proto/base/slice.h"

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* A zeroed struct buffer is a valid, empty buffer. */
void buffer_deinit(struct buffer *b);
void buffer_clear(struct buffer *b);
/* Room for `more` bytes behind size; returns where they start. Does not change size. */
uint8_t *buffer_reserve(struct buffer *b, size_t more);
void buffer_append(struct buffer *b, const void *data, size_t size);
void buffer_append_slice(struct buffer *b, struct slice s);
void buffer_printf(struct buffer *b, const char *fmt, ...) PRINTF(2, 3);

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_of(b->data ? b->data : (const uint8_t *)"", b->size);
}
