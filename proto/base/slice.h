/*
 * A borrowed range of bytes: strings, keys, record batches. A slice never owns its memory; data ==
 * NULL is Kafka's null (and size is 0 then), an empty string has data != NULL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t size;
};

struct uuid {
    uint8_t bytes[16];
};

#define SLICE_NULL     ((struct slice){NULL, 0})
#define SLICE(literal) ((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})
#define SLICE_FMT      "%.*s"
#define SLICE_ARG(s)   (int)(s).size, (const char *)((s).data ? (s).data : (const uint8_t *)"")
#define UUID_ZERO      ((struct uuid){{0}})
#define UUID_TEXT_SIZE 23

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){data, size};
}

static inline struct slice slice_from_text(const char *text)
{
    return text ? slice_of(text, strlen(text)) : SLICE_NULL;
}

static inline bool slice_is_null(struct slice s)
{
    return s.data == NULL;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equals_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_from_text(text));
}

/* Byte order, as memcmp; a shorter prefix sorts first. */
int slice_compare(struct slice a, struct slice b);

/* Heap copy with a closing NUL, owned by the caller (free); NULL for a null slice. */
char *slice_to_text(struct slice s);

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static inline bool uuid_is_zero(struct uuid id)
{
    return uuid_equal(id, UUID_ZERO);
}

/* Kafka's text form: URL-safe base64 without padding, 22 characters and NUL. */
void uuid_to_text(struct uuid id, char text[UUID_TEXT_SIZE]);

/* The inverse. 0, or -EINVAL. */
int uuid_from_text(struct slice text, struct uuid *id);
