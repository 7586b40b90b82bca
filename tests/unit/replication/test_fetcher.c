/* What a follower asks for, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "replication/fetcher.h"

#define BACKOFF_MS 50
#define PARTITIONS 4

/* A follower's partitions 0..3 with their positions; requests as text: "0@5" asks, "-1" forgets. */
struct bench {
    struct fetcher *f;
    struct arena arena;
    struct fetcher_request request;
    int64_t now_ms;
    int64_t offsets[PARTITIONS]; /* -1: no position now */
    int32_t epochs[PARTITIONS];
    char text[128];
};

static struct fetcher_key key(int32_t index)
{
    return (struct fetcher_key){.topic_id = {{7}}, .index = index};
}

static bool position_of(void *arg, const struct fetcher_key *k, struct fetcher_position *out)
{
    struct bench *b = arg;
    *out = (struct fetcher_position){.fetch_offset = b->offsets[k->index],
                                     .leader_epoch = b->epochs[k->index],
                                     .last_fetched_epoch = -1};
    return b->offsets[k->index] >= 0;
}

static void assign(struct bench *b, int count)
{
    struct fetcher_key keys[PARTITIONS];
    for (int32_t i = 0; i < count; i++)
        keys[i] = key(i);
    fetcher_assign(b->f, keys, count);
}

static void bench_init(struct bench *b, int count)
{
    *b = (struct bench){.f = fetcher_new(BACKOFF_MS), .now_ms = 1000};
    arena_init(&b->arena, 0);
    assign(b, count);
}

static void bench_deinit(struct bench *b)
{
    fetcher_free(b->f);
    arena_deinit(&b->arena);
}

/* The next request as text, "none" when there is none. */
static const char *next(struct bench *b)
{
    if (!fetcher_next(b->f, b->now_ms, position_of, b, &b->arena, &b->request))
        return "none";
    const struct fetcher_request *r = &b->request;
    int size = snprintf(b->text, sizeof(b->text), "%d/%d%s:", r->session_id, r->session_epoch,
                        r->wait ? "" : "!");
    for (int i = 0; i < r->asks_count; i++)
        size += snprintf(b->text + size, sizeof(b->text) - (size_t)size, " %d@%d",
                         r->asks[i].key.index, (int)r->asks[i].at.fetch_offset);
    for (int i = 0; i < r->forgotten_count; i++)
        size +=
            snprintf(b->text + size, sizeof(b->text) - (size_t)size, " -%d", r->forgotten[i].index);
    return b->text;
}

static bool answer(struct bench *b, int64_t number)
{
    return fetcher_answered(b->f, number, ERR_NONE, 9, b->now_ms);
}

/* Open session 9, so that request 2 is the first in it. */
static void open_session(struct bench *b)
{
    assert_string_not_equal(next(b), "none");
    assert_true(answer(b, 1));
}

static bool takes(struct bench *b, int64_t number, int32_t index)
{
    int32_t leader_epoch;
    struct fetcher_key k = key(index);
    return fetcher_takes(b->f, number, &k, &leader_epoch);
}

/* Records of an answer: they move the partition, and are on disk at once or later. */
static void records(struct bench *b, int32_t index, bool flushing)
{
    struct fetcher_key k = key(index);
    b->offsets[index] += 5;
    fetcher_taken(b->f, &k, flushing ? FETCHED_FLUSHING : FETCHED_MOVED, b->now_ms);
}

static void flushed(struct bench *b, int32_t index)
{
    struct fetcher_key k = key(index);
    fetcher_flushed(b->f, &k);
}

static void session_is_opened_at_once_then_only_news_are_told(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    assert_string_equal(next(&b), "0/0!: 0@0 1@0");
    assert_string_equal(next(&b), "none"); /* until the session is known */
    assert_true(answer(&b, 1));
    assert_string_equal(next(&b), "9/1:");
    assert_true(answer(&b, 2));
    records(&b, 1, false);
    assert_string_equal(next(&b), "9/2: 1@5");
    bench_deinit(&b);
}

static void partition_being_flushed_holds_up_only_itself(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    open_session(&b);
    assert_string_equal(next(&b), "9/1:");
    assert_true(answer(&b, 2));
    records(&b, 0, true);
    assert_string_equal(next(&b), "9/2: -0"); /* the other one goes on without it */
    assert_string_equal(next(&b), "none");
    flushed(&b, 0);
    assert_string_equal(next(&b), "9/3: 0@5"); /* which ends the wait of request 3 */
    assert_string_equal(next(&b), "none");
    assert_true(answer(&b, 3));
    assert_string_equal(next(&b), "none"); /* request 4 waits, nothing to add */
    bench_deinit(&b);
}

static void only_partition_keeps_its_session_while_it_is_flushed(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    open_session(&b);
    for (int32_t epoch = 1; epoch < 5; epoch++) {
        assert_string_not_equal(next(&b), "none");
        assert_int_equal(b.request.session_epoch, epoch);
        assert_int_equal(b.request.forgotten_count, 0);
        assert_true(answer(&b, epoch + 1));
        records(&b, 0, true);
        assert_string_equal(next(&b), "none");
        assert_int_equal(fetcher_pause_ms(b.f, b.now_ms), -1);
        flushed(&b, 0);
    }
    bench_deinit(&b);
}

