/* Brokers that seem dead: noted, cleared, forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/suspects.h"

static int count(struct suspects *s, int64_t now_ms)
{
    struct suspected who;
    suspects_list(s, now_ms, &who);
    return who.count;
}

static bool suspects_has(struct suspects *s, int32_t node_id, int64_t now_ms)
{
    struct suspected who;
    bool found = false;
    suspects_list(s, now_ms, &who);
    for (int i = 0; i < who.count; i++)
        found = found || who.ids[i] == node_id;
    return found;
}

static void is_suspected_until_it_answers_or_for_a_while(void **state)
{
    (void)state;
    struct suspects *s = suspects_new();
    assert_int_equal(count(s, 1000), 0);
    assert_false(suspects_has(s, 1, 1000));
    suspects_note(s, 1, 1000);
    suspects_note(s, 2, 1500);
    suspects_note(s, 1, 1800);           /* refused again */
    assert_int_equal(count(s, 1800), 2); /* each once */
    assert_true(suspects_has(s, 1, 1800 + SUSPECT_MS - 1));
    assert_false(suspects_has(s, 2, 1500 + SUSPECT_MS));
    assert_false(suspects_has(s, 3, 1900));
    suspects_clear(s, 1);
    assert_false(suspects_has(s, 1, 1900));
    assert_true(suspects_has(s, 2, 1900));
    suspects_clear(s, 2);
    assert_int_equal(count(s, 1900), 0);
    suspects_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_suspected_until_it_answers_or_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
