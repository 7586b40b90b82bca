/* Coming into a classic group. */
#include "group_kit.h"

static void a_new_member_is_told_its_id_and_joins_with_it(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char id[64];
    KIT_JOIN(k, .version = 4);
    strcpy(id, kit_last(k)->member_id);
    assert_int_equal(kit_last(k)->err, ERR_MEMBER_ID_REQUIRED);
    assert_int_equal(strlen(id), strlen("c-") + 36);
    assert_int_equal(k->g.members_count, 0);
    KIT_JOIN(k, .id = id, .version = 4);
    assert_int_equal(kit_last(k)->err, ERR_NONE);
    assert_int_equal(kit_last(k)->generation, 1);
    assert_string_equal(kit_last(k)->leader, id);
    assert_string_equal(kit_last(k)->protocol, "range");
    group_kit_free(k);
}

static void an_id_that_is_not_used_is_forgotten_and_holds_nobody_up(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 1);
    KIT_JOIN(k, .version = 4);
    char pending[64];
    strcpy(pending, kit_last(k)->member_id);
    int joins = KIT_JOIN(k, .id = ids[0]); /* the leader again: a rebalance */
    assert_false(k->answers[joins].came);  /* the new one is waited for */
    kit_pass(k, KIT_SESSION_MS);
    assert_true(k->answers[joins].came);
    assert_int_equal(k->answers[joins].generation, 2);
    KIT_JOIN(k, .id = pending);
    assert_int_equal(kit_last(k)->err, ERR_UNKNOWN_MEMBER_ID);
    group_kit_free(k);
}

static void the_first_rebalance_waits_for_more_members_but_not_for_ever(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    k->g.config.initial_delay_ms = 3000;
    int first = KIT_JOIN(k, .rebalance_ms = 7000, .session_ms = 60000);
    kit_pass(k, 2000);
    int second = KIT_JOIN(k, .rebalance_ms = 7000, .session_ms = 60000);
    kit_pass(k, 2000); /* 4 s: prolonged because of the second */
    assert_false(k->answers[first].came);
    int third = KIT_JOIN(k, .rebalance_ms = 7000, .session_ms = 60000);
    kit_pass(k, 2000); /* 6 s: prolonged by the last second that is left of the 7 */
    assert_false(k->answers[first].came);
    KIT_JOIN(k, .rebalance_ms = 7000, .session_ms = 60000);
    kit_pass(k, 1000);
    assert_true(k->answers[first].came && k->answers[second].came && k->answers[third].came);
    assert_int_equal(k->answers[first].generation, 1);
    assert_int_equal(k->g.members_count, 4);
    group_kit_free(k);
}

static void the_first_rebalance_ends_after_the_delay_when_nobody_else_came(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    k->g.config.initial_delay_ms = 3000;
    int first = KIT_JOIN(k, .rebalance_ms = 60000);
    kit_pass(k, 2999);
    assert_false(k->answers[first].came);
    kit_pass(k, 1);
    assert_true(k->answers[first].came);
    group_kit_free(k);
}

static void only_the_leader_hears_of_all_members(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64], members[160];
    kit_stable(k, ids, 1);
    int second = KIT_JOIN(k, .metadata = "two");
    assert_int_equal(kit_beat(k, ids[0], 1), ERR_REBALANCE_IN_PROGRESS);
    int first = KIT_JOIN(k, .id = ids[0], .metadata = "one");
    snprintf(members, sizeof(members), "%s:one %s:two ", ids[0], k->answers[second].member_id);
    assert_string_equal(k->answers[first].members, members);
    assert_string_equal(k->answers[second].members, "");
    assert_string_equal(k->answers[second].leader, ids[0]);
    assert_int_equal(k->answers[second].generation, 2);
    group_kit_free(k);
}

static void the_protocol_is_one_that_all_support_and_most_prefer(void **state)
{
    (void)state;
    static const struct {
        const char *protocols[3];
        const char *chosen;
    } TABLE[] = {
        {{"range sticky", "sticky range", "sticky range"}, "sticky"},
        {{"range sticky", "range sticky", "sticky range"}, "range"},
        {{"range sticky", "sticky", "range sticky"}, "sticky"},
        {{"a b range", "b range", "range b"}, "b"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(TABLE); i++) {
        struct group_kit *k = group_kit_new();
        k->g.config.initial_delay_ms = 10;
        for (int m = 0; m < 3; m++)
            KIT_JOIN(k, .protocols = TABLE[i].protocols[m]);
        kit_pass(k, 30);
        assert_int_equal(kit_last(k)->err, ERR_NONE);
        assert_string_equal(kit_last(k)->protocol, TABLE[i].chosen);
        group_kit_free(k);
    }
}

static void joins_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct kit_join join;
        enum error_code err;
    } TABLE[] = {
        {{.session_ms = 999}, ERR_INVALID_SESSION_TIMEOUT},
        {{.session_ms = 60001}, ERR_INVALID_SESSION_TIMEOUT},
        {{.protocols = "other"}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.protocols = ""}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.type = "connect"}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.type = ""}, ERR_INCONSISTENT_GROUP_PROTOCOL},
        {{.id = "nobody"}, ERR_UNKNOWN_MEMBER_ID},
        {{.id = "nobody", .version = 9}, ERR_UNKNOWN_MEMBER_ID},
        {{.id = "nobody", .instance = "i"}, ERR_UNKNOWN_MEMBER_ID},
    };
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    for (size_t i = 0; i < ARRAY_COUNT(TABLE); i++) {
        kit_join_(k, TABLE[i].join);
        assert_true(kit_last(k)->came);
        assert_int_equal(kit_last(k)->err, TABLE[i].err);
        assert_int_equal(k->g.state, GROUP_STABLE); /* and nobody else is disturbed */
    }
    group_kit_free(k);
}

