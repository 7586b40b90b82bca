#include "replicas_fixture.h"

/* --- acks --- */

static void acks_all_is_answered_when_the_disk_and_every_member_have_it(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 3);
    struct parked w;
    gate_set(true);
    int64_t end = produce(rs, r);
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, end));
    follower_at(rs, r, 2, end);
    follower_at(rs, r, 3, end);
    gate_await(&gate.waiting, 1);
    assert_false(is_woken(&w));
    gate_set(false);
    assert_int_equal(unpark(&w), ERR_NONE);
    assert_int_equal(watermark_of(r), end);

    end = produce(rs, r);
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, end));
    gate_await(&gate.syncs, 2);
    follower_at(rs, r, 2, end);
    assert_false(is_woken(&w));
    follower_at(rs, r, 3, end);
    assert_int_equal(unpark(&w), ERR_NONE);
    /* Nothing to wait for any more. */
    assert_false(park(&w, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(w.err, ERR_NONE);
    replica_unref(r);
    replicas_close(rs);
}

static void acks_0_and_1_wait_for_nobody(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 1);
    struct partition_append_result out;
    gate_set(true);
    assert_int_equal(produce_as(rs, r, 1, &out), ERR_NONE);
    assert_int_equal(out.base_offset, 0);
    assert_int_equal(produce_as(rs, r, 0, &out), ERR_NONE);
    assert_int_equal(out.base_offset, 1);
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(end_of(r), 2);
    gate_set(false);
    replica_unref(r);
    replicas_close(rs);
}

