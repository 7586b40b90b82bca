/*
 * The Raft quorum and what it keeps: libraft on its own libuv loop thread, the state machine
 * (metadata.h), its SQLite mirror (state.h), snapshots, and the submission of commands from any
 * thread.
 *
 *   quorum_submit() -> queue -> this node leads: one coalesced raft entry in flight -> applied
 *                               elsewhere: options.forward(), SubmitCommands to the leader
 *                            -> applied here -> callback
 *
 * A callback thus means: committed, and visible in this node's image and database. When the fate of
 * a batch is unknown (leader lost, connection gone), the same batch is submitted again under the
 * same sequence.
 */
#pragma once

#include "coord/command.h"
#include "coord/image.h"

#define QUORUM_VOTERS_MAX 16

struct quorum;

struct quorum_voter {
    int32_t node_id;
    char *address; /* host:port */
};

struct quorum_status {
    bool leader;              /* this node is the active controller (its barrier is applied) */
    int32_t leader_id;        /* node id of the Raft leader as far as known, -1 */
    char leader_address[280]; /* host:port of its CONTROLLER listener, \"\" if unknown */
    int64_t term;
    int64_t applied_index;
    bool formed;                       /* a cluster id is applied */
    int32_t voters[QUORUM_VOTERS_MAX]; /* node ids, as the newest configuration has them */
    int voters_count;
};

struct quorum_callbacks {
    void *arg;
    /* QUORUM thread: somebody connected to the CONTROLLER port who does not speak the quorum's own
     * protocol (its connections begin with the 4 bytes "MRQ1", looked at with MSG_PEEK; anything
     * else is Kafka's protocol, whose first byte is 0): the broker takes the descriptor over,
     * nothing was read from it. BrokerHello, SubmitCommands and Kafka's --bootstrap-controller
     * tools come this way. */
    void (*adopt)(void *arg, int fd);
    /* QUORUM thread: a new image was published (already readable by quorum_image()). */
    void (*published)(void *arg, struct image *img);
    /* QUORUM thread: leadership of the quorum or the known leader changed. */
    void (*status_changed)(void *arg, const struct quorum_status *status);
    /* QUORUM thread: carry this node's batch (encoded) to the broker `leader_id`; answer by
     * quorum_forwarded(), any thread, exactly once. */
    void (*forward)(void *arg, int32_t leader_id, int64_t sequence, struct slice batch);
    /* QUORUM thread: the database met a full disk. Whoever can makes room; until then the thread
     * waits, and this node takes no part in the cluster. */
    void (*disk_full)(void *arg);
};

struct quorum_options {
    int32_t node_id;
    struct uuid incarnation;           /* of this process */
    const char *dir;                   /* raft folder, metadata.db and markers live below it */
    const char *bind_address;          /* host:port of the CONTROLLER listener */
    const struct quorum_voter *voters; /* controller.quorum.voters */
    int voters_count;                  /* 0 for a broker that joins by bootstrap servers */
    bool voter;                        /* this node is in voters */
    const char *address;     /* host:port at which other nodes reach bind_address; NULL: its
                                          entry in voters, else bind_address (an empty host or a
                                          wildcard becomes what the leader sees) */
    int election_timeout_ms; /* default 250 */
    int heartbeat_ms;        /* default 100 */
    int snapshot_threshold;  /* entries between snapshots; 0: 4096 */
    int snapshot_trailing;   /* entries kept behind one; 0: 2048 */
    struct slice cluster_id; /* wanted for a new cluster, null: random */
    /* Cluster-wide settings that a new cluster begins with. */
    const struct image_config *configs;
    int configs_count;
    struct quorum_callbacks callbacks;
};

/* Starts the thread. 0 or -errno with the reason logged (folder in use, other node id or cluster,
 * port taken). */
int quorum_start(const struct quorum_options *options, struct quorum **quorum) MUST_CHECK;
/* Hand the Raft leadership over when we have it, then stop: everything submitted is answered,
 * images and the database can still be read, what is submitted later is ERR_REQUEST_TIMED_OUT at
 * once. */
