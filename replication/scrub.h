/*
 * Scrubbing: are the batches of cold segments still what was written? Pure, but for the reading.
 *
 * A damaged replica goes on serving what it has until another one can take its place: it asks to
 * leave the ISR, by which a leader hands its leadership over; when the metadata says so, its folder
 * is set aside and everything is fetched anew from the leader (replica_start_over()). So damage is
 * healed only while another member of the ISR has a copy; until then it is told and kept.
 */
#pragma once

#include "replication/segment.h"

struct scrub_view {
    int32_t node_id;
    int32_t leader; /* -1: none */
    const int32_t *isr;
    int isr_count;
    int replicas_count;
    int min_insync_replicas;
    int64_t since_report_ms; /* since it last asked, INT64_MAX: never */
};

/* Shall a damaged replica ask to leave the ISR now? Not while it is the last one that has the
 * records; and rather than leave fewer than min.insync.replicas, it waits for the others to come
 * back. */
bool scrub_may_leave(const struct scrub_view *view);

/* Microseconds to pause so that `bytes` take as long as the rate wants. */
int64_t scrub_pause_us(int64_t bytes, int64_t elapsed_us, int64_t bytes_per_second);

struct scrub_reading {
    int64_t position;        /* of the next batch; of the damaged one with -EBADMSG */
    int64_t expected_offset; /* it begins there, or above */
    struct buffer chunk;
};

/* Check the batches of [reading->position, end) of a pinned segment, about as many as fit in a
 * chunk. 1: go on; 0: the end; -EBADMSG: a batch is damaged; -errno. No lock. */
int scrub_step(struct segment *seg, struct scrub_reading *reading, int64_t end) MUST_CHECK;
