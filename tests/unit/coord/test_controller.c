/* The controller over the state machine: what it proposes is applied at once. */
#include "metadata_kit.h"

#include "coord/controller.h"

#define TIMEOUT  3000
#define ELECTION 200

struct bench {
    struct kit k;
    struct controller *c;
    int64_t now_ms;
    struct controller_answer answer;
    VEC(int32_t) probes;
    int proposed;
};

static void bench_init(struct bench *b)
{
    *b = (struct bench){.now_ms = 1000000};
    kit_init(&b->k);
    struct controller_options options = {.session_timeout_ms = TIMEOUT,
                                         .election_timeout_ms = ELECTION,
                                         .rebalance_enabled = true,
                                         .rebalance_interval_ms = 300000};
    b->c = controller_new(&options);
    controller_activate(b->c, kit_image(&b->k), b->now_ms);
}

static void bench_deinit(struct bench *b)
{
    vec_deinit(&b->probes);
    controller_free(b->c);
    kit_deinit(&b->k);
}

static void carry_out(struct bench *b, struct controller_effects *fx)
{
    FOR_EACH (command, fx->commands.items, fx->commands.count) {
        (void)kit_run(&b->k, command); /* frees it */
        *command = (struct buffer){0};
        b->proposed++;
    }
    FOR_EACH (probe, fx->probes.items, fx->probes.count)
        vec_push(&b->probes, *probe);
    controller_effects_deinit(fx);
}

static struct controller_hello hello_of(int32_t node_id, int32_t life, uint64_t connection,
                                        struct image_endpoint *endpoint)
{
    *endpoint = (struct image_endpoint){SLICE("PLAINTEXT"), SLICE("localhost"), 9090 + node_id, 0};
    return (struct controller_hello){.broker = {.node_id = node_id,
                                                .incarnation = kit_uuid('b', life * 1000 + node_id),
                                                .clean_epoch = -1,
                                                .endpoints = endpoint,
                                                .endpoints_count = 1},
                                     .applied_index = INT64_MAX,
                                     .connection = connection};
}

static enum error_code say(struct bench *b, const struct controller_hello *hello)
{
    struct controller_effects fx = {0};
    controller_hello(b->c, kit_image(&b->k), b->now_ms, hello, &b->answer, &fx);
    carry_out(b, &fx);
    return b->answer.error_code;
}

static enum error_code hello(struct bench *b, int32_t node_id, int32_t life, uint64_t connection)
{
    struct image_endpoint endpoint;
    struct controller_hello h = hello_of(node_id, life, connection, &endpoint);
    return say(b, &h);
}

static void tick(struct bench *b, int64_t ms)
{
    for (int64_t end = b->now_ms + ms; b->now_ms < end;) {
        b->now_ms += 100;
        struct controller_effects fx = {0};
        controller_tick(b->c, kit_image(&b->k), b->now_ms, &fx);
        carry_out(b, &fx);
    }
}

static void lose(struct bench *b, uint64_t connection)
{
    struct controller_effects fx = {0};
    controller_connection_lost(b->c, connection, &fx);
    carry_out(b, &fx);
}

static void refuse_connect(struct bench *b, int32_t node_id)
{
    struct controller_effects fx = {0};
    controller_connect_refused(b->c, kit_image(&b->k), b->now_ms, node_id, &fx);
    carry_out(b, &fx);
}

static bool fenced(struct bench *b, int32_t node_id)
{
    return image_find_broker(kit_image(&b->k), node_id)->fenced;
}

