#include "log_fixture.h"

static void file_path(const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", test_folder, name);
}

static void set_size(const char *name, int64_t size)
{
    char path[512];
    file_path(name, path);
    assert_int_equal(truncate(path, size), 0);
}

static int64_t get_size(const char *name)
{
    char path[512];
    struct fs_file file;
    file_path(name, path);
    assert_int_equal(fs_real.open(NULL, path, FS_READ, &file), 0);
    int64_t size = fs_real.size(NULL, file);
    fs_real.close(NULL, file);
    return size;
}

static void put_bytes(const char *name, const void *bytes, size_t size, int64_t position)
{
    char path[512];
    struct fs_file file;
    file_path(name, path);
    assert_int_equal(fs_real.open(NULL, path, FS_CREATE, &file), 0);
    assert_int_equal(fs_write_at(&fs_real, file, bytes, size, position), 0);
    fs_real.close(NULL, file);
}

static enum error_code try_open(const struct log_config *config, bool clean, int64_t recovery_point)
{
    struct log *log;
    enum error_code err =
        log_open(test_folder, &faults.fs, config, UUID_ZERO, clean, recovery_point, 0, &log);
    log_close(log);
    return err;
}

#define FIRST "00000000000000000000"

static void every_torn_length_is_cut_to_the_last_whole_batch(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    append(log, 2, 0);
    append(log, 3, 0);
    int64_t whole = log_size_bytes(log);
    append(log, 4, 0);
    int64_t size = log_size_bytes(log);
    log_close(log);
    uint8_t bytes[4096];
    char path[512];
    struct fs_file file;
    file_path(FIRST ".log", path);
    assert_int_equal(fs_real.open(NULL, path, FS_READ, &file), 0);
    assert_int_equal(fs_real.read(NULL, file, bytes, sizeof(bytes), 0), size);
    fs_real.close(NULL, file);
    for (int64_t torn = whole; torn < size; torn += 3) {
        for (int zeros = 0; zeros < 2; zeros++) {
            set_size(FIRST ".log", 0);
            put_bytes(FIRST ".log", bytes, (size_t)torn, 0);
            if (zeros)
                set_size(FIRST ".log", size + 4096);
            log = reopen(&config, false, 0);
            assert_int_equal(log_end_offset(log), 5);
            assert_int_equal(log_size_bytes(log), whole);
            assert_int_equal(log_flushed_end_offset(log), 5);
            read_all(log, 0, 100);
            assert_int_equal(append(log, 1, 0), 5);
            log_close(log);
        }
    }
}

static void damage_above_the_recovery_point_is_cut_below_it_refused(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 60; i++)
        append(log, 2, 0);
    int64_t second = log->segments.items[1]->base_offset;
    int64_t third = log->segments.items[2]->base_offset;
    char name[64];
    snprintf(name, sizeof(name), "%020lld.log", (long long)second);
    int64_t batch_bytes = log_size_bytes(log) / 60;
    log_close(log);

    /* A value in the last batch: its CRC is looked at where the recovery point lies in the
     * segment. */
    put_bytes(name, "X", 1, get_size(name) - 5);
    assert_int_equal(try_open(&config, false, third - 1), ERR_CORRUPT_MESSAGE);
    /* Its header: seen even where the whole segment was flushed; and nothing is cut off. */
    put_bytes(name, "X", 1, get_size(name) - batch_bytes + 16);
    assert_int_equal(try_open(&config, false, third), ERR_CORRUPT_MESSAGE);
    assert_int_equal(try_open(&config, true, 120), ERR_CORRUPT_MESSAGE);
    assert_int_equal(try_open(&config, false, third), ERR_CORRUPT_MESSAGE);
    log = reopen(&config, false, second);
    assert_int_equal(log_end_offset(log), third - 2);
    read_all(log, 0, 1000);
    log_close(log);
}

static void missing_segment_in_the_middle_is_refused(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 60; i++)
        append(log, 2, 0);
    char path[FS_PATH_MAX];
    segment_path(log->segments.items[1], ".log", path);
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    log_close(log);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_open(&config, true, 120), ERR_CORRUPT_MESSAGE);
    assert_int_equal(try_open(&config, false, 120), ERR_CORRUPT_MESSAGE);
}

