/* Groups, offsets, producer ids, repeated batches, and rebuilding from rows. */
#include "metadata_kit.h"

static struct commit_offsets offsets_of(struct kit *k, struct slice group,
                                        struct command_offset *row)
{
    int slot = image_slot_of(group);
    *row = (struct command_offset){SLICE("t"), 3, 42, 1, SLICE("note"), 1000, -1};
    return (struct commit_offsets){.slot = slot,
                                   .slot_epoch = kit_image(k)->slots[slot].epoch,
                                   .group = group,
                                   .offsets = row,
                                   .offsets_count = 1};
}

static void a_deposed_coordinator_is_refused(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    struct command_offset row;
    struct commit_offsets c = offsets_of(&k, SLICE("g"), &row);
    assert_int_equal(KIT_RUN(&k, commit_offsets, &c), ERR_NONE);
    const struct change *change = &k.changes.list.items[0];
    assert_int_equal(change->kind, CHANGE_OFFSET);
    assert_int_equal(change->offset, 42);
    assert_true(slice_equals_text(change->key, "g"));
    assert_true(slice_equals_text(change->value, "note"));
    KIT_FENCE(&k, kit_image(&k)->slots[c.slot].node_id);
    assert_int_equal(KIT_RUN(&k, commit_offsets, &c), ERR_NOT_COORDINATOR);
    assert_int_equal(k.changes.list.count, 1); /* the stream's row only */
    c.slot = (c.slot + 1) % COORDINATOR_SLOTS;
    assert_int_equal(KIT_RUN(&k, commit_offsets, &c), ERR_INVALID_REQUEST);
    kit_deinit(&k);
}

static void groups_are_put_and_deleted(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    int slot = image_slot_of(SLICE("g"));
    struct put_group put = {slot, kit_image(&k)->slots[slot].epoch, SLICE("g"), SLICE("blob")};
    assert_int_equal(KIT_RUN(&k, put_group, &put), ERR_NONE);
    assert_true(slice_equals_text(k.changes.list.items[0].value, "blob"));
    put.value = SLICE_NULL;
    assert_int_equal(KIT_RUN(&k, put_group, &put), ERR_NONE);
    assert_true(slice_is_null(k.changes.list.items[0].value));
    struct command_partition one = {SLICE("t"), 1};
    struct delete_offsets d = {slot, put.slot_epoch, SLICE("g"), &one, 1};
    assert_int_equal(KIT_RUN(&k, delete_offsets, &d), ERR_NONE);
    assert_int_equal(k.changes.list.items[0].offset, -1);
    d.partitions_count = -1;
    assert_int_equal(KIT_RUN(&k, delete_offsets, &d), ERR_NONE);
    assert_true(slice_is_null(k.changes.list.items[0].topic));
    kit_deinit(&k);
}

static void offset_commits_leave_the_image_alone(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 1);
    struct image *before = metadata_image(k.m);
    struct command_offset row;
    struct commit_offsets c = offsets_of(&k, SLICE("g"), &row);
    assert_int_equal(KIT_RUN(&k, commit_offsets, &c), ERR_NONE);
    assert_ptr_equal(kit_image(&k), before);
    image_unref(before);
    kit_deinit(&k);
}

static void an_image_shares_what_did_not_change(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 2);
    kit_topic_on(&k, "a", "1", IDS(1, 2), 2);
    kit_topic_on(&k, "b", "1", IDS(2), 1);
    struct image *before = metadata_image(k.m);
    assert_int_equal(kit_isr(&k, "a", IDS(1), 1), ERR_NONE);
    struct image *after = metadata_image(k.m);
    assert_ptr_not_equal(before, after);
    assert_ptr_not_equal(before->topics[0], after->topics[0]);
    assert_ptr_equal(before->topics[1], after->topics[1]);
    assert_ptr_equal(before->brokers[0], after->brokers[0]);
    assert_int_equal(before->topics[0]->partitions[0].isr_count, 2);
    assert_int_equal(after->topics[0]->partitions[0].isr_count, 1);
    image_unref(before);
    image_unref(after);
    kit_deinit(&k);
}

static void producer_ids_come_in_blocks_and_never_twice(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    struct allocate_producer_ids c = {1};
    for (int64_t i = 0; i < 5; i++) {
        assert_int_equal(KIT_RUN(&k, allocate_producer_ids, &c), ERR_NONE);
        assert_int_equal(command_value_int64(kit_value(&k)), i * PRODUCER_ID_BLOCK);
    }
    kit_deinit(&k);
}

static void allocate(struct kit *k, int32_t life, int64_t sequence)
{
    struct buffer bytes = {0};
    struct allocate_producer_ids c = {7};
    command_encode_allocate_producer_ids(&bytes, &c);
    struct slice one = buffer_slice(&bytes);
    struct command_batch batch = {7, kit_uuid('s', life), sequence, &one, 1};
    kit_batch(k, &batch);
    buffer_deinit(&bytes);
}

