/* The reader and the writer by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/errors.h"
#include "proto/wire.h"

static struct buffer out;
static struct wire_writer w;
static struct wire_reader r;

static int begin(void **state)
{
    (void)state;
    wire_writer_init(&w, &out);
    return 0;
}

static int end(void **state)
{
    (void)state;
    wire_writer_deinit(&w);
    buffer_deinit(&out);
    return 0;
}

static void read_written(void)
{
    wire_reader_init(&r, buffer_slice(&out), NULL);
}

static void read_bytes(const uint8_t *bytes, size_t size)
{
    wire_reader_init(&r, slice_of(bytes, size), NULL);
}

#define READ(...) read_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void integers_are_big_endian(void **state)
{
    (void)state;
    wire_put_i16(&w, 0x0102);
    wire_put_i32(&w, -2);
    wire_put_i64(&w, 0x0102030405060708);
    wire_put_u16(&w, 65535);
    wire_put_bool(&w, true);
    wire_put_i8(&w, -128);
    wire_put_f64(&w, 1.5);
    const uint8_t expected[] = {1, 2,    0xff, 0xff, 0xff, 0xfe, 1,    2, 3, 4, 5, 6, 7,
                                8, 0xff, 0xff, 1,    0x80, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0};
    assert_int_equal(out.size, sizeof(expected));
    assert_memory_equal(out.data, expected, sizeof(expected));
    read_written();
    assert_int_equal(wire_get_i16(&r), 0x0102);
    assert_int_equal(wire_get_i32(&r), -2);
    assert_true(wire_get_i64(&r) == 0x0102030405060708);
    assert_int_equal(wire_get_u16(&r), 65535);
    assert_true(wire_get_bool(&r));
    assert_int_equal(wire_get_i8(&r), -128);
    assert_true(wire_get_f64(&r) == 1.5);
    assert_int_equal(wire_remaining(&r), 0);
    assert_int_equal(r.err, 0);
}

static void varints_keep_every_value(void **state)
{
    (void)state;
    static const int64_t values[] = {0,         1,         -1,        63,       64,    -64,
                                     -65,       8191,      8192,      -8192,    -8193, INT32_MAX,
                                     INT32_MIN, 1LL << 40, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        buffer_clear(&out);
        wire_put_varlong(&w, values[i]);
        assert_int_equal(out.size, wire_varlong_size(values[i]));
        read_written();
        assert_true(wire_get_varlong(&r) == values[i]);
        if (values[i] < INT32_MIN || values[i] > INT32_MAX)
            continue;
        buffer_clear(&out);
        wire_put_varint(&w, (int32_t)values[i]);
        assert_int_equal(out.size, wire_varint_size((int32_t)values[i]));
        read_written();
        assert_int_equal(wire_get_varint(&r), values[i]);
        buffer_clear(&out);
        wire_put_uvarint(&w, (uint32_t)values[i]);
        read_written();
        assert_int_equal(wire_get_uvarint(&r), (uint32_t)values[i]);
    }
}

static void varints_have_known_bytes(void **state)
{
    (void)state;
    READ(0xac, 0x02);
    assert_int_equal(wire_get_uvarint(&r), 300);
    READ(0x03);
    assert_int_equal(wire_get_varint(&r), -2);
    READ(0xff, 0xff, 0xff, 0xff, 0x0f);
    assert_int_equal(wire_get_uvarint(&r), UINT32_MAX);
    READ(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    assert_true(wire_get_varlong(&r) == INT64_MIN);
}

static void overlong_and_cut_varints_are_refused(void **state)
{
    (void)state;
    READ(0xff, 0xff, 0xff, 0xff, 0x1f);
    wire_get_uvarint(&r);
    assert_int_equal(r.err, -EBADMSG);
    READ(0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
    wire_get_varint(&r);
    assert_int_equal(r.err, -EBADMSG);
    READ(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
    wire_get_varlong(&r);
    assert_int_equal(r.err, -EBADMSG);
    READ(0x80);
    wire_get_uvarint(&r);
    assert_int_equal(r.err, -EBADMSG);
}

static void failed_reader_stays_failed(void **state)
{
    (void)state;
    READ(1, 2, 3, 4, 5);
    assert_true(wire_get_i64(&r) == 0);
    assert_int_equal(r.err, -EBADMSG);
    assert_int_equal(wire_get_i8(&r), 0);
    assert_true(slice_is_null(wire_get_string(&r, false, true)));
    wire_fail(&r, -ENOMEM);
    assert_int_equal(r.err, -EBADMSG);
}

static void strings_tell_null_from_empty(void **state)
{
    (void)state;
    for (int flexible = 0; flexible <= 1; flexible++) {
        buffer_clear(&out);
        wire_put_string(&w, flexible, true, SLICE_NULL);
        wire_put_string(&w, flexible, true, SLICE(""));
        wire_put_string(&w, flexible, true, SLICE("kafka"));
        wire_put_string(&w, flexible, false, SLICE_NULL);
        read_written();
        assert_true(slice_is_null(wire_get_string(&r, flexible, true)));
        struct slice empty = wire_get_string(&r, flexible, true);
        assert_true(empty.data != NULL && empty.size == 0);
        assert_true(slice_equals_text(wire_get_string(&r, flexible, false), "kafka"));
        assert_true(wire_get_string(&r, flexible, false).data != NULL);
        assert_int_equal(r.err, 0);
    }
}

static void string_that_is_not_utf_8_is_mended(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *got;
    } CASES[] = {
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\xff\x80z", "a??z"},
        {"\xc0\xaf", "??"},           /* overlong */
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond the last one */
        {"cut \xe2\x82", "cut ??"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        buffer_clear(&out);
        wire_put_string(&w, true, false, slice_from_text(CASES[i].sent));
        wire_reader_init(&r, buffer_slice(&out), &arena);
        assert_true(slice_equals_text(wire_get_string(&r, true, false), CASES[i].got));
        assert_int_equal(r.err, 0);
        arena_deinit(&arena);
    }
}

