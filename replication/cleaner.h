/*
 * The cleaner thread: compacts the node's logs, the dirtiest first, one at a time.
 *
 * Lock order: a partition's lock only, and not while records are read and written.
 */
#pragma once

#include "replication/compact.h"

struct replicas;
struct cleaner;

struct cleaner_options {
    bool enabled;             /* log.cleaner.enable */
    int64_t backoff_ms;       /* log.cleaner.backoff.ms: between two looks when there is nothing */
    size_t map_bytes_max;     /* log.cleaner.dedupe.buffer.size */
    int64_t bytes_per_second; /* log.cleaner.io.max.bytes.per.second, 0: no bound */
};

/* Owned: cleaner_stop(). NULL when it is not enabled. */
struct cleaner *cleaner_start(struct replicas *rs, const struct cleaner_options *options);
/* Gives up what is under way and waits for the thread. NULL is fine. */
void cleaner_stop(struct cleaner *cleaner);
