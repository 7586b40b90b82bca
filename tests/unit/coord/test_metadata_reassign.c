/* Partitions that move, and the settings of brokers, groups and clients. */
#include "metadata_kit.h"

#include "coord/image_resources.h"
#include "coord/resource_config.h"

static enum error_code reassign(struct kit *k, const int32_t *replicas, int count, bool factor)
{
    int32_t ids[8];
    for (int i = 0; i < count; i++)
        ids[i] = replicas[i];
    struct alter_reassignment c = {.topic = SLICE("t"),
                                   .replicas = ids,
                                   .replicas_count = count,
                                   .allow_factor_change = factor};
    return KIT_RUN(k, alter_reassignment, &c);
}

static void begin(struct kit *k, int32_t brokers)
{
    kit_init(k);
    kit_brokers(k, brokers);
    assert_int_equal(kit_topic_on(k, "t", "1", IDS(1, 2), 2), ERR_NONE);
}

static void a_move_ends_when_all_that_are_added_are_in_sync(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 4);
    assert_int_equal(reassign(&k, IDS(3, 4), 2, false), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 3, 4, 1, 2);
    assert_ids(p->adding, p->adding_count, 3, 4);
    assert_ids(p->removing, p->removing_count, 1, 2);
    assert_ids(p->isr, p->isr_count, 1, 2);
    assert_int_equal(p->leader, 1);
    assert_int_equal(p->leader_epoch, 0);

    assert_int_equal(kit_isr(&k, "t", IDS(1, 2, 3), 3), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 0)->adding_count, 2);
    assert_int_equal(kit_isr(&k, "t", IDS(1, 2, 3, 4), 4), ERR_NONE);
    p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 3, 4);
    assert_ids(p->isr, p->isr_count, 3, 4);
    assert_int_equal(p->adding_count + p->removing_count + p->elr_count, 0);
    assert_int_equal(p->leader, 3);
    assert_int_equal(p->leader_epoch, 1);
    kit_deinit(&k);
}

static void a_new_order_or_fewer_replicas_need_no_copying(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 2);
    assert_int_equal(reassign(&k, IDS(2, 1), 2, false), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 2, 1);
    assert_int_equal(p->leader, 1); /* until a preferred election */
    assert_int_equal(p->leader_epoch, 0);
    assert_int_equal(reassign(&k, IDS(2), 1, true), ERR_NONE);
    p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 2);
    assert_int_equal(p->leader, 2);
    assert_int_equal(p->leader_epoch, 1);
    kit_deinit(&k);
}

static void cancelling_goes_back(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 4);
    assert_int_equal(reassign(&k, NULL, -1, false), ERR_NO_REASSIGNMENT_IN_PROGRESS);
    assert_int_equal(reassign(&k, IDS(3, 4), 2, false), ERR_NONE);
    assert_int_equal(kit_isr(&k, "t", IDS(1, 3), 2), ERR_NONE);
    assert_int_equal(reassign(&k, NULL, -1, false), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 1, 2);
    assert_ids(p->isr, p->isr_count, 1);
    assert_int_equal(p->adding_count + p->removing_count, 0);
    assert_int_equal(p->leader_epoch, 1); /* 3 must not count any more */
    kit_deinit(&k);
}

/* Only those that were added are in sync: the old ones cannot take over without losing records. */
static void a_move_is_not_cancelled_onto_replicas_out_of_sync(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 4);
    assert_int_equal(reassign(&k, IDS(3, 4), 2, false), ERR_NONE);
    assert_int_equal(kit_isr(&k, "t", IDS(1, 3), 2), ERR_NONE);
    assert_int_equal(KIT_FENCE(&k, 1), ERR_NONE);
    assert_int_equal(reassign(&k, NULL, -1, false), ERR_INVALID_REPLICA_ASSIGNMENT);
    kit_deinit(&k);
}

static void wrong_targets_are_refused(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 3);
    assert_int_equal(reassign(&k, IDS(1, 9), 2, true), ERR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(&k, IDS(1, 1), 2, true), ERR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(&k, NULL, 0, true), ERR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(&k, IDS(1, 2, 3), 3, false), ERR_INVALID_REPLICATION_FACTOR);
    struct alter_reassignment c = {.topic = SLICE("none"), .replicas_count = -1};
    assert_int_equal(KIT_RUN(&k, alter_reassignment, &c), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    c = (struct alter_reassignment){.topic = SLICE("t"), .partition = 1, .replicas_count = -1};
    assert_int_equal(KIT_RUN(&k, alter_reassignment, &c), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    kit_deinit(&k);
}

static void another_target_replaces_the_first(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 4);
    assert_int_equal(reassign(&k, IDS(1, 3), 2, false), ERR_NONE);
    assert_int_equal(reassign(&k, IDS(1, 4), 2, false), ERR_NONE);
    const struct image_partition *p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 1, 4, 3, 2);
    assert_ids(p->adding, p->adding_count, 4);
    assert_ids(p->removing, p->removing_count, 3, 2);
    assert_int_equal(kit_isr(&k, "t", IDS(1, 4), 2), ERR_NONE);
    p = kit_partition(&k, "t", 0);
    assert_ids(p->replicas, p->replicas_count, 1, 4);
    kit_deinit(&k);
}

