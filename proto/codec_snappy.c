/*
 * Snappy in the two framings that Kafka's clients write.
 *
 *   raw     one snappy block (librdkafka, Go)
 *   xerial  82 'S' 'N' 'A' 'P' 'P' 'Y' 00, version, compatible version, { size, block }* (Java)
 */
#include <errno.h>
#include <snappy-c.h>

#include "proto/codec.h"

#define XERIAL_MAGIC       "\x82SNAPPY\0"
#define XERIAL_MAGIC_SIZE  8u
#define XERIAL_HEADER_SIZE 16u
#define XERIAL_BLOCK_BYTES (32u * 1024)
#define RATIO_MAX          24u /* no snappy element yields more: 64 bytes from 3 */

static bool starts_xerial(struct slice in)
{
    return in.size >= XERIAL_HEADER_SIZE && memcmp(in.data, XERIAL_MAGIC, XERIAL_MAGIC_SIZE) == 0;
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int decompress_block(struct slice in, struct buffer *out, size_t limit_bytes)
{
    size_t size;
    if (snappy_uncompressed_length((const char *)in.data, in.size, &size) != SNAPPY_OK)
        return -EBADMSG;
    if (size > in.size * RATIO_MAX)
        return -EBADMSG; /* a lie; nothing is allocated for it */
    if (size > limit_bytes)
        return -E2BIG;

    char *to = (char *)buffer_reserve(out, size + 1);
    if (snappy_uncompress((const char *)in.data, in.size, to, &size) != SNAPPY_OK)
        return -EBADMSG;
    out->size += size;
    return 0;
}

static int decompress_xerial(struct slice in, struct buffer *out, size_t limit_bytes)
{
    size_t start = out->size;
    while (in.size > 0) {
        size_t skip, size = 0;
        if (starts_xerial(in)) {
            skip = XERIAL_HEADER_SIZE; /* streams written one after the other */
        } else {
            if (in.size < 4)
                return -EBADMSG;
            size = get_u32(in.data);
            skip = 4;
            if (size == 0 || size > in.size - skip)
                return -EBADMSG;
            size_t left = limit_bytes - (out->size - start);
            int err = decompress_block(slice_of(in.data + skip, size), out, left);
            if (err != 0)
                return err;
        }
        in = slice_of(in.data + skip + size, in.size - skip - size);
    }
    return 0;
}

int snappy_decompress(struct slice in, struct buffer *out, size_t limit_bytes)
{
    if (starts_xerial(in))
        return decompress_xerial(in, out, limit_bytes);
    return decompress_block(in, out, limit_bytes);
}

int snappy_compress_xerial(struct slice in, struct buffer *out)
{
    static const uint8_t versions[8] = {0, 0, 0, 1, 0, 0, 0, 1};
    buffer_append(out, XERIAL_MAGIC, XERIAL_MAGIC_SIZE);
    buffer_append(out, versions, sizeof(versions));

    for (size_t at = 0; at < in.size; at += XERIAL_BLOCK_BYTES) {
        size_t size = MIN(in.size - at, (size_t)XERIAL_BLOCK_BYTES);
        size_t written = snappy_max_compressed_length(size);
        uint8_t *to = buffer_reserve(out, 4 + written);
        const char *from = (const char *)in.data + at;
        CHECK(snappy_compress(from, size, (char *)to + 4, &written) == SNAPPY_OK);
        to[0] = (uint8_t)(written >> 24);
        to[1] = (uint8_t)(written >> 16);
        to[2] = (uint8_t)(written >> 8);
        to[3] = (uint8_t)written;
        out->size += 4 + written;
    }
    return 0;
}
