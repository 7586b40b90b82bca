/* Batches read in place: against batches written by Kafka's Java client, and against damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "proto/records.h"

#define BYTES(s)                                                                                   \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }
#define LIMIT (1u << 20)
#define T0    1700000000000

/* One batch in each codec, made by kafka-clients 4.4.0: producer 4711, epoch 2, sequence 9, leader
 * epoch 5; records (T0, k1, "value one", headers h=x and n=null), (T0+5, null, "value two"),
 * (T0+3, k3, null). */
static const struct slice java_batches[] = {
    BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x63\x00\x00\x00\x05\x02\x4b\xe0\x8b\x2b\x00"
          "\x00\x00\x00\x00\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x05\x00"
          "\x00\x00\x00\x00\x00\x12\x67\x00\x02\x00\x00\x00\x09\x00\x00\x00\x03\x30\x00\x00\x00\x04"
          "\x6b\x31\x12\x76\x61\x6c\x75\x65\x20\x6f\x6e\x65\x04\x02\x68\x02\x78\x02\x6e\x01\x1e\x00"
          "\x0a\x02\x01\x12\x76\x61\x6c\x75\x65\x20\x74\x77\x6f\x00\x10\x00\x06\x04\x04\x6b\x33\x01"
          "\x00"),
    BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x72\x00\x00\x00\x05\x02\x13\xef\x14\x42\x00"
          "\x01\x00\x00\x00\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x05\x00"
          "\x00\x00\x00\x00\x00\x12\x67\x00\x02\x00\x00\x00\x09\x00\x00\x00\x03\x1f\x8b\x08\x00\x00"
          "\x00\x00\x00\x00\xff\x33\x60\x60\x60\x60\xc9\x36\x14\x2a\x4b\xcc\x29\x4d\x55\xc8\xcf\x4b"
          "\x65\x61\xca\x60\xaa\x60\xca\x63\x94\x63\xe0\x62\x62\x84\x0a\x97\x94\xe7\x33\x08\x30\xb0"
          "\xb1\xb0\x64\x1b\x33\x32\x00\x00\x9e\x13\x7c\x57\x32\x00\x00\x00"),
    BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x75\x00\x00\x00\x05\x02\xfd\xe2\x39\x97\x00"
          "\x02\x00\x00\x00\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x05\x00"
          "\x00\x00\x00\x00\x00\x12\x67\x00\x02\x00\x00\x00\x09\x00\x00\x00\x03\x82\x53\x4e\x41\x50"
          "\x50\x59\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x30\x32\x74\x30\x00\x00\x00\x04"
          "\x6b\x31\x12\x76\x61\x6c\x75\x65\x20\x6f\x6e\x65\x04\x02\x68\x02\x78\x02\x6e\x01\x1e\x00"
          "\x0a\x02\x01\x0d\x17\x30\x74\x77\x6f\x00\x10\x00\x06\x04\x04\x6b\x33\x01\x00"),
    BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x70\x00\x00\x00\x05\x02\x9f\x6e\x44\x3d\x00"
          "\x03\x00\x00\x00\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x05\x00"
          "\x00\x00\x00\x00\x00\x12\x67\x00\x02\x00\x00\x00\x09\x00\x00\x00\x03\x04\x22\x4d\x18\x60"
          "\x40\x82\x30\x00\x00\x00\xf3\x0f\x30\x00\x00\x00\x04\x6b\x31\x12\x76\x61\x6c\x75\x65\x20"
          "\x6f\x6e\x65\x04\x02\x68\x02\x78\x02\x6e\x01\x1e\x00\x0a\x02\x01\x17\x00\xd0\x74\x77\x6f"
          "\x00\x10\x00\x06\x04\x04\x6b\x33\x01\x00\x00\x00\x00\x00"),
    BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x6f\x00\x00\x00\x05\x02\x8a\x3f\xfd\x74\x00"
          "\x04\x00\x00\x00\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x05\x00"
          "\x00\x00\x00\x00\x00\x12\x67\x00\x02\x00\x00\x00\x09\x00\x00\x00\x03\x28\xb5\x2f\xfd\x00"
          "\x58\x90\x01\x00\x30\x00\x00\x00\x04\x6b\x31\x12\x76\x61\x6c\x75\x65\x20\x6f\x6e\x65\x04"
          "\x02\x68\x02\x78\x02\x6e\x01\x1e\x00\x0a\x02\x01\x12\x76\x61\x6c\x75\x65\x20\x74\x77\x6f"
          "\x00\x10\x00\x06\x04\x04\x6b\x33\x01\x00\x01\x00\x00"),
};

