/* CRC-32C by the CPU's instruction in three interleaved streams, or by table. */
#include "proto/base/crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLY 0x82f63b78u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_init(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? (crc >> 1) ^ POLY : crc >> 1;
        table[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++)
            table[k][n] = table[0][table[k - 1][n] & 0xff] ^ (table[k - 1][n] >> 8);
}

static uint32_t crc_software(uint32_t crc, const uint8_t *p, size_t size)
{
    pthread_once(&table_once, table_init);
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word ^= crc;
        crc = table[7][word & 0xff] ^ table[6][(word >> 8) & 0xff] ^ table[5][(word >> 16) & 0xff] ^
              table[4][(word >> 24) & 0xff] ^ table[3][(word >> 32) & 0xff] ^
              table[2][(word >> 40) & 0xff] ^ table[1][(word >> 48) & 0xff] ^ table[0][word >> 56];
        p += 8;
        size -= 8;
    }
    while (size-- > 0)
        crc = table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

#define STREAM 2048u

static uint32_t shift_table[4][256]; /* advances a CRC over STREAM zero bytes */
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;

static void shift_init(void)
{
    static const uint8_t zeros[STREAM];
    for (int k = 0; k < 4; k++)
        for (uint32_t n = 0; n < 256; n++)
            shift_table[k][n] = crc_software(n << (8 * k), zeros, STREAM);
}

static uint32_t shift(uint32_t crc)
{
    return shift_table[0][crc & 0xff] ^ shift_table[1][(crc >> 8) & 0xff] ^
           shift_table[2][(crc >> 16) & 0xff] ^ shift_table[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint64_t load_crc(uint64_t crc, const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return _mm_crc32_u64(crc, word);
}

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *p,
                                                               size_t size)
{
    /* The instruction has a latency of three cycles and a throughput of one: three streams fill
     * it. */
    pthread_once(&shift_once, shift_init);
    while (size >= 3 * STREAM) {
        uint64_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < STREAM; i += 8) {
            a = load_crc(a, p + i);
            b = load_crc(b, p + STREAM + i);
            c = load_crc(c, p + 2 * STREAM + i);
        }
        crc = shift(shift((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
        p += 3 * STREAM;
        size -= 3 * STREAM;
    }
    uint64_t rest = crc;
    for (; size >= 8; p += 8, size -= 8)
        rest = load_crc(rest, p);
    crc = (uint32_t)rest;
    while (size-- > 0)
        crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_hardware(~crc, data, size);
#endif
    return ~crc_software(~crc, data, size);
}
