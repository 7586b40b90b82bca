/* Every message in every version: round trips, truncation, hostile bytes, defaults, tags, splices.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fill.h"
#include "proto/messages.h"

/* The struct of one API in one direction and version, filled from a seed and encoded. */
struct sample {
    const struct api_info *api;
    const struct api_message *kind;
    int16_t version;
    struct arena arena;
    void *message;
    struct buffer bytes;
};

static void encode(const struct api_message *kind, int16_t version, const void *message,
                   struct buffer *out)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    kind->encode(&w, version, message);
    assert_int_equal(w.splices.count, 0);
    wire_writer_deinit(&w);
}

static void sample_init(struct sample *s, const struct api_info *api, bool is_request,
                        int16_t version, uint64_t seed)
{
    *s = (struct sample){.api = api, .version = version};
    s->kind = is_request ? &api->request : &api->response;
    arena_init(&s->arena, 0);
    s->message = mem_zalloc(s->kind->struct_size);
    struct filler filler = {.arena = &s->arena};
    rng_init(&filler.rng, seed);
    const struct fill_functions *fill = &fill_table[api - api_table];
    (is_request ? fill->request : fill->response)(&filler, version, s->message);
    encode(s->kind, version, s->message, &s->bytes);
}

static void sample_deinit(struct sample *s)
{
    free(s->message);
    buffer_deinit(&s->bytes);
    arena_deinit(&s->arena);
}

/* Decode exactly these bytes, from memory of their own so that a sanitizer sees a read past them.
 * The arena has the limit that valid messages never reach. */
static int decode(const struct sample *s, struct slice bytes, struct buffer *encoded_again)
{
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
    memcpy(copy, bytes.data, bytes.size);
    struct arena arena;
    arena_init(&arena, bytes.size * s->kind->growth + 1); /* 0 would be no limit */
    struct wire_reader r;
    wire_reader_init(&r, slice_of(copy, bytes.size), &arena);
    void *message = mem_zalloc(s->kind->struct_size);

    int err = s->kind->decode(&r, s->version, message);
    if (err == 0 && encoded_again != NULL) {
        assert_int_equal(wire_remaining(&r), 0);
        encode(s->kind, s->version, message, encoded_again);
    }
    free(message);
    arena_deinit(&arena);
    free(copy);
    return err;
}

static void for_each_sample(int seeds, void (*test)(struct sample *s, uint64_t seed))
{
    for (size_t i = 0; i < api_table_count; i++) {
        const struct api_info *api = &api_table[i];
        for (int16_t v = api->version_min; v <= api->version_codec_max; v++) {
            for (int n = 0; n < seeds * 2; n++) {
                uint64_t seed = (uint64_t)n + (uint64_t)v * 1000 + (uint64_t)api->key * 7919;
                struct sample s;
                sample_init(&s, api, n % 2 == 0, v, seed);
                test(&s, seed);
                sample_deinit(&s);
            }
        }
    }
}

static void check_round_trip(struct sample *s, uint64_t seed)
{
    (void)seed;
    struct buffer again = {0};
    int err = decode(s, buffer_slice(&s->bytes), &again);
    if (err != 0 || !slice_equal(buffer_slice(&s->bytes), buffer_slice(&again)))
        fail_msg("%s v%d seed %d: err %d", s->api->name, s->version, (int)seed, err);
    buffer_deinit(&again);
}

static void survives_a_round_trip_in_every_version(void **state)
{
    (void)state;
    for_each_sample(20, check_round_trip);
}

static void check_prefixes(struct sample *s, uint64_t seed)
{
    /* Every cut of a short message; of a long one its ends and some between. */
    struct rng rng;
    rng_init(&rng, seed);
    size_t size = 0;
    while (size < s->bytes.size) {
        int err = decode(s, slice_of(s->bytes.data, size), NULL);
        if (err != -EBADMSG && err != -ENOMEM)
            fail_msg("%s v%d: %d of %d bytes gave %d", s->api->name, s->version, (int)size,
                     (int)s->bytes.size, err);
        size += size < 200 || size + 20 > s->bytes.size ? 1 : 1 + rng_below(&rng, 50);
    }
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    for_each_sample(2, check_prefixes);
}

static void check_mutations(struct sample *s, uint64_t seed)
{
    static const uint8_t nasty[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xff, 0xfe, 0x10};
    struct rng rng;
    rng_init(&rng, seed);
    for (int round = 0; round < 30 && s->bytes.size > 0; round++) {
        size_t run = 1 + rng_below(&rng, 5), at = rng_below(&rng, s->bytes.size);
        uint8_t saved[8];
        run = MIN(run, s->bytes.size - at);
        memcpy(saved, s->bytes.data + at, run);
        for (size_t i = 0; i < run; i++)
            s->bytes.data[at + i] = nasty[rng_below(&rng, sizeof(nasty))];
        int err = decode(s, buffer_slice(&s->bytes), NULL);
        assert_true(err == 0 || err == -EBADMSG || err == -ENOMEM);
        memcpy(s->bytes.data + at, saved, run);
    }
}

