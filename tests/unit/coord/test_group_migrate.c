/* A live group from the classic protocol to the consumer protocol and back. */
#include "consumer_kit.h"

#include "coord/group_embedded.h"
#include "proto/wire.h"

#define TEST(name) static void name(void **state __attribute__((unused)))

/* A consumer of the classic protocol: what it has, and where it is. */
struct classic_client {
    char id[64];
    const char *topics;
    int32_t generation;
    struct partition_set has;
    bool in_sync; /* it joined, and has not fetched its assignment */
};

struct migrate_kit {
    struct consumer_kit *c;
    struct group_classic classic;
    bool is_consumer;
    struct classic_client clients[4];
    struct buffer assignment; /* the last one */
    int token;
    struct { /* by token */
        bool came;
        enum error_code err;
        int32_t generation;
        char member_id[64];
    } told[128];
};

static struct migrate_kit *mk_new(void)
{
    struct migrate_kit *k = mem_zalloc(sizeof(*k));
    struct group_config config = {.session_min_ms = 1000, .session_max_ms = 60000, .size_max = 100};
    k->c = ck_new(1);
    k->c->g.config.classic_session_min_ms = 1000;
    k->c->g.config.classic_session_max_ms = 60000;
    group_classic_init(&k->classic, &config);
    ck_topic(k->c, "a", 6);
    for (int i = 0; i < 4; i++)
        k->clients[i].topics = "a";
    return k;
}

static void mk_free(struct migrate_kit *k)
{
    group_classic_deinit(&k->classic);
    for (int i = 0; i < 4; i++)
        partition_set_deinit(&k->clients[i].has);
    buffer_deinit(&k->assignment);
    ck_free(k->c);
    free(k);
}

static struct consumer_event event_of(struct migrate_kit *k)
{
    return (struct consumer_event){kit_image(&k->c->kit), k->c->now_ms};
}

static void take(struct migrate_kit *k, struct group_effects *fx)
{
    uint64_t number = fx->persist_number;
    for (size_t i = 0; i < fx->replies.count; i++) {
        const struct group_reply *r = &fx->replies.items[i];
        intptr_t token = (intptr_t)r->token;
        assert_false(k->told[token].came);
        k->told[token].came = true;
        k->told[token].err = r->err;
        k->told[token].generation = r->generation;
        snprintf(k->told[token].member_id, sizeof(k->told[token].member_id), SLICE_FMT,
                 SLICE_ARG(r->member_id));
        buffer_clear(&k->assignment);
        buffer_append_slice(&k->assignment, r->assignment);
    }
    group_effects_deinit(fx);
    if (number == 0)
        return;
    struct group_effects more;
    group_effects_init(&more);
    if (k->is_consumer)
        group_consumer_persisted(&k->c->g, number, &more);
    else
        group_classic_persisted(&k->classic, number, ERR_NONE, k->c->now_ms, &more);
    take(k, &more);
}

/* Version 1 of Kafka's subscription: topics, no data, owned partitions. */
static void subscription(struct migrate_kit *k, const struct classic_client *c, struct buffer *out)
{
    struct wire_writer w;
    struct buffer owned = {0};
    struct slice words[8];
    int32_t count = ck_words(c->topics, words);
    wire_writer_init(&w, out);
    wire_put_i16(&w, 1);
    wire_put_i32(&w, count);
    for (int32_t i = 0; i < count; i++)
        wire_put_string(&w, false, false, words[i]);
    wire_put_bytes(&w, false, true, SLICE_NULL);
    /* An assignment without its version and data is the list of partitions. */
    embedded_assignment_encode(&c->has, kit_image(&k->c->kit), 1, &owned);
    buffer_append(out, owned.data + 2, owned.size - 6);
    wire_writer_deinit(&w);
    buffer_deinit(&owned);
}

/* UNKNOWN_SERVER_ERROR: there is no answer yet. */
static enum error_code joined(struct migrate_kit *k, int i, int token)
{
    struct classic_client *c = &k->clients[i];
    if (!k->told[token].came)
        return ERR_UNKNOWN_SERVER_ERROR;
    enum error_code err = k->told[token].err;
    if (err == ERR_NONE || err == ERR_MEMBER_ID_REQUIRED)
        strcpy(c->id, k->told[token].member_id);
    if (err == ERR_NONE) {
        c->generation = k->told[token].generation;
        c->in_sync = true;
    }
    return err;
}

