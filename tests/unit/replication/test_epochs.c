#include "log_fixture.h"

static struct epochs e;

static int setup(void **state)
{
    char path[512];
    folder_setup(state);
    snprintf(path, sizeof(path), "%s/" LOG_EPOCHS_FILE, test_folder);
    epochs_init(&e, &faults.fs, path);
    return 0;
}

static int teardown(void **state)
{
    epochs_deinit(&e);
    return folder_teardown(state);
}

static void begin(int32_t epoch, int64_t start)
{
    assert_int_equal(epochs_begin(&e, epoch, start), 0);
}

static void assert_file(const char *expected)
{
    char *text;
    assert_int_equal(fs_read_text(&fs_real, e.path, &text, 4096), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_end(int32_t asked, int64_t log_end, int32_t epoch, int64_t end)
{
    int32_t got_epoch;
    int64_t got_end;
    epochs_end(&e, asked, log_end, &got_epoch, &got_end);
    assert_int_equal(got_epoch, epoch);
    assert_int_equal(got_end, end);
}

static void writes_kafkas_format_and_reads_it_back(void **state)
{
    (void)state;
    begin(0, 0);
    begin(3, 6400);
    assert_file("0\n2\n0 0\n3 6400\n");
    assert_int_equal(epochs_load(&e), 0);
    assert_int_equal(e.entries.count, 2);
    assert_int_equal(epochs_at(&e, 6399), 0);
    assert_int_equal(epochs_at(&e, 6400), 3);
    assert_int_equal(epochs_latest(&e, NULL), 3);
}

static void answers_the_largest_epoch_not_above_the_asked(void **state)
{
    (void)state;
    assert_end(5, 0, -1, -1);
    begin(2, 10);
    begin(5, 20);
    assert_end(1, 30, -1, -1);
    assert_end(2, 30, 2, 20);
    assert_end(4, 30, 2, 20);
    assert_end(5, 30, 5, 30);
    assert_end(9, 30, 5, 30);
}

static void an_election_without_records_is_replaced_by_the_next(void **state)
{
    (void)state;
    begin(1, 0);
    for (int32_t epoch = 2; epoch < 50; epoch++)
        begin(epoch, 7);
    assert_file("0\n2\n1 0\n49 7\n");
    assert_end(20, 7, 1, 7);
}

static void truncates_at_both_ends(void **state)
{
    (void)state;
    begin(1, 0);
    begin(2, 10);
    begin(3, 20);
    assert_int_equal(epochs_truncate_start(&e, 15), 0);
    assert_file("0\n2\n2 15\n3 20\n");
    assert_int_equal(epochs_truncate_start(&e, 12), 0);
    assert_file("0\n2\n2 15\n3 20\n");
    assert_int_equal(epochs_truncate_end(&e, 21), 0);
    assert_int_equal(e.entries.count, 2);
    assert_int_equal(epochs_truncate_end(&e, 20), 0);
    assert_file("0\n1\n2 15\n");
    assert_int_equal(epochs_clear(&e), 0);
    assert_file("0\n0\n");
}

static void a_change_that_cannot_be_stored_did_not_happen(void **state)
{
    (void)state;
    begin(1, 0);
    begin(2, 10);
    for (int kind = 0; kind < 2; kind++) {
        faults.write_error = kind == 0 ? -ENOSPC : 0;
        faults.sync_error = kind == 1 ? -EIO : 0;
        assert_true(epochs_begin(&e, 3, 20) < 0);
        assert_true(epochs_truncate_end(&e, 5) < 0);
        assert_true(epochs_truncate_start(&e, 15) < 0);
        assert_true(epochs_clear(&e) < 0);
        faults.write_error = faults.sync_error = 0;
        assert_int_equal(epochs_latest(&e, NULL), 2);
        assert_int_equal(e.entries.count, 2);
        assert_file("0\n2\n1 0\n2 10\n");
    }
}

static void what_is_no_checkpoint_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "1\n0\n",
        "0\n",
        "0\n2\n1 0\n",
        "0\n-1\n",
        "0\n1\n1 x\n",
        "0\n1\n1\n",
        "0\n2\n2 0\n1 5\n",
        "x",
        "0\n2\n1 5\n2 4\n",
        "0\n1\n4294967296 0\n",
    };
    assert_int_equal(epochs_load(&e), -ENOENT);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(fs_write_text(&fs_real, e.path, texts[i]), 0);
        int err = epochs_load(&e);
        if (strcmp(texts[i], "0\n-1\n") == 0)
            assert_true(err <= 0);
        else
            assert_int_equal(err, -EBADMSG);
        assert_int_equal(e.entries.count, 0);
    }
}

#define EPOCHS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EPOCHS_TEST(writes_kafkas_format_and_reads_it_back),
        EPOCHS_TEST(answers_the_largest_epoch_not_above_the_asked),
        EPOCHS_TEST(an_election_without_records_is_replaced_by_the_next),
        EPOCHS_TEST(truncates_at_both_ends),
        EPOCHS_TEST(a_change_that_cannot_be_stored_did_not_happen),
        EPOCHS_TEST(what_is_no_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
