/* Three voters and a standby in one process: form, submit anywhere, lose, come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <glob.h>

#include "tests/unit/coord/quorum_cluster.h"

static void form_with(struct cluster *c, int snapshot_threshold)
{
    cluster_init(c);
    c->snapshot_threshold = snapshot_threshold;
    for (int i = 0; i < 3; i++)
        assert_int_equal(node_start(&c->nodes[i]), 0);
    assert_true(cluster_leader(c) >= 0);
}

static void form(struct cluster *c)
{
    form_with(c, 0);
}

static void wait_applied(struct cluster_node *n, int64_t index)
{
    struct quorum_status s = {0};
    for (int64_t end = clock_monotonic_ms() + WAIT_MS; clock_monotonic_ms() < end; usleep(2000)) {
        quorum_status(n->q, &s);
        if (s.applied_index >= index)
            return;
    }
    fail_msg("node %d applied %lld, not %lld", n->id, (long long)s.applied_index, (long long)index);
}

static int64_t applied(struct cluster_node *n)
{
    struct quorum_status s;
    quorum_status(n->q, &s);
    return s.applied_index;
}

static void commands_from_every_node_are_applied_once_in_one_order(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    int64_t expected = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++, expected += PRODUCER_ID_BLOCK)
            assert_int_equal(allocate(&c.nodes[i]), expected);
    }
    struct image *a = quorum_image(c.nodes[0].q), *b = quorum_image(c.nodes[2].q);
    assert_true(slice_equal(a->cluster_id, b->cluster_id));
    assert_int_equal(a->cluster_id.size, 22);
    image_unref(a);
    image_unref(b);
    cluster_deinit(&c);
}

static void a_new_cluster_begins_with_the_settings_of_its_first_node(void **unused)
{
    (void)unused;
    struct cluster c;
    struct image_config configs[] = {{SLICE("min.insync.replicas"), SLICE("2")}};
    cluster_init(&c);
    c.configs = configs;
    c.configs_count = 1;
    for (int i = 0; i < 3; i++)
        assert_int_equal(node_start(&c.nodes[i]), 0);
    assert_true(cluster_leader(&c) >= 0);
    assert_int_equal(allocate(&c.nodes[1]), 0);
    struct image *img = quorum_image(c.nodes[1].q);
    assert_int_equal(img->broker_configs_count, 1);
    assert_true(slice_equals_text(img->broker_configs[0].name, "min.insync.replicas"));
    assert_true(slice_equals_text(img->broker_configs[0].value, "2"));
    image_unref(img);
    cluster_deinit(&c);
}

static void an_answer_that_was_lost_does_not_apply_a_batch_twice(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    struct cluster_node *follower = &c.nodes[(cluster_leader(&c) + 1) % 3];
    for (int64_t i = 0; i < 10; i++) {
        atomic_store(&c.drop_answers, 2);
        assert_int_equal(allocate(follower), i * PRODUCER_ID_BLOCK);
    }
    cluster_deinit(&c);
}

static void goes_on_after_the_leader_died_and_takes_it_back(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    int64_t expected = 0;
    for (int round = 0; round < 3; round++) {
        int leader = cluster_leader(&c);
        assert_true(leader >= 0);
        struct cluster_node *other = &c.nodes[(leader + 1) % 3];
        assert_int_equal(allocate(other), expected);
        node_stop(&c.nodes[leader], true);
        expected += PRODUCER_ID_BLOCK;
        assert_int_equal(allocate(other), expected); /* submitted while there is no leader */
        expected += PRODUCER_ID_BLOCK;
        assert_int_equal(node_start(&c.nodes[leader]), 0);
        wait_applied(&c.nodes[leader], applied(other));
        assert_int_equal(allocate(&c.nodes[leader]), expected);
        expected += PRODUCER_ID_BLOCK;
    }
    cluster_deinit(&c);
}

static void a_clean_stop_hands_leadership_over_without_an_election_timeout(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    int leader = cluster_leader(&c);
    node_stop(&c.nodes[leader], false);
    assert_true(cluster_leader(&c) >= 0);
    assert_int_equal(allocate(&c.nodes[(leader + 1) % 3]), 0);
    cluster_deinit(&c);
}

