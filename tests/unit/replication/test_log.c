#include "log_fixture.h"

static void appends_get_consecutive_offsets_and_are_read_from_any_offset(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 200; i++)
        assert_int_equal(append(log, 3, 0), i * 3);
    assert_int_equal(log_end_offset(log), 600);
    assert_true(log->segments.count > 5);
    for (int64_t from = 0; from < 600; from += 7) {
        read_all(log, from, 1);
        read_all(log, from, 900);
        read_all(log, from, 100000);
    }
    struct log_read out;
    struct log_read_limits limits = {.end_offset = 600, .bytes_max = 1000};
    assert_int_equal(log_read(log, 601, &limits, &out), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_read(log, 600, &limits, &out), ERR_NONE);
    assert_int_equal(out.range.size, 0);
    log_close(log);
}

static void reading_stops_at_the_limit_and_at_batches(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    for (int i = 0; i < 100; i++)
        append(log, 2, 0);
    int64_t one = log_size_bytes(log) / 100;
    for (int64_t end = 0; end <= 200; end++) {
        struct log_read out;
        struct log_read_limits limits = {.end_offset = end, .bytes_max = INT32_MAX};
        assert_int_equal(log_read(log, 0, &limits, &out), ERR_NONE);
        assert_int_equal(out.range.size, end / 2 * one);
        if (out.range.size > 0)
            out.range.release(out.range.owner);
    }
    struct log_read out;
    struct log_read_limits small = {.end_offset = 200, .bytes_max = (int32_t)one - 1};
    assert_int_equal(log_read(log, 4, &small, &out), ERR_NONE);
    assert_int_equal(out.range.size, 0);
    small.at_least_one = true;
    assert_int_equal(log_read(log, 4, &small, &out), ERR_NONE);
    assert_int_equal(out.range.size, one);
    out.range.release(out.range.owner);
    assert_true(log_bytes_between(log, 10, 200) >= 95 * one);
    assert_int_equal(log_bytes_between(log, 200, 200), 0);
    log_close(log);
}

static void a_range_outlives_its_deleted_segment(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    config.retention_bytes = 0;
    config.file_delete_delay_ms = 0;
    struct log *log = open_new(&config);
    for (int i = 0; i < 100; i++)
        append(log, 2, 0);
    struct log_read out;
    struct log_read_limits limits = {.end_offset = 200, .bytes_max = 100000};
    assert_int_equal(log_read(log, 0, &limits, &out), ERR_NONE);
    assert_int_equal(flush(log), ERR_NONE);
    assert_true(log_apply_retention(log, 5000, 200) > 0);
    log_remove_deleted(log, 5000);
    log_close(log);
    uint8_t header[BATCH_HEADER_SIZE];
    assert_int_equal(pread(out.range.fd, header, sizeof(header), 0), sizeof(header));
    out.range.release(out.range.owner);
}

static void flush_covers_what_was_appended_before_it_began_over_rolls(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    append(log, 1, 0);
    struct log_flush f;
    assert_true(log_flush_begin(log, &f));
    int err = log_flush_sync(log, &f);
    for (int i = 0; i < 60; i++)
        append(log, 2, 0);
    assert_true(log->segments.count > 3);
    assert_int_equal(log_flush_end(log, &f, err), ERR_NONE);
    assert_int_equal(log_flushed_end_offset(log), 1);

    while (log_flushed_end_offset(log) < log_end_offset(log))
        assert_int_equal(flush(log), ERR_NONE);
    assert_false(log_flush_begin(log, &f));
    log_close(log);
    power_cut();
    log = reopen(&config, false, 0);
    assert_int_equal(log_end_offset(log), 121);
    read_all(log, 0, 1000);
    log_close(log);
}

static void flush_that_began_before_a_truncation_does_not_count(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    for (int i = 0; i < 10; i++)
        append(log, 1, 0);
    struct log_flush f;
    assert_true(log_flush_begin(log, &f));
    int err = log_flush_sync(log, &f);
    assert_int_equal(log_truncate(log, 4, 0), ERR_NONE);
    for (int i = 0; i < 10; i++)
        append(log, 1, 1);
    assert_int_equal(log_flush_end(log, &f, err), ERR_NONE);
    assert_int_equal(log_flushed_end_offset(log), 4);
    log_close(log);
}

static void failed_fsync_is_final(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 1, 0);
    faults.sync_error = -EIO;
    assert_int_equal(flush(log), ERR_KAFKA_STORAGE_ERROR);
    faults.sync_error = 0;
    struct log_flush f;
    assert_false(log_flush_begin(log, &f));
    int64_t offset;
    struct batch_spec spec = {.records = 1, .value_size = 10};
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(log_flushed_end_offset(log), 0);
    log_close(log);
}

