/* Headers and frame lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/messages.h"

static void header_versions_are_kafkas(void **state)
{
    (void)state;
    assert_int_equal(request_header_version(API_PRODUCE, 8), 1);
    assert_int_equal(response_header_version(API_PRODUCE, 8), 0);
    assert_int_equal(request_header_version(API_PRODUCE, 9), 2);
    assert_int_equal(response_header_version(API_PRODUCE, 9), 1);
    assert_int_equal(request_header_version(API_OFFSET_DELETE, 0), 1);
    assert_int_equal(request_header_version(API_BROKER_HELLO, 0), 2);
    assert_int_equal(request_header_version(API_API_VERSIONS, 2), 1);
    assert_int_equal(request_header_version(999, 0), 1);
}

static void api_versions_answers_never_have_header_tags(void **state)
{
    (void)state;
    for (int16_t v = 0; v <= 9; v++)
        assert_int_equal(response_header_version(API_API_VERSIONS, v), 0);
    assert_int_equal(request_header_version(API_API_VERSIONS, 9), 2); /* a version yet unknown */
}

static void reads_a_request_header_byte_by_byte(void **state)
{
    (void)state;
    const uint8_t frame[] = {0, 18, 0, 3, 0, 0, 0, 42, 0, 2, 'm', 'e', 1, 0, 3, 'x', 'y', 'z', 7};
    struct wire_reader r;
    struct request_header h;
    wire_reader_init(&r, slice_of(frame, sizeof(frame)), NULL);
    assert_int_equal(request_header_decode(&r, &h), 0);
    assert_int_equal(h.api_key, 18);
    assert_int_equal(h.api_version, 3);
    assert_int_equal(h.correlation_id, 42);
    assert_true(slice_equals_text(h.client_id, "me"));
    assert_int_equal(wire_remaining(&r), 1);
    for (size_t size = 0; size < sizeof(frame) - 1; size++) {
        wire_reader_init(&r, slice_of(frame, size), NULL);
        assert_int_equal(request_header_decode(&r, &h), -EBADMSG);
    }
}

static void client_id_may_be_null(void **state)
{
    (void)state;
    const uint8_t frame[] = {0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    struct wire_reader r;
    struct request_header h;
    wire_reader_init(&r, slice_of(frame, sizeof(frame)), NULL);
    assert_int_equal(request_header_decode(&r, &h), 0);
    assert_true(slice_is_null(h.client_id));
}

static void request_frame_is_read_back(void **state)
{
    (void)state;
    struct heartbeat_request out, in;
    heartbeat_request_init(&out);
    out.group_id = SLICE("g");
    out.generation_id = 3;
    struct buffer bytes = {0};
    struct wire_writer w;
    for (int16_t version = 0; version <= 4; version++) {
        struct request_header header = {.api_key = API_HEARTBEAT,
                                        .api_version = version,
                                        .correlation_id = 77,
                                        .client_id = SLICE("c")};
        buffer_clear(&bytes);
        buffer_append(&bytes, "before", 6);
        wire_writer_init(&w, &bytes);
        request_frame_encode(&w, &header, &out);
        wire_writer_deinit(&w);

        struct wire_reader r;
        wire_reader_init(&r, slice_of(bytes.data + 6, bytes.size - 6), NULL);
        assert_int_equal(wire_get_i32(&r), (int32_t)bytes.size - 10);
        struct request_header got;
        assert_int_equal(request_header_decode(&r, &got), 0);
        assert_int_equal(got.correlation_id, 77);
        assert_int_equal(got.api_version, version);
        assert_int_equal(heartbeat_request_decode(&r, version, &in), 0);
        assert_int_equal(in.generation_id, 3);
        assert_int_equal(wire_remaining(&r), 0);
    }
    buffer_deinit(&bytes);
}

static void response_frame_counts_spliced_bytes(void **state)
{
    (void)state;
    struct file_range range = {.fd = -1, .size = 5000};
    struct fetch_response_response_partition part;
    struct fetch_response_response topic;
    struct fetch_response out;
    fetch_response_response_partition_init(&part);
    fetch_response_response_init(&topic);
    fetch_response_init(&out);
    part.records.file = &range;
    topic.partitions = &part;
    out.responses = &topic;
    topic.partitions_count = out.responses_count = 1;

    struct buffer bytes = {0};
    struct wire_writer w;
    wire_writer_init(&w, &bytes);
    const struct request_header header = {.api_key = API_FETCH, .api_version = 12};
    response_frame_encode(&w, &header, &out);
    struct wire_reader r;
    wire_reader_init(&r, buffer_slice(&bytes), NULL);
    assert_int_equal(wire_get_i32(&r), (int32_t)bytes.size - 4 + 5000);
    int32_t correlation_id;
    assert_int_equal(response_header_decode(&r, API_FETCH, 12, &correlation_id), 0);
    wire_writer_deinit(&w);
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_versions_are_kafkas),
        cmocka_unit_test(api_versions_answers_never_have_header_tags),
        cmocka_unit_test(reads_a_request_header_byte_by_byte),
        cmocka_unit_test(client_id_may_be_null),
        cmocka_unit_test(request_frame_is_read_back),
        cmocka_unit_test(response_frame_counts_spliced_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
