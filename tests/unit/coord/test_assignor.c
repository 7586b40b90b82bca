/* The uniform and the range assignor. */
#include "metadata_kit.h"

#include "coord/assignor.h"

#define MEMBERS_MAX 40
#define TOPICS_MAX  8

struct bench {
    struct kit kit;
    struct assignor_member members[MEMBERS_MAX];
    int32_t wants[MEMBERS_MAX][TOPICS_MAX];
    char ids[MEMBERS_MAX][8];
    struct assignor_group g;
};

static struct bench *bench_new(int32_t members)
{
    struct bench *b = mem_zalloc(sizeof(*b));
    kit_init(&b->kit);
    kit_brokers(&b->kit, 1);
    b->g.members = b->members;
    b->g.members_count = members;
    for (int32_t i = 0; i < members; i++) {
        snprintf(b->ids[i], sizeof(b->ids[i]), "m%02d", i);
        b->members[i].id = slice_from_text(b->ids[i]);
        b->members[i].topics = b->wants[i];
    }
    return b;
}

static void bench_free(struct bench *b)
{
    for (int32_t i = 0; i < MEMBERS_MAX; i++) {
        partition_set_deinit(&b->members[i].now);
        partition_set_deinit(&b->members[i].out);
    }
    kit_deinit(&b->kit);
    free(b);
}

/* Topics by the order of their ids, which is the order of their making. */
static void topic(struct bench *b, const char *name, int32_t partitions)
{
    assert_int_equal(kit_topic(&b->kit, name, partitions, 1), ERR_NONE);
}

static void want(struct bench *b, int32_t member, int32_t number)
{
    struct assignor_member *m = &b->members[member];
    m->topics[m->topics_count++] = number;
}

static void all_want_all(struct bench *b)
{
    for (int32_t i = 0; i < b->g.members_count; i++) {
        b->members[i].topics_count = 0;
        for (int32_t t = 0; t < kit_image(&b->kit)->topics_count; t++)
            want(b, i, t);
    }
}

/* Run, check what must hold always, and take the result as what is now; returns what moved. */
static size_t run(struct bench *b, assignor *assign)
{
    const struct image *img = kit_image(&b->kit);
    struct partition_set all = {0};
    size_t moved = 0;
    b->g.img = img;
    b->g.topics = (const struct image_topic **)img->topics_by_id;
    b->g.topics_count = img->topics_count;
    assign(&b->g);
    for (int32_t i = 0; i < b->g.members_count; i++) {
        struct assignor_member *m = &b->members[i];
        assert_false(partition_set_intersects(&all, &m->out));
        partition_set_add(&all, &m->out);
        partition_set_drop(&m->now, &m->out);
        moved += m->now.count;
        partition_set_move(&m->now, &m->out);
    }
    partition_set_deinit(&all);
    return moved;
}

static size_t count_of(const struct bench *b)
{
    size_t count = 0;
    for (int32_t i = 0; i < b->g.members_count; i++)
        count += b->members[i].now.count;
    return count;
}

static void assert_even(const struct bench *b)
{
    size_t least = SIZE_MAX, most = 0;
    for (int32_t i = 0; i < b->g.members_count; i++) {
        least = MIN(least, b->members[i].now.count);
        most = MAX(most, b->members[i].now.count);
    }
    assert_in_range(most - least, 0, 1);
}

static void uniform_shares_evenly_and_moves_only_what_it_must(void **state)
{
    (void)state;
    struct bench *b = bench_new(3);
    topic(b, "a", 7);
    topic(b, "b", 5);
    all_want_all(b);
    run(b, assign_uniform);
    assert_int_equal(count_of(b), 12);
    assert_even(b);
    assert_int_equal(run(b, assign_uniform), 0); /* the same again */
    b->g.members_count = 2;                      /* one is gone: the others keep all */
    partition_set_deinit(&b->members[2].now);
    assert_int_equal(run(b, assign_uniform), 0);
    assert_int_equal(count_of(b), 12);
    assert_even(b);
    snprintf(b->ids[2], sizeof(b->ids[2]), "m02");
    b->g.members_count = 3; /* and is back: four come from the others */
    assert_int_equal(run(b, assign_uniform), 4);
    assert_even(b);
    struct create_partitions more = {.topic = SLICE("a"), .count = 10, .assignments_count = -1};
    assert_int_equal(KIT_RUN(&b->kit, create_partitions, &more), ERR_NONE);
    assert_int_equal(run(b, assign_uniform), 0);
    assert_int_equal(count_of(b), 15);
    bench_free(b);
}

static void uniform_gives_more_members_than_partitions_one_each_at_most(void **state)
{
    (void)state;
    struct bench *b = bench_new(5);
    topic(b, "a", 3);
    all_want_all(b);
    run(b, assign_uniform);
    assert_int_equal(count_of(b), 3);
    assert_even(b);
    bench_free(b);
}

