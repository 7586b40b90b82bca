/* Parts of a group of the consumer protocol: for group_consumer*.c only. */
#pragma once

#include "coord/group_consumer.h"
#include "coord/group_internal.h"

/* An answer that waits for a write. */
struct consumer_answer {
    struct list link; /* in the order of their numbers */
    uint64_t number;
    enum group_reply_kind kind;
    void *token;
    struct slice member_id;
    int32_t epoch;
    int32_t heartbeat_ms;
    bool has_assignment;
    struct partition_set assignment;
    /* of the classic protocol */
    struct slice protocol_type;
    struct slice protocol_name;
    struct slice bytes;
};

/* --- Members (group_consumer_members.c) --- */

struct consumer_member *consumer_member_new(struct slice id);
struct consumer_member *consumer_member_create(struct group_consumer *g, struct slice id);
/* A static member under a new id: it goes on where the old one was; that one is freed. */
struct consumer_member *consumer_member_replace(struct group_consumer *g,
                                                struct consumer_member *old, struct slice id);
/* Everything but id and epochs. */
struct consumer_member *consumer_member_clone(const struct consumer_member *m, struct slice id);
void consumer_member_add(struct group_consumer *g, struct consumer_member *m);
void consumer_member_remove(struct group_consumer *g, struct consumer_member *m);
struct consumer_member *consumer_member_find_instance(const struct group_consumer *g,
                                                      struct slice instance_id);
/* What a heartbeat says of the member. true: it wants other topics than before. */
bool consumer_member_update(struct group_consumer *g, struct consumer_member *m,
                            const struct consumer_heartbeat *in);
bool consumer_names_have(const struct consumer_names *names, struct slice name);
void consumer_names_free(struct consumer_names *names);
/* Sorts and copies. */
void consumer_names_set(struct consumer_names *names, const struct slice *items, int32_t count);

/* --- Assignment (group_consumer_assign.c) --- */

/* Does the member want this topic? */
bool consumer_member_wants(const struct group_consumer *g, const struct consumer_member *m,
                           struct slice topic);
/* Begin a new epoch when asked to, or when the topics that the members want are others than they
 * were. */
void consumer_epoch_follow(struct group_consumer *g, bool bump, const struct consumer_event *event);
/* Make a new assignment when the epoch has none and its time has come. */
void consumer_assign(struct group_consumer *g, const struct consumer_event *event);

uint64_t consumer_hash(uint64_t hash, const void *data, size_t size);

/* --- Regular expressions (group_consumer_regex.c) --- */

/* ERR_INVALID_REGULAR_EXPRESSION with a sentence in text. An empty one is none. */
enum error_code consumer_regex_check(const struct group_consumer *g, struct slice pattern,
                                     char text[240]) MUST_CHECK;
/* Match the members' expressions with the topics that there are, where it is not done. */
void consumer_regexes_follow(struct group_consumer *g, const struct image *img);
bool consumer_regex_is_resolved(const struct group_consumer *g, const struct consumer_member *m);
const struct consumer_names *consumer_regex_topics(const struct group_consumer *g,
                                                   const struct consumer_member *m);
void consumer_regexes_free(struct group_consumer *g);

/* --- Reconciliation (group_consumer_reconcile.c) --- */

/* Bring the member closer to its target. owned NULL: it did not say what it has. */
void consumer_reconcile(struct group_consumer *g, struct consumer_member *m,
                        const struct partition_set *owned, const struct consumer_event *event);
bool consumer_member_is_reconciled(const struct group_consumer *g, const struct consumer_member *m);

/* --- Classic members (group_consumer_classic.c) --- */

void consumer_classic_set(struct consumer_member *m, int32_t session_ms,
                          const struct group_protocol *protocols, int32_t count);
/* It is of the consumer protocol (again). */
void consumer_classic_clear(struct consumer_member *m);
int32_t consumer_classic_count(const struct group_consumer *g);

/* --- Answers and writes (group_consumer_answers.c) --- */

void consumer_answer_heartbeat(struct group_consumer *g, void *token,
                               const struct consumer_member *m, bool assignment);
void consumer_answer_left(struct group_consumer *g, const struct consumer_heartbeat *in);
void consumer_answer_join(struct group_consumer *g, void *token, const struct consumer_member *m);
void consumer_answer_sync(struct group_consumer *g, const struct group_sync *in,
                          struct slice assignment);
/* The group is a classic one from now on: who left has left, all others ask again. */
void consumer_answers_end(struct group_consumer *g, struct group_effects *fx);
void consumer_answers_free(struct group_consumer *g);

void consumer_refuse(struct group_effects *fx, void *token, enum error_code err, const char *text);
void consumer_flush(struct group_consumer *g, struct group_effects *fx);
