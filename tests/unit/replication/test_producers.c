#include "log_fixture.h"

static struct producers ps;

static int setup(void **state)
{
    ps = (struct producers){0};
    return folder_setup(state);
}

static int teardown(void **state)
{
    producers_deinit(&ps);
    return folder_teardown(state);
}

static struct batch_header batch(int16_t epoch, int32_t sequence, int32_t records, int64_t offset)
{
    return (struct batch_header){.producer_id = 9,
                                 .producer_epoch = epoch,
                                 .base_sequence = sequence,
                                 .records_count = records,
                                 .last_offset_delta = records - 1,
                                 .max_timestamp = 5000 + offset,
                                 .base_offset = offset};
}

static void add(int16_t epoch, int32_t sequence, int32_t records, int64_t offset)
{
    struct batch_header h = batch(epoch, sequence, records, offset);
    producers_update(&ps, &h, 1000);
}

/* The offset of the duplicate, -100 for OK, else -1 - code. */
static int64_t check(int16_t epoch, int32_t sequence, int32_t records)
{
    struct batch_header h = batch(epoch, sequence, records, 0);
    enum error_code err;
    int64_t base, time;
    switch (producers_check(&ps, &h, &err, &base, &time)) {
    case PRODUCER_OK:
        return -100;
    case PRODUCER_DUPLICATE:
        return base;
    default:
        return -1 - err;
    }
}

#define OK           (-100)
#define OUT_OF_ORDER (-1 - ERR_OUT_OF_ORDER_SEQUENCE_NUMBER)
#define DUPLICATE    (-1 - ERR_DUPLICATE_SEQUENCE_NUMBER)
#define OLD_EPOCH    (-1 - ERR_INVALID_PRODUCER_EPOCH)

static void an_unknown_producer_may_begin_anywhere(void **state)
{
    (void)state;
    assert_int_equal(check(0, 0, 1), OK);
    assert_int_equal(check(3, 77, 5), OK);
}

static void the_last_five_are_duplicates_older_ones_known_and_gaps_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        add(0, i * 10, 10, 100 + i * 10);
    for (int i = 3; i < 8; i++)
        assert_int_equal(check(0, i * 10, 10), 100 + i * 10);
    assert_int_equal(check(0, 0, 10), DUPLICATE);
    assert_int_equal(check(0, 20, 10), DUPLICATE);
    assert_int_equal(check(0, 80, 3), OK);
    assert_int_equal(check(0, 81, 3), OUT_OF_ORDER);
    assert_int_equal(check(0, 90, 10), OUT_OF_ORDER);
    assert_int_equal(check(0, 75, 10), OUT_OF_ORDER); /* half old, half new */
}

static void what_was_never_seen_is_not_called_a_duplicate(void **state)
{
    (void)state;
    add(0, 50, 10, 100); /* state was lost before: 40 to 49 may be in flight, not in the log */
    add(0, 60, 10, 110);
    assert_int_equal(check(0, 40, 10), OUT_OF_ORDER);
    assert_int_equal(check(0, 50, 5), DUPLICATE);
}

static void sequences_wrap_at_two_to_the_31(void **state)
{
    (void)state;
    add(0, INT32_MAX - 4, 3, 100);
    assert_int_equal(check(0, INT32_MAX - 1, 2), OK);
    add(0, INT32_MAX - 1, 4, 103); /* …6, …7, 0, 1 */
    assert_int_equal(check(0, INT32_MAX - 1, 4), 103);
    assert_int_equal(check(0, 0, 1), DUPLICATE);
    assert_int_equal(check(0, 2, 1), OK);
    assert_int_equal(check(0, 3, 1), OUT_OF_ORDER);
    add(0, 2, 1, 107);
    assert_int_equal(check(0, INT32_MAX - 4, 3), 100);
}

static void a_new_epoch_begins_at_zero_and_fences_the_old(void **state)
{
    (void)state;
    add(1, 5, 5, 100);
    assert_int_equal(check(0, 10, 1), OLD_EPOCH);
    assert_int_equal(check(2, 10, 1), OUT_OF_ORDER);
    assert_int_equal(check(2, 0, 1), OK);
    add(2, 0, 1, 105);
    assert_int_equal(check(1, 10, 1), OLD_EPOCH);
    assert_int_equal(check(2, 1, 1), OK);
}

static void batches_without_a_producer_change_nothing(void **state)
{
    (void)state;
    struct batch_header h = {.producer_id = -1, .base_sequence = -1};
    producers_update(&ps, &h, 0);
    assert_int_equal(ps.by_id.count, 0);
    enum error_code err;
    int64_t base, time;
    assert_int_equal(producers_check(&ps, &h, &err, &base, &time), PRODUCER_OK);
}

static void snapshots_keep_the_newest_batch(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof(path), "%s/00000000000000000100.snapshot", test_folder);
    add(4, 10, 10, 80);
    add(4, 20, 10, 90);
    assert_int_equal(producers_store(&ps, &faults.fs, path), 0);
    assert_int_equal(producers_load(&ps, &faults.fs, path), 0);
    assert_int_equal(check(4, 20, 10), 90);
    assert_int_equal(check(4, 30, 10), OK);
    assert_int_equal(check(3, 30, 10), OLD_EPOCH);
    assert_int_equal(check(4, 10, 10), OUT_OF_ORDER);

    for (int64_t size = 0; size < 56; size++) { /* 10 + one entry of 46 */
        assert_int_equal(producers_store(&ps, &faults.fs, path), 0);
        assert_int_equal(truncate(path, size), 0);
        struct producers torn = {0};
        assert_int_equal(producers_load(&torn, &faults.fs, path), -EBADMSG);
        assert_int_equal(torn.by_id.count, 0);
    }
}

static void unused_producers_expire(void **state)
{
    (void)state;
    add(0, 0, 1, 0);
    producers_expire(&ps, 1999, 1000);
    assert_int_equal(ps.by_id.count, 1);
    producers_expire(&ps, 2000, 1000);
    assert_int_equal(ps.by_id.count, 0);
    assert_int_equal(check(0, 17, 1), OK);
}

#define PRODUCERS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PRODUCERS_TEST(an_unknown_producer_may_begin_anywhere),
        PRODUCERS_TEST(the_last_five_are_duplicates_older_ones_known_and_gaps_refused),
        PRODUCERS_TEST(what_was_never_seen_is_not_called_a_duplicate),
        PRODUCERS_TEST(sequences_wrap_at_two_to_the_31),
        PRODUCERS_TEST(a_new_epoch_begins_at_zero_and_fences_the_old),
        PRODUCERS_TEST(batches_without_a_producer_change_nothing),
        PRODUCERS_TEST(snapshots_keep_the_newest_batch),
        PRODUCERS_TEST(unused_producers_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
