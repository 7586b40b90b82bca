/*
 * Writes random messages of every API, kind and version as our encoders see them, one a line:
 *
 *   key kind version hex
 *
 * oracle/Oracle.java reads each with Kafka's own classes and writes it again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fill.h"

#define MESSAGES_PER_VERSION 25
#define PRIVATE_KEY_MIN      20000

static void vector_write(const struct api_info *api, bool is_request, int16_t version,
                         uint64_t seed)
{
    const struct api_message *kind = is_request ? &api->request : &api->response;
    const struct fill_functions *fill = &fill_table[api - api_table];
    struct arena arena;
    arena_init(&arena, 0);
    struct filler filler = {.arena = &arena};
    rng_init(&filler.rng, seed);
    void *message = mem_zalloc(kind->struct_size);
    (is_request ? fill->request : fill->response)(&filler, version, message);

    struct buffer bytes = {0};
    struct wire_writer w;
    wire_writer_init(&w, &bytes);
    kind->encode(&w, version, message);
    printf("%d %s %d ", api->key, is_request ? "request" : "response", version);
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
    printf("\n");

    wire_writer_deinit(&w);
    buffer_deinit(&bytes);
    free(message);
    arena_deinit(&arena);
}

int main(void)
{
    for (size_t i = 0; i < api_table_count; i++) {
        const struct api_info *api = &api_table[i];
        if (api->key >= PRIVATE_KEY_MIN)
            continue;
        for (int16_t v = api->version_min; v <= api->version_codec_max; v++)
            for (uint64_t n = 0; n < MESSAGES_PER_VERSION * 2; n++)
                vector_write(api, n % 2 == 0, v,
                             n + (uint64_t)v * 1000 + (uint64_t)api->key * 99991);
    }
    return 0;
}
