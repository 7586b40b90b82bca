/* gzip, by zlib: one or more members, one after the other. */
#include <errno.h>
#include <limits.h>
#include <zlib.h>

#include "proto/codec.h"

#define GZIP_WINDOW (15 + 16) /* 32 KiB, and gzip's header instead of zlib's */

static int inflate_members(z_stream *z, struct buffer *out, size_t limit_bytes)
{
    size_t start = out->size;
    for (;;) {
        /* One byte past the limit tells "too big" from "just fits". */
        size_t room = MIN(codec_room(out, start, limit_bytes + 1), (size_t)UINT_MAX);
        if (room == 0)
            return -E2BIG;
        z->next_out = out->data + out->size;
        z->avail_out = (uInt)room;

        int ret = inflate(z, Z_NO_FLUSH);
        out->size += room - z->avail_out;
        if (ret == Z_MEM_ERROR)
            return -ENOMEM;
        if (ret != Z_OK && ret != Z_STREAM_END)
            return -EBADMSG; /* Z_BUF_ERROR: input ended inside a member */
        if (ret != Z_STREAM_END)
            continue;
        if (z->avail_in == 0)
            return out->size - start > limit_bytes ? -E2BIG : 0;
        if (inflateReset(z) != Z_OK)
            return -EBADMSG;
    }
}

int gzip_decompress(struct slice in, struct buffer *out, size_t limit_bytes)
{
    if (in.size > UINT_MAX)
        return -EBADMSG;
    z_stream z = {.next_in = (Bytef *)in.data, .avail_in = (uInt)in.size};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return -ENOMEM;
    int err = inflate_members(&z, out, limit_bytes);
    inflateEnd(&z);
    return err;
}

int gzip_compress(int level, struct slice in, struct buffer *out)
{
    z_stream z = {.next_in = (Bytef *)in.data, .avail_in = (uInt)in.size};
    if (level < Z_BEST_SPEED || level > Z_BEST_COMPRESSION)
        level = Z_DEFAULT_COMPRESSION;
    if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;

    size_t bound = deflateBound(&z, in.size);
    z.next_out = buffer_reserve(out, bound);
    z.avail_out = (uInt)bound;
    int ret = deflate(&z, Z_FINISH);
    out->size += bound - z.avail_out;
    deflateEnd(&z);
    CHECK(ret == Z_STREAM_END);
    return 0;
}
