/* A full disk: appends are refused, deleting goes on, and everything comes back with the room. */
#include "replicas_fixture.h"

#define RESERVE (1 << 20)

static atomic_bool disk_full;
static _Atomic int64_t free_bytes;
static atomic_int refused;

static int full_write(void *arg, struct fs_file file, const struct iovec *parts, int count,
                      int64_t position)
{
    bool segment;
    pthread_mutex_lock(&gate.lock);
    segment = gate.segment[file.fd];
    pthread_mutex_unlock(&gate.lock);
    if (segment && atomic_load(&disk_full)) {
        atomic_fetch_add(&refused, 1);
        return -ENOSPC;
    }
    return fs_real.write(arg, file, parts, count, position);
}

static int64_t few_bytes(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return atomic_load(&free_bytes);
}

static bool reserve_is_held(void)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/.millrace-reserve", test_folder);
    return access(path, F_OK) == 0;
}

static struct replicas *start_on_small_disk(void)
{
    const char *dirs[] = {test_folder};
    struct replicas *rs;
    gate.fs.write = full_write;
    gate.fs.free_bytes = few_bytes;
    struct replicas_options options = {
        .node_id = ME,
        .log_dirs = dirs,
        .log_dirs_count = 1,
        .flush_threads = 1,
        .reserve_bytes = RESERVE,
        .checkpoint_interval_ms = 3600000,
        .retention_check_interval_ms = 3600000,
        .callbacks = {.replica_failed = on_failed},
    };
    assert_int_equal(replicas_open(&options, &gate.fs, &rs), ERR_NONE);
    return rs;
}

static void a_full_disk_refuses_until_there_is_room_again(void **state)
{
    (void)state;
    struct partition_append_result out;
    int64_t start;
    atomic_store(&free_bytes, 100 * RESERVE);
    struct replicas *rs = start_on_small_disk();
    struct replica *r = lead(rs, 2);
    produce(rs, r);
    assert_true(reserve_is_held());

    atomic_store(&disk_full, true);
    atomic_store(&free_bytes, 0);
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_KAFKA_STORAGE_ERROR);
    assert_false(reserve_is_held());
    assert_int_equal(atomic_load(&refused), 1);
    atomic_store(&disk_full, false);
    atomic_store(&free_bytes, RESERVE); /* the reserve, for what makes room */
    assert_int_equal(produce_as(rs, r, 1, &out), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(atomic_load(&refused), 1);
    follower_at(rs, r, 2, 1);
    assert_int_equal(replica_delete_records(rs, r, 0, &start), ERR_NONE);

    atomic_store(&free_bytes, 2 * RESERVE);
    enum error_code err = ERR_KAFKA_STORAGE_ERROR;
    for (int waited_ms = 0; err != ERR_NONE && waited_ms < WAIT_S * 1000; waited_ms += 5) {
        err = produce_as(rs, r, -1, &out);
        usleep(5000);
    }
    assert_int_equal(err, ERR_NONE);
    assert_int_equal(out.base_offset, 1);
    assert_true(reserve_is_held());
    assert_int_equal(gate_count(&gate.failed_calls), 0); /* it was offline at no time */
    replica_unref(r);
    replicas_close(rs);
}

static void a_start_on_a_full_disk_keeps_what_is_left_for_deleting(void **state)
{
    (void)state;
    struct partition_append_result out;
    atomic_store(&free_bytes, 2 * RESERVE - 1);
    struct replicas *rs = start_on_small_disk();
    assert_false(reserve_is_held());
    struct replica *r = lead(rs, 2);
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_KAFKA_STORAGE_ERROR);
    replica_unref(r);
    replicas_close(rs);

    atomic_store(&free_bytes, 2 * RESERVE);
    rs = start_on_small_disk();
    assert_true(reserve_is_held());
    replicas_close(rs);
    atomic_store(&free_bytes, RESERVE); /* and the reserve, which is held from before */
    rs = start_on_small_disk();
    r = lead(rs, 2);
    produce(rs, r);
    replicas_disk_full(rs); /* as the metadata says */
    assert_false(reserve_is_held());
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_KAFKA_STORAGE_ERROR);
    replica_unref(r);
    replicas_close(rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLICAS_TEST(a_full_disk_refuses_until_there_is_room_again),
        REPLICAS_TEST(a_start_on_a_full_disk_keeps_what_is_left_for_deleting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
