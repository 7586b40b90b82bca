#include "replicas_fixture.h"

static void checkpoint_text(const char *name, char out[4096])
{
    char path[600];
    char *text;
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    assert_int_equal(fs_read_text(&fs_real, path, &text, 4096), 0);
    snprintf(out, 4096, "%s", text);
    free(text);
}

static void checkpoint_put(const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    assert_int_equal(fs_write_text(&fs_real, path, text), 0);
}

static bool exists(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    return access(path, F_OK) == 0;
}

/* Ten records, six of them below the high watermark. */
static void fill(struct replicas *rs)
{
    struct replica *r = lead(rs, 2);
    struct parked w;
    for (int i = 0; i < 10; i++)
        produce(rs, r);
    if (park(&w, r, WAIT_HIGH_WATERMARK, 6)) {
        follower_at(rs, r, 2, 6);
        assert_int_equal(unpark(&w), ERR_NONE);
    }
    replica_unref(r);
}

static void a_clean_stop_keeps_the_high_watermark(void **state)
{
    (void)state;
    char text[4096];
    struct replicas *rs = replicas_start();
    fill(rs);
    replicas_close(rs);
    assert_true(exists(".kafka_cleanshutdown"));
    checkpoint_text("replication-offset-checkpoint", text);
    assert_string_equal(text, "0\n1\nt 0 6\n");
    checkpoint_text("recovery-point-offset-checkpoint", text);
    assert_string_equal(text, "0\n1\nt 0 10\n");

    rs = replicas_start();
    assert_false(exists(".kafka_cleanshutdown")); /* from now on a crash is a crash */
    struct replica *r = replicas_find(rs, topic_t, 0);
    assert_int_equal(watermark_of(r), 6);
    assert_int_equal(end_of(r), 10);
    replica_unref(r);
    replicas_close(rs);
}

static void checkpoints_are_written_while_it_runs(void **state)
{
    (void)state;
    char text[4096] = "";
    struct replicas *rs = replicas_start();
    fill(rs);
    for (int i = 0; i < WAIT_S * 100 && strcmp(text, "0\n1\nt 0 6\n") != 0; i++) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
        if (exists("replication-offset-checkpoint"))
            checkpoint_text("replication-offset-checkpoint", text);
    }
    assert_string_equal(text, "0\n1\nt 0 6\n");
    assert_false(exists(".kafka_cleanshutdown"));
    replicas_close(rs);
}

static void a_high_watermark_above_the_log_is_cut_to_it(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    fill(rs);
    replicas_close(rs);
    checkpoint_put("replication-offset-checkpoint", "0\n1\nt 0 99\n");
    rs = replicas_start();
    struct replica *r = replicas_find(rs, topic_t, 0);
    assert_int_equal(watermark_of(r), 10);
    replica_unref(r);
    replicas_close(rs);
}

static void a_lost_or_damaged_checkpoint_means_zero(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "0",
                                        "0\n1\n",
                                        "0\n1\nt 0\n",
                                        "0\n1\nt 0 x\n",
                                        "0\n1\nt 0 -6\n",
                                        "0\n1\nother 0 7\n",
                                        "0\n2\n\n\n \n"};
    struct replicas *rs = replicas_start();
    fill(rs);
    replicas_close(rs);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        checkpoint_put("replication-offset-checkpoint", texts[i]);
        checkpoint_put("recovery-point-offset-checkpoint", texts[i]);
        rs = replicas_start();
        struct replica *r = replicas_find(rs, topic_t, 0);
        assert_int_equal(watermark_of(r), 0);
        assert_int_equal(end_of(r), 10);
        replica_unref(r);
        replicas_close(rs);
    }
}

/* What could not be flushed has to be recovered: no marker then. */
static void a_stop_that_could_not_flush_is_not_clean(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    pthread_mutex_lock(&gate.lock);
    gate.error = -EIO;
    pthread_mutex_unlock(&gate.lock);
    produce(rs, r);
    gate_await(&gate.failed_calls, 1);
    replica_unref(r);
    replicas_close(rs);
    assert_false(exists(".kafka_cleanshutdown"));
}

static void the_marker_names_the_broker_epoch(void **state)
{
    (void)state;
    char text[4096];
    struct replicas *rs = replicas_start();
    fill(rs);
    assert_int_equal(replicas_clean_epoch(rs), -1);
    replicas_set_broker_epoch(rs, 77);
    replicas_close(rs);
    checkpoint_text(".kafka_cleanshutdown", text);
    assert_string_equal(text, "{\"version\":0,\"brokerEpoch\":77}\n");
    for (int i = 0; i < 2; i++) { /* the second time nothing registered in between */
        rs = replicas_start();
        assert_int_equal(replicas_clean_epoch(rs), 77);
        replicas_close(rs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLICAS_TEST(a_clean_stop_keeps_the_high_watermark),
        REPLICAS_TEST(the_marker_names_the_broker_epoch),
        REPLICAS_TEST(checkpoints_are_written_while_it_runs),
        REPLICAS_TEST(a_high_watermark_above_the_log_is_cut_to_it),
        REPLICAS_TEST(a_lost_or_damaged_checkpoint_means_zero),
        REPLICAS_TEST(a_stop_that_could_not_flush_is_not_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
