#include "log_fixture.h"

#include "replication/partition.h"

static struct partition *partition_open(int32_t min_isr)
{
    struct partition_config c = {.log = log_config_default(),
                                 .min_insync_replicas = min_isr,
                                 .replica_lag_time_max_ms = 1000};
    return partition_new(1, SLICE("t"), (struct uuid){{1}}, 0, &c, open_new(&c.log), 0);
}

static struct partition_state state_of(int32_t leader, int32_t leader_epoch, int32_t epoch,
                                       int isr_count)
{
    return (struct partition_state){.leader = leader,
                                    .leader_epoch = leader_epoch,
                                    .partition_epoch = epoch,
                                    .replicas = {1, 2, 3},
                                    .replicas_count = 3,
                                    .isr = {1, 2, 3},
                                    .isr_count = isr_count};
}

static enum error_code produce(struct partition *p, int16_t acks)
{
    struct buffer bytes = {0};
    struct partition_append_result out;
    struct partition_effects fx = {0};
    struct batch_header h;
    build_batch(&bytes, (struct batch_spec){.records = 1, .value_size = 10, .timestamp = 1000});
    assert_int_equal(batch_header_decode(buffer_slice(&bytes), &h), 0);
    enum error_code err = partition_append(p, bytes.data, bytes.size, &h, acks, 1, &out, &fx);
    buffer_deinit(&bytes);
    return err;
}

static enum error_code fetched(struct partition *p, int32_t replica, int32_t epoch, int64_t offset,
                               struct partition_effects *fx)
{
    struct follower_fetch f = {.replica = replica,
                               .broker_epoch = 5,
                               .leader_epoch = epoch,
                               .fetch_offset = offset,
                               .last_fetched_epoch = -1};
    return partition_follower_fetched(p, &f, 10, fx);
}

static void watermark_waits_for_every_member_and_for_the_disk(void **state)
{
    (void)state;
    struct partition *p = partition_open(2);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 3);
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    assert_int_equal(fetched(p, 3, 3, 1, &fx), ERR_NONE);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    partition_flushed(p, 11, &fx);
    assert_int_equal(partition_high_watermark(p), 1);
    partition_free(p);
}

static void a_fetch_of_another_epoch_proves_nothing(void **state)
{
    (void)state;
    struct partition *p = partition_open(1);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 2);
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    assert_int_equal(fetched(p, 2, 2, 1, &fx), ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(fetched(p, 2, 4, 1, &fx), ERR_UNKNOWN_LEADER_EPOCH);
    assert_int_equal(fetched(p, 2, 3, 2, &fx), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    assert_int_equal(partition_high_watermark(p), 1);
    partition_free(p);
}

/* KIP-392 */
static void a_near_member_of_the_isr_that_has_the_offset_is_preferred(void **state)
{
    (void)state;
    struct partition *p = partition_open(1);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 2); /* 3 is not in the ISR */
    const int32_t near[] = {2, 3, 7}, far[] = {3, 7}, leader_too[] = {2, 1};
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    assert_int_equal(partition_preferred_replica(p, 0, near, 3), 1); /* nothing known of 2 yet */
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    assert_int_equal(fetched(p, 3, 3, 2, &fx), ERR_NONE);
    assert_int_equal(partition_preferred_replica(p, 0, near, 3), 2);
    assert_int_equal(partition_preferred_replica(p, 1, near, 3), 2);
    assert_int_equal(partition_preferred_replica(p, 2, near, 3), 1); /* 2 has not got so far */
    assert_int_equal(partition_preferred_replica(p, 0, far, 2), 1);
    assert_int_equal(partition_preferred_replica(p, 0, leader_too, 2), 1);
    assert_int_equal(partition_preferred_replica(p, 0, NULL, 0), 1);
    partition_free(p);
}

