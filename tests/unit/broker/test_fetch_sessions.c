/* Fetch sessions: what is answered, what is refused, who has to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/fetch_sessions.h"

#define EVICTION_MS 120000
#define BY_NAME     7
#define BY_ID       13

/* A cache and one client's request that is built up for each call. */
struct client {
    struct fetch_sessions *cache;
    struct arena arena;
    struct fetch_request in;
    struct fetch_plan plan;
    struct fetch_news news[8];
    int32_t session_id;
    int16_t version;
    bool follower;
    int64_t now_ms;
};

static struct fetch_sessions *cache_of(int slots)
{
    struct fetch_sessions_options options = {
        .slots_max = slots, .eviction_ms = EVICTION_MS, .seed = 1};
    return fetch_sessions_new(&options);
}

static void client_init(struct client *c, struct fetch_sessions *cache)
{
    *c = (struct client){.cache = cache, .version = BY_NAME};
    arena_init(&c->arena, 0);
}

static void client_deinit(struct client *c)
{
    arena_deinit(&c->arena);
}

static struct uuid id_of(char name)
{
    struct uuid id = {{0}};
    id.bytes[0] = (uint8_t)name;
    return id;
}

/* `what` names partitions by a topic's letter and a digit: "a0a1b0". */
static void request(struct client *c, int32_t id, int32_t epoch, const char *what,
                    const char *forget)
{
    fetch_request_init(&c->in);
    c->in.session_id = id;
    c->in.session_epoch = epoch;
    c->in.topics = fetch_request_topic_array(&c->arena, 8);
    c->in.forgotten_topics_data = fetch_request_forgotten_topics_data_array(&c->arena, 8);
    for (; *what != '\0'; what += 2) {
        struct fetch_request_topic *t = &c->in.topics[c->in.topics_count++];
        t->topic = arena_copy(&c->arena, slice_of(what, 1));
        t->topic_id = id_of(*what);
        t->partitions = fetch_request_topic_partition_array(&c->arena, 1);
        t->partitions_count = 1;
        t->partitions[0].partition = what[1] - '0';
        t->partitions[0].partition_max_bytes = 100;
    }
    for (; *forget != '\0'; forget += 2) {
        struct fetch_request_forgotten_topics_data *t =
            &c->in.forgotten_topics_data[c->in.forgotten_topics_data_count++];
        t->topic = arena_copy(&c->arena, slice_of(forget, 1));
        t->topic_id = id_of(*forget);
        t->partitions = arena_need(&c->arena, sizeof(int32_t));
        t->partitions[0] = forget[1] - '0';
        t->partitions_count = 1;
    }
}

static enum error_code begin(struct client *c)
{
    for (size_t i = 0; i < ARRAY_COUNT(c->news); i++)
        c->news[i] = (struct fetch_news){.high_watermark = 10};
    return fetch_sessions_begin(c->cache, &c->in, c->version, c->now_ms, &c->arena, &c->plan);
}

static enum error_code end(struct client *c)
{
    return fetch_sessions_end(c->cache, &c->plan, c->news, c->follower, c->now_ms, &c->session_id);
}

/* The plan's partitions, as in request(). */
static const char *planned(const struct client *c)
{
    static char text[64];
    size_t size = 0;
    for (int i = 0; i < c->plan.count; i++) {
        const struct fetch_want *w = &c->plan.wants[i];
        text[size++] = (char)(c->plan.by_id ? w->topic_id.bytes[0] : w->topic.data[0]);
        text[size++] = (char)('0' + w->partition);
    }
    text[size] = '\0';
    return text;
}

/* How many partitions the answer has. */
static int included(const struct client *c)
{
    int count = 0;
    for (int i = 0; i < c->plan.count; i++)
        count += c->news[i].include;
    return count;
}

static int32_t open_session(struct client *c, const char *what)
{
    request(c, 0, 0, what, "");
    assert_int_equal(begin(c), ERR_NONE);
    assert_int_equal(end(c), ERR_NONE);
    return c->session_id;
}

static void refused(struct client *c, int32_t id, int32_t epoch, enum error_code err)
{
    request(c, id, epoch, "", "");
    assert_int_equal(begin(c), err);
}

