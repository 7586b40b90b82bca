/*
 * Reading and writing Kafka's wire types: big-endian integers, varints, strings, arrays, tagged
 * fields.
 *
 * The reader never goes past its end and never trusts a count: an array is accepted only if the
 * bytes that are left could hold it, and its memory comes from the arena, whose limit bounds the
 * whole request. A reader that failed stays failed: every later read gives 0 or null, so that
 * decoders check once, at the end. Strings and records that are read borrow the frame.
 *
 * The writer appends to a buffer. Records that lie in a file are not copied: the writer notes where
 * they belong (a splice), and the connection sends them from the file between the buffer's bytes.
 *
 * `flexible` says which of Kafka's two encodings is meant: compact lengths (varint, plus one) or
 * fixed ones (int16 for strings, int32 for the rest). `nullable` says whether null may stand here.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/base/buffer.h"
#include "proto/base/check.h"
#include "proto/base/slice.h"
#include "proto/base/vec.h"

/* Bytes of a file that are to be sent: whoever sends or drops them calls release(owner), once. */
struct file_range {
    int fd;
    int64_t position;
    int32_t size;
    void *owner;
    void (*release)(void *owner);
};

/* The records of an answer: in memory, or (file != NULL) in a file. Decoded ones are in memory. */
struct records {
    struct slice bytes;
    struct file_range *file;
};

struct wire_reader {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;
    int err; /* 0, -EBADMSG: malformed, -ENOMEM: the arena's limit */
};

/* arena may be NULL where only headers and varints are read. */
void wire_reader_init(struct wire_reader *r, struct slice bytes, struct arena *arena);
void wire_fail(struct wire_reader *r, int err);

static inline size_t wire_remaining(const struct wire_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next size bytes, or NULL (and the reader failed). */
static inline const uint8_t *wire_take(struct wire_reader *r, size_t size)
{
    if (__builtin_expect(wire_remaining(r) < size, 0)) {
        wire_fail(r, -EBADMSG);
        return NULL;
    }
    const uint8_t *taken = r->at;
    r->at += size;
    return taken;
}

static inline uint64_t wire_load(const uint8_t *p, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | p[i];
    return value;
}

static inline void wire_store(uint8_t *p, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--) {
        p[i] = (uint8_t)value;
        value >>= 8;
    }
}

#define WIRE_GET(name, type)                                                                       \
    static inline type wire_get_##name(struct wire_reader *r)                                      \
    {                                                                                              \
        const uint8_t *p = wire_take(r, sizeof(type));                                             \
        return p ? (type)wire_load(p, sizeof(type)) : 0;                                           \
    }
WIRE_GET(i8, int8_t)
WIRE_GET(i16, int16_t)
WIRE_GET(u16, uint16_t)
WIRE_GET(i32, int32_t)
WIRE_GET(u32, uint32_t)
WIRE_GET(i64, int64_t)
#undef WIRE_GET

static inline bool wire_get_bool(struct wire_reader *r)
{
    return wire_get_i8(r) != 0;
}

double wire_get_f64(struct wire_reader *r);
struct uuid wire_get_uuid(struct wire_reader *r);
uint32_t wire_get_uvarint(struct wire_reader *r);
int32_t wire_get_varint(struct wire_reader *r);
int64_t wire_get_varlong(struct wire_reader *r);
/* UTF-8: what is none in it comes as '?'. */
struct slice wire_get_string(struct wire_reader *r, bool flexible, bool nullable);
struct slice wire_get_bytes(struct wire_reader *r, bool flexible, bool nullable);
struct records wire_get_records(struct wire_reader *r, bool flexible, bool nullable);

/* How an array's elements look: the fewest bytes one takes on the wire, and what one takes here. */
struct wire_item {
    size_t wire_size_min;
    size_t memory_size;
};

/* An array's count and zeroed memory for it. NULL, with *count -1 for null and 0 for an empty array
 * or a failed reader. */
void *wire_get_array(struct wire_reader *r, bool flexible, bool nullable, struct wire_item item,
                     int32_t *count);

/* A nullable struct: its zeroed memory when one follows, NULL for null or a failed reader. */
void *wire_get_presence(struct wire_reader *r, size_t memory_size);

/* Tagged fields: wire_get_tag_count(), then for each wire_tag_open(), its value or wire_tag_skip(),
 * and wire_tag_close(). In between the reader ends where the field ends; closing fails unless all
 * of it was read. */
struct wire_tag {
    uint32_t id;
    const uint8_t *outer_end;
};
uint32_t wire_get_tag_count(struct wire_reader *r);
struct wire_tag wire_tag_open(struct wire_reader *r);
void wire_tag_skip(struct wire_reader *r);
void wire_tag_close(struct wire_reader *r, struct wire_tag tag);

/* All tagged fields of a struct that knows none. */
void wire_skip_tags(struct wire_reader *r);

struct wire_splice {
    size_t offset; /* in out: the file's bytes come before the byte at this offset */
    struct file_range *file;
};

struct wire_writer {
    struct buffer *out;
    VEC(struct wire_splice) splices;
    size_t splices_bytes; /* sum of the files' sizes */
};

/* Appends to out, which stays the caller's. deinit frees the list of splices, not what they point
 * to. */
void wire_writer_init(struct wire_writer *w, struct buffer *out);
void wire_writer_deinit(struct wire_writer *w);

/* Bytes written, spliced ones included; buffer bytes before the writer began count, too. */
static inline size_t wire_written(const struct wire_writer *w)
{
    return w->out->size + w->splices_bytes;
}

static inline uint8_t *wire_extend(struct wire_writer *w, size_t size)
{
    struct buffer *b = w->out;
    uint8_t *at = b->capacity - b->size >= size ? b->data + b->size : buffer_reserve(b, size);
    b->size += size;
    return at;
}

#define WIRE_PUT(name, type)                                                                       \
    static inline void wire_put_##name(struct wire_writer *w, type value)                          \
    {                                                                                              \
        wire_store(wire_extend(w, sizeof(type)), (uint64_t)value, sizeof(type));                   \
    }
WIRE_PUT(i8, int8_t)
WIRE_PUT(i16, int16_t)
WIRE_PUT(u16, uint16_t)
WIRE_PUT(i32, int32_t)
WIRE_PUT(u32, uint32_t)
WIRE_PUT(i64, int64_t)
WIRE_PUT(bool, bool)
#undef WIRE_PUT

void wire_put_f64(struct wire_writer *w, double value);
void wire_put_uuid(struct wire_writer *w, struct uuid value);
void wire_put_uvarint(struct wire_writer *w, uint32_t value);
void wire_put_varint(struct wire_writer *w, int32_t value);
void wire_put_varlong(struct wire_writer *w, int64_t value);
int wire_varint_size(int32_t value);
int wire_varlong_size(int64_t value);

/* Null where null may not stand is written as empty. A string of more than 32,767 bytes is cut
 * there. */
void wire_put_string(struct wire_writer *w, bool flexible, bool nullable, struct slice value);
void wire_put_bytes(struct wire_writer *w, bool flexible, bool nullable, struct slice value);
void wire_put_records(struct wire_writer *w, bool flexible, bool nullable, struct records value);
void wire_put_count(struct wire_writer *w, bool flexible, bool nullable, int32_t count);
/* Before a nullable struct. */
void wire_put_presence(struct wire_writer *w, bool present);

/* Around a tagged field's value; end writes its size. No splice may lie inside. */
size_t wire_tag_begin(struct wire_writer *w, uint32_t id);
void wire_tag_end(struct wire_writer *w, size_t begin);
