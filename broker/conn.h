/*
 * One client connection: frames in, answers out in the order of the requests (pipelined).
 *
 * Reading stops (backpressure) while too many requests are in flight, the node's request memory is
 * used up, or too many answer bytes wait for a slow reader. Everything on one NET thread.
 */
#pragma once

#include <event2/buffer.h>

#include "broker/net.h"
#include "proto/base/slice.h"

struct node;
struct request;
struct listener;

struct conn {
    struct list link; /* in its net_thread's conns */
    struct node *node;
    struct net_thread *thread;
    const struct listener *listener; /* the one the client came through */
    int fd;
    struct event *readable;
    struct event *writable;
    struct event *unmute; /* NULL: it never was muted */
    struct evbuffer *output;

    uint8_t head[4]; /* the length of the next frame */
    size_t head_size;
    uint8_t *frame; /* owned while it is being read */
    size_t frame_size;
    size_t frame_got;
    size_t frame_capacity;

    struct list requests; /* in order of arrival */
    int in_flight;
    int roles_awaited;    /* requests that wait for a role; none may overtake them */
    int64_t refused_ms;   /* when a batch was last refused for now only, 0: never (produce.c) */
    int64_t gap_ms;       /* first gap in a producer's sequence after the leader changed, 0: none */
    size_t request_bytes; /* of the frames in flight */
    bool reading;
    bool muted;   /* over its quota: not read from for a while */
    bool closing; /* close once the output is drained */
    bool closed;
    int refs; /* its own until it is closed, and its requests': these may outlive it */
    int64_t last_active_ms;
    char peer[64];       /* address:port for log lines */
    char local_host[64]; /* the address that the client used */
    int32_t local_port;
    char client_software[64]; /* from ApiVersions */
    uint64_t number;          /* names the connection in this process */
    bool hello; /* a broker's hellos come this way: the controller is told when it breaks */
};

/* Take over an accepted socket. */
void conn_open(struct node *node, struct net_thread *thread, const struct listener *listener,
               int fd) ON(NET);
/* Close now; parked requests are abandoned. reason: for the log line, NULL for a client that just
 * left. */
void conn_close(struct conn *c, const char *reason) ON(NET);
void conn_unref(struct conn *c) ON(NET);
/* Requests at the front that have their answers are moved to the output and sent. */
void conn_flush(struct conn *c) ON(NET);
/* Read no more requests for so long (KIP-219); those that were read go on. */
void conn_mute(struct conn *c, int64_t ms) ON(NET);
/* Close connections idle for connections.max.idle.ms. */
void conn_expire_idle(struct net_thread *thread, int64_t now_ms, int64_t idle_ms_max) ON(NET);
