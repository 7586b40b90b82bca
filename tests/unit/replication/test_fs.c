#include "log_fixture.h"

static void path_of(const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", test_folder, name);
}

static void reads_short_only_at_the_end_and_writes_all_parts(void **state)
{
    (void)state;
    char path[512], out[16] = "";
    struct fs_file file;
    path_of("a", path);
    assert_int_equal(fs_real.open(NULL, path, FS_READ, &file), -ENOENT);
    assert_int_equal(file.fd, -1);
    assert_int_equal(fs_real.open(NULL, path, FS_CREATE_NEW, &file), 0);
    struct iovec parts[] = {{"abc", 3}, {"", 0}, {"defg", 4}};
    assert_int_equal(fs_real.write(NULL, file, parts, 3, 2), 0);
    assert_int_equal(fs_real.size(NULL, file), 9);
    assert_int_equal(fs_real.read(NULL, file, out, 4, 4), 4);
    assert_memory_equal(out, "cdef", 4);
    assert_int_equal(fs_real.read(NULL, file, out, 16, 7), 2);
    assert_int_equal(fs_real.read(NULL, file, out, 16, 50), 0);
    assert_int_equal(fs_real.truncate(NULL, file, 3), 0);
    assert_int_equal(fs_real.size(NULL, file), 3);
    assert_int_equal(fs_real.sync(NULL, file), 0);
    fs_real.close(NULL, file);
    assert_int_equal(fs_real.open(NULL, path, FS_CREATE_NEW, &file), -EEXIST);
    assert_int_equal(fs_real.remove(NULL, path), 0);
    assert_int_equal(fs_real.remove(NULL, path), -ENOENT);
    assert_true(fs_real.free_bytes(NULL, test_folder) > 0);
}

static int collect(void *arg, const char *name)
{
    strcat(arg, name);
    return strcmp(name, "c") == 0 ? 7 : 0;
}

static void lists_in_byte_order_until_told_to_stop(void **state)
{
    (void)state;
    static const char *const names[] = {"c", "B", "d", "a"};
    char path[512], seen[64] = "";
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        path_of(names[i], path);
        assert_int_equal(fs_write_text(&fs_real, path, "x"), 0);
    }
    assert_int_equal(fs_real.list(NULL, test_folder, collect, seen), 7);
    assert_string_equal(seen, "Bac");
    path_of("none", path);
    assert_int_equal(fs_real.list(NULL, path, collect, seen), -ENOENT);
}

static void folders_are_made_once(void **state)
{
    (void)state;
    char path[512];
    path_of("folder", path);
    assert_int_equal(fs_real.make_dir(NULL, path), 0);
    assert_int_equal(fs_real.make_dir(NULL, path), 0);
    assert_int_equal(fs_real.sync_dir(NULL, path), 0);
    assert_int_equal(fs_real.remove(NULL, path), 0);
    assert_int_equal(fs_write_text(&fs_real, path, ""), 0);
    assert_int_equal(fs_real.make_dir(NULL, path), -ENOTDIR);
    assert_true(fs_real.sync_dir(NULL, path) < 0);
}

static void a_text_is_old_or_new_never_half(void **state)
{
    (void)state;
    char path[512], *text;
    path_of("checkpoint", path);
    assert_int_equal(fs_read_text(&faults.fs, path, &text, 10), -ENOENT);
    assert_int_equal(fs_write_text(&faults.fs, path, "old text"), 0);
    faults.write_error = -ENOSPC;
    assert_int_equal(fs_write_text(&faults.fs, path, "new text"), -ENOSPC);
    faults.write_error = 0;
    faults.sync_error = -EIO;
    assert_int_equal(fs_write_text(&faults.fs, path, "new text"), -EIO);
    faults.sync_error = 0;
    assert_int_equal(fs_read_text(&faults.fs, path, &text, 100), 0);
    assert_string_equal(text, "old text");
    free(text);
    assert_int_equal(fs_read_text(&faults.fs, path, &text, 3), -EFBIG);
    assert_null(text);
    assert_int_equal(fs_write_text(&faults.fs, path, "new"), 0);
    power_cut();
    assert_int_equal(fs_read_text(&faults.fs, path, &text, 3), 0);
    assert_string_equal(text, "new");
    free(text);
}

static void folder_of_a_path(void **state)
{
    (void)state;
    char folder[FS_PATH_MAX];
    fs_folder_of("/a/b/c", folder);
    assert_string_equal(folder, "/a/b");
    fs_folder_of("/a", folder);
    assert_string_equal(folder, "/");
    fs_folder_of("a", folder);
    assert_string_equal(folder, ".");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(reads_short_only_at_the_end_and_writes_all_parts),
        LOG_TEST(lists_in_byte_order_until_told_to_stop),
        LOG_TEST(folders_are_made_once),
        LOG_TEST(a_text_is_old_or_new_never_half),
        LOG_TEST(folder_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