static void assert_text(struct slice s, const char *expected)
{
    assert_int_equal(s.size, strlen(expected));
    assert_memory_equal(s.data, expected, s.size);
}

static void check_java_records(struct slice body)
{
    struct record_iter it = record_iter(body);
    struct record r;
    struct slice key, value;

    assert_int_equal(record_next(&it, &r), 1);
    assert_text(r.key, "k1");
    assert_text(r.value, "value one");
    assert_int_equal(r.headers_count, 2);
    assert_int_equal(record_header_next(&r.headers, &key, &value), 1);
    assert_text(key, "h");
    assert_text(value, "x");
    assert_int_equal(record_header_next(&r.headers, &key, &value), 1);
    assert_text(key, "n");
    assert_true(slice_is_null(value));
    assert_int_equal(record_header_next(&r.headers, &key, &value), 0);

    assert_int_equal(record_next(&it, &r), 1);
    assert_true(slice_is_null(r.key));
    assert_int_equal(r.timestamp_delta, 5);
    assert_int_equal(r.offset_delta, 1);
    assert_int_equal(record_next(&it, &r), 1);
    assert_true(slice_is_null(r.value));
    assert_int_equal(r.timestamp_delta, 3);
    assert_int_equal(record_next(&it, &r), 0);
}

static void reads_what_the_java_client_wrote_in_every_codec(void **state)
{
    (void)state;
    struct buffer scratch = {0};
    for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        struct slice batch = java_batches[codec], body;
        struct batch_header h;
        assert_int_equal(batch_header_decode(batch, &h), 0);
        assert_int_equal(batch_size(&h), batch.size);
        assert_true(batch_crc_matches(batch));
        assert_int_equal(batch_codec(&h), codec);
        assert_int_equal(h.leader_epoch, 5);
        assert_int_equal(h.producer_id, 4711);
        assert_int_equal(h.producer_epoch, 2);
        assert_int_equal(h.base_sequence, 9);
        assert_int_equal(batch_last_sequence(&h), 11);
        assert_int_equal(batch_next_offset(&h), 3);
        assert_int_equal(h.base_timestamp, T0);
        assert_int_equal(h.max_timestamp, T0 + 5);
        assert_int_equal(batch_body(batch, &h, LIMIT, &scratch, &body), 0);
        check_java_records(body);
    }
    buffer_deinit(&scratch);
}

static void builds_the_java_clients_bytes(void **state)
{
    (void)state;
    static const char headers[] = "\x02h\x02x\x02n\x01";
    struct batch_builder b;
    struct buffer out = {0};
    batch_builder_init(&b);
    b.header.producer_id = 4711;
    b.header.producer_epoch = 2;
    b.header.base_sequence = 9;
    b.header.leader_epoch = 5;
    batch_builder_append(&b, T0, SLICE("k1"), SLICE("value one"),
                         slice_of(headers, sizeof(headers) - 1), 2);
    batch_builder_append(&b, T0 + 5, SLICE_NULL, SLICE("value two"), SLICE_NULL, 0);
    batch_builder_append(&b, T0 + 3, SLICE("k3"), SLICE_NULL, SLICE_NULL, 0);
    assert_int_equal(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &out), 0);
    assert_int_equal(out.size, java_batches[0].size);
    assert_memory_equal(out.data, java_batches[0].data, out.size);
    batch_builder_deinit(&b);
    buffer_deinit(&out);
}

/* timestamps -> one batch at base_offset, in out. */
static void build(struct buffer *out, int codec, int64_t base_offset, const int64_t *timestamps,
                  size_t count)
{
    struct batch_builder b;
    batch_builder_init(&b);
    b.header.base_offset = base_offset;
    for (size_t i = 0; i < count; i++)
        batch_builder_append(&b, timestamps[i], SLICE_NULL, SLICE("v"), SLICE_NULL, 0);
    assert_int_equal(batch_builder_finish(&b, codec, CODEC_LEVEL_DEFAULT, out), 0);
    batch_builder_deinit(&b);
}

