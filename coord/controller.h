/*
 * The active controller's part that needs a clock: which brokers are alive, and what to propose
 * about it. Pure: events and monotonic time in, commands to propose out. What a command does is
 * decided when it is applied (metadata.h); so a controller that was deposed without knowing can
 * propose, but not decide.
 *
 *   hello of a new incarnation      -> REGISTER_BROKER, once the old one is dead (and fenced)
 *   hello, fenced and caught up     -> UNFENCE_BROKER
 *   hello that wants to leave       -> SHUTDOWN_BROKER
 *   connection lost, or none yet    -> effects.probes: connect again;
 *                                      controller_connect_refused() -> FENCE_BROKER
 *   no hello for a session timeout  -> FENCE_BROKER
 *   a new broker without replicas   -> ALTER_REASSIGNMENT, a few at a time, until all carry alike
 *
 * All calls on the thread of its owner; the caller passes its current image.
 */
#pragma once

#include "coord/command.h"
#include "coord/image.h"

struct controller_options {
    int64_t session_timeout_ms;    /* broker.session.timeout.ms */
    int64_t election_timeout_ms;   /* of the quorum: so long its leader was silent, when we begin */
    bool rebalance_enabled;        /* auto.leader.rebalance.enable */
    int64_t rebalance_interval_ms; /* leader.imbalance.check.interval.seconds */
    bool balance_enabled;          /* auto.balance: fill new brokers */
    int64_t balance_interval_ms;
    int balance_moves_max; /* partitions that copy at a time */
};

/* Zeroed by the caller, appended to by the calls, released by controller_effects_deinit(). */
struct controller_effects {
    VEC(struct buffer) commands; /* each one encoded command, to be proposed in this order */
    VEC(int32_t) probes;         /* brokers whose connection broke: connect to them */
};
void controller_effects_deinit(struct controller_effects *fx);

struct controller;

struct controller *controller_new(const struct controller_options *options);
void controller_free(struct controller *c);

/*
 * How long after it sent a hello a broker may act as leader. A controller that is cut off goes on
 * answering for two election timeouts at most, and while its loop hangs, which it may for still_ms
 * before it grants nothing more (pulse.h): on the last word that it hears, and at either check
 * whether it heard one. Its successor begins to count one election timeout after that word at the
 * earliest. So the lease ends before the session does, whoever counts.
 *
 *   cut off                    successor active                  fenced by it
 *   |- 2 elections, 3 hangs -----|
 *   |-- 1 election at least --|-- a session, less 1 election ------|
 *        lease granted last:  |-- a session, less 2 elections and 3 hangs --|
 */
int64_t controller_lease_ms(int64_t session_timeout_ms, int64_t election_timeout_ms,
                            int64_t still_ms);

/* This node became the active controller: all sessions begin when the one before fell silent. */
void controller_activate(struct controller *c, const struct image *img, int64_t now_ms);

struct controller_hello {
    struct register_broker broker;
    struct slice cluster_id; /* null: the broker does not know one yet */
    bool want_shutdown;
    int64_t applied_index; /* of the metadata whose roles the broker has taken over */
    uint64_t connection;   /* any number that names the connection it came on, not 0 */
};

struct controller_answer {
    enum error_code error_code;
    int64_t broker_epoch; /* -1: not registered yet, say hello again soon */
    bool fenced;
    bool should_shutdown; /* leaderships are elsewhere: go */
};

/* ERR_DUPLICATE_BROKER_REGISTRATION while another process with this id is alive,
 * ERR_INCONSISTENT_CLUSTER_ID. */
void controller_hello(struct controller *c, const struct image *img, int64_t now_ms,
                      const struct controller_hello *hello, struct controller_answer *answer,
                      struct controller_effects *fx);

void controller_connection_lost(struct controller *c, uint64_t connection,
                                struct controller_effects *fx);
/* Nobody listens where the broker of a lost connection did: it is dead. */
void controller_connect_refused(struct controller *c, const struct image *img, int64_t now_ms,
                                int32_t node_id, struct controller_effects *fx);

/* Often: at least ten times a session timeout. */
void controller_tick(struct controller *c, const struct image *img, int64_t now_ms,
                     struct controller_effects *fx);
