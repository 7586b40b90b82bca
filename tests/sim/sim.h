/*
 * A cluster in one thread, from a seed: the real partition, ISR and log code and the real
 * controller and metadata state machine, over a simulated disk, network, clock and quorum.
 *
 *   plan.c    what this seed is like: sizes, time-outs, which faults and how often
 *   net.c     messages: lost, late, stalled and cut links
 *   quorum.c  the metadata log: one order of commands; every node applies it at its own pace
 *   node.c    a node's shell: disk, registration, roles, flush, fetch, produce
 *   client.c  producers, a consumer, a group that commits offsets
 *   check.c   the invariants
 *   sim.c     faults, and the turn of the clock
 *
 * The seed is the whole input: no other randomness, no time, no addresses.
 */
#pragma once

#include "coord/controller.h"
#include "coord/metadata.h"
#include "proto/base/mutant.h"
#include "proto/base/vec.h"
#include "replication/partition.h"
#include "tests/sim/disk.h"

#define NODES_MAX       4
#define REPLICAS        3
#define PRODUCERS       2
#define WINDOW_MAX      4
#define CONTROLLER      (-1)
#define CLIENT          (-2)
#define ENDPOINTS       (NODES_MAX + 2) /* index: endpoint + 2 */
#define FAULTS_UNTIL_MS 15000
#define END_MS          30000
#define TOPIC           "t"
#define GROUP           "g"
#define LOOSE_ID        1000000000 /* time stamps of acks=1 records begin here */
#define RESULTS_MAX     16
#define LEADER_EPOCHS   8192

enum fault {
    FAULT_CRASH,        /* a node, between two events */
    FAULT_CRASH_INSIDE, /* a node, in the middle of an event: after some operations on its disk */
    FAULT_POWER,        /* all nodes */
    FAULT_WIPE,         /* a node comes back with an empty disk */
    FAULT_PAUSE,        /* a node */
    FAULT_STOP,         /* a clean stop */
    FAULT_CUT,          /* a link, one way or both: messages are lost */
    FAULT_STALL,        /* a link, one way: messages wait, then all come */
    FAULT_FULL,         /* a disk */
    FAULT_SYNC,         /* a sync fails */
    FAULT_CONTROLLER,   /* the active controller is replaced; what it was told may be lost */
    FAULT_ELECT,        /* another preferred leader, and an election */
    FAULT_MIN_ISR,      /* min.insync.replicas changes */
    FAULT_DELETE,       /* records are deleted */
    FAULT_KINDS
};

/* What a seed is like; see plan.c. */
struct plan {
    int nodes;
    int min_isr;
    int window;         /* requests in flight of a producer */
    bool write_caching; /* a crash loses what was acknowledged there: one node at a time, then */
    int64_t session_ms, lag_ms, flush_ms;
    int loss_percent, late_percent, late_ms;
    int provoke_percent;       /* of the moments that matter: a fault right then */
    int every_ms[FAULT_KINDS]; /* mean time between two; 0: never */
};

enum message_kind {
    MSG_FETCH,
    MSG_FETCHED,
    MSG_PRODUCE,
    MSG_PRODUCED,
    MSG_FLUSH,
    MSG_HELLO,
    MSG_WELCOME,
    MSG_BATCH, /* commands for the metadata log */
    MSG_ENTRY, /* the next entry of that log */
    MSG_IMAGE, /* from a node's quorum to its partitions */
    MSG_COMMIT,
    MSG_COMMITTED,
    MSG_PRODUCER_ID
};

struct batch_results {
    int64_t sequence; /* -1: of another node */
    int count;
    enum error_code codes[RESULTS_MAX];
    int64_t values[RESULTS_MAX];
};

struct message {
    int64_t at_ms;
    uint64_t order;
    enum message_kind kind;
    int from, to;        /* node, CONTROLLER, CLIENT */
    int64_t incarnation; /* of the receiving node: dropped when that is gone */
    int64_t from_incarnation;
    int64_t id;
    enum error_code err;
    int64_t offset, end_offset;
    int16_t acks;
    int producer;
    struct follower_fetch fetch;
    struct fetched fetched;
    struct buffer bytes;
    struct log_flush flush;
    struct controller_hello hello;
    struct image_endpoint endpoint;
    struct controller_answer answer;
    struct image *img; /* counted */
    struct batch_results results;
};

