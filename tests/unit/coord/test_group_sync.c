/* Living in a classic group: assignments, heartbeats, leaving, commits, time. */
#include "group_kit.h"

static void an_assignment_is_told_only_once_it_is_durable(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char leader[64], assignment[128];
    KIT_JOIN(k, .version = 3);
    strcpy(leader, kit_last(k)->member_id);
    k->writes_held = true;
    snprintf(assignment, sizeof(assignment), "%s=all", leader);
    int sync = kit_sync(k, leader, 1, assignment);
    assert_false(k->answers[sync].came);
    assert_int_equal(k->g.state, GROUP_COMPLETING_REBALANCE);
    kit_persisted(k, k->written, ERR_NONE);
    assert_int_equal(k->answers[sync].err, ERR_NONE);
    assert_string_equal(k->answers[sync].assignment, "all");
    assert_int_equal(k->g.state, GROUP_STABLE);
    assert_string_equal(k->answers[kit_sync(k, leader, 1, NULL)].assignment, "all"); /* again */
    group_kit_free(k);
}

static void a_write_that_fails_makes_the_group_begin_anew(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char leader[64];
    KIT_JOIN(k, .version = 3);
    strcpy(leader, kit_last(k)->member_id);
    k->writes_held = true;
    int sync = kit_sync(k, leader, 1, NULL);
    kit_persisted(k, k->written, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(k->answers[sync].err, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    KIT_JOIN(k, .id = leader);
    assert_int_equal(kit_last(k)->generation, 2);
    group_kit_free(k);
}

static void a_write_that_ends_late_changes_nothing(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char leader[64];
    KIT_JOIN(k, .version = 3);
    strcpy(leader, kit_last(k)->member_id);
    k->writes_held = true;
    int sync = kit_sync(k, leader, 1, NULL);
    uint64_t number = k->written;
    KIT_JOIN(k, .version = 3); /* a rebalance meanwhile */
    assert_int_equal(k->answers[sync].err, ERR_REBALANCE_IN_PROGRESS);
    kit_persisted(k, number, ERR_NONE);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    group_kit_free(k);
}

static void followers_wait_for_the_leaders_assignment(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64], assignment[256];
    kit_stable(k, ids, 2);
    KIT_JOIN(k, .id = ids[0]);
    KIT_JOIN(k, .id = ids[1]);
    int waits = kit_sync(k, ids[1], 3, NULL);
    assert_false(k->answers[waits].came);
    snprintf(assignment, sizeof(assignment), "%s=one %s=two ghost=x", ids[0], ids[1]);
    kit_sync(k, ids[0], 3, assignment);
    assert_string_equal(kit_last(k)->assignment, "one");
    assert_string_equal(k->answers[waits].assignment, "two");
    group_kit_free(k);
}

static void syncs_that_are_refused(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    assert_int_equal(k->answers[kit_sync(k, "nobody", 2, NULL)].err, ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(k->answers[kit_sync(k, ids[1], 1, NULL)].err, ERR_ILLEGAL_GENERATION);
    assert_int_equal(k->answers[kit_sync(k, ids[1], 3, NULL)].err, ERR_ILLEGAL_GENERATION);
    KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(k->answers[kit_sync(k, ids[1], 2, NULL)].err, ERR_REBALANCE_IN_PROGRESS);
    group_kit_free(k);
}

static void heartbeats_tell_of_the_rebalance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    assert_int_equal(kit_beat(k, "nobody", 0), ERR_UNKNOWN_MEMBER_ID);
    kit_stable(k, ids, 2);
    assert_int_equal(kit_beat(k, ids[0], 2), ERR_NONE);
    assert_int_equal(kit_beat(k, ids[0], 1), ERR_ILLEGAL_GENERATION);
    KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(kit_beat(k, ids[1], 2), ERR_REBALANCE_IN_PROGRESS);
    KIT_JOIN(k, .id = ids[1]);
    assert_int_equal(k->g.state, GROUP_COMPLETING_REBALANCE);
    assert_int_equal(kit_beat(k, ids[1], 3), ERR_NONE);
    group_kit_free(k);
}

static void a_silent_member_is_out_after_its_session_timeout(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    kit_pass(k, KIT_SESSION_MS - 1);
    assert_int_equal(kit_beat(k, ids[0], 2), ERR_NONE);
    kit_pass(k, 1);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    assert_int_equal(k->g.members_count, 1);
    assert_int_equal(kit_beat(k, ids[1], 2), ERR_UNKNOWN_MEMBER_ID);
    KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(kit_last(k)->generation, 3);
    group_kit_free(k);
}

static void who_waits_for_an_answer_is_not_silent(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    int waits = KIT_JOIN(k, .id = ids[0]);
    for (int i = 0; i < 4; i++) {
        kit_pass(k, KIT_SESSION_MS - 1);
        (void)!kit_beat(k, ids[1], 2);
    }
    assert_false(k->answers[waits].came);
    assert_int_equal(k->g.members_count, 2);
    group_kit_free(k);
}

static void who_never_asks_for_its_assignment_is_out(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    KIT_JOIN(k, .id = ids[0], .rebalance_ms = 20000);
    KIT_JOIN(k, .id = ids[1], .rebalance_ms = 20000);
    kit_sync(k, ids[0], 3, NULL);
    assert_int_equal(k->g.state, GROUP_STABLE);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(k->g.members_count, 2);
        assert_int_equal(kit_beat(k, ids[0], 3), ERR_NONE);
        assert_int_equal(kit_beat(k, ids[1], 3), ERR_NONE);
        kit_pass(k, 5000);
    }
    assert_int_equal(k->g.members_count, 1);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    group_kit_free(k);
}

