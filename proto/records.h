/*
 * Record batches of format 2 in place: headers, records, control markers, and building new batches.
 *
 *   offset  0  base offset     int64     23  last offset delta int32     53  base sequence int32
 *           8  length          int32     27  base timestamp    int64     57  record count  int32
 *          12  leader epoch    int32     35  max timestamp     int64     61  records; compressed is
 *          16  magic = 2       int8      43  producer id       int64         all of them by a codec
 *          17  crc             uint32    51  producer epoch    int16
 *          21  attributes      int16          (the CRC-32C covers everything from 21 on)
 *
 * Nothing here trusts the bytes, and nothing allocates unless a batch is compressed or built.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buffer.h"
#include "proto/base/check.h"
#include "proto/base/slice.h"
#include "proto/codec.h"

#define BATCH_HEADER_SIZE   61 /* smallest batch */
#define BATCH_OVERHEAD      12 /* base offset and length; batch size = this + length */
#define BATCH_MAGIC         2
#define BATCH_NO_TIMESTAMP  (-1)
#define BATCH_NO_PRODUCER   (-1)
#define BATCH_NO_SEQUENCE   (-1)
#define BATCH_CODEC_MASK    0x07
#define BATCH_LOG_APPEND    0x08
#define BATCH_TRANSACTIONAL 0x10
#define BATCH_CONTROL       0x20
#define BATCH_HORIZON       0x40 /* base timestamp is the delete horizon */

struct batch_header {
    int64_t base_offset;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int32_t length; /* bytes behind the length field */
    int32_t leader_epoch;
    int32_t last_offset_delta;
    int32_t base_sequence;
    int32_t records_count;
    uint32_t crc;
    int16_t attributes;
    int16_t producer_epoch;
    int8_t magic;
};

/* Decode the header at the start of bytes; what follows it need not be there.
 * -EBADMSG when it is short, of another magic, or says a length below a header's. */
int batch_header_decode(struct slice bytes, struct batch_header *out) MUST_CHECK;

static inline int64_t batch_size(const struct batch_header *h)
{
    return (int64_t)BATCH_OVERHEAD + h->length;
}

static inline int64_t batch_last_offset(const struct batch_header *h)
{
    return h->base_offset + h->last_offset_delta;
}

static inline int64_t batch_next_offset(const struct batch_header *h)
{
    return batch_last_offset(h) + 1;
}

/* 0 to 7; enum codec where it is known. */
static inline int batch_codec(const struct batch_header *h)
{
    return h->attributes & BATCH_CODEC_MASK;
}

static inline bool batch_is_log_append_time(const struct batch_header *h)
{
    return h->attributes & BATCH_LOG_APPEND;
}

static inline bool batch_is_transactional(const struct batch_header *h)
{
    return h->attributes & BATCH_TRANSACTIONAL;
}

static inline bool batch_is_control(const struct batch_header *h)
{
    return h->attributes & BATCH_CONTROL;
}

static inline bool batch_has_delete_horizon(const struct batch_header *h)
{
    return h->attributes & BATCH_HORIZON;
}

static inline bool batch_has_producer(const struct batch_header *h)
{
    return h->producer_id >= 0;
}

/* The sequence of the batch's last record; wraps from 2147483647 to 0. */
int32_t batch_last_sequence(const struct batch_header *h);

/* batch: exactly one whole batch. */
bool batch_crc_matches(struct slice batch);

/* Stamp what the leader decides. The first two lie outside the CRC; the last one changes attributes
 * and max timestamp and computes the CRC again. batch: one whole batch. */
void batch_set_offset_and_epoch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);
void batch_set_log_append_time(uint8_t *batch, int64_t ms);
void batch_set_max_timestamp(uint8_t *batch, int64_t ms);

/* Take the first whole batch off *rest. 1: batch and h are set; 0: no whole batch is left (what
 * remains in *rest is a torn tail, or nothing); -EBADMSG: *rest does not begin with a batch.
 * Does not look at the CRC. */