/* A command on its way from a node into the metadata log. */
struct queued {
    struct buffer command;
    enum command_kind kind;
    int64_t since_ms;
    bool timed_out;
    struct isr_proposal proposal;
    int64_t id; /* of the client's request that waits for it */
};

/* A produce request that waits at its leader. */
struct parked {
    int32_t leader_epoch;
    int64_t base_offset, end_offset;
    int64_t id;
    int producer;
};

struct node {
    bool up, paused, stopping, full;
    int64_t resume_ms, start_ms, full_until_ms, stop_by_ms;
    int64_t incarnation;
    int64_t broker_epoch; /* -1: not registered */
    int64_t former_epoch; /* of an incarnation before */
    struct disk *disk;
    struct fs fs;
    struct partition *partition;
    bool flushing;
    VEC(struct parked) parked;
    int64_t fetch_id[NODES_MAX], fetch_sent_ms[NODES_MAX]; /* by leader; 0: none under way */
    int64_t hello_ms;
    bool lossy; /* came back without what it had; until it is in sync again */
    /* files of the data folder */
    int64_t watermark_file, recovery_file;
    int64_t clean_file;  /* broker epoch of the clean stop; -1: none */
    int64_t clean_epoch; /* what it said at this start */
    /* quorum */
    VEC(struct queued) queue;
    int batch_count; /* so many of the queue are under way; 0: none */
    int64_t sequence, batch_sent_ms;
    int64_t applied_index;
    struct image *applied; /* by its quorum */
    struct image *wired;   /* by its partitions; NULL: none with its registration yet */
    int64_t entry_at_ms;   /* of the last entry that is on its way */
    int64_t next_producer_id, producer_ids_end;
};

/* A record that is sent until it is acknowledged. */
struct sending {
    bool busy;
    int64_t id;
    int32_t sequence;
    int64_t sent_ms;
};

struct producer {
    int64_t producer_id; /* -1: has none */
    int64_t asked_ms;
    int32_t next_sequence;
    struct sending window[WINDOW_MAX];
    int leader;          /* whom its connection is to */
    int64_t incarnation; /* of that node */
    bool broken;
    int64_t retry_ms;      /* when to try another one */
    int64_t arrival_ms;    /* of the last request on it */
    int32_t last_sequence; /* the largest acknowledged, and where */
    int64_t last_offset;
};

struct proposed {
    struct buffer batch;
    int from;
    int64_t incarnation, sequence;
    int64_t commit_ms;
};

struct counters {
    int64_t acked, duplicates, truncations, shrinks, expansions, elections, crashes, inside,
        power_losses, wipes, lost_bytes, refused_under_min, refused_after_append, fenced_fetches,
        stale_broker_fetches, refused_proposals, eligible_leaders, clean_stops, committed, reads,
        sync_failures, full_disks, controllers, deletes, simulated_ms;
};

struct sim {
    uint64_t seed;
    struct plan plan;
    struct rng net, faults, load;
    int64_t now_ms;
    uint64_t order;
    bool healing;
    VEC(struct message *) messages;
    VEC(int) provoked; /* pairs of nodes */
    int64_t cut_until[ENDPOINTS][ENDPOINTS], stalled_until[ENDPOINTS][ENDPOINTS];
    struct node nodes[NODES_MAX];
    /* quorum */
    struct metadata *metadata;
    struct image *img; /* committed */
    int64_t index;
    VEC(struct proposed) pipeline;
    struct controller *controller;
    bool controller_down;
    int64_t controller_back_ms, controller_term, controller_sequence;
    uint64_t connections;
    int64_t committed_offset; /* of the group, in the log; -1: none */
    /* clients */
    struct producer producers[PRODUCERS];
    int believed_leader;
    int64_t next_record; /* ids of the producers' records */
    int64_t next_loose;
    int64_t commit_id, commit_offset, commit_sent_ms; /* under way */
    int64_t commit_acked;
    int believed_coordinator;
    int64_t read_offset;
    int64_t delete_offset, deleted_to; /* asked for; promised */
    /* what was promised */
    VEC(int64_t) acked; /* offset of each producer's record, -1: not acknowledged */
    VEC(int64_t) truth; /* record at each offset, -1: not known */
    int64_t acked_end;  /* behind the last record acknowledged by acks=all */
    int64_t acked_ms;   /* last acknowledgement */
    int64_t commit_acked_ms;
    int64_t served_watermark;
    VEC(int64_t) producer_ids;
    int32_t leader_of_epoch[LEADER_EPOCHS];
    int64_t healthy_since_ms;
    const char *ill; /* what was not well last */
    struct counters seen;
    char failure[300];
};