static enum error_code join_version(struct migrate_kit *k, int i, bool asks_twice)
{
    struct classic_client *c = &k->clients[i];
    struct buffer metadata = {0};
    struct consumer_event event = event_of(k);
    subscription(k, c, &metadata);
    struct group_protocol protocol = {SLICE("range"), buffer_slice(&metadata)};
    struct group_join in = {.token = (void *)(intptr_t)++k->token,
                            .member_id = slice_from_text(c->id),
                            .instance_id = SLICE_NULL,
                            .client_id = SLICE("c"),
                            .client_host = SLICE("/h"),
                            .session_timeout_ms = 10000,
                            .rebalance_timeout_ms = 30000,
                            .protocol_type = SLICE("consumer"),
                            .protocols = &protocol,
                            .protocols_count = 1,
                            .unique = {{(uint8_t)(100 + i)}},
                            .needs_known_id = asks_twice};
    struct group_effects fx;
    group_effects_init(&fx);
    if (k->is_consumer)
        group_consumer_join(&k->c->g, &in, &event, &fx);
    else
        group_classic_join(&k->classic, &in, k->c->now_ms, &fx);
    take(k, &fx);
    buffer_deinit(&metadata);
    return joined(k, i, k->token);
}

static enum error_code join(struct migrate_kit *k, int i)
{
    return join_version(k, i, false);
}

/* An eager client has nothing while it joins; then what it is told. */
static enum error_code sync(struct migrate_kit *k, int i, const struct group_assignment *list,
                            int count)
{
    struct classic_client *c = &k->clients[i];
    struct consumer_event event = event_of(k);
    struct group_sync in = {.token = (void *)(intptr_t)++k->token,
                            .member_id = slice_from_text(c->id),
                            .instance_id = SLICE_NULL,
                            .generation = c->generation,
                            .protocol_type = SLICE("consumer"),
                            .protocol_name = SLICE("range"),
                            .assignments = list,
                            .assignments_count = count};
    struct group_effects fx;
    bool custom;
    group_effects_init(&fx);
    if (k->is_consumer)
        group_consumer_sync(&k->c->g, &in, &event, &fx);
    else
        group_classic_sync(&k->classic, &in, k->c->now_ms, &fx);
    take(k, &fx);
    if (!k->told[k->token].came)
        return ERR_UNKNOWN_SERVER_ERROR;
    if (k->told[k->token].err != ERR_NONE)
        return k->told[k->token].err;
    c->in_sync = false;
    c->has.count = 0;
    assert_int_equal(
        embedded_assignment_decode(buffer_slice(&k->assignment), event.img, &c->has, &custom), 0);
    partition_set_sort(&c->has);
    return ERR_NONE;
}

static enum error_code beat(struct migrate_kit *k, int i)
{
    struct classic_client *c = &k->clients[i];
    struct consumer_event event = event_of(k);
    if (k->is_consumer)
        return group_consumer_heartbeat_classic(&k->c->g, slice_from_text(c->id), SLICE_NULL,
                                                c->generation, &event);
    return group_classic_heartbeat(&k->classic, slice_from_text(c->id), SLICE_NULL, c->generation,
                                   k->c->now_ms);
}

/* Two classic members with three partitions each. */
static void two_classic(struct migrate_kit *k)
{
    join(k, 0);
    join(k, 1); /* parked: a rebalance */
    int second = k->token;
    join(k, 0); /* both are answered */
    assert_int_equal(joined(k, 1, second), ERR_NONE);
    CHECK(k->classic.state == GROUP_COMPLETING_REBALANCE);
    struct buffer bytes[2] = {{0}, {0}};
    struct group_assignment list[2];
    for (int i = 0; i < 2; i++) {
        struct partition_set set = {0};
        for (int32_t p = 0; p < 3; p++)
            partition_set_push(&set, ck_topic_id(k->c, "a"), i * 3 + p, 0);
        embedded_assignment_encode(&set, kit_image(&k->c->kit), 1, &bytes[i]);
        list[i] =
            (struct group_assignment){slice_from_text(k->clients[i].id), buffer_slice(&bytes[i])};
        partition_set_deinit(&set);
    }
    int leader = slice_equal(k->classic.leader, slice_from_text(k->clients[0].id)) ? 0 : 1;
    assert_int_equal(sync(k, leader, list, 2), ERR_NONE);
    assert_int_equal(sync(k, 1 - leader, NULL, 0), ERR_NONE);
    assert_int_equal(k->clients[0].has.count, 3);
    assert_int_equal(k->clients[1].has.count, 3);
    buffer_deinit(&bytes[0]);
    buffer_deinit(&bytes[1]);
}

