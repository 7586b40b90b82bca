/* Groups of the consumer protocol: who has what, through joins, leaves and silences. */
#include "consumer_kit.h"

#define TEST(name) static void name(void **state __attribute__((unused)))

TEST(the_first_member_has_all_at_once)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 3);
    struct ck_answer *a = ck_join(k, 0, "a");
    assert_int_equal(a->err, ERR_NONE);
    assert_string_equal(a->member_id, "m0");
    assert_int_equal(a->epoch, 2); /* as in Kafka */
    assert_true(a->told);
    assert_int_equal(a->assignment.count, 3);
    a = ck_beat(k, 0);
    assert_false(a->told); /* nothing new */
    assert_string_equal(group_consumer_state_name(&k->g), "Stable");
    ck_free(k);
}

TEST(what_the_second_gets_is_given_up_by_the_first_before)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 4);
    ck_join(k, 0, "a");
    struct ck_answer *a = ck_join(k, 1, "a");
    assert_int_equal(a->epoch, 3);
    assert_int_equal(a->assignment.count, 0);
    assert_string_equal(group_consumer_state_name(&k->g), "Reconciling");
    k->members[0].keeps = true;
    a = ck_beat(k, 0);
    assert_true(a->told);
    assert_int_equal(a->assignment.count, 2);
    assert_int_equal(a->epoch, 2); /* until it has given up */
    assert_false(ck_beat(k, 1)->told);
    a = ck_beat(k, 0);
    assert_int_equal(a->epoch, 2);
    partition_set_copy(&k->members[0].has, &k->members[0].told);
    a = ck_beat(k, 0);
    assert_int_equal(a->epoch, 3);
    a = ck_beat(k, 1);
    assert_true(a->told);
    assert_int_equal(a->assignment.count, 2);
    assert_string_equal(group_consumer_state_name(&k->g), "Stable");
    ck_free(k);
}

TEST(who_gives_nothing_up_in_time_is_out)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    k->members[0].keeps = true;
    ck_beat(k, 0);
    for (int i = 0; i < 6; i++) {
        ck_pass(k, 10000);
        ck_beat(k, 1);
        if (i < 5)
            assert_int_equal(ck_beat(k, 0)->err, ERR_NONE);
    }
    k->members[0].has.count = 0;
    assert_int_equal(ck_beat(k, 0)->err, ERR_UNKNOWN_MEMBER_ID);
    ck_beat(k, 1);
    assert_int_equal(k->members[1].has.count, 2);
    ck_free(k);
}

TEST(who_is_silent_is_out)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    ck_pass(k, CK_SESSION_MS - 1);
    assert_int_equal(k->g.members_count, 1);
    int writes = k->writes;
    ck_pass(k, 1);
    assert_int_equal(k->g.members_count, 0);
    assert_int_equal(k->writes, writes + 1);
    assert_string_equal(group_consumer_state_name(&k->g), "Empty");
    assert_true(group_consumer_is_idle(&k->g));
    assert_int_equal(ck_beat(k, 0)->err, ERR_UNKNOWN_MEMBER_ID);
    ck_free(k);
}

TEST(a_member_that_leaves_makes_room_at_once)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    ck_settle(k, 2);
    struct ck_answer *a = ck_leave(k, 0, CONSUMER_EPOCH_LEAVE);
    assert_int_equal(a->err, ERR_NONE);
    assert_int_equal(a->epoch, -1);
    assert_string_equal(a->member_id, "m0");
    ck_beat(k, 1);
    assert_int_equal(k->members[1].has.count, 2);
    assert_int_equal(ck_leave(k, 0, CONSUMER_EPOCH_LEAVE)->err, ERR_UNKNOWN_MEMBER_ID);
    ck_free(k);
}

TEST(other_epochs_than_the_members_are_fenced)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    ck_settle(k, 2);
    ck_join(k, 2, "a");
    ck_settle(k, 3);
    int32_t epoch = k->members[0].epoch;
    k->members[0].epoch = epoch + 1;
    assert_int_equal(ck_beat(k, 0)->err, ERR_FENCED_MEMBER_EPOCH);
    /* The one before is that of a member that missed an answer, if it has nothing more. */
    k->members[0].epoch = epoch - 1;
    assert_int_equal(ck_beat(k, 0)->err, ERR_NONE);
    k->members[0].epoch = epoch - 1;
    struct uuid other = {{99}};
    partition_set_push(&k->members[0].has, other, 0, 0);
    partition_set_sort(&k->members[0].has);
    assert_int_equal(ck_beat(k, 0)->err, ERR_FENCED_MEMBER_EPOCH);
    k->members[0].epoch = epoch - 2;
    assert_int_equal(ck_beat(k, 0)->err, ERR_FENCED_MEMBER_EPOCH);
    ck_free(k);
}