static void fetch_without_a_session_gets_everything_and_no_session(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(10));
    request(&c, 0, -1, "a0a1", "");
    assert_int_equal(begin(&c), ERR_NONE);
    assert_int_equal(end(&c), ERR_NONE);
    assert_int_equal(c.session_id, 0);
    assert_int_equal(included(&c), 2);
    assert_int_equal(fetch_sessions_count(c.cache), 0);
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void incremental_answer_has_only_news(void **state)
{
    (void)state;
    for (int16_t version = BY_NAME; version <= BY_ID; version += BY_ID - BY_NAME) {
        struct client c;
        client_init(&c, cache_of(10));
        c.version = version;
        int32_t id = open_session(&c, "a0a1b0");
        assert_true(id > 0);
        assert_int_equal(included(&c), 3);

        request(&c, id, 1, "", "");
        assert_int_equal(begin(&c), ERR_NONE);
        assert_string_equal(planned(&c), "a0a1b0");
        assert_int_equal(end(&c), ERR_NONE);
        assert_int_equal(c.session_id, id);
        assert_int_equal(included(&c), 0);

        request(&c, id, 2, "", "");
        assert_int_equal(begin(&c), ERR_NONE);
        c.news[1].high_watermark = 11;
        assert_int_equal(end(&c), ERR_NONE);
        assert_int_equal(included(&c), 1);
        assert_true(c.news[1].include);
        client_deinit(&c);
        fetch_sessions_free(c.cache);
    }
}

