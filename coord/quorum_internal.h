/* What the files of the quorum (quorum*.c) share. QUORUM thread only, except where it says
 * otherwise. */
#pragma once

#include <raft.h>
#include <raft/uv.h>

#include "coord/metadata.h"
#include "coord/pulse.h"
#include "coord/quorum.h"
#include "coord/state.h"
#include "coord/transport.h"
#include "proto/base/buffer.h"
#include "proto/base/thread.h"

#define QUORUM_ENTRY_BYTES                                                                         \
    (256 * 1024) /* a batch or entry ends after the command that passes this */
#define QUORUM_COMMANDS_MAX 4000
#define QUORUM_QUEUE_MAX    100000 /* submissions waiting on this node */
#define QUORUM_RETRY_MS     20
#define SNAPSHOT_THRESHOLD  4096
#define SNAPSHOT_TRAILING   2048
#define SNAPSHOT_LOG_BYTES  (64LL << 20) /* a snapshot is due after so many bytes of log, too */

/* quorum.properties: who this folder belongs to, outside the raft folder so that it survives its
 * loss. */
struct quorum_marker {
    int32_t node_id;
    raft_id raft_id; /* 0: none was used yet */
    char cluster_id[TRANSPORT_TEXT_SIZE];
};

/* One command of this node, from quorum_submit() until it is answered. */
struct submission {
    struct inbox_message message;
    struct list link;
    struct quorum *q;
    struct buffer command;
    int64_t deadline_ms;
    quorum_done *done; /* NULL: answered already (timed out) */
    void *arg;
};

/* This node's commands that are under way, always one batch: sent until its fate is known. */
struct own_batch {
    bool active;
    int64_t sequence;
    struct buffer bytes;
    struct list submissions;
    int32_t count;
    bool proposed;          /* in the leader's queue here */
    int forwards;           /* not answered yet */
    int32_t forwarded_to;   /* node id, -1: nobody */
    int64_t retry_at_ms;    /* when neither proposed nor forwarded */
    int64_t answered_index; /* what the leader said, -1 */
    struct buffer answered; /* its results, encoded */
};

/* Somebody's batch in the queue of the leader. */
struct proposal {
    struct inbox_message message;
    struct list link;
    struct quorum *q;
    struct buffer batch;
    int32_t commands_count;
    bool own;
    quorum_batch_done *done;
    void *arg;
};

struct in_flight {
    bool active;
    struct raft_apply req;
    uint64_t stalls; /* of the pulse, when it was proposed */
    size_t size;     /* of the entry; with its checksum and index, to know it when it is applied */
    uint32_t crc;
    struct list proposals;
    int64_t index;         /* once applied */
    struct buffer results; /* once applied, encoded */
};

struct snapshot_job {
    bool active; /* from fsm->snapshot to finalize */
    struct state_pin *pin;
    struct raft_buffer *bufs;
    uv_work_t work;
    bool working;
    void *data;
    size_t size;
    struct raft_io *io;
    unsigned trailing;
    struct raft_io_snapshot_put *req;
    const struct raft_snapshot *snapshot;
    raft_io_snapshot_put_cb cb;
};

enum join_phase {
    JOIN_IDLE,    /* Raft runs and has a leader, or waits for one */
    JOIN_PROBING, /* Raft does not run: who else is there? */
    JOIN_ASKING   /* Raft runs: ask the leader to take us in */
};

struct join {
    enum join_phase phase;
    bool lost;    /* the marker says that there was a log, and there is none */
    int asks;     /* not answered yet */
    int empty;    /* voters of this round without a log, this one included */
    bool forming; /* one of this round has a log and no cluster yet */
    int64_t majority_since_ms;
    int64_t leaderless_since_ms;
    int64_t complained_ms;
    char leader_address[TRANSPORT_TEXT_SIZE];
    char cluster_id[TRANSPORT_TEXT_SIZE]; /* of a formed cluster that answered */
    bool changing;                        /* leader: a change of the configuration is under way */
};

struct heard {
    raft_id id;
    int64_t at_ms;
};

struct quorum {
    /* constant after start */
    struct quorum_options options;
    char *dir, *raft_dir, *address;
    struct image_config *configs; /* those of options, owned */
    int lock_fd;
    pthread_t thread;
    struct state *state;
    struct image_cell *cell;
    struct inbox inbox;

    struct mutex lock;
    pthread_cond_t started_cond;
    bool started;                /* guarded by lock */
    int start_err;               /* guarded by lock */
    struct quorum_status status; /* guarded by lock; written by QUORUM only */

