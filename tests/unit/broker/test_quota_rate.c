/* Rates over sliding windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/quota_rate.h"
#include "proto/base/check.h"

#define LIMIT 1000.0

static void ten_seconds_worth_may_come_at_once(void **state)
{
    (void)state;
    struct quota_rate r = {0};
    quota_rate_record(&r, 10000, 50000);
    assert_int_equal(quota_rate_throttle_ms(&r, LIMIT, 50000), 0);
    quota_rate_record(&r, 500, 50000);
    assert_int_equal(quota_rate_throttle_ms(&r, LIMIT, 50000), 500);
}

static void who_waits_as_told_gets_its_rate(void **state)
{
    (void)state;
    struct quota_rate r = {0};
    int64_t now_ms = 1000;
    double sent = 0;
    while (now_ms < 101000) {
        quota_rate_record(&r, 700, now_ms);
        sent += 700;
        now_ms += MAX(quota_rate_throttle_ms(&r, LIMIT, now_ms), (int64_t)1);
    }
    assert_true(sent > 0.9 * LIMIT * 100 && sent < 1.15 * LIMIT * 100);
}

static void what_is_old_or_taken_back_does_not_count(void **state)
{
    (void)state;
    struct quota_rate r = {0};
    quota_rate_record(&r, 50000, 1000);
    assert_true(quota_rate_throttle_ms(&r, LIMIT, 1500) > 10000);
    assert_false(quota_rate_is_idle(&r, 11000));
    assert_int_equal(quota_rate_throttle_ms(&r, LIMIT, 12000), 0);
    assert_true(quota_rate_is_idle(&r, 12000));
    quota_rate_record(&r, 50000, 12000);
    quota_rate_record(&r, -50000, 12000);
    assert_int_equal(quota_rate_throttle_ms(&r, LIMIT, 12000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_seconds_worth_may_come_at_once),
        cmocka_unit_test(who_waits_as_told_gets_its_rate),
        cmocka_unit_test(what_is_old_or_taken_back_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
