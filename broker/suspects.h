/*
 * Brokers whose process seems to have died a moment ago: a connection to them broke, or nobody
 * listens there. Only a guess of this node, long before the controller has decided, and forgotten
 * when the broker answers again: it makes Metadata wait for the new leaders, so that a client that
 * asks in this moment, as all of the dead leader's do, does not take the old one for alive.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SUSPECT_MS   2000 /* then it is forgotten, whatever became of it */
#define SUSPECTS_MAX 16   /* told at a time; who has more waits for none of the others */

struct suspects;

struct suspects *suspects_new(void);
void suspects_free(struct suspects *s);

/* Any thread, all of them. */
void suspects_note(struct suspects *s, int32_t node_id, int64_t now_ms);
void suspects_clear(struct suspects *s, int32_t node_id);

struct suspected {
    int32_t ids[SUSPECTS_MAX];
    int count;
};
/* Those of now; cheap when there are none. */
void suspects_list(struct suspects *s, int64_t now_ms, struct suspected *out);
