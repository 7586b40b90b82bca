/*
 * The state machine's state as an SQLite database: metadata.db, the same rows on every node,
 * readable with the sqlite3 shell while the node runs.
 *
 * The Raft log and its snapshots are the truth. The file is made anew at every start
 * (synchronous=OFF, WAL) and follows the log: one transaction a log entry. On a full disk it waits
 * for room; any other SQLite error while applying stops the process, because a node that skipped a
 * row would differ from the others for ever.
 *
 * The writer belongs to the QUORUM thread. Readers on any thread borrow a read-only connection from
 * a pool.
 */
#pragma once

#include "coord/metadata.h"
#include "coord/quorum.h"
#include "proto/base/thread.h"

struct state;

extern const char state_schema[]; /* state_schema.c */

/* Creates path anew. 0 or -EIO, logged. disk_full(arg), NULL for none: see struct
 * quorum_callbacks. */
int state_open(const char *path, void (*disk_full)(void *arg), void *arg,
               struct state **out) MUST_CHECK;
/* Any thread: do not wait for room any more, but stop the process. NULL is fine. */
void state_give_up(struct state *s);
void state_close(struct state *s); /* NULL is fine */

/* One log entry's changes; img is the view after it. */
void state_apply(struct state *s, int64_t index, const struct changes *changes,
                 const struct image *img);

/* A state machine with everything that is in the database (after state_restore). */
struct metadata *state_load(struct state *s);
/* The last sequence of this submitter's stream with its stored results; -1: none. */
int64_t state_find_stream(struct state *s, int32_t node_id, struct uuid incarnation,
                          struct arena *arena, struct slice *results);

/* Snapshots (snapshot.c). A pin holds the database as it is now; any thread may encode and free it.
 */
struct state_pin;
struct state_pin *state_pin(struct state *s);
/* Serialized and compressed, raft_malloc()ed size padded to 8. */
void state_pin_encode(struct state_pin *pin, void **data, size_t *size);
void state_pin_free(struct state_pin *pin);
/* Replace the database's content. 0, -EBADMSG when the bytes are no snapshot. */
int state_restore(struct state *s, struct slice snapshot) MUST_CHECK;

/* Reads for quorum_read_*(); any thread. 0 or -EIO. */
int state_read_offsets(struct state *s, struct slice group, struct arena *arena,
                       struct committed_offset **out, int *count) MUST_CHECK;
int state_read_offset(struct state *s, struct slice group, struct slice topic, int32_t partition,
                      struct arena *arena, struct committed_offset *out) MUST_CHECK;
int state_read_group(struct state *s, struct slice group, struct arena *arena,
                     struct slice *blob) MUST_CHECK;
int state_read_pending_offsets(struct state *s, struct slice group, struct arena *arena,
                               struct committed_offset **out, int *count) MUST_CHECK;
int state_read_txn(struct state *s, struct slice id, struct arena *arena,
                   struct slice *blob) MUST_CHECK;
int state_list_txns(struct state *s, int state_min, int state_max, struct arena *arena,
                    struct stored_txn **out, int *count) MUST_CHECK;
int state_list_groups(struct state *s, struct arena *arena, struct slice **ids,
                      int *count) MUST_CHECK;