static void stamps_offset_and_epoch_outside_the_crc(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct batch_header h;
    build(&out, CODEC_NONE, 0, (int64_t[]){1, 2, 3}, 3);
    batch_set_offset_and_epoch(out.data, 1234567890123, 77);
    assert_true(batch_crc_matches(buffer_slice(&out)));
    assert_int_equal(batch_header_decode(buffer_slice(&out), &h), 0);
    assert_int_equal(h.base_offset, 1234567890123);
    assert_int_equal(batch_last_offset(&h), 1234567890125);
    assert_int_equal(h.leader_epoch, 77);
    buffer_deinit(&out);
}

static void log_append_time_is_every_records_time(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct batch_header h;
    struct record_position at;
    build(&out, CODEC_NONE, 10, (int64_t[]){1, 2, 3}, 3);
    batch_set_log_append_time(out.data, 500);
    assert_true(batch_crc_matches(buffer_slice(&out)));
    assert_int_equal(batch_header_decode(buffer_slice(&out), &h), 0);
    assert_true(batch_is_log_append_time(&h));
    struct timestamp_query query = {400, 0};
    assert_int_equal(batch_find_timestamp(buffer_slice(&out), &query, LIMIT, NULL, &at), 0);
    assert_int_equal(at.offset, 10);
    assert_int_equal(at.timestamp, 500);
    batch_set_max_timestamp(out.data, 3);
    assert_int_equal(batch_header_decode(buffer_slice(&out), &h), 0);
    assert_false(batch_is_log_append_time(&h));
    assert_true(batch_crc_matches(buffer_slice(&out)));
    buffer_deinit(&out);
}

static void C22_finds_the_first_record_at_or_after_a_time(void **state)
{
    (void)state;
    struct buffer out = {0}, scratch = {0};
    struct record_position at;
    for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        buffer_clear(&out);
        build(&out, codec, 100, (int64_t[]){10, 5, 7, 20}, 4);
        struct slice batch = buffer_slice(&out);

        struct timestamp_query query = {6, 0};
        assert_int_equal(batch_find_timestamp(batch, &query, LIMIT, &scratch, &at), 0);
        assert_int_equal(at.offset, 100);
        assert_int_equal(at.timestamp, 10);

        query = (struct timestamp_query){6, 101};
        assert_int_equal(batch_find_timestamp(batch, &query, LIMIT, &scratch, &at), 0);
        assert_int_equal(at.offset, 102);

        query = (struct timestamp_query){11, 0};
        assert_int_equal(batch_find_timestamp(batch, &query, LIMIT, &scratch, &at), 0);
        assert_int_equal(at.offset, 103);
        assert_int_equal(at.timestamp, 20);

        query.timestamp = 21;
        assert_int_equal(batch_find_timestamp(batch, &query, LIMIT, &scratch, &at), -ENOENT);
        assert_int_equal(batch_find_max_timestamp(batch, LIMIT, &scratch, &at), 0);
        assert_int_equal(at.offset, 103);
    }
    buffer_deinit(&out);
    buffer_deinit(&scratch);
}

static void iterates_batches_and_stops_at_a_torn_tail(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct slice batch;
    struct batch_header h;
    build(&out, CODEC_NONE, 0, (int64_t[]){1}, 1);
    size_t first = out.size;
    build(&out, CODEC_LZ4, 1, (int64_t[]){1, 2}, 2);
    size_t second = out.size;
    build(&out, CODEC_NONE, 3, (int64_t[]){1, 2}, 2);

    for (size_t size = 0; size <= out.size; size++) {
        struct slice rest = slice_of(out.data, size);
        int expected = (size >= first) + (size >= second) + (size >= out.size), count = 0, ret;
        while ((ret = batch_next(&rest, &batch, &h)) == 1) {
            assert_true(batch_crc_matches(batch));
            count++;
        }
        assert_int_equal(ret, 0);
        assert_int_equal(count, expected);
    }
    out.data[first + 16] = 1; /* another format */
    struct slice rest = slice_of(out.data + first, out.size - first);
    assert_int_equal(batch_next(&rest, &batch, &h), -EBADMSG);
    buffer_deinit(&out);
}

