/* Whether a leader is sure of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "coord/pulse.h"

#define STILL 80

/* A leader that was confirmed at 1000. */
static struct pulse sure_leader(void)
{
    struct pulse p;
    pulse_init(&p, STILL, 900);
    pulse_turn(&p, false, 950);
    pulse_turn(&p, true, 1000);
    assert_false(pulse_is_sure(&p, 1000));
    pulse_confirmed(&p, p.stalls);
    assert_true(pulse_is_sure(&p, 1000));
    return p;
}

static void a_loop_that_turns_stays_sure(void **state)
{
    (void)state;
    struct pulse p = sure_leader();
    for (int64_t now_ms = 1050; now_ms < 5000; now_ms += STILL) {
        pulse_turn(&p, true, now_ms);
        assert_true(pulse_is_sure(&p, now_ms + STILL));
    }
}

static void another_thread_sees_the_loop_hang(void **state)
{
    (void)state;
    struct pulse p = sure_leader();
    assert_true(pulse_is_sure(&p, 1000 + STILL));
    assert_false(pulse_is_sure(&p, 1000 + STILL + 1));
}

static void after_a_pause_only_a_later_entry_confirms(void **state)
{
    (void)state;
    struct pulse p = sure_leader();
    uint64_t before = p.stalls;
    pulse_turn(&p, true, 9000);
    assert_false(pulse_is_sure(&p, 9000));
    pulse_confirmed(&p, before); /* proposed before the pause: it proves nothing */
    assert_false(pulse_is_sure(&p, 9000));
    pulse_confirmed(&p, p.stalls);
    assert_true(pulse_is_sure(&p, 9000));
}

static void a_leader_of_another_term_begins_unsure(void **state)
{
    (void)state;
    struct pulse p = sure_leader();
    uint64_t before = p.stalls;
    pulse_turn(&p, false, 1010);
    pulse_turn(&p, true, 1020);
    assert_false(pulse_is_sure(&p, 1020));
    pulse_confirmed(&p, before);
    assert_false(pulse_is_sure(&p, 1020));
}

static void timers_of_libraft_are_no_standing_still(void **state)
{
    (void)state;
    assert_int_equal(pulse_still_ms_max(250, 100), 83);
    assert_int_equal(pulse_still_ms_max(90, 100), 75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_turns_stays_sure),
        cmocka_unit_test(another_thread_sees_the_loop_hang),
        cmocka_unit_test(after_a_pause_only_a_later_entry_confirms),
        cmocka_unit_test(a_leader_of_another_term_begins_unsure),
        cmocka_unit_test(timers_of_libraft_are_no_standing_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
