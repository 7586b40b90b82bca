/*
 * What the tests of groups of the consumer protocol share: a cluster's topics, a group, members
 * that do what a client does, and a watch over who has what.
 */
#pragma once

#include "metadata_kit.h"

#include "coord/group_consumer.h"

#define CK_SESSION_MS   45000
#define CK_REBALANCE_MS 60000
#define CK_MEMBERS      16
#define CK_TOKENS       8192

struct ck_answer {
    bool came;
    enum error_code err;
    char member_id[64];
    int32_t epoch;
    bool told;
    struct partition_set assignment;
};

/* A client: what it was told, and what it has. */
struct ck_member {
    char id[64];
    const char *instance;
    const char *topics; /* "a b" */
    const char *regex;
    const char *assignor;
    const char *rack;
    int32_t epoch;
    struct partition_set told;
    struct partition_set has;
    bool keeps; /* it does not give anything up */
};

struct consumer_kit {
    struct kit kit;
    struct group_consumer g;
    int64_t now_ms;
    int token;
    uint8_t unique;
    bool writes_held;
    uint64_t held; /* number of the write that is held, 0: none */
    int writes;
    struct ck_answer answers[CK_TOKENS];
    struct ck_member members[CK_MEMBERS];
};

static inline struct consumer_kit *ck_new(int32_t brokers)
{
    struct consumer_kit *k = mem_zalloc(sizeof(*k));
    struct consumer_config config = {.session_ms = CK_SESSION_MS,
                                     .heartbeat_ms = 5000,
                                     .size_max = 100,
                                     .assignor = SLICE("uniform")};
    kit_init(&k->kit);
    kit_brokers(&k->kit, brokers);
    group_consumer_init(&k->g, &config);
    k->now_ms = 1000000;
    return k;
}

static inline void ck_free(struct consumer_kit *k)
{
    group_consumer_deinit(&k->g);
    kit_deinit(&k->kit);
    for (int i = 0; i < CK_TOKENS; i++)
        partition_set_deinit(&k->answers[i].assignment);
    for (int i = 0; i < CK_MEMBERS; i++) {
        partition_set_deinit(&k->members[i].told);
        partition_set_deinit(&k->members[i].has);
    }
    free(k);
}

static inline void ck_topic(struct consumer_kit *k, const char *name, int32_t partitions)
{
    assert_int_equal(kit_topic(&k->kit, name, partitions, 1), ERR_NONE);
}

static inline struct uuid ck_topic_id(struct consumer_kit *k, const char *name)
{
    const struct image_topic *t = image_find_topic(kit_image(&k->kit), slice_from_text(name));
    assert_non_null(t);
    return t->id;
}

/* Never a partition of two, neither in the group's books nor in the clients' hands. */
static inline void ck_check(struct consumer_kit *k)
{
    struct partition_set all = {0}, held = {0};
    CONSUMER_MEMBERS(m, &k->g)
    {
        assert_false(partition_set_intersects(&m->assigned, &m->revoking));
        assert_false(partition_set_intersects(&all, &m->assigned));
        assert_false(partition_set_intersects(&all, &m->revoking));
        partition_set_add(&all, &m->assigned);
        partition_set_add(&all, &m->revoking);
        assert_true(m->epoch <= k->g.assignment_epoch);
    }
    for (int i = 0; i < CK_MEMBERS; i++) {
        assert_false(partition_set_intersects(&held, &k->members[i].has));
        partition_set_add(&held, &k->members[i].has);
    }
    assert_true(k->g.assignment_epoch <= k->g.epoch);
    partition_set_deinit(&all);
    partition_set_deinit(&held);
}

static inline void ck_persisted(struct consumer_kit *k);

static inline void ck_take(struct consumer_kit *k, struct group_effects *fx)
{
    uint64_t number = fx->persist_number;
    for (size_t i = 0; i < fx->replies.count; i++) {
        const struct group_reply *r = &fx->replies.items[i];
        struct ck_answer *a = &k->answers[(intptr_t)r->token];
        assert_false(a->came); /* exactly one each */
        a->came = true;
        a->err = r->err;
        a->epoch = r->beat.epoch;
        a->told = r->beat.has_assignment;
        snprintf(a->member_id, sizeof(a->member_id), SLICE_FMT, SLICE_ARG(r->member_id));
        for (size_t p = 0; p < r->beat.partitions_count; p++)
            partition_set_push(&a->assignment, r->beat.partitions[p].topic,
                               r->beat.partitions[p].index, 0);
    }
    group_effects_deinit(fx);
    if (number == 0)
        return;
    assert_int_equal(k->held, 0); /* one at a time */
    k->held = number;
    k->writes++;
    if (!k->writes_held)
        ck_persisted(k);
}

static inline void ck_persisted(struct consumer_kit *k)
{
    struct group_effects fx;
    uint64_t number = k->held;
    k->held = 0;
    group_effects_init(&fx);
    group_consumer_persisted(&k->g, number, &fx);
    ck_take(k, &fx);
}