static void full_disk_refuses_appends_until_there_is_room(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 3, 0);
    int64_t size = log_size_bytes(log), offset;
    struct batch_spec spec = {.records = 5, .value_size = 50};
    faults.write_error = -ENOSPC;
    for (int i = 0; i < 3; i++)
        assert_int_equal(append_spec(log, spec, 0, &offset), ERR_KAFKA_STORAGE_ERROR);
    faults.write_error = 0;
    struct fs_file file = log_active(log)->log.file;
    assert_int_equal(fs_real.size(NULL, file), size); /* the torn write was cut off */
    read_all(log, 0, 10000);
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_NONE);
    assert_int_equal(offset, 3);
    read_all(log, 0, 10000);
    log_close(log);
}

static void write_error_fails_the_log(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 3, 0);
    int64_t offset;
    struct batch_spec spec = {.records = 5, .value_size = 50};
    faults.write_error = -EIO;
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_KAFKA_STORAGE_ERROR);
    faults.write_error = 0;
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_KAFKA_STORAGE_ERROR);
    log_close(log);
    log = reopen(&config, false, 0);
    assert_int_equal(log_end_offset(log), 3);
    log_close(log);
}

static void uncut_partial_write_fails_the_log(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    int64_t offset;
    struct batch_spec spec = {.records = 5, .value_size = 50};
    faults.write_error = -ENOSPC;
    faults.truncate_error = -EIO;
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_KAFKA_STORAGE_ERROR);
    faults.write_error = faults.truncate_error = 0;
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_KAFKA_STORAGE_ERROR);
    log_close(log);
    log = reopen(&config, false, 0);
    assert_int_equal(log_end_offset(log), 0);
    log_close(log);
}

static void truncation_cuts_data_indexes_epochs_and_producers(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    for (int64_t cut = 0; cut <= 120; cut += 8) {
        struct log *log = open_new(&config);
        assert_int_equal(log_truncate_fully(log, 0), ERR_NONE);
        for (int i = 0; i < 60; i++) {
            int64_t offset;
            struct batch_spec spec = {.records = 2,
                                      .value_size = 100,
                                      .timestamp = 1000 + i * 10,
                                      .producer_id = 7,
                                      .base_sequence = i * 2};
            assert_int_equal(append_spec(log, spec, i / 20, &offset), ERR_NONE);
        }
        assert_int_equal(log_truncate(log, cut, 0), ERR_NONE);
        assert_int_equal(log_end_offset(log), cut);
        assert_int_equal(log_flushed_end_offset(log), cut < 120 ? cut : 0);
        int64_t at;
        assert_int_equal(log_max_timestamp(log, &at), cut ? 1000 + (cut / 2 - 1) * 10 + 1 : -1);
        int64_t start;
        assert_int_equal(log_latest_epoch(log, &start), cut ? (cut - 1) / 40 : -1);

        struct batch_header h = {.producer_id = 7, .base_sequence = (int32_t)cut};
        enum error_code err;
        int64_t base, time;
        assert_int_equal(log_check_producer(log, &h, 0, &err, &base, &time), PRODUCER_OK);
        if (cut > 0) {
            h.base_sequence = (int32_t)cut + 2;
            assert_int_equal(log_check_producer(log, &h, 0, &err, &base, &time), PRODUCER_REFUSED);
        }
        read_all(log, 0, 500);
        append(log, 2, 9);
        read_all(log, 0, 500);
        log_close(log);
        log = reopen(&config, false, 120); /* a recovery point from before the truncation */
        assert_int_equal(log_end_offset(log), cut + 2);
        log_close(log);
    }
}

static void truncation_survives_a_power_cut_and_a_stale_recovery_point(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    for (int i = 0; i < 20; i++)
        append(log, 1, 0);
    assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(log_truncate(log, 8, 0), ERR_NONE);
    for (int i = 0; i < 20; i++)
        append(log, 1, 1);
    log_close(log);
    power_cut();
    log = reopen(&config, false, 20);
    assert_int_equal(log_end_offset(log), 8);
    read_all(log, 0, 500);
    log_close(log);
}

