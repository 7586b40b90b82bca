#include "replicas_fixture.h"

static const char *in_folder(const char *name)
{
    static char path[600];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    return path;
}

static bool exists(const char *name)
{
    return access(in_folder(name), F_OK) == 0;
}

static void write_file(const char *name, const char *text)
{
    assert_int_equal(fs_write_text(&fs_real, in_folder(name), text), 0);
}

/* Three batches on disk, stopped cleanly; then a byte of the first one flips. */
static void damaged_log(void)
{
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    for (int i = 0; i < 3; i++)
        produce(rs, r);
    replica_unref(r);
    replicas_close(rs);
    struct fs_file file;
    uint8_t bad = 0x77; /* the length of the first batch */
    assert_int_equal(fs_real.open(NULL, in_folder("t-0/00000000000000000000.log"), FS_WRITE, &file),
                     0);
    assert_int_equal(fs_write_at(&fs_real, file, &bad, 1, 9), 0);
    fs_real.close(NULL, file);
}

static bool is_offline(struct replicas *rs)
{
    struct replica *r = replicas_find(rs, topic_t, 0);
    assert_non_null(r);
    mutex_lock(&r->lock);
    bool offline = r->partition == NULL;
    mutex_unlock(&r->lock);
    replica_unref(r);
    return offline;
}

static void a_damaged_log_is_kept_and_never_served(void **state)
{
    (void)state;
    damaged_log();
    struct replicas *rs = replicas_start();
    assert_true(is_offline(rs));
    assert_int_equal(apply(rs, led_by(ME, 2, 2, 2)), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(apply(rs, led_by(2, 3, 3, 2)), ERR_KAFKA_STORAGE_ERROR); /* still in the ISR */
    assert_true(is_offline(rs));
    assert_true(exists("t-0/00000000000000000000.log"));
    replicas_close(rs);
    assert_false(exists(".kafka_cleanshutdown"));
}

static void a_damaged_follower_outside_the_isr_begins_anew(void **state)
{
    (void)state;
    damaged_log();
    struct replicas *rs = replicas_start();
    struct partition_state other = led_by(2, 3, 3, 2);
    other.isr[0] = 2;
    other.isr[1] = 3;
    assert_int_equal(apply(rs, other), ERR_NONE);
    struct replica *r = replicas_find(rs, topic_t, 0);
    assert_int_equal(end_of(r), 0);
    replica_unref(r);
    char id[UUID_TEXT_SIZE], aside[64];
    uuid_to_text(topic_t, id);
    snprintf(aside, sizeof(aside), "t-0.%s-stray", id);
    assert_true(exists(aside));
    replicas_close(rs);
    assert_true(exists(".kafka_cleanshutdown"));
}

static void what_was_being_deleted_goes_and_strangers_stay(void **state)
{
    (void)state;
    assert_int_equal(fs_real.make_dir(NULL, in_folder("t-0.AAAA-delete")), 0);
    write_file("t-0.AAAA-delete/00000000000000000000.log", "x");
    assert_int_equal(fs_real.make_dir(NULL, in_folder("lost+found")), 0);
    assert_int_equal(fs_real.make_dir(NULL, in_folder("no-partition-7")), 0);
    write_file("no-partition-7/file", "x");
    struct replicas *rs = replicas_start();
    replicas_close(rs);
    assert_false(exists("t-0.AAAA-delete"));
    assert_true(exists("lost+found") && exists("no-partition-7/file"));
}

static void count_one(void *arg, struct replica *r)
{
    mutex_lock(&r->lock);
    if (r->partition != NULL)
        *(int *)arg += (int)log_end_offset(partition_log(r->partition));
    mutex_unlock(&r->lock);
}

static void many_partitions_are_loaded_side_by_side(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 1, .replica_lag_time_max_ms = 600000};
    struct partition_state leader = led_by(ME, 1, 1, 1);
    for (int i = 0; i < 40; i++) {
        struct partition_append_result out;
        assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, i, &leader, &config), ERR_NONE);
        struct replica *r = replicas_find(rs, topic_t, i);
        assert_int_equal(produce_as(rs, r, 1, &out), ERR_NONE);
        replica_unref(r);
    }
    replicas_close(rs);
    for (int clean = 1; clean >= 0; clean--) {
        if (!clean)
            assert_int_equal(unlink(in_folder(".kafka_cleanshutdown")), 0);
        rs = replicas_start();
        int records = 0;
        replicas_each(rs, count_one, &records);
        assert_int_equal(records, 40);
        replicas_close(rs);
    }
}

