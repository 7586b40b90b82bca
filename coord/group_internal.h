/* Members and protocols of a classic group: for group_*.c only. */
#pragma once

#include "coord/group_classic.h"

#define GROUP_MEMBERS(m, g) LIST_FOR_EACH (m, &(g)->members, struct group_member, link)

/* Owned copies: free() through group_slice_free(). */
struct slice group_slice_copy(struct slice s);
void group_slice_free(struct slice *s);
void group_slice_set(struct slice *s, struct slice value); /* value may lie in *s */

/* "prefix-uuid" */
struct slice group_new_id(struct slice prefix, const struct uuid *unique, struct arena *arena);

/* A member that is not in the group yet. */
struct group_member *group_member_new(struct slice id, const struct group_join *in);
void group_member_update(struct group_member *m, const struct group_join *in);
void group_member_add(struct group_classic *g, struct group_member *m);
/* Takes it out and frees it; its tokens must have been answered. */
void group_member_remove(struct group_classic *g, struct group_member *m);
struct group_member *group_member_find_instance(const struct group_classic *g,
                                                struct slice instance_id);
bool group_member_matches(const struct group_member *m, const struct group_join *in);

/* Pending ids: -1, or where it stands. */
int group_pending_find(const struct group_classic *g, struct slice id);
void group_pending_remove(struct group_classic *g, int at);

/* Could a member with these protocols be in the group? */
bool group_protocols_fit(const struct group_classic *g, const struct group_join *in);
/* The protocol that all support and most prefer; the group has members. */
struct slice group_protocol_select(const struct group_classic *g);

/* --- Answers (group_classic.c) --- */

struct group_reply *group_reply_add(struct group_effects *fx, enum group_reply_kind kind,
                                    void **token, enum error_code err);
void group_refuse_join(struct group_effects *fx, void *token, enum error_code err,
                       struct slice member_id);
/* What waits of a member gets an error. */
void group_tokens_fail(struct group_member *m, enum error_code err, struct group_effects *fx);
/* The present generation, as the answer to the member's join. */
void group_reply_joined(const struct group_classic *g, struct group_member *m, struct slice leader,
                        struct group_effects *fx);
void group_reply_synced(const struct group_classic *g, struct group_member *m,
                        struct group_effects *fx);
/* Returns the number of the write. */
uint64_t group_persist(struct group_classic *g, struct group_effects *fx);

/* --- Rebalancing (group_classic.c) --- */

int32_t group_joined_count(const struct group_classic *g);
/* Begin one, or end it where nothing is waited for any more. */
void group_rebalance(struct group_classic *g, int64_t now_ms, struct group_effects *fx);
void group_sync_reset(struct group_classic *g, enum error_code err, struct group_effects *fx);

/* --- Who may speak (group_classic.c) --- */

enum error_code group_member_check(const struct group_classic *g, struct slice id,
                                   struct slice instance_id,
                                   struct group_member **member) MUST_CHECK;
void group_member_alive(struct group_member *m, int64_t now_ms);
/* Out; group_classic_left() follows. */
void group_member_drop(struct group_classic *g, struct group_member *m, enum error_code err,
                       struct group_effects *fx);
