/*
 * One request of a client: decoded, answered now or parked, answered in order.
 *
 *   conn reads a frame -> dispatch decodes -> handler
 *       -> request_reply()                         at once
 *       -> request_await_*() + request_when_*()    parked
 *       -> request_submit()                        a metadata command
 *
 * A request owns its frame, its arena and a reference to the image it began with. It lives until
 * its answer was handed to the connection and nothing that could still call back is outstanding,
 * also when the client is gone by then. All of it on the connection's NET thread.
 */
#pragma once

#include "broker/conn.h"
#include "coord/image.h"
#include "proto/api.h"
#include "proto/errors.h"
#include "proto/frame.h"
#include "proto/messages.h"
#include "replication/replicas.h"

struct node;
struct request_wait;

struct request {
    struct list link; /* in conn->requests, in order of arrival */
    struct conn *conn;
    struct net_thread *thread; /* the connection's */
    struct node *node;
    const struct api_info *api;
    const struct handler *handler;
    struct request_header header;
    uint8_t *frame; /* owned; decoded strings and records point into it */
    size_t frame_size;
    struct arena arena;
    void *in;            /* decoded request message */
    void *out;           /* response message to fill */
    struct image *image; /* as of the request's start; NULL before the cluster is formed */
    int64_t start_us;

    /* parking */
    struct list waits; /* struct request_wait.link */
    int parked;        /* waits whose outcome is open */
    int outstanding;   /* callbacks that will still come */
    bool roles_awaited;
    void (*again)(struct request *req);
    bool any;         /* the first outcome is enough */
    bool settled_any; /* an outcome came since request_when_any() */
    struct event *timer;
    void (*ready)(struct request *req);
    void *state; /* the handler's own, in the arena */

    struct buffer answer;
    struct wire_writer writer;
    bool replied;
    bool silent; /* no answer goes out (acks=0) */
    bool close_after;
    bool abandoned; /* the connection is gone */
};

/* A handler gets its typed messages:  HANDLER(produce) { … req, in, out … } */
#define HANDLER(name)                                                                              \
    static void name##_handle(struct request *req, const struct name##_request *in,                \
                              struct name##_response *out);                                        \
    void handle_##name(struct request *req)                                                        \
    {                                                                                              \
        name##_handle(req, req->in, req->out);                                                     \
    }                                                                                              \
    static void name##_handle(struct request *req __attribute__((unused)),                         \
                              const struct name##_request *in __attribute__((unused)),             \
                              struct name##_response *out __attribute__((unused)))

/* Encode `out` and send it when everything before it on the connection was sent. */
void request_reply(struct request *req) ON(NET);
/* No answer (acks=0); close: end the connection instead, the only signal such a client gets. */
void request_reply_silently(struct request *req, bool close) ON(NET);
/* End the connection without an answer, with one log line. */
void request_refuse(struct request *req, const char *reason) ON(NET);

/* Park on a partition until its high watermark covers what was appended; the outcome goes to
 * *error_code, which must not move (the answer's own array is sized from the request). No effect
 * when it is so already. */
void request_await_watermark(struct request *req, struct replica *r,
                             const struct partition_append_result *appended, int16_t *error_code)
    ON(NET);
/* Park until every member of the ISR has a log that begins at `offset` or above (DeleteRecords). */
void request_await_low_watermark(struct request *req, struct replica *r, int64_t offset,
                                 int16_t *error_code) ON(NET);
/* Park until something new can be read: WAIT_COMMITTED_DATA or WAIT_APPENDED_DATA. */
void request_await_data(struct request *req, struct replica *r, enum waiter_kind kind,
                        int64_t offset) ON(NET);

/* Call `ready` when all waits are over (at once if none is open), or after timeout_ms, when the
 * open ones get ERR_REQUEST_TIMED_OUT. */
void request_when_all(struct request *req, int64_t timeout_ms, void (*ready)(struct request *))
    ON(NET);
/* Call `ready` at the first outcome or after timeout_ms. */
void request_when_any(struct request *req, int64_t timeout_ms, void (*ready)(struct request *))
    ON(NET);

/* As if the time of its wait were over: `ready` is called now. No effect on one that does not
 * wait. */
void request_interrupt(struct request *req) ON(NET);

/* Submit an encoded metadata command; done() runs here on NET with its result (value in the
 * request's arena). timeout_ms bounds the wait (ERR_REQUEST_TIMED_OUT: it may still happen). */
typedef void request_submitted(struct request *req, void *arg, enum error_code err,
                               struct slice value);
void request_submit(struct request *req, struct slice command, int64_t timeout_ms,
                    request_submitted *done, void *arg) ON(NET);

/* Keep the request alive for a callback of another module; request_resume() takes it back on NET
 * from any thread. */
void request_hold(struct request *req) ON(NET);
/* Take a hold back without a callback. false: the client left meanwhile, the request is gone. */
bool request_unhold(struct request *req) ON(NET) MUST_CHECK;
void request_resume(struct request *req, void (*fn)(struct request *req, void *arg), void *arg);

/* Leader lookups shared by produce, fetch, list offsets …:
 * the local replica for reading or writing as leader, counted (replica_unref()), or an error:
 * UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
enum error_code request_partition(struct request *req, const struct image_topic *topic,
                                  int32_t index, struct replica **r) MUST_CHECK;

/* The image says that this node leads the partition, and the role is not taken over yet:
 * refusing would cost the client a round of metadata, so begin again then by
 * request_when_roles(). */
bool request_role_is_coming(const struct request *req, const struct image_topic *topic,
                            int32_t index);
/* Begin the handler again, once: when it runs again no role is coming. */
void request_when_roles(struct request *req, void (*again)(struct request *req)) ON(NET);
/* Likewise when the metadata has changed since the request's beginning. */
void request_when_changed(struct request *req, void (*again)(struct request *req)) ON(NET);

/* The address of a broker as this connection's clients must see it: the listener it came through,
 * the address it used where none is advertised (design 7). false: the broker has no such
 * listener. */
bool request_endpoint(const struct request *req, const struct image_broker *b, struct slice *host,
                      int32_t *port);

/* Where the client is, as Kafka shows it: "/127.0.0.1". */
struct slice request_client_host(struct request *req);

/* For conn.c and dispatch.c. */
struct request *request_new(struct conn *conn, uint8_t *frame, size_t size) ON(NET);
void request_abandon(struct request *req) ON(NET); /* the connection closed */
void request_release(struct request *req) ON(NET); /* its answer was taken by the connection */
