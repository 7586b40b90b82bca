/* The hash map against a plain array that does the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/check.h"
#include "proto/base/map.h"
#include "proto/base/rng.h"

static int values[1000];

static void finds_what_was_put(void **state)
{
    (void)state;
    struct map m = {0};
    assert_null(map_find(&m, SLICE("a")));
    assert_null(map_put(&m, SLICE("a"), &values[1]));
    assert_null(map_put(&m, SLICE(""), &values[2]));
    assert_ptr_equal(map_put(&m, SLICE("a"), &values[3]), &values[1]);
    assert_ptr_equal(map_find(&m, SLICE("a")), &values[3]);
    assert_ptr_equal(map_find(&m, SLICE("")), &values[2]);
    assert_int_equal(m.count, 2);
    assert_ptr_equal(map_remove(&m, SLICE("a")), &values[3]);
    assert_null(map_remove(&m, SLICE("a")));
    assert_null(map_find(&m, SLICE("a")));
    map_deinit(&m);
}

static void iterates_in_the_order_of_insertion(void **state)
{
    (void)state;
    struct map m = {0};
    for (int i = 0; i < 100; i++)
        map_put(&m, MAP_KEY(i), &values[i]);
    for (int i = 0; i < 100; i += 3)
        map_remove(&m, MAP_KEY(i));
    int zero = 0, expected = 0;
    map_put(&m, MAP_KEY(zero), &values[999]);
    MAP_FOR_EACH (entry, &m) {
        if (entry->value == &values[999]) {
            expected = 1000; /* the last one */
            continue;
        }
        do
            expected++;
        while (expected % 3 == 0);
        assert_ptr_equal(entry->value, &values[expected]);
    }
    assert_int_equal(expected, 1000);
    map_deinit(&m);
}

static void agrees_with_a_plain_array_over_random_changes(void **state)
{
    (void)state;
    struct map m = {0};
    struct rng rng;
    void *expected[500] = {0};
    size_t count = 0;
    rng_init(&rng, 42);
    for (int round = 0; round < 50000; round++) {
        uint64_t key = rng_below(&rng, ARRAY_COUNT(expected));
        if (rng_below(&rng, 2) == 0) {
            void *value = &values[rng_below(&rng, ARRAY_COUNT(values))];
            assert_ptr_equal(map_put(&m, MAP_KEY(key), value), expected[key]);
            count += expected[key] == NULL;
            expected[key] = value;
        } else {
            assert_ptr_equal(map_remove(&m, MAP_KEY(key)), expected[key]);
            count -= expected[key] != NULL;
            expected[key] = NULL;
        }
        assert_int_equal(m.count, count);
    }
    for (uint64_t key = 0; key < ARRAY_COUNT(expected); key++)
        assert_ptr_equal(map_find(&m, MAP_KEY(key)), expected[key]);
    assert_true(m.entries_count <= 4096); /* holes are reused */
    map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(iterates_in_the_order_of_insertion),
        cmocka_unit_test(agrees_with_a_plain_array_over_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