static void a_repeated_batch_answers_what_it_answered(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    allocate(&k, 1, 5);
    uint64_t digest = metadata_digest(k.m);
    allocate(&k, 1, 5);
    assert_int_equal(k.results.list.items[0].error_code, ERR_NONE);
    assert_int_equal(command_value_int64(kit_value(&k)), 0);
    assert_int_equal(k.changes.list.count, 0);
    assert_int_equal(metadata_digest(k.m), digest);
    allocate(&k, 1, 4); /* older still */
    assert_int_equal(k.results.list.items[0].error_code, ERR_INVALID_REQUEST);
    allocate(&k, 1, 6);
    assert_int_equal(command_value_int64(kit_value(&k)), PRODUCER_ID_BLOCK);
    allocate(&k, 2, 0); /* the process began anew */
    assert_int_equal(command_value_int64(kit_value(&k)), 2 * PRODUCER_ID_BLOCK);
    allocate(&k, 1, 6); /* a late copy of one before is answered as it was */
    assert_int_equal(command_value_int64(kit_value(&k)), PRODUCER_ID_BLOCK);
    allocate(&k, 3, 9); /* even the first that comes of it disturbs no other */
    allocate(&k, 2, 0);
    assert_int_equal(command_value_int64(kit_value(&k)), 2 * PRODUCER_ID_BLOCK);
    for (int32_t life = 4; life < 8; life++) /* the oldest are forgotten, with their rows */
        allocate(&k, life, 0);
    int forgotten = 0;
    FOR_EACH (c, k.changes.list.items, k.changes.list.count)
        forgotten += c->kind == CHANGE_STREAM && slice_is_null(c->value);
    assert_int_equal(forgotten, 1);
    kit_deinit(&k);
}

static void a_cluster_is_formed_once(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    struct image_config config = {SLICE("min.insync.replicas"), SLICE("2")};
    struct form_cluster c = {SLICE("first"), 1, &config, 1};
    assert_int_equal(KIT_RUN(&k, form_cluster, &c), ERR_NONE);
    c.cluster_id = SLICE("second");
    assert_int_equal(KIT_RUN(&k, form_cluster, &c), ERR_INVALID_REQUEST);
    assert_true(slice_equals_text(kit_value(&k), "first"));
    assert_true(slice_equals_text(kit_image(&k)->cluster_id, "first"));
    assert_int_equal(kit_image(&k)->broker_configs_count, 1);
    kit_deinit(&k);
}

/* As the database does it: every row of one state machine into another. */
static struct metadata *reloaded(struct kit *k, struct slice stream)
{
    const struct image *img = kit_image(k);
    struct metadata *m = metadata_new();
    metadata_load_cluster(m, img->cluster_id, img->index, metadata_next_producer_id(k->m));
    FOR_EACH (b, img->brokers, img->brokers_count)
        metadata_load_broker(m, *b);
    for (int32_t i = img->topics_count; i-- > 0;)
        metadata_load_topic(m, img->topics[i]);
    for (int i = 0; i < COORDINATOR_SLOTS; i++)
        metadata_load_slot(m, i, &img->slots[i]);
    FOR_EACH (config, img->broker_configs, img->broker_configs_count)
        metadata_load_broker_config(m, config->name, config->value);
    metadata_load_stream(m, 99, kit_uuid('t', 1), k->sequence - 1, stream);
    metadata_load_done(m);
    return m;
}

static void a_state_rebuilt_from_rows_is_the_same(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    struct form_cluster form = {SLICE("id"), 1, NULL, 0};
    KIT_RUN(&k, form_cluster, &form);
    kit_brokers(&k, 3);
    kit_topic(&k, "b", 4, 3);
    kit_topic_on(&k, "a", "2", IDS(1, 2), 2);
    KIT_FENCE(&k, 2);
    struct allocate_producer_ids c = {1};
    KIT_RUN(&k, allocate_producer_ids, &c);
    const struct change *last = &k.changes.list.items[k.changes.list.count - 1];
    assert_int_equal(last->kind, CHANGE_STREAM);
    struct metadata *m = reloaded(&k, last->value);
    assert_int_equal(metadata_digest(m), metadata_digest(k.m));
    metadata_free(m);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deposed_coordinator_is_refused),
        cmocka_unit_test(groups_are_put_and_deleted),
        cmocka_unit_test(offset_commits_leave_the_image_alone),
        cmocka_unit_test(an_image_shares_what_did_not_change),
        cmocka_unit_test(producer_ids_come_in_blocks_and_never_twice),
        cmocka_unit_test(a_repeated_batch_answers_what_it_answered),
        cmocka_unit_test(a_cluster_is_formed_once),
        cmocka_unit_test(a_state_rebuilt_from_rows_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