    /* QUORUM only */
    struct quorum_marker marker;
    uv_loop_t loop;
    uv_poll_t inbox_poll;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t submit_timer, join_timer;
    int handles;
    struct transport *transport;
    struct metadata *metadata;
    int64_t applied_index;
    bool formed;

    bool raft_opened, raft_running;
    struct raft raft;
    struct raft_io io;
    struct raft_fsm fsm;
    int (*io_start)(struct raft_io *, unsigned, raft_io_tick_cb, raft_io_recv_cb);
    int (*io_send)(struct raft_io *, struct raft_io_send *, const struct raft_message *,
                   raft_io_send_cb);
    int (*io_snapshot_get)(struct raft_io *, struct raft_io_snapshot_get *,
                           raft_io_snapshot_get_cb);
    int (*io_append)(struct raft_io *, struct raft_io_append *, const struct raft_entry *, unsigned,
                     raft_io_append_cb);
    int (*io_snapshot_put)(struct raft_io *, unsigned, struct raft_io_snapshot_put *,
                           const struct raft_snapshot *, raft_io_snapshot_put_cb);
    raft_io_recv_cb recv;
    VEC(struct heard) heard;
    struct snapshot_job snapshot;
    int64_t log_bytes; /* applied since the last snapshot */

    raft_term lead_term;      /* for which the barrier was sent; 0: not leader */
    bool ready;               /* its barrier is applied */
    struct pulse pulse;       /* whether it leads surely; other threads ask it, too */
    bool forming;             /* FORM_CLUSTER was submitted */
    int64_t hurried_until_ms; /* the election timeout is short, 0: it is not */
    bool push_wanted;         /* followers do not know of the last commit */
    bool pushing;             /* an empty entry is under way */

    struct list queue; /* of struct submission, waiting for the own batch */
    int queue_count;
    int64_t next_sequence;
    struct own_batch own;
    struct list proposals; /* of struct proposal */
    struct in_flight in_flight;

    struct join join;

    struct inbox_message stop_message;
    bool stopping, abrupt, transferring, close_wanted, closing;
    struct raft_transfer transfer;
    int64_t transfer_deadline_ms;
};

static inline raft_id raft_id_of(int32_t node_id, uint32_t generation)
{
    return (raft_id)generation << 32 | ((uint32_t)node_id + 1);
}

static inline int32_t raft_id_node(raft_id id)
{
    return (int32_t)((uint32_t)id - 1);
}

/* quorum_marker.c: any thread, before the QUORUM thread starts; then QUORUM. 0 or -errno, logged.
 */
int marker_read(const char *dir, struct quorum_marker *out) MUST_CHECK;
void marker_write(const char *dir, const struct quorum_marker *marker);
/* The lock of the folder: its descriptor or -errno, logged. */
int marker_lock(const char *dir) MUST_CHECK;
bool marker_folder_empty(const char *dir);

/* quorum.c */
void quorum_turn(struct quorum *q);
void quorum_set_cluster_id(struct quorum *q, struct slice cluster_id);
/* As if the process died: no transfer of leadership. For tests. */
void quorum_stop_abruptly(struct quorum *q);

/* quorum_raft.c */
int raft_side_open(struct quorum *q) MUST_CHECK;
int raft_side_bootstrap(struct quorum *q) MUST_CHECK;
int raft_side_start(struct quorum *q) MUST_CHECK;
void raft_side_turn(struct quorum *q);
int64_t raft_side_heard_ms(const struct quorum *q, raft_id id); /* -1: never */
/* Elections begin soon, until a leader is known or it was a false alarm. */
void raft_side_hurry(struct quorum *q);
void raft_side_calm(struct quorum *q);

/* quorum_fsm.c */
void fsm_init(struct quorum *q);
int fsm_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                     const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb);

/* quorum_submit.c */
void submit_init(struct quorum *q);
void submit_turn(struct quorum *q);
void submit_tick(struct quorum *q);
void submit_leader_changed(struct quorum *q);
void submit_leadership_lost(struct quorum *q);
/* This node's batch `sequence` was applied with these results (encoded). */
void submit_applied(struct quorum *q, int64_t sequence, struct slice results);
/* Something was applied: is the answered batch visible now? */
void submit_progress(struct quorum *q);
void submit_fail_all(struct quorum *q);
void submit_deinit(struct quorum *q);

/* quorum_join.c */
int join_start(struct quorum *q) MUST_CHECK;
void join_tick(struct quorum *q);
bool join_admit(void *arg, const struct transport_hello *hello);
void join_introduce(void *arg, struct transport_hello *out);
void join_asked(void *arg, const struct transport_hello *hello, const char *peer,
                struct transport_answer *out);
