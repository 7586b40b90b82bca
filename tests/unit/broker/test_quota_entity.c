/* Quota entities as names of resources, and which of them may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/quota_entity.h"

static char reason[200];

static enum error_code add(struct quota_entity *e, const char *type, struct slice name)
{
    return quota_entity_add(e, slice_from_text(type), name, reason);
}

static void a_name_is_the_same_whatever_order_its_parts_came_in(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct quota_entity a = {0}, b = {0};
    assert_int_equal(add(&a, "user", SLICE("ann")), ERR_NONE);
    assert_int_equal(add(&a, "client-id", SLICE_NULL), ERR_NONE);
    assert_int_equal(add(&b, "client-id", SLICE_NULL), ERR_NONE);
    assert_int_equal(add(&b, "user", SLICE("ann")), ERR_NONE);
    struct slice text = quota_entity_encode(&a, &arena);
    assert_true(slice_equals_text(text, "client-id=<default>,user=ann"));
    assert_true(slice_equal(text, quota_entity_encode(&b, &arena)));
    arena_deinit(&arena);
}

static void any_bytes_come_back_from_a_name(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    static const char *const NAMES[] = {"a b=c,d", "<default>", "100%", "%41", "\xc3\xa9\n", "x"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
        struct quota_entity in = {0}, out;
        assert_int_equal(add(&in, "user", slice_from_text(NAMES[i])), ERR_NONE);
        assert_int_equal(add(&in, "client-id", slice_from_text(NAMES[i])), ERR_NONE);
        struct slice text = quota_entity_encode(&in, &arena);
        assert_int_equal(quota_entity_decode(text, &arena, &out), 0);
        assert_int_equal(out.count, 2);
        assert_true(slice_equals_text(quota_entity_find(&out, SLICE("user"))->name, NAMES[i]));
        assert_true(slice_equals_text(quota_entity_find(&out, SLICE("client-id"))->name, NAMES[i]));
    }
    arena_deinit(&arena);
}

static void names_that_were_never_made_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    static const char *const WRONG[] = {"user",     "user=%4",       "user=%zz", "what=x",
                                        "user=a,=", "user=a,user=b", "user="};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++) {
        struct quota_entity e;
        assert_int_not_equal(quota_entity_decode(slice_from_text(WRONG[i]), &arena, &e), 0);
    }
    arena_deinit(&arena);
}

static void wrong_entities_are_refused(void **state)
{
    (void)state;
    struct quota_entity e = {0};
    assert_int_equal(quota_entity_check(&e, reason), ERR_INVALID_REQUEST);
    assert_int_equal(add(&e, "what", SLICE("x")), ERR_INVALID_REQUEST);
    assert_int_equal(add(&e, "ip", SLICE("")), ERR_INVALID_REQUEST);
    assert_int_equal(add(&e, "ip", SLICE("no address")), ERR_NONE);
    assert_int_equal(quota_entity_check(&e, reason), ERR_INVALID_REQUEST);
    e = (struct quota_entity){0};
    assert_int_equal(add(&e, "ip", SLICE("::1")), ERR_NONE);
    assert_int_equal(quota_entity_check(&e, reason), ERR_NONE);
    assert_int_equal(add(&e, "ip", SLICE("::1")), ERR_INVALID_REQUEST);
    assert_int_equal(add(&e, "user", SLICE("x")), ERR_NONE);
    assert_int_equal(quota_entity_check(&e, reason), ERR_INVALID_REQUEST);
}

static void a_quota_fits_its_entity_and_its_type(void **state)
{
    (void)state;
    struct quota_entity user = {0}, ip = {0};
    assert_int_equal(add(&user, "user", SLICE_NULL), ERR_NONE);
    assert_int_equal(add(&ip, "ip", SLICE_NULL), ERR_NONE);
    struct slice rate = SLICE("producer_byte_rate"), share = SLICE("request_percentage");
    struct slice connections = SLICE("connection_creation_rate");
    assert_int_equal(quota_value_check(&user, rate, 5, reason), ERR_NONE);
    assert_int_equal(quota_value_check(&user, rate, 5.5, reason), ERR_INVALID_REQUEST);
    assert_int_equal(quota_value_check(&user, rate, 0, reason), ERR_INVALID_REQUEST);
    assert_int_equal(quota_value_check(&user, rate, 1e30, reason), ERR_INVALID_REQUEST);
    assert_int_equal(quota_value_check(&user, share, 5.5, reason), ERR_NONE);
    assert_int_equal(quota_value_check(&user, share, 0.0 / 0.0, reason), ERR_INVALID_REQUEST);
    assert_int_equal(quota_value_check(&user, connections, 5, reason), ERR_INVALID_REQUEST);
    assert_int_equal(quota_value_check(&ip, connections, 5, reason), ERR_NONE);
    assert_int_equal(quota_value_check(&ip, rate, 5, reason), ERR_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_the_same_whatever_order_its_parts_came_in),
        cmocka_unit_test(any_bytes_come_back_from_a_name),
        cmocka_unit_test(names_that_were_never_made_are_refused),
        cmocka_unit_test(wrong_entities_are_refused),
        cmocka_unit_test(a_quota_fits_its_entity_and_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
