/*
 * The compression codecs of record batches, by their number in the batch attributes.
 *
 * Reading never trusts a peer: output grows as the stream yields it and stops at the limit, so that
 * a few bytes that claim to be gigabytes cost nothing. Writing makes what Apache Kafka's Java
 * client reads: gzip members, snappy in xerial chunks, LZ4 frames of independent blocks, zstd
 * frames.
 */
#pragma once

#include "proto/base/buffer.h"
#include "proto/base/check.h"
#include "proto/base/slice.h"

enum codec {
    CODEC_PRODUCER = -1, /* compression.type=producer: keep what came; never in a batch */
    CODEC_NONE = 0,
    CODEC_GZIP = 1,
    CODEC_SNAPPY = 2,
    CODEC_LZ4 = 3,
    CODEC_ZSTD = 4,
};

#define CODEC_LEVEL_DEFAULT INT32_MIN

/* The codec's name in compression.type ("uncompressed" for CODEC_NONE); NULL for no codec. */
const char *codec_name(int codec);
/* The inverse; also takes "none" and "producer". 0 or -EINVAL. */
int codec_find(struct slice name, enum codec *codec) MUST_CHECK;

/* Append what `in` holds to `out`, at most limit_bytes of it. On an error out is as it was.
 *   -EBADMSG   not a complete, valid stream of this codec
 *   -E2BIG     it would exceed the limit
 *   -ENOTSUP   no such codec */
int codec_decompress(int codec, struct slice in, struct buffer *out, size_t limit_bytes) MUST_CHECK;

/* Append `in`, compressed, to `out`. level: the codec's own scale (clamped), or
 * CODEC_LEVEL_DEFAULT. 0, or -ENOTSUP for no such codec, -ENOMEM. */
int codec_compress(int codec, int level, struct slice in, struct buffer *out) MUST_CHECK;

/* One file each; the contracts are those above. out->size is restored by codec_decompress(). */
int gzip_decompress(struct slice in, struct buffer *out, size_t limit_bytes) MUST_CHECK;
int gzip_compress(int level, struct slice in, struct buffer *out) MUST_CHECK;
int snappy_decompress(struct slice in, struct buffer *out, size_t limit_bytes) MUST_CHECK;
int snappy_compress_xerial(struct slice in, struct buffer *out) MUST_CHECK;
int lz4_decompress(struct slice in, struct buffer *out, size_t limit_bytes) MUST_CHECK;
int lz4_compress(int level, struct slice in, struct buffer *out) MUST_CHECK;
int zstd_decompress(struct slice in, struct buffer *out, size_t limit_bytes) MUST_CHECK;
int zstd_compress(int level, struct slice in, struct buffer *out) MUST_CHECK;

/* Room for the next piece of output: doubles what is there, never past `limit` bytes behind
 * `start`. Returns the room in bytes (0: the limit is reached). */
size_t codec_room(struct buffer *out, size_t start, size_t limit_bytes);