static void bad_lengths_are_refused(void **state)
{
    (void)state;
    READ(0xff, 0xff);
    wire_get_string(&r, false, false); /* null */
    assert_int_equal(r.err, -EBADMSG);
    READ(0xff, 0xfe);
    wire_get_string(&r, false, true); /* -2 */
    assert_int_equal(r.err, -EBADMSG);
    READ(0x00, 0x03, 'a', 'b');
    wire_get_string(&r, false, true); /* longer than the frame */
    assert_int_equal(r.err, -EBADMSG);
    READ(0xff, 0xff, 0xff, 0xff, 0x0f);
    wire_get_bytes(&r, true, true); /* beyond int32 */
    assert_int_equal(r.err, -EBADMSG);
    READ(0x80, 0x00, 0x00, 0x00);
    wire_get_bytes(&r, false, true);
    assert_int_equal(r.err, -EBADMSG);

    uint8_t long_string[3 + 40000] = {0xc1, 0xb8, 0x02}; /* 40,000 */
    read_bytes(long_string, sizeof(long_string));
    wire_get_string(&r, true, true);
    assert_int_equal(r.err, -EBADMSG);
}

static void too_long_a_string_is_cut(void **state)
{
    (void)state;
    char *text = mem_zalloc(40000);
    wire_put_string(&w, false, false, slice_of(text, 40000));
    free(text);
    read_written();
    assert_int_equal(wire_get_string(&r, false, false).size, INT16_MAX);
    assert_int_equal(wire_remaining(&r), 0);
}

static void array_count_is_bounded_by_what_could_follow(void **state)
{
    (void)state;
    struct wire_item item = {.wire_size_min = 4, .memory_size = 8};
    struct arena arena;
    arena_init(&arena, 1000);
    int32_t count;
    const uint8_t two[] = {0, 0, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2};
    wire_reader_init(&r, slice_of(two, sizeof(two)), &arena);
    assert_non_null(wire_get_array(&r, false, false, item, &count));
    assert_int_equal(count, 2);
    wire_reader_init(&r, slice_of(two, sizeof(two) - 1), &arena);
    assert_null(wire_get_array(&r, false, false, item, &count));
    assert_int_equal(count, 0);
    assert_int_equal(r.err, -EBADMSG);
    arena_deinit(&arena);
}

static void tag_counts_are_bounded(void **state)
{
    (void)state;
    READ(3, 0, 0, 0, 0, 0);
    wire_skip_tags(&r);
    assert_int_equal(r.err, -EBADMSG);
    READ(2, 0, 0, 0, 0);
    wire_skip_tags(&r);
    assert_int_equal(r.err, 0);
    READ(1, 0, 9, 0, 0); /* a size beyond the frame */
    wire_skip_tags(&r);
    assert_int_equal(r.err, -EBADMSG);
}

static void tag_sizes_are_written_before_the_value(void **state)
{
    (void)state;
    char value[200] = {0};
    size_t mark = wire_tag_begin(&w, 5);
    wire_put_bytes(&w, true, true, slice_of(value, sizeof(value)));
    wire_tag_end(&w, mark);
    mark = wire_tag_begin(&w, 6);
    wire_tag_end(&w, mark);
    const uint8_t head[] = {5, 0xca, 0x01, 0xc9, 0x01};
    assert_memory_equal(out.data, head, sizeof(head));
    assert_int_equal(out.size, 1 + 2 + 2 + 200 + 2);
    assert_int_equal(out.data[out.size - 1], 0);
}

static void error_codes_are_dense_and_named(void **state)
{
    (void)state;
    for (int16_t code = -1; code <= ERR_CONTROLLER_ID_NOT_REGISTERED; code++)
        assert_string_not_equal(error_name(code), "UNLISTED");
    assert_string_equal(error_name(-2), "UNLISTED");
    assert_string_equal(error_name(9999), "UNLISTED");
    assert_string_equal(error_name(ERR_NOT_LEADER_OR_FOLLOWER), "NOT_LEADER_OR_FOLLOWER");
    assert_true(error_refreshes_metadata(6) && error_is_retriable(7));
    assert_false(error_is_retriable(ERR_NONE) || error_is_retriable(10));
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIRE_TEST(integers_are_big_endian),
        WIRE_TEST(varints_keep_every_value),
        WIRE_TEST(varints_have_known_bytes),
        WIRE_TEST(overlong_and_cut_varints_are_refused),
        WIRE_TEST(failed_reader_stays_failed),
        WIRE_TEST(strings_tell_null_from_empty),
        WIRE_TEST(string_that_is_not_utf_8_is_mended),
        WIRE_TEST(bad_lengths_are_refused),
        WIRE_TEST(too_long_a_string_is_cut),
        WIRE_TEST(array_count_is_bounded_by_what_could_follow),
        WIRE_TEST(tag_counts_are_bounded),
        WIRE_TEST(tag_sizes_are_written_before_the_value),
        WIRE_TEST(error_codes_are_dense_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