static void a_broker_registers_catches_up_and_is_unfenced(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    assert_int_equal(hello(&b, 1, 1, 11), ERR_NONE);
    assert_int_equal(b.answer.broker_epoch, -1);
    struct image_endpoint endpoint;
    struct controller_hello h = hello_of(1, 1, 11, &endpoint);
    h.applied_index = 0;
    assert_int_equal(say(&b, &h), ERR_NONE);
    assert_int_equal(b.answer.broker_epoch, 1);
    assert_true(fenced(&b, 1)); /* not caught up */
    assert_int_equal(hello(&b, 1, 1, 11), ERR_NONE);
    assert_false(fenced(&b, 1));
    assert_int_equal(hello(&b, 1, 1, 11), ERR_NONE);
    assert_false(b.answer.fenced);
    h.cluster_id = SLICE("other");
    struct form_cluster form = {SLICE("ours"), 1, NULL, 0};
    KIT_RUN(&b.k, form_cluster, &form);
    assert_int_equal(say(&b, &h), ERR_INCONSISTENT_CLUSTER_ID);
    bench_deinit(&b);
}

static void join(struct bench *b, int32_t node_id, int32_t life, uint64_t connection)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(hello(b, node_id, life, connection), ERR_NONE);
    assert_false(fenced(b, node_id));
}

static void silence_fences_after_the_session_timeout(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    tick(&b, TIMEOUT - 100);
    assert_false(fenced(&b, 1));
    tick(&b, 100);
    assert_true(fenced(&b, 1));
    hello(&b, 1, 1, 11); /* it was only paused */
    assert_false(fenced(&b, 1));
    bench_deinit(&b);
}

static void a_refused_connection_fences_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    lose(&b, 11);
    assert_int_equal(b.probes.count, 1);
    assert_int_equal(b.probes.items[0], 1);
    assert_false(fenced(&b, 1)); /* a broken connection alone says little */
    refuse_connect(&b, 1);
    assert_true(fenced(&b, 1));
    bench_deinit(&b);
}

static void a_broker_that_connected_again_is_not_fenced_by_an_old_probe(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    lose(&b, 11);
    assert_int_equal(hello(&b, 1, 1, 12), ERR_NONE);
    refuse_connect(&b, 1);
    assert_false(fenced(&b, 1));
    bench_deinit(&b);
}

/* F68: two processes under one id. */
static void a_second_process_is_refused_while_the_first_lives(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    assert_int_equal(hello(&b, 1, 2, 12), ERR_DUPLICATE_BROKER_REGISTRATION);
    assert_int_equal(hello(&b, 1, 1, 11), ERR_NONE);
    assert_false(b.answer.fenced);
    bench_deinit(&b);
}

static void a_restarted_process_takes_over_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    lose(&b, 11);
    join(&b, 1, 2, 12);
    assert_true(
        uuid_equal(image_find_broker(kit_image(&b.k), 1)->incarnation, kit_uuid('b', 2001)));
    assert_int_equal(hello(&b, 1, 1, 13), ERR_DUPLICATE_BROKER_REGISTRATION); /* the zombie */
    bench_deinit(&b);
}

static void all_brokers_restarted_together_need_no_timeout(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    for (int32_t id = 1; id <= 3; id++)
        join(&b, id, 1, 10 + (uint64_t)id);
    controller_activate(b.c, kit_image(&b.k), b.now_ms); /* a new one, which heard nobody yet */
    for (int32_t id = 1; id <= 3; id++)
        join(&b, id, 2, 20 + (uint64_t)id);
    bench_deinit(&b);
}

/* Counted from when the one before fell silent; a lease that it granted is over by then. */
static void a_new_controller_waits_a_session_timeout(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    b.now_ms += 100000;
    controller_activate(b.c, kit_image(&b.k), b.now_ms);
    tick(&b, TIMEOUT - ELECTION - 100);
    assert_false(fenced(&b, 1));
    tick(&b, 100);
    assert_true(fenced(&b, 1));
    assert_int_equal(controller_lease_ms(TIMEOUT, ELECTION, 10), TIMEOUT - 2 * ELECTION - 30);
    assert_int_equal(controller_lease_ms(300, ELECTION, 10), 150);
    bench_deinit(&b);
}

