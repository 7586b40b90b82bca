/* Who leads, who is in sync and who is eligible, when brokers come and go. */
#include "metadata_kit.h"

static void fencing_the_leader_elects_the_first_in_sync(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    assert_int_equal(kit_topic_on(&k, "t", "2", IDS(2, 3, 1), 3), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 2);
    assert_ids(kit_partition(&k, "t", 0)->isr, kit_partition(&k, "t", 0)->isr_count, 2, 3, 1);

    assert_int_equal(KIT_FENCE(&k, 2), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader, 3);
    assert_int_equal(p->leader_epoch, 1);
    assert_int_equal(p->partition_epoch, 1);
    assert_ids(p->isr, p->isr_count, 3, 1);
    assert_int_equal(p->elr_count, 0);

    /* A follower leaves without a new leader: only the partition epoch grows. */
    assert_int_equal(KIT_FENCE(&k, 1), ERR_NONE);
    p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader, 3);
    assert_int_equal(p->leader_epoch, 1);
    assert_int_equal(p->partition_epoch, 2);
    assert_ids(p->isr, p->isr_count, 3);
    assert_ids(p->elr, p->elr_count, 1); /* below min.insync.replicas: eligible */
    kit_deinit(&k);
}

static void the_minimum_of_a_new_cluster_counts_for_topics_without_their_own(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    struct image_config config = {SLICE("min.insync.replicas"), SLICE("2")};
    struct form_cluster form = {SLICE("ours"), 1, &config, 1};
    assert_int_equal(KIT_RUN(&k, form_cluster, &form), ERR_NONE);
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic(&k, "t", 1, 2), ERR_NONE);
    KIT_FENCE(&k, 1);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_ids(p->elr, p->elr_count, 1);
    KIT_FENCE(&k, 2);
    KIT_UNFENCE(&k, 1);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 1);
    kit_deinit(&k);
}

static void the_last_member_stays_in_sync_without_a_leader(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic_on(&k, "t", "1", IDS(1, 2), 2), ERR_NONE);
    KIT_FENCE(&k, 2);
    KIT_FENCE(&k, 1);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader, -1);
    assert_int_equal(p->leader_epoch, 1);
    assert_ids(p->isr, p->isr_count, 1);
    KIT_UNFENCE(&k, 2); /* not in sync: must not lead */
    assert_int_equal(kit_partition(&k, "t", 0)->leader, -1);
    KIT_UNFENCE(&k, 1);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 1);
    assert_int_equal(kit_partition(&k, "t", 0)->leader_epoch, 2);
    kit_deinit(&k);
}

/* C07: followers die one by one, then the lone leader dies uncleanly: an eligible one leads. */
static void an_eligible_replica_leads_after_the_last_leader_lost_its_tail(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    assert_int_equal(kit_topic_on(&k, "t", "2", IDS(1, 2, 3), 3), ERR_NONE);
    KIT_FENCE(&k, 2);
    KIT_FENCE(&k, 3);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_ids(p->isr, p->isr_count, 1);
    assert_ids(p->elr, p->elr_count, 3); /* 2 left while two remained */
    KIT_FENCE(&k, 1);
    int32_t epoch = kit_partition(&k, "t", 0)->leader_epoch;
    assert_int_equal(kit_register(&k, 1, 2, -1, NULL), ERR_NONE); /* unclean */
    p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader_epoch, epoch + 1); /* M18 */
    assert_false(ids_contain(p->isr, p->isr_count, 1));
    assert_false(ids_contain(p->elr, p->elr_count, 1));
    KIT_UNFENCE(&k, 1);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, -1);
    KIT_UNFENCE(&k, 3);
    p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader, 3);
    assert_ids(p->isr, p->isr_count, 3);
    kit_deinit(&k);
}

static void a_clean_restart_keeps_eligibility(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic_on(&k, "t", "2", IDS(1, 2), 2), ERR_NONE);
    int64_t epoch = image_find_broker(kit_image(&k), 2)->epoch;
    KIT_FENCE(&k, 2);
    assert_ids(kit_partition(&k, "t", 0)->elr, kit_partition(&k, "t", 0)->elr_count, 2);
    assert_int_equal(kit_register(&k, 2, 2, epoch, NULL), ERR_NONE);
    assert_ids(kit_partition(&k, "t", 0)->elr, kit_partition(&k, "t", 0)->elr_count, 2);
    KIT_UNFENCE(&k, 2);
    KIT_FENCE(&k, 1); /* 2 is eligible: leads */
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader, 2);
    assert_ids(p->isr, p->isr_count, 2);
    assert_ids(p->elr, p->elr_count, 1);
    kit_deinit(&k);
}

