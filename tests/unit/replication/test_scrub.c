/* Scrubbing: what it finds, when a damaged replica leaves, and that it begins anew. */
#include "replicas_fixture.h"

#include <inttypes.h>

#include "replication/replicas_internal.h"
#include "replication/scrub.h"

/* --- Decisions --- */

static const int32_t members[] = {1, 2, 3};

static struct scrub_view view(int isr_count)
{
    return (struct scrub_view){.node_id = 2,
                               .leader = 1,
                               .isr = members,
                               .isr_count = isr_count,
                               .replicas_count = 3,
                               .min_insync_replicas = 2,
                               .since_report_ms = INT64_MAX};
}

static void it_leaves_only_while_others_have_the_records(void **state)
{
    (void)state;
    struct scrub_view v = view(3);
    assert_true(scrub_may_leave(&v));
    v.leader = 2; /* a leader hands over the same way */
    assert_true(scrub_may_leave(&v));
    v.leader = -1;
    assert_false(scrub_may_leave(&v));
    v = view(2); /* two would be one: below the minimum */
    assert_false(scrub_may_leave(&v));
    v.min_insync_replicas = 1;
    assert_true(scrub_may_leave(&v));
    v = view(2); /* it never gets better than two of two */
    v.replicas_count = 2;
    assert_true(scrub_may_leave(&v));
    v = view(1);
    v.node_id = 1;
    v.min_insync_replicas = 1;
    v.replicas_count = 1;
    assert_false(scrub_may_leave(&v));
    v = view(1); /* it is out already */
    assert_false(scrub_may_leave(&v));
    v = view(3);
    v.since_report_ms = 9999;
    assert_false(scrub_may_leave(&v));
    v.since_report_ms = 10000;
    assert_true(scrub_may_leave(&v));
}

static void the_rate_is_kept(void **state)
{
    (void)state;
    assert_int_equal(scrub_pause_us(1000, 0, 1000), 1000000);
    assert_int_equal(scrub_pause_us(1000, 400000, 1000), 600000);
    assert_int_equal(scrub_pause_us(1000, 2000000, 1000), 0);
    assert_int_equal(scrub_pause_us(INT64_C(1) << 40, 0, INT64_MAX), 0);
}

/* --- Reading --- */

static int scrub(struct segment *seg, struct scrub_reading *reading)
{
    int rc;
    reading->position = 0;
    reading->expected_offset = seg->base_offset;
    assert_int_equal(segment_acquire(seg), 0);
    do
        rc = scrub_step(seg, reading, seg->size);
    while (rc > 0);
    segment_release(seg);
    return rc;
}

static void flip(struct segment *seg, int64_t position)
{
    uint8_t byte;
    assert_int_equal(segment_acquire(seg), 0);
    assert_int_equal(fs_real.read(NULL, seg->log.file, &byte, 1, position), 1);
    byte ^= 0x10;
    assert_int_equal(fs_write_at(&fs_real, seg->log.file, &byte, 1, position), 0);
    segment_release(seg);
}

/* Small batches, and one that is longer than a chunk. */
static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    struct log_config config = log_config_default();
    struct log *log = open_new(&config);
    struct scrub_reading reading = {0};
    struct segment *seg = log_active(log);
    int64_t starts[5], offset;
    for (int i = 0; i < 4; i++) {
        starts[i] = seg->size;
        struct batch_spec spec = {
            .records = i == 2 ? 60 : 2, .value_size = i == 2 ? 8000 : 50, .timestamp = 1000};
        assert_int_equal(append_spec(log, spec, 0, &offset), ERR_NONE);
    }
    starts[4] = seg->size;
    assert_true(starts[3] - starts[2] > 256 * 1024);
    assert_int_equal(scrub(seg, &reading), 0);
    assert_int_equal(reading.position, seg->size);
    for (int i = 0; i < 4; i++) {
        /* Everything the CRC covers, the length and the magic. */
        for (int64_t at = starts[i] + 21; at < starts[i + 1]; at += i == 2 ? 3001 : 1) {
            flip(seg, at);
            assert_int_equal(scrub(seg, &reading), -EBADMSG);
            assert_int_equal(reading.position, starts[i]);
            flip(seg, at);
        }
        flip(seg, starts[i] + 8);
        assert_int_equal(scrub(seg, &reading), -EBADMSG);
        flip(seg, starts[i] + 8);
        flip(seg, starts[i] + 16);
        assert_int_equal(scrub(seg, &reading), -EBADMSG);
        flip(seg, starts[i] + 16);
    }
    assert_int_equal(scrub(seg, &reading), 0);
    buffer_deinit(&reading.chunk);
    log_close(log);
}

/* --- The thread --- */

static struct replicas *start_with_scrubber(void)
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
        .scrubber = {.bytes_per_second = 1 << 30, .interval_ms = 1},
        .callbacks = {.replica_failed = on_failed},
    };
    assert_int_equal(replicas_open(&options, &gate.fs, &rs), ERR_NONE);
    return rs;
}

