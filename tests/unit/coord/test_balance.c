/* Balancing: what moves when a broker comes, and what does not. */
#include "metadata_kit.h"

#include "coord/balance.h"
#include "coord/controller.h"
#include "coord/image_resources.h"

#define MOVES_MAX 4

static int64_t replicas_at(const struct image *img, int32_t node_id, bool preferred)
{
    int64_t n = 0;
    FOR_EACH (topic, img->topics, img->topics_count) {
        FOR_EACH (p, (*topic)->partitions, (*topic)->partitions_count)
            n += preferred ? p->replicas[0] == node_id
                           : ids_contain(p->replicas, p->replicas_count, node_id);
    }
    return n;
}

static void assign(struct kit *k, const struct balance_move *m)
{
    struct balance_move copy = *m;
    struct alter_reassignment c = {.topic = copy.topic,
                                   .partition = copy.partition,
                                   .replicas = copy.replicas,
                                   .replicas_count = copy.replicas_count};
    assert_int_equal(KIT_RUN(k, alter_reassignment, &c), ERR_NONE);
}

/* Everybody catches up: the leader of each moving partition proposes the whole list as ISR. */
static void finish_moves(struct kit *k)
{
    const struct image *img = kit_image(k);
    for (int t = 0; t < img->topics_count; t++) {
        for (int32_t i = 0; i < img->topics[t]->partitions_count; i++) {
            const struct image_partition *p = &img->topics[t]->partitions[i];
            struct command_isr_member isr[8];
            for (int r = 0; r < p->replicas_count; r++)
                isr[r] = (struct command_isr_member){p->replicas[r], -1};
            const struct image_broker *leader = image_find_broker(img, p->leader);
            struct alter_partition c = {.node_id = p->leader,
                                        .broker_epoch = leader->epoch,
                                        .topic_id = img->topics[t]->id,
                                        .partition = i,
                                        .leader_epoch = p->leader_epoch,
                                        .partition_epoch = p->partition_epoch,
                                        .isr = isr,
                                        .isr_count = p->replicas_count};
            if (p->adding_count > 0)
                assert_int_equal(KIT_RUN(k, alter_partition, &c), ERR_NONE);
            img = kit_image(k);
        }
    }
}

/* None of them makes more partitions copy at a time than allowed; everybody catches up. */
static void moves_make(struct kit *k, struct balance_moves *moves)
{
    int copying = 0;
    FOR_EACH (m, moves->list.items, moves->list.count) {
        const struct image_topic *topic = image_find_topic(kit_image(k), m->topic);
        const struct image_partition *p = image_find_partition(topic, m->partition);
        copying += !ids_contain(p->replicas, p->replicas_count, m->to);
    }
    assert_true(copying <= MOVES_MAX);
    VEC(struct balance_move) all = {0};
    char names[64][16];
    for (size_t i = 0; i < moves->list.count; i++) {
        struct balance_move m = moves->list.items[i];
        snprintf(names[i], sizeof(names[i]), SLICE_FMT, SLICE_ARG(m.topic));
        m.topic = slice_from_text(names[i]); /* the image goes with the first command */
        vec_push(&all, m);
    }
    FOR_EACH (m, all.items, all.count)
        assign(k, m);
    vec_deinit(&all);
    vec_deinit(&moves->list);
    finish_moves(k);
}

/* Rounds until nothing is left. */
static int run(struct kit *k)
{
    for (int round = 1; round < 200; round++) {
        struct balance_moves moves = {0};
        bool settled = balance_next(kit_image(k), MOVES_MAX, &moves);
        moves_make(k, &moves);
        if (settled)
            return round;
    }
    fail_msg("it does not settle");
    return 0;
}

static void begin(struct kit *k, int32_t brokers, int32_t partitions)
{
    kit_init(k);
    kit_brokers(k, brokers);
    assert_int_equal(kit_topic(k, "a", partitions, 3), ERR_NONE);
    assert_int_equal(kit_topic(k, "b", partitions, 3), ERR_NONE);
}

