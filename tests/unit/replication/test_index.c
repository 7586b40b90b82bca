#include "log_fixture.h"

static struct index ix;

static void open_index(int key_size)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/0.index", test_folder);
    index_init(&ix, &faults.fs, path, key_size);
}

static void add(int64_t key, int64_t value)
{
    assert_int_equal(index_append(&ix, (struct index_entry){key, value}), 0);
}

static void finds_the_floor_in_the_file_and_in_memory(void **state)
{
    (void)state;
    for (int key_size = 4; key_size <= 8; key_size += 4) {
        open_index(key_size);
        assert_int_equal(index_forget(&ix), 0);
        struct index_entry found;
        assert_int_equal(index_floor(&ix, 5, &found), 0);
        for (int64_t i = 1; i <= 3000; i++)
            add(i * 10, i * 100);
        assert_true(ix.count_stored > 2000 && ix.count_stored < 3000);
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t key = 0; key < 30100; key += 3) {
                int64_t expected = MIN(key / 10, 3000);
                assert_int_equal(index_floor(&ix, key, &found), expected > 0);
                if (expected > 0)
                    assert_int_equal(found.value, expected * 100);
                assert_int_equal(index_floor_value(&ix, key * 10 + 1, &found), expected > 0);
                if (expected > 0)
                    assert_int_equal(found.key, expected * 10);
            }
            assert_int_equal(index_store(&ix), 0);
        }
        assert_int_equal(index_load(&ix, true), 0);
        assert_int_equal(ix.count, 3000);
        index_deinit(&ix);
    }
}

static void truncates_in_the_file_and_in_memory(void **state)
{
    (void)state;
    open_index(INDEX_OFFSET_KEY_SIZE);
    for (int64_t keep = 1200; keep >= 0; keep -= 75) {
        assert_int_equal(index_forget(&ix), 0);
        for (int64_t i = 1; i <= 1200; i++)
            add(i * 10, i * 100);
        assert_int_equal(index_truncate(&ix, keep * 100 + 1), 0);
        assert_int_equal(ix.count, keep);
        struct index_entry found;
        assert_int_equal(index_floor(&ix, INT32_MAX, &found), keep > 0);
        if (keep > 0)
            assert_int_equal(found.key, keep * 10);
        add(20000, 200000);
        assert_int_equal(index_store(&ix), 0);
        assert_int_equal(index_load(&ix, true), 0);
        assert_int_equal(ix.count, keep + 1);
        assert_int_equal(ix.last.key, 20000);
    }
    index_deinit(&ix);
}

static void disorder_is_not_added_and_not_loaded(void **state)
{
    (void)state;
    open_index(INDEX_OFFSET_KEY_SIZE);
    assert_int_equal(index_load(&ix, true), -ENOENT);
    add(10, 100);
    add(10, 200);
    add(11, 100);
    assert_int_equal(ix.count, 1);
    add(20, 200);
    add(30, 300);
    assert_int_equal(index_store(&ix), 0);
    struct fs_file file;
    assert_int_equal(fs_real.open(NULL, ix.path, FS_WRITE, &file), 0);
    assert_int_equal(fs_write_at(&fs_real, file, "\0\0\0\5", 4, 8), 0);
    fs_real.close(NULL, file);
    assert_int_equal(index_load(&ix, true), -EBADMSG);
    assert_int_equal(truncate(ix.path, 23), 0);
    assert_int_equal(index_load(&ix, false), -EBADMSG);
    assert_int_equal(truncate(ix.path, 0), 0);
    assert_int_equal(truncate(ix.path, 4096), 0); /* zeros, as a preallocated file */
    assert_int_equal(index_load(&ix, false), -EBADMSG);
    index_deinit(&ix);
}

static void entries_stay_in_memory_while_the_disk_is_full(void **state)
{
    (void)state;
    open_index(INDEX_TIME_KEY_SIZE);
    faults.write_error = -ENOSPC;
    for (int64_t i = 1; i <= 1000; i++)
        (void)!index_append(&ix, (struct index_entry){i, i});
    faults.write_error = 0;
    struct index_entry found;
    assert_int_equal(index_floor(&ix, 500, &found), 1);
    assert_int_equal(found.value, 500);
    assert_int_equal(index_store(&ix), 0);
    assert_int_equal(index_load(&ix, true), 0);
    assert_int_equal(ix.count, 1000);
    index_deinit(&ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(finds_the_floor_in_the_file_and_in_memory),
        LOG_TEST(truncates_in_the_file_and_in_memory),
        LOG_TEST(disorder_is_not_added_and_not_loaded),
        LOG_TEST(entries_stay_in_memory_while_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