/* KAFKA-19233: the way back of a fenced member, at any epoch of the group. */
TEST(a_fenced_member_comes_back_with_epoch_0)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 4);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    ck_settle(k, 2);
    k->members[0].epoch = 77;
    assert_int_equal(ck_beat(k, 0)->err, ERR_FENCED_MEMBER_EPOCH);
    int32_t epoch = k->g.epoch;
    struct ck_answer *a = ck_join_again(k, 0);
    assert_int_equal(a->err, ERR_NONE);
    assert_int_equal(a->epoch, epoch);
    assert_int_equal(a->assignment.count, 2);
    assert_int_equal(k->g.epoch, epoch); /* nobody else notices */
    ck_free(k);
}

TEST(a_member_with_epoch_0_has_nothing_and_what_it_was_to_give_up_is_free)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    k->members[0].keeps = true;
    ck_beat(k, 0);
    k->members[0].keeps = false;
    assert_int_equal(ck_join_again(k, 0)->assignment.count, 1);
    assert_int_equal(ck_beat(k, 1)->assignment.count, 1);
    ck_free(k);
}

TEST(unknown_members_and_full_groups_are_told_so)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    strcpy(k->members[1].id, "m1");
    k->members[1].epoch = 1;
    assert_int_equal(ck_beat(k, 1)->err, ERR_UNKNOWN_MEMBER_ID);
    k->g.config.size_max = 1;
    assert_int_equal(ck_join(k, 1, "a")->err, ERR_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(ck_beat(k, 0)->err, ERR_NONE);
    ck_free(k);
}

TEST(an_old_client_is_given_an_id)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 1);
    struct slice topic = SLICE("a");
    struct consumer_heartbeat in = {.member_id = SLICE(""),
                                    .rebalance_timeout_ms = 1000,
                                    .topics = &topic,
                                    .topics_count = 1,
                                    .has_owned = true};
    struct ck_answer *a = ck_send(k, &in);
    assert_int_equal(a->err, ERR_NONE);
    assert_int_equal(strlen(a->member_id), 22);
    assert_int_equal(a->assignment.count, 1);
    ck_free(k);
}

/* --- Topics come and go --- */

TEST(new_partitions_and_topics_begin_an_epoch_with_the_next_heartbeat)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a late");
    assert_int_equal(k->members[0].has.count, 2);
    ck_topic(k, "other", 1);
    assert_false(ck_beat(k, 0)->told);
    assert_int_equal(k->g.epoch, 2);
    ck_topic(k, "late", 3);
    ck_beat(k, 0);
    assert_int_equal(k->g.epoch, 3);
    assert_int_equal(k->members[0].has.count, 5);
    struct create_partitions more = {.topic = SLICE("a"), .count = 4, .assignments_count = -1};
    assert_int_equal(KIT_RUN(&k->kit, create_partitions, &more), ERR_NONE);
    ck_beat(k, 0);
    assert_int_equal(k->members[0].has.count, 7);
    ck_free(k);
}

TEST(a_deleted_topic_is_given_up)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_topic(k, "b", 2);
    ck_join(k, 0, "a b");
    assert_int_equal(k->members[0].has.count, 4);
    struct delete_topic gone = {.topic_id = ck_topic_id(k, "b")};
    assert_int_equal(KIT_RUN(&k->kit, delete_topic, &gone), ERR_NONE);
    struct ck_answer *a = ck_beat(k, 0);
    assert_true(a->told);
    assert_int_equal(a->assignment.count, 2);
    ck_settle(k, 1);
    ck_free(k);
}