static void enough_members_in_sync_forget_the_eligible(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    assert_int_equal(kit_topic_on(&k, "t", "2", IDS(1, 2, 3), 3), ERR_NONE);
    assert_int_equal(kit_isr(&k, "t", IDS(1), 1), ERR_NONE);
    assert_ids(kit_partition(&k, "t", 0)->elr, kit_partition(&k, "t", 0)->elr_count, 2, 3);
    assert_int_equal(kit_isr(&k, "t", IDS(1, 3), 2), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_int_equal(p->elr_count, 0);
    assert_int_equal(p->leader_epoch, 0);
    assert_int_equal(p->partition_epoch, 2);
    kit_deinit(&k);
}

static void controlled_shutdown_hands_over_what_it_can(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic_on(&k, "t", "1", IDS(1, 2), 2), ERR_NONE);
    assert_int_equal(kit_topic_on(&k, "alone", "1", IDS(1), 1), ERR_NONE);
    assert_int_equal(KIT_SHUTDOWN(&k, 1), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 2);
    assert_int_equal(kit_partition(&k, "alone", 0)->leader, 1);               /* until it is gone */
    assert_int_equal(kit_isr(&k, "t", IDS(2, 1), 2), ERR_INELIGIBLE_REPLICA); /* F69 */
    FOR_EACH (slot, kit_image(&k)->slots, COORDINATOR_SLOTS)
        assert_int_equal(slot->node_id, 2);
    assert_int_equal(KIT_FENCE(&k, 1), ERR_NONE);
    assert_int_equal(kit_partition(&k, "alone", 0)->leader, -1);
    assert_int_not_equal(KIT_UNFENCE(&k, 1), ERR_NONE);
    kit_deinit(&k);
}

static void alter_partition_compares_before_it_sets(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    assert_int_equal(kit_topic_on(&k, "t", "1", IDS(1, 2, 3), 3), ERR_NONE);
    const struct image_topic *t = image_find_topic(kit_image(&k), SLICE("t"));
    struct command_isr_member isr[3] = {{1, -1}, {2, -1}, {3, -1}};
    struct alter_partition good = {.node_id = 1,
                                   .broker_epoch = image_find_broker(kit_image(&k), 1)->epoch,
                                   .topic_id = t->id,
                                   .isr = isr,
                                   .isr_count = 2};
    struct alter_partition c = good;
    c.topic_id = kit_uuid('x', 1);
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_UNKNOWN_TOPIC_ID);
    c = good, c.partition = 1;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    c = good, c.broker_epoch++;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_STALE_BROKER_EPOCH);
    c = good, c.leader_epoch = -1;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_FENCED_LEADER_EPOCH);
    c = good, c.leader_epoch = 1;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_NOT_CONTROLLER);
    c = good, c.partition_epoch = -1;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_INVALID_UPDATE_VERSION);
    c = good, c.isr = isr + 1;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_INVALID_REQUEST); /* without leader */
    c = good, c.isr_count = 0;
    assert_int_equal(KIT_RUN(&k, alter_partition, &c), ERR_INVALID_REQUEST);
    isr[1].broker_epoch = 77; /* KIP-903 */
    assert_int_equal(KIT_RUN(&k, alter_partition, &good), ERR_INELIGIBLE_REPLICA);
    isr[1].broker_epoch = image_find_broker(kit_image(&k), 2)->epoch;
    assert_int_equal(kit_partition(&k, "t", 0)->partition_epoch, 0);
    assert_int_equal(KIT_RUN(&k, alter_partition, &good), ERR_NONE);
    assert_int_equal(KIT_RUN(&k, alter_partition, &good), ERR_INVALID_UPDATE_VERSION);
    kit_deinit(&k);
}

static void preferred_leaders_come_back_on_demand(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic_on(&k, "t", "1", IDS(1, 2), 2), ERR_NONE);
    KIT_FENCE(&k, 1);
    KIT_UNFENCE(&k, 1);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 2);
    struct command_partition which[2] = {{SLICE("t"), 0}, {SLICE("u"), 0}};
    struct elect_leaders elect = {.partitions = which, .partitions_count = 2};
    assert_int_equal(KIT_RUN(&k, elect_leaders, &elect), ERR_NONE);
    assert_int_equal(command_value_error(kit_value(&k), 0), ERR_PREFERRED_LEADER_NOT_AVAILABLE);
    assert_int_equal(command_value_error(kit_value(&k), 1), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(kit_isr(&k, "t", IDS(2, 1), 2), ERR_NONE);
    KIT_RUN(&k, elect_leaders, &elect);
    assert_int_equal(command_value_error(kit_value(&k), 0), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 1);
    KIT_RUN(&k, elect_leaders, &elect);
    assert_int_equal(command_value_error(kit_value(&k), 0), ERR_ELECTION_NOT_NEEDED);
    kit_deinit(&k);
}

