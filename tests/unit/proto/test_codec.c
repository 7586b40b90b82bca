/* Codecs: what others wrote, round trips, and streams made to hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "proto/base/rng.h"
#include "proto/codec.h"

#define BYTES(s)                                                                                   \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }
#define MB (1024u * 1024)

static const char text[] =
    "millrace millrace millrace millrace millrace millrace millrace millrace "
    "0123456789";

/* `text`, by other people's libraries: snappy raw and in two xerial chunks (Rust), an LZ4 frame
 * with content checksum, gzip (Python), zstd with and without the content size in its header. */
static const struct {
    int codec;
    struct slice bytes;
} foreign[] = {
    {CODEC_SNAPPY,
     BYTES(
         "\x52\x20\x6d\x69\x6c\x6c\x72\x61\x63\x65\x20\xfa\x09\x00\x24\x30\x31\x32\x33\x34\x35\x36"
         "\x37\x38\x39")},
    {CODEC_SNAPPY,
     BYTES(
         "\x82\x53\x4e\x41\x50\x50\x59\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x0e\x32\x20"
         "\x6d\x69\x6c\x6c\x72\x61\x63\x65\x20\xa2\x09\x00\x00\x00\x00\x19\x20\x20\x61\x63\x65\x20"
         "\x6d\x69\x6c\x6c\x72\x32\x09\x00\x24\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39")},
    {CODEC_LZ4,
     BYTES(
         "\x04\x22\x4d\x18\x6c\x40\x52\x00\x00\x00\x00\x00\x00\x00\x60\x18\x00\x00\x00\x9f\x6d\x69"
         "\x6c\x6c\x72\x61\x63\x65\x20\x09\x00\x2c\xa0\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39\x00"
         "\x00\x00\x00\x01\x73\x77\xf1")},
    {CODEC_GZIP,
     BYTES(
         "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\xcd\xcc\xc9\x29\x4a\x4c\x4e\x55\xc8\xa5\x8c"
         "\x61\x60\x68\x64\x6c\x62\x6a\x66\x6e\x61\x09\x00\x85\x06\x66\x58\x52\x00\x00\x00")},
    {CODEC_ZSTD,
     BYTES(
         "\x28\xb5\x2f\xfd\x24\x52\xcd\x00\x00\x98\x6d\x69\x6c\x6c\x72\x61\x63\x65\x20\x30\x31\x32"
         "\x33\x34\x35\x36\x37\x38\x39\x01\x00\xa4\x54\x8e\xc2\x04\x40\x3f")},
    {CODEC_ZSTD,
     BYTES(
         "\x28\xb5\x2f\xfd\x00\x58\xcd\x00\x00\x98\x6d\x69\x6c\x6c\x72\x61\x63\x65\x20\x30\x31\x32"
         "\x33\x34\x35\x36\x37\x38\x39\x01\x00\xa4\x54\x8e")},
};

static void reads_what_other_libraries_wrote(void **state)
{
    (void)state;
    struct buffer out = {0};
    for (size_t i = 0; i < ARRAY_COUNT(foreign); i++) {
        buffer_clear(&out);
        assert_int_equal(codec_decompress(foreign[i].codec, foreign[i].bytes, &out, MB), 0);
        assert_int_equal(out.size, sizeof(text) - 1);
        assert_memory_equal(out.data, text, out.size);
    }
    buffer_deinit(&out);
}

static void every_cut_stream_is_refused_and_out_kept(void **state)
{
    (void)state;
    struct buffer out = {0};
    buffer_append(&out, "keep", 4);
    for (size_t i = 0; i < ARRAY_COUNT(foreign); i++) {
        for (size_t size = 0; size < foreign[i].bytes.size; size++) {
            uint8_t *copy = mem_alloc(size + 1);
            memcpy(copy, foreign[i].bytes.data, size);
            int err = codec_decompress(foreign[i].codec, slice_of(copy, size), &out, MB);
            /* Cut between chunks a xerial stream is whole, only shorter: 16 bytes, 34 bytes. */
            bool chunk_end =
                foreign[i].codec == CODEC_SNAPPY && i == 1 && (size == 16 || size == 34);
            assert_int_equal(err, chunk_end ? 0 : -EBADMSG);
            if (err == 0)
                out.size = 4;
            assert_int_equal(out.size, 4);
            free(copy);
        }
    }
    assert_memory_equal(out.data, "keep", 4);
    buffer_deinit(&out);
}

static void flipped_bits_never_do_harm(void **state)
{
    (void)state;
    struct buffer out = {0};
    for (size_t i = 0; i < ARRAY_COUNT(foreign); i++) {
        struct slice in = foreign[i].bytes;
        for (size_t bit = 0; bit < in.size * 8; bit++) {
            uint8_t *copy = mem_alloc(in.size);
            memcpy(copy, in.data, in.size);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            buffer_clear(&out);
            int err = codec_decompress(foreign[i].codec, slice_of(copy, in.size), &out, 4096);
            assert_true(err == 0 || err == -EBADMSG || err == -E2BIG);
            assert_true(out.size <= 4096);
            free(copy);
        }
    }
    buffer_deinit(&out);
}

static void fill_mixed(struct buffer *out, size_t size, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    while (out->size < size) {
        uint64_t word = rng_next(&rng);
        size_t repeat = 1 + rng_below(&rng, 40);
        for (size_t i = 0; i < repeat && out->size < size; i++)
            buffer_append(out, &word, MIN(sizeof(word), size - out->size));
    }
}

