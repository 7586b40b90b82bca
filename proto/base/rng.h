/*
 * Random numbers: a seeded stream for decisions that a simulation must be able to repeat, and the
 * system's generator for ids.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/slice.h"

struct rng {
    uint64_t state;
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);

/* From the operating system; aborts when it has none. */
void rng_system_bytes(void *out, size_t size);
/* A random (version 4) id, never zero. */
struct uuid rng_system_uuid(void);
