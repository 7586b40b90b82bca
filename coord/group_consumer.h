/*
 * One consumer group of the consumer protocol (KIP-848, ConsumerGroupHeartbeat): pure.
 *
 *   join, leave, other topics        what each shall have
 *   ----------------------> epoch ----------------------> assignment epoch
 *                                                             |  each member by itself, in its
 *        STABLE <-> UNREVOKED (has to give something up)      |  heartbeats
 *           ^-----> UNRELEASED (waits for what others have) <-+
 *
 * A partition is a member's from the heartbeat that gave it out until the one in which the member,
 * told to give it up, no longer names it (or until it is out): never two's at a time. A member has
 * the group's assignment epoch once it has nothing left to give up.
 *
 * As in group_classic.h an event comes in, and answers and a write come out in struct
 * group_effects; time and the cluster's topics come with the event. One write is under way at a
 * time. What an answer says is durable when it leaves: it waits for the write of the state it was
 * decided in, also when that one was decided before. A write that failed is the end of this
 * struct (group_consumer_abandon): the durable state is read again.
 */
#pragma once

#include "coord/group_classic.h"
#include "coord/image.h"
#include "coord/partition_set.h"

#define CONSUMER_EPOCH_LEAVE        (-1)
#define CONSUMER_EPOCH_LEAVE_STATIC (-2) /* it will be back under its instance id */

enum consumer_state {
    CONSUMER_STABLE,
    CONSUMER_UNREVOKED,
    CONSUMER_UNRELEASED,
};

struct consumer_names {
    struct slice *items; /* sorted, each once; owned */
    int32_t count;
};

/* A member of the classic protocol, while a group is moved from one to the other. */
struct consumer_classic {
    int32_t session_ms;
    struct group_protocol *protocols; /* at least one */
    int32_t protocols_count;
    /* not durable; GROUP_NEVER: it is not told to */
    int64_t join_deadline_ms;
    int64_t sync_deadline_ms;
};

struct consumer_member {
    struct list link; /* by id */
    struct slice id;
    struct slice instance_id; /* null: dynamic */
    struct slice rack;        /* null: none */
    struct slice client_id;
    struct slice client_host;
    struct slice assignor; /* null: no wish */
    struct slice regex;    /* empty: none */
    struct consumer_names topics;
    int32_t rebalance_timeout_ms;

    int32_t epoch; /* CONSUMER_EPOCH_LEAVE_STATIC: away */
    int32_t previous_epoch;
    enum consumer_state state;
    struct partition_set assigned; /* what it may have */
    struct partition_set revoking; /* what it still has and was told to give up */
    struct partition_set target;   /* what it is to have */
    bool is_classic;
    struct consumer_classic classic;

    /* not durable */
    int64_t session_deadline_ms;
    int64_t revoke_deadline_ms; /* GROUP_NEVER: nothing to give up */
};

struct consumer_config {
    int32_t session_ms;
    int32_t heartbeat_ms;
    int32_t size_max;
    int32_t assignment_interval_ms;
    int32_t classic_session_min_ms;
    int32_t classic_session_max_ms;
    struct slice assignor; /* of a group whose members have no wish; constant */
};

struct consumer_answer;

struct group_consumer {
    struct consumer_config config; /* as of the event */
    int32_t epoch;                 /* 0: nobody has ever joined */
    int32_t assignment_epoch;
    uint64_t topics_hash; /* of what the members want, as it was when the epoch began */
    struct list members;  /* struct consumer_member.link */
    int32_t members_count;

    /* not durable */
    int64_t seen_index;      /* of the image that topics_hash was compared with */
    int64_t assign_after_ms; /* no new assignment before */
    bool unwritten;          /* something changed since the newest write was made */
    uint64_t writes;         /* number of the newest write */
    uint64_t writes_ended;   /* number of the newest one whose outcome is known */
    struct list regexes;     /* struct consumer_regex.link: expressions and what they match */
    uint64_t regexes_key;    /* of the topics that they were matched with */
    struct list answers;     /* struct consumer_answer.link: they wait for a write */
};

/* What every event brings along. */
struct consumer_event {
    const struct image *img;
    int64_t now_ms; /* monotonic */
};

void group_consumer_init(struct group_consumer *g, const struct consumer_config *config);
void group_consumer_deinit(struct group_consumer *g); /* parked tokens are the caller's */