static int upgrade(struct migrate_kit *k)
{
    struct group_effects fx;
    struct consumer_event event = event_of(k);
    group_effects_init(&fx);
    int rc = group_consumer_from_classic(&k->c->g, &k->classic, &event, &fx);
    if (rc == 0) {
        struct group_config config = k->classic.config;
        group_classic_deinit(&k->classic);
        group_classic_init(&k->classic, &config);
        k->is_consumer = true;
    }
    take(k, &fx);
    return rc;
}

static void downgrade(struct migrate_kit *k)
{
    struct group_effects fx;
    struct consumer_event event = event_of(k);
    group_effects_init(&fx);
    group_consumer_to_classic(&k->c->g, &k->classic, &event, &fx);
    struct consumer_config config = k->c->g.config;
    group_consumer_deinit(&k->c->g);
    group_consumer_init(&k->c->g, &config);
    k->is_consumer = false;
    take(k, &fx);
}

/* Classic clients hear of it, give all up, and come again. */
static void rounds(struct migrate_kit *k)
{
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 2; i++) {
            struct classic_client *c = &k->clients[i];
            if (beat(k, i) == ERR_REBALANCE_IN_PROGRESS) {
                c->has.count = 0;
                assert_int_equal(join(k, i), ERR_NONE);
            }
            if (c->in_sync && sync(k, i, NULL, 0) == ERR_REBALANCE_IN_PROGRESS)
                join(k, i);
            ck_check(k->c);
        }
        ck_beat(k->c, 0);
    }
}

TEST(classic_members_keep_what_they_have_until_they_are_told)
{
    struct migrate_kit *k = mk_new();
    two_classic(k);
    int32_t generation = k->classic.generation;
    assert_int_equal(upgrade(k), 0);
    assert_int_equal(k->c->g.epoch, generation);
    assert_int_equal(k->c->g.members_count, 2);
    assert_int_equal(beat(k, 0), ERR_NONE);
    struct ck_answer *a = ck_join(k->c, 0, "a");
    assert_int_equal(a->err, ERR_NONE);
    assert_int_equal(a->epoch, generation + 1);
    assert_int_equal(a->assignment.count, 0); /* the others have it all */
    assert_int_equal(beat(k, 0), ERR_REBALANCE_IN_PROGRESS);
    rounds(k);
    assert_int_equal(k->c->members[0].has.count, 2);
    assert_int_equal(k->clients[0].has.count, 2);
    assert_int_equal(k->clients[1].has.count, 2);
    assert_string_equal(group_consumer_state_name(&k->c->g), "Stable");
    assert_false(group_consumer_is_classic_only(&k->c->g));
    mk_free(k);
}

TEST(the_last_consumer_member_leaves_a_classic_group_behind)
{
    struct migrate_kit *k = mk_new();
    two_classic(k);
    assert_int_equal(upgrade(k), 0);
    ck_join(k->c, 0, "a");
    rounds(k);
    ck_leave(k->c, 0, CONSUMER_EPOCH_LEAVE);
    assert_true(group_consumer_is_classic_only(&k->c->g));
    int32_t epoch = k->c->g.epoch;
    downgrade(k);
    assert_int_equal(k->classic.state, GROUP_PREPARING_REBALANCE);
    assert_int_equal(k->classic.generation, epoch);
    assert_int_equal(k->classic.members_count, 2);
    assert_true(slice_equals_text(k->classic.protocol_name, "range"));
    assert_int_equal(beat(k, 0), ERR_ILLEGAL_GENERATION); /* it rejoins, under the same id */
    join(k, 0);
    join(k, 1);
    assert_int_equal(k->classic.generation, epoch + 1);
    assert_int_equal(k->classic.members_count, 2);
    mk_free(k);
}

