/*
 * What a quota measures: units (bytes) a second over sliding windows, as Apache Kafka's, whose
 * quota.window.num and quota.window.size.seconds are 11 and 1 by default. A client may use up about
 * ten seconds of its quota at once before it is slowed down.
 *
 * Pure; times are of one clock that does not go back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_WINDOWS   11
#define QUOTA_WINDOW_MS 1000

struct quota_rate {
    int64_t window_ms[QUOTA_WINDOWS]; /* when each began; 0: unused */
    double units[QUOTA_WINDOWS];
    int current;
};

void quota_rate_record(struct quota_rate *r, double units, int64_t now_ms);
/* How long to wait until the rate is within `limit` units a second; 0: it is. */
int64_t quota_rate_throttle_ms(struct quota_rate *r, double limit, int64_t now_ms);
/* Nothing in it counts any more. */
bool quota_rate_is_idle(const struct quota_rate *r, int64_t now_ms);
