/*
 * Metadata down, proposals up: the thread that turns each new image into roles of this node's
 * replicas and fetchers, and ISR proposals into commands.
 *
 * One BACKGROUND thread, since opening and deleting logs blocks; it takes the newest image and
 * skips the ones in between: topics shared by two images did not change.
 */
#pragma once

#include "coord/quorum.h"
#include "replication/replicas.h"

struct node;
struct wiring;

int wiring_start(struct node *node) MUST_CHECK;
void wiring_stop(struct node *node);

/* For quorum_callbacks.published; QUORUM thread. */
void wiring_published(struct wiring *w, struct image *img);
/* For replicas_callbacks.propose_isr; any thread. */
void wiring_propose_isr(struct wiring *w, const struct isr_proposal *proposal);
