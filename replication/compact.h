/*
 * Compaction: of every key only the newest record stays (cleanup.policy=compact), as Apache Kafka's
 * log cleaner does it.
 *
 *   [ clean ............ | dirty ......... | too young, open transactions | active )
 *   0             cleaned_offset      uncleanable                            log end
 *
 *   1. map    the dirty part is read once: newest offset of each key, as many as fit in the map
 *   2. clean  all segments below the map's end are written anew, in groups of about segment.bytes,
 *             without superseded records, old tombstones, aborted data, markers of nothing
 *   3. swap   a group's new segment takes the place of its old ones
 *
 * Kept although empty: the batch with a live producer's last sequence, and the last batch of each
 * new segment, so that segments still meet without a gap.
 *
 * Files: the new segment is <base>.log.cleaned and so on, synced; then the file
 * compaction-checkpoint says that it counts (base, end, has aborted transactions); then old files
 * are removed and the new ones renamed. A crash before that file came leaves the old segments, one
 * after it is finished by compact_finish_swap() when the log is opened.
 *
 * The partition's lock is held where said, else not: closed segments do not change, and a swap
 * checks that they are still the log's.
 */
#pragma once

#include "replication/log.h"

#define COMPACT_SWAP_FILE "compaction-checkpoint"

struct compaction; /* one round over one log */

struct compact_options {
    size_t map_bytes_max;     /* log.cleaner.dedupe.buffer.size */
    double map_load_max;      /* log.cleaner.io.buffer.load.factor */
    int64_t bytes_per_second; /* log.cleaner.io.max.bytes.per.second, 0: no bound */
    bool (*stop)(void *arg);  /* asked now and then: give up? */
    void *arg;
};

struct compact_stats {
    int64_t bytes_read;
    int64_t bytes_written;
    int64_t records_read;
    int64_t records_kept;
};

/* Lock held. Share of dirty bytes; -1: nothing to do. high_watermark: nothing at or above it is
 * touched. */
double log_dirty_ratio(struct log *log, int64_t now_ms, int64_t high_watermark);

/* Lock held. Plan a round, regardless of the ratio; NULL: nothing to do. One round a log at a time.
 * Owned: compaction_end(). */
struct compaction *compaction_begin(struct log *log, const struct compact_options *options,
                                    int64_t now_ms, int64_t high_watermark);
/* No lock. Build the map. 0; -ECANCELED; -EBADMSG: the log is damaged; -errno. */
int compaction_map(struct compaction *c) MUST_CHECK;
/* No lock. Write the next group's new segment. 1: swap it now; 0: no group is left; -errno. */
int compaction_clean(struct compaction *c) MUST_CHECK;
/* Lock held; `log` must be open still. ERR_NONE also when the log changed meanwhile and the round
 * is given up. */
enum error_code compaction_swap(struct compaction *c, struct log *log) MUST_CHECK;
/* Lock held if log is not NULL (NULL: it was closed meanwhile). Notes how far the log is clean if
 * the round went to its end. */
void compaction_end(struct compaction *c, struct log *log, struct compact_stats *stats);

/* Before a log folder is listed: finish what COMPACT_SWAP_FILE says. 0 or -errno. */
int compact_finish_swap(const struct fs *fs, const char *dir) MUST_CHECK;
