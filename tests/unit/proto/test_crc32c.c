/* CRC-32C against known values and a bit-by-bit computation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/base/rng.h"

static uint32_t bit_by_bit(const uint8_t *p, size_t size)
{
    uint32_t crc = 0xffffffff;
    while (size-- > 0) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void known_values(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < sizeof(up); i++)
        up[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void every_size_and_alignment(void **state)
{
    (void)state;
    static uint8_t bytes[40000];
    struct rng rng;
    rng_init(&rng, 7);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    for (size_t size = 0; size < 300; size++)
        assert_int_equal(crc32c(0, bytes + size % 9, size), bit_by_bit(bytes + size % 9, size));
    static const size_t big[] = {6143, 6144, 6145, 12288, 12295, 20001, 39990};
    for (size_t i = 0; i < ARRAY_COUNT(big); i++)
        assert_int_equal(crc32c(0, bytes + i, big[i]), bit_by_bit(bytes + i, big[i]));
}

static void continues_over_pieces(void **state)
{
    (void)state;
    static uint8_t bytes[20000];
    struct rng rng;
    rng_init(&rng, 8);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    uint32_t whole = crc32c(0, bytes, sizeof(bytes));
    for (int round = 0; round < 50; round++) {
        size_t cut = rng_below(&rng, sizeof(bytes));
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(every_size_and_alignment),
        cmocka_unit_test(continues_over_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