static void round_trips_at_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 32768, 32769, 65536, 65537, MB, MB + 3};
    struct buffer in = {0}, packed = {0}, out = {0};
    fill_mixed(&in, MB + 3, 7);
    for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            struct slice part = slice_of(in.data, sizes[i]);
            buffer_clear(&packed);
            buffer_clear(&out);
            assert_int_equal(codec_compress(codec, CODEC_LEVEL_DEFAULT, part, &packed), 0);
            assert_int_equal(codec_decompress(codec, buffer_slice(&packed), &out, sizes[i]), 0);
            assert_true(slice_equal(buffer_slice(&out), part));
            if (sizes[i] > 0)
                assert_int_equal(codec_decompress(codec, buffer_slice(&packed), &out, sizes[i] - 1),
                                 -E2BIG);
        }
    }
    buffer_deinit(&in);
    buffer_deinit(&packed);
    buffer_deinit(&out);
}

static void any_level_is_taken(void **state)
{
    (void)state;
    static const int levels[] = {-200000, -1, 0, 1, 9, 12, 17, 22, 1000};
    struct buffer packed = {0}, out = {0};
    for (int codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
            buffer_clear(&packed);
            buffer_clear(&out);
            assert_int_equal(codec_compress(codec, levels[i], SLICE(text), &packed), 0);
            assert_int_equal(codec_decompress(codec, buffer_slice(&packed), &out, MB), 0);
            assert_true(slice_equal(buffer_slice(&out), SLICE(text)));
        }
    }
    buffer_deinit(&packed);
    buffer_deinit(&out);
}

/* 64 MB of zeros behind a limit of 1 MB: memory stays near the limit. */
static void F128_a_bomb_is_not_inflated_past_the_limit(void **state)
{
    (void)state;
    size_t size = 64 * (size_t)MB;
    uint8_t *zeros = mem_zalloc(size);
    struct buffer packed = {0};
    for (int codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        struct buffer out = {0};
        buffer_clear(&packed);
        assert_int_equal(codec_compress(codec, 1, slice_of(zeros, size), &packed), 0);
        assert_int_equal(codec_decompress(codec, buffer_slice(&packed), &out, MB), -E2BIG);
        assert_int_equal(out.size, 0);
        assert_true(out.capacity <= 3 * MB);
        buffer_deinit(&out);
    }
    buffer_deinit(&packed);
    free(zeros);
}

static void a_snappy_block_that_lies_about_its_size_allocates_nothing(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(
        codec_decompress(CODEC_SNAPPY, SLICE("\xff\xff\xff\xff\x0f\x00\x61"), &out, SIZE_MAX),
        -EBADMSG);
    assert_int_equal(out.capacity, 0);
    buffer_deinit(&out);
}

static void a_zstd_window_past_the_bound_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    /* Window descriptor 0x90: 2^28 bytes; then one empty last block. */
    assert_int_equal(
        codec_decompress(CODEC_ZSTD, SLICE("\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00"), &out, MB),
        -EBADMSG);
    assert_int_equal(
        codec_decompress(CODEC_ZSTD, SLICE("\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00"), &out, MB), 0);
    buffer_deinit(&out);
}

static void lz4_blocks_that_depend_on_each_other_are_refused(void **state)
{
    (void)state;
    uint8_t frame[64];
    struct buffer out = {0};
    struct slice in = foreign[2].bytes;
    memcpy(frame, in.data, in.size);
    frame[4] &= (uint8_t)~0x20;
    assert_int_equal(codec_decompress(CODEC_LZ4, slice_of(frame, in.size), &out, MB), -EBADMSG);
    buffer_deinit(&out);
}

static void streams_in_a_row_are_one_stream(void **state)
{
    (void)state;
    static const int codecs[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_ZSTD};
    for (size_t i = 0; i < ARRAY_COUNT(codecs); i++) {
        struct buffer packed = {0}, out = {0};
        assert_int_equal(codec_compress(codecs[i], 1, SLICE("first "), &packed), 0);
        assert_int_equal(codec_compress(codecs[i], 1, SLICE("second"), &packed), 0);
        assert_int_equal(codec_decompress(codecs[i], buffer_slice(&packed), &out, MB), 0);
        assert_true(slice_equals_text(buffer_slice(&out), "first second"));
        buffer_deinit(&packed);
        buffer_deinit(&out);
    }
}

static void names_are_those_of_compression_type(void **state)
{
    (void)state;
    enum codec codec;
    for (int i = CODEC_PRODUCER; i <= CODEC_ZSTD; i++) {
        assert_int_equal(codec_find(slice_from_text(codec_name(i)), &codec), 0);
        assert_int_equal(codec, i);
    }
    assert_int_equal(codec_find(SLICE("none"), &codec), 0);
    assert_int_equal(codec, CODEC_NONE);
    assert_int_equal(codec_find(SLICE("brotli"), &codec), -EINVAL);
    assert_null(codec_name(5));
    struct buffer out = {0};
    assert_int_equal(codec_decompress(5, SLICE("x"), &out, MB), -ENOTSUP);
    assert_int_equal(codec_compress(5, 0, SLICE("x"), &out), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_other_libraries_wrote),
        cmocka_unit_test(every_cut_stream_is_refused_and_out_kept),
        cmocka_unit_test(flipped_bits_never_do_harm),
        cmocka_unit_test(round_trips_at_every_size),
        cmocka_unit_test(any_level_is_taken),
        cmocka_unit_test(F128_a_bomb_is_not_inflated_past_the_limit),
        cmocka_unit_test(a_snappy_block_that_lies_about_its_size_allocates_nothing),
        cmocka_unit_test(a_zstd_window_past_the_bound_is_refused),
        cmocka_unit_test(lz4_blocks_that_depend_on_each_other_are_refused),
        cmocka_unit_test(streams_in_a_row_are_one_stream),
        cmocka_unit_test(names_are_those_of_compression_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