static void half_made_folders_without_batches_go(void **state)
{
    (void)state;
    static const char *const names[] = {"a-0", "b-0", "c-0", "d-0"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(fs_real.make_dir(NULL, in_folder(names[i])), 0);
    write_file("b-0/partition.metadata", "");
    write_file("b-0/00000000000000000000.log", "");
    write_file("c-0/partition.metadata", "version: 0\ntopic_id: ");
    write_file("d-0/00000000000000000000.log", "some bytes");
    struct replicas *rs = replicas_start();
    assert_false(exists("a-0"));
    assert_false(exists("b-0"));
    assert_false(exists("c-0"));
    assert_true(exists("d-0"));
    replicas_close(rs);
    assert_int_equal(unlink(in_folder("d-0/00000000000000000000.log")), 0);
}

static bool keep_none(void *arg, struct uuid topic_id, int32_t index)
{
    (void)arg;
    (void)topic_id;
    (void)index;
    return false;
}

/* A topic was deleted and made anew while this node was away. */
static void a_new_topic_takes_the_folder_of_its_predecessor(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    produce(rs, r);
    replica_unref(r);
    replicas_close(rs);
    rs = replicas_start();
    replicas_remove_strays(rs, keep_none, NULL);
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 2, .replica_lag_time_max_ms = 600000};
    struct partition_state state_of_new = led_by(ME, 1, 1, 2);
    struct uuid other = {{8}};
    assert_int_equal(replicas_apply(rs, SLICE("t"), other, 0, &state_of_new, &config), ERR_NONE);
    r = replicas_find(rs, other, 0);
    assert_int_equal(end_of(r), 0);
    replica_unref(r);
    replicas_close(rs);
}

static void a_folder_of_another_node_is_left_alone(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    replicas_note_cluster(rs, SLICE("some-cluster"));
    replicas_close(rs);
    char *text, *id;
    assert_int_equal(fs_read_text(&fs_real, in_folder("meta.properties"), &text, 4096), 0);
    assert_non_null(strstr(text, "cluster.id=some-cluster\nnode.id=1\ndirectory.id="));
    id = mem_strdup(strstr(text, "directory.id="));
    free(text);
    rs = replicas_start();
    replicas_close(rs);
    assert_int_equal(fs_read_text(&fs_real, in_folder("meta.properties"), &text, 4096), 0);
    assert_non_null(strstr(text, id)); /* the same for good */
    free(text);
    free(id);

    write_file("meta.properties", "version=1\nnode.id=2\n");
    const char *dirs[] = {test_folder};
    struct replicas_options options = {
        .node_id = ME, .log_dirs = dirs, .log_dirs_count = 1, .flush_threads = 1};
    assert_int_equal(replicas_open(&options, &gate.fs, &rs), ERR_KAFKA_STORAGE_ERROR);
    assert_true(exists(".kafka_cleanshutdown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLICAS_TEST(a_damaged_log_is_kept_and_never_served),
        REPLICAS_TEST(a_damaged_follower_outside_the_isr_begins_anew),
        REPLICAS_TEST(what_was_being_deleted_goes_and_strangers_stay),
        REPLICAS_TEST(half_made_folders_without_batches_go),
        REPLICAS_TEST(a_new_topic_takes_the_folder_of_its_predecessor),
        REPLICAS_TEST(a_folder_of_another_node_is_left_alone),
        REPLICAS_TEST(many_partitions_are_loaded_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
