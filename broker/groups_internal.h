/* The container of groups: for groups*.c only. */
#pragma once

#include "broker/groups.h"
#include "broker/node.h"
#include "proto/base/map.h"

struct group {
    struct group_consumer *consumer; /* NULL: the group is a classic one */
    struct group_classic classic;    /* empty while consumer is there */
    int64_t due_ms;                  /* nothing is due before; GROUP_NEVER */
    int64_t since_ms;                /* wall clock: when it was last written */
    bool gone; /* it was deleted; here only for the numbers of writes on their way */
};

struct expiry;
struct takeover;

struct group_slot {
    struct mutex lock;
    /* guarded by lock */
    int32_t number;
    int32_t epoch; /* of the slot as known here, -1 at first */
    bool ours;
    int64_t moved_index;   /* of the image that says so */
    bool settled;          /* all others have heard of it: this node may speak */
    bool loaded;           /* the groups of the database that have members are here */
    struct map groups;     /* id -> struct group */
    struct map committing; /* id -> how many commits are on their way */
    int64_t due_ms;        /* nothing in it is due before */
};

struct groups {
    struct node *node;         /* constant */
    struct net_thread *thread; /* constant: where timers run and outcomes of writes arrive */
    struct group_slot slots[COORDINATOR_SLOTS];
    _Atomic int64_t armed_ms;  /* when the timer fires */
    _Atomic bool follow_asked; /* groups_follow is on its way */
    _Atomic bool stopped;
    /* NET only, that thread */
    struct event *timer;
    struct takeover *takeover;
    bool lapsed;           /* the lease was lost meanwhile */
    struct expiry *expiry; /* the look for expired offsets that is going on */
    int64_t expiry_due_ms; /* the next one */
};

/* Replies of one event; freed when the last was handed over. */
struct group_outcome {
    struct group_effects fx;
    atomic_int refs;
};

/* The token of a parked request, in its arena. */
struct group_wait {
    struct request *req;
    group_replied *done;
    struct group_outcome *outcome;
    size_t index;
};

struct group_outcome *group_outcome_new(void);
/* A token for the request; from park on it must get its reply. */
struct group_wait *group_wait_new(struct request *req, group_replied *done);
void group_wait_park(struct group_wait *wait);
/* Write what is to be written, answer who is to be answered; takes the outcome. g: the group as it
 * is now. */
void group_outcome_apply(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g, struct group_outcome *o) HOLDS(slot->lock);

/* The group's slot. */
struct group_slot *groups_slot(struct groups *gs, struct slice id);
/* Take over what the newest image says of the slot. ERR_NOT_COORDINATOR when it is not here,
 * ERR_COORDINATOR_LOAD_IN_PROGRESS when a former coordinator may not know that yet. */
enum error_code group_slot_check(struct groups *gs, struct group_slot *slot)
    HOLDS(slot->lock) MUST_CHECK;
/* The group, from memory or the database; *g NULL when there is none and it shall not be made. One
 * that is gone is none, whatever the database still has. */
enum error_code group_slot_find(struct groups *gs, struct group_slot *slot, struct slice id,
                                bool make, struct group **g) HOLDS(slot->lock) MUST_CHECK;
/* The same without keeping it: *g is the caller's to free with group_free() when *owned. */
enum error_code group_slot_peek(struct groups *gs, struct group_slot *slot, struct slice id,
                                struct group **g, bool *owned) HOLDS(slot->lock) MUST_CHECK;
void group_free(struct group *g);
/* After anything but a heartbeat: when is something due? */
void group_slot_due(struct groups *gs, struct group_slot *slot, struct group *g) HOLDS(slot->lock);
/* Back to a classic group that has never been; numbers of writes go on. */
void group_reset(struct group *g);

/* --- Of either kind (groups_kind.c) --- */

struct group *group_new(struct groups *gs);
/* From the database's bytes. false: they cannot be read, and the group is a new one. */
bool group_decode(struct groups *gs, struct slice id, struct slice blob, struct group *g);
void group_encode(const struct group *g, struct buffer *out);
/* A classic group without members becomes one of the consumer protocol. */
void group_turn_consumer(struct groups *gs, struct slice id, struct group *g,
                         const struct image *img);
/* A classic group with members likewise, when they can be taken over and policy allows it. */
bool group_upgrade(struct groups *gs, struct slice id, struct group *g,
                   const struct consumer_event *event, struct group_effects *fx);
/* After an event: a group whose members are all of the classic protocol becomes a classic one. */
void group_downgrade(struct groups *gs, struct slice id, struct group *g,
                     const struct consumer_event *event, struct group_effects *fx);
/* For an event of a group of the consumer protocol; event_end() gives the image back. */
struct consumer_event group_event(struct groups *gs);
void group_event_end(struct consumer_event *event);
/* The settings in force now. */
void group_configure(struct groups *gs, struct slice id, struct group *g, const struct image *img);

/* Without members, and with nothing that the database does not have. */
bool group_is_idle(const struct group *g);
bool group_is_empty(const struct group *g); /* without members */
int64_t group_deadline(const struct group *g);
void group_tick(struct groups *gs, struct slice id, struct group *g, int64_t now_ms,
                struct group_effects *fx);
void group_revive(struct group *g, int64_t now_ms);
void group_abandon(struct group *g, enum error_code err, struct group_effects *fx);
bool group_subscribes(const struct group *g, struct slice topic);

/* --- Members of the classic protocol in a group of the consumer protocol (groups_consumer.c)
 * --- */

void groups_consumer_join(struct groups *gs, struct slice id, struct group *g,
                          const struct group_join *in, struct group_effects *fx);
void groups_consumer_sync(struct groups *gs, struct group *g, const struct group_sync *in,
                          struct group_effects *fx);
enum error_code groups_consumer_beat(struct groups *gs, struct group *g, struct slice member_id,
                                     struct slice instance_id, int32_t generation);
void groups_consumer_leave(struct groups *gs, struct slice id, struct group *g,
                           struct group_leaving *members, int count, struct group_effects *fx);

/* Has the group a commit? */
enum error_code group_has_offsets(struct groups *gs, struct slice id, bool *has) MUST_CHECK;

/* Go on with the look for expired offsets; when to be called again. */
int64_t groups_expire(struct groups *gs, int64_t now_ms);
void groups_expire_stop(struct groups *gs);
