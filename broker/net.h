/*
 * Network threads: each owns a libevent base, an inbox, and the connections it was given.
 *
 * Everything that belongs to a connection (requests, timers, outgoing clients) lives on one thread
 * and takes no lock; other threads reach it through net_post().
 */
#pragma once

#include <event2/event.h>

#include "proto/base/thread.h"

struct net_thread {
    struct event_base *base;
    struct inbox inbox;
    struct event *inbox_event;
    pthread_t thread;
    bool started;
    struct list conns; /* NET only: struct conn.link */
    int index;
};

struct net {
    struct net_thread *threads;
    int count;
};

/* Create `count` threads (num.network.threads) that run until net_stop(). 0 or -errno. */
int net_start(struct net *net, int count) MUST_CHECK;
/* Stop the loops and join; connections must have been closed through their owners before. From then
 * on the caller is the NET thread: what is posted still is run by net_free(), so everything that it
 * may use must live until then. */
void net_stop(struct net *net);
void net_free(struct net *net);

/* The running thread is this one: its base may be touched. */
void net_assert(const struct net_thread *thread) TS_(assert_capability(NET));

/* Run `message` on that thread; any thread. */
void net_post(struct net_thread *thread, struct inbox_message *message);
/* Run fn(arg) on that thread; any thread. */
void net_call(struct net_thread *thread, void (*fn)(void *arg), void *arg);
/* Run fn(arg) on that thread and wait until it is done; never from a network thread. */
void net_call_wait(struct net_thread *thread, void (*fn)(void *arg), void *arg);
