/*
 * What a producer may send: the records of one partition in a Produce request.
 *
 * The answers are those of Apache Kafka 4.4, but for its two accidents: an unknown codec and a
 * payload that does not inflate are UNSUPPORTED_COMPRESSION_TYPE and INVALID_RECORD here, not
 * UNKNOWN_SERVER_ERROR. An uncompressed batch is read once for its CRC and once along its record
 * headers; keys and values are not touched.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/errors.h"
#include "proto/records.h"

#define RECORD_ERRORS_MAX 1000 /* more are not reported one by one */

struct validate_rules {
    int64_t timestamp_before_max_ms;        /* message.timestamp.before.max.ms */
    int64_t timestamp_after_max_ms;         /* message.timestamp.after.max.ms */
    size_t decompressed_batch_bytes_max;    /* of a whole batch; the memory that one may cost */
    int32_t decompressed_message_bytes_max; /* max.decompressed.message.bytes: of one record */
    int32_t message_bytes_max;              /* max.message.bytes: of the batch as sent */
    int16_t produce_version;                /* of the request: zstd needs 7 */
    int8_t codec;                           /* compression.type; CODEC_PRODUCER keeps what came */
    bool compacted;                         /* cleanup.policy has compact: keys are required */
    bool log_append_time;                   /* message.timestamp.type */
    int level;                              /* compression.<codec>.level */
};

/* Kafka's defaults, for the newest request version. */
void validate_rules_init(struct validate_rules *rules);

struct record_error {
    int32_t batch_index; /* of the record in the batch */
    struct slice message;
};

struct validated {
    struct slice batch;         /* the one batch; a torn tail behind it is cut off, as Kafka does */
    struct batch_header header; /* as sent; as it is in the log after validated_finish() */
    int64_t max_timestamp;      /* as it will be in the log; BATCH_NO_TIMESTAMP if none */
    int32_t max_timestamp_delta; /* offset delta of the first record that has it */
    bool rebuild;                /* another codec is due, or the offset deltas are not dense */
    bool stamp;                  /* the header's timestamps must change */

    /* set on errors only */
    struct slice error_message; /* for people; literal or in the arena; may be null */
    struct record_error *record_errors;
    int32_t record_errors_count;
};

/* Check `records`. scratch: where a compressed batch is inflated, reused from call to call. Error
 * texts live in the arena. */
enum error_code validate_produce(struct slice records, const struct validate_rules *rules,
                                 int64_t now_ms, struct arena *arena, struct buffer *scratch,
                                 struct validated *out) MUST_CHECK;

/* Make the bytes that go to the log: usually v->batch itself, stamped in place (so the memory
 * behind it must be writable: the request's buffer), else built new into `rebuilt` (cleared first).
 * Offsets and leader epoch come later, by batch_set_offset_and_epoch().
 *   ERR_MESSAGE_TOO_LARGE   it exceeds max.message.bytes in the topic's codec */
enum error_code validated_finish(struct validated *v, const struct validate_rules *rules,
                                 int64_t now_ms, struct buffer *scratch, struct buffer *rebuilt,
                                 struct slice *batch) MUST_CHECK;