static void all_nodes_restart_with_their_log(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    assert_int_equal(allocate(&c.nodes[0]), 0);
    for (int i = 0; i < 3; i++)
        node_stop(&c.nodes[i], true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(node_start(&c.nodes[i]), 0);
    assert_true(cluster_leader(&c) >= 0);
    assert_int_equal(allocate(&c.nodes[1]), PRODUCER_ID_BLOCK);
    cluster_deinit(&c);
}

static void a_standby_joins_restarts_and_submits(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    assert_int_equal(allocate(&c.nodes[0]), 0);
    assert_int_equal(node_start(&c.nodes[3]), 0);
    assert_true(cluster_leader(&c) >= 0);
    assert_int_equal(allocate(&c.nodes[3]), PRODUCER_ID_BLOCK);
    node_stop(&c.nodes[3], true);
    assert_int_equal(allocate(&c.nodes[0]), 2 * PRODUCER_ID_BLOCK);
    assert_int_equal(node_start(&c.nodes[3]), 0);
    wait_applied(&c.nodes[3], applied(&c.nodes[0]));
    assert_int_equal(allocate(&c.nodes[3]), 3 * PRODUCER_ID_BLOCK);
    cluster_deinit(&c);
}

static bool has_snapshot(const struct cluster_node *n)
{
    char pattern[128];
    glob_t found = {0};
    snprintf(pattern, sizeof(pattern), "%s/raft/snapshot-*", n->dir);
    int rv = glob(pattern, 0, NULL, &found);
    globfree(&found);
    return rv == 0;
}

static void snapshots_carry_restarts_laggards_and_new_members(void **unused)
{
    (void)unused;
    struct cluster c;
    form_with(&c, 40);
    int leader = cluster_leader(&c);
    struct cluster_node *n = &c.nodes[leader], *laggard = &c.nodes[(leader + 1) % 3];
    int64_t expected = 0;
    for (int i = 0; i < 50; i++, expected += PRODUCER_ID_BLOCK)
        assert_int_equal(allocate(n), expected);
    node_stop(laggard, true);
    for (int i = 0; i < 150; i++, expected += PRODUCER_ID_BLOCK)
        assert_int_equal(allocate(n), expected);
    assert_true(has_snapshot(n));
    assert_int_equal(node_start(laggard), 0); /* behind the log: the leader sends its snapshot */
    assert_int_equal(node_start(&c.nodes[3]), 0); /* so it does to a new member */
    wait_applied(laggard, applied(n));
    wait_applied(&c.nodes[3], applied(n));
    for (int i = 0; i < 100; i++, expected += PRODUCER_ID_BLOCK)
        assert_int_equal(allocate(&c.nodes[i % 4]), expected);
    for (int i = 0; i < 4; i++)
        node_stop(&c.nodes[i], true);
    for (int i = 0; i < 4; i++)
        assert_int_equal(node_start(&c.nodes[i]), 0);
    assert_true(cluster_leader(&c) >= 0);
    assert_int_equal(allocate(&c.nodes[3]), expected);
    cluster_deinit(&c);
}

static void wait_voter(struct cluster *c, int leader, int32_t node_id)
{
    char *dir = c->nodes[node_id].dir;
    struct quorum_marker m;
    for (int64_t end = clock_monotonic_ms() + WAIT_MS; clock_monotonic_ms() < end; usleep(20000)) {
        if (marker_read(dir, &m) != 0 || m.raft_id >> 32 == 0)
            continue;
        /* With it and the leader alone there is a majority only if it votes. */
        struct cluster_node *third = &c->nodes[3 - leader - node_id];
        usleep(1000 * 1000);
        node_stop(third, true);
        assert_true(allocate(&c->nodes[node_id]) >= 0);
        assert_int_equal(node_start(third), 0);
        assert_true(cluster_leader(c) >= 0);
        return;
    }
    fail_msg("node %d did not join as a new member", node_id);
}

static void a_wiped_voter_comes_back_under_a_new_identity_and_votes(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    assert_int_equal(allocate(&c.nodes[0]), 0);
    int leader = cluster_leader(&c);
    int victim = (leader + 1) % 3;
    node_stop(&c.nodes[victim], true);
    node_wipe(&c.nodes[victim]);
    assert_int_equal(allocate(&c.nodes[leader]), PRODUCER_ID_BLOCK);
    assert_int_equal(node_start(&c.nodes[victim]), 0);
    wait_applied(&c.nodes[victim], applied(&c.nodes[leader]));
    assert_int_equal(allocate(&c.nodes[victim]), 2 * PRODUCER_ID_BLOCK);
    wait_voter(&c, leader, victim);
    cluster_deinit(&c);
}

static void strangers_go_to_the_broker_or_away(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        a.sin_port = htons((uint16_t)atoi(strchr(c.nodes[0].address, ':') + 1));
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        const char *text = i == 0 ? "Kafka would say something" : "MRQ1\377\377 and noise";
        assert_true(send(fd, text, strlen(text), 0) > 0);
        char byte;
        assert_true(recv(fd, &byte, 1, 0) <= 0); /* closed */
        close(fd);
    }
    assert_int_equal(atomic_load(&c.adopted), 1);
    assert_int_equal(allocate(&c.nodes[1]), 0);
    cluster_deinit(&c);
}

static void refuses_a_folder_in_use_of_another_node_or_a_taken_port(void **unused)
{
    (void)unused;
    struct cluster c;
    form(&c);
    struct quorum_voter alone = {1, c.nodes[1].address};
    struct quorum_options o = {.node_id = 1,
                               .dir = c.nodes[1].dir,
                               .bind_address = "127.0.0.1:0",
                               .voters = &alone,
                               .voters_count = 1,
                               .voter = true};
    struct quorum *q;
    assert_int_equal(quorum_start(&o, &q), -EBUSY);
    node_stop(&c.nodes[1], true);
    o.node_id = 2;
    assert_int_equal(quorum_start(&o, &q), -EINVAL);
    o.node_id = 1;
    o.bind_address = c.nodes[0].address;
    assert_int_equal(quorum_start(&o, &q), -EADDRINUSE);
    cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_from_every_node_are_applied_once_in_one_order),
        cmocka_unit_test(a_new_cluster_begins_with_the_settings_of_its_first_node),
        cmocka_unit_test(an_answer_that_was_lost_does_not_apply_a_batch_twice),
        cmocka_unit_test(goes_on_after_the_leader_died_and_takes_it_back),
        cmocka_unit_test(a_clean_stop_hands_leadership_over_without_an_election_timeout),
        cmocka_unit_test(all_nodes_restart_with_their_log),
        cmocka_unit_test(a_standby_joins_restarts_and_submits),
        cmocka_unit_test(snapshots_carry_restarts_laggards_and_new_members),
        cmocka_unit_test(a_wiped_voter_comes_back_under_a_new_identity_and_votes),
        cmocka_unit_test(strangers_go_to_the_broker_or_away),
        cmocka_unit_test(refuses_a_folder_in_use_of_another_node_or_a_taken_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
