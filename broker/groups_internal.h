/* The container of groups: for groups*.c only. */
#pragma once

#include "broker/groups.h"
#include "broker/node.h"
#include "proto/base/map.h"

struct group {
    struct group_classic classic;
    int64_t due_ms;   /* nothing is due before; GROUP_NEVER */
    int64_t since_ms; /* wall clock: when it was last written */
};

struct expiry;

struct group_slot {
    struct mutex lock;
    /* guarded by lock */
    int32_t number;
    int32_t epoch; /* of the slot as known here, -1 at first */
    bool ours;
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
/* Write what is to be written, answer who is to be answered; takes the outcome. g: the group as it
 * is now. */
void group_outcome_apply(struct groups *gs, struct group_slot *slot, struct slice id,
                         struct group *g, struct group_outcome *o) HOLDS(slot->lock);

/* The group's slot. */
struct group_slot *groups_slot(struct groups *gs, struct slice id);
/* Take over what the newest image says of the slot. ERR_NOT_COORDINATOR when it is not here. */
enum error_code group_slot_check(struct groups *gs, struct group_slot *slot)
    HOLDS(slot->lock) MUST_CHECK;
/* The group, from memory or the database; *g NULL when there is none and it shall not be made. */
enum error_code group_slot_find(struct groups *gs, struct group_slot *slot, struct slice id,
                                bool make, struct group **g) HOLDS(slot->lock) MUST_CHECK;
/* The same without keeping it: *g is the caller's to free with group_free() when *owned. */
enum error_code group_slot_peek(struct groups *gs, struct group_slot *slot, struct slice id,
                                struct group **g, bool *owned) HOLDS(slot->lock) MUST_CHECK;
void group_free(struct group *g);
/* After anything but a heartbeat: when is something due? */
void group_slot_due(struct groups *gs, struct group_slot *slot, struct group *g) HOLDS(slot->lock);
/* Back to a group that has never been. */
void group_reset(struct group *g);

/* Has the group a commit? */
enum error_code group_has_offsets(struct groups *gs, struct slice id, bool *has) MUST_CHECK;

/* Go on with the look for expired offsets; when to be called again. */
int64_t groups_expire(struct groups *gs, int64_t now_ms);
void groups_expire_stop(struct groups *gs);
