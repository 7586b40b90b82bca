/* What a leader asks before it appends transactional batches and markers. */
#include "log_fixture.h"

#include "replication/log_txn.h"

static void append_txn(struct log *log, int16_t epoch)
{
    struct batch_builder b;
    struct buffer bytes = {0};
    int64_t offset;
    batch_builder_init(&b);
    b.header.producer_id = 7;
    b.header.producer_epoch = epoch;
    b.header.base_sequence = 0;
    b.header.attributes |= BATCH_TRANSACTIONAL;
    batch_builder_append(&b, 1000, SLICE_NULL, SLICE("in a transaction"), SLICE_NULL, 0);
    assert_int_equal(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &bytes), 0);
    batch_builder_deinit(&b);
    assert_int_equal(log_append(log, bytes.data, bytes.size, 0, 1000, &offset), ERR_NONE);
    buffer_deinit(&bytes);
}

static struct batch_header marker_build(struct buffer *bytes, int16_t epoch, int32_t coordinator)
{
    struct control_record marker = {.type = CONTROL_COMMIT, .coordinator_epoch = coordinator};
    struct batch_header h;
    batch_build_control(bytes, 7, epoch, &marker, 1000);
    assert_int_equal(batch_header_decode(buffer_slice(bytes), &h), 0);
    return h;
}

static enum error_code check_marker(struct log *log, int16_t epoch, int32_t coordinator,
                                    bool strict)
{
    struct buffer bytes = {0};
    struct batch_header h = marker_build(&bytes, epoch, coordinator);
    buffer_deinit(&bytes);
    return log_check_marker(log, &h, coordinator, strict);
}

static int64_t append_marker(struct log *log, int16_t epoch, int32_t coordinator)
{
    struct buffer bytes = {0};
    int64_t offset;
    marker_build(&bytes, epoch, coordinator);
    assert_int_equal(log_append(log, bytes.data, bytes.size, 0, 1000, &offset), ERR_NONE);
    buffer_deinit(&bytes);
    return offset;
}

static void transaction_is_open_from_its_first_batch_to_its_marker(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    assert_false(log_txn_is_open(log, 7, 0));
    assert_int_equal(log_txn_marker(log, 7), -1);
    append_txn(log, 0);
    assert_true(log_txn_is_open(log, 7, 0));
    assert_false(log_txn_is_open(log, 7, 1));
    assert_int_equal(log_txn_marker(log, 7), -1);
    assert_int_equal(append_marker(log, 0, 3), 1);
    assert_false(log_txn_is_open(log, 7, 0));
    assert_int_equal(log_txn_marker(log, 7), 1);
    log_close(log);
}

static void markers_of_the_past_are_refused(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    assert_int_equal(check_marker(log, 0, 3, true), ERR_NONE); /* it is not known here */
    append_txn(log, 1);
    append_marker(log, 1, 3);
    assert_int_equal(check_marker(log, 0, 3, false), ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(check_marker(log, 1, 2, false), ERR_TRANSACTION_COORDINATOR_FENCED);
    assert_int_equal(check_marker(log, 1, 3, false), ERR_NONE);
    assert_int_equal(check_marker(log, 1, 3, true), ERR_NONE); /* a repeat, nothing is open */
    log_close(log);
}

static void version_two_marker_ends_only_an_older_epoch(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append_txn(log, 4);
    assert_int_equal(check_marker(log, 4, 0, false), ERR_NONE);
    assert_int_equal(check_marker(log, 4, 0, true), ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(check_marker(log, 5, 0, true), ERR_NONE);
    log_close(log);
}

static void note_producer(void *arg, const struct log_producer *p)
{
    *(struct log_producer *)arg = *p;
}

static void producers_are_listed_with_what_is_open(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    struct log_producer p = {0};
    append(log, 3, 0);
    append_txn(log, 2);
    log_each_producer(log, note_producer, &p);
    assert_int_equal(p.id, 7);
    assert_int_equal(p.epoch, 2);
    assert_int_equal(p.txn_first_offset, 3);
    append_marker(log, 3, 9);
    log_each_producer(log, note_producer, &p);
    assert_int_equal(p.epoch, 3);
    assert_int_equal(p.txn_first_offset, -1);
    assert_int_equal(p.coordinator_epoch, 9);
    assert_int_equal(p.last_sequence, -1);
    log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(transaction_is_open_from_its_first_batch_to_its_marker),
        LOG_TEST(markers_of_the_past_are_refused),
        LOG_TEST(version_two_marker_ends_only_an_older_epoch),
        LOG_TEST(producers_are_listed_with_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