static void takes_hostile_bytes_within_its_memory_bound(void **state)
{
    (void)state;
    for_each_sample(4, check_mutations);
}

static void refuses_versions_that_the_schema_lacks(void **state)
{
    (void)state;
    uint8_t zeros[64] = {0};
    for (size_t i = 0; i < api_table_count; i++) {
        struct sample s = {.api = &api_table[i], .kind = &api_table[i].request};
        s.version = (int16_t)(s.api->version_min - 1);
        assert_int_equal(decode(&s, slice_of(zeros, sizeof(zeros)), NULL), -EBADMSG);
        s.version = (int16_t)(s.api->version_codec_max + 1);
        assert_int_equal(decode(&s, slice_of(zeros, sizeof(zeros)), NULL), -EBADMSG);
    }
}

static void count_beyond_the_frame_allocates_nothing(void **state)
{
    (void)state;
    /* Metadata v1: an array of 2^31-1 topics in a frame of 6 bytes. */
    const uint8_t frame[] = {0x7f, 0xff, 0xff, 0xff, 0, 0};
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_reader r;
    wire_reader_init(&r, slice_of(frame, sizeof(frame)), &arena);
    struct metadata_request in;
    assert_int_equal(metadata_request_decode(&r, 1, &in), -EBADMSG);
    assert_int_equal(arena.used_bytes, 0);
    assert_int_equal(in.topics_count, 0);
    arena_deinit(&arena);
}

static void arena_limit_refuses_the_request(void **state)
{
    (void)state;
    uint8_t frame[5 + 2 * 2000] = {0, 0, 0x07, 0xd0}; /* Metadata v0: 2,000 topics of no letters */
    struct arena arena;
    arena_init(&arena, 4096);
    struct wire_reader r;
    wire_reader_init(&r, slice_of(frame, sizeof(frame)), &arena);
    struct metadata_request in;
    assert_int_equal(metadata_request_decode(&r, 0, &in), -ENOMEM);
    arena_deinit(&arena);
}

static void absent_fields_have_kafkas_defaults(void **state)
{
    (void)state;
    const uint8_t frame[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0,   0, 0, 2, 0, 0, 0,
                             3,    1,    0,    0,    0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0,
                             0,    5,    0,    0,    0, 0, 0, 0, 0,   9, 0, 0, 1, 0};
    struct arena arena;
    arena_init(&arena, 0);
    struct wire_reader r;
    wire_reader_init(&r, slice_of(frame, sizeof(frame)), &arena);
    struct fetch_request in;
    assert_int_equal(fetch_request_decode(&r, 4, &in), 0);
    assert_int_equal(in.replica_id, -1);
    assert_int_equal(in.max_bytes, 3);
    assert_int_equal(in.isolation_level, 1);
    assert_int_equal(in.session_epoch, -1);
    assert_int_equal(in.replica_state.replica_epoch, -1);
    assert_true(slice_is_null(in.cluster_id));
    assert_true(!slice_is_null(in.rack_id) && in.rack_id.size == 0);
    const struct fetch_request_topic_partition *part = &in.topics[0].partitions[0];
    assert_true(slice_equals_text(in.topics[0].topic, "t"));
    assert_int_equal(part->partition, 5);
    assert_int_equal(part->fetch_offset, 9);
    assert_int_equal(part->current_leader_epoch, -1);
    assert_int_equal(part->partition_max_bytes, 256);
    assert_true(part->high_watermark == INT64_MAX);
    arena_deinit(&arena);
}

static void null_and_empty_array_are_told_apart(void **state)
{
    (void)state;
    const uint8_t null_array[] = {0xff, 0xff, 0xff, 0xff}, empty_array[] = {0, 0, 0, 0};
    struct wire_reader r;
    struct metadata_request in;
    wire_reader_init(&r, slice_of(null_array, 4), NULL);
    assert_int_equal(metadata_request_decode(&r, 1, &in), 0);
    assert_int_equal(in.topics_count, -1);
    wire_reader_init(&r, slice_of(empty_array, 4), NULL);
    assert_int_equal(metadata_request_decode(&r, 1, &in), 0);
    assert_int_equal(in.topics_count, 0);
    wire_reader_init(&r, slice_of(null_array, 4), NULL);
    assert_int_equal(metadata_request_decode(&r, 0, &in), -EBADMSG); /* v0 has no null */
}

static void unknown_tags_are_skipped(void **state)
{
    (void)state;
    /* ApiVersions v3: two strings, then tags 7 (two bytes) and 200 (none). */
    const uint8_t frame[] = {2, 'a', 2, 'b', 2, 7, 2, 0xde, 0xad, 0xc8, 1, 0};
    struct wire_reader r;
    wire_reader_init(&r, slice_of(frame, sizeof(frame)), NULL);
    struct api_versions_request in;
    assert_int_equal(api_versions_request_decode(&r, 3, &in), 0);
    assert_int_equal(wire_remaining(&r), 0);
    assert_true(slice_equals_text(in.client_software_version, "b"));
}

