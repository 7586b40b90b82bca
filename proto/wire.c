/* Wire types out of and into bytes. */
#include "proto/wire.h"

#define STRING_SIZE_MAX INT16_MAX

void wire_reader_init(struct wire_reader *r, struct slice bytes, struct arena *arena)
{
    const uint8_t *at = bytes.data ? bytes.data : (const uint8_t *)"";
    *r = (struct wire_reader){.at = at, .end = at + bytes.size, .arena = arena};
}

void wire_fail(struct wire_reader *r, int err)
{
    if (r->err == 0)
        r->err = err;
    r->at = r->end;
}

double wire_get_f64(struct wire_reader *r)
{
    uint64_t bits = (uint64_t)wire_get_i64(r);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

struct uuid wire_get_uuid(struct wire_reader *r)
{
    struct uuid id = UUID_ZERO;
    const uint8_t *p = wire_take(r, sizeof(id.bytes));
    if (p != NULL)
        memcpy(id.bytes, p, sizeof(id.bytes));
    return id;
}

/* At most `bits` bits; an encoding that is longer than they need at most is malformed. */
static uint64_t get_varint_bits(struct wire_reader *r, int bits)
{
    uint64_t value = 0;
    for (int shift = 0; shift < bits; shift += 7) {
        const uint8_t *p = wire_take(r, 1);
        if (p == NULL)
            return 0;
        uint64_t part = *p & 0x7f;
        if (bits - shift < 7 && part >> (bits - shift) != 0)
            break;
        value |= part << shift;
        if (*p < 0x80)
            return value;
    }
    wire_fail(r, -EBADMSG);
    return 0;
}

uint32_t wire_get_uvarint(struct wire_reader *r)
{
    return (uint32_t)get_varint_bits(r, 32);
}

int32_t wire_get_varint(struct wire_reader *r)
{
    uint32_t value = (uint32_t)get_varint_bits(r, 32);
    return (int32_t)(value >> 1 ^ (0 - (value & 1)));
}

int64_t wire_get_varlong(struct wire_reader *r)
{
    uint64_t value = get_varint_bits(r, 64);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* A length or count: -1 for null, else 0..max; 0 when the reader failed. */
static int64_t get_length(struct wire_reader *r, int64_t length, bool nullable, int64_t max)
{
    if (r->err != 0)
        return 0;
    if (length < -1 || length > max || (length == -1 && !nullable)) {
        wire_fail(r, -EBADMSG);
        return 0;
    }
    return length;
}

static struct slice get_slice(struct wire_reader *r, int64_t length)
{
    if (length < 0 || r->err != 0)
        return SLICE_NULL;
    const uint8_t *p = wire_take(r, (size_t)length);
    return p ? slice_of(p, (size_t)length) : SLICE_NULL;
}

/* Bytes of the UTF-8 character at p, 0: it is none. */
static size_t character_size(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t first, last, second_min, second_max;
        uint8_t size;
    } FORMS[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < ARRAY_COUNT(FORMS); i++) {
        size_t size = FORMS[i].size;
        if (p[0] < FORMS[i].first || p[0] > FORMS[i].last)
            continue;
        bool good = left >= size &&
                    (size == 1 || (p[1] >= FORMS[i].second_min && p[1] <= FORMS[i].second_max));
        for (size_t k = 2; good && k < size; k++)
            good = (p[k] & 0xc0) == 0x80;
        return good ? size : 0;
    }
    return 0;
}

static bool text_is_good(struct slice s)
{
    size_t size = 1;
    for (size_t i = 0; i < s.size && size > 0; i += size)
        size = character_size(s.data + i, s.size - i);
    return size > 0;
}

/* Whoever reads a string back takes it for UTF-8 (clients have crashed on a group's name that was
 * not): bytes that are no character become '?', as Kafka's decoder puts a replacement there. */
static struct slice text_mend(struct wire_reader *r, struct slice s)
{
    if (r->arena == NULL || text_is_good(s))
        return s;
    uint8_t *out = arena_alloc(r->arena, s.size);
    if (out == NULL) {
        wire_fail(r, -ENOMEM);
        return SLICE_NULL;
    }
    for (size_t i = 0; i < s.size;) {
        size_t size = character_size(s.data + i, s.size - i);
        if (size > 0)
            memcpy(out + i, s.data + i, size);
        else
            out[i] = '?';
        i += MAX(size, (size_t)1);
    }
    return slice_of(out, s.size);
}

struct slice wire_get_string(struct wire_reader *r, bool flexible, bool nullable)
{
    int64_t length = flexible ? (int64_t)wire_get_uvarint(r) - 1 : wire_get_i16(r);
    return text_mend(r, get_slice(r, get_length(r, length, nullable, STRING_SIZE_MAX)));
}

struct slice wire_get_bytes(struct wire_reader *r, bool flexible, bool nullable)
{
    int64_t length = flexible ? (int64_t)wire_get_uvarint(r) - 1 : wire_get_i32(r);
    return get_slice(r, get_length(r, length, nullable, INT32_MAX));
}

struct records wire_get_records(struct wire_reader *r, bool flexible, bool nullable)
{
    return (struct records){.bytes = wire_get_bytes(r, flexible, nullable)};
}

void *wire_get_array(struct wire_reader *r, bool flexible, bool nullable, struct wire_item item,
                     int32_t *count)
{
    int64_t length = flexible ? (int64_t)wire_get_uvarint(r) - 1 : wire_get_i32(r);
    int64_t length_max = MIN((int64_t)(wire_remaining(r) / item.wire_size_min), INT32_MAX);
    *count = (int32_t)get_length(r, length, nullable, length_max);
    if (*count <= 0)
        return NULL;
    void *items = arena_alloc_array(r->arena, (size_t)*count, item.memory_size);
    if (items == NULL) {
        wire_fail(r, -ENOMEM);
        *count = 0;
    }
    return items;
}

void *wire_get_presence(struct wire_reader *r, size_t memory_size)
{
    if (wire_get_i8(r) < 0 || r->err != 0)
        return NULL;
    void *item = arena_alloc(r->arena, memory_size);
    if (item == NULL)
        wire_fail(r, -ENOMEM);
    return item;
}

uint32_t wire_get_tag_count(struct wire_reader *r)
{
    uint32_t count = wire_get_uvarint(r);
    if (count > wire_remaining(r) / 2) { /* an id and a size, at least a byte each */
        wire_fail(r, -EBADMSG);
        return 0;
    }
    return count;
}

struct wire_tag wire_tag_open(struct wire_reader *r)
{
    struct wire_tag tag = {.id = wire_get_uvarint(r), .outer_end = r->end};
    uint32_t size = wire_get_uvarint(r);
    if (r->err == 0 && size > wire_remaining(r))
        wire_fail(r, -EBADMSG);
    if (r->err == 0)
        r->end = r->at + size;
    return tag;
}

void wire_tag_skip(struct wire_reader *r)
{
    r->at = r->end;
}

void wire_tag_close(struct wire_reader *r, struct wire_tag tag)
{
    if (r->at != r->end)
        wire_fail(r, -EBADMSG);
    r->end = tag.outer_end;
    if (r->err != 0)
        r->at = r->end;
}

void wire_skip_tags(struct wire_reader *r)
{
    for (uint32_t left = wire_get_tag_count(r); left > 0 && r->err == 0; left--) {
        struct wire_tag tag = wire_tag_open(r);
        wire_tag_skip(r);
        wire_tag_close(r, tag);
    }
}

void wire_writer_init(struct wire_writer *w, struct buffer *out)
{
    *w = (struct wire_writer){.out = out};
}

void wire_writer_deinit(struct wire_writer *w)
{
    vec_deinit(&w->splices);
}

void wire_put_f64(struct wire_writer *w, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    wire_put_i64(w, (int64_t)bits);
}

void wire_put_uuid(struct wire_writer *w, struct uuid value)
{
    memcpy(wire_extend(w, sizeof(value.bytes)), value.bytes, sizeof(value.bytes));
}

static int varint_size(uint64_t value)
{
    int size = 1;
    while (value >>= 7)
        size++;
    return size;
}

static void varint_store(uint8_t *p, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p = (uint8_t)value;
}

static uint32_t zigzag32(int32_t value)
{
    return (uint32_t)value << 1 ^ (0 - ((uint32_t)value >> 31));
}

static uint64_t zigzag64(int64_t value)
{
    return (uint64_t)value << 1 ^ (0 - ((uint64_t)value >> 63));
}

static void put_varint_bits(struct wire_writer *w, uint64_t value)
{
    varint_store(wire_extend(w, (size_t)varint_size(value)), value);
}

void wire_put_uvarint(struct wire_writer *w, uint32_t value)
{
    put_varint_bits(w, value);
}

void wire_put_varint(struct wire_writer *w, int32_t value)
{
    put_varint_bits(w, zigzag32(value));
}

void wire_put_varlong(struct wire_writer *w, int64_t value)
{
    put_varint_bits(w, zigzag64(value));
}

int wire_varint_size(int32_t value)
{
    return varint_size(zigzag32(value));
}

int wire_varlong_size(int64_t value)
{
    return varint_size(zigzag64(value));
}

/* length -1: null. fixed_size: of the length in the inflexible encoding. */
static void put_length(struct wire_writer *w, bool flexible, int fixed_size, int64_t length)
{
    if (flexible)
        wire_put_uvarint(w, (uint32_t)(length + 1));
    else if (fixed_size == 2)
        wire_put_i16(w, (int16_t)length);
    else
        wire_put_i32(w, (int32_t)length);
}

void wire_put_string(struct wire_writer *w, bool flexible, bool nullable, struct slice value)
{
    bool null = slice_is_null(value) && nullable;
    size_t size = MIN(value.size, (size_t)STRING_SIZE_MAX);
    put_length(w, flexible, 2, null ? -1 : (int64_t)size);
    buffer_append(w->out, value.data, size);
}

void wire_put_bytes(struct wire_writer *w, bool flexible, bool nullable, struct slice value)
{
    CHECK(value.size < INT32_MAX);
    bool null = slice_is_null(value) && nullable;
    put_length(w, flexible, 4, null ? -1 : (int64_t)value.size);
    buffer_append_slice(w->out, value);
}

void wire_put_records(struct wire_writer *w, bool flexible, bool nullable, struct records value)
{
    if (value.file == NULL) {
        wire_put_bytes(w, flexible, nullable, value.bytes);
        return;
    }
    CHECK(value.file->size >= 0);
    put_length(w, flexible, 4, value.file->size);
    struct wire_splice splice = {.offset = w->out->size, .file = value.file};
    vec_push(&w->splices, splice);
    w->splices_bytes += (size_t)value.file->size;
}

void wire_put_count(struct wire_writer *w, bool flexible, bool nullable, int32_t count)
{
    put_length(w, flexible, 4, count < 0 ? (nullable ? -1 : 0) : count);
}

void wire_put_presence(struct wire_writer *w, bool present)
{
    wire_put_i8(w, present ? 1 : -1);
}

size_t wire_tag_begin(struct wire_writer *w, uint32_t id)
{
    wire_put_uvarint(w, id);
    return w->out->size;
}

void wire_tag_end(struct wire_writer *w, size_t begin)
{
    size_t size = w->out->size - begin;
    size_t prefix = (size_t)varint_size(size);
    CHECK(w->splices.count == 0 || w->splices.items[w->splices.count - 1].offset < begin);
    wire_extend(w, prefix);
    uint8_t *at = w->out->data + begin;
    memmove(at + prefix, at, size);
    varint_store(at, size);
}
