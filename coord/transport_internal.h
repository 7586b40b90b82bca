/* What the files of the transport share. All of it is QUORUM only. */
#pragma once

#include "coord/transport.h"
#include "proto/base/arena.h"
#include "proto/base/buffer.h"
#include "proto/base/list.h"
#include "proto/base/thread.h"

#define TRANSPORT_MAGIC    "MRQ1"
#define TRANSPORT_HEADER   6 /* magic and size */
#define TRANSPORT_BODY_MAX 1024
#define INCOMING_MAX       64 /* connections that have not said what they are */

struct transport {
    struct raft_uv_transport raft;
    uv_loop_t *loop;
    struct transport_callbacks callbacks;
    int timeout_ms;
    int listen_fd;
    uv_poll_t listener;
    uv_timer_t sweeper; /* deadlines; runs only while there are some */
    bool accept_paused;
    raft_uv_accept_cb accept_cb; /* NULL: Raft does not run */
    raft_uv_transport_close_cb raft_close_cb;
    uv_timer_t raft_closer;
    struct list incoming; /* of struct incoming */
    struct list outgoing; /* of struct outgoing */
    int incoming_count;
    bool closing;
    int handles; /* own handles still open */
    void (*closed)(void *arg);
    void *closed_arg;
};

void transport_sweep_start(struct transport *t);
void transport_closed_maybe(struct transport *t);

/* transport_accept.c */
void transport_acceptable(uv_poll_t *handle, int status, int events);
void incoming_sweep(struct transport *t, int64_t now_ms);

/* transport_connect.c */
int transport_raft_connect(struct raft_uv_transport *raft, struct raft_uv_connect *req, raft_id id,
                           const char *address, raft_uv_connect_cb cb);
void outgoing_sweep(struct transport *t, int64_t now_ms);
/* Abort those of Raft, or all. */
void outgoing_abort(struct transport *t, bool all);
bool outgoing_has_raft(const struct transport *t);

/* transport_hello.c */
void hello_encode(struct buffer *out, const struct transport_hello *hello);
int hello_decode(struct slice body, struct transport_hello *out) MUST_CHECK;
void answer_encode(struct buffer *out, const struct transport_answer *answer);
int answer_decode(struct slice body, struct transport_answer *out) MUST_CHECK;