static void indexes_are_rebuilt_when_missing_short_zero_or_garbage(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 100; i++)
        append(log, 2, 0);
    int segments = (int)log->segments.count;
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    log_close(log);
    static const char *const suffixes[] = {".index", ".timeindex"};
    for (int damage = 0; damage < 5; damage++) {
        for (int clean = 0; clean < 2; clean++) {
            log = reopen(&config, true, 200);
            assert_int_equal(log->segments.count, segments);
            char names[8][FS_PATH_MAX];
            for (int i = 0; i < 4; i++)
                segment_path(log->segments.items[i / 2 ? segments - 1 : 0], suffixes[i % 2],
                             names[i]);
            assert_int_equal(log_checkpoint(log), ERR_NONE);
            log_close(log);
            for (int i = 0; i < 4; i++) {
                const char *name = strrchr(names[i], '/') + 1;
                int64_t size = get_size(name);
                if (damage == 0)
                    assert_int_equal(unlink(names[i]), 0);
                else if (damage == 1)
                    set_size(name, size + 5);
                else if (damage == 2)
                    set_size(name, size + 4096 / 24 * 24);
                else if (damage == 3)
                    put_bytes(name, "\377\377\377\377\377\377\377\377", 8, MAX(size - 8, 0));
                else
                    set_size(name, 0);
            }
            log = reopen(&config, clean, 200);
            assert_int_equal(log_end_offset(log), 200);
            for (int64_t from = 0; from < 200; from += 9)
                read_all(log, from, 700);
            assert_true(log->segments.items[0]->max_timestamp == 1001);
            assert_int_equal(log_checkpoint(log), ERR_NONE);
            log_close(log);
        }
    }
}

static void clean_open_reads_hardly_anything_and_finds_the_same(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 100; i++) {
        int64_t offset;
        struct batch_spec spec = {.records = 2,
                                  .value_size = 100,
                                  .timestamp = 1000 + i,
                                  .producer_id = 5,
                                  .base_sequence = i * 2};
        assert_int_equal(append_spec(log, spec, i / 40, &offset), ERR_NONE);
    }
    while (log_flushed_end_offset(log) < 200)
        assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    log_close(log);
    power_cut();
    log = reopen(&config, true, 200);
    assert_int_equal(log_end_offset(log), 200);
    assert_int_equal(log_flushed_end_offset(log), 200);
    assert_int_equal(log_latest_epoch(log, NULL), 2);
    int64_t at;
    assert_int_equal(log_max_timestamp(log, &at), 1100);
    struct batch_header h = {.producer_id = 5, .base_sequence = 198, .last_offset_delta = 1};
    enum error_code err;
    int64_t base, time;
    assert_int_equal(log_check_producer(log, &h, 0, &err, &base, &time), PRODUCER_DUPLICATE);
    assert_int_equal(base, 198);
    h.base_sequence = 200;
    assert_int_equal(log_check_producer(log, &h, 0, &err, &base, &time), PRODUCER_OK);
    h.base_sequence = 202;
    assert_int_equal(log_check_producer(log, &h, 0, &err, &base, &time), PRODUCER_REFUSED);
    read_all(log, 0, 1000);
    log_close(log);
}

static void producer_state_is_rebuilt_without_or_with_torn_snapshots(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 60; i++) {
        int64_t offset;
        struct batch_spec spec = {.records = 2,
                                  .value_size = 100,
                                  .timestamp = 1000 + i,
                                  .producer_id = 5 + i % 3,
                                  .base_sequence = i / 3 * 2};
        assert_int_equal(append_spec(log, spec, 0, &offset), ERR_NONE);
    }
    assert_true(log->snapshots.count > 2);
    for (int damage = 0; damage < 3; damage++) {
        FOR_EACH (offset, log->snapshots.items, log->snapshots.count) {
            char name[64];
            snprintf(name, sizeof(name), "%020lld.snapshot", (long long)*offset);
            if (damage == 1)
                put_bytes(name, "Z", 1, 20);
            else if (damage == 2)
                set_size(name, 0);
        }
        log_close(log);
        log = reopen(&config, false, 0);
        for (int i = 45; i < 60; i++) { /* the last five of each */
            struct batch_header h = {
                .producer_id = 5 + i % 3, .base_sequence = i / 3 * 2, .last_offset_delta = 1};
            enum error_code err;
            int64_t base, time;
            if (damage == 0 && i < 57)
                continue;
            assert_int_equal(log_check_producer(log, &h, 0, &err, &base, &time),
                             PRODUCER_DUPLICATE);
            assert_int_equal(base, i * 2);
        }
    }
    log_close(log);
}

