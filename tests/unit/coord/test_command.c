/* Commands, batches and entries to bytes and back; what comes broken is refused. */
#include "metadata_kit.h"

#include "proto/base/rng.h"

static void every_field_survives(void **state)
{
    (void)state;
    int32_t ids[2] = {4, 5};
    struct command_assignment as = {1, ids, 2};
    struct image_config configs[2] = {{SLICE("a"), SLICE("b")}, {SLICE("c"), SLICE_NULL}};
    struct create_topic in = {SLICE("t"), kit_uuid('u', 9), -1, -1, &as, 1, configs, 2};
    struct buffer bytes = {0};
    command_encode_create_topic(&bytes, &in);
    struct arena arena;
    arena_init(&arena, 0);
    struct command out;
    assert_int_equal(command_decode(buffer_slice(&bytes), &arena, &out), 0);
    assert_int_equal(out.kind, COMMAND_CREATE_TOPIC);
    assert_true(slice_equals_text(out.create_topic.name, "t"));
    assert_true(uuid_equal(out.create_topic.topic_id, in.topic_id));
    assert_int_equal(out.create_topic.partitions, -1);
    assert_int_equal(out.create_topic.assignments[0].broker_ids[1], 5);
    assert_true(slice_is_null(out.create_topic.configs[1].value));
    arena_deinit(&arena);
    buffer_deinit(&bytes);
}

static void a_count_of_minus_one_survives(void **state)
{
    (void)state;
    struct elect_leaders in = {.partitions_count = -1};
    struct buffer bytes = {0};
    command_encode_elect_leaders(&bytes, &in);
    struct arena arena;
    arena_init(&arena, 0);
    struct command out;
    assert_int_equal(command_decode(buffer_slice(&bytes), &arena, &out), 0);
    assert_int_equal(out.elect_leaders.partitions_count, -1);
    arena_deinit(&arena);
    buffer_deinit(&bytes);
}

static struct slice sample_batch(struct buffer *out)
{
    struct buffer bytes = {0};
    struct command_offset row = {SLICE("topic"), 3, 42, 1, SLICE("m"), 1, -1};
    struct commit_offsets c = {7, 1, SLICE("group"), &row, 1};
    command_encode_commit_offsets(&bytes, &c);
    struct slice commands[2] = {buffer_slice(&bytes), buffer_slice(&bytes)};
    struct command_batch batch = {1, kit_uuid('i', 1), 5, commands, 2};
    command_batch_encode(out, &batch);
    buffer_deinit(&bytes);
    return buffer_slice(out);
}

static void broken_batches_are_refused(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct slice whole = sample_batch(&bytes);
    assert_int_equal(command_batch_check(whole), ERR_NONE);
    for (size_t size = 0; size < whole.size; size++) {
        uint8_t *copy = malloc(size + 1); /* exact, so that a sanitizer sees one byte too far */
        copy = realloc(copy, size ? size : 1);
        memcpy(copy, whole.data, size);
        assert_int_equal(command_batch_check(slice_of(copy, size)), ERR_INVALID_REQUEST);
        free(copy);
    }
    buffer_append(&bytes, "x", 1);
    assert_int_equal(command_batch_check(buffer_slice(&bytes)), ERR_INVALID_REQUEST);
    buffer_deinit(&bytes);
}

static void no_bytes_break_the_check(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1);
    struct buffer bytes = {0};
    sample_batch(&bytes);
    for (int i = 0; i < 20000; i++) {
        uint8_t *copy = malloc(bytes.size);
        memcpy(copy, bytes.data, bytes.size);
        for (uint64_t flips = 1 + rng_below(&rng, 4); flips > 0; flips--)
            copy[rng_below(&rng, bytes.size)] = (uint8_t)rng_next(&rng);
        (void)!command_batch_check(slice_of(copy, bytes.size));
        free(copy);
    }
    buffer_deinit(&bytes);
}

static void an_entry_may_be_padded(void **state)
{
    (void)state;
    struct buffer batch = {0};
    struct buffer entry = {0};
    struct slice one = sample_batch(&batch);
    struct slice two[2] = {one, one};
    command_entry_encode(&entry, two, 2);
    while (entry.size % 8 != 0)
        buffer_append(&entry, "", 1);
    struct arena arena;
    arena_init(&arena, 0);
    struct slice *batches;
    int32_t count;
    assert_int_equal(command_entry_decode(buffer_slice(&entry), &arena, &batches, &count), 0);
    assert_int_equal(count, 2);
    assert_true(slice_equal(batches[1], one));
    arena_deinit(&arena);
    buffer_deinit(&batch);
    buffer_deinit(&entry);
}

static void results_survive(void **state)
{
    (void)state;
    struct command_result in[2] = {{ERR_NONE, SLICE("v")}, {ERR_UNKNOWN_SERVER_ERROR, SLICE_NULL}};
    struct buffer bytes = {0};
    command_results_encode(&bytes, in, 2);
    struct command_results out = {0};
    assert_int_equal(command_results_decode(buffer_slice(&bytes), &out), 0);
    assert_int_equal(out.list.count, 2);
    assert_true(slice_equals_text(out.list.items[0].value, "v"));
    assert_int_equal(out.list.items[1].error_code, ERR_UNKNOWN_SERVER_ERROR);
    assert_true(slice_is_null(out.list.items[1].value));
    vec_deinit(&out.list);
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives),
        cmocka_unit_test(a_count_of_minus_one_survives),
        cmocka_unit_test(broken_batches_are_refused),
        cmocka_unit_test(no_bytes_break_the_check),
        cmocka_unit_test(an_entry_may_be_padded),
        cmocka_unit_test(results_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
