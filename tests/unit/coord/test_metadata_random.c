/*
 * Random commands on two state machines, one of which is read (images are held) all the time: both
 * must come to the same state, and what has to hold does after every command.
 */
#include "metadata_kit.h"

#include "proto/base/rng.h"

#define NODES          5
#define COMMANDS_COUNT 400
#define SEEDS          60

struct world {
    struct kit a;
    struct kit b;
    struct rng rng;
    struct image *held[4]; /* of a: makes it copy */
    struct image *before;
    int life;
};

static int32_t any_node(struct world *w)
{
    return 1 + (int32_t)rng_below(&w->rng, NODES);
}

static const struct image_topic *any_topic(struct world *w)
{
    const struct image *img = kit_image(&w->a);
    if (img->topics_count == 0)
        return NULL;
    return img->topics[rng_below(&w->rng, (uint64_t)img->topics_count)];
}

static void put_broker_command(struct world *w, struct buffer *out)
{
    struct broker_change change = {any_node(w), -1};
    struct image_endpoint endpoint = {SLICE("P"), SLICE("h"), 1, 0};
    const struct image_broker *b = image_find_broker(kit_image(&w->a), change.node_id);
    struct register_broker r = {.node_id = change.node_id,
                                .incarnation = kit_uuid('b', ++w->life),
                                .clean_epoch = -1,
                                .endpoints = &endpoint,
                                .endpoints_count = 1};
    if (b != NULL && rng_below(&w->rng, 2) == 0)
        r.clean_epoch = b->epoch;
    switch (rng_below(&w->rng, 12)) {
    case 0:
    case 1:
    case 2:
        command_encode_register_broker(out, &r);
        break;
    case 3:
    case 4:
        command_encode_fence_broker(out, &change);
        break;
    case 5:
        command_encode_shutdown_broker(out, &change);
        break;
    case 6:
        if (rng_below(&w->rng, 8) == 0) {
            command_encode_unregister_broker(out, &change);
            break;
        } /* fall through */
    default:
        command_encode_unfence_broker(out, &change);
    }
}

static void put_create_topic(struct world *w, struct buffer *out)
{
    char name[16];
    snprintf(name, sizeof(name), "t%d", (int)rng_below(&w->rng, 8));
    const char *min_isr[] = {"1", "2", "3"};
    struct image_config config = {SLICE("min.insync.replicas"),
                                  slice_from_text(min_isr[rng_below(&w->rng, 3)])};
    struct create_topic c = {.name = slice_from_text(name),
                             .topic_id = kit_uuid('T', (int32_t)w->a.index),
                             .partitions = 1 + (int32_t)rng_below(&w->rng, 4),
                             .replication_factor = (int16_t)(1 + rng_below(&w->rng, 4)),
                             .configs = &config,
                             .configs_count = 1};
    command_encode_create_topic(out, &c);
}

static void put_alter_partition(struct world *w, struct buffer *out)
{
    const struct image_topic *t = any_topic(w);
    struct alter_partition c = {0};
    struct command_isr_member isr[IMAGE_REPLICAS_MAX];
    if (t != NULL) {
        c.topic_id = t->id;
        c.partition = (int32_t)rng_below(&w->rng, (uint64_t)t->partitions_count);
        const struct image_partition *p = &t->partitions[c.partition];
        const struct image_broker *leader = image_find_broker(kit_image(&w->a), p->leader);
        c.node_id = p->leader;
        c.broker_epoch = leader != NULL ? leader->epoch : -1;
        c.leader_epoch = p->leader_epoch;
        c.partition_epoch = p->partition_epoch;
        for (int i = 0; i < p->replicas_count; i++) {
            if (p->replicas[i] == p->leader || rng_below(&w->rng, 2) == 0)
                isr[c.isr_count++] = (struct command_isr_member){p->replicas[i], -1};
        }
        c.isr = isr;
    }
    command_encode_alter_partition(out, &c);
}

static void put_reassignment(struct world *w, struct buffer *out)
{
    const struct image_topic *t = any_topic(w);
    int32_t replicas[4];
    struct alter_reassignment c = {.topic = t != NULL ? t->name : SLICE("none"),
                                   .replicas = replicas,
                                   .replicas_count = (int32_t)rng_below(&w->rng, 5) - 1,
                                   .allow_factor_change = rng_below(&w->rng, 3) > 0};
    if (t != NULL)
        c.partition = (int32_t)rng_below(&w->rng, (uint64_t)t->partitions_count);
    for (int i = 0; i < c.replicas_count; i++)
        replicas[i] = any_node(w);
    command_encode_alter_reassignment(out, &c);
}

