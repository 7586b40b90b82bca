/*
 * LZ4 frames. Kafka's Java reader refuses frames whose blocks depend on each other, so they are
 * neither written nor accepted here: such a batch would stop every Java consumer.
 */
#include <errno.h>
#include <lz4frame.h>

#include "proto/codec.h"

#define FLG_POSITION    4u
#define FLG_INDEPENDENT 0x20u
#define LEVEL_MAX       12

static int decompress_frame(LZ4F_dctx *ctx, struct slice in, struct buffer *out, size_t limit_bytes)
{
    size_t start = out->size, hint = 1;
    while (hint != 0) {
        size_t room = codec_room(out, start, limit_bytes + 1);
        if (room == 0)
            return -E2BIG;
        size_t written = room, taken = in.size;
        hint = LZ4F_decompress(ctx, out->data + out->size, &written, in.data, &taken, NULL);
        if (LZ4F_isError(hint))
            return -EBADMSG;
        if (hint != 0 && written == 0 && taken == 0)
            return -EBADMSG; /* input ended inside the frame */
        out->size += written;
        in = slice_of(in.data + taken, in.size - taken);
    }
    if (out->size - start > limit_bytes)
        return -E2BIG;
    return in.size == 0 ? 0 : -EBADMSG;
}

int lz4_decompress(struct slice in, struct buffer *out, size_t limit_bytes)
{
    if (in.size <= FLG_POSITION || !(in.data[FLG_POSITION] & FLG_INDEPENDENT))
        return -EBADMSG;

    LZ4F_dctx *ctx;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return -ENOMEM;
    int err = decompress_frame(ctx, in, out, limit_bytes);
    LZ4F_freeDecompressionContext(ctx);
    return err;
}

int lz4_compress(int level, struct slice in, struct buffer *out)
{
    LZ4F_preferences_t prefs = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level == CODEC_LEVEL_DEFAULT ? 0 : MIN(level, LEVEL_MAX),
    };
    size_t bound = LZ4F_compressFrameBound(in.size, &prefs);
    uint8_t *to = buffer_reserve(out, bound);
    size_t written = LZ4F_compressFrame(to, bound, in.data, in.size, &prefs);
    if (LZ4F_isError(written))
        return -ENOMEM;
    out->size += written;
    return 0;
}
