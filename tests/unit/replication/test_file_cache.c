#include "log_fixture.h"

static struct cached_file files[6];

static const char *path_of(int i)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/f%d", test_folder, i);
    return path;
}

static int cache_setup(void **state)
{
    int rc = folder_setup(state);
    for (int i = 0; i < (int)ARRAY_COUNT(files); i++) {
        struct fs_file file;
        files[i] = (struct cached_file){.file = FS_FILE_NONE};
        assert_int_equal(fs_real.open(NULL, path_of(i), FS_CREATE, &file), 0);
        fs_real.close(NULL, file);
    }
    return rc;
}

static int cache_teardown(void **state)
{
    for (int i = 0; i < (int)ARRAY_COUNT(files); i++)
        file_cache_remove(faults.fs.files, &files[i]);
    assert_int_equal(file_cache_open_count(faults.fs.files), 0);
    return folder_teardown(state);
}

static void acquire(int i)
{
    assert_int_equal(file_cache_acquire(faults.fs.files, &files[i], path_of(i)), 0);
    assert_true(files[i].file.fd >= 0);
}

static void use(int i)
{
    acquire(i);
    file_cache_release(faults.fs.files, &files[i]);
}

static bool is_open(int i)
{
    return files[i].file.fd >= 0;
}

static void the_file_used_least_recently_is_closed(void **state)
{
    (void)state;
    use(0), use(1), use(2), use(0), use(3);
    assert_true(is_open(0) && !is_open(1) && is_open(2) && is_open(3));
    assert_int_equal(file_cache_open_count(faults.fs.files), OPEN_MAX);
}

static void files_in_use_stay_open(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        acquire(i);
    acquire(0);
    for (int i = 0; i < 5; i++)
        assert_true(is_open(i));
    for (int i = 0; i < 5; i++)
        file_cache_release(faults.fs.files, &files[i]);
    assert_true(is_open(0)); /* once more in use */
    assert_int_equal(file_cache_open_count(faults.fs.files), OPEN_MAX);
    file_cache_release(faults.fs.files, &files[0]);
}

static void unsynced_bytes_are_synced_before_the_file_is_closed(void **state)
{
    (void)state;
    acquire(0);
    file_cache_wrote(faults.fs.files, &files[0]);
    file_cache_release(faults.fs.files, &files[0]);
    use(1), use(2), use(3); /* closes 1: clean */
    assert_true(is_open(0) && !is_open(1));
    assert_int_equal(faults.syncs, 0);
    for (int i = 2; i < 4; i++) {
        acquire(i);
        file_cache_wrote(faults.fs.files, &files[i]);
        file_cache_release(faults.fs.files, &files[i]);
    }
    use(4);
    assert_true(!is_open(0));
    assert_int_equal(faults.syncs, 1);
}

static void an_error_of_that_sync_is_not_lost(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        acquire(i);
        file_cache_wrote(faults.fs.files, &files[i]);
        file_cache_release(faults.fs.files, &files[i]);
    }
    faults.sync_error = -EIO;
    use(3);
    faults.sync_error = 0;
    assert_false(is_open(0));
    acquire(0);
    assert_int_equal(file_cache_sync(faults.fs.files, &files[0]), -EIO);
    file_cache_release(faults.fs.files, &files[0]);
    acquire(1);
    assert_int_equal(file_cache_sync(faults.fs.files, &files[1]), 0);
    file_cache_release(faults.fs.files, &files[1]);
}

static void a_missing_file_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(file_cache_acquire(faults.fs.files, &files[0], path_of(77)), -ENOENT);
    assert_int_equal(file_cache_open_count(faults.fs.files), 0);
    use(0);
}

#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, cache_setup, cache_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(the_file_used_least_recently_is_closed),
        CACHE_TEST(files_in_use_stay_open),
        CACHE_TEST(unsynced_bytes_are_synced_before_the_file_is_closed),
        CACHE_TEST(an_error_of_that_sync_is_not_lost),
        CACHE_TEST(a_missing_file_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