TEST(a_member_that_wants_other_topics_gives_up_the_old_ones)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_topic(k, "b", 3);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a b");
    ck_settle(k, 2);
    struct ck_member *m = &k->members[0];
    struct slice topic = SLICE("b");
    struct consumer_heartbeat in = {.member_id = SLICE("m0"),
                                    .epoch = m->epoch,
                                    .rebalance_timeout_ms = -1,
                                    .topics = &topic,
                                    .topics_count = 1,
                                    .owned = m->has,
                                    .has_owned = true};
    ck_obey(m, ck_send(k, &in));
    ck_settle(k, 2);
    FOR_EACH (p, m->has.items, m->has.count)
        assert_true(uuid_equal(p->topic, ck_topic_id(k, "b")));
    assert_int_equal(m->has.count + k->members[1].has.count, 5);
    ck_free(k);
}

TEST(assignments_do_not_follow_each_other_faster_than_the_interval)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 4);
    k->g.config.assignment_interval_ms = 1000;
    ck_join(k, 0, "a");
    struct ck_answer *a = ck_join(k, 1, "a");
    assert_int_equal(k->g.epoch, 3);
    assert_int_equal(k->g.assignment_epoch, 2);
    assert_int_equal(a->epoch, 2);
    assert_string_equal(group_consumer_state_name(&k->g), "Assigning");
    ck_pass(k, 1000);
    ck_beat(k, 0);
    assert_int_equal(k->g.assignment_epoch, 3);
    ck_settle(k, 2);
    assert_int_equal(k->members[1].has.count, 2);
    ck_free(k);
}

TEST(a_member_with_an_expression_follows_the_topics_that_match)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "logs-a", 2);
    ck_topic(k, "other", 2);
    k->members[0].regex = "logs-.*";
    ck_join(k, 0, NULL);
    assert_int_equal(k->members[0].has.count, 2);
    ck_topic(k, "logs-b", 3);
    ck_beat(k, 0); /* it comes with the next heartbeat */
    assert_int_equal(k->members[0].has.count, 5);
    int32_t epoch = k->g.epoch;
    ck_topic(k, "unwanted", 1);
    ck_beat(k, 0);
    assert_int_equal(k->g.epoch, epoch);
    ck_join(k, 1, "other logs-a"); /* names and expressions in one group */
    ck_settle(k, 2);
    assert_int_equal(k->members[0].has.count + k->members[1].has.count, 7);
    assert_true(group_consumer_subscribes(&k->g, SLICE("logs-b")));
    assert_false(group_consumer_subscribes(&k->g, SLICE("unwanted")));
    struct delete_topic gone = {.topic_id = ck_topic_id(k, "logs-b")};
    assert_int_equal(KIT_RUN(&k->kit, delete_topic, &gone), ERR_NONE);
    ck_settle(k, 2);
    assert_int_equal(k->members[0].has.count + k->members[1].has.count, 4);
    ck_free(k);
}

TEST(a_wrong_expression_is_refused_and_changes_nothing)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    k->members[0].regex = "a(";
    assert_int_equal(ck_join(k, 0, NULL)->err, ERR_INVALID_REGULAR_EXPRESSION);
    assert_int_equal(k->g.members_count, 0);
    assert_int_equal(k->g.epoch, 0);
    k->members[0].regex = "(?=a)a";
    assert_int_equal(ck_join(k, 0, "a")->err, ERR_INVALID_REGULAR_EXPRESSION);
    k->members[0].regex = "";
    assert_int_equal(ck_join(k, 0, "a")->err, ERR_NONE);
    assert_int_equal(k->members[0].has.count, 2);
    ck_free(k);
}

TEST(a_new_coordinator_matches_expressions_anew_without_a_new_epoch)
{
    struct consumer_kit *k = ck_new(1);
    struct buffer blob = {0};
    int64_t time_ms;
    ck_topic(k, "logs-a", 2);
    k->members[0].regex = "logs-.*";
    ck_join(k, 0, NULL);
    struct consumer_config config = k->g.config;
    group_consumer_encode(&k->g, 1, &blob);
    group_consumer_deinit(&k->g);
    group_consumer_init(&k->g, &config);
    assert_int_equal(group_consumer_decode(&k->g, buffer_slice(&blob), k->now_ms, &time_ms), 0);
    assert_true(group_consumer_subscribes(&k->g, SLICE("x"))); /* nobody knows yet */
    assert_false(ck_beat(k, 0)->told);
    assert_false(group_consumer_subscribes(&k->g, SLICE("x")));
    assert_int_equal(k->g.epoch, 2);
    ck_topic(k, "logs-b", 1);
    ck_beat(k, 0);
    assert_int_equal(k->members[0].has.count, 3);
    buffer_deinit(&blob);
    ck_free(k);
}

