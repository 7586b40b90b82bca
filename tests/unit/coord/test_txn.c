/* One transactional id: epochs, fencing, repeats, timeouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "coord/txn.h"

static int64_t ids;

static struct txn *fresh(void)
{
    ids = 1000;
    return txn_new(SLICE("t"));
}

static struct txn_answer init(struct txn *t, int64_t producer_id, int16_t epoch)
{
    struct txn_init in = {60000, producer_id, epoch, 5};
    struct txn_answer out = {0};
    txn_init_producer(t, &in, &ids, &out);
    return out;
}

static struct txn_answer end(struct txn *t, int64_t id, int16_t epoch, bool commit, int8_t version)
{
    struct txn_end in = {{id, epoch}, commit, version, 7};
    struct txn_answer out = {0};
    txn_end(t, &in, &ids, &out);
    return out;
}

static struct txn_answer complete(struct txn *t, int64_t id, int16_t epoch)
{
    struct txn_answer out = {0};
    txn_complete(t, (struct txn_producer){id, epoch}, 8, &out);
    return out;
}

static void add(struct txn *t, int32_t partition)
{
    assert_int_equal(txn_check(t, (struct txn_producer){t->producer_id, t->epoch}), ERR_NONE);
    txn_begin(t, 6);
    txn_add_partition(t, (struct txn_partition){{{1}}, partition});
}

static void new_producer_gets_epoch_zero_and_the_next_one_fences_it(void **state)
{
    (void)state;
    struct txn *t = fresh();
    struct txn_answer out = init(t, -1, -1);
    assert_true(out.changed);
    assert_int_equal(out.producer_id, 1000);
    assert_int_equal(out.epoch, 0);
    out = init(t, -1, -1);
    assert_int_equal(out.producer_id, 1000);
    assert_int_equal(out.epoch, 1);
    assert_int_equal(txn_check(t, (struct txn_producer){1000, 0}), ERR_PRODUCER_FENCED);
    assert_int_equal(txn_check(t, (struct txn_producer){1001, 1}), ERR_INVALID_PRODUCER_ID_MAPPING);
    assert_int_equal(end(t, 1000, 0, true, 1).error_code, ERR_PRODUCER_FENCED);
    txn_free(t);
}

static void init_aborts_what_is_open_and_asks_to_come_again(void **state)
{
    (void)state;
    struct txn *t = fresh();
    init(t, -1, -1);
    add(t, 0);
    struct txn_answer out = init(t, -1, -1);
    assert_int_equal(out.error_code, ERR_CONCURRENT_TRANSACTIONS);
    assert_true(out.changed);
    assert_int_equal(out.offsets, TXN_OFFSETS_DROP);
    assert_int_equal(t->state, TXN_PREPARE_ABORT);
    assert_int_equal(t->epoch, 1);
    out = init(t, -1, -1);
    assert_int_equal(out.error_code, ERR_CONCURRENT_TRANSACTIONS);
    assert_false(out.changed);
    assert_int_equal(complete(t, 1000, 0).error_code, ERR_INVALID_TXN_STATE);
    assert_int_equal(complete(t, 1000, 1).error_code, ERR_NONE);
    out = init(t, -1, -1);
    assert_int_equal(out.epoch, 2);
    txn_free(t);
}

static void producer_that_continues_is_known_by_its_epoch(void **state)
{
    (void)state;
    struct txn *t = fresh();
    init(t, -1, -1);
    struct txn_answer out = init(t, 1000, 0);
    assert_int_equal(out.epoch, 1);
    out = init(t, 1000, 0); /* the answer was lost */
    assert_int_equal(out.epoch, 1);
    init(t, -1, -1); /* somebody else */
    assert_int_equal(init(t, 1000, 1).error_code, ERR_PRODUCER_FENCED);
    assert_int_equal(init(t, 1000, 0).error_code, ERR_PRODUCER_FENCED);
    assert_int_equal(init(t, 77, 2).error_code, ERR_PRODUCER_FENCED);
    txn_free(t);
}

static void version_one_keeps_the_epoch_over_a_transaction(void **state)
{
    (void)state;
    struct txn *t = fresh();
    init(t, -1, -1);
    assert_int_equal(end(t, 1000, 0, true, 1).error_code, ERR_INVALID_TXN_STATE);
    add(t, 3);
    struct txn_answer out = end(t, 1000, 0, true, 1);
    assert_int_equal(out.error_code, ERR_NONE);
    assert_int_equal(out.offsets, TXN_OFFSETS_COMMIT);
    assert_int_equal(out.epoch, 0);
    assert_int_equal(t->version, 1);
    assert_int_equal(end(t, 1000, 0, true, 1).error_code, ERR_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(t, 1000, 0, false, 1).error_code, ERR_INVALID_TXN_STATE);
    assert_int_equal(complete(t, 1000, 0).error_code, ERR_NONE);
    assert_int_equal(t->partitions.count, 0);
    assert_int_equal(end(t, 1000, 0, true, 1).error_code, ERR_NONE);
    assert_false(end(t, 1000, 0, true, 1).changed);
    assert_int_equal(end(t, 1000, 0, false, 1).error_code, ERR_INVALID_TXN_STATE);
    txn_free(t);
}