static void c46_leaving_ends_what_others_wait_for(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[3][64];
    kit_stable(k, ids, 2);
    int joins = KIT_JOIN(k, .metadata = "new");
    assert_false(k->answers[joins].came);
    const char *leaving[] = {ids[0], ids[1]};
    assert_int_equal(kit_leave(k, leaving, 2), ERR_NONE);
    assert_int_equal(k->answers[joins].err, ERR_NONE);
    assert_int_equal(k->answers[joins].generation, 3);
    assert_int_equal(k->g.members_count, 1);
    group_kit_free(k);
}

static void many_that_leave_at_once_make_one_rebalance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[4][64];
    kit_stable(k, ids, 4);
    const char *leaving[] = {ids[1], "ghost", ids[3]};
    assert_int_equal(kit_leave(k, leaving, 3), ERR_NONE);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    KIT_JOIN(k, .id = ids[0]);
    KIT_JOIN(k, .id = ids[2]);
    assert_int_equal(kit_last(k)->generation, 5);
    const char *ghost[] = {"ghost"};
    assert_int_equal(kit_leave(k, ghost, 1), ERR_UNKNOWN_MEMBER_ID);
    group_kit_free(k);
}

static void the_last_that_leaves_makes_the_group_empty_and_durable(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[1][64];
    kit_stable(k, ids, 1);
    int writes = k->writes;
    const char *leaving[] = {ids[0]};
    assert_int_equal(kit_leave(k, leaving, 1), ERR_NONE);
    assert_int_equal(k->g.state, GROUP_EMPTY);
    assert_int_equal(k->g.generation, 2);
    assert_int_equal(k->writes, writes + 1);
    assert_true(group_classic_is_idle(&k->g));
    assert_true(group_classic_deadline(&k->g) == GROUP_NEVER);
    group_kit_free(k);
}

static enum error_code commit(struct group_kit *k, const char *id, int32_t generation)
{
    return group_classic_check_commit(&k->g, slice_from_text(id), SLICE_NULL, generation,
                                      k->now_ms);
}

static void who_may_commit(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    assert_int_equal(commit(k, "", -1), ERR_NONE); /* a simple consumer */
    kit_stable(k, ids, 2);
    assert_int_equal(commit(k, "", -1), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit(k, "nobody", 2), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit(k, ids[1], 2), ERR_NONE);
    assert_int_equal(commit(k, ids[1], 1), ERR_ILLEGAL_GENERATION);
    assert_int_equal(commit(k, ids[1], -1), ERR_ILLEGAL_GENERATION);
    KIT_JOIN(k, .id = ids[0]);
    assert_int_equal(commit(k, ids[1], 2), ERR_NONE); /* before it gives its partitions up */
    KIT_JOIN(k, .id = ids[1]);
    assert_int_equal(commit(k, ids[1], 3), ERR_REBALANCE_IN_PROGRESS);
    group_kit_free(k);
}

static void a_commit_is_a_sign_of_life(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[1][64];
    kit_stable(k, ids, 1);
    for (int i = 0; i < 5; i++) {
        kit_pass(k, KIT_SESSION_MS - 1);
        assert_int_equal(commit(k, ids[0], 1), ERR_NONE);
    }
    group_kit_free(k);
}

static void nobody_is_put_out_for_a_pause_of_the_coordinator(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    k->now_ms += 10 * KIT_SESSION_MS; /* nothing ran */
    group_classic_revive(&k->g, k->now_ms);
    kit_pass(k, KIT_SESSION_MS - 1);
    assert_int_equal(kit_beat(k, ids[0], 2), ERR_NONE);
    assert_int_equal(kit_beat(k, ids[1], 2), ERR_NONE);
    group_kit_free(k);
}

static void a_coordinator_that_goes_answers_who_waits(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    kit_stable(k, ids, 2);
    int joins = KIT_JOIN(k, .id = ids[0]);
    struct group_effects fx;
    group_effects_init(&fx);
    group_classic_abandon(&k->g, ERR_NOT_COORDINATOR, &fx);
    kit_take(k, &fx);
    assert_int_equal(k->answers[joins].err, ERR_NOT_COORDINATOR);
    group_kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assignment_is_told_only_once_it_is_durable),
        cmocka_unit_test(a_write_that_fails_makes_the_group_begin_anew),
        cmocka_unit_test(a_write_that_ends_late_changes_nothing),
        cmocka_unit_test(followers_wait_for_the_leaders_assignment),
        cmocka_unit_test(syncs_that_are_refused),
        cmocka_unit_test(heartbeats_tell_of_the_rebalance),
        cmocka_unit_test(a_silent_member_is_out_after_its_session_timeout),
        cmocka_unit_test(who_waits_for_an_answer_is_not_silent),
        cmocka_unit_test(who_never_asks_for_its_assignment_is_out),
        cmocka_unit_test(c46_leaving_ends_what_others_wait_for),
        cmocka_unit_test(many_that_leave_at_once_make_one_rebalance),
        cmocka_unit_test(the_last_that_leaves_makes_the_group_empty_and_durable),
        cmocka_unit_test(who_may_commit),
        cmocka_unit_test(a_commit_is_a_sign_of_life),
        cmocka_unit_test(nobody_is_put_out_for_a_pause_of_the_coordinator),
        cmocka_unit_test(a_coordinator_that_goes_answers_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