/* --- Static members --- */

TEST(a_static_member_that_is_away_finds_what_it_had)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 4);
    k->members[0].instance = "i0";
    k->members[2].instance = "i0";
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    ck_settle(k, 2);
    struct partition_set had = {0};
    partition_set_copy(&had, &k->members[0].has);
    assert_int_equal(ck_leave(k, 0, CONSUMER_EPOCH_LEAVE_STATIC)->epoch, -2);
    int32_t epoch = k->g.epoch;
    ck_beat(k, 1);
    assert_int_equal(k->members[1].has.count, 2);
    struct ck_answer *a = ck_join(k, 2, "a");
    assert_int_equal(a->err, ERR_NONE);
    assert_true(partition_set_equal(&a->assignment, &had));
    assert_int_equal(k->g.epoch, epoch);
    assert_int_equal(k->g.members_count, 2);
    /* Who had the instance before is nobody now. */
    k->members[0].epoch = epoch;
    assert_int_equal(ck_beat(k, 0)->err, ERR_FENCED_INSTANCE_ID);
    partition_set_deinit(&had);
    ck_free(k);
}

TEST(an_instance_that_is_there_cannot_be_taken)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 4);
    k->members[0].instance = k->members[1].instance = "i0";
    ck_join(k, 0, "a");
    assert_int_equal(ck_join(k, 1, "a")->err, ERR_UNRELEASED_INSTANCE_ID);
    assert_int_equal(ck_join_again(k, 0)->err, ERR_UNRELEASED_INSTANCE_ID); /* as in Kafka */
    k->members[1].instance = "i1";
    k->members[1].epoch = 2;
    assert_int_equal(ck_beat(k, 1)->err, ERR_UNKNOWN_MEMBER_ID);
    k->members[1].instance = "i0";
    assert_int_equal(ck_leave(k, 1, CONSUMER_EPOCH_LEAVE_STATIC)->err, ERR_FENCED_INSTANCE_ID);
    ck_free(k);
}

TEST(a_static_member_that_stays_away_is_out)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    k->members[0].instance = "i0";
    ck_join(k, 0, "a");
    ck_leave(k, 0, CONSUMER_EPOCH_LEAVE_STATIC);
    ck_pass(k, CK_SESSION_MS);
    assert_int_equal(k->g.members_count, 0);
    ck_free(k);
}

/* --- Writes --- */

TEST(no_answer_leaves_before_what_it_says_is_durable)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    k->writes_held = true;
    struct ck_answer *first = ck_join(k, 0, "a");
    assert_false(first->came);
    struct ck_answer *second = ck_join(k, 1, "a");
    struct ck_answer *third = ck_join(k, 2, "a");
    ck_persisted(k);
    assert_true(first->came);
    assert_false(second->came || third->came);
    assert_int_equal(k->writes, 2); /* the other two in one */
    ck_persisted(k);
    assert_true(second->came && third->came);
    assert_int_equal(k->writes, 2);
    ck_free(k);
}

TEST(a_heartbeat_without_news_waits_for_a_write_that_is_under_way)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 2);
    ck_join(k, 0, "a");
    k->writes_held = true;
    ck_join(k, 1, "a");
    struct ck_answer *a = ck_leave(k, 1, CONSUMER_EPOCH_LEAVE);
    assert_false(a->came);
    ck_persisted(k);
    ck_persisted(k);
    assert_true(a->came);
    int writes = k->writes;
    assert_true(ck_beat(k, 0)->came || k->held != 0);
    if (k->held != 0)
        ck_persisted(k);
    assert_true(ck_beat(k, 0)->came);
    assert_in_range(k->writes, writes, writes + 1);
    ck_free(k);
}

