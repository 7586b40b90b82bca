/*
 * Record batches as a producer sends them: reading in place, the codecs, validation, and what goes
 * to the log. The first byte chooses the rules; with its lowest bit the length and the CRC are made
 * right, so that damage reaches what lies behind them. What validation let through must be one
 * whole batch whose CRC matches and whose records can be read.
 */
#include <stdlib.h>

#include "proto/base/crc32c.h"
#include "proto/records.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

#define BODY_BYTES_MAX (1u << 20)
#define NOW_MS         1700000000000

enum flags { FLAG_REPAIR = 1, FLAG_COMPACTED = 2, FLAG_LOG_APPEND = 4, FLAG_CODEC = 8 };

static void repair(uint8_t *batch, size_t size)
{
    if (size < BATCH_HEADER_SIZE)
        return;
    wire_store(batch + 8, size - BATCH_OVERHEAD, 4);
    batch[16] = BATCH_MAGIC;
    wire_store(batch + 17, crc32c(0, batch + 21, size - 21), 4);
}

static int records_read(struct slice body)
{
    struct record_iter it = record_iter(body);
    struct record record;
    int got, count = 0;
    while ((got = record_next(&it, &record)) == 1) {
        struct slice headers = record.headers, key, value;
        while (record_header_next(&headers, &key, &value) == 1)
            ;
        count++;
    }
    return got < 0 ? got : count;
}

static void read_batches(struct slice bytes, struct buffer *scratch)
{
    struct batch_header h;
    struct slice rest = bytes, batch, body;
    while (batch_next(&rest, &batch, &h) == 1) {
        struct record_position found;
        struct control_record control;
        const struct timestamp_query query = {.timestamp = h.base_timestamp};
        int err = batch_body(batch, &h, BODY_BYTES_MAX, scratch, &body);
        if (err == 0)
            err = records_read(body);
        err = batch_find_timestamp(batch, &query, BODY_BYTES_MAX, scratch, &found);
        if (err == 0)
            CHECK(found.timestamp >= query.timestamp);
        err = batch_find_max_timestamp(batch, BODY_BYTES_MAX, scratch, &found);
        err = batch_control_decode(batch, &control);
        (void)err;
        (void)batch_crc_matches(batch);
    }
}

static void check_accepted(struct slice batch, struct buffer *scratch)
{
    struct slice rest = batch, one, body;
    struct batch_header h;
    CHECK(batch_next(&rest, &one, &h) == 1 && rest.size == 0);
    CHECK(batch_crc_matches(one));
    CHECK(batch_body(one, &h, BODY_BYTES_MAX, scratch, &body) == 0);
    CHECK(records_read(body) == h.records_count);
    CHECK(h.last_offset_delta == h.records_count - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int flags = data[0];
    size_t bytes_size = size - 1;
    uint8_t *bytes = mem_alloc(bytes_size);
    memcpy(bytes, data + 1, bytes_size);
    if (flags & FLAG_REPAIR)
        repair(bytes, bytes_size);

    struct buffer scratch = {0}, rebuilt = {0};
    read_batches(slice_of(bytes, bytes_size), &scratch);

    struct validate_rules rules;
    validate_rules_init(&rules);
    rules.decompressed_batch_bytes_max = BODY_BYTES_MAX;
    rules.compacted = flags & FLAG_COMPACTED;
    rules.log_append_time = flags & FLAG_LOG_APPEND;
    if (flags & FLAG_CODEC)
        rules.codec = (int8_t)((flags >> 4) % (CODEC_ZSTD + 1));
    struct arena arena;
    struct validated v;
    struct slice batch;
    arena_init(&arena, 0);
    if (validate_produce(slice_of(bytes, bytes_size), &rules, NOW_MS, &arena, &scratch, &v) ==
            ERR_NONE &&
        validated_finish(&v, &rules, NOW_MS, &scratch, &rebuilt, &batch) == ERR_NONE)
        check_accepted(batch, &scratch);
    arena_deinit(&arena);
    buffer_deinit(&scratch);
    buffer_deinit(&rebuilt);
    free(bytes);
    return 0;
}

void fuzz_generate(struct rng *rng, struct buffer *out)
{
    static const uint8_t text[] = "the same words again and again, the same words";
    uint8_t flags = (uint8_t)(rng_next(rng) | (rng_below(rng, 4) ? FLAG_REPAIR : 0));
    buffer_append(out, &flags, 1);
    struct batch_builder builder;
    batch_builder_init(&builder);
    if (rng_below(rng, 4) == 0) {
        builder.header.producer_id = (int64_t)rng_below(rng, 100);
        builder.header.producer_epoch = (int16_t)rng_below(rng, 3);
        builder.header.base_sequence = (int32_t)rng_below(rng, 1000);
    }
    /* One header: key of one byte, value null. */
    static const uint8_t header[] = {2, 'h', 1};
    for (uint64_t left = 1 + rng_below(rng, 8); left > 0; left--) {
        bool has_key = rng_below(rng, 3) != 0, has_header = rng_below(rng, 3) == 0;
        struct slice key = has_key ? slice_of(text, rng_below(rng, 10)) : SLICE_NULL;
        batch_builder_append(&builder, NOW_MS - (int64_t)rng_below(rng, 1000), key,
                             slice_of(text, rng_below(rng, sizeof(text))),
                             slice_of(header, has_header ? sizeof(header) : 0), has_header);
    }
    int codec = (int)rng_below(rng, CODEC_ZSTD + 1);
    CHECK(batch_builder_finish(&builder, codec, CODEC_LEVEL_DEFAULT, out) == 0);
    batch_builder_deinit(&builder);
}