static void lost_or_broken_epoch_checkpoint_is_rebuilt_from_the_log(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 60; i++)
        append(log, 2, i / 15 * 2);
    assert_int_equal(log_checkpoint(log), ERR_NONE);
    log_close(log);
    for (int damage = 0; damage < 3; damage++) {
        char path[512];
        file_path(LOG_EPOCHS_FILE, path);
        if (damage == 0)
            assert_int_equal(unlink(path), 0);
        else if (damage == 1)
            set_size(LOG_EPOCHS_FILE, 9);
        else
            set_size(LOG_EPOCHS_FILE, 0);
        log = reopen(&config, damage != 1, 120);
        assert_int_equal(log->epochs.entries.count, 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(log->epochs.entries.items[i].epoch, i * 2);
            assert_int_equal(log->epochs.entries.items[i].start_offset, i * 30);
        }
        log_close(log);
    }
}

/* The records below the log start are still there; their epochs are not, and that is no news. */
static void a_raised_start_keeps_the_epochs_above_it(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    for (int32_t epoch = 1; epoch <= 3; epoch++) {
        append(log, 10, epoch);
        append(log, 10, epoch);
    }
    assert_int_equal(flush(log), ERR_NONE);
    assert_int_equal(log_raise_start(log, 30), ERR_NONE);
    log_close(log);
    for (int64_t recovery_point = 0; recovery_point <= 60; recovery_point += 20) {
        log = reopen(&config, false, recovery_point);
        assert_int_equal(log_start_offset(log), 30);
        assert_int_equal(log_epoch_at(log, 30), 2);
        assert_int_equal(log_epoch_at(log, 39), 2);
        assert_int_equal(log_epoch_at(log, 40), 3);
        log_close(log);
    }
    char path[512];
    file_path("leader-epoch-checkpoint", path);
    assert_int_equal(unlink(path), 0);
    log = reopen(&config, false, 40);
    assert_int_equal(log_epoch_at(log, 39), 2);
    assert_int_equal(log_epoch_at(log, 40), 3);
    log_close(log);
}

static void power_cut_at_any_flush_keeps_what_was_flushed(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    for (int seed = 0; seed < 12; seed++) {
        struct log *log = open_new(&config);
        int64_t flushed = 0;
        for (int i = 0; i < 100; i++) {
            append(log, 1 + (i * 7 + seed) % 4, i / 25);
            if ((i * 13 + seed) % 11 == 0) {
                assert_int_equal(flush(log), ERR_NONE);
                flushed = log_flushed_end_offset(log);
            }
        }
        log_close(log);
        power_cut();
        log = reopen(&config, false, flushed / 2);
        assert_true(log_end_offset(log) >= flushed);
        assert_int_equal(log_flushed_end_offset(log), log_end_offset(log));
        read_all(log, 0, 999);
        append(log, 1, 9);
        log_close(log);
        assert_int_equal(log_remove_folder(&fs_real, test_folder), 0);
        faults.synced_count = 0;
    }
}

static void folder_of_another_topic_is_refused(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct uuid a = {{1}}, b = {{2}};
    struct log *log;
    assert_int_equal(log_open(test_folder, &faults.fs, &config, a, false, 0, 0, &log), ERR_NONE);
    log_close(log);
    assert_int_equal(log_open(test_folder, &faults.fs, &config, b, false, 0, 0, &log),
                     ERR_INCONSISTENT_TOPIC_ID);
    assert_null(log);
    assert_int_equal(log_open(test_folder, &faults.fs, &config, a, false, 0, 0, &log), ERR_NONE);
    log_close(log);
}

static void opens_on_a_full_disk(void **state)
{
    (void)state;
    struct log_config config = small_segments();
    struct log *log = open_new(&config);
    for (int i = 0; i < 60; i++)
        append(log, 2, 0);
    log_close(log);
    faults.write_error = -ENOSPC;
    log = reopen(&config, false, 0);
    assert_int_equal(log_end_offset(log), 120);
    read_all(log, 0, 999);
    faults.write_error = 0;
    append(log, 1, 0);
    log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(every_torn_length_is_cut_to_the_last_whole_batch),
        LOG_TEST(damage_above_the_recovery_point_is_cut_below_it_refused),
        LOG_TEST(missing_segment_in_the_middle_is_refused),
        LOG_TEST(indexes_are_rebuilt_when_missing_short_zero_or_garbage),
        LOG_TEST(clean_open_reads_hardly_anything_and_finds_the_same),
        LOG_TEST(producer_state_is_rebuilt_without_or_with_torn_snapshots),
        LOG_TEST(lost_or_broken_epoch_checkpoint_is_rebuilt_from_the_log),
        LOG_TEST(a_raised_start_keeps_the_epochs_above_it),
        LOG_TEST(power_cut_at_any_flush_keeps_what_was_flushed),
        LOG_TEST(folder_of_another_topic_is_refused),
        LOG_TEST(opens_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