void quorum_stop(struct quorum *q);
void quorum_free(struct quorum *q); /* of one that was stopped, or NULL */

struct image *quorum_image(struct quorum *q); /* a reference; NULL before the first. Any thread. */
void quorum_status(struct quorum *q, struct quorum_status *out); /* any thread */
/* quorum_status() tells what this node believes. This tells whether it leads for certain, as who
 * grants leases must: a process that was paused believes, and is wrong. Any thread. */
bool quorum_leads_surely(const struct quorum *q);

/* Any thread. `command`: encoded (command_encode.h), copied. done() runs on the QUORUM thread: only
 * enqueue there. err ERR_REQUEST_TIMED_OUT when timeout_ms passed without an answer: the command
 * may still happen. */
typedef void quorum_done(void *arg, enum error_code err, struct slice value);
void quorum_submit(struct quorum *q, struct slice command, int64_t timeout_ms, quorum_done *done,
                   void *arg);

/* Answer to callbacks.forward(). err: ERR_NONE, ERR_NOT_CONTROLLER (surely not appended) or
 * anything else (fate unknown). */
void quorum_forwarded(struct quorum *q, int64_t sequence, enum error_code err, int64_t index,
                      const struct command_results *results);

/* On the leader: a batch that another node forwarded (SubmitCommands). done() once applied, QUORUM
 * thread. */
typedef void quorum_batch_done(void *arg, enum error_code err, int64_t index,
                               const struct command_results *results);
void quorum_submit_batch(struct quorum *q, struct slice batch, quorum_batch_done *done, void *arg);

/* Nobody listens at this address, where the leader did: if it still is the leader as far as this
 * node knows, do not wait a whole election timeout for another. Any thread. */
void quorum_leader_gone(struct quorum *q, const char *address);

/* Does nothing now: a node that starts asks the leader itself, because only it knows its Raft id
 * (quorum_join.c). */
void quorum_add_standby(struct quorum *q, int32_t node_id, struct slice address);

/* --- Reading durable group state on any node, any thread; own read-only connections inside. --- */
struct committed_offset {
    struct slice topic;
    int32_t partition;
    int64_t offset; /* -1: none */
    int32_t leader_epoch;
    struct slice metadata;
    int64_t commit_time_ms;
    int64_t expire_time_ms; /* -1: by offsets.retention.minutes */
};
struct arena;
/* One partition of a group; offset -1 when nothing was committed. */
int quorum_read_offset(struct quorum *q, struct slice group, struct slice topic, int32_t partition,
                       struct arena *arena, struct committed_offset *out) MUST_CHECK;
/* All of a group. */
int quorum_read_offsets(struct quorum *q, struct slice group, struct arena *arena,
                        struct committed_offset **out, int *count) MUST_CHECK;
/* A group's blob, null slice when there is none; and all groups' ids. */
int quorum_read_group(struct quorum *q, struct slice group, struct arena *arena,
                      struct slice *blob) MUST_CHECK;
int quorum_list_groups(struct quorum *q, struct arena *arena, struct slice **ids,
                       int *count) MUST_CHECK;
/* Offsets of open transactions of a group: not committed yet (UNSTABLE_OFFSET_COMMIT). */
int quorum_read_pending_offsets(struct quorum *q, struct slice group, struct arena *arena,
                                struct committed_offset **out, int *count) MUST_CHECK;

/* --- Transactions, likewise (txn_decode()) --- */
struct stored_txn {
    struct slice id;
    struct slice value;
};
/* Null slice when there is none. */
int quorum_read_txn(struct quorum *q, struct slice id, struct arena *arena,
                    struct slice *blob) MUST_CHECK;
/* All whose state lies between the two (enum txn_state), by id. */
int quorum_list_txns(struct quorum *q, int state_min, int state_max, struct arena *arena,
                     struct stored_txn **out, int *count) MUST_CHECK;
