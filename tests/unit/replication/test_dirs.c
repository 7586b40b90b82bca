/* Two log folders, one of which dies. */
#include "replicas_fixture.h"

#include "replication/replicas_internal.h"

#define PARTITIONS 4

static char folders[2][80];
static atomic_bool dead; /* the second one */

static bool in_dead_folder(const char *path)
{
    return atomic_load(&dead) && strncmp(path, folders[1], strlen(folders[1])) == 0;
}

static int dying_open(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file)
{
    *file = FS_FILE_NONE;
    return in_dead_folder(path) ? -EIO : gate_open(arg, path, mode, file);
}

static int dying_list(void *arg, const char *path, int (*each)(void *each_arg, const char *name),
                      void *each_arg)
{
    return in_dead_folder(path) ? -EIO : fs_real.list(arg, path, each, each_arg);
}

static struct replicas *start_on_two(void)
{
    const char *dirs[] = {folders[0], folders[1]};
    struct replicas *rs;
    for (int i = 0; i < 2; i++) {
        snprintf(folders[i], sizeof(folders[i]), "%s/%c", test_folder, 'a' + i);
        assert_int_equal(fs_real.make_dir(NULL, folders[i]), 0);
    }
    gate.fs.open = dying_open;
    gate.fs.list = dying_list;
    struct replicas_options options = {
        .node_id = ME,
        .log_dirs = dirs,
        .log_dirs_count = 2,
        .flush_threads = 1,
        .checkpoint_interval_ms = 20,
        .retention_check_interval_ms = 3600000,
        .callbacks = {.replica_failed = on_failed},
    };
    assert_int_equal(replicas_open(&options, &gate.fs, &rs), ERR_NONE);
    return rs;
}

static enum error_code apply_to(struct replicas *rs, int32_t index, struct partition_state state)
{
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 1, .replica_lag_time_max_ms = 600000};
    return replicas_apply(rs, SLICE("t"), topic_t, index, &state, &config);
}

static bool is_online(struct replicas *rs, int32_t index)
{
    struct replica *r = replicas_find(rs, topic_t, index);
    if (r == NULL)
        return false;
    mutex_lock(&r->lock);
    bool online = r->partition != NULL;
    mutex_unlock(&r->lock);
    replica_unref(r);
    return online;
}

static int dir_of(struct replicas *rs, int32_t index)
{
    struct replica *r = replicas_find(rs, topic_t, index);
    assert_non_null(r);
    int dir = replica_dir(r);
    replica_unref(r);
    return dir;
}

static void empty_folders(void)
{
    for (int i = 0; i < 2; i++) {
        (void)fs_real.list(NULL, folders[i], remove_below, folders[i]);
        assert_int_equal(rmdir(folders[i]), 0);
    }
}

static void idle_replicas_of_a_dead_folder_go_offline_and_no_others(void **state)
{
    (void)state;
    atomic_store(&dead, false);
    struct replicas *rs = start_on_two();
    bool lost[PARTITIONS];
    for (int32_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(apply_to(rs, i, led_by(ME, 1, 1, 2)), ERR_NONE);
        lost[i] = dir_of(rs, i) == 1;
    }
    atomic_store(&dead, true);
    gate_await(&gate.failed_calls, PARTITIONS / 2);
    assert_true(replicas_dir_failed(rs, 1));
    assert_false(replicas_dir_failed(rs, 0));
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(is_online(rs, i), !lost[i]);
    for (int32_t i = PARTITIONS; i < 2 * PARTITIONS; i++) {
        assert_int_equal(apply_to(rs, i, led_by(ME, 0, 0, 2)), ERR_NONE);
        assert_int_equal(dir_of(rs, i), 0);
    }
    replicas_close(rs);

    /* Started again without it, what was in there is not made anew elsewhere. */
    rs = start_on_two();
    assert_int_equal(replicas_clean_epoch(rs), -1);
    for (int32_t i = 0; i < PARTITIONS; i++)
        if (lost[i]) {
            assert_int_equal(apply_to(rs, i, led_by(ME, 2, 2, 2)), ERR_KAFKA_STORAGE_ERROR);
            assert_false(is_online(rs, i));
            struct partition_state out = led_by(2, 3, 3, 1);
            out.isr[0] = 2; /* nobody counts on it any more */
            assert_int_equal(apply_to(rs, i, out), ERR_NONE);
            assert_int_equal(dir_of(rs, i), 0);
        }
    replicas_close(rs);
    empty_folders();
}

static void a_single_failure_leaves_the_folder(void **state)
{
    (void)state;
    atomic_store(&dead, false);
    struct replicas *rs = start_on_two();
    assert_int_equal(apply_to(rs, 0, led_by(ME, 1, 1, 2)), ERR_NONE);
    assert_int_equal(apply_to(rs, 1, led_by(ME, 1, 1, 2)), ERR_NONE);
    struct replica *r = replicas_find(rs, topic_t, 0);
    pthread_mutex_lock(&gate.lock);
    gate.error = -EIO;
    pthread_mutex_unlock(&gate.lock);
    struct partition_append_result out;
    assert_int_equal(produce_as(rs, r, 1, &out), ERR_NONE);
    gate_await(&gate.failed_calls, 1);
    replica_unref(r);
    while (atomic_load(&rs->dirs[0].suspect) || atomic_load(&rs->dirs[1].suspect))
        usleep(1000); /* until it was looked at */
    assert_true(is_online(rs, 1));
    assert_false(replicas_dir_failed(rs, 0));
    assert_false(replicas_dir_failed(rs, 1));
    replicas_close(rs);
    empty_folders();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLICAS_TEST(idle_replicas_of_a_dead_folder_go_offline_and_no_others),
        REPLICAS_TEST(a_single_failure_leaves_the_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