static void markers_say_type_and_coordinator_epoch(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct batch_header h;
    struct control_record marker = {CONTROL_COMMIT, 31}, read;
    batch_build_control(&out, 9, 3, &marker, 1000);
    assert_int_equal(batch_header_decode(buffer_slice(&out), &h), 0);
    assert_true(batch_is_control(&h));
    assert_true(batch_is_transactional(&h));
    assert_int_equal(h.base_sequence, BATCH_NO_SEQUENCE);
    assert_int_equal(batch_last_sequence(&h), BATCH_NO_SEQUENCE);
    assert_int_equal(batch_control_decode(buffer_slice(&out), &read), 0);
    assert_int_equal(read.type, CONTROL_COMMIT);
    assert_int_equal(read.coordinator_epoch, 31);
    assert_int_equal(batch_control_decode(java_batches[0], &read), -EBADMSG);
    buffer_deinit(&out);
}

static void sequence_wraps_to_zero(void **state)
{
    (void)state;
    struct batch_header h = {.base_sequence = INT32_MAX - 1, .last_offset_delta = 3};
    assert_int_equal(batch_last_sequence(&h), 1);
    h.last_offset_delta = 1;
    assert_int_equal(batch_last_sequence(&h), INT32_MAX);
}

/* Every byte of the body is changed to values that break sizes; nothing may read past the end (the
 * sanitizers watch: the copy is exactly as long as the batch). */
static void damaged_records_never_read_past_the_batch(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};
    struct slice batch = java_batches[CODEC_NONE];
    for (size_t at = BATCH_HEADER_SIZE; at < batch.size; at++) {
        for (size_t v = 0; v < ARRAY_COUNT(values); v++) {
            uint8_t *copy = mem_alloc(batch.size);
            memcpy(copy, batch.data, batch.size);
            copy[at] = values[v];
            struct record r;
            struct record_iter it = {copy + BATCH_HEADER_SIZE, copy + batch.size};
            int ret;
            while ((ret = record_next(&it, &r)) == 1) {
            }
            assert_true(ret == 0 || ret == -EBADMSG);
            free(copy);
        }
    }
}

static void varints_longer_than_their_type_are_refused(void **state)
{
    (void)state;
    struct record r;
    static const uint8_t size[] = {0x8c, 0x80, 0x80, 0x80, 0x80, 0x00, 0, 0, 0, 1, 1, 0};
    struct record_iter it = record_iter(slice_of(size, sizeof(size)));
    assert_int_equal(record_next(&it, &r), -EBADMSG);
    static const uint8_t delta[] = {0x20, 0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0x01, 0,    1,    1,    0};
    it = record_iter(slice_of(delta, sizeof(delta)));
    assert_int_equal(record_next(&it, &r), -EBADMSG);
    static const uint8_t least[] = {0x1e, 0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0x01, 0,    1,    1,    0};
    it = record_iter(slice_of(least, sizeof(least)));
    assert_int_equal(record_next(&it, &r), 1);
    assert_true(r.timestamp_delta == INT64_MIN);
}

static void header_count_larger_than_its_bytes_is_refused(void **state)
{
    (void)state;
    struct record r;
    static const uint8_t many[] = {0x14, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f};
    struct record_iter it = record_iter(slice_of(many, sizeof(many)));
    assert_int_equal(record_next(&it, &r), -EBADMSG);
    static const uint8_t left_over[] = {0x0e, 0, 0, 0, 1, 1, 0, 0};
    it = record_iter(slice_of(left_over, sizeof(left_over)));
    assert_int_equal(record_next(&it, &r), -EBADMSG);
    static const uint8_t null_key[] = {0x10, 0, 0, 0, 1, 1, 2, 1, 1};
    it = record_iter(slice_of(null_key, sizeof(null_key)));
    assert_int_equal(record_next(&it, &r), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_java_client_wrote_in_every_codec),
        cmocka_unit_test(builds_the_java_clients_bytes),
        cmocka_unit_test(stamps_offset_and_epoch_outside_the_crc),
        cmocka_unit_test(log_append_time_is_every_records_time),
        cmocka_unit_test(C22_finds_the_first_record_at_or_after_a_time),
        cmocka_unit_test(iterates_batches_and_stops_at_a_torn_tail),
        cmocka_unit_test(markers_say_type_and_coordinator_epoch),
        cmocka_unit_test(sequence_wraps_to_zero),
        cmocka_unit_test(damaged_records_never_read_past_the_batch),
        cmocka_unit_test(varints_longer_than_their_type_are_refused),
        cmocka_unit_test(header_count_larger_than_its_bytes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
