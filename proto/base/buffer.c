/* Growing bytes. */
#include "proto/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_deinit(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_clear(struct buffer *b)
{
    b->size = 0;
}

uint8_t *buffer_reserve(struct buffer *b, size_t more)
{
    size_t need = b->size + more;
    if (need > b->capacity) {
        size_t capacity = MAX(need, b->capacity * 2);
        capacity = MAX(capacity, (size_t)64);
        b->data = mem_realloc(b->data, capacity);
        b->capacity = capacity;
    }
    return b->data + b->size;
}

void buffer_append(struct buffer *b, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_reserve(b, size), data, size);
    b->size += size;
}

void buffer_append_slice(struct buffer *b, struct slice s)
{
    buffer_append(b, s.data, s.size);
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    CHECK(size >= 0);
    vsnprintf((char *)buffer_reserve(b, (size_t)size + 1), (size_t)size + 1, fmt, again);
    va_end(again);
    b->size += (size_t)size;
}