static enum error_code set(struct kit *k, int8_t kind, const char *name, struct slice config,
                           struct slice value)
{
    struct command_config_op op = {config, slice_is_null(value) ? CONFIG_DELETE : CONFIG_SET,
                                   value};
    struct alter_resource c = {
        .kind = kind, .name = slice_from_text(name), .ops = &op, .ops_count = 1};
    return KIT_RUN(k, alter_resource, &c);
}

static void resources_keep_what_is_set_on_them(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 2);
    assert_null(kit_image(&k)->resources);
    assert_int_equal(set(&k, RESOURCE_BROKER, "1", SLICE("log.retention.ms"), SLICE("7")),
                     ERR_NONE);
    assert_int_equal(set(&k, RESOURCE_QUOTA, "g", SLICE("anything"), SLICE("x")), ERR_NONE);
    assert_int_equal(set(&k, RESOURCE_BROKER, "1", SLICE("log.retention.ms"), SLICE("seven")),
                     ERR_INVALID_CONFIG);
    struct slice name = SLICE("consumer.heartbeat.interval.ms");
    assert_int_equal(set(&k, RESOURCE_GROUP, "g", name, SLICE("6000")), ERR_NONE);
    assert_int_equal(
        group_config_number(kit_image(&k), SLICE("g"), "consumer.heartbeat.interval.ms", NULL),
        6000);
    assert_int_equal(
        group_config_number(kit_image(&k), SLICE("h"), "consumer.heartbeat.interval.ms", NULL),
        5000);
    assert_int_equal(set(&k, RESOURCE_GROUP, "g", name, SLICE("0")), ERR_INVALID_CONFIG);
    assert_int_equal(set(&k, RESOURCE_GROUP, "g", SLICE("x"), SLICE("1")), ERR_INVALID_CONFIG);
    assert_int_equal(set(&k, RESOURCE_CLIENT_METRICS, "m", SLICE("x"), SLICE("1")),
                     ERR_INVALID_REQUEST);
    assert_int_equal(set(&k, RESOURCE_QUOTA, "", SLICE("anything"), SLICE("x")),
                     ERR_INVALID_REQUEST);
    struct slice value = image_broker_config(kit_image(&k), 1, SLICE("log.retention.ms"));
    assert_true(slice_equals_text(value, "7"));
    assert_true(slice_is_null(image_broker_config(kit_image(&k), 2, SLICE("log.retention.ms"))));
    assert_int_equal(k.changes.list.count, 1); /* the refused command's stream only */

    assert_int_equal(set(&k, RESOURCE_QUOTA, "g", SLICE("anything"), SLICE_NULL), ERR_NONE);
    assert_null(image_find_resource(kit_image(&k), RESOURCE_QUOTA, SLICE("g")));
    assert_int_equal(kit_image(&k)->resources->count, 2);
    kit_deinit(&k);
}

static void a_held_image_keeps_its_resources(void **state)
{
    (void)state;
    struct kit k;
    begin(&k, 2);
    assert_int_equal(set(&k, RESOURCE_QUOTA, "g", SLICE("a"), SLICE("1")), ERR_NONE);
    struct image *held = metadata_image(k.m);
    assert_int_equal(set(&k, RESOURCE_QUOTA, "g", SLICE("a"), SLICE("2")), ERR_NONE);
    assert_true(slice_equals_text(
        image_resource_config(held, RESOURCE_QUOTA, SLICE("g"), SLICE("a")), "1"));
    assert_true(slice_equals_text(
        image_resource_config(kit_image(&k), RESOURCE_QUOTA, SLICE("g"), SLICE("a")), "2"));
    image_unref(held);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_ends_when_all_that_are_added_are_in_sync),
        cmocka_unit_test(a_new_order_or_fewer_replicas_need_no_copying),
        cmocka_unit_test(cancelling_goes_back),
        cmocka_unit_test(a_move_is_not_cancelled_onto_replicas_out_of_sync),
        cmocka_unit_test(wrong_targets_are_refused),
        cmocka_unit_test(another_target_replaces_the_first),
        cmocka_unit_test(resources_keep_what_is_set_on_them),
        cmocka_unit_test(a_held_image_keeps_its_resources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
