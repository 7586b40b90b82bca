/*
 * Checks in Kafka's order, because the first that fails is the answer: framing (its request check),
 * base offset, size, CRC (its log), then header fields and records (its validator).
 */
#include "proto/validate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define LEGACY_LENGTH_MIN 14 /* Kafka calls a shorter batch of any format corrupt */
#define MAGIC_POSITION    16
#define LENGTH_POSITION   8
#define ZSTD_VERSION_MIN  7
#define TEXT_MAX          256

void validate_rules_init(struct validate_rules *rules)
{
    *rules = (struct validate_rules){
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .decompressed_batch_bytes_max = (size_t)256 * 1024 * 1024,
        .decompressed_message_bytes_max = INT32_MAX - 8,
        .message_bytes_max = 1048588,
        .produce_version = 13,
        .codec = CODEC_PRODUCER,
        .level = CODEC_LEVEL_DEFAULT,
    };
}

/* Texts are for people: where the arena has reached its limit, the answer goes without. */
static struct slice text(struct arena *arena, const char *fmt, ...) PRINTF(2, 3);
static struct slice text(struct arena *arena, const char *fmt, ...)
{
    char line[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    CHECK(size >= 0 && size < (int)sizeof(line));
    void *copy = arena_alloc(arena, (size_t)size + 1);
    if (copy == NULL)
        return SLICE_NULL;
    memcpy(copy, line, (size_t)size);
    return slice_of(copy, (size_t)size);
}

static enum error_code refuse(struct validated *out, enum error_code err, struct slice message)
{
    out->error_message = message;
    return err;
}

/* Is there a whole batch at the start of rest? ERR_NONE and *size (0: a torn tail or nothing), or
 * ERR_CORRUPT_MESSAGE. Formats 0 and 1 are measured, too: they get an answer of their own. */
static enum error_code frame_size(struct slice rest, size_t *size)
{
    *size = 0;
    if (rest.size < BATCH_OVERHEAD)
        return ERR_NONE;
    const uint8_t *p = rest.data + LENGTH_POSITION;
    uint32_t length = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if ((int32_t)length < LEGACY_LENGTH_MIN)
        return ERR_CORRUPT_MESSAGE;
    if (rest.size <= MAGIC_POSITION)
        return ERR_NONE;
    if (rest.data[MAGIC_POSITION] > BATCH_MAGIC)
        return ERR_CORRUPT_MESSAGE;
    if (length <= rest.size - BATCH_OVERHEAD)
        *size = BATCH_OVERHEAD + (size_t)length;
    return ERR_NONE;
}

static enum error_code take_batch(struct slice records, struct validated *out)
{
    size_t size, next_size;
    enum error_code err = frame_size(records, &size);
    if (err != ERR_NONE)
        return refuse(out, err, SLICE("the records do not begin with a record batch"));
    if (size == 0)
        return refuse(out, ERR_INVALID_RECORD, SLICE("the records hold no whole record batch"));
    if (records.data[MAGIC_POSITION] != BATCH_MAGIC)
        return refuse(out, ERR_INVALID_RECORD, SLICE("only record batches of format 2 are taken"));

    out->batch = slice_of(records.data, size);
    if (batch_header_decode(out->batch, &out->header) != 0)
        return refuse(out, ERR_CORRUPT_MESSAGE, SLICE("the record batch ends inside its header"));

    err = frame_size(slice_of(records.data + size, records.size - size), &next_size);
    if (err != ERR_NONE)
        return refuse(out, err, SLICE("bytes behind the record batch are no record batch"));
    if (next_size != 0)
        return refuse(out, ERR_INVALID_RECORD,
                      SLICE("one record batch a partition is taken, not several"));
    return ERR_NONE;
}

static enum error_code check_envelope(const struct validate_rules *rules, struct arena *arena,
                                      struct validated *out)
{
    const struct batch_header *h = &out->header;
    int codec = batch_codec(h);

    if (codec > CODEC_ZSTD)
        return refuse(out, ERR_UNSUPPORTED_COMPRESSION_TYPE,
                      text(arena, "compression codec %d is not known", codec));
    if (codec == CODEC_ZSTD && rules->produce_version < ZSTD_VERSION_MIN)
        return refuse(out, ERR_UNSUPPORTED_COMPRESSION_TYPE,
                      SLICE("zstd needs a Produce request of version 7 or later"));
    if (h->base_offset != 0)
        return refuse(
            out, ERR_INVALID_RECORD,
            text(arena, "base offset is %" PRId64 ", a producer must send 0", h->base_offset));
    if (out->batch.size > (size_t)MAX(rules->message_bytes_max, 0))
        return refuse(out, ERR_MESSAGE_TOO_LARGE,
                      text(arena, "record batch of %zu bytes, max.message.bytes is %" PRId32,
                           out->batch.size, rules->message_bytes_max));
    if (!batch_crc_matches(out->batch))
        return refuse(out, ERR_CORRUPT_MESSAGE, SLICE("the record batch fails its checksum"));
    return ERR_NONE;
}

static enum error_code check_header(struct arena *arena, struct validated *out)
{
    const struct batch_header *h = &out->header;