int batch_next(struct slice *rest, struct slice *batch, struct batch_header *h) MUST_CHECK;

/* One record; key, value and headers point into the body. */
struct record {
    int64_t timestamp_delta;
    int32_t offset_delta;
    int32_t headers_count;
    struct slice key;     /* data == NULL: null */
    struct slice value;   /* data == NULL: null */
    struct slice headers; /* { key size, key, value size, value }*, each size checked */
    size_t size;          /* of the record's body, without its own length */
};

struct record_iter {
    const uint8_t *at;
    const uint8_t *end;
};

/* The records of a batch: in place when it is uncompressed, else inflated into scratch (cleared
 * first; the body is valid until scratch changes). 0, -EBADMSG, -E2BIG (more than limit_bytes),
 * -ENOTSUP (unknown codec). */
int batch_body(struct slice batch, const struct batch_header *h, size_t limit_bytes,
               struct buffer *scratch, struct slice *body) MUST_CHECK;

static inline struct record_iter record_iter(struct slice body)
{
    return (struct record_iter){body.data, body.data + body.size};
}

/* 1: *out is the next record; 0: the end; -EBADMSG: a broken record. */
int record_next(struct record_iter *it, struct record *out) MUST_CHECK;

/* One header off record.headers. 1, 0 at the end, -EBADMSG. */
int record_header_next(struct slice *headers, struct slice *key, struct slice *value) MUST_CHECK;

static inline int64_t record_timestamp(const struct batch_header *h, const struct record *r)
{
    if (batch_is_log_append_time(h))
        return h->max_timestamp;
    return (int64_t)((uint64_t)h->base_timestamp + (uint64_t)r->timestamp_delta);
}

enum control_type { CONTROL_ABORT = 0, CONTROL_COMMIT = 1 };

struct control_record {
    int16_t type; /* enum control_type; others belong to later versions and mean nothing here */
    int32_t coordinator_epoch;
};

/* The marker in a control batch. 0 or -EBADMSG. */
int batch_control_decode(struct slice batch, struct control_record *out) MUST_CHECK;

struct record_position {
    int64_t offset;
    int64_t timestamp;
};

/* What to look for: a record with at least this timestamp, at or behind this offset. */
struct timestamp_query {
    int64_t timestamp;
    int64_t start_offset; /* the log's start, which may lie inside the batch; 0 for none */
};

/* The first record that answers the query; -ENOENT when the batch has none. Other errors and
 * scratch as batch_body(). */
int batch_find_timestamp(struct slice batch, const struct timestamp_query *query,
                         size_t limit_bytes, struct buffer *scratch,
                         struct record_position *out) MUST_CHECK;

/* The first record that has the batch's largest timestamp; -ENOENT when it has no record. */
int batch_find_max_timestamp(struct slice batch, size_t limit_bytes, struct buffer *scratch,
                             struct record_position *out) MUST_CHECK;

/*
 * Builds one batch. Fill in the header's producer fields, offsets and attributes (not the codec)
 * after init where the defaults (no producer, offset 0, epoch -1) do not fit; with BATCH_HORIZON in
 * the attributes the base timestamp, too. The next record's offset delta is last_offset_delta + 1.
 */
struct batch_builder {
    struct batch_header header;
    struct buffer body;
};

void batch_builder_init(struct batch_builder *b);
void batch_builder_deinit(struct batch_builder *b);
/* key and value may be SLICE_NULL. headers: encoded as record.headers holds them. */
void batch_builder_append(struct batch_builder *b, int64_t timestamp, struct slice key,
                          struct slice value, struct slice headers, int32_t headers_count);
/* Append the finished batch to out. 0, or -ENOTSUP / -ENOMEM from the codec. */
int batch_builder_finish(struct batch_builder *b, int codec, int level,
                         struct buffer *out) MUST_CHECK;

/* Append to out the marker that ends a transaction of (producer_id, producer_epoch). */
void batch_build_control(struct buffer *out, int64_t producer_id, int16_t producer_epoch,
                         const struct control_record *marker, int64_t timestamp);
