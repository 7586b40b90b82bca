/* What a seed is like. Every seed leaves some faults out and draws the rates of the others (swarm
 * testing): a fault that never stops hides what needs a quiet moment. */
#include <stdio.h>

#include "tests/sim/sim.h"

static const struct {
    const char *name;
    int often_ms, seldom_ms; /* range of the mean time between two */
    int percent;             /* of the seeds that have it */
} faults[FAULT_KINDS] = {
    [FAULT_CRASH] = {"crash", 300, 2500, 70},
    [FAULT_CRASH_INSIDE] = {"crash_inside", 300, 2500, 60},
    [FAULT_POWER] = {"power", 1500, 5000, 40},
    [FAULT_WIPE] = {"wipe", 400, 2500, 35},
    [FAULT_PAUSE] = {"pause", 400, 2500, 60},
    [FAULT_STOP] = {"stop", 500, 3000, 40},
    [FAULT_CUT] = {"cut", 200, 2000, 65},
    [FAULT_STALL] = {"stall", 200, 2000, 60},
    [FAULT_FULL] = {"full", 800, 4000, 25},
    [FAULT_SYNC] = {"sync", 600, 4000, 35},
    [FAULT_CONTROLLER] = {"controller", 600, 3000, 50},
    [FAULT_ELECT] = {"elect", 120, 1500, 70},
    [FAULT_MIN_ISR] = {"min_isr", 500, 3000, 25},
    [FAULT_DELETE] = {"delete", 500, 3000, 30},
};

static int between(struct rng *r, int low, int high)
{
    return low + (int)rng_below(r, (uint64_t)(high - low + 1));
}

static bool percent(struct rng *r, int chance)
{
    return (int)rng_below(r, 100) < chance;
}

/* Where replicas lose what they had, what is promised is to survive min.insync.replicas - 1
 * restarts that were not clean, until that replica is in sync again: no faults that strike several
 * nodes. */
static void settle(struct plan *p)
{
    bool lossy = p->write_caching || p->every_ms[FAULT_WIPE] > 0;
    if (!lossy)
        return;
    p->min_isr = 2;
    p->every_ms[FAULT_MIN_ISR] = p->every_ms[FAULT_POWER] = p->every_ms[FAULT_SYNC] = 0;
}

void plan_draw(struct plan *p, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed * 7919 + 17);
    *p = (struct plan){.nodes = percent(&r, 80) ? 3 : 4,
                       .min_isr = percent(&r, 70) ? 2 : 1,
                       .window = between(&r, 1, WINDOW_MAX),
                       .write_caching = percent(&r, 15),
                       .session_ms = between(&r, 300, 1800),
                       .lag_ms = between(&r, 150, 900),
                       .flush_ms = percent(&r, 70) ? 4 : between(&r, 10, 120),
                       .provoke_percent = percent(&r, 60) ? between(&r, 2, 15) : 0,
                       .loss_percent = percent(&r, 60) ? between(&r, 1, 8) : 0,
                       .late_percent = percent(&r, 70) ? between(&r, 1, 10) : 0,
                       .late_ms = between(&r, 100, 2000)};
    for (int i = 0; i < FAULT_KINDS; i++) {
        if (percent(&r, faults[i].percent))
            p->every_ms[i] = between(&r, faults[i].often_ms, faults[i].seldom_ms);
    }
    settle(p);
}

void plan_print(const struct plan *p)
{
    printf("plan: nodes=%d min_isr=%d window=%d write_caching=%d session_ms=%lld lag_ms=%lld "
           "flush_ms=%lld provoke=%d%% loss=%d%% late=%d%% late_ms=%d",
           p->nodes, p->min_isr, p->window, p->write_caching, (long long)p->session_ms,
           (long long)p->lag_ms, (long long)p->flush_ms, p->provoke_percent, p->loss_percent,
           p->late_percent, p->late_ms);
    for (int i = 0; i < FAULT_KINDS; i++)
        if (p->every_ms[i] > 0)
            printf(" %s=%d", faults[i].name, p->every_ms[i]);
    printf("\n");
}
