/* A log that was just made: nothing is synced for it before its first flush. */
#include "log_fixture.h"

#include <inttypes.h>
#include <sys/stat.h>

static const char *in_folder(const char *name)
{
    static char path[600];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    assert_int_equal(fs_write_text(&fs_real, in_folder(name), text), 0);
}

static struct log *open_as(struct uuid id)
{
    struct log_config config = small_segments();
    struct log *log;
    assert_int_equal(log_open(test_folder, &faults.fs, &config, id, false, 0, 0, &log), ERR_NONE);
    return log;
}

static void making_and_deleting_it_syncs_nothing(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    for (int32_t epoch = 0; epoch < 3; epoch++)
        assert_int_equal(log_begin_epoch(log, epoch), ERR_NONE);
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    log_close(log);
    log = reopen(&config, false, 0);
    assert_int_equal(log_begin_epoch(log, 7), ERR_NONE);
    assert_int_equal(log_latest_epoch(log, NULL), 7);
    assert_int_equal(log_delete(log), 0);
    assert_int_equal(faults.syncs, 0);
    assert_int_equal(faults.dir_syncs, 0);
    assert_int_equal(fs_real.make_dir(NULL, test_folder), 0);
}

static void the_first_flush_makes_all_of_it_durable(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    assert_int_equal(log_begin_epoch(log, 4), ERR_NONE);
    append(log, 3, 4);
    assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(faults.syncs, 3);     /* the log, its epochs, its id */
    assert_int_equal(faults.dir_syncs, 2); /* its folder and its folder's name */
    append(log, 2, 4);
    assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(faults.syncs, 4);
    assert_int_equal(faults.dir_syncs, 2);
    log_close(log);
    power_cut();
    log = reopen(&config, false, 5);
    assert_int_equal(log_end_offset(log), 5);
    assert_int_equal(log_epoch_at(log, 0), 4);
    int64_t start;
    assert_int_equal(log_latest_epoch(log, &start), 4);
    assert_int_equal(start, 0);
    log_close(log);
}

static void a_failed_first_flush_is_final(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 3, 0);
    struct log_flush f;
    assert_true(log_flush_begin(log, &f));
    faults.sync_error = -EIO;
    assert_int_equal(log_flush_end(log, &f, log_flush_sync(log, &f)), ERR_KAFKA_STORAGE_ERROR);
    faults.sync_error = 0;
    assert_true(log_is_failed(log));
    log_close(log);
}

static void a_full_disk_refuses_the_first_batch_until_there_is_room(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    struct batch_spec spec = {.records = 1, .value_size = 10, .timestamp = 1000};
    int64_t offset;
    faults.write_error = -ENOSPC;
    assert_int_equal(append_spec(log, spec, 2, &offset), ERR_KAFKA_STORAGE_ERROR);
    faults.write_error = 0;
    assert_int_equal(append(log, 1, 2), 0);
    assert_int_equal(flush(log), ERR_NONE);
    log_close(log);
    power_cut();
    log = reopen(&config, false, 1);
    assert_int_equal(log_latest_epoch(log, NULL), 2);
    log_close(log);
}

static void a_half_made_folder_is_used_again(void **state)
{
    (void)state;
    static const char *const metadata[] = {NULL, "", "version: 0\ntopic_id: AAAA"};
    for (size_t i = 0; i < ARRAY_COUNT(metadata); i++) {
        log_close(open_as((struct uuid){{1}}));
        assert_int_equal(unlink(in_folder("partition.metadata")), 0);
        if (metadata[i] != NULL)
            write_file("partition.metadata", metadata[i]);
        struct log *log = open_as((struct uuid){{2}});
        append(log, 2, 0);
        assert_int_equal(flush(log), ERR_NONE);
        log_close(log);
        log = open_as((struct uuid){{2}});
        assert_int_equal(log_end_offset(log), 2);
        log_close(log);
        assert_int_equal(log_remove_folder(&fs_real, test_folder), 0);
    }
    assert_int_equal(fs_real.make_dir(NULL, test_folder), 0);
}

static void what_a_half_made_folder_holds_is_never_taken_for_another_topics(void **state)
{
    (void)state;
    struct uuid a = {{1}}, b = {{2}};
    struct log *log = open_as(a);
    for (int i = 0; i < 30; i++)
        append(log, 2, 0);
    log_close(log);
    write_file("partition.metadata", "");
    log = open_as(b);
    assert_int_equal(log_end_offset(log), 0);
    assert_int_equal(append(log, 1, 5), 0);
    log_close(log);

    char aside[FS_PATH_MAX], id[UUID_TEXT_SIZE];
    uuid_to_text(b, id);
    snprintf(aside, sizeof(aside), "%s.%s-stray/00000000000000000000.log", test_folder, id);
    assert_int_equal(access(aside, F_OK), 0); /* kept for whoever wants to look */
    snprintf(aside, sizeof(aside), "%s.%s-stray", test_folder, id);
    assert_int_equal(log_remove_folder(&fs_real, aside), 0);
}