static void uniform_levels_members_that_want_different_topics(void **state)
{
    (void)state;
    struct bench *b = bench_new(3);
    topic(b, "a", 6);
    topic(b, "b", 2);
    want(b, 0, 0);
    want(b, 1, 0);
    want(b, 1, 1);
    want(b, 2, 1);
    run(b, assign_uniform);
    assert_int_equal(count_of(b), 8);
    assert_int_equal(b->members[2].now.count, 2);
    assert_int_equal(b->members[0].now.count, 3);
    assert_int_equal(b->members[1].now.count, 3);
    /* Member 0 has all of a topic that member 1 wants now, too. */
    b->members[1].topics_count = b->members[2].topics_count = 0;
    want(b, 1, 1);
    run(b, assign_uniform);
    assert_int_equal(b->members[0].now.count, 6);
    assert_int_equal(b->members[1].now.count, 2);
    assert_int_equal(b->members[2].now.count, 0);
    b->members[1].topics_count = 0;
    want(b, 1, 0);
    want(b, 1, 1);
    run(b, assign_uniform);
    assert_int_equal(b->members[0].now.count, 4);
    assert_int_equal(b->members[1].now.count, 4);
    bench_free(b);
}

/* Topics of one partition, each on the broker of one rack alone. */
static void uniform_gives_partitions_to_members_in_their_rack(void **state)
{
    (void)state;
    static const char *const RACKS[] = {"r1", "r2", "r3"};
    struct bench *b = bench_new(3);
    for (int32_t id = 2; id <= 4; id++) {
        assert_int_equal(kit_register(&b->kit, id, 1, -1, RACKS[id - 2]), ERR_NONE);
        assert_int_equal(KIT_UNFENCE(&b->kit, id), ERR_NONE);
    }
    for (int32_t id = 2; id <= 4; id++) {
        char name[8];
        snprintf(name, sizeof(name), "t%d", id);
        assert_int_equal(kit_topic_on(&b->kit, name, "1", &id, 1), ERR_NONE);
    }
    all_want_all(b);
    for (int32_t i = 0; i < 3; i++)
        b->members[i].rack = slice_from_text(RACKS[2 - i]);
    run(b, assign_uniform);
    const struct image *img = kit_image(&b->kit);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(b->members[i].now.count, 1);
        const struct image_topic *t = image_find_topic_by_id(img, b->members[i].now.items[0].topic);
        assert_int_equal(t->partitions[0].replicas[0], 4 - i);
    }
    bench_free(b);
}

static void range_cuts_topics_alike_and_puts_static_members_first(void **state)
{
    (void)state;
    struct bench *b = bench_new(2);
    topic(b, "a", 3);
    topic(b, "b", 3);
    all_want_all(b);
    b->members[1].instance_id = SLICE("i");
    run(b, assign_range);
    assert_int_equal(b->members[1].now.count, 4); /* 0 and 1 of both */
    assert_int_equal(b->members[0].now.count, 2);
    assert_int_equal(b->members[0].now.items[0].index, 2);
    assert_int_equal(b->members[0].now.items[1].index, 2);
    b->members[0].topics_count = 0;
    want(b, 0, 1);
    run(b, assign_range);
    assert_int_equal(b->members[1].now.count, 3 + 2);
    assert_int_equal(b->members[0].now.count, 1);
    bench_free(b);
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static void every_wanted_partition_is_somebodys(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 200; n++) {
        uint64_t seed = n;
        struct bench *b = bench_new(1 + (int32_t)draw(&seed, 12));
        int32_t topics = 1 + (int32_t)draw(&seed, 5);
        for (int32_t t = 0; t < topics; t++) {
            char name[8];
            snprintf(name, sizeof(name), "t%d", t);
            topic(b, name, 1 + (int32_t)draw(&seed, 9));
        }
        for (int round = 0; round < 4; round++) {
            size_t wanted = 0;
            for (int32_t i = 0; i < b->g.members_count; i++) {
                b->members[i].topics_count = 0;
                for (int32_t t = 0; t < topics; t++)
                    if (draw(&seed, 3) > 0)
                        want(b, i, t);
            }
            for (int32_t t = 0; t < topics; t++) {
                bool any = false;
                for (int32_t i = 0; i < b->g.members_count; i++)
                    for (int32_t k = 0; k < b->members[i].topics_count; k++)
                        any = any || b->members[i].topics[k] == t;
                wanted += any ? (size_t)kit_image(&b->kit)->topics_by_id[t]->partitions_count : 0;
            }
            run(b, draw(&seed, 4) == 0 ? assign_range : assign_uniform);
            assert_int_equal(count_of(b), wanted);
        }
        bench_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_shares_evenly_and_moves_only_what_it_must),
        cmocka_unit_test(uniform_gives_more_members_than_partitions_one_each_at_most),
        cmocka_unit_test(uniform_levels_members_that_want_different_topics),
        cmocka_unit_test(uniform_gives_partitions_to_members_in_their_rack),
        cmocka_unit_test(range_cuts_topics_alike_and_puts_static_members_first),
        cmocka_unit_test(every_wanted_partition_is_somebodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
