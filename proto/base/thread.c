/* Thread roles, mutexes, inboxes. */
#include "proto/base/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/clock.h"

struct thread_role NET = {"net"}, QUORUM = {"quorum"}, FLUSH = {"flush"},
                   BACKGROUND = {"background"};

static _Thread_local struct thread_role *role_now;

struct thread_start_arg {
    struct thread_role *role;
    void (*run)(void *);
    void *arg;
};

void thread_set_role(struct thread_role *role)
{
    role_now = role;
}

void thread_assert(struct thread_role *role)
{
    CHECK(role_now == role);
}

static void *thread_main(void *p)
{
    struct thread_start_arg start = *(struct thread_start_arg *)p;
    free(p);
    thread_set_role(start.role);
    start.run(start.arg);
    return NULL;
}

int thread_start(pthread_t *thread, struct thread_role *role, const char *name, void (*run)(void *),
                 void *arg)
{
    struct thread_start_arg *start = mem_alloc(sizeof(*start));
    *start = (struct thread_start_arg){role, run, arg};
    int rc = pthread_create(thread, NULL, thread_main, start);
    if (rc != 0) {
        free(start);
        return -rc;
    }
    pthread_setname_np(*thread, name);
    return 0;
}

void rest_init(struct rest *r)
{
    CHECK(sem_init(&r->ended, 0, 0) == 0);
}

void rest_deinit(struct rest *r)
{
    sem_destroy(&r->ended);
}

void rest_end(struct rest *r)
{
    CHECK(sem_post(&r->ended) == 0);
}

bool rest_for(struct rest *r, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    int rc;
    while ((rc = sem_clockwait(&r->ended, CLOCK_MONOTONIC, &until)) != 0 && errno == EINTR)
        continue;
    if (rc != 0)
        return false;
    rest_end(r); /* for the next pause */
    return true;
}

void mutex_init(struct mutex *m)
{
    CHECK(pthread_mutex_init(&m->m, NULL) == 0);
}

void mutex_deinit(struct mutex *m)
{
    pthread_mutex_destroy(&m->m);
}

TS_(no_thread_safety_analysis) void mutex_lock(struct mutex *m)
{
    CHECK(pthread_mutex_lock(&m->m) == 0);
}

TS_(no_thread_safety_analysis) void mutex_unlock(struct mutex *m)
{
    CHECK(pthread_mutex_unlock(&m->m) == 0);
}

int inbox_init(struct inbox *in)
{
    *in = (struct inbox){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (in->fd < 0)
        return -errno;
    mutex_init(&in->lock);
    list_init(&in->messages);
    return 0;
}

void inbox_deinit(struct inbox *in)
{
    close(in->fd);
    mutex_deinit(&in->lock);
}

int inbox_fd(const struct inbox *in)
{
    return in->fd;
}

bool inbox_post(struct inbox *in, struct inbox_message *message)
{
    mutex_lock(&in->lock);
    bool open = !in->closed;
    bool was_empty = list_is_empty(&in->messages);
    if (open)
        list_push_back(&in->messages, &message->link);
    mutex_unlock(&in->lock);
    if (open && was_empty) {
        uint64_t one = 1;
        ssize_t written = write(in->fd, &one, sizeof(one));
        CHECK(written == sizeof(one) || errno == EAGAIN);
    }
    return open;
}

void inbox_close(struct inbox *in)
{
    mutex_lock(&in->lock);
    in->closed = true;
    mutex_unlock(&in->lock);
}

int inbox_drain(struct inbox *in)
{
    uint64_t ignored;
    ssize_t got = read(in->fd, &ignored, sizeof(ignored));
    CHECK(got == sizeof(ignored) || errno == EAGAIN || errno == EINTR);

    struct list batch;
    list_init(&batch);
    mutex_lock(&in->lock);
    list_splice(&batch, &in->messages);
    mutex_unlock(&in->lock);

    int count = 0;
    struct list *node;
    while ((node = list_pop_front(&batch)) != NULL) {
        struct inbox_message *message = CONTAINER_OF(node, struct inbox_message, link);
        message->run(message);
        count++;
    }
    return count;
}

void inbox_wait(struct inbox *in, int timeout_ms)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};
    poll(&p, 1, timeout_ms);
}
