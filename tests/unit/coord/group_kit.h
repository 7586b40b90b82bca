/*
 * What the tests of classic groups share: a group, a clock that only they move, and the answers to
 * numbered requests.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coord/group_classic.h"

#define KIT_TOKENS       4096
#define KIT_SESSION_MS   10000
#define KIT_REBALANCE_MS 60000

struct group_answer {
    bool came;
    enum error_code err;
    int32_t generation;
    char leader[64];
    char member_id[64];
    char protocol[32];
    char assignment[64];
    char members[512]; /* id:metadata, in order */
    bool skip_assignment;
};

struct group_kit {
    struct group_classic g;
    struct group_config config;
    int64_t now_ms;
    int token; /* the last one given */
    uint8_t unique;
    struct group_answer answers[KIT_TOKENS];
    uint64_t written; /* number of the newest write */
    int writes;
    bool writes_held; /* their outcome is the test's to tell */
};

static inline struct group_kit *group_kit_new(void)
{
    struct group_kit *k = mem_zalloc(sizeof(*k));
    k->config = (struct group_config){
        .initial_delay_ms = 0, .session_min_ms = 1000, .session_max_ms = 60000, .size_max = 100};
    k->now_ms = 1000000;
    group_classic_init(&k->g, &k->config);
    return k;
}

static inline void group_kit_free(struct group_kit *k)
{
    group_classic_deinit(&k->g);
    free(k);
}

static inline void kit_text(char *out, size_t size, struct slice s)
{
    snprintf(out, size, SLICE_FMT, SLICE_ARG(s));
}

static inline void kit_answer(struct group_kit *k, const struct group_reply *reply)
{
    struct group_answer *a = &k->answers[(intptr_t)reply->token];
    assert_false(a->came); /* exactly one reply each */
    *a = (struct group_answer){.came = true,
                               .err = reply->err,
                               .generation = reply->generation,
                               .skip_assignment = reply->skip_assignment};
    kit_text(a->leader, sizeof(a->leader), reply->leader);
    kit_text(a->member_id, sizeof(a->member_id), reply->member_id);
    kit_text(a->protocol, sizeof(a->protocol), reply->protocol_name);
    kit_text(a->assignment, sizeof(a->assignment), reply->assignment);
    FOR_EACH (m, reply->members, reply->members_count) {
        size_t used = strlen(a->members);
        snprintf(a->members + used, sizeof(a->members) - used, SLICE_FMT ":" SLICE_FMT " ",
                 SLICE_ARG(m->id), SLICE_ARG(m->metadata));
    }
}

static inline void kit_persisted(struct group_kit *k, uint64_t number, enum error_code err);

/* Take the effects of an event; a write is durable at once unless they are held. */
static inline void kit_take(struct group_kit *k, struct group_effects *fx)
{
    uint64_t number = fx->persist_number;
    for (size_t i = 0; i < fx->replies.count; i++)
        kit_answer(k, &fx->replies.items[i]);
    group_effects_deinit(fx);
    if (number == 0)
        return;
    k->written = number;
    k->writes++;
    if (!k->writes_held)
        kit_persisted(k, number, ERR_NONE);
}

static inline void kit_persisted(struct group_kit *k, uint64_t number, enum error_code err)
{
    struct group_effects fx;
    group_effects_init(&fx);
    group_classic_persisted(&k->g, number, err, k->now_ms, &fx);
    kit_take(k, &fx);
}

static inline struct group_answer *kit_last(struct group_kit *k)
{
    return &k->answers[k->token];
}

static inline struct slice kit_slice(const char *text)
{
    return text ? slice_from_text(text) : SLICE_NULL;
}

struct kit_join {
    const char *id;        /* NULL: a new member */
    const char *instance;  /* NULL: dynamic */
    const char *protocols; /* "range sticky": in order of preference; NULL: range */
    const char *metadata;
    const char *type;
    int session_ms;
    int rebalance_ms;
    int version; /* 0: 3, which is admitted at once */
};

