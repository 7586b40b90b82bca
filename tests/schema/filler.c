/* Random field values. */
#include "tests/schema/filler.h"

bool filler_null(struct filler *f)
{
    return rng_below(&f->rng, 4) == 0;
}

static int64_t number(struct filler *f, int64_t min, int64_t max)
{
    switch (rng_below(&f->rng, 6)) {
    case 0:
        return min;
    case 1:
        return max;
    case 2:
        return 0;
    case 3:
        return min < 0 ? -1 : 1;
    default:
        return (int64_t)rng_next(&f->rng);
    }
}

bool filler_bool(struct filler *f)
{
    return rng_below(&f->rng, 2) == 0;
}

int8_t filler_i8(struct filler *f)
{
    return (int8_t)number(f, INT8_MIN, INT8_MAX);
}

int16_t filler_i16(struct filler *f)
{
    return (int16_t)number(f, INT16_MIN, INT16_MAX);
}

uint16_t filler_u16(struct filler *f)
{
    return (uint16_t)number(f, 0, UINT16_MAX);
}

int32_t filler_i32(struct filler *f)
{
    return (int32_t)number(f, INT32_MIN, INT32_MAX);
}

uint32_t filler_u32(struct filler *f)
{
    return (uint32_t)number(f, 0, UINT32_MAX);
}

int64_t filler_i64(struct filler *f)
{
    return number(f, INT64_MIN, INT64_MAX);
}

double filler_f64(struct filler *f)
{
    return (double)filler_i64(f) / 3;
}

struct uuid filler_uuid(struct filler *f)
{
    struct uuid id = UUID_ZERO;
    if (filler_null(f))
        return id;
    for (size_t i = 0; i < sizeof(id.bytes); i++)
        id.bytes[i] = (uint8_t)rng_next(&f->rng);
    return id;
}

/* Mostly short; sometimes long enough for a length of two varint bytes. */
static size_t size_below(struct filler *f, size_t usual)
{
    return rng_below(&f->rng, rng_below(&f->rng, 20) == 0 ? 300 : usual);
}

struct slice filler_string(struct filler *f, bool nullable)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-._ ABC\t\n";
    if (nullable && filler_null(f))
        return SLICE_NULL;
    size_t size = size_below(f, 12);
    uint8_t *text = arena_need(f->arena, size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = (uint8_t)letters[rng_below(&f->rng, sizeof(letters) - 1)];
    if (size >= 2 && filler_null(f))
        memcpy(text, "\xc3\xa9", 2); /* a letter of two bytes */
    return slice_of(text, size);
}

struct slice filler_bytes(struct filler *f, bool nullable)
{
    if (nullable && filler_null(f))
        return SLICE_NULL;
    size_t size = size_below(f, 20);
    uint8_t *bytes = arena_need(f->arena, size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rng_next(&f->rng);
    return slice_of(bytes, size);
}

int32_t filler_count(struct filler *f, bool nullable)
{
    if (nullable && filler_null(f))
        return -1;
    return (int32_t)rng_below(&f->rng, rng_below(&f->rng, 40) == 0 ? 150 : 4);
}

void *filler_array(struct filler *f, int32_t count, size_t item_size)
{
    return count > 0 ? arena_need(f->arena, (size_t)count * item_size) : NULL;
}
