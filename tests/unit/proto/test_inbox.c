/* Inboxes: order, waking, closing, many writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/thread.h"

#define WRITERS  4
#define MESSAGES 2000

struct note {
    struct inbox_message message;
    int writer;
    int number;
};

static struct inbox in;
static int next_number[WRITERS];

static void note_run(struct inbox_message *message)
{
    struct note *note = CONTAINER_OF(message, struct note, message);
    thread_assert(&NET);
    assert_int_equal(note->number, next_number[note->writer]);
    next_number[note->writer]++;
    free(note);
}

static struct note *note_new(int writer, int number)
{
    struct note *note = mem_zalloc(sizeof(*note));
    *note = (struct note){{.run = note_run}, writer, number};
    return note;
}

static void writer_run(void *arg)
{
    int writer = *(int *)arg;
    for (int i = 0; i < MESSAGES; i++)
        CHECK(inbox_post(&in, &note_new(writer, i)->message));
}

static void messages_of_each_writer_arrive_in_order(void **state)
{
    (void)state;
    thread_set_role(&NET);
    assert_int_equal(inbox_init(&in), 0);
    pthread_t threads[WRITERS];
    int ids[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        ids[i] = i;
        assert_int_equal(thread_start(&threads[i], &BACKGROUND, "writer", writer_run, &ids[i]), 0);
    }
    int got = 0;
    while (got < WRITERS * MESSAGES) {
        inbox_wait(&in, 5000); /* a lost wake-up would stop here until the test's time is over */
        got += inbox_drain(&in);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(next_number[i], MESSAGES);
    }
    assert_int_equal(inbox_drain(&in), 0);
    inbox_deinit(&in);
}

static void closed_inbox_takes_nothing_more(void **state)
{
    (void)state;
    assert_int_equal(inbox_init(&in), 0);
    inbox_close(&in);
    struct note *note = note_new(0, 0);
    assert_false(inbox_post(&in, &note->message));
    assert_int_equal(inbox_drain(&in), 0);
    free(note);
    inbox_deinit(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_each_writer_arrive_in_order),
        cmocka_unit_test(closed_inbox_takes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