static void a_cut_before_the_first_flush_is_durable(void **state)
{
    (void)state;
    struct log *log = open_as((struct uuid){{1}});
    append(log, 5, 1);
    append(log, 5, 1);
    assert_int_equal(log_truncate(log, 5, 0), ERR_NONE);
    assert_int_equal(log_flushed_end_offset(log), 5);
    log_close(log);
    power_cut();
    log = open_as((struct uuid){{1}});
    assert_int_equal(log_end_offset(log), 5);
    assert_int_equal(log_epoch_at(log, 0), 1);
    log_close(log);
}

/* --- Settings of segments --- */

static void jitter_closes_segments_earlier_and_not_all_at_once(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    config.segment_ms = 1000;
    config.segment_jitter_ms = 400;
    struct log *log = open_new(&config);
    int64_t seen_min = INT64_MAX, seen_max = 0;
    for (int i = 0; i < 50; i++) {
        int64_t age_ms = log_segment_age_max_ms(log);
        assert_in_range(age_ms, 601, 1000);
        assert_int_equal(log_segment_age_max_ms(log), age_ms);
        seen_min = MIN(seen_min, age_ms);
        seen_max = MAX(seen_max, age_ms);
        append(log, 1, 0);
        assert_int_equal(log_roll(log, log_end_offset(log), 0), ERR_NONE);
    }
    assert_true(seen_max - seen_min > 200);
    int64_t age_ms = log_segment_age_max_ms(log), offset;
    size_t segments = log->segments.count;
    struct batch_spec spec = {.records = 1, .value_size = 10, .timestamp = 50000};
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_NONE);
    spec.timestamp += age_ms;
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_NONE);
    assert_int_equal(log->segments.count, segments);
    spec.timestamp += 1;
    assert_int_equal(append_spec(log, spec, 0, &offset), ERR_NONE);
    assert_int_equal(log->segments.count, segments + 1);
    config.segment_jitter_ms = 0;
    log_configure(log, &config);
    assert_int_equal(log_segment_age_max_ms(log), 1000);
    log_close(log);
}

static int64_t disk_bytes(int64_t base_offset)
{
    char name[64];
    struct stat st;
    snprintf(name, sizeof(name), "%020" PRId64 ".log", base_offset);
    assert_int_equal(stat(in_folder(name), &st), 0);
    return (int64_t)st.st_blocks * 512;
}

static void preallocated_blocks_are_taken_at_once_and_given_back(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct fs_file probe;
    assert_int_equal(fs_real.open(NULL, in_folder("probe"), FS_CREATE, &probe), 0);
    int unsupported = fs_real.reserve(NULL, probe, 4096);
    fs_real.close(NULL, probe);
    assert_int_equal(unlink(in_folder("probe")), 0);
    if (unsupported != 0)
        skip();
    config.segment_bytes = 1 << 20;
    config.preallocate = true;
    struct log *log = open_new(&config);
    assert_true(disk_bytes(0) >= 1 << 20);
    append(log, 1, 0);
    assert_int_equal(log_size_bytes(log), log_active(log)->size);
    int64_t base = log_end_offset(log);
    assert_int_equal(log_roll(log, base, 0), ERR_NONE);
    assert_true(disk_bytes(0) < 1 << 16);
    assert_true(disk_bytes(base) >= 1 << 20);
    log_close(log);
    log = reopen(&config, false, 0); /* no zeros behind the end */
    assert_int_equal(log_end_offset(log), base);
    log_close(log);
}

static void an_unawaited_flush_is_due_by_messages_time_and_full_segments(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    assert_false(log_flush_is_due(log, INT64_MAX - 1));
    append(log, 4, 0);
    assert_false(log_flush_is_due(log, INT64_MAX - 1));
    config.flush_messages = 5;
    log_configure(log, &config);
    assert_false(log_flush_is_due(log, 0));
    append(log, 1, 0);
    assert_true(log_flush_is_due(log, 0));
    assert_int_equal(flush(log), ERR_NONE);
    assert_false(log_flush_is_due(log, 0));
    config.flush_messages = INT64_MAX;
    config.flush_ms = 300;
    log_configure(log, &config);
    append(log, 1, 0);
    assert_false(log_flush_is_due(log, 299));
    assert_true(log_flush_is_due(log, 300));
    assert_int_equal(log_roll(log, log_end_offset(log), 0), ERR_NONE);
    assert_true(log_flush_is_due(log, 0));
    log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(making_and_deleting_it_syncs_nothing),
        LOG_TEST(the_first_flush_makes_all_of_it_durable),
        LOG_TEST(a_failed_first_flush_is_final),
        LOG_TEST(a_full_disk_refuses_the_first_batch_until_there_is_room),
        LOG_TEST(a_half_made_folder_is_used_again),
        LOG_TEST(what_a_half_made_folder_holds_is_never_taken_for_another_topics),
        LOG_TEST(a_cut_before_the_first_flush_is_durable),
        LOG_TEST(jitter_closes_segments_earlier_and_not_all_at_once),
        LOG_TEST(preallocated_blocks_are_taken_at_once_and_given_back),
        LOG_TEST(an_unawaited_flush_is_due_by_messages_time_and_full_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