static void an_empty_group_takes_no_member_without_protocols(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    KIT_JOIN(k, .protocols = "");
    assert_int_equal(kit_last(k)->err, ERR_INCONSISTENT_GROUP_PROTOCOL);
    KIT_JOIN(k, .type = "");
    assert_int_equal(kit_last(k)->err, ERR_INCONSISTENT_GROUP_PROTOCOL);
    group_kit_free(k);
}

static void a_full_group_refuses_new_members_only(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    k->g.config.size_max = 2;
    kit_stable(k, ids, 2);
    KIT_JOIN(k, .version = 4);
    assert_int_equal(kit_last(k)->err, ERR_GROUP_MAX_SIZE_REACHED);
    KIT_JOIN(k, .id = ids[1], .metadata = "changed");
    KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(kit_last(k)->err, ERR_NONE);
    assert_int_equal(kit_last(k)->generation, 3);
    group_kit_free(k);
}

static void a_follower_that_asks_again_disturbs_nobody(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    KIT_JOIN(k, .id = ids[1]);
    assert_int_equal(kit_last(k)->err, ERR_NONE);
    assert_int_equal(kit_last(k)->generation, 2);
    assert_int_equal(k->g.state, GROUP_STABLE);
    group_kit_free(k);
}

static void the_leader_or_new_metadata_makes_the_group_rebalance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    int again = KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    assert_false(k->answers[again].came);
    KIT_JOIN(k, .id = ids[1], .metadata = "new");
    assert_int_equal(k->g.generation, 3);
    KIT_JOIN(k, .id = ids[1], .metadata = "newer"); /* while the leader assigns */
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    group_kit_free(k);
}

static void a_lost_answer_is_given_again(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    KIT_JOIN(k, .version = 3);
    char id[64];
    strcpy(id, kit_last(k)->member_id);
    KIT_JOIN(k, .id = id);
    assert_int_equal(kit_last(k)->err, ERR_NONE);
    assert_int_equal(kit_last(k)->generation, 1);
    assert_true(kit_last(k)->members[0] != '\0');
    group_kit_free(k);
}

static void a_second_join_of_a_waiting_member_answers_the_first(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    int first = KIT_JOIN(k, .id = ids[0]);
    int second = KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(k->answers[first].err, ERR_REBALANCE_IN_PROGRESS);
    KIT_JOIN(k, .id = ids[1]);
    assert_int_equal(k->answers[second].err, ERR_NONE);
    group_kit_free(k);
}

static void who_does_not_come_back_in_time_is_out(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[3][64];
    kit_stable(k, ids, 2);
    int joins = KIT_JOIN(k, .metadata = "three");
    for (int i = 0; i < 12; i++) {
        kit_pass(k, KIT_REBALANCE_MS / 12 - 1);
        if (k->g.state == GROUP_PREPARING_REBALANCE) {
            assert_int_equal(kit_beat(k, ids[0], 2), ERR_REBALANCE_IN_PROGRESS); /* alive */
            assert_int_equal(kit_beat(k, ids[1], 2), ERR_REBALANCE_IN_PROGRESS);
        }
        assert_false(k->answers[joins].came);
    }
    kit_pass(k, 12);
    assert_true(k->answers[joins].came);
    assert_int_equal(k->g.members_count, 1);
    assert_string_equal(k->answers[joins].leader, k->answers[joins].member_id);
    assert_int_equal(kit_beat(k, ids[0], 3), ERR_UNKNOWN_MEMBER_ID);
    group_kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_member_is_told_its_id_and_joins_with_it),
        cmocka_unit_test(an_id_that_is_not_used_is_forgotten_and_holds_nobody_up),
        cmocka_unit_test(the_first_rebalance_waits_for_more_members_but_not_for_ever),
        cmocka_unit_test(the_first_rebalance_ends_after_the_delay_when_nobody_else_came),
        cmocka_unit_test(only_the_leader_hears_of_all_members),
        cmocka_unit_test(the_protocol_is_one_that_all_support_and_most_prefer),
        cmocka_unit_test(joins_that_are_refused),
        cmocka_unit_test(an_empty_group_takes_no_member_without_protocols),
        cmocka_unit_test(a_full_group_refuses_new_members_only),
        cmocka_unit_test(a_follower_that_asks_again_disturbs_nobody),
        cmocka_unit_test(the_leader_or_new_metadata_makes_the_group_rebalance),
        cmocka_unit_test(a_lost_answer_is_given_again),
        cmocka_unit_test(a_second_join_of_a_waiting_member_answers_the_first),
        cmocka_unit_test(who_does_not_come_back_in_time_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
