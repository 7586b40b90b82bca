/*
 * What a fuzz target gives: a function that takes any bytes, and one that makes a good input to
 * mutate. With clang and FUZZ=ON libFuzzer drives them (libfuzzer.c); else replay.c does.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/buffer.h"
#include "proto/base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Append a valid input. */
void fuzz_generate(struct rng *rng, struct buffer *out);
