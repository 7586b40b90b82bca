/*
 * The group coordinator of this node: the groups (coord/group_classic.h, coord/group_consumer.h)
 * whose slot it leads, their timers, and their way into the metadata log.
 *
 *   handler -> slot lock -> group_classic_*() -> effects: answers to parked requests,
 *                           group_consumer_*()            PUT_GROUP -> quorum -> persisted
 *
 * A group is read from the database when it is first asked for, or when its slot comes here: the
 * database has by then everything that the coordinator before wrote, because commands of an older
 * slot epoch are refused; and it is served once no other broker can take itself for its coordinator
 * (takeover.h), until then it is LOAD_IN_PROGRESS. When the slot goes, its groups are forgotten and
 * who waits hears NOT_COORDINATOR. Without its lease the node answers the same, since it may have
 * been replaced.
 *
 * A slot's lock guards its groups, so that any network thread may work on them. It is held while
 * commands are submitted, so that they are applied in the order in which they were decided.
 */
#pragma once

#include "broker/request.h"
#include "coord/command.h"
#include "coord/group_classic.h"
#include "coord/group_consumer.h"

struct groups;

int groups_start(struct node *node) MUST_CHECK;
/* Everybody who waits is answered; commands may still come back. */
void groups_stop(struct node *node);
/* After the network threads ended. */
void groups_free(struct groups *gs);
/* The slots may have moved; QUORUM thread. */
void groups_published(struct groups *gs);

/* The request is answered by done(), once, on its thread: the reply's bytes are borrowed. */
typedef void group_replied(struct request *req, const struct group_reply *reply);

void groups_join(struct request *req, struct slice id, struct group_join *in, group_replied *done)
    ON(NET);
void groups_sync(struct request *req, struct slice id, struct group_sync *in, group_replied *done)
    ON(NET);
enum error_code groups_heartbeat(struct node *node, struct slice id, struct slice member_id,
                                 struct slice instance_id, int32_t generation);

/* The consumer protocol (KIP-848); fields that a request cannot have were refused. */
void groups_consumer_heartbeat(struct request *req, struct slice id, struct consumer_heartbeat *in,
                               group_replied *done) ON(NET);

struct group_leaving {
    struct slice member_id;
    struct slice instance_id;
    enum error_code err; /* out */
};
/* The error of all; each member's own stands in its place. */
enum error_code groups_leave(struct node *node, struct slice id, struct group_leaving *members,
                             int count);

/* May this node speak for the group, and this member ask for its offsets? A null id with epoch -1
 * is anybody. */
enum error_code groups_check_fetch(struct node *node, struct slice id, struct slice member_id,
                                   int32_t epoch);

struct group_committer {
    struct slice member_id;
    struct slice instance_id;
    int32_t generation;
    bool group_must_exist; /* version 9+: an unknown group has an error of its own */
    bool modern;           /* it knows of member epochs, or is a transaction */
};
/* Submits c, whose slot is filled in, when the member may commit; else done() runs at once. */
void groups_commit(struct request *req, const struct group_committer *who, struct commit_offsets *c,
                   request_submitted *done) ON(NET);

/* The same in a transaction (KIP-447): members are checked, others are let in. */
void groups_commit_txn(struct request *req, const struct group_committer *who,
                       struct commit_txn_offsets *c, request_submitted *done) ON(NET);

struct group_view {
    enum error_code err;
    struct slice id;
    const char *state;
    struct slice protocol_type;
    struct slice protocol_name;
    struct group_view_member *members;
    int32_t members_count;
    bool exists;
    bool is_consumer; /* of the consumer protocol: groups_describe() does not show it */
};

struct group_view_member {
    struct slice id;
    struct slice instance_id; /* nullable */
    struct slice client_id;
    struct slice client_host;
    struct slice metadata;
    struct slice assignment;
};

struct consumer_view_member {
    struct slice id;
    struct slice instance_id; /* nullable, as rack */
    struct slice rack;
    struct slice client_id;
    struct slice client_host;
    struct slice regex;
    struct slice *topics;
    int32_t topics_count;
    int32_t epoch;
    bool is_classic;               /* it is of the classic protocol, in a group that moves */
    struct partition_set assigned; /* in the arena: not to be freed or changed */
    struct partition_set target;
};

struct consumer_view {
    enum error_code err;
    const char *state;
    int32_t epoch;
    int32_t assignment_epoch;
    struct slice assignor;
    struct consumer_view_member *members;
    int32_t members_count;
};

/* A group of the consumer protocol, all of it in the arena; ERR_GROUP_ID_NOT_FOUND for others. */
struct consumer_view groups_describe_consumer(struct node *node, struct slice id,
                                              struct arena *arena);

/* All of it in the arena. A group that does not exist is Dead. */
struct group_view groups_describe(struct node *node, struct slice id, struct arena *arena);
/* The groups that this node coordinates, without their members. */
enum error_code groups_list(struct node *node, struct arena *arena, struct group_view **views,
                            int *count) MUST_CHECK;

/* Delete a group without members, with all its offsets; done() gets the outcome. */
void groups_delete(struct request *req, struct slice id, request_submitted *done, void *arg)
    ON(NET);

/* Delete offsets of topics that no member is subscribed to: ERR_GROUP_SUBSCRIBED_TO_TOPIC for the
 * others, in errors[], by partition. done() gets the outcome of all. */
void groups_delete_offsets(struct request *req, struct delete_offsets *c, int16_t *errors,
                           request_submitted *done) ON(NET);
