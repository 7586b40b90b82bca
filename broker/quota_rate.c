/* Rates over sliding windows. */
#include "broker/quota_rate.h"

#include "proto/base/check.h"

static void expire(struct quota_rate *r, int64_t now_ms)
{
    for (int i = 0; i < QUOTA_WINDOWS; i++)
        if (r->window_ms[i] != 0 && now_ms - r->window_ms[i] >= QUOTA_WINDOWS * QUOTA_WINDOW_MS) {
            r->window_ms[i] = 0;
            r->units[i] = 0;
        }
}

void quota_rate_record(struct quota_rate *r, double units, int64_t now_ms)
{
    expire(r, now_ms);
    if (r->window_ms[r->current] == 0 || now_ms - r->window_ms[r->current] >= QUOTA_WINDOW_MS) {
        r->current = (r->current + 1) % QUOTA_WINDOWS;
        r->window_ms[r->current] = now_ms;
        r->units[r->current] = 0;
    }
    r->units[r->current] += units;
}

int64_t quota_rate_throttle_ms(struct quota_rate *r, double limit, int64_t now_ms)
{
    double total = 0;
    int64_t oldest_ms = now_ms;
    expire(r, now_ms);
    for (int i = 0; i < QUOTA_WINDOWS; i++) {
        total += r->units[i];
        if (r->window_ms[i] != 0)
            oldest_ms = MIN(oldest_ms, r->window_ms[i]);
    }
    /* A client that has just come counts as one that was silent before. */
    int64_t elapsed_ms = now_ms - oldest_ms;
    int64_t whole = elapsed_ms / QUOTA_WINDOW_MS;
    if (whole < QUOTA_WINDOWS - 1)
        elapsed_ms += (QUOTA_WINDOWS - 1 - whole) * QUOTA_WINDOW_MS;
    double excess = total * 1000 / (double)elapsed_ms - limit;
    return excess <= 0 ? 0 : (int64_t)(excess / limit * (double)elapsed_ms + 0.5);
}

bool quota_rate_is_idle(const struct quota_rate *r, int64_t now_ms)
{
    for (int i = 0; i < QUOTA_WINDOWS; i++)
        if (r->window_ms[i] != 0 && now_ms - r->window_ms[i] < QUOTA_WINDOWS * QUOTA_WINDOW_MS)
            return false;
    return true;
}
