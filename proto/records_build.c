/* Making batches: what tests produce, transaction markers, batches in another codec. */
#include "proto/base/crc32c.h"
#include "proto/records.h"

#define VARLONG_SIZE_MAX 10
#define RECORD_FIXED_MAX 64 /* every varint of a record at its largest, and the attributes */
#define POS_CRC          17
#define POS_ATTRIBUTES   21

static uint8_t *put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
    return p + 4;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

static uint8_t *put_varlong(uint8_t *p, int64_t value)
{
    uint64_t v = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put_bytes(uint8_t *p, struct slice s)
{
    p = put_varlong(p, slice_is_null(s) ? -1 : (int64_t)s.size);
    if (s.size > 0)
        memcpy(p, s.data, s.size);
    return p + s.size;
}

void batch_builder_init(struct batch_builder *b)
{
    *b = (struct batch_builder){
        .header = {.leader_epoch = -1,
                   .magic = BATCH_MAGIC,
                   .last_offset_delta = -1,
                   .base_timestamp = BATCH_NO_TIMESTAMP,
                   .max_timestamp = BATCH_NO_TIMESTAMP,
                   .producer_id = BATCH_NO_PRODUCER,
                   .producer_epoch = -1,
                   .base_sequence = BATCH_NO_SEQUENCE},
    };
}

void batch_builder_deinit(struct batch_builder *b)
{
    buffer_deinit(&b->body);
}

void batch_builder_append(struct batch_builder *b, int64_t timestamp, struct slice key,
                          struct slice value, struct slice headers, int32_t headers_count)
{
    struct batch_header *h = &b->header;
    if (h->records_count == 0 && !batch_has_delete_horizon(h))
        h->base_timestamp = timestamp;
    if (timestamp > h->max_timestamp)
        h->max_timestamp = timestamp;
    h->last_offset_delta++;
    h->records_count++;

    /* The record is written behind room for its own size and moved down by what that did not
     * use. */
    size_t most = VARLONG_SIZE_MAX + RECORD_FIXED_MAX + key.size + value.size + headers.size;
    uint8_t *to = buffer_reserve(&b->body, most);
    uint8_t *start = to + VARLONG_SIZE_MAX, *p = start;
    *p++ = 0;
    p = put_varlong(p, (int64_t)((uint64_t)timestamp - (uint64_t)h->base_timestamp));
    p = put_varlong(p, h->last_offset_delta);
    p = put_bytes(p, key);
    p = put_bytes(p, value);
    p = put_varlong(p, headers_count);
    if (headers.size > 0)
        memcpy(p, headers.data, headers.size);
    p += headers.size;

    size_t size = (size_t)(p - start);
    uint8_t *body = put_varlong(to, (int64_t)size);
    memmove(body, start, size);
    b->body.size += (size_t)(body - to) + size;
}

static void put_header(uint8_t *p, const struct batch_header *h)
{
    p = put_u64(p, (uint64_t)h->base_offset);
    p = put_u32(p, (uint32_t)h->length);
    p = put_u32(p, (uint32_t)h->leader_epoch);
    *p++ = (uint8_t)h->magic;
    p = put_u32(p, h->crc);
    p = put_u16(p, (uint16_t)h->attributes);
    p = put_u32(p, (uint32_t)h->last_offset_delta);
    p = put_u64(p, (uint64_t)h->base_timestamp);
    p = put_u64(p, (uint64_t)h->max_timestamp);
    p = put_u64(p, (uint64_t)h->producer_id);
    p = put_u16(p, (uint16_t)h->producer_epoch);
    p = put_u32(p, (uint32_t)h->base_sequence);
    put_u32(p, (uint32_t)h->records_count);
}

int batch_builder_finish(struct batch_builder *b, int codec, int level, struct buffer *out)
{
    size_t start = out->size;
    buffer_reserve(out, BATCH_HEADER_SIZE);
    out->size += BATCH_HEADER_SIZE;
    int err = codec_compress(codec, level, buffer_slice(&b->body), out);
    if (err != 0) {
        out->size = start;
        return err;
    }

    struct batch_header h = b->header;
    size_t size = out->size - start;
    uint8_t *batch = out->data + start;
    h.length = (int32_t)(size - BATCH_OVERHEAD);
    h.attributes = (int16_t)((h.attributes & ~BATCH_CODEC_MASK) | codec);
    put_header(batch, &h);
    put_u32(batch + POS_CRC, crc32c(0, batch + POS_ATTRIBUTES, size - POS_ATTRIBUTES));
    return 0;
}

void batch_build_control(struct buffer *out, int64_t producer_id, int16_t producer_epoch,
                         const struct control_record *marker, int64_t timestamp)
{
    uint8_t key[4], value[6];
    put_u16(put_u16(key, 0), (uint16_t)marker->type);
    put_u32(put_u16(value, 0), (uint32_t)marker->coordinator_epoch);

    struct batch_builder b;
    batch_builder_init(&b);
    b.header.producer_id = producer_id;
    b.header.producer_epoch = producer_epoch;
    b.header.attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL;
    batch_builder_append(&b, timestamp, slice_of(key, sizeof(key)), slice_of(value, sizeof(value)),
                         SLICE_NULL, 0);
    CHECK(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, out) == 0);
    batch_builder_deinit(&b);
}