static void a_follower_can_be_read_in_its_own_epoch(void **state)
{
    (void)state;
    struct partition *p = partition_open(1);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(2, 3, 1, 2);
    assert_int_equal(partition_check_readable(p, -1), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(partition_check_readable(p, -1), ERR_NONE);
    assert_int_equal(partition_check_readable(p, 3), ERR_NONE);
    assert_int_equal(partition_check_readable(p, 2), ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(partition_check_readable(p, 4), ERR_UNKNOWN_LEADER_EPOCH);
    assert_int_equal(partition_check_leader(p, 3), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_free(p);
}

/* DeleteRecords is done when no member of the ISR shows the records any more. */
static void the_low_watermark_is_that_of_the_slowest_in_sync(void **state)
{
    (void)state;
    struct partition *p = partition_open(1);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 2);
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    int64_t log_start;
    assert_int_equal(partition_delete_records(p, 2, &log_start), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(partition_delete_records(p, -1, &log_start), ERR_NONE);
    assert_int_equal(log_start, 1);
    assert_int_equal(partition_low_watermark(p), 0);
    struct follower_fetch f = {.replica = 2,
                               .broker_epoch = 5,
                               .leader_epoch = 3,
                               .fetch_offset = 1,
                               .last_fetched_epoch = -1,
                               .log_start_offset = 1};
    assert_int_equal(partition_follower_fetched(p, &f, 10, &fx), ERR_NONE);
    assert_int_equal(partition_low_watermark(p), 1); /* replica 3 is not in sync */
    partition_free(p);
}

static void under_min_isr_acks_all_is_refused_and_the_watermark_stands(void **state)
{
    (void)state;
    struct partition *p = partition_open(2);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 1);
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(produce(p, -1), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(produce(p, 1), ERR_NONE);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    partition_flushed(p, 2, &fx);
    assert_int_equal(partition_high_watermark(p), 0);
    partition_free(p);
}

static void a_proposed_member_is_waited_for_until_the_answer(void **state)
{
    (void)state;
    struct partition *p = partition_open(1);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 2);
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(fetched(p, 3, 3, 0, &fx), ERR_NONE);
    assert_true(fx.propose);
    assert_int_equal(fx.proposal.isr_count, 3);
    assert_int_equal(fx.proposal.broker_epochs[2], 5);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    assert_int_equal(partition_high_watermark(p), 0);
    struct isr_proposal older = fx.proposal;
    older.isr_count = 2;
    partition_proposal_failed(p, &older, ERR_INELIGIBLE_REPLICA, 20);
    partition_tick(p, 21, &fx);
    assert_int_equal(partition_high_watermark(p), 0); /* that was about another one */
    partition_proposal_failed(p, &fx.proposal, ERR_INELIGIBLE_REPLICA, 20);
    partition_tick(p, 21, &fx);
    assert_int_equal(partition_high_watermark(p), 1);
    partition_free(p);
}

/* C11: what must be waited for before a leader that took acks=1 may leave. */
static void c11_a_leader_may_leave_when_all_in_sync_have_all_that_it_took(void **state)
{
    (void)state;
    struct partition *p = partition_open(3);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 2); /* below the minimum: no watermark moves */
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(produce(p, 1), ERR_NONE);
    assert_false(partition_is_replicated(p));
    assert_int_equal(fetched(p, 2, 3, 0, &fx), ERR_NONE);
    assert_false(partition_is_replicated(p));
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    assert_true(partition_is_replicated(p)); /* 3 is not in sync */
    assert_int_equal(produce(p, 1), ERR_NONE);
    assert_false(partition_is_replicated(p));
    s = state_of(2, 4, 2, 2);
    assert_int_equal(partition_apply(p, &s, 2, &fx), ERR_NONE);
    assert_true(partition_is_replicated(p)); /* a follower leaves whenever it likes */
    partition_free(p);
}

/* A stopping broker fetches to its end: nobody is to wait for one that the controller refuses. */
static void a_replica_whose_broker_is_absent_is_neither_proposed_nor_waited_for(void **state)
{
    (void)state;
    struct partition *p = partition_open(1);
    struct partition_effects fx = {0};
    struct partition_state s = state_of(1, 3, 1, 2);
    s.absent = 1u << 2; /* replica 3 */
    assert_int_equal(partition_apply(p, &s, 1, &fx), ERR_NONE);
    assert_int_equal(fetched(p, 3, 3, 0, &fx), ERR_NONE);
    assert_false(fx.propose);
    assert_int_equal(produce(p, -1), ERR_NONE);
    assert_int_equal(flush(partition_log(p)), ERR_NONE);
    assert_int_equal(fetched(p, 2, 3, 1, &fx), ERR_NONE);
    assert_int_equal(partition_high_watermark(p), 1);
    s.absent = 0; /* it is back: the same epochs */
    assert_int_equal(partition_apply(p, &s, 2, &fx), ERR_NONE);
    assert_int_equal(fetched(p, 3, 3, 1, &fx), ERR_NONE);
    assert_true(fx.propose);
    partition_free(p);
}

int main(void)
{
    log_set_level(LOG_LEVEL_OFF);
    const struct CMUnitTest tests[] = {
        LOG_TEST(watermark_waits_for_every_member_and_for_the_disk),
        LOG_TEST(a_near_member_of_the_isr_that_has_the_offset_is_preferred),
        LOG_TEST(a_follower_can_be_read_in_its_own_epoch),
        LOG_TEST(a_fetch_of_another_epoch_proves_nothing),
        LOG_TEST(the_low_watermark_is_that_of_the_slowest_in_sync),
        LOG_TEST(under_min_isr_acks_all_is_refused_and_the_watermark_stands),
        LOG_TEST(a_proposed_member_is_waited_for_until_the_answer),
        LOG_TEST(c11_a_leader_may_leave_when_all_in_sync_have_all_that_it_took),
        LOG_TEST(a_replica_whose_broker_is_absent_is_neither_proposed_nor_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