static void truncation_drops_empty_epochs_though_no_byte_is_cut(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 5, 3);
    assert_int_equal(log_begin_epoch(log, 6), ERR_NONE);
    int64_t start, end;
    int32_t epoch;
    assert_int_equal(log_latest_epoch(log, &start), 6);
    assert_int_equal(start, 5);
    log_close(log);
    log = reopen(&config, false, 0); /* kept over an unclean restart */
    assert_int_equal(log_latest_epoch(log, &start), 6);
    log_epoch_end(log, 4, &epoch, &end);
    assert_int_equal(epoch, 3);
    assert_int_equal(end, 5);
    assert_int_equal(log_truncate(log, 5, 0), ERR_NONE);
    assert_int_equal(log_latest_epoch(log, &start), 3);
    log_close(log);
}

static void follower_takes_batches_with_gaps_epochs_and_a_partial_tail(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    struct buffer bytes = {0};
    int64_t offset = 0;
    for (int i = 0; i < 80; i++) {
        struct batch_spec spec = {
            .records = 2, .value_size = 90, .timestamp = 5, .base_offset = offset, .epoch = i / 30};
        build_batch(&bytes, spec);
        offset += i == 40 ? 12 : 2; /* a gap left by compaction */
    }
    assert_int_equal(log_append_as_follower(log, slice_of(bytes.data, bytes.size - 10), 0),
                     ERR_NONE);
    assert_int_equal(log_end_offset(log), offset - 2);
    assert_int_equal(log_latest_epoch(log, NULL), 2);
    assert_int_equal(log_epoch_at(log, 59), 0);
    assert_int_equal(log_epoch_at(log, 60), 1);
    assert_true(log->segments.count > 3);
    FOR_EACH (seg, log->segments.items, log->segments.count)
        assert_true((*seg)->size <= config.segment_bytes);
    log_close(log);
    log = reopen(&config, false, 0);
    assert_int_equal(log_end_offset(log), offset - 2);

    struct log_read out; /* into the gap: the next batch */
    struct log_read_limits limits = {.end_offset = offset, .bytes_max = 1, .at_least_one = true};
    assert_int_equal(log_read(log, 86, &limits, &out), ERR_NONE);
    assert_int_equal(out.first_offset, 92);
    out.range.release(out.range.owner);
    log_close(log);
    buffer_deinit(&bytes);
}

static void follower_refuses_a_damaged_batch_and_keeps_those_before(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    struct buffer bytes = {0};
    for (int i = 0; i < 3; i++) {
        struct batch_spec spec = {.records = 1, .value_size = 90, .base_offset = i};
        build_batch(&bytes, spec);
    }
    bytes.data[bytes.size - 1] ^= 1;
    assert_int_equal(log_append_as_follower(log, buffer_slice(&bytes), 0), ERR_CORRUPT_MESSAGE);
    assert_int_equal(log_end_offset(log), 2);
    assert_int_equal(log_append_as_follower(log, buffer_slice(&bytes), 0), ERR_CORRUPT_MESSAGE);
    assert_int_equal(log_end_offset(log), 2);
    read_all(log, 0, 500);
    log_close(log);
    buffer_deinit(&bytes);
}

static void timestamps_are_found_by_record(void **state)
{
    (void)state;
    for (int codec = 0; codec <= CODEC_ZSTD; codec++) {
        struct log_config config = small_segments();
        struct log *log = open_new(&config);
        assert_int_equal(log_truncate_fully(log, 0), ERR_NONE);
        int64_t offset, time;
        int32_t epoch;
        for (int i = 0; i < 100; i++) {
            struct batch_spec spec = {
                .records = 2, .value_size = 100, .timestamp = 1000 + i * 10, .codec = codec};
            assert_int_equal(append_spec(log, spec, 4, &offset), ERR_NONE);
        }
        for (int i = 0; i < 100; i++) {
            assert_int_equal(
                log_find_timestamp(log, 1000 + i * 10 + 1, 200, &offset, &time, &epoch), ERR_NONE);
            assert_int_equal(offset, i * 2 + 1);
            assert_int_equal(time, 1000 + i * 10 + 1);
            assert_int_equal(epoch, 4);
            assert_int_equal(
                log_find_timestamp(log, 1000 + i * 10 - 5, 200, &offset, &time, &epoch), ERR_NONE);
            assert_int_equal(offset, i * 2);
        }
        assert_int_equal(log_find_timestamp(log, 1992, 200, &offset, &time, &epoch), ERR_NONE);
        assert_int_equal(offset, -1);
        assert_int_equal(log_find_timestamp(log, 1500, 50, &offset, &time, &epoch), ERR_NONE);
        assert_int_equal(offset, -1);
        assert_int_equal(log_max_timestamp(log, &offset), 1991);
        assert_int_equal(offset, 199);
        assert_int_equal(log_raise_start(log, 33), ERR_NONE);
        assert_int_equal(log_find_timestamp(log, 0, 200, &offset, &time, &epoch), ERR_NONE);
        assert_int_equal(offset, 33);
        log_close(log);
        assert_int_equal(log_remove_folder(&fs_real, test_folder), 0);
    }
}

