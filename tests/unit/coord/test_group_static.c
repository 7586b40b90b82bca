/* Static members (KIP-345, 814), the durable state, and what holds whatever happens. */
#include "group_kit.h"
#include "proto/base/rng.h"

/* A stable group of a static leader "s" and a dynamic follower. */
static void static_pair(struct group_kit *k, char ids[2][64])
{
    char assignments[256];
    KIT_JOIN(k, .instance = "s", .version = 5);
    strcpy(ids[0], kit_last(k)->member_id);
    assert_memory_equal(ids[0], "s-", 2);
    int second = KIT_JOIN(k, .version = 3);
    KIT_JOIN(k, .id = ids[0], .instance = "s", .version = 5);
    strcpy(ids[1], k->answers[second].member_id);
    snprintf(assignments, sizeof(assignments), "%s=one %s=two", ids[0], ids[1]);
    kit_sync_instance(k, ids[0], "s", 2, assignments);
    kit_sync(k, ids[1], 2, NULL);
    assert_int_equal(k->g.state, GROUP_STABLE);
}

static enum error_code beat_static(struct group_kit *k, const char *id, const char *instance)
{
    return group_classic_heartbeat(&k->g, slice_from_text(id), slice_from_text(instance),
                                   k->g.generation, k->now_ms);
}

static void c51_a_static_member_comes_back_without_a_rebalance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64], back[64];
    static_pair(k, ids);
    KIT_JOIN(k, .instance = "s", .version = 9);
    strcpy(back, kit_last(k)->member_id);
    assert_int_equal(kit_last(k)->err, ERR_NONE);
    assert_string_not_equal(back, ids[0]);
    assert_int_equal(kit_last(k)->generation, 2);
    assert_string_equal(kit_last(k)->leader, back);
    assert_true(kit_last(k)->skip_assignment); /* it leads, and assigns nothing anew */
    assert_true(kit_last(k)->members[0] != '\0');
    assert_int_equal(k->g.state, GROUP_STABLE);
    kit_sync_instance(k, back, "s", 2, NULL);
    assert_string_equal(kit_last(k)->assignment, "one");
    assert_int_equal(kit_beat(k, ids[1], 2), ERR_NONE);
    group_kit_free(k);
}

static void an_older_static_leader_does_not_take_itself_for_one(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    static_pair(k, ids);
    KIT_JOIN(k, .instance = "s", .version = 7);
    assert_string_equal(kit_last(k)->leader, ids[0]);
    assert_string_equal(kit_last(k)->members, "");
    assert_false(kit_last(k)->skip_assignment);
    group_kit_free(k);
}

static void the_answer_to_a_static_member_waits_until_its_id_is_durable(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    static_pair(k, ids);
    k->writes_held = true;
    int joins = KIT_JOIN(k, .instance = "s", .version = 9);
    assert_false(k->answers[joins].came);
    kit_persisted(k, k->written, ERR_NOT_COORDINATOR);
    assert_int_equal(k->answers[joins].err, ERR_NOT_COORDINATOR);
    group_kit_free(k);
}

static void who_was_replaced_is_fenced(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    static_pair(k, ids);
    KIT_JOIN(k, .instance = "s", .version = 9);
    assert_int_equal(beat_static(k, ids[0], "s"), ERR_FENCED_INSTANCE_ID);
    assert_int_equal(k->answers[kit_sync_instance(k, ids[0], "s", 2, NULL)].err,
                     ERR_FENCED_INSTANCE_ID);
    KIT_JOIN(k, .id = ids[0], .instance = "s", .version = 9);
    assert_int_equal(kit_last(k)->err, ERR_FENCED_INSTANCE_ID);
    assert_int_equal(
        group_classic_check_commit(&k->g, slice_from_text(ids[0]), SLICE("s"), 2, k->now_ms),
        ERR_FENCED_INSTANCE_ID);
    assert_int_equal(beat_static(k, "x", "unknown"), ERR_UNKNOWN_MEMBER_ID);
    group_kit_free(k);
}

static void who_waits_while_it_is_replaced_is_fenced(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    static_pair(k, ids);
    int waits = KIT_JOIN(k, .id = ids[0], .instance = "s", .version = 9); /* a rebalance */
    int takes = KIT_JOIN(k, .instance = "s", .version = 9);
    assert_int_equal(k->answers[waits].err, ERR_FENCED_INSTANCE_ID);
    KIT_JOIN(k, .id = ids[1]);
    assert_int_equal(k->answers[takes].err, ERR_NONE);
    assert_int_equal(k->answers[takes].generation, 3);
    group_kit_free(k);
}

