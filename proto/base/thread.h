/*
 * Threads: roles that clang checks, a mutex it understands, and inboxes to talk through.
 *
 * A function that must run on a certain kind of thread says so on its prototype:
 *     void conn_write(struct conn *c) ON(NET);
 *     void isr_expand(struct partition *p) HOLDS(p->lock);
 * A callback from libevent, libuv or libraft begins with thread_assert(&NET) (function pointers
 * drop the annotation). Empty under gcc.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/check.h"
#include "proto/base/list.h"

#if defined(__clang__)
#define TS_(x) __attribute__((x))
#else
#define TS_(x)
#endif

struct TS_(capability("thread")) thread_role {
    const char *name;
};

struct TS_(capability("mutex")) mutex {
    pthread_mutex_t m;
};

extern struct thread_role NET, QUORUM, FLUSH, BACKGROUND;

#define ON(role)    TS_(requires_capability(role))
#define HOLDS(lock) TS_(requires_capability(lock))

/* Give the calling thread its role (once, first thing in the thread). */
void thread_set_role(struct thread_role *role);
/* CHECK that the calling thread has the role. */
void thread_assert(struct thread_role *role) TS_(assert_capability(*role));

/* Start a thread of a role; its name shows in ps and gdb. 0 or -errno. */
int thread_start(pthread_t *thread, struct thread_role *role, const char *name, void (*run)(void *),
                 void *arg) MUST_CHECK;

void mutex_init(struct mutex *m);
void mutex_deinit(struct mutex *m);
void mutex_lock(struct mutex *m) TS_(acquire_capability(*m));
void mutex_unlock(struct mutex *m) TS_(release_capability(*m));

/* Pauses of a thread that works now and then, which another thread ends when it is to stop. */
struct rest {
    sem_t ended;
};

void rest_init(struct rest *r);
void rest_deinit(struct rest *r);
/* Once; any thread. The pause of now and all later ones are over. */
void rest_end(struct rest *r);
/* Pause for so long; true: rest_end() was called. */
bool rest_for(struct rest *r, int64_t ms);

/*
 * An inbox: messages from any thread to the one thread that reads the inbox. The message is
 * embedded in what it is about; it may be in one inbox at a time. inbox_fd() is an eventfd that
 * becomes readable when messages wait: hand it to the reader's event loop and call inbox_drain()
 * from there.
 */
struct inbox_message {
    struct list link;
    void (*run)(struct inbox_message *message); /* called on the reader's thread */
};

struct inbox {
    struct mutex lock;
    struct list messages; /* guarded by lock */
    int fd;               /* constant after init */
    bool closed;          /* guarded by lock */
};

int inbox_init(struct inbox *in) MUST_CHECK;
void inbox_deinit(struct inbox *in);
int inbox_fd(const struct inbox *in);
/* Hand over a message; any thread. After inbox_close() the message is dropped and false
 * returned. */
bool inbox_post(struct inbox *in, struct inbox_message *message);
void inbox_close(struct inbox *in);
/* Run what waits, in order; the reader's thread. Returns how many. */
int inbox_drain(struct inbox *in);
/* Block until something waits or timeout_ms passed; for readers without an event loop. */
void inbox_wait(struct inbox *in, int timeout_ms);