static void a_new_controller_asks_all_and_fences_at_once_who_refuses(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    join(&b, 2, 1, 12);
    controller_activate(b.c, kit_image(&b.k), b.now_ms);
    hello(&b, 2, 1, 22);
    tick(&b, 100);
    assert_int_equal(b.probes.count, 1); /* who has come needs no question */
    assert_int_equal(b.probes.items[0], 1);
    tick(&b, 200);
    assert_int_equal(b.probes.count, 2); /* no answer, no end of asking */
    refuse_connect(&b, 1);
    refuse_connect(&b, 2);
    assert_true(fenced(&b, 1));
    assert_false(fenced(&b, 2));
    bench_deinit(&b);
}

static void its_own_pause_is_not_held_against_brokers(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    tick(&b, 200);
    b.now_ms += 60000;
    tick(&b, 100);
    assert_false(fenced(&b, 1));
    bench_deinit(&b);
}

static void a_broker_that_wants_to_leave_may_go_when_its_work_is_elsewhere(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    join(&b, 2, 1, 12);
    kit_topic_on(&b.k, "t", "1", IDS(1, 2), 2);
    struct image_endpoint endpoint;
    struct controller_hello h = hello_of(1, 1, 11, &endpoint);
    h.want_shutdown = true;
    assert_int_equal(say(&b, &h), ERR_NONE);
    assert_false(b.answer.should_shutdown);
    assert_int_equal(say(&b, &h), ERR_NONE);
    assert_true(b.answer.should_shutdown);
    assert_int_equal(kit_partition(&b.k, "t", 0)->leader, 2);
    bench_deinit(&b);
}

static void commands_under_way_are_not_proposed_again(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct image_endpoint endpoint;
    struct controller_hello h = hello_of(1, 1, 11, &endpoint);
    struct controller_effects fx = {0};
    struct image *old = metadata_image(b.k.m); /* nothing gets applied */
    for (int i = 0; i < 10; i++)
        controller_hello(b.c, old, b.now_ms + i * 50, &h, &b.answer, &fx);
    assert_int_equal(fx.commands.count, 1);
    controller_hello(b.c, old, b.now_ms + 1000, &h, &b.answer, &fx);
    assert_int_equal(fx.commands.count, 2);
    controller_effects_deinit(&fx);
    image_unref(old);
    bench_deinit(&b);
}

static void leaderships_return_to_the_preferred_replicas(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    join(&b, 1, 1, 11);
    join(&b, 2, 1, 12);
    kit_topic_on(&b.k, "t", "1", IDS(1, 2), 2);
    KIT_FENCE(&b.k, 1);
    join(&b, 1, 1, 11);
    assert_int_equal(kit_isr(&b.k, "t", IDS(2, 1), 2), ERR_NONE);
    for (int i = 0; i < 3100 && kit_partition(&b.k, "t", 0)->leader == 2; i++) {
        hello(&b, 1, 1, 11);
        hello(&b, 2, 1, 12);
        tick(&b, 100);
    }
    assert_int_equal(kit_partition(&b.k, "t", 0)->leader, 1);
    bench_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_registers_catches_up_and_is_unfenced),
        cmocka_unit_test(silence_fences_after_the_session_timeout),
        cmocka_unit_test(a_refused_connection_fences_at_once),
        cmocka_unit_test(a_broker_that_connected_again_is_not_fenced_by_an_old_probe),
        cmocka_unit_test(a_second_process_is_refused_while_the_first_lives),
        cmocka_unit_test(a_restarted_process_takes_over_at_once),
        cmocka_unit_test(all_brokers_restarted_together_need_no_timeout),
        cmocka_unit_test(a_new_controller_waits_a_session_timeout),
        cmocka_unit_test(a_new_controller_asks_all_and_fences_at_once_who_refuses),
        cmocka_unit_test(its_own_pause_is_not_held_against_brokers),
        cmocka_unit_test(a_broker_that_wants_to_leave_may_go_when_its_work_is_elsewhere),
        cmocka_unit_test(commands_under_way_are_not_proposed_again),
        cmocka_unit_test(leaderships_return_to_the_preferred_replicas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