TEST(who_waits_in_a_rebalance_is_told_to_join_again)
{
    struct migrate_kit *k = mk_new();
    two_classic(k);
    join(k, 0); /* the leader: a rebalance that waits for the second */
    assert_int_equal(k->classic.state, GROUP_PREPARING_REBALANCE);
    int waiting = k->token;
    assert_false(k->told[waiting].came);
    assert_int_equal(upgrade(k), 0);
    assert_int_equal(k->told[waiting].err, ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(k->c->g.members_count, 2);
    ck_check(k->c);
    mk_free(k);
}

TEST(members_with_data_of_their_own_stay_classic)
{
    struct migrate_kit *k = mk_new();
    two_classic(k);
    struct group_member *m = CONTAINER_OF(k->classic.members.next, struct group_member, link);
    uint8_t custom[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
    free((void *)m->assignment.data);
    uint8_t *copy = mem_alloc(sizeof(custom));
    memcpy(copy, custom, sizeof(custom));
    m->assignment = slice_of(copy, sizeof(custom));
    assert_int_not_equal(upgrade(k), 0);
    assert_int_equal(k->classic.members_count, 2);
    assert_int_equal(k->classic.state, GROUP_STABLE);
    mk_free(k);
}

TEST(classic_members_are_checked_as_ever)
{
    struct migrate_kit *k = mk_new();
    two_classic(k);
    assert_int_equal(upgrade(k), 0);
    ck_join(k->c, 0, "a");
    struct classic_client *c = &k->clients[0];
    c->generation += 5;
    assert_int_equal(beat(k, 0), ERR_ILLEGAL_GENERATION);
    assert_int_equal(sync(k, 0, NULL, 0), ERR_ILLEGAL_GENERATION);
    c->generation -= 5;
    strcpy(k->clients[2].id, "nobody");
    assert_int_equal(beat(k, 2), ERR_UNKNOWN_MEMBER_ID);
    strcpy(k->clients[2].id, "m0"); /* of the other protocol */
    assert_int_equal(beat(k, 2), ERR_UNKNOWN_MEMBER_ID);
    struct consumer_commit commit = {.member_id = slice_from_text(c->id), .epoch = c->generation};
    assert_int_equal(group_consumer_check_commit(&k->c->g, &commit), ERR_NONE);
    commit.epoch++;
    assert_int_equal(group_consumer_check_commit(&k->c->g, &commit), ERR_ILLEGAL_GENERATION);
    k->clients[3].id[0] = '\0';
    assert_int_equal(join_version(k, 3, true), ERR_MEMBER_ID_REQUIRED);
    assert_int_equal(join_version(k, 3, true), ERR_NONE);
    assert_int_equal(k->c->g.members_count, 4);
    assert_int_equal(
        group_consumer_leave_classic(&k->c->g, slice_from_text(k->clients[3].id), SLICE_NULL),
        ERR_NONE);
    assert_int_equal(group_consumer_leave_classic(&k->c->g, SLICE("m0"), SLICE_NULL),
                     ERR_UNKNOWN_MEMBER_ID);
    mk_free(k);
}

TEST(a_classic_member_that_does_not_rejoin_or_sync_is_out)
{
    struct migrate_kit *k = mk_new();
    two_classic(k);
    assert_int_equal(upgrade(k), 0);
    ck_join(k->c, 0, "a");
    assert_int_equal(beat(k, 0), ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(beat(k, 1), ERR_REBALANCE_IN_PROGRESS);
    for (int i = 0; i < 5; i++) {
        ck_pass(k->c, 6000);
        ck_beat(k->c, 0);
        if (i == 0)
            join(k, 1); /* and does not sync */
        if (i < 4)
            assert_int_equal(beat(k, 0), ERR_REBALANCE_IN_PROGRESS);
    }
    assert_int_equal(beat(k, 0), ERR_UNKNOWN_MEMBER_ID);
    ck_pass(k->c, 6000);
    assert_int_equal(k->c->g.members_count, 1);
    mk_free(k);
}

TEST(a_moving_group_survives_its_coordinator)
{
    struct migrate_kit *k = mk_new();
    struct buffer blob = {0}, again = {0};
    int64_t time_ms;
    two_classic(k);
    assert_int_equal(upgrade(k), 0);
    ck_join(k->c, 0, "a");
    struct consumer_config config = k->c->g.config;
    group_consumer_encode(&k->c->g, 5, &blob);
    group_consumer_deinit(&k->c->g);
    group_consumer_init(&k->c->g, &config);
    assert_int_equal(group_consumer_decode(&k->c->g, buffer_slice(&blob), k->c->now_ms, &time_ms),
                     0);
    group_consumer_encode(&k->c->g, 5, &again);
    assert_true(slice_equal(buffer_slice(&blob), buffer_slice(&again)));
    rounds(k);
    assert_int_equal(k->c->members[0].has.count, 2);
    for (size_t size = 0; size < blob.size; size++) {
        struct group_consumer g;
        group_consumer_init(&g, &config);
        assert_int_not_equal(group_consumer_decode(&g, slice_of(blob.data, size), 0, &time_ms), 0);
        group_consumer_deinit(&g);
    }
    buffer_deinit(&blob);
    buffer_deinit(&again);
    mk_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_members_keep_what_they_have_until_they_are_told),
        cmocka_unit_test(the_last_consumer_member_leaves_a_classic_group_behind),
        cmocka_unit_test(who_waits_in_a_rebalance_is_told_to_join_again),
        cmocka_unit_test(members_with_data_of_their_own_stay_classic),
        cmocka_unit_test(classic_members_are_checked_as_ever),
        cmocka_unit_test(a_classic_member_that_does_not_rejoin_or_sync_is_out),
        cmocka_unit_test(a_moving_group_survives_its_coordinator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