/* true: every invariant held. */
bool sim_run(struct sim *s, uint64_t seed);

void fail(struct sim *s, const char *fmt, ...) PRINTF(2, 3);
/* A line of the trace (SIM_TRACE=1). */
void trace(const struct sim *s, const char *fmt, ...) PRINTF(2, 3);
extern bool trace_enabled;

/* plan.c */
void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

/* net.c */
struct message *message_new(enum message_kind kind, int from, int to);
void message_free(struct message *m);
void post(struct sim *s, struct message *m); /* takes m */
/* The next one that arrives now; the caller frees it. NULL: none. */
struct message *next_message(struct sim *s);
bool link_cut(const struct sim *s, int from, int to);
/* Messages that `node` posted since `order` are not sent after all: it died before. */
void unsend(struct sim *s, int node, uint64_t order);

/* sim.c: node n just changed its role, proposed an ISR, truncated, …, which concerns `other`: a
 * good moment for a fault. */
void provoke(struct sim *s, int n, int other);
/* Whether it may lose its memory now; see plan.c. */
bool may_crash(const struct sim *s, int n);

/* quorum.c */
void quorum_init(struct sim *s);
void quorum_deinit(struct sim *s);
void quorum_step(struct sim *s);
void quorum_hello(struct sim *s, const struct message *m);
void quorum_batch(struct sim *s, struct message *m);
void quorum_node_died(struct sim *s, int n, uint64_t connection);
void quorum_replace_controller(struct sim *s);
/* A command of the operator, past every queue. */
void quorum_command(struct sim *s, struct buffer *command);
/* The partition in the committed state; NULL: not created yet. */
const struct image_partition *committed_partition(const struct sim *s);
const struct image_topic *committed_topic(const struct sim *s);
/* The latest image to a node that starts. */
void quorum_catch_up(struct sim *s, int n);

/* node.c */
void node_start(struct sim *s, int n);
void node_crash(struct sim *s, int n, bool wipe);
void node_step(struct sim *s, int n);
void node_take(struct sim *s, int n, struct message *m);
/* A command for the log; takes its bytes. */
struct queued *node_submit(struct sim *s, int n, enum command_kind kind, struct buffer *command);
uint64_t node_connection(const struct sim *s, int n);

/* client.c */
void client_init(struct sim *s);
void client_step(struct sim *s);
void client_take(struct sim *s, const struct message *m);
/* The coordinator's and the leader's side. */
void commit_take(struct sim *s, int n, const struct message *m);
void commit_answer(struct sim *s, int n, int64_t id, enum error_code err);
void producer_id_take(struct sim *s, int n, const struct message *m);
void producer_id_answer(struct sim *s, int n, int64_t id);
void produce_take(struct sim *s, int n, struct message *m);
void parked_check(struct sim *s, int n);

/* check.c */
void check_always(struct sim *s);   /* cheap: after every event */
void check_replicas(struct sim *s); /* reads every log */
void check_image(struct sim *s, const struct image *before);
void check_leads(struct sim *s, int n, int32_t leader_epoch);
void check_acked(struct sim *s, int64_t id, int64_t offset);
void check_read(struct sim *s, int n);
void check_end(struct sim *s);
bool is_healthy(struct sim *s);