TEST(a_new_coordinator_goes_on_where_the_old_one_was)
{
    struct consumer_kit *k = ck_new(1);
    ck_topic(k, "a", 5);
    ck_topic(k, "b", 2);
    k->members[0].instance = "i0";
    k->members[1].rack = "r";
    ck_join(k, 0, "a b");
    ck_join(k, 1, "a");
    k->members[0].keeps = true;
    ck_beat(k, 0); /* it has something to give up */
    struct buffer blob = {0}, again = {0};
    int64_t time_ms = 0;
    group_consumer_encode(&k->g, 77, &blob);
    struct consumer_config config = k->g.config;
    group_consumer_deinit(&k->g);
    group_consumer_init(&k->g, &config);
    assert_true(group_consumer_is_blob(buffer_slice(&blob)));
    assert_int_equal(group_consumer_decode(&k->g, buffer_slice(&blob), k->now_ms, &time_ms), 0);
    assert_int_equal(time_ms, 77);
    group_consumer_encode(&k->g, 77, &again);
    assert_true(slice_equal(buffer_slice(&blob), buffer_slice(&again)));
    partition_set_copy(&k->members[0].has, &k->members[0].told);
    k->members[0].keeps = false;
    ck_settle(k, 2);
    assert_int_equal(k->g.epoch, 3);
    for (size_t size = 0; size < blob.size; size++) {
        struct group_consumer g;
        group_consumer_init(&g, &config);
        assert_int_not_equal(group_consumer_decode(&g, slice_of(blob.data, size), 0, &time_ms), 0);
        group_consumer_deinit(&g);
    }
    buffer_deinit(&blob);
    buffer_deinit(&again);
    ck_free(k);
}

/* --- Offsets --- */

static enum error_code commit(struct consumer_kit *k, const char *id, int32_t epoch,
                              const struct partition_set *partitions)
{
    struct consumer_commit in = {.member_id = slice_from_text(id),
                                 .epoch = epoch,
                                 .modern = true,
                                 .partitions = partitions->items,
                                 .partitions_count = partitions->count};
    return group_consumer_check_commit(&k->g, &in);
}

TEST(commits_are_checked_by_member_epoch)
{
    struct consumer_kit *k = ck_new(1);
    struct partition_set none = {0}, old = {0};
    ck_topic(k, "a", 2);
    assert_int_equal(commit(k, "", -1, &none), ERR_NONE);
    ck_join(k, 0, "a");
    ck_join(k, 1, "a");
    ck_settle(k, 2);
    int32_t epoch = k->members[0].epoch;
    assert_int_equal(commit(k, "", -1, &none), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit(k, "m0", epoch, &none), ERR_NONE);
    assert_int_equal(commit(k, "m0", epoch + 1, &none), ERR_STALE_MEMBER_EPOCH);
    assert_int_equal(commit(k, "m0", epoch - 1, &k->members[1].has), ERR_STALE_MEMBER_EPOCH);
    /* What it has had since then it may commit still. */
    assert_int_equal(commit(k, "m0", epoch - 1, &k->members[0].has), ERR_NONE);
    assert_int_equal(commit(k, "m1", epoch - 1, &k->members[1].has), ERR_STALE_MEMBER_EPOCH);
    assert_int_equal(group_consumer_check_fetch(&k->g, SLICE_NULL, -1), ERR_NONE);
    assert_int_equal(group_consumer_check_fetch(&k->g, SLICE("m0"), epoch), ERR_NONE);
    assert_int_equal(group_consumer_check_fetch(&k->g, SLICE("m0"), 1), ERR_STALE_MEMBER_EPOCH);
    assert_int_equal(group_consumer_check_fetch(&k->g, SLICE("x"), 1), ERR_UNKNOWN_MEMBER_ID);
    partition_set_deinit(&none);
    partition_set_deinit(&old);
    ck_free(k);
}

TEST(offsets_expire_by_their_age_but_not_of_topics_that_are_read)
{
    struct consumer_kit *k = ck_new(1);
    struct group_offset_age read = {SLICE("a"), 1000, -1}, left = {SLICE("b"), 1000, -1};
    ck_topic(k, "a", 1);
    ck_join(k, 0, "a");
    assert_false(group_consumer_offset_expired(&k->g, &read, 999999, 500));
    assert_false(group_consumer_offset_expired(&k->g, &left, 1499, 500));
    assert_true(group_consumer_offset_expired(&k->g, &left, 1500, 500));
    left.expire_time_ms = 5000; /* an old client asked for it */
    assert_false(group_consumer_offset_expired(&k->g, &left, 4999, 500));
    assert_true(group_consumer_offset_expired(&k->g, &left, 5000, 500));
    ck_leave(k, 0, CONSUMER_EPOCH_LEAVE);
    assert_true(group_consumer_offset_expired(&k->g, &read, 1500, 500));
    ck_free(k);
}

