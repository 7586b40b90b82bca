/* Batches and records, read where they lie. Building them is in records_build.c. */
#include "proto/records.h"

#include <errno.h>

#include "proto/base/crc32c.h"

#define POS_LENGTH        8
#define POS_LEADER_EPOCH  12
#define POS_MAGIC         16
#define POS_CRC           17
#define POS_ATTRIBUTES    21
#define POS_MAX_TIMESTAMP 35

#define RECORD_SIZE_MIN 6 /* attributes, two deltas, two sizes, header count: a byte each */

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static void put_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static void put_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

int batch_header_decode(struct slice bytes, struct batch_header *out)
{
    *out = (struct batch_header){0};
    if (bytes.size < BATCH_HEADER_SIZE)
        return -EBADMSG;

    const uint8_t *p = bytes.data;
    *out = (struct batch_header){
        .base_offset = (int64_t)get_u64(p),
        .length = (int32_t)get_u32(p + POS_LENGTH),
        .leader_epoch = (int32_t)get_u32(p + POS_LEADER_EPOCH),
        .magic = (int8_t)p[POS_MAGIC],
        .crc = get_u32(p + POS_CRC),
        .attributes = (int16_t)get_u16(p + POS_ATTRIBUTES),
        .last_offset_delta = (int32_t)get_u32(p + 23),
        .base_timestamp = (int64_t)get_u64(p + 27),
        .max_timestamp = (int64_t)get_u64(p + POS_MAX_TIMESTAMP),
        .producer_id = (int64_t)get_u64(p + 43),
        .producer_epoch = (int16_t)get_u16(p + 51),
        .base_sequence = (int32_t)get_u32(p + 53),
        .records_count = (int32_t)get_u32(p + 57),
    };
    bool valid = out->magic == BATCH_MAGIC && out->length >= BATCH_HEADER_SIZE - BATCH_OVERHEAD;
    return valid ? 0 : -EBADMSG;
}

int32_t batch_last_sequence(const struct batch_header *h)
{
    if (h->base_sequence == BATCH_NO_SEQUENCE)
        return BATCH_NO_SEQUENCE;
    return (int32_t)(((uint32_t)h->base_sequence + (uint32_t)h->last_offset_delta) & INT32_MAX);
}

static uint32_t crc_of(const uint8_t *batch, size_t size)
{
    return crc32c(0, batch + POS_ATTRIBUTES, size - POS_ATTRIBUTES);
}

bool batch_crc_matches(struct slice batch)
{
    if (batch.size < BATCH_HEADER_SIZE)
        return false;
    return get_u32(batch.data + POS_CRC) == crc_of(batch.data, batch.size);
}

void batch_set_offset_and_epoch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    put_u64(batch, (uint64_t)base_offset);
    put_u32(batch + POS_LEADER_EPOCH, (uint32_t)leader_epoch);
}

static void set_timestamps(uint8_t *batch, int64_t max_timestamp, bool log_append_time)
{
    uint8_t *attributes = batch + POS_ATTRIBUTES + 1;
    if (log_append_time)
        *attributes |= BATCH_LOG_APPEND;
    else
        *attributes &= (uint8_t)~BATCH_LOG_APPEND;
    put_u64(batch + POS_MAX_TIMESTAMP, (uint64_t)max_timestamp);

    size_t size = BATCH_OVERHEAD + (size_t)get_u32(batch + POS_LENGTH);
    put_u32(batch + POS_CRC, crc_of(batch, size));
}

void batch_set_log_append_time(uint8_t *batch, int64_t ms)
{
    set_timestamps(batch, ms, true);
}

void batch_set_max_timestamp(uint8_t *batch, int64_t ms)
{
    set_timestamps(batch, ms, false);
}

int batch_next(struct slice *rest, struct slice *batch, struct batch_header *h)
{
    *batch = SLICE_NULL;
    *h = (struct batch_header){0};
    if (rest->size < BATCH_HEADER_SIZE)
        return 0;
    int err = batch_header_decode(*rest, h);
    if (err != 0)
        return err;
    size_t size = (size_t)batch_size(h);
    if (size > rest->size)
        return 0;
    *batch = slice_of(rest->data, size);
    *rest = slice_of(rest->data + size, rest->size - size);
    return 1;
}

int batch_body(struct slice batch, const struct batch_header *h, size_t limit_bytes,
               struct buffer *scratch, struct slice *body)
{
    *body = SLICE_NULL;
    if (batch.size < BATCH_HEADER_SIZE)
        return -EBADMSG;
    struct slice raw = slice_of(batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
    if (batch_codec(h) == CODEC_NONE) {
        *body = raw;
        return 0;
    }
    buffer_clear(scratch);
    int err = codec_decompress(batch_codec(h), raw, scratch, limit_bytes);
    if (err == 0)
        *body = buffer_slice(scratch);
    return err;
}

/* Varints return the bytes behind them, NULL when they are broken; p may be NULL already, so that
 * callers check once. Kafka's writers use zigzag for all of them. */
static const uint8_t *get_uvarlong(const uint8_t *p, const uint8_t *end, int bytes_max,
                                   uint64_t *out)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes_max && p < end; i++) {
        uint8_t byte = *p++;
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *out = v;
            return p;
        }
    }
    return NULL;
}

static inline const uint8_t *get_varlong(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    uint64_t v = 0;
    if (p == NULL)
        return NULL;
    if (p < end && *p < 0x80)
        v = *p++;
    else
        p = get_uvarlong(p, end, 10, &v);
    *out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    return p;
}