    if (h->records_count <= 0 || (int64_t)h->last_offset_delta + 1 != h->records_count)
        return refuse(out, ERR_INVALID_RECORD,
                      text(arena, "%" PRId32 " records, but last offset delta %" PRId32,
                           h->records_count, h->last_offset_delta));
    if (batch_is_control(h))
        return refuse(out, ERR_INVALID_RECORD, SLICE("control records are the broker's to write"));
    if (batch_has_producer(h) && (h->base_sequence < 0 || h->producer_epoch < 0))
        return refuse(out, ERR_INVALID_RECORD,
                      text(arena,
                           "producer id %" PRId64 " with epoch %d and base sequence %" PRId32,
                           h->producer_id, h->producer_epoch, h->base_sequence));
    if (batch_is_transactional(h) && !batch_has_producer(h))
        return refuse(out, ERR_INVALID_RECORD, SLICE("transactional, but without a producer id"));
    return ERR_NONE;
}

static void add_record_error(struct validated *out, struct arena *arena, int32_t index,
                             struct slice message)
{
    int32_t room = MIN(out->header.records_count, RECORD_ERRORS_MAX);
    if (out->record_errors == NULL)
        out->record_errors = arena_alloc_array(arena, (size_t)room, sizeof(struct record_error));
    if (out->record_errors == NULL || out->record_errors_count >= room)
        return;
    out->record_errors[out->record_errors_count++] = (struct record_error){index, message};
}

static bool timestamp_in_range(int64_t timestamp, const struct validate_rules *rules,
                               int64_t now_ms)
{
    int64_t age;
    if (__builtin_sub_overflow(now_ms, timestamp, &age))
        return false; /* hundreds of millions of years away */
    return age <= rules->timestamp_before_max_ms && -age <= rules->timestamp_after_max_ms;
}

/* What is wrong with one record that can be read; ERR_NONE for nothing. */
static enum error_code check_record(const struct validate_rules *rules, int64_t now_ms,
                                    const struct record *r, int32_t index, struct arena *arena,
                                    struct validated *out)
{
    bool create_time = !rules->log_append_time;
    int64_t timestamp = record_timestamp(&out->header, r);

    if (rules->compacted && slice_is_null(r->key)) {
        add_record_error(out, arena, index, SLICE("a compacted topic takes no record without key"));
        return ERR_INVALID_RECORD;
    }
    if (create_time && timestamp != BATCH_NO_TIMESTAMP) {
        if (timestamp_in_range(timestamp, rules, now_ms))
            return ERR_NONE;
        add_record_error(out, arena, index,
                         text(arena,
                              "timestamp %" PRId64 " is too far from the broker's %" PRId64
                              ": at most %" PRId64 " ms before, %" PRId64 " ms after",
                              timestamp, now_ms, rules->timestamp_before_max_ms,
                              rules->timestamp_after_max_ms));
        return ERR_INVALID_TIMESTAMP;
    }
    if (batch_is_log_append_time(&out->header)) {
        add_record_error(out, arena, index,
                         SLICE("the timestamp type LogAppendTime is the broker's to set"));
        return ERR_INVALID_TIMESTAMP;
    }
    return ERR_NONE;
}

/* One pass over the records. The answer is INVALID_TIMESTAMP as soon as one record has that
 * error. */
static enum error_code check_records(struct slice body, const struct validate_rules *rules,
                                     int64_t now_ms, struct arena *arena, struct validated *out)
{
    const struct batch_header *h = &out->header;
    bool compressed = batch_codec(h) != CODEC_NONE;
    enum error_code worst = ERR_NONE;
    struct record_iter it = record_iter(body);
    struct record r;
    int32_t count = 0;
    int err;

    while ((err = record_next(&it, &r)) == 1) {
        if (count >= h->records_count)
            return refuse(out, ERR_INVALID_RECORD, SLICE("more records than the batch declares"));
        if (compressed && r.size > (size_t)rules->decompressed_message_bytes_max)
            return refuse(out, ERR_INVALID_RECORD,
                          text(arena,
                               "a record of %zu bytes, max.decompressed.message.bytes is "
                               "%" PRId32,
                               r.size, rules->decompressed_message_bytes_max));

        enum error_code record_err = check_record(rules, now_ms, &r, count, arena, out);
        if (record_err != ERR_NONE && worst != ERR_INVALID_TIMESTAMP)
            worst = record_err;
        int64_t timestamp = record_timestamp(h, &r);
        if (timestamp > out->max_timestamp) {
            out->max_timestamp = timestamp;
            out->max_timestamp_delta = count;
        }
        out->rebuild |= r.offset_delta != count;
        count++;
    }
    if (err != 0)
        return refuse(out, ERR_INVALID_RECORD, SLICE("a record's sizes do not fit its bytes"));
    if (count != h->records_count)
        return refuse(out, ERR_INVALID_RECORD, SLICE("fewer records than the batch declares"));
    if (worst == ERR_INVALID_TIMESTAMP)
        return refuse(out, worst, SLICE("records with a timestamp out of range"));
    if (worst != ERR_NONE)
        return refuse(out, worst, SLICE("records that this topic does not take"));
    return ERR_NONE;
}

/* Kafka has no bound on a whole batch, since it inflates record by record; ours answers what makes
 * a Java producer split the batch and try again. */
static enum error_code refuse_body(int err, struct validated *out)
{
    if (err == -E2BIG)
        return refuse(out, ERR_MESSAGE_TOO_LARGE,
                      SLICE("the record batch inflates to more than this broker takes"));
    return refuse(out, ERR_INVALID_RECORD, SLICE("the compressed records cannot be inflated"));
}

/* What validated_finish() has to do. */
static void decide(const struct validate_rules *rules, int64_t now_ms, struct validated *out)
{
    const struct batch_header *h = &out->header;
    if (rules->codec != CODEC_PRODUCER && rules->codec != batch_codec(h))
        out->rebuild = true;
    if (rules->log_append_time) {
        out->stamp = true;
        out->max_timestamp = now_ms;
        out->max_timestamp_delta = 0; /* all records have it, this one first */
    } else {
        out->stamp = batch_is_log_append_time(h) || h->max_timestamp != out->max_timestamp;
    }
}

enum error_code validate_produce(struct slice records, const struct validate_rules *rules,
                                 int64_t now_ms, struct arena *arena, struct buffer *scratch,
                                 struct validated *out)
{
    *out = (struct validated){.max_timestamp = BATCH_NO_TIMESTAMP};
    enum error_code err = take_batch(records, out);
    if (err == ERR_NONE)
        err = check_envelope(rules, arena, out);
    if (err == ERR_NONE)
        err = check_header(arena, out);
    if (err != ERR_NONE)
        return err;