static void partition_with_records_is_served_last_the_next_time(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(10));
    int32_t id = open_session(&c, "a0a1b0");
    request(&c, id, 1, "", "");
    assert_int_equal(begin(&c), ERR_NONE);
    c.news[0].records = true;
    assert_int_equal(end(&c), ERR_NONE);
    request(&c, id, 2, "", "");
    assert_int_equal(begin(&c), ERR_NONE);
    assert_string_equal(planned(&c), "a1b0a0");
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void error_is_told_and_so_is_its_end(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(10));
    int32_t id = open_session(&c, "a0");
    for (int32_t epoch = 1; epoch <= 4; epoch++) {
        request(&c, id, epoch, "", "");
        assert_int_equal(begin(&c), ERR_NONE);
        if (epoch <= 2)
            c.news[0].error_code = ERR_NOT_LEADER_OR_FOLLOWER;
        assert_int_equal(end(&c), ERR_NONE);
        assert_int_equal(included(&c), epoch <= 3 ? 1 : 0);
    }
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void partitions_are_added_changed_and_forgotten(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(10));
    int32_t id = open_session(&c, "a0a1");
    request(&c, id, 1, "c0a1", "a0");
    c.in.topics[1].partitions[0].fetch_offset = 77;
    assert_int_equal(begin(&c), ERR_NONE);
    assert_string_equal(planned(&c), "a1c0");
    assert_int_equal(c.plan.wants[0].fetch_offset, 77);
    assert_int_equal(end(&c), ERR_NONE);
    assert_int_equal(included(&c), 1); /* the new one */
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void session_that_forgets_all_is_gone(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(10));
    int32_t id = open_session(&c, "a0");
    request(&c, id, 1, "", "a0");
    assert_int_equal(begin(&c), ERR_NONE);
    assert_int_equal(end(&c), ERR_NONE);
    assert_int_equal(c.session_id, 0);
    refused(&c, id, 2, ERR_FETCH_SESSION_ID_NOT_FOUND);
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void wrong_session_epoch_and_kind_of_name_are_refused(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(10));
    int32_t id = open_session(&c, "a0");
    refused(&c, id + 1, 1, ERR_FETCH_SESSION_ID_NOT_FOUND);
    refused(&c, id, 2, ERR_INVALID_FETCH_SESSION_EPOCH);
    c.version = BY_ID;
    refused(&c, id, 1, ERR_FETCH_SESSION_TOPIC_ID_ERROR);
    c.version = BY_NAME;
    request(&c, id, 1, "", "");
    assert_int_equal(begin(&c), ERR_NONE); /* none of them cost the session anything */
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void answer_to_a_request_that_was_overtaken_is_an_error(void **state)
{
    (void)state;
    struct client first, second;
    struct fetch_sessions *cache = cache_of(10);
    client_init(&first, cache);
    client_init(&second, cache);
    int32_t id = open_session(&first, "a0");
    request(&first, id, 1, "", "");
    assert_int_equal(begin(&first), ERR_NONE);
    request(&second, id, 2, "", "");
    assert_int_equal(begin(&second), ERR_NONE);
    assert_int_equal(end(&first), ERR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(end(&second), ERR_NONE);
    client_deinit(&first);
    client_deinit(&second);
    fetch_sessions_free(cache);
}

static void epoch_0_and_minus_1_end_the_session_they_name(void **state)
{
    (void)state;
    for (int32_t epoch = -1; epoch <= 0; epoch++) {
        struct client c;
        client_init(&c, cache_of(10));
        int32_t id = open_session(&c, "a0");
        request(&c, id, epoch, "a0", "");
        assert_int_equal(begin(&c), ERR_NONE);
        refused(&c, id, 1, ERR_FETCH_SESSION_ID_NOT_FOUND);
        client_deinit(&c);
        fetch_sessions_free(c.cache);
    }
}

static void full_cache_gives_no_session_to_a_young_rival(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(1));
    int32_t id = open_session(&c, "a0");
    c.now_ms = EVICTION_MS / 2;
    assert_int_equal(open_session(&c, "a0a1"), 0);
    assert_int_equal(included(&c), 2); /* served all the same */
    request(&c, id, 1, "", "");
    assert_int_equal(begin(&c), ERR_NONE);
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void unused_session_goes_first_then_a_smaller_settled_one(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(2));
    int32_t small = open_session(&c, "a0");
    int32_t large = open_session(&c, "a0a1a2");
    c.now_ms = EVICTION_MS;
    request(&c, small, 1, "", "");
    assert_int_equal(begin(&c), ERR_NONE);
    assert_int_equal(end(&c), ERR_NONE);
    c.now_ms = EVICTION_MS + 1;
    int32_t other = open_session(&c, "b0"); /* `large` was not used for too long */
    assert_true(other > 0);
    refused(&c, large, 1, ERR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(open_session(&c, "b1"), 0); /* not larger than `small` */
    assert_true(open_session(&c, "b1b2") > 0);   /* `small` is settled, `other` is young */
    refused(&c, small, 2, ERR_FETCH_SESSION_ID_NOT_FOUND);
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void follower_takes_a_consumers_place_and_never_the_other_way(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(1));
    int32_t consumer = open_session(&c, "a0a1a2");
    c.follower = true;
    int32_t follower = open_session(&c, "a0");
    assert_true(follower > 0);
    refused(&c, consumer, 1, ERR_FETCH_SESSION_ID_NOT_FOUND);
    c.follower = false;
    c.now_ms = EVICTION_MS;
    assert_int_equal(open_session(&c, "a0a1a2"), 0);
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

static void cache_of_no_slots_never_gives_one(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, cache_of(0));
    assert_int_equal(open_session(&c, "a0"), 0);
    client_deinit(&c);
    fetch_sessions_free(c.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch_without_a_session_gets_everything_and_no_session),
        cmocka_unit_test(incremental_answer_has_only_news),
        cmocka_unit_test(partition_with_records_is_served_last_the_next_time),
        cmocka_unit_test(error_is_told_and_so_is_its_end),
        cmocka_unit_test(partitions_are_added_changed_and_forgotten),
        cmocka_unit_test(session_that_forgets_all_is_gone),
        cmocka_unit_test(wrong_session_epoch_and_kind_of_name_are_refused),
        cmocka_unit_test(answer_to_a_request_that_was_overtaken_is_an_error),
        cmocka_unit_test(epoch_0_and_minus_1_end_the_session_they_name),
        cmocka_unit_test(full_cache_gives_no_session_to_a_young_rival),
        cmocka_unit_test(unused_session_goes_first_then_a_smaller_settled_one),
        cmocka_unit_test(follower_takes_a_consumers_place_and_never_the_other_way),
        cmocka_unit_test(cache_of_no_slots_never_gives_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