static void unclean_election_only_where_allowed(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic_on(&k, "t", "1", IDS(1, 2), 2), ERR_NONE);
    assert_int_equal(kit_isr(&k, "t", IDS(1), 1), ERR_NONE);
    KIT_FENCE(&k, 1);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, -1);
    struct command_config_op two = {SLICE("min.insync.replicas"), CONFIG_SET, SLICE("2")};
    struct alter_configs raise = {.topic = SLICE("t"), .ops = &two, .ops_count = 1};
    assert_int_equal(KIT_RUN(&k, alter_configs, &raise), ERR_NONE);
    struct command_config_op op = {SLICE("unclean.leader.election.enable"), CONFIG_SET,
                                   SLICE("true")};
    struct alter_configs alter = {.topic = SLICE("t"), .ops = &op, .ops_count = 1};
    assert_int_equal(KIT_RUN(&k, alter_configs, &alter), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_int_equal(p->leader, 2);
    assert_ids(p->isr, p->isr_count, 2);
    assert_int_equal(p->elr_count, 0); /* what 1 has and 2 has not is given up */
    kit_deinit(&k);
}

static void a_live_incarnation_guards_its_id(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    int64_t epoch = image_find_broker(kit_image(&k), 1)->epoch;
    assert_int_equal(kit_register(&k, 1, 2, -1, NULL), ERR_DUPLICATE_BROKER_REGISTRATION);
    assert_int_equal(kit_register(&k, 1, 1, -1, NULL), ERR_NONE); /* itself again */
    assert_int_equal(command_value_int64(kit_value(&k)), epoch);
    KIT_FENCE(&k, 1);
    assert_int_equal(kit_register(&k, 1, 2, -1, NULL), ERR_NONE);
    assert_true(command_value_int64(kit_value(&k)) > epoch);
    struct broker_change stale = {1, epoch};
    assert_int_equal(KIT_RUN(&k, unfence_broker, &stale), ERR_STALE_BROKER_EPOCH);
    kit_deinit(&k);
}

static void slots_are_shared_evenly_and_move_as_little_as_possible(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    struct image_slot before[COORDINATOR_SLOTS];
    memcpy(before, kit_image(&k)->slots, sizeof(before));
    assert_int_equal(kit_register(&k, 3, 1, -1, NULL), ERR_NONE);
    KIT_UNFENCE(&k, 3);
    int counts[4] = {0};
    int moved = 0;
    for (int i = 0; i < COORDINATOR_SLOTS; i++) {
        const struct image_slot *now = &kit_image(&k)->slots[i];
        counts[now->node_id]++;
        moved += now->node_id != before[i].node_id;
        assert_int_equal(now->epoch - before[i].epoch, now->node_id != before[i].node_id);
    }
    assert_int_equal(moved, 21);
    for (int id = 1; id <= 3; id++)
        assert_in_range(counts[id], 21, 22);
    KIT_FENCE(&k, 1), KIT_FENCE(&k, 2), KIT_FENCE(&k, 3);
    FOR_EACH (slot, kit_image(&k)->slots, COORDINATOR_SLOTS)
        assert_int_equal(slot->node_id, -1);
    KIT_UNFENCE(&k, 2);
    FOR_EACH (slot, kit_image(&k)->slots, COORDINATOR_SLOTS)
        assert_int_equal(slot->node_id, 2);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fencing_the_leader_elects_the_first_in_sync),
        cmocka_unit_test(the_minimum_of_a_new_cluster_counts_for_topics_without_their_own),
        cmocka_unit_test(the_last_member_stays_in_sync_without_a_leader),
        cmocka_unit_test(an_eligible_replica_leads_after_the_last_leader_lost_its_tail),
        cmocka_unit_test(a_clean_restart_keeps_eligibility),
        cmocka_unit_test(enough_members_in_sync_forget_the_eligible),
        cmocka_unit_test(controlled_shutdown_hands_over_what_it_can),
        cmocka_unit_test(alter_partition_compares_before_it_sets),
        cmocka_unit_test(preferred_leaders_come_back_on_demand),
        cmocka_unit_test(unclean_election_only_where_allowed),
        cmocka_unit_test(a_live_incarnation_guards_its_id),
        cmocka_unit_test(slots_are_shared_evenly_and_move_as_little_as_possible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
