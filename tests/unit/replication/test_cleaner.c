#include "replicas_fixture.h"

#define UPDATES 300

static struct replicas *start_with_cleaner(void)
{
    const char *dirs[] = {test_folder};
    struct replicas *rs;
    struct replicas_options options = {
        .node_id = ME,
        .log_dirs = dirs,
        .log_dirs_count = 1,
        .flush_threads = 1,
        .checkpoint_interval_ms = 20,
        .retention_check_interval_ms = 3600000,
        .cleaner = {.enabled = true, .backoff_ms = 5, .map_bytes_max = 1 << 20},
        .callbacks = {.replica_failed = on_failed},
    };
    assert_int_equal(replicas_open(&options, &gate.fs, &rs), ERR_NONE);
    return rs;
}

static struct replica *lead_compacted(struct replicas *rs, int32_t index, bool compact)
{
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 1, .replica_lag_time_max_ms = 600000};
    config.log.segment_bytes = 2000;
    config.log.retention_ms = -1;
    config.log.compact_enabled = compact;
    config.log.min_cleanable_dirty_ratio = 0;
    config.log.delete_enabled = !compact;
    struct partition_state state = led_by(ME, 1, 1, 1);
    state.replicas_count = 1;
    assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, index, &state, &config), ERR_NONE);
    return replicas_find(rs, topic_t, index);
}

static void update(struct replicas *rs, struct replica *r, int key)
{
    struct batch_builder b;
    struct buffer bytes = {0};
    struct batch_header h;
    struct partition_append_result out;
    uint8_t text = (uint8_t)key;
    batch_builder_init(&b);
    batch_builder_append(&b, 1000, slice_of(&text, 1), SLICE("some value"), SLICE_NULL, 0);
    assert_int_equal(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &bytes), 0);
    batch_builder_deinit(&b);
    assert_int_equal(batch_header_decode(buffer_slice(&bytes), &h), 0);
    assert_int_equal(replica_append(rs, r, bytes.data, bytes.size, &h, 1, &out), ERR_NONE);
    buffer_deinit(&bytes);
}

static int64_t size_of(struct replica *r)
{
    mutex_lock(&r->lock);
    int64_t size = log_size_bytes(partition_log(r->partition));
    mutex_unlock(&r->lock);
    return size;
}

/* All but the active segment. */
static bool is_clean(struct replica *r)
{
    mutex_lock(&r->lock);
    const struct log *log = partition_log(r->partition);
    bool clean = log_cleaned_offset(log) == log_active(log)->base_offset;
    mutex_unlock(&r->lock);
    return clean;
}

static void dirty_logs_are_compacted_while_they_grow(void **state)
{
    (void)state;
    struct replicas *rs = start_with_cleaner();
    struct replica *r = lead_compacted(rs, 0, true), *other = lead_compacted(rs, 1, false);
    for (int i = 0; i < UPDATES; i++) {
        update(rs, r, i % 5);
        update(rs, other, i % 5);
    }
    int64_t full = size_of(other);
    for (int waited_ms = 0; !is_clean(r) && waited_ms < WAIT_S * 1000; waited_ms += 5)
        usleep(5000);
    assert_true(is_clean(r));
    assert_true(size_of(r) <= full / 4);
    assert_int_equal(size_of(other), full);
    assert_int_equal(end_of(r), UPDATES);
    replica_unref(r);
    replica_unref(other);
    replicas_close(rs);

    rs = start_with_cleaner(); /* knows how far it was */
    r = replicas_find(rs, topic_t, 0);
    assert_true(is_clean(r));
    replica_unref(r);
    replicas_close(rs);
}

static void a_topic_can_be_deleted_meanwhile(void **state)
{
    (void)state;
    struct replicas *rs = start_with_cleaner();
    for (int round = 0; round < 10; round++) {
        struct replica *r = lead_compacted(rs, round, true);
        for (int i = 0; i < UPDATES; i++)
            update(rs, r, i % 5);
        replica_unref(r);
        replicas_remove(rs, topic_t, round);
    }
    replicas_close(rs);
    assert_int_equal(gate_count(&gate.failed_calls), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLICAS_TEST(dirty_logs_are_compacted_while_they_grow),
        REPLICAS_TEST(a_topic_can_be_deleted_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