static void version_two_raises_the_epoch_and_late_ends_change_nothing(void **state)
{
    (void)state;
    struct txn *t = fresh();
    init(t, -1, -1);
    add(t, 3);
    struct txn_answer out = end(t, 1000, 0, true, 2);
    assert_int_equal(out.epoch, 1);
    assert_int_equal(end(t, 1000, 0, true, 2).error_code, ERR_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(t, 1000, 0, false, 2).error_code, ERR_INVALID_TXN_STATE);
    complete(t, 1000, 1);
    out = end(t, 1000, 0, true, 2); /* the answer was lost */
    assert_int_equal(out.error_code, ERR_NONE);
    assert_false(out.changed);
    assert_int_equal(out.epoch, 1);
    add(t, 4);
    assert_int_equal(end(t, 1000, 0, true, 2).error_code, ERR_PRODUCER_FENCED);
    assert_int_equal(t->state, TXN_ONGOING);
    out = end(t, 1000, 1, false, 2);
    assert_int_equal(out.offsets, TXN_OFFSETS_DROP);
    assert_int_equal(out.epoch, 2);
    complete(t, 1000, 2);
    out = end(t, 1000, 2, false, 2); /* nothing was written: done at once, with its own epoch */
    assert_int_equal(out.epoch, 3);
    assert_int_equal(t->state, TXN_COMPLETE_ABORT);
    txn_free(t);
}

static void epochs_that_are_used_up_bring_a_new_producer_id(void **state)
{
    (void)state;
    struct txn *t = fresh();
    init(t, -1, -1);
    t->epoch = INT16_MAX - 1;
    add(t, 0);
    struct txn_answer out = end(t, 1000, INT16_MAX - 1, true, 2);
    assert_int_equal(out.producer_id, 1001);
    assert_int_equal(out.epoch, 0);
    assert_int_equal(t->producer_id, 1000); /* the markers' */
    assert_int_equal(t->epoch, INT16_MAX);
    assert_int_equal(complete(t, 1000, INT16_MAX).error_code, ERR_NONE);
    assert_int_equal(t->producer_id, 1001);
    out = end(t, 1000, INT16_MAX - 1, true, 2);
    assert_int_equal(out.error_code, ERR_NONE);
    assert_int_equal(out.producer_id, 1001);
    t->epoch = INT16_MAX - 1;
    out = init(t, -1, -1);
    assert_int_equal(out.producer_id, 1002);
    assert_int_equal(out.epoch, 0);
    txn_free(t);
}

static void timeout_aborts_the_transaction_it_saw_and_no_other(void **state)
{
    (void)state;
    struct txn *t = fresh();
    struct txn_answer out = {0};
    init(t, -1, -1);
    add(t, 0);
    txn_time_out(t, 6, 60005, &out);
    assert_int_equal(out.error_code, ERR_INVALID_TXN_STATE);
    out = (struct txn_answer){0};
    txn_time_out(t, 5, 60006, &out);
    assert_int_equal(out.error_code, ERR_INVALID_TXN_STATE);
    out = (struct txn_answer){0};
    txn_time_out(t, 6, 60006, &out);
    assert_true(out.changed);
    assert_int_equal(t->state, TXN_PREPARE_ABORT);
    assert_int_equal(t->epoch, 1);
    assert_int_equal(end(t, 1000, 0, true, 1).error_code, ERR_PRODUCER_FENCED);
    assert_int_equal(end(t, 1000, 0, true, 2).error_code, ERR_INVALID_TXN_STATE);
    txn_free(t);
}

static void stored_form_is_the_same_state(void **state)
{
    (void)state;
    struct txn *t = fresh(), *u;
    struct buffer bytes = {0}, again = {0};
    init(t, -1, -1);
    for (int32_t i = 20; i >= 0; i--)
        add(t, i * 5 % 21);
    txn_add_group(t, SLICE("g"));
    txn_add_group(t, SLICE(""));
    assert_int_equal(t->partitions.count, 21);
    assert_true(txn_has_partition(t, (struct txn_partition){{{1}}, 20}));
    assert_false(txn_has_partition(t, (struct txn_partition){{{1}}, 21}));
    txn_encode(t, &bytes);
    assert_int_equal(txn_decode(t->id, buffer_slice(&bytes), &u), 0);
    txn_encode(u, &again);
    assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
    assert_true(txn_has_group(u, SLICE("g")));
    txn_free(u);
    for (size_t cut = 0; cut < bytes.size; cut++)
        assert_int_equal(txn_decode(t->id, slice_of(bytes.data, cut), &u), -EBADMSG);
    buffer_deinit(&bytes);
    buffer_deinit(&again);
    txn_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_producer_gets_epoch_zero_and_the_next_one_fences_it),
        cmocka_unit_test(init_aborts_what_is_open_and_asks_to_come_again),
        cmocka_unit_test(producer_that_continues_is_known_by_its_epoch),
        cmocka_unit_test(version_one_keeps_the_epoch_over_a_transaction),
        cmocka_unit_test(version_two_raises_the_epoch_and_late_ends_change_nothing),
        cmocka_unit_test(epochs_that_are_used_up_bring_a_new_producer_id),
        cmocka_unit_test(timeout_aborts_the_transaction_it_saw_and_no_other),
        cmocka_unit_test(stored_form_is_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