static void another_protocol_of_a_static_member_makes_the_group_rebalance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    KIT_JOIN(k, .instance = "s", .version = 9, .protocols = "range sticky");
    char id[64];
    strcpy(id, kit_last(k)->member_id);
    kit_sync_instance(k, id, "s", 1, NULL);
    KIT_JOIN(k, .instance = "s", .version = 9, .protocols = "sticky range");
    assert_int_equal(kit_last(k)->err, ERR_NONE);
    assert_int_equal(kit_last(k)->generation, 2);
    assert_string_equal(kit_last(k)->protocol, "sticky");
    group_kit_free(k);
}

static void a_static_member_keeps_its_place_through_a_rebalance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    static_pair(k, ids);
    int joins =
        KIT_JOIN(k, .id = ids[1], .metadata = "new", .session_ms = 60000, .rebalance_ms = 5000);
    k->g.join_deadline_ms = k->now_ms + 5000; /* before the static one's session ends */
    kit_pass(k, 5000);
    assert_int_equal(k->answers[joins].err, ERR_NONE);
    assert_int_equal(k->g.members_count, 2);
    assert_string_equal(k->answers[joins].leader, ids[1]);
    assert_non_null(strstr(k->answers[joins].members, ids[0]));
    group_kit_free(k);
}

static void an_administrator_removes_a_static_member_by_its_instance(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    char ids[2][64];
    struct group_effects fx;
    static_pair(k, ids);
    group_effects_init(&fx);
    assert_int_equal(group_classic_leave(&k->g, SLICE(""), SLICE("nobody"), &fx),
                     ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(group_classic_leave(&k->g, SLICE("other"), SLICE("s"), &fx),
                     ERR_FENCED_INSTANCE_ID);
    assert_int_equal(group_classic_leave(&k->g, SLICE(""), SLICE("s"), &fx), ERR_NONE);
    group_classic_left(&k->g, k->now_ms, &fx);
    kit_take(k, &fx);
    assert_int_equal(k->g.members_count, 1);
    assert_int_equal(k->g.state, GROUP_PREPARING_REBALANCE);
    group_kit_free(k);
}

/* --- The durable state --- */

static void a_group_goes_on_where_its_coordinator_left_it(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    struct buffer blob = {0};
    char ids[2][64];
    int64_t time_ms;
    static_pair(k, ids);
    group_classic_encode(&k->g, 123456789, &blob);
    struct group_kit *next = group_kit_new();
    assert_int_equal(group_classic_decode(&next->g, buffer_slice(&blob), next->now_ms, &time_ms),
                     0);
    assert_true(time_ms == 123456789);
    assert_int_equal(next->g.state, GROUP_STABLE);
    assert_int_equal(kit_beat(next, ids[1], 2), ERR_NONE);
    assert_int_equal(beat_static(next, ids[0], "s"), ERR_NONE);
    assert_string_equal(next->answers[kit_sync(next, ids[1], 2, NULL)].assignment, "two");
    KIT_JOIN(next, .id = ids[1]); /* a follower: nothing new */
    assert_int_equal(kit_last(next)->generation, 2);
    assert_string_equal(kit_last(next)->leader, ids[0]);
    kit_pass(next, KIT_SESSION_MS); /* sessions run here, too */
    assert_int_equal(next->g.state, GROUP_EMPTY);
    buffer_deinit(&blob);
    group_kit_free(next);
    group_kit_free(k);
}

static void an_empty_group_keeps_its_generation(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    struct buffer blob = {0};
    char ids[1][64];
    int64_t time_ms;
    kit_stable(k, ids, 1);
    const char *leaving[] = {ids[0]};
    assert_int_equal(kit_leave(k, leaving, 1), ERR_NONE);
    group_classic_encode(&k->g, 5, &blob);
    struct group_kit *next = group_kit_new();
    assert_int_equal(group_classic_decode(&next->g, buffer_slice(&blob), 0, &time_ms), 0);
    assert_int_equal(next->g.state, GROUP_EMPTY);
    assert_true(slice_equals_text(next->g.protocol_type, "consumer"));
    KIT_JOIN(next, .version = 3);
    assert_int_equal(kit_last(next)->generation, 3);
    buffer_deinit(&blob);
    group_kit_free(next);
    group_kit_free(k);
}

static void a_broken_state_is_an_error_and_leaves_an_empty_group(void **state)
{
    (void)state;
    struct group_kit *k = group_kit_new();
    struct buffer blob = {0};
    char ids[2][64];
    int64_t time_ms;
    static_pair(k, ids);
    group_classic_encode(&k->g, 5, &blob);
    for (size_t size = 0; size < blob.size; size++) {
        struct group_kit *next = group_kit_new();
        uint8_t *cut = mem_alloc(size + 1); /* so that reading past it is found */
        memcpy(cut, blob.data, size);
        assert_int_not_equal(group_classic_decode(&next->g, slice_of(cut, size), 0, &time_ms), 0);
        assert_int_equal(next->g.members_count, 0);
        assert_int_equal(next->g.state, GROUP_EMPTY);
        free(cut);
        group_kit_free(next);
    }
    buffer_deinit(&blob);
    group_kit_free(k);
}

/* --- Whatever happens --- */

#define RANDOM_MEMBERS 6

struct random_member {
    char id[64];
    char instance[16];
    int join; /* tokens not looked at yet */
    int sync;
    int32_t generation;
    bool leads;
};

static void random_join(struct group_kit *k, struct rng *r, struct random_member *m)
{
    m->join = KIT_JOIN(
        k, .id = m->id[0] ? m->id : NULL, .instance = m->instance[0] ? m->instance : NULL,
        .metadata = rng_below(r, 4) == 0 ? "other" : "m",
        .rebalance_ms = 1000 + (int)rng_below(r, 20000), .version = rng_below(r, 2) ? 3 : 9);
}

static void random_look(struct group_kit *k, struct random_member *m)
{
    struct group_answer *a = &k->answers[m->join];
    if (m->join != 0 && a->came) {
        m->join = 0;
        if (a->err == ERR_NONE || a->err == ERR_MEMBER_ID_REQUIRED)
            strcpy(m->id, a->member_id);
        else if (a->err == ERR_UNKNOWN_MEMBER_ID || a->err == ERR_FENCED_INSTANCE_ID)
            m->id[0] = '\0';
        m->generation = a->generation;
        m->leads = a->err == ERR_NONE && strcmp(a->leader, a->member_id) == 0;
    }
    if (m->sync != 0 && k->answers[m->sync].came)
        m->sync = 0;
}

static void random_step(struct group_kit *k, struct rng *r, struct random_member *m)
{
    char assignment[128];
    const char *leaving[] = {m->id};
    switch (rng_below(r, 6)) {
    case 0:
        random_join(k, r, m);
        break;
    case 1:
    case 2:
        snprintf(assignment, sizeof(assignment), "%s=x", m->id);
        m->sync = kit_sync_instance(k, m->id, m->instance[0] ? m->instance : NULL, m->generation,
                                    m->leads ? assignment : NULL);
        break;
    case 3:
        (void)!kit_beat(k, m->id, m->generation);
        break;
    case 4:
        if (rng_below(r, 4) == 0)
            (void)!kit_leave(k, leaving, 1);
        break;
    default:
        kit_pass(k, (int64_t)rng_below(r, 3000));
    }
}

/* Every request is answered once (the kit looks), generations only grow, and when all fall silent
 * the group is empty after a bounded time, with nobody left waiting. */
static void random_run(uint64_t seed)
{
    struct group_kit *k = group_kit_new();
    struct random_member members[RANDOM_MEMBERS] = {0};
    struct rng r;
    rng_init(&r, seed);
    k->g.config.initial_delay_ms = (int32_t)rng_below(&r, 2) * 500;
    strcpy(members[0].instance, "s");
    int32_t generation = 0;
    for (int i = 0; i < 400; i++) {
        struct random_member *m = &members[rng_below(&r, RANDOM_MEMBERS)];
        random_look(k, m);
        random_step(k, &r, m);
        assert_true(k->g.generation >= generation);
        assert_true(k->g.state != GROUP_EMPTY || k->g.members_count == 0);
        assert_true(k->g.state < GROUP_COMPLETING_REBALANCE || k->g.members_count > 0);
        generation = k->g.generation;
    }
    kit_pass(k, GROUP_NEW_MEMBER_JOIN_MS + 10 * KIT_REBALANCE_MS);
    assert_int_equal(k->g.state, GROUP_EMPTY);
    assert_true(group_classic_is_idle(&k->g));
    for (int token = 1; token <= k->token; token++)
        assert_true(k->answers[token].came);
    group_kit_free(k);
}

static void every_request_is_answered_once_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++)
        random_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c51_a_static_member_comes_back_without_a_rebalance),
        cmocka_unit_test(an_older_static_leader_does_not_take_itself_for_one),
        cmocka_unit_test(the_answer_to_a_static_member_waits_until_its_id_is_durable),
        cmocka_unit_test(who_was_replaced_is_fenced),
        cmocka_unit_test(who_waits_while_it_is_replaced_is_fenced),
        cmocka_unit_test(another_protocol_of_a_static_member_makes_the_group_rebalance),
        cmocka_unit_test(a_static_member_keeps_its_place_through_a_rebalance),
        cmocka_unit_test(an_administrator_removes_a_static_member_by_its_instance),
        cmocka_unit_test(a_group_goes_on_where_its_coordinator_left_it),
        cmocka_unit_test(an_empty_group_keeps_its_generation),
        cmocka_unit_test(a_broken_state_is_an_error_and_leaves_an_empty_group),
        cmocka_unit_test(every_request_is_answered_once_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
