/* Certainty of a leader. */
#include "coord/pulse.h"

#include "proto/base/check.h"

int64_t pulse_still_ms_max(int64_t election_timeout_ms, int64_t heartbeat_ms)
{
    return MAX(election_timeout_ms / 3, heartbeat_ms * 3 / 4);
}

void pulse_init(struct pulse *p, int64_t still_ms_max, int64_t now_ms)
{
    *p = (struct pulse){.still_ms_max = still_ms_max};
    atomic_init(&p->sure, false);
    atomic_init(&p->turned_ms, now_ms);
}

void pulse_turn(struct pulse *p, bool leads, int64_t now_ms)
{
    if (!leads || now_ms - atomic_load(&p->turned_ms) > p->still_ms_max) {
        p->stalls++;
        atomic_store(&p->sure, false);
    }
    /* Last: who sees the new time sees what it did to the certainty, too. */
    atomic_store(&p->turned_ms, now_ms);
}

void pulse_confirmed(struct pulse *p, uint64_t stalls)
{
    if (stalls == p->stalls)
        atomic_store(&p->sure, true);
}

bool pulse_is_sure(const struct pulse *p, int64_t now_ms)
{
    /* The time first, for the same reason. */
    bool alive = now_ms - atomic_load(&p->turned_ms) <= p->still_ms_max;
    return alive && atomic_load(&p->sure);
}