static void a_tag_must_hold_its_value_exactly(void **state)
{
    (void)state;
    /* Fetch v12 is flexible; ReplicaState (tag 1) exists from v15 with 4 + 8 + 1 bytes. */
    struct fetch_request out;
    fetch_request_init(&out);
    out.replica_state.replica_epoch = 7;
    struct buffer bytes = {0};
    struct wire_writer w;
    wire_writer_init(&w, &bytes);
    fetch_request_encode(&w, 15, &out);
    assert_int_equal(bytes.data[bytes.size - 14], 13);
    struct wire_reader r;
    wire_reader_init(&r, buffer_slice(&bytes), NULL);
    assert_int_equal(fetch_request_decode(&r, 15, &out), 0);
    assert_int_equal(out.replica_state.replica_epoch, 7);

    for (int size = 0; size < 13; size++) {
        bytes.data[bytes.size - 14] = (uint8_t)size;
        wire_reader_init(&r, buffer_slice(&bytes), NULL);
        assert_int_equal(fetch_request_decode(&r, 15, &out), -EBADMSG);
    }
    wire_writer_deinit(&w);
    buffer_deinit(&bytes);
}

static void records_in_a_file_become_splices(void **state)
{
    (void)state;
    struct file_range range = {.fd = -1, .position = 100, .size = 1000};
    struct fetch_response_response_partition parts[2];
    struct fetch_response_response topic;
    struct fetch_response out;
    fetch_response_init(&out);
    fetch_response_response_init(&topic);
    for (int i = 0; i < 2; i++)
        fetch_response_response_partition_init(&parts[i]);
    parts[0].records.file = &range;
    parts[1].records.bytes = SLICE("abc");
    topic.partitions = parts;
    topic.partitions_count = 2;
    out.responses = &topic;
    out.responses_count = 1;

    for (int16_t version = 4; version <= 18; version++) {
        struct buffer bytes = {0}, whole = {0};
        struct wire_writer w;
        wire_writer_init(&w, &bytes);
        fetch_response_encode(&w, version, &out);
        assert_int_equal(w.splices.count, 1);
        assert_ptr_equal(w.splices.items[0].file, &range);
        assert_int_equal(wire_written(&w), bytes.size + 1000);

        size_t at = w.splices.items[0].offset;
        buffer_append(&whole, bytes.data, at);
        memset(buffer_reserve(&whole, 1000), 'x', 1000);
        whole.size += 1000;
        buffer_append(&whole, bytes.data + at, bytes.size - at);
        struct arena arena;
        arena_init(&arena, 0);
        struct wire_reader r;
        struct fetch_response in;
        wire_reader_init(&r, buffer_slice(&whole), &arena);
        assert_int_equal(fetch_response_decode(&r, version, &in), 0);
        assert_int_equal(in.responses[0].partitions[0].records.bytes.size, 1000);
        assert_true(slice_equals_text(in.responses[0].partitions[1].records.bytes, "abc"));
        arena_deinit(&arena);
        wire_writer_deinit(&w);
        buffer_deinit(&bytes);
        buffer_deinit(&whole);
    }
}

static void null_where_none_may_stand_is_written_as_empty(void **state)
{
    (void)state;
    struct join_group_response out;
    join_group_response_init(&out);
    out.protocol_name = SLICE_NULL; /* nullable from v7 */
    struct buffer bytes = {0};
    struct wire_writer w;
    wire_writer_init(&w, &bytes);
    join_group_response_encode(&w, 6, &out);
    struct wire_reader r;
    struct join_group_response in;
    wire_reader_init(&r, buffer_slice(&bytes), NULL);
    assert_int_equal(join_group_response_decode(&r, 6, &in), 0);
    assert_true(!slice_is_null(in.protocol_name) && in.protocol_name.size == 0);
    wire_writer_deinit(&w);
    buffer_deinit(&bytes);
}

static void table_is_found_by_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_table_count; i++) {
        assert_ptr_equal(api_find(api_table[i].key), &api_table[i]);
        assert_true(i == 0 || api_table[i - 1].key < api_table[i].key);
    }
    assert_null(api_find(-1));
    assert_null(api_find(4));
    assert_null(api_find(INT16_MAX));
    assert_int_equal(api_find(API_INIT_PRODUCER_ID)->version_max, 5); /* 6 is not stable in Kafka */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_a_round_trip_in_every_version),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(takes_hostile_bytes_within_its_memory_bound),
        cmocka_unit_test(refuses_versions_that_the_schema_lacks),
        cmocka_unit_test(count_beyond_the_frame_allocates_nothing),
        cmocka_unit_test(arena_limit_refuses_the_request),
        cmocka_unit_test(absent_fields_have_kafkas_defaults),
        cmocka_unit_test(null_and_empty_array_are_told_apart),
        cmocka_unit_test(unknown_tags_are_skipped),
        cmocka_unit_test(a_tag_must_hold_its_value_exactly),
        cmocka_unit_test(records_in_a_file_become_splices),
        cmocka_unit_test(null_where_none_may_stand_is_written_as_empty),
        cmocka_unit_test(table_is_found_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
