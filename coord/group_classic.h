/*
 * One consumer group of the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup): pure.
 *
 *            join                   all joined, or too late         leader's assignment is durable
 *   EMPTY ---------> PREPARING ------------------> COMPLETING -----------------> STABLE
 *     ^              |   ^  ^                          |                           |
 *     +- none is left+   |  +--- join, leave, expiry --+                           |
 *                        +------------------ join, leave, expiry ------------------+
 *
 * An event comes in with now_ms (monotonic); what is to be done comes out in struct group_effects:
 * answers to parked requests, a write of the group's durable state, and the next deadline stands in
 * the group. A write is numbered; its outcome is the event group_classic_persisted(). Nothing is
 * called back, so that a simulation can own it.
 *
 * The durable state (group_classic_encode) holds the last finished generation: after a move the new
 * coordinator goes on with it, and the members notice nothing but one NOT_COORDINATOR.
 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/buffer.h"
#include "proto/base/list.h"
#include "proto/base/vec.h"
#include "proto/errors.h"

struct set_partition;

#define GROUP_NEVER              INT64_MAX
#define GROUP_NEW_MEMBER_JOIN_MS 300000 /* a new member may wait so long for its first answer */

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
};

struct group_protocol {
    struct slice name;
    struct slice metadata;
};

struct group_member {
    struct list link; /* in order of arrival */
    struct slice id;
    struct slice instance_id; /* null: a dynamic member */
    struct slice client_id;
    struct slice client_host;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    struct group_protocol *protocols; /* in the member's order of preference */
    int32_t protocols_count;
    struct slice assignment;
    int64_t deadline_ms;    /* session: out when it is silent until then */
    void *join_token;       /* a JoinGroup that waits */
    void *sync_token;       /* a SyncGroup that waits */
    uint64_t rejoin_number; /* the write that join_token waits for; 0: it waits for the others */
    struct slice rejoin_leader; /* leader to be named in that answer */
    bool rejoin_skip;           /* it is the leader, and told to keep the assignment */
    bool is_new;                /* has not had an answer to its first join */
    bool synced;                /* asked for its assignment in this generation */
};

struct group_pending {
    struct slice id;
    int64_t deadline_ms;
};

struct group_config {
    int32_t initial_delay_ms;
    int32_t session_min_ms;
    int32_t session_max_ms;
    int32_t size_max;
};

struct group_classic {
    struct group_config config;
    enum group_state state;
    int32_t generation;
    struct slice protocol_type; /* null before the first member */
    struct slice protocol_name; /* null before the first generation, and when empty */
    struct slice leader;        /* null: none */
    struct list members;        /* struct group_member.link */
    int32_t members_count;
    VEC(struct group_pending) pending; /* ids handed out by MEMBER_ID_REQUIRED, not joined yet */

    bool shrunk; /* members went: group_classic_left() rebalances the others */

    /* while PREPARING */
    bool initial;          /* came from EMPTY: wait for the delay, not for the members */
    bool newcomers;        /* somebody joined since the delay began */
    int64_t delay_left_ms; /* how much longer the delay may be extended */
    int64_t join_deadline_ms;
    /* while COMPLETING or STABLE */
    int64_t sync_deadline_ms;
    uint64_t assignment_number; /* the write of the assignment in flight, 0: none */

    uint64_t writes;       /* number of the newest write */
    uint64_t writes_ended; /* number of the newest one whose outcome is known */
};

enum group_reply_kind { GROUP_REPLY_JOIN, GROUP_REPLY_SYNC, GROUP_REPLY_HEARTBEAT };

struct group_reply_member {
    struct slice id;
    struct slice instance_id;
    struct slice metadata;
};

/* The rest of the answer to a ConsumerGroupHeartbeat (group_consumer.h). */
struct group_reply_heartbeat {
    struct slice message; /* null: none */
    int32_t epoch;
    int32_t interval_ms;
    bool has_assignment;
    const struct set_partition *partitions; /* in order */
    size_t partitions_count;
};

/* The answer to a JoinGroup, SyncGroup or ConsumerGroupHeartbeat; everything lies in the effects'
 * arena. */
struct group_reply {
    enum group_reply_kind kind;
    void *token;
    enum error_code err;
    int32_t generation;
    struct slice protocol_type;
    struct slice protocol_name;
    struct slice leader;
    struct slice member_id;
    bool skip_assignment;
    struct group_reply_member *members; /* for the leader only */
    int32_t members_count;
    struct slice assignment;
    struct group_reply_heartbeat beat;
};

