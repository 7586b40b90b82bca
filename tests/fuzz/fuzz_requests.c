/*
 * A frame, as the server takes it from a connection: header, then the request's decoder; and the
 * rest of it as an answer, as the peer client takes it. The first four bytes, key and version, are
 * mapped to one that exists. What was decoded must survive being encoded and decoded again, and
 * must not have cost more memory than promised.
 */
#include <stdlib.h>

#include "fill.h"
#include "proto/frame.h"
#include "proto/messages.h"
#include "tests/fuzz/fuzz.h"

/* A message that is refused for its memory must be malformed as well. */
static int decode_again_without_limit(const struct api_message *kind, int16_t version,
                                      struct slice bytes, void *message)
{
    struct arena arena;
    struct wire_reader r;
    arena_init(&arena, 0);
    wire_reader_init(&r, bytes, &arena);
    int err = kind->decode(&r, version, message);
    arena_deinit(&arena);
    return err;
}

static void *decode(const struct api_message *kind, int16_t version, struct slice bytes,
                    struct arena *arena)
{
    struct wire_reader r;
    arena_init(arena, bytes.size * kind->growth + 1); /* 0 would be no limit */
    wire_reader_init(&r, bytes, arena);
    void *message = mem_zalloc(kind->struct_size);
    int err = kind->decode(&r, version, message);
    if (err == -ENOMEM)
        err = decode_again_without_limit(kind, version, bytes, message);
    CHECK(err == 0 || err == -EBADMSG);
    if (err != 0) {
        free(message);
        return NULL;
    }
    CHECK(r.err == 0);
    return message;
}

static void encode(const struct api_message *kind, int16_t version, const void *message,
                   struct buffer *out)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    kind->encode(&w, version, message);
    wire_writer_deinit(&w);
}

static void check_message(const struct api_message *kind, int16_t version, struct slice bytes)
{
    struct arena arena, arena_again;
    struct buffer first = {0}, second = {0};
    arena_init(&arena_again, 0);
    void *message = decode(kind, version, bytes, &arena), *again = NULL;
    if (message == NULL)
        goto out;
    encode(kind, version, message, &first);
    again = decode(kind, version, buffer_slice(&first), &arena_again);
    CHECK(again != NULL);
    encode(kind, version, again, &second);
    CHECK(slice_equal(buffer_slice(&first), buffer_slice(&second)));
out:
    free(message);
    free(again);
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
    arena_deinit(&arena_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_header header;
    struct wire_reader r;
    if (size < 4)
        return 0;

    const struct api_info *api = &api_table[wire_load(data, 2) % api_table_count];
    int versions = api->version_codec_max - api->version_min + 1;
    int16_t version = (int16_t)(api->version_min + (int)wire_load(data + 2, 2) % versions);
    uint8_t *frame = mem_alloc(size);
    memcpy(frame, data, size);
    wire_store(frame, (uint64_t)api->key, 2);
    wire_store(frame + 2, (uint64_t)version, 2);

    wire_reader_init(&r, slice_of(frame, size), NULL);
    if (request_header_decode(&r, &header) == 0)
        check_message(&api->request, version, slice_of(r.at, wire_remaining(&r)));
    int32_t correlation_id;
    wire_reader_init(&r, slice_of(frame + 4, size - 4), NULL);
    if (response_header_decode(&r, api->key, version, &correlation_id) == 0)
        check_message(&api->response, version, slice_of(r.at, wire_remaining(&r)));
    free(frame);
    return 0;
}

void fuzz_generate(struct rng *rng, struct buffer *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct filler filler = {.arena = &arena};
    rng_init(&filler.rng, rng_next(rng));
    size_t at = rng_below(rng, api_table_count);
    const struct api_info *api = &api_table[at];
    int16_t versions = (int16_t)(api->version_codec_max - api->version_min + 1);
    int16_t version = (int16_t)rng_below(rng, (uint64_t)versions);
    int16_t api_version = (int16_t)(api->version_min + version);
    bool is_request = rng_below(rng, 3) != 0;
    const struct api_message *kind = is_request ? &api->request : &api->response;
    void *message = mem_zalloc(kind->struct_size);
    (is_request ? fill_table[at].request : fill_table[at].response)(&filler, api_version, message);

    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_i16(&w, (int16_t)at); /* the target maps these two back */
    wire_put_i16(&w, version);
    if (is_request) {
        wire_put_i32(&w, 1);
        wire_put_string(&w, false, true, SLICE("fuzz"));
        if (request_header_version(api->key, api_version) >= 2)
            wire_put_uvarint(&w, 0);
    } else {
        response_header_encode(&w, api->key, api_version, 1);
    }
    kind->encode(&w, api_version, message);
    wire_writer_deinit(&w);
    free(message);
    arena_deinit(&arena);
}
