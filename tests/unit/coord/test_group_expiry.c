/* Which offsets may go, and what a consumer group subscribes to. */
#include "group_kit.h"

#define RETENTION_MS 1000
#define OLD_MS       5000 /* wall clock of the commit */

/* Kafka's subscription metadata, version 1: topics "a" and "bc", no user data. */
static const uint8_t METADATA[] = {0, 1, 0, 0, 0, 2, 0, 1, 'a', 0, 2, 'b', 'c', 0, 0, 0, 0};

/* A stable group of one member with this metadata. */
static void subscribed(struct group_kit *k, const char *type, struct slice metadata)
{
    char id[64];
    struct group_protocol protocol = {SLICE("range"), metadata};
    struct group_join in = {.token = (void *)(intptr_t)++k->token,
                            .member_id = SLICE(""),
                            .client_id = SLICE("c"),
                            .session_timeout_ms = KIT_SESSION_MS,
                            .rebalance_timeout_ms = KIT_REBALANCE_MS,
                            .protocol_type = slice_from_text(type),
                            .protocols = &protocol,
                            .protocols_count = 1};
    struct group_effects fx;
    group_effects_init(&fx);
    group_classic_join(&k->g, &in, k->now_ms, &fx);
    kit_take(k, &fx);
    strcpy(id, kit_last(k)->member_id);
    kit_sync(k, id, 1, NULL);
    assert_int_equal(k->g.state, GROUP_STABLE);
}

static bool expired(const struct group_classic *g, const char *topic, int64_t since_ms,
                    int64_t now_ms)
{
    struct group_offset_age age = {slice_from_text(topic), OLD_MS, -1};
    return group_offset_expired(g, since_ms, &age, now_ms, RETENTION_MS);
}

static void a_topic_that_a_member_reads_is_subscribed(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    assert_false(group_classic_subscribes(&k->g, SLICE("a"))); /* nobody is there */
    subscribed(k, "consumer", slice_of(METADATA, sizeof(METADATA)));
    assert_true(group_classic_subscribes(&k->g, SLICE("a")));
    assert_true(group_classic_subscribes(&k->g, SLICE("bc")));
    assert_false(group_classic_subscribes(&k->g, SLICE("b")));
    group_kit_free(k);
}

static void what_cannot_be_read_may_subscribe_to_anything(void **state)
{
    (void)state;
    for (size_t size = 0; size < 11; size++) {
        struct group_kit *k = group_kit_new();
        uint8_t *cut = mem_alloc(size + 1);
        memcpy(cut, METADATA, size);
        subscribed(k, "consumer", slice_of(cut, size));
        assert_true(group_classic_subscribes(&k->g, SLICE("zzz")));
        free(cut);
        group_kit_free(k);
    }
}

static void c54_offsets_of_a_living_group_stay(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    subscribed(k, "consumer", slice_of(METADATA, sizeof(METADATA)));
    assert_false(expired(&k->g, "a", 0, OLD_MS + 100 * RETENTION_MS));
    assert_true(expired(&k->g, "other", 0, OLD_MS + RETENTION_MS)); /* nobody reads it any more */
    assert_false(expired(&k->g, "other", 0, OLD_MS + RETENTION_MS - 1));
    KIT_JOIN(k, .version = 3); /* a rebalance: who knows */
    assert_false(expired(&k->g, "other", 0, OLD_MS + 100 * RETENTION_MS));
    group_kit_free(k);
}

static void offsets_of_other_kinds_of_groups_stay_while_there_are_members(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    subscribed(k, "connect", SLICE("x"));
    assert_false(expired(&k->g, "a", 0, OLD_MS + 100 * RETENTION_MS));
    group_kit_free(k);
}

static void c54_the_clock_of_an_empty_group_starts_when_the_last_member_left(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[1][64];
    kit_stable(k, ids, 1);
    const char *leaving[] = {ids[0]};
    assert_int_equal(kit_leave(k, leaving, 1), ERR_NONE);
    int64_t left_ms = OLD_MS + 50 * RETENTION_MS;
    assert_false(expired(&k->g, "a", left_ms, left_ms + RETENTION_MS - 1));
    assert_true(expired(&k->g, "a", left_ms, left_ms + RETENTION_MS));
    assert_false(expired(&k->g, "a", 0, OLD_MS + RETENTION_MS - 1)); /* committed since */
    group_kit_free(k);
}

static void simple_consumers_are_judged_by_the_commit(void **state)
{
    (void)state;
    assert_false(expired(NULL, "a", 0, OLD_MS + RETENTION_MS - 1));
    assert_true(expired(NULL, "a", 0, OLD_MS + RETENTION_MS));
    struct group_offset_age asked = {SLICE("a"), OLD_MS, OLD_MS + 10};
    assert_true(group_offset_expired(NULL, 0, &asked, OLD_MS + 10, RETENTION_MS));
    assert_false(group_offset_expired(NULL, 0, &asked, OLD_MS + 9, RETENTION_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_that_a_member_reads_is_subscribed),
        cmocka_unit_test(what_cannot_be_read_may_subscribe_to_anything),
        cmocka_unit_test(c54_offsets_of_a_living_group_stay),
        cmocka_unit_test(offsets_of_other_kinds_of_groups_stay_while_there_are_members),
        cmocka_unit_test(c54_the_clock_of_an_empty_group_starts_when_the_last_member_left),
        cmocka_unit_test(simple_consumers_are_judged_by_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