struct group_effects {
    struct arena arena;
    VEC(struct group_reply) replies;
    uint64_t persist_number; /* not 0: write the encoded group, then group_classic_persisted() */
};

void group_effects_init(struct group_effects *fx);
void group_effects_deinit(struct group_effects *fx);

void group_classic_init(struct group_classic *g, const struct group_config *config);
void group_classic_deinit(struct group_classic *g); /* parked tokens are the caller's */

struct group_join {
    void *token;
    struct slice member_id; /* empty: a new member */
    struct slice instance_id;
    struct slice client_id;
    struct slice client_host;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    struct slice protocol_type;
    const struct group_protocol *protocols;
    int32_t protocols_count;
    struct uuid unique;       /* for the id of a new member */
    bool needs_known_id;      /* version 4+: a dynamic member asks twice (KIP-394) */
    bool can_skip_assignment; /* version 9+ (KIP-814) */
};

/* The token gets exactly one reply, now or later. */
void group_classic_join(struct group_classic *g, const struct group_join *in, int64_t now_ms,
                        struct group_effects *fx);

struct group_assignment {
    struct slice member_id;
    struct slice assignment;
};

struct group_sync {
    void *token;
    struct slice member_id;
    struct slice instance_id;
    int32_t generation;
    struct slice protocol_type; /* null: not checked */
    struct slice protocol_name;
    const struct group_assignment *assignments; /* the leader's */
    int32_t assignments_count;
};

/* The token gets exactly one reply, now or later; the leader's only once its assignment was
 * written. */
void group_classic_sync(struct group_classic *g, const struct group_sync *in, int64_t now_ms,
                        struct group_effects *fx);

enum error_code group_classic_heartbeat(struct group_classic *g, struct slice member_id,
                                        struct slice instance_id, int32_t generation,
                                        int64_t now_ms) MUST_CHECK;

/* One member; group_classic_left() follows once after all that leave together. */
enum error_code group_classic_leave(struct group_classic *g, struct slice member_id,
                                    struct slice instance_id, struct group_effects *fx) MUST_CHECK;
void group_classic_left(struct group_classic *g, int64_t now_ms, struct group_effects *fx);

/* May this member commit offsets? Counts as a sign of life. generation -1 with an empty id is a
 * simple consumer, right only in an empty group. */
enum error_code group_classic_check_commit(struct group_classic *g, struct slice member_id,
                                           struct slice instance_id, int32_t generation,
                                           int64_t now_ms) MUST_CHECK;

/* The outcome of a write. */
void group_classic_persisted(struct group_classic *g, uint64_t number, enum error_code err,
                             int64_t now_ms, struct group_effects *fx);

/* What is due at now_ms. */
void group_classic_tick(struct group_classic *g, int64_t now_ms, struct group_effects *fx);
/* When tick has something to do next; GROUP_NEVER. */
int64_t group_classic_deadline(const struct group_classic *g);

/* This coordinator is none any more: every parked token gets err. */
void group_classic_abandon(struct group_classic *g, enum error_code err, struct group_effects *fx);

/* The coordinator could not listen for a while: nobody is to blame for his silence. */
void group_classic_revive(struct group_classic *g, int64_t now_ms);

/* Nothing in memory that the durable state does not have. */
bool group_classic_is_idle(const struct group_classic *g);

/* Kafka's words. */
const char *group_state_name(enum group_state state);

/* The chosen protocol's metadata of a member; empty where there is none. */
struct slice group_member_metadata(const struct group_classic *g, const struct group_member *m);
struct group_member *group_member_find(const struct group_classic *g, struct slice id);

/* Does a member want this topic? Also yes where it cannot be known. */
bool group_classic_subscribes(const struct group_classic *g, struct slice topic);

struct group_offset_age {
    struct slice topic;
    int64_t commit_time_ms; /* wall clock, as all of these */
    int64_t expire_time_ms; /* asked for by an old client; -1: by the retention */
};
/* May this offset go (KIP-211)? Not while a member is subscribed to its topic; of a group without
 * members by since_ms, when the last one left; of simple consumers (g NULL) by its commit. */
bool group_offset_expired(const struct group_classic *g, int64_t since_ms,
                          const struct group_offset_age *offset, int64_t now_ms,
                          int64_t retention_ms);

/* time_ms (wall clock): since when the group is as it is; offsets of an empty one expire from then.
 */
void group_classic_encode(const struct group_classic *g, int64_t time_ms, struct buffer *out);
/* Into an initialized, empty group. 0 or -EBADMSG, then the group is as initialized. */
int group_classic_decode(struct group_classic *g, struct slice blob, int64_t now_ms,
                         int64_t *time_ms) MUST_CHECK;
