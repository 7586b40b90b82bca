/* Slices, ids, lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "proto/base/buffer.h"
#include "proto/base/list.h"
#include "proto/base/rng.h"
#include "proto/base/slice.h"

static void slices_compare_as_bytes(void **state)
{
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("ab"), SLICE("a")) > 0);
    assert_true(slice_compare(SLICE("\xff"), SLICE("a")) > 0);
    assert_int_equal(slice_compare(SLICE("x"), SLICE("x")), 0);
    assert_int_equal(slice_compare(SLICE_NULL, SLICE("")), 0);
    assert_null(slice_to_text(SLICE_NULL));
    char *text = slice_to_text(SLICE("topic"));
    assert_string_equal(text, "topic");
    free(text);
}

static void uuid_text_is_kafkas(void **state)
{
    (void)state;
    char text[UUID_TEXT_SIZE];
    uuid_to_text(UUID_ZERO, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
    struct uuid id;
    memset(id.bytes, 0xff, sizeof(id.bytes));
    uuid_to_text(id, text);
    assert_string_equal(text, "_____________________w");
    for (int i = 0; i < 1000; i++) {
        struct uuid random = rng_system_uuid(), back;
        uuid_to_text(random, text);
        assert_int_equal(uuid_from_text(slice_from_text(text), &back), 0);
        assert_true(uuid_equal(random, back) && !uuid_is_zero(back));
    }
    assert_int_equal(uuid_from_text(SLICE("short"), &id), -EINVAL);
    assert_int_equal(uuid_from_text(SLICE("AAAAAAAAAA AAAAAAAAAAA"), &id), -EINVAL);
    assert_int_equal(uuid_from_text(SLICE("AAAAAAAAAA\0AAAAAAAAAAA"), &id), -EINVAL);
}

struct item {
    int value;
    struct list link;
};

static void list_keeps_order_and_survives_removal_inside_the_loop(void **state)
{
    (void)state;
    struct list head, other;
    struct item items[5] = {{0}, {.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 5; i++)
        list_push_back(&head, &items[i].link);
    int seen = 0;
    LIST_FOR_EACH (item, &head, struct item, link) {
        assert_int_equal(item->value, seen++);
        if (item->value % 2 == 1) {
            list_remove(&item->link);
            list_remove(&item->link); /* harmless */
        }
    }
    assert_int_equal(seen, 5);
    list_push_front(&other, &items[1].link);
    list_splice(&other, &head);
    assert_true(list_is_empty(&head));
    static const int expected[] = {1, 0, 2, 4};
    for (int i = 0; i < 4; i++)
        assert_int_equal(CONTAINER_OF(list_pop_front(&other), struct item, link)->value,
                         expected[i]);
    assert_null(list_pop_front(&other));
}

static void buffer_grows(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_int_equal(buffer_slice(&b).size, 0);
    assert_non_null(buffer_slice(&b).data);
    for (int i = 0; i < 1000; i++)
        buffer_printf(&b, "%d,", i % 10);
    buffer_append(&b, NULL, 0);
    buffer_append_slice(&b, SLICE("end"));
    assert_int_equal(b.size, 2003);
    assert_memory_equal(b.data + 1998, "9,end", 5);
    buffer_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_as_bytes),
        cmocka_unit_test(uuid_text_is_kafkas),
        cmocka_unit_test(list_keeps_order_and_survives_removal_inside_the_loop),
        cmocka_unit_test(buffer_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