struct consumer_heartbeat {
    void *token;
    struct slice member_id; /* empty: a new member of an old client */
    int32_t epoch;
    struct slice instance_id;
    struct slice rack;
    struct slice client_id;
    struct slice client_host;
    int32_t rebalance_timeout_ms; /* -1: as before */
    const struct slice *topics;
    int32_t topics_count;       /* -1: as before */
    struct slice regex;         /* null: as before */
    struct slice assignor;      /* null: as before */
    struct partition_set owned; /* what the member has now */
    bool has_owned;             /* else it did not say */
    struct uuid unique;         /* for the id of a new member */
};

/* The token gets exactly one reply, now or later. */
void group_consumer_heartbeat(struct group_consumer *g, const struct consumer_heartbeat *in,
                              const struct consumer_event *event, struct group_effects *fx);

/* Members of the classic protocol (group_consumer_classic.c): as group_classic.h has them. */
void group_consumer_join(struct group_consumer *g, const struct group_join *in,
                         const struct consumer_event *event, struct group_effects *fx);
void group_consumer_sync(struct group_consumer *g, const struct group_sync *in,
                         const struct consumer_event *event, struct group_effects *fx);
enum error_code group_consumer_heartbeat_classic(struct group_consumer *g, struct slice id,
                                                 struct slice instance_id, int32_t generation,
                                                 const struct consumer_event *event) MUST_CHECK;
/* group_consumer_left() follows once after all that leave together, if one did. */
enum error_code group_consumer_leave_classic(struct group_consumer *g, struct slice id,
                                             struct slice instance_id) MUST_CHECK;
void group_consumer_left(struct group_consumer *g, const struct consumer_event *event,
                         struct group_effects *fx);

/* Take over a classic group with its members, into an initialized group; who waits there is told to
 * join again. 0, or -EBADMSG when its members are no consumers, or assign by data of their own:
 * then this group is to be thrown away, and the classic one goes on. */
int group_consumer_from_classic(struct group_consumer *g, struct group_classic *classic,
                                const struct consumer_event *event,
                                struct group_effects *fx) MUST_CHECK;
/* Has it members, and all of the classic protocol? Then an initialized classic group can take them
 * over; it rebalances at once. This one is to be thrown away. */
bool group_consumer_is_classic_only(const struct group_consumer *g);
void group_consumer_to_classic(struct group_consumer *g, struct group_classic *classic,
                               const struct consumer_event *event, struct group_effects *fx);

struct consumer_commit {
    struct slice member_id;
    int32_t epoch; /* -1: no member */
    bool modern;   /* the version knows of member epochs */
    const struct set_partition *partitions;
    size_t partitions_count;
};
/* May these offsets be committed? A member that does not know its newest epoch yet may, for what
 * it had then and still has (KIP-1251). */
enum error_code group_consumer_check_commit(const struct group_consumer *g,
                                            const struct consumer_commit *in) MUST_CHECK;
/* May the member ask for offsets? A null id with epoch -1 is anybody. */
enum error_code group_consumer_check_fetch(const struct group_consumer *g, struct slice member_id,
                                           int32_t epoch) MUST_CHECK;

/* The outcome of a write. */
void group_consumer_persisted(struct group_consumer *g, uint64_t number, struct group_effects *fx);
/* This struct does not speak for the group any more: every parked token gets err. */
void group_consumer_abandon(struct group_consumer *g, enum error_code err,
                            struct group_effects *fx);

/* What is due at event->now_ms; returns how many members are out. */
int group_consumer_tick(struct group_consumer *g, const struct consumer_event *event,
                        struct group_effects *fx);
int64_t group_consumer_deadline(const struct group_consumer *g);
void group_consumer_revive(struct group_consumer *g, int64_t now_ms);
/* Nothing in memory that the durable state does not have. */
bool group_consumer_is_idle(const struct group_consumer *g);

/* Kafka's words. */
const char *group_consumer_state_name(const struct group_consumer *g);
/* The assignor that the members want. */
struct slice group_consumer_assignor(const struct group_consumer *g);
bool group_consumer_subscribes(const struct group_consumer *g, struct slice topic);
/* As group_offset_expired(): not while somebody is subscribed. */
bool group_consumer_offset_expired(const struct group_consumer *g,
                                   const struct group_offset_age *offset, int64_t now_ms,
                                   int64_t retention_ms);
struct consumer_member *group_consumer_find(const struct group_consumer *g, struct slice id);

/* As those of a classic group; a blob tells of which kind it is. */
bool group_consumer_is_blob(struct slice blob);
void group_consumer_encode(const struct group_consumer *g, int64_t time_ms, struct buffer *out);
int group_consumer_decode(struct group_consumer *g, struct slice blob, int64_t now_ms,
                          int64_t *time_ms) MUST_CHECK;

#define CONSUMER_MEMBERS(m, g) LIST_FOR_EACH (m, &(g)->members, struct consumer_member, link)
