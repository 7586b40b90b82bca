/*
 * The quorum's connections, on the CONTROLLER port and the QUORUM thread's loop.
 *
 * Every connection of ours begins with a hello:  "MRQ1" | size uint16 | body.  libraft's decoder
 * trusts what it reads, so a connection becomes Raft's only after its hello was checked: made for
 * this node's present Raft id, and of the same cluster. Whatever does not begin with those four
 * bytes is Kafka's protocol and goes to the broker unread.
 *
 *   accept -> peek 4 bytes -> other: adopt(fd)
 *                          -> hello RAFT: admit()? -> libraft reads from it
 *                          -> hello ASK, JOIN: asked() fills an answer, sent at once, closed
 *
 * Raft connections carry requests one way; answers come on the peer's own connection.
 */
#pragma once

#include <raft.h>
#include <raft/uv.h>

#include "proto/base/slice.h"

#define TRANSPORT_TEXT_SIZE 280

enum transport_kind { TRANSPORT_RAFT = 1, TRANSPORT_ASK = 2, TRANSPORT_JOIN = 3 };

struct transport_hello {
    int8_t kind;
    int32_t node_id;
    raft_id from;
    raft_id to; /* 0: whoever is there */
    bool voter; /* JOIN: wants a vote */
    char cluster_id[TRANSPORT_TEXT_SIZE];
    char address[TRANSPORT_TEXT_SIZE]; /* how others reach the sender */
};

struct transport_answer {
    int8_t status; /* of quorum_join.c */
    int32_t node_id;
    int32_t leader_id; /* node id, -1: unknown */
    char cluster_id[TRANSPORT_TEXT_SIZE];
    char leader_address[TRANSPORT_TEXT_SIZE];
};

struct transport_callbacks {
    void *arg;
    void (*adopt)(void *arg, int fd);
    /* Fill what this node says of itself. */
    void (*introduce)(void *arg, struct transport_hello *out);
    bool (*admit)(void *arg, const struct transport_hello *hello);
    /* peer: the numeric host that the question came from. */
    void (*asked)(void *arg, const struct transport_hello *hello, const char *peer,
                  struct transport_answer *out);
};

struct transport;

/* Listens on host:port. 0 or -errno, logged. connect_timeout_ms bounds connecting and silence. */
int transport_open(uv_loop_t *loop, const char *bind_address, int connect_timeout_ms,
                   const struct transport_callbacks *callbacks, struct transport **out);
/* For raft_uv_init(). */
struct raft_uv_transport *transport_raft(struct transport *t);
/* After raft was closed: closed(arg) once nothing uses t any more; free it then with
 * transport_free(). */
void transport_close(struct transport *t, void (*closed)(void *arg), void *arg);
void transport_free(struct transport *t);

/* Ask the node at host:port. done(NULL) when there was no answer. */
typedef void transport_ask_done(void *arg, const struct transport_answer *answer);
void transport_ask(struct transport *t, const char *address, const struct transport_hello *hello,
                   transport_ask_done *done, void *arg);

/* "host:port", "[::1]:port", ":port". false when malformed. */
bool transport_split(const char *address, char host[TRANSPORT_TEXT_SIZE], char port[8]);