/* --- Chance --- */

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static void act(struct consumer_kit *k, int i, uint64_t *seed)
{
    static const char *const TOPICS[] = {"a", "b", "a b", "a b c"};
    struct ck_member *m = &k->members[i];
    bool in = m->id[0] != '\0' && group_consumer_find(&k->g, slice_from_text(m->id)) != NULL;
    uint32_t what = draw(seed, 20);
    if (!in || what == 0) {
        m->keeps = false;
        ck_join(k, i, TOPICS[draw(seed, 4)]);
    } else if (what == 1) {
        ck_leave(k, i, CONSUMER_EPOCH_LEAVE);
    } else if (what == 2) {
        m->keeps = !m->keeps;
    } else if (what == 3) {
        m->epoch += (int32_t)draw(seed, 3) - 1;
    } else {
        if (!m->keeps)
            partition_set_keep(&m->has, &m->told);
        struct ck_answer *a = ck_beat(k, i);
        if (a->err != ERR_NONE)
            ck_join_again(k, i); /* it drops what it has and comes back */
    }
}

TEST(no_partition_is_ever_two_members_and_all_ends_well)
{
    for (uint64_t run = 1; run <= 60; run++) {
        uint64_t seed = run;
        struct consumer_kit *k = ck_new(1);
        ck_topic(k, "a", 5);
        ck_topic(k, "b", 3);
        for (int step = 0; step < 250; step++) {
            act(k, (int)draw(&seed, 5), &seed);
            if (step == 100)
                ck_topic(k, "c", 4);
        }
        for (int i = 0; i < 5; i++)
            if (k->members[i].id[0] != '\0') {
                k->members[i].keeps = false;
                ck_join(k, i, "a b c");
            }
        ck_settle(k, 5);
        size_t all = 0;
        for (int i = 0; i < 5; i++)
            all += k->members[i].has.count;
        assert_int_equal(all, 12);
        ck_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_member_has_all_at_once),
        cmocka_unit_test(what_the_second_gets_is_given_up_by_the_first_before),
        cmocka_unit_test(who_gives_nothing_up_in_time_is_out),
        cmocka_unit_test(who_is_silent_is_out),
        cmocka_unit_test(a_member_that_leaves_makes_room_at_once),
        cmocka_unit_test(other_epochs_than_the_members_are_fenced),
        cmocka_unit_test(a_fenced_member_comes_back_with_epoch_0),
        cmocka_unit_test(a_member_with_epoch_0_has_nothing_and_what_it_was_to_give_up_is_free),
        cmocka_unit_test(unknown_members_and_full_groups_are_told_so),
        cmocka_unit_test(an_old_client_is_given_an_id),
        cmocka_unit_test(new_partitions_and_topics_begin_an_epoch_with_the_next_heartbeat),
        cmocka_unit_test(a_deleted_topic_is_given_up),
        cmocka_unit_test(a_member_that_wants_other_topics_gives_up_the_old_ones),
        cmocka_unit_test(assignments_do_not_follow_each_other_faster_than_the_interval),
        cmocka_unit_test(a_member_with_an_expression_follows_the_topics_that_match),
        cmocka_unit_test(a_wrong_expression_is_refused_and_changes_nothing),
        cmocka_unit_test(a_new_coordinator_matches_expressions_anew_without_a_new_epoch),
        cmocka_unit_test(a_static_member_that_is_away_finds_what_it_had),
        cmocka_unit_test(an_instance_that_is_there_cannot_be_taken),
        cmocka_unit_test(a_static_member_that_stays_away_is_out),
        cmocka_unit_test(no_answer_leaves_before_what_it_says_is_durable),
        cmocka_unit_test(a_heartbeat_without_news_waits_for_a_write_that_is_under_way),
        cmocka_unit_test(a_new_coordinator_goes_on_where_the_old_one_was),
        cmocka_unit_test(commits_are_checked_by_member_epoch),
        cmocka_unit_test(offsets_expire_by_their_age_but_not_of_topics_that_are_read),
        cmocka_unit_test(no_partition_is_ever_two_members_and_all_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