static inline int32_t ck_words(const char *text, struct slice *out)
{
    int32_t count = 0;
    while (text != NULL && *text != '\0') {
        size_t size = strcspn(text, " ");
        out[count++] = slice_of(text, size);
        text += size + (text[size] == ' ');
    }
    return count;
}

/* Send it; returns the answer's place. */
static inline struct ck_answer *ck_send(struct consumer_kit *k, struct consumer_heartbeat *in)
{
    struct consumer_event event = {kit_image(&k->kit), k->now_ms};
    struct group_effects fx;
    assert_true(++k->token < CK_TOKENS);
    in->token = (void *)(intptr_t)k->token;
    in->client_id = SLICE("c");
    in->client_host = SLICE("/127.0.0.1");
    in->unique = (struct uuid){{++k->unique}};
    group_effects_init(&fx);
    group_consumer_heartbeat(&k->g, in, &event, &fx);
    ck_take(k, &fx);
    ck_check(k);
    return &k->answers[k->token];
}

/* What a client does with its answer: give up first, then take. */
static inline void ck_obey(struct ck_member *m, const struct ck_answer *a)
{
    if (a->err != ERR_NONE)
        return;
    m->epoch = a->epoch;
    if (!a->told)
        return;
    partition_set_copy(&m->told, &a->assignment);
    if (m->keeps)
        return;
    partition_set_copy(&m->has, &m->told);
}

static inline struct ck_answer *ck_join_again(struct consumer_kit *k, int i)
{
    struct ck_member *m = &k->members[i];
    struct slice words[16];
    m->has.count = m->told.count = 0;
    struct consumer_heartbeat in = {.member_id = slice_from_text(m->id),
                                    .instance_id = slice_from_text(m->instance),
                                    .rack = slice_from_text(m->rack),
                                    .rebalance_timeout_ms = CK_REBALANCE_MS,
                                    .regex = slice_from_text(m->regex),
                                    .assignor = slice_from_text(m->assignor),
                                    .has_owned = true};
    in.topics_count = m->topics != NULL ? ck_words(m->topics, words) : -1;
    in.topics = words;
    struct ck_answer *a = ck_send(k, &in);
    ck_obey(m, a);
    return a;
}

/* Member i, by the name m<i>, joins. */
static inline struct ck_answer *ck_join(struct consumer_kit *k, int i, const char *topics)
{
    struct ck_member *m = &k->members[i];
    if (m->id[0] == '\0')
        snprintf(m->id, sizeof(m->id), "m%d", i);
    m->topics = topics;
    return ck_join_again(k, i);
}

static inline struct ck_answer *ck_beat(struct consumer_kit *k, int i)
{
    struct ck_member *m = &k->members[i];
    struct consumer_heartbeat in = {.member_id = slice_from_text(m->id),
                                    .instance_id = slice_from_text(m->instance),
                                    .epoch = m->epoch,
                                    .rebalance_timeout_ms = -1,
                                    .topics_count = -1,
                                    .owned = m->has,
                                    .has_owned = true};
    struct ck_answer *a = ck_send(k, &in);
    ck_obey(m, a);
    return a;
}

static inline struct ck_answer *ck_leave(struct consumer_kit *k, int i, int32_t epoch)
{
    struct ck_member *m = &k->members[i];
    struct consumer_heartbeat in = {.member_id = slice_from_text(m->id),
                                    .instance_id = slice_from_text(m->instance),
                                    .epoch = epoch,
                                    .rebalance_timeout_ms = -1,
                                    .topics_count = -1};
    m->has.count = 0;
    return ck_send(k, &in);
}

/* Everybody speaks until nothing changes. */
static inline void ck_settle(struct consumer_kit *k, int count)
{
    for (int round = 0; round < 8; round++)
        for (int i = 0; i < count; i++)
            if (k->members[i].id[0] != '\0' &&
                group_consumer_find(&k->g, slice_from_text(k->members[i].id)) != NULL)
                ck_beat(k, i);
    assert_string_equal(group_consumer_state_name(&k->g), "Stable");
}

static inline void ck_pass(struct consumer_kit *k, int64_t ms)
{
    int64_t end_ms = k->now_ms + ms;
    for (;;) {
        int64_t due_ms = group_consumer_deadline(&k->g);
        if (due_ms > end_ms)
            break;
        k->now_ms = MAX(k->now_ms, due_ms);
        struct consumer_event event = {kit_image(&k->kit), k->now_ms};
        struct group_effects fx;
        group_effects_init(&fx);
        group_consumer_tick(&k->g, &event, &fx);
        ck_take(k, &fx);
        assert_true(group_consumer_deadline(&k->g) > k->now_ms); /* or it would spin */
    }
    k->now_ms = end_ms;
}
