/*
 * The two clocks. Timers, sessions and lags use the monotonic one; only record timestamps,
 * retention and what people read use the wall clock. Pure modules take now_ms instead of calling
 * these.
 */
#pragma once

#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_wall_ms(void);