static void raised_start_survives_restart_and_drops_segments(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    config.file_delete_delay_ms = 100;
    struct log *log = open_new(&config);
    for (int i = 0; i < 100; i++)
        append(log, 2, i / 50);
    assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(log_raise_start(log, 151), ERR_NONE);
    assert_int_equal(log_raise_start(log, 100), ERR_NONE);
    assert_int_equal(log_raise_start(log, 201), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_start_offset(log), 151);
    assert_true(log_apply_retention(log, 1000, 200) > 0);
    assert_int_equal(log->deleted.count > 0, true);
    log_remove_deleted(log, 1050);
    assert_int_equal(log->deleted.count > 0, true);
    log_remove_deleted(log, 1100);
    assert_int_equal(log->deleted.count, 0);
    log_close(log);
    log = reopen(&config, false, 200);
    assert_int_equal(log_start_offset(log), 151);
    assert_int_equal(log_end_offset(log), 200);
    int64_t end;
    int32_t epoch;
    log_epoch_end(log, 0, &epoch, &end);
    assert_int_equal(epoch, -1);
    read_all(log, 151, 500);
    log_close(log);
}

static void retention_by_time_spares_what_is_above_the_high_watermark(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    config.retention_ms = 500;
    struct log *log = open_new(&config);
    for (int i = 0; i < 100; i++)
        append(log, 2, 0);
    while (log_flushed_end_offset(log) < 200)
        assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(log_apply_retention(log, 1400, 200), 0);
    assert_true(log_apply_retention(log, 2000, 100) > 0);
    assert_true(log_start_offset(log) <= 100 && log_start_offset(log) > 60);
    log_apply_retention(log, 2000, 200);
    assert_int_equal(log_start_offset(log), 200); /* the active one was rolled and went, too */
    assert_int_equal(log_end_offset(log), 200);
    append(log, 1, 0);
    read_all(log, 200, 500);
    log_close(log);
}

static void delete_leaves_nothing(void **state)
{
    (void)state;
    char dir[128];
    snprintf(dir, sizeof(dir), "%s/t-0", test_folder);
    struct log *log;
    struct log_config config = small_segments();
    assert_int_equal(log_open(dir, &faults.fs, &config, UUID_ZERO, false, 0, 0, &log), ERR_NONE);
    for (int i = 0; i < 100; i++)
        append(log, 2, 0);
    assert_int_equal(log_delete(log), 0);
}

static void an_append_is_one_write(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 1, 0);
    int writes = faults.writes, syncs = faults.syncs;
    for (int i = 0; i < 300; i++)
        append(log, 10, 0);
    assert_int_equal(faults.writes - writes, 300);
    assert_int_equal(faults.syncs, syncs);
    log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(appends_get_consecutive_offsets_and_are_read_from_any_offset),
        LOG_TEST(reading_stops_at_the_limit_and_at_batches),
        LOG_TEST(a_range_outlives_its_deleted_segment),
        LOG_TEST(flush_covers_what_was_appended_before_it_began_over_rolls),
        LOG_TEST(flush_that_began_before_a_truncation_does_not_count),
        LOG_TEST(failed_fsync_is_final),
        LOG_TEST(full_disk_refuses_appends_until_there_is_room),
        LOG_TEST(write_error_fails_the_log),
        LOG_TEST(uncut_partial_write_fails_the_log),
        LOG_TEST(truncation_cuts_data_indexes_epochs_and_producers),
        LOG_TEST(truncation_survives_a_power_cut_and_a_stale_recovery_point),
        LOG_TEST(truncation_drops_empty_epochs_though_no_byte_is_cut),
        LOG_TEST(follower_takes_batches_with_gaps_epochs_and_a_partial_tail),
        LOG_TEST(follower_refuses_a_damaged_batch_and_keeps_those_before),
        LOG_TEST(timestamps_are_found_by_record),
        LOG_TEST(raised_start_survives_restart_and_drops_segments),
        LOG_TEST(retention_by_time_spares_what_is_above_the_high_watermark),
        LOG_TEST(delete_leaves_nothing),
        LOG_TEST(an_append_is_one_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
