#include "log_fixture.h"

static void append_txn(struct log *log, int64_t producer_id, int32_t sequence)
{
    struct batch_builder b;
    struct buffer bytes = {0};
    int64_t offset;
    batch_builder_init(&b);
    b.header.producer_id = producer_id;
    b.header.producer_epoch = 0;
    b.header.base_sequence = sequence;
    b.header.attributes |= BATCH_TRANSACTIONAL;
    for (int i = 0; i < 4; i++)
        batch_builder_append(&b, 1000, SLICE_NULL, slice_from_text("in a transaction"), SLICE_NULL,
                             0);
    assert_int_equal(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &bytes), 0);
    batch_builder_deinit(&b);
    assert_int_equal(log_append(log, bytes.data, bytes.size, 0, 1000, &offset), ERR_NONE);
    buffer_deinit(&bytes);
}

static int64_t end_txn(struct log *log, int64_t producer_id, int16_t type)
{
    struct buffer bytes = {0};
    struct control_record marker = {.type = type, .coordinator_epoch = 3};
    int64_t offset;
    batch_build_control(&bytes, producer_id, 0, &marker, 1000);
    assert_int_equal(log_append(log, bytes.data, bytes.size, 0, 1000, &offset), ERR_NONE);
    buffer_deinit(&bytes);
    return offset;
}

static void print_aborted(void *arg, int64_t producer_id, int64_t first_offset)
{
    size_t used = strlen(arg);
    snprintf((char *)arg + used, 256 - used, "%lld@%lld ", (long long)producer_id,
             (long long)first_offset);
}

static const char *aborted(struct log *log, int64_t from, int64_t to)
{
    static char text[256];
    text[0] = '\0';
    log_each_aborted(log, from, to, print_aborted, text);
    return text;
}

/* 7: 0-3, 8: 4-7, 9: 8-11, abort 8 at 12, 9 again: 13-16, commit 7 at 17, abort 9 at 18. */
static void three_transactions(struct log *log)
{
    append_txn(log, 7, 0);
    append_txn(log, 8, 0);
    append_txn(log, 9, 0);
    assert_int_equal(end_txn(log, 8, CONTROL_ABORT), 12);
    append_txn(log, 9, 4);
    assert_int_equal(end_txn(log, 7, CONTROL_COMMIT), 17);
    assert_int_equal(end_txn(log, 9, CONTROL_ABORT), 18);
}

static void consumers_stop_at_the_oldest_open_transaction(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 5, 0);
    assert_int_equal(log_last_stable_offset(log, 5), 5);
    append_txn(log, 7, 0);
    append_txn(log, 8, 0);
    assert_int_equal(log_last_stable_offset(log, 13), 5);
    assert_int_equal(log_last_stable_offset(log, 3), 3);
    end_txn(log, 7, CONTROL_COMMIT);
    assert_int_equal(log_last_stable_offset(log, 14), 9);
    end_txn(log, 8, CONTROL_COMMIT);
    log_close(log);
}

static void a_marker_counts_once_it_is_below_the_high_watermark(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append_txn(log, 7, 0);
    end_txn(log, 7, CONTROL_COMMIT);
    assert_int_equal(log_last_stable_offset(log, 4), 0);
    assert_int_equal(log_last_stable_offset(log, 5), 5);
    log_close(log);
}

static void aborts_are_found_by_the_range_that_they_touch(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    three_transactions(log);
    assert_string_equal(aborted(log, 0, 19), "8@4 9@8 ");
    assert_string_equal(aborted(log, 0, 8), "8@4 ");
    assert_string_equal(aborted(log, 13, 19), "9@8 ");
    assert_string_equal(aborted(log, 0, 4), "");
    log_close(log);
}

static void aborts_and_open_transactions_survive_any_stop(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    config.segment_bytes = 300;
    struct log *log = open_new(&config);
    three_transactions(log);
    append_txn(log, 10, 0);
    assert_true(log->segments.count > 3);
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    for (int clean = 0; clean <= 1; clean++) {
        log_close(log);
        log = reopen(&config, clean, clean ? 23 : 0);
        assert_string_equal(aborted(log, 0, 19), "8@4 9@8 ");
        assert_int_equal(log_last_stable_offset(log, 23), 19);
    }
    log_close(log);
}

static void a_broken_index_is_read_anew_from_the_log(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    three_transactions(log);
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    log_close(log);
    char path[512];
    snprintf(path, sizeof(path), "%s/00000000000000000000.txnindex", test_folder);
    for (int size = 1; size <= 35; size += 34) { /* torn, and an entry that makes no sense */
        struct fs_file file;
        uint8_t junk[35] = {0xff};
        assert_int_equal(fs_real.open(NULL, path, FS_WRITE, &file), 0);
        assert_int_equal(fs_real.truncate(NULL, file, 0), 0);
        assert_int_equal(fs_write_at(&fs_real, file, junk, size == 1 ? 1 : 34, 0), 0);
        fs_real.close(NULL, file);
        log = reopen(&config, true, 19);
        assert_string_equal(aborted(log, 0, 19), "8@4 9@8 ");
        log_close(log);
    }
}

static void truncation_reopens_what_a_cut_marker_decided(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    three_transactions(log);
    assert_int_equal(log_truncate(log, 18, 1000), ERR_NONE);
    assert_string_equal(aborted(log, 0, 19), "8@4 ");
    assert_int_equal(log_last_stable_offset(log, 18), 8);
    assert_int_equal(log_truncate(log, 12, 1000), ERR_NONE);
    assert_string_equal(aborted(log, 0, 19), "");
    assert_int_equal(log_last_stable_offset(log, 12), 0);
    end_txn(log, 8, CONTROL_ABORT);
    assert_string_equal(aborted(log, 0, 19), "8@4 ");
    log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(consumers_stop_at_the_oldest_open_transaction),
        LOG_TEST(a_marker_counts_once_it_is_below_the_high_watermark),
        LOG_TEST(aborts_are_found_by_the_range_that_they_touch),
        LOG_TEST(aborts_and_open_transactions_survive_any_stop),
        LOG_TEST(a_broken_index_is_read_anew_from_the_log),
        LOG_TEST(truncation_reopens_what_a_cut_marker_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
