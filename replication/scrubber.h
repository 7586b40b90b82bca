/*
 * The scrubber thread: reads the node's closed segments again and again, slowly, and sees to it
 * that damaged replicas are fetched anew (scrub.h).
 *
 * What it reads comes through the page cache, and is not kept there. Lock: a partition's only, and
 * not while it reads.
 */
#pragma once

#include <stdint.h>

struct replicas;
struct scrubber;

struct scrubber_options {
    int64_t bytes_per_second; /* log.scrub.bytes.per.second, 0: no scrubbing */
    int64_t interval_ms;      /* log.scrub.interval.ms: between two readings of a segment */
};

/* Owned: scrubber_stop(). NULL when it is not enabled. */
struct scrubber *scrubber_start(struct replicas *rs, const struct scrubber_options *options);
/* NULL is fine. */
void scrubber_stop(struct scrubber *s);
