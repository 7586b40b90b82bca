/* Choosing a codec, and the bound on output that all of them share. */
#include "proto/codec.h"

#include <errno.h>

#define ROOM_MIN 4096u

static const char *const names[] = {"uncompressed", "gzip", "snappy", "lz4", "zstd"};

const char *codec_name(int codec)
{
    if (codec == CODEC_PRODUCER)
        return "producer";
    return codec >= 0 && codec < (int)ARRAY_COUNT(names) ? names[codec] : NULL;
}

int codec_find(struct slice name, enum codec *codec)
{
    *codec = CODEC_NONE;
    for (int i = CODEC_PRODUCER; i <= CODEC_ZSTD; i++) {
        if (slice_equals_text(name, codec_name(i))) {
            *codec = (enum codec)i;
            return 0;
        }
    }
    return slice_equals_text(name, "none") ? 0 : -EINVAL;
}

size_t codec_room(struct buffer *out, size_t start, size_t limit_bytes)
{
    size_t used = out->size - start;
    if (used >= limit_bytes)
        return 0;
    if (out->capacity == out->size)
        buffer_reserve(out, MIN(limit_bytes - used, MAX(used, (size_t)ROOM_MIN)));
    return MIN(limit_bytes - used, out->capacity - out->size);
}

int codec_decompress(int codec, struct slice in, struct buffer *out, size_t limit_bytes)
{
    size_t start = out->size;
    int err = -ENOTSUP;
    limit_bytes = MIN(limit_bytes, SIZE_MAX / 2); /* the codecs look one byte past it */

    switch (codec) {
    case CODEC_NONE:
        err = in.size > limit_bytes ? -E2BIG : 0;
        if (err == 0)
            buffer_append_slice(out, in);
        break;
    case CODEC_GZIP:
        err = gzip_decompress(in, out, limit_bytes);
        break;
    case CODEC_SNAPPY:
        err = snappy_decompress(in, out, limit_bytes);
        break;
    case CODEC_LZ4:
        err = lz4_decompress(in, out, limit_bytes);
        break;
    case CODEC_ZSTD:
        err = zstd_decompress(in, out, limit_bytes);
        break;
    }
    if (err != 0)
        out->size = start;
    return err;
}

int codec_compress(int codec, int level, struct slice in, struct buffer *out)
{
    switch (codec) {
    case CODEC_NONE:
        buffer_append_slice(out, in);
        return 0;
    case CODEC_GZIP:
        return gzip_compress(level, in, out);
    case CODEC_SNAPPY:
        return snappy_compress_xerial(in, out);
    case CODEC_LZ4:
        return lz4_compress(level, in, out);
    case CODEC_ZSTD:
        return zstd_compress(level, in, out);
    default:
        return -ENOTSUP;
    }
}