static void join(struct kit *k, int32_t node_id, const char *rack)
{
    assert_int_equal(kit_register(k, node_id, 1, -1, rack), ERR_NONE);
    assert_int_equal(KIT_UNFENCE(k, node_id), ERR_NONE);
}

static void a_new_broker_gets_its_share_of_replicas_and_leaderships(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, 3, 12);
    assert_false(balance_has_new_broker(kit_image(&k)));
    join(&k, 4, NULL);
    assert_true(balance_has_new_broker(kit_image(&k)));
    run(&k);
    for (int32_t id = 1; id <= 4; id++) {
        assert_in_range(replicas_at(kit_image(&k), id, false), 17, 19);
        assert_in_range(replicas_at(kit_image(&k), id, true), 5, 7);
    }
    assert_false(balance_has_new_broker(kit_image(&k)));
    kit_deinit(&k);
}

static void from_three_to_six(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, 3, 30);
    for (int32_t id = 4; id <= 6; id++)
        join(&k, id, NULL);
    run(&k);
    for (int32_t id = 1; id <= 6; id++) {
        assert_in_range(replicas_at(kit_image(&k), id, false), 28, 32);
        assert_in_range(replicas_at(kit_image(&k), id, true), 9, 11);
    }
    kit_deinit(&k);
}

static void two_replicas_do_not_meet_on_a_rack(void **unused)
{
    (void)unused;
    struct kit k;
    kit_init(&k);
    static const char *const RACKS[] = {"x", "y", "z"};
    for (int32_t id = 1; id <= 3; id++)
        join(&k, id, RACKS[id - 1]);
    assert_int_equal(kit_topic(&k, "a", 12, 3), ERR_NONE);
    join(&k, 4, "x");
    run(&k);
    const struct image *img = kit_image(&k);
    for (int32_t i = 0; i < 12; i++) {
        const struct image_partition *p = &img->topics[0]->partitions[i];
        assert_false(ids_contain(p->replicas, 3, 1) && ids_contain(p->replicas, 3, 4));
    }
    assert_int_equal(replicas_at(img, 1, false), 6);
    assert_int_equal(replicas_at(img, 4, false), 6);
    kit_deinit(&k);
}

static void nothing_moves_while_a_broker_is_down(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, 3, 12);
    join(&k, 4, NULL);
    assert_int_equal(KIT_FENCE(&k, 2), ERR_NONE);
    struct balance_moves moves = {0};
    assert_false(balance_next(kit_image(&k), MOVES_MAX, &moves));
    assert_int_equal(moves.list.count, 0);
    kit_deinit(&k);
}

static void what_people_placed_by_hand_stays_until_a_broker_comes(void **unused)
{
    (void)unused;
    struct kit k;
    kit_init(&k);
    kit_brokers(&k, 3);
    const int32_t one[] = {1};
    assert_int_equal(kit_topic_on(&k, "a", "1", one, 1), ERR_NONE);
    assert_int_equal(kit_topic_on(&k, "b", "1", (const int32_t[]){2}, 1), ERR_NONE);
    assert_int_equal(kit_topic_on(&k, "c", "1", (const int32_t[]){3}, 1), ERR_NONE);
    for (char name[] = "d"; name[0] < 'h'; name[0]++)
        assert_int_equal(kit_topic_on(&k, name, "1", one, 1), ERR_NONE);
    struct controller_options options = {.session_timeout_ms = 3000,
                                         .balance_enabled = true,
                                         .balance_interval_ms = 1000,
                                         .balance_moves_max = MOVES_MAX};
    struct controller *c = controller_new(&options);
    struct controller_effects fx = {0};
    controller_activate(c, kit_image(&k), 1000000);
    controller_tick(c, kit_image(&k), 1000050, &fx);
    assert_int_equal(fx.commands.count, 0);
    join(&k, 4, NULL);
    controller_tick(c, kit_image(&k), 1001050, &fx);
    assert_int_equal(fx.commands.count, 3); /* of five on broker 1; the others had one or none */
    controller_effects_deinit(&fx);
    controller_free(c);
    kit_deinit(&k);
}

/* --- Draining --- */

