/* Memory of one request: alignment, zeroes, the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/arena.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    static const size_t sizes[] = {0, 1, 15, 16, 17, 700, 5000, 100000, 3};
    uint8_t *pieces[ARRAY_COUNT(sizes)];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        pieces[i] = arena_alloc(&a, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], i + 1);
    arena_deinit(&a);
    assert_int_equal(a.used_bytes, 0);
}

static void limit_is_never_passed(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100);
    assert_non_null(arena_alloc(&a, 64));
    assert_null(arena_alloc(&a, 48));
    assert_non_null(arena_alloc(&a, 32));
    assert_null(arena_alloc(&a, 16));
    assert_int_equal(a.used_bytes, 96);
    arena_deinit(&a);
    assert_int_equal(a.limit_bytes, 100); /* and is still set for the next request */
}

static void array_of_overflowing_size_is_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_null(arena_alloc_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_non_null(arena_alloc_array(&a, 10, 24));
    arena_deinit(&a);
}

static void our_own_answers_ignore_the_limit(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 16);
    assert_non_null(arena_need(&a, 1000));
    assert_null(arena_alloc(&a, 16));
    struct slice text = arena_printf(&a, "%s-%d", "topic", 7);
    assert_true(slice_equals_text(text, "topic-7"));
    assert_true(slice_is_null(arena_copy(&a, SLICE_NULL)));
    struct slice empty = arena_text(&a, "");
    assert_true(empty.data != NULL && empty.size == 0);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(limit_is_never_passed),
        cmocka_unit_test(array_of_overflowing_size_is_refused),
        cmocka_unit_test(our_own_answers_ignore_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