/* Returns the token. */
static inline int kit_join_(struct group_kit *k, struct kit_join j)
{
    struct group_protocol protocols[8];
    int count = 0;
    const char *names = j.protocols ? j.protocols : "range";
    while (*names != '\0') {
        size_t size = strcspn(names, " ");
        protocols[count++] = (struct group_protocol){
            slice_of(names, size), slice_from_text(j.metadata ? j.metadata : "m")};
        names += size + (names[size] == ' ');
    }
    int version = j.version ? j.version : 3;
    struct group_join in = {
        .token = (void *)(intptr_t)++k->token,
        .member_id = slice_from_text(j.id ? j.id : ""),
        .instance_id = kit_slice(j.instance),
        .client_id = SLICE("c"),
        .client_host = SLICE("/127.0.0.1"),
        .session_timeout_ms = j.session_ms ? j.session_ms : KIT_SESSION_MS,
        .rebalance_timeout_ms = j.rebalance_ms ? j.rebalance_ms : KIT_REBALANCE_MS,
        .protocol_type = slice_from_text(j.type ? j.type : "consumer"),
        .protocols = protocols,
        .protocols_count = count,
        .unique = {{++k->unique}},
        .needs_known_id = version >= 4,
        .can_skip_assignment = version >= 9,
    };
    assert_true(k->token < KIT_TOKENS);
    struct group_effects fx;
    group_effects_init(&fx);
    group_classic_join(&k->g, &in, k->now_ms, &fx);
    kit_take(k, &fx);
    return k->token;
}

#define KIT_JOIN(k, ...) kit_join_((k), (struct kit_join){__VA_ARGS__})

/* assignments: "id=a id=b", NULL: none, as a follower. */
static inline int kit_sync_instance(struct group_kit *k, const char *id, const char *instance,
                                    int32_t generation, const char *assignments)
{
    struct group_assignment list[16];
    int count = 0;
    for (const char *at = assignments; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, " ");
        size_t name = strcspn(at, "=");
        list[count++] =
            (struct group_assignment){slice_of(at, name), slice_of(at + name + 1, size - name - 1)};
        at += size + (at[size] == ' ');
    }
    struct group_sync in = {.token = (void *)(intptr_t)++k->token,
                            .member_id = slice_from_text(id),
                            .instance_id = kit_slice(instance),
                            .generation = generation,
                            .assignments = list,
                            .assignments_count = count};
    assert_true(k->token < KIT_TOKENS);
    struct group_effects fx;
    group_effects_init(&fx);
    group_classic_sync(&k->g, &in, k->now_ms, &fx);
    kit_take(k, &fx);
    return k->token;
}

static inline int kit_sync(struct group_kit *k, const char *id, int32_t generation,
                           const char *assignments)
{
    return kit_sync_instance(k, id, NULL, generation, assignments);
}

static inline enum error_code kit_beat(struct group_kit *k, const char *id, int32_t generation)
{
    return group_classic_heartbeat(&k->g, slice_from_text(id), SLICE_NULL, generation, k->now_ms);
}

/* All of them in one request; the error of the last. */
static inline enum error_code kit_leave(struct group_kit *k, const char *const *ids, int count)
{
    struct group_effects fx;
    enum error_code err = ERR_NONE;
    group_effects_init(&fx);
    for (int i = 0; i < count; i++)
        err = group_classic_leave(&k->g, slice_from_text(ids[i]), SLICE_NULL, &fx);
    group_classic_left(&k->g, k->now_ms, &fx);
    kit_take(k, &fx);
    return err;
}

/* Time passes, in the steps in which the group asks to be looked at. */
static inline void kit_pass(struct group_kit *k, int64_t ms)
{
    int64_t end_ms = k->now_ms + ms;
    for (;;) {
        int64_t due_ms = group_classic_deadline(&k->g);
        if (due_ms > end_ms)
            break;
        k->now_ms = MAX(k->now_ms, due_ms);
        struct group_effects fx;
        group_effects_init(&fx);
        group_classic_tick(&k->g, k->now_ms, &fx);
        kit_take(k, &fx);
        assert_true(group_classic_deadline(&k->g) > k->now_ms); /* or it would spin */
    }
    k->now_ms = end_ms;
}

/* A stable group of `count` members, which all want range; ids[0] leads. */
static inline void kit_stable(struct group_kit *k, char ids[][64], int count)
{
    int tokens[16];
    for (int i = 0; i < count; i++) {
        tokens[i] = KIT_JOIN(k, .version = 3);
        for (int m = 0; m < i; m++)
            tokens[m] = KIT_JOIN(k, .id = ids[m]);
        strcpy(ids[i], k->answers[tokens[i]].member_id);
    }
    char assignments[1024] = "";
    for (int i = 0; i < count; i++) {
        size_t used = strlen(assignments);
        snprintf(assignments + used, sizeof(assignments) - used, "%s=a%d ", ids[i], i);
    }
    kit_sync(k, ids[0], k->g.generation, assignments);
    for (int i = 1; i < count; i++)
        kit_sync(k, ids[i], k->g.generation, NULL);
    assert_int_equal(k->g.state, GROUP_STABLE);
    assert_int_equal(k->g.members_count, count);
}
