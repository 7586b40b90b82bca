/* Creating, growing, deleting and configuring topics (C63, C65). */
#include "metadata_kit.h"

#include "coord/placement.h"
#include "coord/topic_config.h"

static struct create_topic topic(const char *name)
{
    return (struct create_topic){.name = slice_from_text(name),
                                 .topic_id = kit_uuid('n', 1),
                                 .partitions = 1,
                                 .replication_factor = 1};
}

static void names_follow_the_rules(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    const char *bad[] = {"", ".", "..", "a b", "a/b", "../x", "\xc3\xa9"};
    FOR_EACH (name, bad, ARRAY_COUNT(bad))
        assert_int_equal(kit_topic(&k, *name, 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    char longest[251];
    memset(longest, 'x', 250);
    longest[250] = '\0';
    assert_int_equal(kit_topic(&k, longest, 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    longest[249] = '\0';
    assert_int_equal(kit_topic(&k, longest, 1, 1), ERR_NONE);
    assert_int_equal(kit_topic(&k, "c.x", 1, 1), ERR_NONE);
    assert_int_equal(kit_topic(&k, "c_x", 1, 1), ERR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(kit_topic(&k, "c.x", 1, 1), ERR_TOPIC_ALREADY_EXISTS);
    assert_int_equal(kit_topic(&k, "__cluster_metadata", 1, 1), ERR_INVALID_REQUEST);
    assert_true(kit_value(&k).size > 0); /* says why */
    kit_deinit(&k);
}

static void counts_are_checked_and_minus_one_is_the_default(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    assert_int_equal(kit_topic(&k, "t", 1, 1), ERR_INVALID_REPLICATION_FACTOR); /* no broker */
    kit_brokers(&k, 2);
    assert_int_equal(kit_topic(&k, "t", 0, 1), ERR_INVALID_PARTITIONS);
    assert_int_equal(kit_topic(&k, "t", -2, 1), ERR_INVALID_PARTITIONS);
    assert_int_equal(kit_topic(&k, "t", 10001, 1), ERR_POLICY_VIOLATION);
    assert_int_equal(kit_topic(&k, "t", 1, 3), ERR_INVALID_REPLICATION_FACTOR);
    assert_int_equal(kit_topic(&k, "t", 1, 0), ERR_INVALID_REPLICATION_FACTOR);
    assert_int_equal(kit_topic(&k, "t", -1, -1), ERR_NONE);
    assert_int_equal(image_find_topic(kit_image(&k), SLICE("t"))->partitions_count, 1);
    struct command_config_op ops[2] = {
        {SLICE("num.partitions"), CONFIG_SET, SLICE("4")},
        {SLICE("default.replication.factor"), CONFIG_SET, SLICE("2")}};
    struct alter_configs alter = {.ops = ops, .ops_count = 2};
    assert_int_equal(KIT_RUN(&k, alter_configs, &alter), ERR_NONE);
    assert_int_equal(kit_topic(&k, "u", -1, -1), ERR_NONE);
    assert_int_equal(image_find_topic(kit_image(&k), SLICE("u"))->partitions_count, 4);
    assert_int_equal(kit_partition(&k, "u", 3)->replicas_count, 2);
    kit_deinit(&k);
}

/* C68: with one of three nodes down, topics with three replicas can still be made. */
static void a_fenced_broker_gets_replicas_but_no_leadership(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    KIT_FENCE(&k, 1);
    assert_int_equal(kit_topic(&k, "t", 6, 3), ERR_NONE);
    for (int32_t i = 0; i < 6; i++) {
        const struct image_partition *p = kit_partition(&k, "t", i);
        assert_int_equal(p->replicas[2], 1);
        assert_int_equal(p->isr_count, 2);
        assert_int_equal(p->leader, p->replicas[0]);
    }
    assert_int_equal(kit_topic(&k, "u", 6, 2), ERR_NONE); /* enough others */
    for (int32_t i = 0; i < 6; i++)
        assert_int_equal(kit_partition(&k, "u", i)->isr_count, 2);
    kit_deinit(&k);
}

static void manual_assignments_are_taken_or_refused(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    int32_t ids[2][2] = {{2, 1}, {3, 2}};
    struct command_assignment as[2] = {{1, ids[1], 2}, {0, ids[0], 2}};
    struct create_topic c = topic("t");
    c.assignments = as, c.assignments_count = 2;
    assert_int_equal(KIT_RUN(&k, create_topic, &c), ERR_INVALID_REQUEST); /* and counts */
    c.partitions = -1, c.replication_factor = -1;
    as[0].partition_index = 2;
    assert_int_equal(KIT_RUN(&k, create_topic, &c), ERR_INVALID_REPLICA_ASSIGNMENT);
    as[0].partition_index = 1;
    ids[1][1] = 3;
    assert_int_equal(KIT_RUN(&k, create_topic, &c), ERR_INVALID_REPLICA_ASSIGNMENT);
    ids[1][1] = 9;
    assert_int_equal(KIT_RUN(&k, create_topic, &c), ERR_INVALID_REPLICA_ASSIGNMENT);
    as[0].broker_ids_count = 1;
    assert_int_equal(KIT_RUN(&k, create_topic, &c), ERR_INVALID_REPLICA_ASSIGNMENT);
    as[0].broker_ids_count = 2;
    ids[1][1] = 2;
    assert_int_equal(KIT_RUN(&k, create_topic, &c), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 0)->leader, 2);
    assert_int_equal(kit_partition(&k, "t", 1)->leader, 3);
    kit_deinit(&k);
}

static void placement_is_even_over_brokers_and_racks(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    const char *racks[] = {"a", "a", "b", "b", "c", "c"};
    for (int32_t id = 1; id <= 6; id++) {
        assert_int_equal(kit_register(&k, id, 1, -1, racks[id - 1]), ERR_NONE);
        KIT_UNFENCE(&k, id);
    }
    char name[16];
    for (int i = 0; i < 12; i++) { /* many small topics spread as well as a large one */
        snprintf(name, sizeof(name), "t%d", i);
        assert_int_equal(kit_topic(&k, name, 3, 3), ERR_NONE);
    }
    int leaders[7] = {0};
    int replicas[7] = {0};
    FOR_EACH (t, kit_image(&k)->topics, kit_image(&k)->topics_count) {
        FOR_EACH (p, (*t)->partitions, (*t)->partitions_count) {
            int seen[3] = {0};
            leaders[p->leader]++;
            for (int i = 0; i < 3; i++) {
                replicas[p->replicas[i]]++;
                seen[(p->replicas[i] - 1) / 2]++;
            }
            for (int rack = 0; rack < 3; rack++)
                assert_int_equal(seen[rack], 1);
        }
    }
    for (int id = 1; id <= 6; id++) {
        assert_int_equal(leaders[id], 6);
        assert_in_range(replicas[id], 17, 19);
    }
    kit_deinit(&k);
}

static void partitions_are_added_but_never_taken(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    kit_topic(&k, "t", 3, 2);
    struct create_partitions c = {.topic = SLICE("t"), .count = 3, .assignments_count = -1};
    assert_int_equal(KIT_RUN(&k, create_partitions, &c), ERR_INVALID_PARTITIONS);
    c.count = 5;
    assert_int_equal(KIT_RUN(&k, create_partitions, &c), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 4)->isr_count, 2);
    int32_t ids[2] = {3, 1};
    struct command_assignment as = {0, ids, 2};
    c.count = 7, c.assignments = &as, c.assignments_count = 1;
    assert_int_equal(KIT_RUN(&k, create_partitions, &c), ERR_INVALID_REPLICA_ASSIGNMENT);
    c.count = 6;
    assert_int_equal(KIT_RUN(&k, create_partitions, &c), ERR_NONE);
    assert_int_equal(kit_partition(&k, "t", 5)->leader, 3);
    c.topic = SLICE("none");
    assert_int_equal(KIT_RUN(&k, create_partitions, &c), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    kit_deinit(&k);
}

static void a_topic_made_anew_has_another_id(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    kit_topic(&k, "t", 1, 1);
    struct image *old = metadata_image(k.m);
    struct delete_topic d = {image_find_topic(old, SLICE("t"))->id};
    assert_int_equal(KIT_RUN(&k, delete_topic, &d), ERR_NONE);
    assert_int_equal(k.changes.list.items[0].kind, CHANGE_TOPIC);
    assert_null(image_find_topic(kit_image(&k), SLICE("t")));
    assert_int_equal(KIT_RUN(&k, delete_topic, &d), ERR_UNKNOWN_TOPIC_ID);
    assert_int_equal(kit_topic(&k, "t", 1, 1), ERR_NONE);
    assert_null(image_find_topic_by_id(kit_image(&k), d.topic_id));
    assert_non_null(image_find_topic(old, SLICE("t"))); /* a reader's image stays */
    image_unref(old);
    kit_deinit(&k);
}

static enum error_code alter(struct kit *k, const char *name, enum config_operation op,
                             const char *value)
{
    struct command_config_op one = {slice_from_text(name), (int8_t)op, slice_from_text(value)};
    struct alter_configs c = {.topic = SLICE("t"), .ops = &one, .ops_count = 1};
    return KIT_RUN(k, alter_configs, &c);
}

static void assert_setting(struct kit *k, const char *name, const char *value)
{
    const struct image_topic *t = image_find_topic(kit_image(k), SLICE("t"));
    struct slice now = image_topic_config(t, slice_from_text(name));
    assert_true(value == NULL ? slice_is_null(now) : slice_equals_text(now, value));
}

static void settings_are_set_deleted_appended_and_subtracted(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    kit_topic(&k, "t", 1, 1);
    assert_int_equal(alter(&k, "cleanup.policy", CONFIG_APPEND, "compact"), ERR_NONE);
    assert_setting(&k, "cleanup.policy", "delete,compact");
    assert_int_equal(alter(&k, "cleanup.policy", CONFIG_APPEND, "compact"), ERR_NONE);
    assert_setting(&k, "cleanup.policy", "delete,compact");
    assert_int_equal(alter(&k, "cleanup.policy", CONFIG_SUBTRACT, "delete"), ERR_NONE);
    assert_setting(&k, "cleanup.policy", "compact");
    assert_int_equal(alter(&k, "cleanup.policy", CONFIG_SET, "forever"), ERR_INVALID_CONFIG);
    assert_int_equal(alter(&k, "cleanup.policy", CONFIG_DELETE, NULL), ERR_NONE);
    assert_setting(&k, "cleanup.policy", NULL);
    assert_int_equal(alter(&k, "retention.ms", CONFIG_APPEND, "1"), ERR_INVALID_CONFIG);
    assert_int_equal(alter(&k, "retention.ms", CONFIG_SET, "-2"), ERR_INVALID_CONFIG);
    assert_int_equal(alter(&k, "retention.ms", CONFIG_SET, "soon"), ERR_INVALID_CONFIG);
    assert_int_equal(alter(&k, "retention.ms", CONFIG_SET, NULL), ERR_INVALID_CONFIG);
    assert_int_equal(alter(&k, "no.such", CONFIG_SET, "1"), ERR_INVALID_CONFIG);
    assert_int_equal(alter(&k, "no.such", CONFIG_DELETE, NULL), ERR_NONE);
    assert_int_equal(alter(&k, "retention.ms", 9, "1"), ERR_INVALID_REQUEST);
    assert_int_equal(alter(&k, "retention.ms", CONFIG_SET, "5000"), ERR_NONE);
    struct command_config_op all = {SLICE("segment.ms"), CONFIG_SET, SLICE("7")};
    struct alter_configs c = {
        .topic = SLICE("t"), .replace_all = true, .ops = &all, .ops_count = 1};
    assert_int_equal(KIT_RUN(&k, alter_configs, &c), ERR_NONE);
    assert_setting(&k, "retention.ms", NULL);
    assert_setting(&k, "segment.ms", "7");
    struct create_topic bad = topic("u");
    struct image_config config = {SLICE("retention.ms"), SLICE("x")};
    bad.configs = &config, bad.configs_count = 1;
    assert_int_equal(KIT_RUN(&k, create_topic, &bad), ERR_INVALID_CONFIG);
    kit_deinit(&k);
}

static struct slice static_hours(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "log.retention.hours") == 0 ? SLICE("2") : SLICE_NULL;
}

static void a_value_comes_from_the_nearest_layer(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    kit_topic(&k, "t", 1, 1);
    const struct image *img = kit_image(&k);
    const struct image_topic *t = image_find_topic(img, SLICE("t"));
    struct config_node node = {1, static_hours, NULL};
    assert_int_equal(topic_config_number(img, t, "retention.ms", NULL), 604800000);
    assert_int_equal(topic_config_number(img, t, "retention.ms", &node), 7200000);
    struct command_config_op op = {SLICE("log.retention.ms"), CONFIG_SET, SLICE("99")};
    struct alter_configs c = {.ops = &op, .ops_count = 1};
    assert_int_equal(KIT_RUN(&k, alter_configs, &c), ERR_NONE);
    struct command_config_op own = {SLICE("log.retention.ms"), CONFIG_SET, SLICE("98")};
    struct alter_resource r = {4, SLICE("1"), false, &own, 1}; /* a broker's own */
    assert_int_equal(KIT_RUN(&k, alter_resource, &r), ERR_NONE);
    assert_int_equal(alter(&k, "retention.ms", CONFIG_SET, "11"), ERR_NONE);
    img = kit_image(&k);
    t = image_find_topic(img, SLICE("t"));
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    const struct topic_config *config = topic_config_find(SLICE("retention.ms"));
    assert_int_equal(topic_config_layers(img, t, config, &node, layers), 5);
    assert_int_equal(layers[0].source, CONFIG_SOURCE_TOPIC);
    assert_int_equal(layers[1].source, CONFIG_SOURCE_DYNAMIC_BROKER);
    assert_int_equal(layers[2].source, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
    assert_int_equal(layers[3].source, CONFIG_SOURCE_STATIC_BROKER);
    assert_true(slice_equals_text(layers[3].value, "7200000"));
    assert_int_equal(layers[4].source, CONFIG_SOURCE_DEFAULT);
    op.value = SLICE("x");
    assert_int_equal(KIT_RUN(&k, alter_configs, &c), ERR_INVALID_CONFIG);
    kit_deinit(&k);
}

static void the_table_is_sorted_and_its_defaults_are_right(void **state)
{
    (void)state;
    char reason[200];
    int kafkas = 0;
    for (int i = 0; i < topic_configs_count; i++) {
        const struct topic_config *config = &topic_configs[i];
        assert_ptr_equal(topic_config_find(slice_from_text(config->name)), config);
        assert_int_equal(topic_config_check(config, slice_from_text(config->default_value), reason),
                         ERR_NONE);
        kafkas += !config->ours;
    }
    assert_int_equal(kafkas, 37);
    assert_null(topic_config_find(SLICE("zzz")));
    int64_t unit;
    assert_non_null(topic_config_find_server(SLICE("log.roll.hours"), &unit));
    assert_int_equal(unit, 3600000);
    const struct topic_config *throttled =
        topic_config_find(SLICE("leader.replication.throttled.replicas"));
    assert_int_equal(topic_config_check(throttled, SLICE("0:1,1:2"), reason), ERR_NONE);
    assert_int_equal(topic_config_check(throttled, SLICE("0:1,x"), reason), ERR_INVALID_CONFIG);
    const struct topic_config *ratio = topic_config_find(SLICE("min.cleanable.dirty.ratio"));
    assert_int_equal(topic_config_check(ratio, SLICE("1.5"), reason), ERR_INVALID_CONFIG);
    assert_int_equal(topic_config_check(ratio, SLICE("nan"), reason), ERR_INVALID_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_rules),
        cmocka_unit_test(counts_are_checked_and_minus_one_is_the_default),
        cmocka_unit_test(a_fenced_broker_gets_replicas_but_no_leadership),
        cmocka_unit_test(manual_assignments_are_taken_or_refused),
        cmocka_unit_test(placement_is_even_over_brokers_and_racks),
        cmocka_unit_test(partitions_are_added_but_never_taken),
        cmocka_unit_test(a_topic_made_anew_has_another_id),
        cmocka_unit_test(settings_are_set_deleted_appended_and_subtracted),
        cmocka_unit_test(a_value_comes_from_the_nearest_layer),
        cmocka_unit_test(the_table_is_sorted_and_its_defaults_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
