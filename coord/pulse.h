/*
 * Does a node that believes to lead the quorum lead it surely? Not after it stood still: others may
 * have elected somebody else meanwhile, and it hears of that only when it reads its sockets. So the
 * loop notes each of its turns, and after one that came late the leader is unsure of itself until
 * an entry that it proposed afterwards is committed.
 *
 * Pure. The owner's thread calls all but pulse_is_sure(), which any thread may ask.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pulse {
    int64_t still_ms_max; /* constant: longer between two turns, and it stood still */
    uint64_t stalls;      /* how often it is that it lost its certainty */
    _Atomic bool sure;
    _Atomic int64_t turned_ms;
};

/* What a quorum's loop may do between two turns, by the quorum's settings: a third of an election.
 * libraft looks at its timers every half heartbeat, which is no standing still. */
int64_t pulse_still_ms_max(int64_t election_timeout_ms, int64_t heartbeat_ms);
void pulse_init(struct pulse *p, int64_t still_ms_max, int64_t now_ms);
/* A turn of the loop. */
void pulse_turn(struct pulse *p, bool leads, int64_t now_ms);
/* What was proposed when `stalls` was this number is committed. */
void pulse_confirmed(struct pulse *p, uint64_t stalls);
/* The loop is alive, and leads since before it last stood still. */
bool pulse_is_sure(const struct pulse *p, int64_t now_ms);