static inline const uint8_t *get_varint(const uint8_t *p, const uint8_t *end, int32_t *out)
{
    uint64_t v = 0;
    if (p == NULL)
        return NULL;
    if (p < end && *p < 0x80)
        v = *p++;
    else
        p = get_uvarlong(p, end, 5, &v);
    uint32_t w = (uint32_t)v;
    *out = (int32_t)((w >> 1) ^ (0u - (w & 1)));
    return p;
}

/* A size and as many bytes; a negative size is null. */
static inline const uint8_t *get_bytes(const uint8_t *p, const uint8_t *end, struct slice *out)
{
    int32_t size;
    *out = SLICE_NULL;
    p = get_varint(p, end, &size);
    if (p == NULL || size < 0)
        return p;
    if (size > end - p)
        return NULL;
    *out = slice_of(p, (size_t)size);
    return p + size;
}

int record_header_next(struct slice *headers, struct slice *key, struct slice *value)
{
    *key = *value = SLICE_NULL;
    if (headers->size == 0)
        return 0;
    const uint8_t *end = headers->data + headers->size;
    const uint8_t *p = get_bytes(headers->data, end, key);
    if (p == NULL || slice_is_null(*key))
        return -EBADMSG;
    p = get_bytes(p, end, value);
    if (p == NULL)
        return -EBADMSG;
    *headers = slice_of(p, (size_t)(end - p));
    return 1;
}

static bool headers_fill(struct slice headers, int32_t count)
{
    struct slice key, value;
    if (count < 0 || (size_t)count > headers.size)
        return false;
    for (int32_t i = 0; i < count; i++) {
        if (record_header_next(&headers, &key, &value) != 1)
            return false;
    }
    return headers.size == 0;
}

int record_next(struct record_iter *it, struct record *out)
{
    int32_t size;
    if (it->at == it->end)
        return 0;
    const uint8_t *p = get_varint(it->at, it->end, &size);
    if (p == NULL || size < RECORD_SIZE_MIN || size > it->end - p)
        return -EBADMSG;

    const uint8_t *end = p + size;
    p++; /* the record's attributes; none are in use */
    p = get_varlong(p, end, &out->timestamp_delta);
    p = get_varint(p, end, &out->offset_delta);
    p = p == NULL ? NULL : get_bytes(p, end, &out->key);
    p = p == NULL ? NULL : get_bytes(p, end, &out->value);
    p = get_varint(p, end, &out->headers_count);
    if (p == NULL)
        return -EBADMSG;

    out->headers = slice_of(p, (size_t)(end - p));
    out->size = (size_t)size;
    if (!headers_fill(out->headers, out->headers_count))
        return -EBADMSG;
    it->at = end;
    return 1;
}

int batch_control_decode(struct slice batch, struct control_record *out)
{
    struct batch_header h;
    struct slice body;
    struct record r;
    *out = (struct control_record){0};

    int err = batch_header_decode(batch, &h);
    if (err != 0)
        return err;
    if (!batch_is_control(&h) || batch_codec(&h) != CODEC_NONE)
        return -EBADMSG;
    err = batch_body(batch, &h, 0, NULL, &body);
    if (err != 0)
        return err;
    struct record_iter it = record_iter(body);
    if (record_next(&it, &r) != 1 || r.key.size < 4 || r.value.size < 6)
        return -EBADMSG;
    out->type = (int16_t)get_u16(r.key.data + 2);
    out->coordinator_epoch = (int32_t)get_u32(r.value.data + 2);
    return 0;
}

int batch_find_timestamp(struct slice batch, const struct timestamp_query *query,
                         size_t limit_bytes, struct buffer *scratch, struct record_position *out)
{
    struct batch_header h;
    struct slice body;
    *out = (struct record_position){-1, BATCH_NO_TIMESTAMP};

    int err = batch_header_decode(batch, &h);
    if (err != 0)
        return err;
    if (h.max_timestamp < query->timestamp)
        return -ENOENT; /* decided without inflating */
    err = batch_body(batch, &h, limit_bytes, scratch, &body);
    if (err != 0)
        return err;

    struct record_iter it = record_iter(body);
    struct record r;
    while ((err = record_next(&it, &r)) == 1) {
        int64_t offset = h.base_offset + r.offset_delta;
        int64_t timestamp = record_timestamp(&h, &r);
        if (timestamp >= query->timestamp && offset >= query->start_offset) {
            *out = (struct record_position){offset, timestamp};
            return 0;
        }
    }
    return err == 0 ? -ENOENT : err;
}

int batch_find_max_timestamp(struct slice batch, size_t limit_bytes, struct buffer *scratch,
                             struct record_position *out)
{
    struct batch_header h;
    struct slice body;
    *out = (struct record_position){-1, BATCH_NO_TIMESTAMP};

    int err = batch_header_decode(batch, &h);
    if (err == 0)
        err = batch_body(batch, &h, limit_bytes, scratch, &body);
    if (err != 0)
        return err;

    struct record_iter it = record_iter(body);
    struct record r;
    while ((err = record_next(&it, &r)) == 1) {
        int64_t timestamp = record_timestamp(&h, &r);
        if (out->offset < 0 || timestamp > out->timestamp)
            *out = (struct record_position){h.base_offset + r.offset_delta, timestamp};
    }
    if (err != 0)
        return err;
    return out->offset < 0 ? -ENOENT : 0;
}