static void put_replica_failed(struct world *w, struct buffer *out)
{
    const struct image_topic *t = any_topic(w);
    const struct image_broker *b = image_find_broker(kit_image(&w->a), any_node(w));
    struct replica_failed c = {.broker_epoch = -1};
    if (b != NULL)
        c = (struct replica_failed){.node_id = b->node_id, .broker_epoch = b->epoch};
    if (t != NULL)
        c.partition = (int32_t)rng_below(&w->rng, (uint64_t)t->partitions_count);
    /* The last one stays without a leader, which the rules below call a fault. */
    if (t != NULL && t->partitions[c.partition].isr_count > 1)
        c.topic_id = t->id;
    command_encode_replica_failed(out, &c);
}

static void put_resource(struct world *w, struct buffer *out)
{
    char name[16];
    snprintf(name, sizeof(name), "%d", any_node(w));
    struct command_config_op op = {SLICE("x"), CONFIG_SET, SLICE("1")};
    if (rng_below(&w->rng, 2) == 0)
        op.operation = CONFIG_DELETE;
    struct alter_resource c = {.kind = rng_below(&w->rng, 2) ? 4 : 100,
                               .name = slice_from_text(name),
                               .ops = &op,
                               .ops_count = 1};
    command_encode_alter_resource(out, &c);
}

static void put_config_command(struct world *w, struct buffer *out)
{
    if (rng_below(&w->rng, 4) == 0) {
        put_resource(w, out);
        return;
    }
    const struct image_topic *t = any_topic(w);
    bool min_isr = rng_below(&w->rng, 3) > 0;
    bool yes = rng_below(&w->rng, 4) == 0;
    struct command_config_op op = {
        min_isr ? SLICE("min.insync.replicas") : SLICE("unclean.leader.election.enable"),
        CONFIG_SET,
        min_isr ? (yes ? SLICE("2") : SLICE("1")) : (yes ? SLICE("true") : SLICE("false"))};
    if (rng_below(&w->rng, 4) == 0)
        op.operation = CONFIG_DELETE;
    struct alter_configs c = {
        .topic = t != NULL ? t->name : SLICE_NULL, .ops = &op, .ops_count = 1};
    if (rng_below(&w->rng, 6) == 0)
        c.topic = SLICE_NULL;
    command_encode_alter_configs(out, &c);
}

static void put_topic_command(struct world *w, struct buffer *out)
{
    const struct image_topic *t = any_topic(w);
    struct delete_topic d = {t != NULL ? t->id : UUID_ZERO};
    struct create_partitions more = {.topic = t != NULL ? t->name : SLICE("none"),
                                     .count = t != NULL ? t->partitions_count + 1 : 1,
                                     .assignments_count = -1};
    struct elect_leaders elect = {.unclean = rng_below(&w->rng, 8) == 0, .partitions_count = -1};
    switch (rng_below(&w->rng, 8)) {
    case 0:
        command_encode_delete_topic(out, &d);
        break;
    case 1:
        command_encode_create_partitions(out, &more);
        break;
    case 2:
        command_encode_elect_leaders(out, &elect);
        break;
    default:
        put_create_topic(w, out);
    }
}

static void put_any(struct world *w, struct buffer *out)
{
    switch (rng_below(&w->rng, 13)) {
    case 12:
        put_replica_failed(w, out);
        break;
    case 10:
    case 11:
        put_reassignment(w, out);
        break;
    case 0:
    case 1:
    case 2:
    case 3:
        put_broker_command(w, out);
        break;
    case 4:
    case 5:
    case 6:
        put_alter_partition(w, out);
        break;
    case 7:
        put_config_command(w, out);
        break;
    default:
        put_topic_command(w, out);
    }
}

static void check_subset(const struct image_partition *p, const int32_t *ids, int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(ids_contain(p->replicas, p->replicas_count, ids[i]));
        assert_false(ids_contain(ids, i, ids[i]));
    }
}

