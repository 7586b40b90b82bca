/* zstd: one or more frames. The window is bounded to what Kafka's Java client accepts. */
#include <errno.h>
#include <zstd.h>

#include "proto/codec.h"

#define WINDOW_LOG_MAX                                                                             \
    27 /* written at levels 20 to 22; only what is really inflated gets touched */

static int decompress_frames(ZSTD_DCtx *ctx, struct slice from, struct buffer *out,
                             size_t limit_bytes)
{
    size_t start = out->size;
    ZSTD_inBuffer in = {from.data, from.size, 0};
    for (;;) {
        size_t room = codec_room(out, start, limit_bytes + 1);
        if (room == 0)
            return -E2BIG;
        ZSTD_outBuffer to = {out->data + out->size, room, 0};
        size_t taken = in.pos;
        size_t ret = ZSTD_decompressStream(ctx, &to, &in);
        if (ZSTD_isError(ret))
            return -EBADMSG;
        out->size += to.pos;
        if (ret == 0 && in.pos == in.size)
            break;
        if (ret != 0 && to.pos == 0 && in.pos == taken)
            return -EBADMSG; /* input ended inside a frame */
    }
    return out->size - start > limit_bytes ? -E2BIG : 0;
}

int zstd_decompress(struct slice in, struct buffer *out, size_t limit_bytes)
{
    if (in.size == 0)
        return -EBADMSG;
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (ctx == NULL)
        return -ENOMEM;
    size_t ret = ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    CHECK(!ZSTD_isError(ret));

    /* With room for all of a frame whose size is known, zstd needs no window of its own. */
    unsigned long long content = ZSTD_getFrameContentSize(in.data, in.size);
    if (content <= limit_bytes && content / 64 <= in.size)
        buffer_reserve(out, (size_t)content + 1);

    int err = decompress_frames(ctx, in, out, limit_bytes);
    ZSTD_freeDCtx(ctx);
    return err;
}

int zstd_compress(int level, struct slice in, struct buffer *out)
{
    if (level == CODEC_LEVEL_DEFAULT)
        level = ZSTD_CLEVEL_DEFAULT;
    level = MAX(ZSTD_minCLevel(), MIN(level, ZSTD_maxCLevel()));
    size_t bound = ZSTD_compressBound(in.size);
    uint8_t *to = buffer_reserve(out, bound);
    size_t written = ZSTD_compress(to, bound, in.data, in.size, level);
    if (ZSTD_isError(written))
        return -ENOMEM;
    out->size += written;
    return 0;
}