    struct slice body;
    int body_err =
        batch_body(out->batch, &out->header, rules->decompressed_batch_bytes_max, scratch, &body);
    if (body_err != 0)
        return refuse_body(body_err, out);
    err = check_records(body, rules, now_ms, arena, out);
    if (err == ERR_NONE)
        decide(rules, now_ms, out);
    return err;
}

/* The same records, offsets dense, in the topic's codec. Its body was read once already. */
static enum error_code rebuild(struct validated *v, const struct validate_rules *rules,
                               struct buffer *scratch, struct buffer *rebuilt)
{
    const struct batch_header *h = &v->header;
    struct slice body;
    int err = batch_body(v->batch, h, rules->decompressed_batch_bytes_max, scratch, &body);
    if (err != 0)
        return refuse_body(err, v);

    struct batch_builder b;
    batch_builder_init(&b);
    b.header.attributes = h->attributes & BATCH_TRANSACTIONAL;
    b.header.producer_id = h->producer_id;
    b.header.producer_epoch = h->producer_epoch;
    b.header.base_sequence = h->base_sequence;

    struct record_iter it = record_iter(body);
    struct record r;
    while ((err = record_next(&it, &r)) == 1)
        batch_builder_append(&b, record_timestamp(h, &r), r.key, r.value, r.headers,
                             r.headers_count);

    int codec = rules->codec == CODEC_PRODUCER ? batch_codec(h) : rules->codec;
    buffer_clear(rebuilt);
    if (err == 0)
        err = batch_builder_finish(&b, codec, rules->level, rebuilt);
    batch_builder_deinit(&b);
    if (err != 0)
        return refuse(v, ERR_UNKNOWN_SERVER_ERROR, SLICE("the records could not be compressed"));
    if (rebuilt->size > (size_t)MAX(rules->message_bytes_max, 0))
        return refuse(v, ERR_MESSAGE_TOO_LARGE,
                      SLICE("too large in the compression that the topic asks for"));
    return ERR_NONE;
}

enum error_code validated_finish(struct validated *v, const struct validate_rules *rules,
                                 int64_t now_ms, struct buffer *scratch, struct buffer *rebuilt,
                                 struct slice *batch)
{
    uint8_t *bytes = (uint8_t *)v->batch.data; /* the request's own buffer, see the header */
    *batch = v->batch;
    if (v->rebuild) {
        enum error_code err = rebuild(v, rules, scratch, rebuilt);
        if (err != ERR_NONE)
            return err;
        bytes = rebuilt->data;
        *batch = buffer_slice(rebuilt);
    }
    if (rules->log_append_time)
        batch_set_log_append_time(bytes, now_ms);
    else if (v->stamp && !v->rebuild)
        batch_set_max_timestamp(bytes, v->max_timestamp);

    int err = batch_header_decode(*batch, &v->header);
    CHECK(err == 0);
    return ERR_NONE;
}
