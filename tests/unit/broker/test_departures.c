/* Brokers that left a moment ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/departures.h"

/* The image of one broker. */
static void note(struct departures *d, bool fenced, int64_t now_ms)
{
    struct image_broker broker = {.node_id = 7, .fenced = fenced};
    struct image_broker *list[] = {&broker};
    struct image img = {.brokers = list, .brokers_count = 1};
    departures_note(d, &img, now_ms);
}

static void fenced_broker_is_recent_for_a_while(void **state)
{
    (void)state;
    struct departures *d = departures_new();
    note(d, false, 1000);
    assert_false(departures_recent(d, 7, 1000));
    note(d, true, 90000);
    assert_true(departures_recent(d, 7, 90000));
    note(d, true, 91000); /* another image, the same absence */
    assert_true(departures_recent(d, 7, 90000 + DEPARTURE_LISTED_MS - 1));
    assert_false(departures_recent(d, 7, 90000 + DEPARTURE_LISTED_MS));
    departures_free(d);
}

static void broker_that_came_back_has_not_left(void **state)
{
    (void)state;
    struct departures *d = departures_new();
    note(d, false, 1000);
    note(d, true, 2000);
    note(d, false, 3000);
    assert_false(departures_recent(d, 7, 3000));
    note(d, true, 4000);
    assert_true(departures_recent(d, 7, 4000 + DEPARTURE_LISTED_MS - 1));
    departures_free(d);
}

static void broker_that_was_never_active_did_not_leave(void **state)
{
    (void)state;
    struct departures *d = departures_new();
    note(d, true, 1000);
    assert_false(departures_recent(d, 7, 1000));
    assert_false(departures_recent(d, 8, 1000));
    departures_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fenced_broker_is_recent_for_a_while),
        cmocka_unit_test(broker_that_came_back_has_not_left),
        cmocka_unit_test(broker_that_was_never_active_did_not_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