static void check_partition(const struct image *img, const struct image_partition *p)
{
    assert_true(p->isr_count > 0);
    check_subset(p, p->isr, p->isr_count);
    check_subset(p, p->elr, p->elr_count);
    check_subset(p, p->adding, p->adding_count);
    check_subset(p, p->removing, p->removing_count);
    for (int i = 0; i < p->adding_count; i++)
        assert_false(ids_contain(p->removing, p->removing_count, p->adding[i]));
    for (int i = 0; i < p->elr_count; i++)
        assert_false(ids_contain(p->isr, p->isr_count, p->elr[i]));
    const struct image_broker *leader = image_find_broker(img, p->leader);
    if (p->leader >= 0) {
        assert_true(ids_contain(p->isr, p->isr_count, p->leader));
        assert_non_null(leader);
        assert_false(leader->fenced);
    }
    for (int i = 0; i < p->isr_count; i++) {
        bool active = image_broker_active(img, p->isr[i]);
        assert_false(p->leader < 0 && active);
        /* Who is not active stays in sync only where nobody active is. */
        assert_true(active || leader == NULL || leader->shutting_down);
    }
    for (int i = 0; i < p->elr_count && p->leader < 0; i++)
        assert_false(image_broker_active(img, p->elr[i]));
}

/* Epochs only grow, and grow whenever what they stand for changed (I-EP). */
static void check_step(const struct image_partition *old, const struct image_partition *new)
{
    assert_true(new->leader_epoch >= old->leader_epoch);
    assert_true(new->partition_epoch >= old->partition_epoch);
    assert_true(new->leader == old->leader || new->leader_epoch > old->leader_epoch);
    bool same = new->leader == old->leader &&new->isr_count == old->isr_count &&new->elr_count ==
                old->elr_count &&memcmp(new->isr, old->isr, (size_t)old->isr_count * 4) == 0;
    assert_true(same || new->partition_epoch > old->partition_epoch);
}

static void check_slots(const struct image *before, const struct image *img)
{
    bool any = false;
    FOR_EACH (b, img->brokers, img->brokers_count)
        any = any || image_broker_active(img, (*b)->node_id);
    for (int i = 0; i < COORDINATOR_SLOTS; i++) {
        const struct image_slot *slot = &img->slots[i];
        assert_true(any ? image_broker_active(img, slot->node_id) : slot->node_id == -1);
        assert_true(slot->node_id == before->slots[i].node_id ||
                    slot->epoch > before->slots[i].epoch);
    }
}

static void check_world(struct world *w)
{
    struct image *img = metadata_image(w->a.m);
    FOR_EACH (topic, img->topics, img->topics_count) {
        const struct image_topic *old = image_find_topic_by_id(w->before, (*topic)->id);
        for (int32_t i = 0; i < (*topic)->partitions_count; i++) {
            check_partition(img, &(*topic)->partitions[i]);
            if (old != NULL && i < old->partitions_count)
                check_step(&old->partitions[i], &(*topic)->partitions[i]);
        }
    }
    check_slots(w->before, img);
    image_unref(w->before);
    w->before = img;
}

static void run_seed(uint64_t seed)
{
    struct world w = {0};
    kit_init(&w.a);
    kit_init(&w.b);
    rng_init(&w.rng, seed);
    w.before = metadata_image(w.a.m);
    for (int i = 0; i < COMMANDS_COUNT; i++) {
        struct buffer bytes = {0};
        put_any(&w, &bytes);
        struct buffer copy = {0};
        buffer_append_slice(&copy, buffer_slice(&bytes));
        enum error_code err = kit_run(&w.a, &bytes);
        assert_int_equal(kit_run(&w.b, &copy), err);
        assert_int_equal(w.a.changes.list.count, w.b.changes.list.count);
        if (metadata_digest(w.a.m) != metadata_digest(w.b.m))
            fail_msg("seed %llu: states differ after command %d", (unsigned long long)seed, i);
        check_world(&w);
        struct image **held = &w.held[rng_below(&w.rng, ARRAY_COUNT(w.held))];
        image_unref(*held);
        *held = rng_below(&w.rng, 2) ? metadata_image(w.a.m) : NULL;
    }
    FOR_EACH (held, w.held, ARRAY_COUNT(w.held))
        image_unref(*held);
    image_unref(w.before);
    kit_deinit(&w.a);
    kit_deinit(&w.b);
}

static void random_commands_keep_the_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_commands_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
