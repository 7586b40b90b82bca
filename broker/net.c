/* Network threads: a libevent loop and an inbox each. */
#include "broker/net.h"

#include <errno.h>
#include <event2/thread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/logging.h"

#define DRAIN_ROUNDS_MAX 1000

struct net_call_message {
    struct inbox_message message;
    void (*fn)(void *arg);
    void *arg;
    sem_t *done;
};

static void inbox_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_thread *t = arg;
    inbox_drain(&t->inbox);
}

/* Whose events this thread may touch; NULL: any, the loops are over. */
static _Thread_local struct net_thread *running;

static void net_run(void *arg)
{
    struct net_thread *t = arg;
    running = t;
    event_base_loop(t->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void net_assert(const struct net_thread *thread)
{
    thread_assert(&NET);
    CHECK(running == thread || running == NULL);
}

static int thread_open(struct net_thread *t, int index)
{
    t->index = index;
    list_init(&t->conns);
    int rc = inbox_init(&t->inbox);
    if (rc < 0)
        return rc;
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    t->base = event_base_new_with_config(config);
    event_config_free(config);
    if (t->base == NULL)
        return -ENOMEM;
    t->inbox_event =
        event_new(t->base, inbox_fd(&t->inbox), EV_READ | EV_PERSIST, inbox_readable, t);
    CHECK(t->inbox_event != NULL && event_add(t->inbox_event, NULL) == 0);
    char name[32];
    snprintf(name, sizeof(name), "net-%d", index);
    rc = thread_start(&t->thread, &NET, name, net_run, t);
    t->started = rc == 0;
    return rc;
}

int net_start(struct net *net, int count)
{
    net->threads = mem_zalloc((size_t)count * sizeof(*net->threads));
    net->count = count;
    for (int i = 0; i < count; i++) {
        int rc = thread_open(&net->threads[i], i);
        if (rc < 0) {
            LOG_ERROR("cannot start a network thread", "error=\"%s\"", strerror(-rc));
            return rc;
        }
    }
    return 0;
}

static void loop_break(void *arg)
{
    struct net_thread *t = arg;
    event_base_loopbreak(t->base);
}

/* What runs may post to another thread, whose turn was before; but not for ever. */
static void drain_all(struct net *net)
{
    int count = 1;
    for (int round = 0; count > 0 && round < DRAIN_ROUNDS_MAX; round++) {
        count = 0;
        for (int i = 0; i < net->count; i++)
            if (net->threads[i].started)
                count += inbox_drain(&net->threads[i].inbox);
    }
}

void net_stop(struct net *net)
{
    for (int i = 0; i < net->count; i++) {
        struct net_thread *t = &net->threads[i];
        if (!t->started)
            continue;
        net_call(t, loop_break, t);
        pthread_join(t->thread, NULL);
    }
    thread_set_role(&NET); /* the loops are over: what is left in the inboxes is ours to run */
    drain_all(net);
}

void net_free(struct net *net)
{
    drain_all(net);
    for (int i = 0; i < net->count; i++) {
        struct net_thread *t = &net->threads[i];
        if (!t->started)
            continue;
        event_free(t->inbox_event);
        event_base_free(t->base);
        inbox_deinit(&t->inbox);
    }
    free(net->threads);
    *net = (struct net){0};
}

void net_post(struct net_thread *thread, struct inbox_message *message)
{
    inbox_post(&thread->inbox, message);
}

static void call_run(struct inbox_message *message)
{
    struct net_call_message *call = CONTAINER_OF(message, struct net_call_message, message);
    call->fn(call->arg);
    if (call->done != NULL)
        sem_post(call->done);
    else
        free(call);
}

void net_call(struct net_thread *thread, void (*fn)(void *arg), void *arg)
{
    struct net_call_message *call = mem_zalloc(sizeof(*call));
    *call = (struct net_call_message){.message.run = call_run, .fn = fn, .arg = arg};
    if (!inbox_post(&thread->inbox, &call->message))
        free(call);
}

void net_call_wait(struct net_thread *thread, void (*fn)(void *arg), void *arg)
{
    sem_t done;
    sem_init(&done, 0, 0);
    struct net_call_message call = {.message.run = call_run, .fn = fn, .arg = arg, .done = &done};
    if (inbox_post(&thread->inbox, &call.message))
        while (sem_wait(&done) != 0)
            CHECK(errno == EINTR);
    sem_destroy(&done);
}