static void an_isr_below_the_minimum_answers_those_who_wait(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked before, after;
    int64_t end = produce(rs, r);
    assert_true(park(&before, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(apply(rs, led_by(ME, 1, 2, 1)), ERR_NONE);
    assert_int_equal(unpark(&before), ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_false(park(&after, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(after.err, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    replica_unref(r);
    replicas_close(rs);
}

/* --- Waiting for data --- */

static void fetches_wake_by_what_they_wait_for(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked follower, consumer;
    assert_true(park(&follower, r, WAIT_APPENDED_DATA, 0));
    assert_true(park(&consumer, r, WAIT_COMMITTED_DATA, 0));
    int64_t end = produce(rs, r);
    assert_int_equal(unpark(&follower), ERR_NONE);
    assert_false(is_woken(&consumer));
    follower_at(rs, r, 2, end);
    assert_int_equal(unpark(&consumer), ERR_NONE);
    replica_unref(r);
    replicas_close(rs);
}

static void a_removed_waiter_is_not_woken(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked w;
    assert_true(park(&w, r, WAIT_APPENDED_DATA, 0));
    waiter_remove(&w.w);
    waiter_remove(&w.w);
    produce(rs, r);
    assert_false(is_woken(&w));
    replica_unref(r);
    replicas_close(rs);
}

/* Appended batches are not refused: a client would take that for "not there". */
static void a_change_of_leader_refuses_those_who_wait_for_data(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked producer, w[2];
    int64_t end = produce(rs, r);
    assert_true(park(&producer, r, WAIT_HIGH_WATERMARK, end));
    assert_true(park(&w[0], r, WAIT_COMMITTED_DATA, 0));
    assert_true(park(&w[1], r, WAIT_APPENDED_DATA, end));
    assert_int_equal(apply(rs, led_by(2, 2, 2, 2)), ERR_NONE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(unpark(&w[i]), ERR_NOT_LEADER_OR_FOLLOWER);
    struct partition_append_result out;
    assert_int_equal(produce_as(rs, r, 1, &out), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_false(is_woken(&producer));
    /* The new leader has it, and so it counts. */
    struct fetched answer = {.leader_epoch = 2, .high_watermark = end, .diverging_epoch = -1};
    bool pending;
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_NONE);
    assert_int_equal(unpark(&producer), ERR_NONE);
    replica_unref(r);
    replicas_close(rs);
}

static void a_batch_that_the_next_leader_lacks_is_told_to_come_again(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked kept, cut, late;
    int64_t first = produce(rs, r), end = produce(rs, r);
    assert_true(park(&kept, r, WAIT_HIGH_WATERMARK, first));
    assert_true(park(&cut, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(apply(rs, led_by(2, 2, 2, 2)), ERR_NONE);
    struct fetched answer = {
        .leader_epoch = 2, .high_watermark = 0, .diverging_epoch = 1, .diverging_end_offset = 1};
    bool pending;
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_NONE);
    assert_int_equal(unpark(&cut), ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_false(park(&late, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(late.err, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_false(is_woken(&kept));
    answer = (struct fetched){.leader_epoch = 2, .high_watermark = 1, .diverging_epoch = -1};
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_NONE);
    assert_int_equal(unpark(&kept), ERR_NONE);
    replica_unref(r);
    replicas_close(rs);
}

/* The new leader's batch, at an offset, and its watermark behind it. */
static void follow_batch(struct replicas *rs, struct replica *r, int64_t offset)
{
    struct buffer bytes = {0};
    bool pending;
    build_batch(&bytes, (struct batch_spec){
                            .base_offset = offset, .records = 1, .timestamp = 5, .epoch = 2});
    struct fetched answer = {.leader_epoch = 2,
                             .records = buffer_slice(&bytes),
                             .high_watermark = offset + 1,
                             .diverging_epoch = -1};
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_NONE);
    assert_int_equal(end_of(r), offset + 1);
    assert_int_equal(watermark_of(r), offset + 1);
    buffer_deinit(&bytes);
}

/* Between its append and its parking a thread may stand still for long. */
static void anothers_batch_at_the_same_offset_acknowledges_nothing(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked late;
    bool pending;
    produce(rs, r);
    int64_t end = produce(rs, r);
    assert_int_equal(apply(rs, led_by(2, 2, 2, 2)), ERR_NONE);
    struct fetched cut = {
        .leader_epoch = 2, .high_watermark = 0, .diverging_epoch = 1, .diverging_end_offset = 1};
    assert_int_equal(replica_fetched(rs, r, &cut, &pending), ERR_NONE);
    follow_batch(rs, r, 1);
    assert_false(park(&late, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(late.err, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    replica_unref(r);
    replicas_close(rs);
}

static void a_log_that_starts_over_behind_a_batch_does_not_acknowledge_it(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked w;
    bool pending;
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, produce(rs, r)));
    assert_int_equal(apply(rs, led_by(2, 2, 2, 2)), ERR_NONE);
    struct fetched gone = {.error_code = ERR_OFFSET_OUT_OF_RANGE,
                           .leader_epoch = 2,
                           .log_start_offset = 7,
                           .high_watermark = 9,
                           .diverging_epoch = -1};
    assert_int_equal(replica_fetched(rs, r, &gone, &pending), ERR_NONE);
    follow_batch(rs, r, 7);
    assert_int_equal(unpark(&w), ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    replica_unref(r);
    replicas_close(rs);
}

static void a_batch_waits_on_under_the_same_leaders_next_epoch(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked w;
    int64_t end = produce(rs, r);
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, end));
    gate_await(&gate.syncs, 1);
    assert_int_equal(apply(rs, led_by(ME, 2, 2, 2)), ERR_NONE);
    assert_false(is_woken(&w));
    struct follower_fetch f = {.replica = 2,
                               .broker_epoch = 5,
                               .leader_epoch = 2,
                               .fetch_offset = end,
                               .last_fetched_epoch = 1};
    assert_int_equal(replica_follower_fetched(rs, r, &f), ERR_NONE);
    assert_int_equal(unpark(&w), ERR_NONE);
    replica_unref(r);
    replicas_close(rs);
}

/* --- Following --- */

static void a_follower_cuts_what_its_leader_does_not_have(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    for (int i = 0; i < 5; i++)
        produce(rs, r);
    follower_at(rs, r, 2, 2);
    assert_int_equal(apply(rs, led_by(2, 2, 2, 2)), ERR_NONE);
    assert_int_equal(end_of(r), 5); /* not before the leader said so */
    struct fetched answer = {
        .leader_epoch = 2, .high_watermark = 3, .diverging_epoch = 1, .diverging_end_offset = 3};
    bool pending;
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_NONE);
    assert_int_equal(end_of(r), 3);
    replica_unref(r);
    replicas_close(rs);

    rs = replicas_start();
    r = replicas_find(rs, topic_t, 0);
    assert_int_equal(end_of(r), 3);
    replica_unref(r);
    replicas_close(rs);
}

static void a_follower_asks_again_once_its_data_is_on_disk(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct buffer bytes = {0};
    bool pending;
    int64_t offset;
    int32_t last, epoch;
    assert_int_equal(apply(rs, led_by(2, 2, 1, 2)), ERR_NONE);
    struct replica *r = replicas_find(rs, topic_t, 0);
    gate_set(true);
    build_batch(&bytes, (struct batch_spec){.records = 2, .timestamp = 5, .epoch = 2});
    struct fetched answer = {.leader_epoch = 2,
                             .records = buffer_slice(&bytes),
                             .high_watermark = 1,
                             .diverging_epoch = -1};
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_NONE);
    assert_true(pending);
    gate_await(&gate.waiting, 1);
    mutex_lock(&r->lock);
    assert_false(partition_fetch_position(r->partition, &offset, &last, &epoch));
    mutex_unlock(&r->lock);
    gate_set(false);
    gate_await(&gate.flushed_calls, 1);
    mutex_lock(&r->lock);
    assert_true(partition_fetch_position(r->partition, &offset, &last, &epoch));
    mutex_unlock(&r->lock);
    assert_int_equal(offset, 2);
    assert_int_equal(last, 2);
    assert_int_equal(watermark_of(r), 1);
    buffer_deinit(&bytes);
    replica_unref(r);
    replicas_close(rs);
}

static void a_refused_proposal_is_made_again(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    follower_at(rs, r, 3, 0);
    gate_await(&gate.proposals, 1);
    assert_int_equal(gate.proposal.isr_count, 3);
    struct isr_proposal another = gate.proposal;
    another.topic_id = (struct uuid){{99}};
    replicas_proposal_failed(rs, &another, ERR_INELIGIBLE_REPLICA);
    replicas_proposal_failed(rs, &gate.proposal, ERR_INELIGIBLE_REPLICA);
    gate_await(&gate.proposals, 2);
    replica_unref(r);
    replicas_close(rs);
}

/* --- Flushing --- */

static void what_is_appended_during_a_flush_shares_the_next(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked w;
    gate_set(true);
    produce(rs, r);
    gate_await(&gate.waiting, 1);
    int64_t end = 0;
    for (int i = 0; i < 50; i++)
        end = produce(rs, r);
    follower_at(rs, r, 2, end);
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(gate_count(&gate.syncs), 1);
    gate_set(false);
    assert_int_equal(unpark(&w), ERR_NONE);
    assert_int_equal(gate_count(&gate.syncs), 2);
    replica_unref(r);
    replicas_close(rs);
}

static void a_failed_sync_takes_the_replica_offline(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked producer, consumer, late;
    struct partition_append_result out;
    gate_set(true);
    int64_t end = produce(rs, r);
    follower_at(rs, r, 2, end);
    assert_true(park(&producer, r, WAIT_HIGH_WATERMARK, end));
    assert_true(park(&consumer, r, WAIT_COMMITTED_DATA, 0));
    gate_await(&gate.waiting, 1);
    produce(rs, r); /* wants the next flush, which must not come */
    gate.error = -EIO;
    gate_set(false);
    assert_int_equal(unpark(&producer), ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_int_equal(unpark(&consumer), ERR_KAFKA_STORAGE_ERROR);
    gate_await(&gate.failed_calls, 1);
    assert_false(park(&late, r, WAIT_APPENDED_DATA, 0));
    assert_int_equal(late.err, ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(produce_as(rs, r, 1, &out), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(apply(rs, led_by(ME, 2, 2, 2)), ERR_KAFKA_STORAGE_ERROR);
    struct fetched answer = {.leader_epoch = 1, .diverging_epoch = -1};
    bool pending;
    assert_int_equal(replica_fetched(rs, r, &answer, &pending), ERR_KAFKA_STORAGE_ERROR);
    replica_unref(r);
    replicas_close(rs);
    assert_int_equal(gate_count(&gate.syncs), 1); /* never synced again */
    assert_int_equal(gate_count(&gate.failed_calls), 1);
}

static int failing_write(void *arg, struct fs_file file, const struct iovec *parts, int count,
                         int64_t position)
{
    return gate_count(&gate.error) != 0 ? gate.error
                                        : fs_real.write(arg, file, parts, count, position);
}

static void a_failed_write_takes_the_replica_offline(void **state)
{
    (void)state;
    gate.fs.write = failing_write;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked w;
    struct partition_append_result out;
    gate_set(true); /* a flush is under way when it happens */
    int64_t end = produce(rs, r);
    gate_await(&gate.waiting, 1);
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, end));
    pthread_mutex_lock(&gate.lock);
    gate.error = -EIO;
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(unpark(&w), ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    gate_set(false);
    gate_await(&gate.failed_calls, 1);
    assert_int_equal(end_of(r), -1);
    replica_unref(r);
    replicas_close(rs);
}

static void a_full_disk_refuses_but_does_not_take_it_offline(void **state)
{
    (void)state;
    gate.fs.write = failing_write;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct partition_append_result out;
    pthread_mutex_lock(&gate.lock);
    gate.error = -ENOSPC;
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_KAFKA_STORAGE_ERROR);
    pthread_mutex_lock(&gate.lock);
    gate.error = 0;
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(produce_as(rs, r, -1, &out), ERR_NONE);
    assert_int_equal(out.base_offset, 0);
    assert_int_equal(gate_count(&gate.failed_calls), 0);
    replica_unref(r);
    replicas_close(rs);
}

/* --- Removal --- */

static void *remove_it(void *arg)
{
    replicas_remove(arg, topic_t, 0);
    return NULL;
}

static bool folder_exists(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    return access(path, F_OK) == 0;
}

static void a_partition_in_use_is_deleted_when_nobody_holds_it(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    struct parked w, late;
    struct partition_append_result out;
    pthread_t remover;
    gate_set(true);
    int64_t end = produce(rs, r);
    assert_true(park(&w, r, WAIT_HIGH_WATERMARK, end));
    gate_await(&gate.waiting, 1);
    assert_int_equal(pthread_create(&remover, NULL, remove_it, rs), 0);
    assert_int_equal(unpark(&w), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(replicas_find(rs, topic_t, 0));
    assert_int_equal(produce_as(rs, r, 1, &out), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_false(park(&late, r, WAIT_HIGH_WATERMARK, end));
    assert_int_equal(late.err, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_true(folder_exists("t-0"));
    gate_set(false);
    replica_unref(r);
    pthread_join(remover, NULL);
    assert_false(folder_exists("t-0"));
    /* A new topic of this name begins empty. */
    struct partition_state s = led_by(ME, 1, 1, 2);
    struct partition_config config = {.log = log_config_default(), .min_insync_replicas = 1};
    assert_int_equal(replicas_apply(rs, SLICE("t"), (struct uuid){{8}}, 0, &s, &config), ERR_NONE);
    r = replicas_find(rs, (struct uuid){{8}}, 0);
    assert_int_equal(end_of(r), 0);
    replica_unref(r);
    replicas_close(rs);
}

static bool keep_none(void *arg, struct uuid topic_id, int32_t index)
{
    (void)arg;
    (void)topic_id;
    (void)index;
    return false;
}

static void strays_are_deleted_even_when_they_cannot_be_opened(void **state)
{
    (void)state;
    struct replicas *rs = replicas_start();
    struct replica *r = lead(rs, 2);
    produce(rs, r);
    replica_unref(r);
    replicas_close(rs);

    char path[600];
    struct fs_file file;
    snprintf(path, sizeof(path), "%s/t-0/00000000000000000000.log", test_folder);
    assert_int_equal(fs_real.open(NULL, path, FS_WRITE, &file), 0);
    assert_int_equal(fs_real.truncate(NULL, file, 3), 0);
    fs_real.close(NULL, file);
    snprintf(path, sizeof(path), "%s/.kafka_cleanshutdown", test_folder);
    assert_int_equal(unlink(path), 0);

    rs = replicas_start();
    r = replicas_find(rs, topic_t, 0);
    assert_non_null(r);
    assert_int_equal(end_of(r), -1); /* offline: it lost what was on disk */
    replica_unref(r);
    replicas_remove_strays(rs, keep_none, NULL);
    assert_null(replicas_find(rs, topic_t, 0));
    replicas_close(rs);
    assert_false(folder_exists("t-0"));
}

/* --- All at once --- */

#define STRESS_RECORDS 300
#define STRESS_THREADS 3

struct stress {
    struct replicas *rs;
    struct replica *r;
    _Atomic bool done;
};

static void *stress_produce(void *arg)
{
    struct stress *s = arg;
    for (int i = 0; i < STRESS_RECORDS; i++) {
        struct partition_append_result out;
        struct parked w;
        CHECK(produce_as(s->rs, s->r, -1, &out) == ERR_NONE);
        if (!park(&w, s->r, WAIT_HIGH_WATERMARK, out.end_offset))
            CHECK(w.err == ERR_NONE);
        else if (i % 7 == 0)
            waiter_remove(&w.w); /* the client is gone */
        else
            CHECK(unpark(&w) == ERR_NONE);
    }
    return NULL;
}

static void *stress_follow(void *arg)
{
    struct stress *s = arg;
    while (!atomic_load(&s->done)) {
        struct parked w;
        int64_t end = end_of(s->r);
        follower_at(s->rs, s->r, 2, end);
        if (!park(&w, s->r, WAIT_APPENDED_DATA, end))
            continue;
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        waiter_remove(&w.w);
    }
    return NULL;
}

static void no_waiter_is_forgotten_under_load(void **state)
{
    (void)state;
    struct stress s = {.rs = replicas_start()};
    pthread_t producers[STRESS_THREADS], follower;
    s.r = lead(s.rs, 2);
    assert_int_equal(pthread_create(&follower, NULL, stress_follow, &s), 0);
    for (int i = 0; i < STRESS_THREADS; i++)
        assert_int_equal(pthread_create(&producers[i], NULL, stress_produce, &s), 0);
    for (int i = 0; i < STRESS_THREADS; i++)
        pthread_join(producers[i], NULL);
    atomic_store(&s.done, true);
    pthread_join(follower, NULL);
    assert_int_equal(end_of(s.r), STRESS_THREADS * STRESS_RECORDS);
    replica_unref(s.r);
    replicas_close(s.rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLICAS_TEST(acks_all_is_answered_when_the_disk_and_every_member_have_it),
        REPLICAS_TEST(acks_0_and_1_wait_for_nobody),
        REPLICAS_TEST(an_isr_below_the_minimum_answers_those_who_wait),
        REPLICAS_TEST(fetches_wake_by_what_they_wait_for),
        REPLICAS_TEST(a_removed_waiter_is_not_woken),
        REPLICAS_TEST(a_change_of_leader_refuses_those_who_wait_for_data),
        REPLICAS_TEST(a_batch_that_the_next_leader_lacks_is_told_to_come_again),
        REPLICAS_TEST(anothers_batch_at_the_same_offset_acknowledges_nothing),
        REPLICAS_TEST(a_log_that_starts_over_behind_a_batch_does_not_acknowledge_it),
        REPLICAS_TEST(a_batch_waits_on_under_the_same_leaders_next_epoch),
        REPLICAS_TEST(a_follower_cuts_what_its_leader_does_not_have),
        REPLICAS_TEST(a_follower_asks_again_once_its_data_is_on_disk),
        REPLICAS_TEST(a_refused_proposal_is_made_again),
        REPLICAS_TEST(what_is_appended_during_a_flush_shares_the_next),
        REPLICAS_TEST(a_failed_sync_takes_the_replica_offline),
        REPLICAS_TEST(a_failed_write_takes_the_replica_offline),
        REPLICAS_TEST(a_full_disk_refuses_but_does_not_take_it_offline),
        REPLICAS_TEST(a_partition_in_use_is_deleted_when_nobody_holds_it),
        REPLICAS_TEST(strays_are_deleted_even_when_they_cannot_be_opened),
        REPLICAS_TEST(no_waiter_is_forgotten_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