static struct partition_config small(void)
{
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 2, .replica_lag_time_max_ms = 600000};
    config.log.segment_bytes = 1000;
    config.log.retention_ms = -1;
    return config;
}

static void flip_in_first_segment(struct replica *r)
{
    mutex_lock(&r->lock);
    struct log *log = partition_log(r->partition);
    assert_true(log->segments.count > 2);
    flip(log->segments.items[0], 70);
    mutex_unlock(&r->lock);
}

static bool has_stray(void)
{
    char path[600], id[UUID_TEXT_SIZE];
    uuid_to_text(topic_t, id);
    snprintf(path, sizeof(path), "%s/t-0.%s-stray", test_folder, id);
    return access(path, F_OK) == 0;
}

static void a_damaged_leader_serves_until_another_leads_and_begins_anew(void **state)
{
    (void)state;
    struct replicas *rs = start_with_scrubber();
    struct partition_config config = small();
    struct partition_state leading = led_by(ME, 1, 1, 3);
    assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, 0, &leading, &config), ERR_NONE);
    struct replica *r = replicas_find(rs, topic_t, 0);
    for (int i = 0; i < 60; i++)
        produce(rs, r);
    flip_in_first_segment(r);
    gate_await(&gate.failed_calls, 1);
    int64_t end = produce(rs, r); /* still its leader */
    assert_int_equal(end, 61);
    assert_false(has_stray());

    struct partition_state following = led_by(2, 2, 2, 2);
    following.isr[0] = 2;
    following.isr[1] = 3;
    assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, 0, &following, &config), ERR_NONE);
    assert_int_equal(end_of(r), 0);
    assert_true(has_stray());
    /* What was asked for before the change is of no use to it. */
    struct buffer bytes = {0};
    bool pending;
    build_batch(&bytes, (struct batch_spec){.records = 1, .base_offset = 61, .epoch = 1});
    struct fetched late = {.leader_epoch = 1,
                           .records = buffer_slice(&bytes),
                           .high_watermark = 61,
                           .diverging_epoch = -1};
    assert_int_equal(replica_fetched(rs, r, &late, &pending), ERR_NONE);
    assert_int_equal(end_of(r), 0);
    buffer_deinit(&bytes);
    replica_unref(r);
    replicas_close(rs);
}

static void a_damaged_log_without_another_copy_is_kept_and_served(void **state)
{
    (void)state;
    struct replicas *rs = start_with_scrubber();
    struct partition_config config = small();
    config.min_insync_replicas = 1;
    struct partition_state alone = led_by(ME, 1, 1, 1);
    assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, 0, &alone, &config), ERR_NONE);
    struct replica *r = replicas_find(rs, topic_t, 0);
    for (int i = 0; i < 60; i++)
        produce(rs, r);
    flip_in_first_segment(r);
    bool damaged = false;
    for (int waited_ms = 0; !damaged && waited_ms < WAIT_S * 1000; waited_ms += 5) {
        usleep(5000);
        mutex_lock(&r->lock);
        damaged = ENTRY(r)->damaged;
        mutex_unlock(&r->lock);
    }
    assert_true(damaged);
    assert_int_equal(produce(rs, r), 61);
    assert_int_equal(gate_count(&gate.failed_calls), 0);
    /* Others came into the ISR: now it may go. */
    struct partition_state together = led_by(ME, 1, 2, 3);
    assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, 0, &together, &config), ERR_NONE);
    gate_await(&gate.failed_calls, 1);
    replica_unref(r);
    replicas_close(rs);
}

static void a_topic_can_be_deleted_while_it_is_scrubbed(void **state)
{
    (void)state;
    struct replicas *rs = start_with_scrubber();
    struct partition_config config = small();
    struct partition_state leading = led_by(ME, 1, 1, 2);
    for (int32_t round = 0; round < 20; round++) {
        assert_int_equal(replicas_apply(rs, SLICE("t"), topic_t, round, &leading, &config),
                         ERR_NONE);
        struct replica *r = replicas_find(rs, topic_t, round);
        for (int i = 0; i < 30; i++)
            produce(rs, r);
        replica_unref(r);
        replicas_remove(rs, topic_t, round);
    }
    replicas_close(rs);
    assert_int_equal(gate_count(&gate.failed_calls), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_leaves_only_while_others_have_the_records),
        cmocka_unit_test(the_rate_is_kept),
        LOG_TEST(every_flipped_byte_is_found),
        REPLICAS_TEST(a_damaged_leader_serves_until_another_leads_and_begins_anew),
        REPLICAS_TEST(a_damaged_log_without_another_copy_is_kept_and_served),
        REPLICAS_TEST(a_topic_can_be_deleted_while_it_is_scrubbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
