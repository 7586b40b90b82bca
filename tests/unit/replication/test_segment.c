#include "log_fixture.h"

static struct segment *make(int batches, int32_t interval)
{
    struct segment *seg = segment_new(&faults.fs, test_folder, 1000);
    assert_int_equal(segment_create(seg), 0);
    for (int i = 0; i < batches; i++) {
        struct buffer bytes = {0};
        struct batch_header h;
        build_batch(&bytes, (struct batch_spec){.records = 1 + i % 3,
                                                .value_size = 40,
                                                .timestamp = 100 + i % 7,
                                                .base_offset = seg->end_offset + i % 2});
        assert_int_equal(batch_header_decode(buffer_slice(&bytes), &h), 0);
        int cut_error;
        assert_int_equal(segment_write(seg, bytes.data, bytes.size, &cut_error), 0);
        assert_int_equal(segment_note(seg, &h, seg->size, interval), 0);
        buffer_deinit(&bytes);
    }
    return seg;
}

static void finds_every_offset_gaps_included(void **state)
{
    (void)state;
    struct segment *seg = make(200, 500);
    struct batch_header h;
    int64_t position, last_position = 0;
    for (int64_t offset = 1000; offset < seg->end_offset; offset++) {
        assert_int_equal(segment_find(seg, offset, &position, &h), 1);
        assert_true(batch_last_offset(&h) >= offset && position >= last_position);
        int64_t boundary;
        assert_int_equal(segment_boundary(seg, 0, position + 3, &boundary), 0);
        assert_int_equal(boundary, position);
        last_position = position;
    }
    assert_int_equal(segment_find(seg, seg->end_offset, &position, &h), 0);
    assert_int_equal(position, seg->size);
    segment_unref(seg);
}

static void loads_and_cuts_to_the_same_facts(void **state)
{
    (void)state;
    struct segment *seg = make(150, 400);
    assert_int_equal(segment_store_indexes(seg), 0);
    while (seg->size > 0) {
        struct segment *again = segment_new(&faults.fs, test_folder, 1000);
        again->size = seg->size;
        assert_int_equal(index_load(&again->offsets, true), 0);
        assert_int_equal(index_load(&again->times, true), 0);
        assert_int_equal(segment_load_tail(again), 0);
        assert_int_equal(again->end_offset, seg->end_offset);
        assert_int_equal(again->max_timestamp, seg->max_timestamp);
        assert_int_equal(again->first_timestamp, 100);
        segment_unref(again);

        struct batch_header h;
        int64_t position;
        int64_t offset = MAX(seg->end_offset - 17, 1000);
        assert_true(segment_find(seg, offset, &position, &h) >= 0);
        assert_int_equal(segment_cut(seg, position), 0);
        assert_true(seg->end_offset <= offset);
        assert_int_equal(segment_store_indexes(seg), 0);
    }
    assert_int_equal(seg->end_offset, 1000);
    assert_int_equal(seg->max_timestamp, -1);
    segment_unref(seg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(finds_every_offset_gaps_included),
        LOG_TEST(loads_and_cuts_to_the_same_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