static void want_drain(struct kit *k, int32_t node_id, bool wanted)
{
    char name[12];
    snprintf(name, sizeof(name), "%d", node_id);
    struct command_config_op op = {.name = BROKER_DRAIN,
                                   .operation = wanted ? CONFIG_SET : CONFIG_DELETE,
                                   .value = wanted ? SLICE("true") : SLICE_NULL};
    struct alter_resource c = {
        .kind = RESOURCE_BROKER, .name = slice_from_text(name), .ops = &op, .ops_count = 1};
    assert_int_equal(KIT_RUN(k, alter_resource, &c), ERR_NONE);
    assert_int_equal(drain_is_wanted(kit_image(k), node_id), wanted);
}

static void a_drained_broker_gives_everything_away_and_gets_nothing(void **unused)
{
    (void)unused;
    struct kit k;
    char reason[200];
    begin(&k, 4, 12);
    assert_int_equal(drain_check(kit_image(&k), 4, reason), ERR_NONE);
    want_drain(&k, 4, true);
    for (int round = 0; drain_left(kit_image(&k), 4) > 0; round++) {
        assert_true(round < 50);
        struct balance_moves moves = {0};
        assert_false(balance_next(kit_image(&k), MOVES_MAX, &moves)); /* nothing meanwhile */
        assert_int_equal(moves.list.count, 0);
        drain_next(kit_image(&k), MOVES_MAX, &moves);
        moves_make(&k, &moves);
    }
    assert_int_equal(kit_topic(&k, "c", 12, 3), ERR_NONE);
    run(&k);
    for (int32_t id = 1; id <= 3; id++)
        assert_int_equal(replicas_at(kit_image(&k), id, false), 36);
    assert_int_equal(drain_left(kit_image(&k), 4), 0);
    kit_deinit(&k);
}

static void drain_is_refused_where_the_rest_cannot_carry_it(void **unused)
{
    (void)unused;
    struct kit k;
    char reason[200];
    begin(&k, 4, 12);
    assert_int_equal(KIT_FENCE(&k, 1), ERR_NONE);
    assert_int_equal(drain_check(kit_image(&k), 4, reason), ERR_INVALID_REPLICATION_FACTOR);
    assert_non_null(strstr(reason, "without broker 4 there are only 2 brokers"));
    assert_int_equal(KIT_UNFENCE(&k, 1), ERR_NONE);
    want_drain(&k, 3, true);
    assert_int_equal(drain_check(kit_image(&k), 4, reason), ERR_INVALID_REPLICATION_FACTOR);
    kit_deinit(&k);
}

static void a_drained_broker_comes_back_only_when_that_was_canceled(void **unused)
{
    (void)unused;
    struct kit k;
    begin(&k, 3, 1);
    join(&k, 4, NULL);
    want_drain(&k, 4, true);
    assert_int_equal(KIT_FENCE(&k, 4), ERR_NONE);
    assert_int_equal(kit_register(&k, 4, 2, -1, NULL), ERR_NONE); /* not yet unregistered */
    struct broker_change c = {.node_id = 4, .broker_epoch = -1};
    assert_int_equal(KIT_RUN(&k, unregister_broker, &c), ERR_NONE);
    assert_int_equal(kit_register(&k, 4, 3, -1, NULL), ERR_BROKER_ID_NOT_REGISTERED);
    want_drain(&k, 4, false);
    assert_int_equal(kit_register(&k, 4, 3, -1, NULL), ERR_NONE);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_broker_gets_its_share_of_replicas_and_leaderships),
        cmocka_unit_test(from_three_to_six),
        cmocka_unit_test(two_replicas_do_not_meet_on_a_rack),
        cmocka_unit_test(nothing_moves_while_a_broker_is_down),
        cmocka_unit_test(what_people_placed_by_hand_stays_until_a_broker_comes),
        cmocka_unit_test(a_drained_broker_gives_everything_away_and_gets_nothing),
        cmocka_unit_test(drain_is_refused_where_the_rest_cannot_carry_it),
        cmocka_unit_test(a_drained_broker_comes_back_only_when_that_was_canceled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
