/* A replica whose disk failed gives everything up. */
#include "metadata_kit.h"

static enum error_code failed(struct kit *k, int32_t node_id, int64_t epoch_more)
{
    const struct image *img = kit_image(k);
    const struct image_topic *t = image_find_topic(img, SLICE("t"));
    struct replica_failed c = {.node_id = node_id,
                               .broker_epoch = image_find_broker(img, node_id)->epoch + epoch_more,
                               .topic_id = t->id};
    return KIT_RUN(k, replica_failed, &c);
}

static enum error_code damaged(struct kit *k, int32_t node_id)
{
    const struct image *img = kit_image(k);
    struct replica_failed c = {.node_id = node_id,
                               .broker_epoch = image_find_broker(img, node_id)->epoch,
                               .topic_id = image_find_topic(img, SLICE("t"))->id,
                               .serves = true};
    return KIT_RUN(k, replica_failed, &c);
}

static const struct image_partition *partition(struct kit *k)
{
    return &image_find_topic(kit_image(k), SLICE("t"))->partitions[0];
}

static void begin(struct kit *k, const char *min_isr)
{
    kit_init(k);
    kit_brokers(k, 3);
    assert_int_equal(kit_topic_on(k, "t", min_isr, IDS(1, 2, 3), 3), ERR_NONE);
}

static void another_in_sync_leads_when_the_leader_lost_its_disk(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, "2");
    int32_t epoch = partition(&k)->leader_epoch;
    assert_int_equal(failed(&k, 1, 0), ERR_NONE);
    assert_int_equal(partition(&k)->leader, 2);
    assert_int_equal(partition(&k)->leader_epoch, epoch + 1);
    assert_ids(partition(&k)->isr, partition(&k)->isr_count, 2, 3);
    int32_t seen = partition(&k)->partition_epoch;
    assert_int_equal(failed(&k, 1, 0), ERR_NONE); /* known */
    assert_int_equal(partition(&k)->partition_epoch, seen);
    kit_deinit(&k);
}

static void it_is_not_eligible_below_the_minimum(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, "2");
    assert_int_equal(failed(&k, 1, 0), ERR_NONE);
    assert_int_equal(failed(&k, 2, 0), ERR_NONE);
    assert_int_equal(partition(&k)->leader, 3);
    assert_ids(partition(&k)->isr, partition(&k)->isr_count, 3);
    assert_int_equal(partition(&k)->elr_count, 0);
    kit_deinit(&k);
}

static void a_damaged_one_leaves_while_another_is_in_sync(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, "1");
    int32_t epoch = partition(&k)->leader_epoch;
    assert_int_equal(damaged(&k, 1), ERR_NONE);
    assert_int_equal(partition(&k)->leader, 2);
    assert_true(partition(&k)->leader_epoch > epoch);
    epoch = partition(&k)->leader_epoch;
    /* A follower's, too, ends every fetch that is under way. */
    assert_int_equal(damaged(&k, 3), ERR_NONE);
    assert_true(partition(&k)->leader_epoch > epoch);
    assert_ids(partition(&k)->isr, partition(&k)->isr_count, 2);
    assert_int_equal(damaged(&k, 2), ERR_INELIGIBLE_REPLICA);
    assert_int_equal(partition(&k)->leader, 2);
    kit_deinit(&k);
}

static void the_last_in_sync_stays_without_leading(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, "1");
    for (int32_t id = 1; id <= 3; id++)
        assert_int_equal(failed(&k, id, 0), ERR_NONE);
    assert_int_equal(partition(&k)->leader, -1);
    assert_ids(partition(&k)->isr, partition(&k)->isr_count, 3);
    /* Started again, with its disk repaired, it leads. */
    assert_int_equal(KIT_FENCE(&k, 3), ERR_NONE);
    assert_int_equal(kit_register(&k, 3, 2, -1, NULL), ERR_NONE);
    assert_int_equal(KIT_UNFENCE(&k, 3), ERR_NONE);
    assert_int_equal(partition(&k)->leader, 3);
    kit_deinit(&k);
}

static void an_unclean_election_takes_another_than_the_one_that_failed(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, "1");
    assert_int_equal(failed(&k, 2, 0), ERR_NONE);
    assert_int_equal(failed(&k, 3, 0), ERR_NONE);
    assert_ids(partition(&k)->isr, partition(&k)->isr_count, 1);
    struct command_config_op op = {SLICE("unclean.leader.election.enable"), CONFIG_SET,
                                   SLICE("true")};
    struct alter_configs c = {.topic = SLICE("t"), .ops = &op, .ops_count = 1};
    assert_int_equal(KIT_RUN(&k, alter_configs, &c), ERR_NONE);
    assert_int_equal(partition(&k)->leader, 1);
    assert_int_equal(failed(&k, 1, 0), ERR_NONE);
    assert_int_equal(partition(&k)->leader, 2);
    assert_ids(partition(&k)->isr, partition(&k)->isr_count, 2);
    kit_deinit(&k);
}

static void a_report_of_an_earlier_life_is_refused(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, "2");
    assert_int_equal(failed(&k, 1, -1), ERR_STALE_BROKER_EPOCH);
    assert_int_equal(partition(&k)->leader, 1);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_in_sync_leads_when_the_leader_lost_its_disk),
        cmocka_unit_test(it_is_not_eligible_below_the_minimum),
        cmocka_unit_test(a_damaged_one_leaves_while_another_is_in_sync),
        cmocka_unit_test(the_last_in_sync_stays_without_leading),
        cmocka_unit_test(an_unclean_election_takes_another_than_the_one_that_failed),
        cmocka_unit_test(a_report_of_an_earlier_life_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