static void records_are_taken_once_though_two_answers_bring_them(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    open_session(&b);
    assert_string_equal(next(&b), "9/1:");
    assert_true(answer(&b, 2));
    records(&b, 0, true);
    assert_string_equal(next(&b), "9/2: -0");
    flushed(&b, 0);
    assert_string_equal(next(&b), "9/3: 0@5"); /* partition 1 is in both, at 0 */
    assert_true(answer(&b, 3));
    assert_true(takes(&b, 3, 1));
    records(&b, 1, true);
    assert_true(answer(&b, 4));
    assert_false(takes(&b, 4, 1));
    flushed(&b, 1);
    assert_string_equal(next(&b), "9/4: 1@5");
    assert_false(takes(&b, 4, 1));
    assert_true(takes(&b, 5, 1));
    bench_deinit(&b);
}

static void failed_partition_backs_off_alone(void **state)
{
    (void)state;
    struct bench b;
    struct fetcher_key first = key(0);
    bench_init(&b, 2);
    open_session(&b);
    assert_string_equal(next(&b), "9/1:");
    assert_true(answer(&b, 2));
    fetcher_taken(b.f, &first, FETCHED_FAILED, b.now_ms);
    assert_string_equal(next(&b), "9/2: -0");
    assert_int_equal(fetcher_pause_ms(b.f, b.now_ms), BACKOFF_MS);
    b.now_ms += BACKOFF_MS;
    assert_string_equal(next(&b), "9/3: 0@0");
    bench_deinit(&b);
}

static void partition_without_a_position_is_looked_at_again(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    b.offsets[0] = -1;
    assert_string_equal(next(&b), "none");
    assert_int_equal(fetcher_pause_ms(b.f, b.now_ms), BACKOFF_MS);
    b.offsets[0] = 3;
    assert_string_equal(next(&b), "none");
    flushed(&b, 0); /* a flush that was begun under another leader */
    assert_string_equal(next(&b), "0/0!: 0@3");
    bench_deinit(&b);
}

static void failed_request_pauses_and_opens_a_new_session(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    open_session(&b);
    assert_string_equal(next(&b), "9/1:");
    assert_false(fetcher_answered(b.f, 2, ERR_FETCH_SESSION_ID_NOT_FOUND, 0, b.now_ms));
    assert_string_equal(next(&b), "none");
    assert_int_equal(fetcher_pause_ms(b.f, b.now_ms), BACKOFF_MS);
    b.now_ms += BACKOFF_MS;
    assert_string_equal(next(&b), "0/0!: 0@0 1@0");
    bench_deinit(&b);
}

static void answer_of_a_former_session_is_not_taken(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    open_session(&b);
    assert_string_equal(next(&b), "9/1:");
    assign(&b, 1); /* partition 1 is followed elsewhere: the session has it still */
    assert_string_equal(next(&b), "0/0!: 0@0");
    assert_false(answer(&b, 2));
    assert_true(answer(&b, 3));
    assert_string_equal(next(&b), "9/1:");
    bench_deinit(&b);
}

static void leader_that_gives_no_session_is_asked_for_everything(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    assert_string_equal(next(&b), "0/0!: 0@0 1@0");
    assert_true(fetcher_answered(b.f, 1, ERR_NONE, 0, b.now_ms));
    assert_string_equal(next(&b), "0/-1: 0@0 1@0");
    assert_true(fetcher_answered(b.f, 2, ERR_NONE, 0, b.now_ms));
    records(&b, 0, true);
    assert_string_equal(next(&b), "0/-1: 1@0");
    flushed(&b, 0);
    assert_string_equal(next(&b), "0/-1: 0@5 1@0");
    bench_deinit(&b);
}

static void newer_leader_epoch_is_told(void **state)
{
    (void)state;
    struct bench b;
    int32_t leader_epoch;
    struct fetcher_key first = key(0);
    bench_init(&b, 2);
    open_session(&b);
    assert_string_equal(next(&b), "9/1:");
    b.epochs[0] = 4;
    assign(&b, 2);
    assert_string_equal(next(&b), "9/2: 0@0");
    assert_true(answer(&b, 2));
    assert_false(takes(&b, 2, 0));
    assert_true(answer(&b, 3));
    assert_true(fetcher_takes(b.f, 3, &first, &leader_epoch));
    assert_int_equal(leader_epoch, 4);
    bench_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_is_opened_at_once_then_only_news_are_told),
        cmocka_unit_test(partition_being_flushed_holds_up_only_itself),
        cmocka_unit_test(only_partition_keeps_its_session_while_it_is_flushed),
        cmocka_unit_test(records_are_taken_once_though_two_answers_bring_them),
        cmocka_unit_test(failed_partition_backs_off_alone),
        cmocka_unit_test(partition_without_a_position_is_looked_at_again),
        cmocka_unit_test(failed_request_pauses_and_opens_a_new_session),
        cmocka_unit_test(answer_of_a_former_session_is_not_taken),
        cmocka_unit_test(leader_that_gives_no_session_is_asked_for_everything),
        cmocka_unit_test(newer_leader_epoch_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
