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
struct request;
struct wiring;

int wiring_start(struct node *node) MUST_CHECK;
void wiring_stop(struct node *node);

/* For quorum_callbacks.published; QUORUM thread. */
void wiring_published(struct wiring *w, struct image *img);
/* Run fn(req, arg) on the request's thread, as request_resume() does, once the roles of the
 * image with `index` are taken over here. NET. */
void wiring_await(struct wiring *w, int64_t index, struct request *req,
                  void (*fn)(struct request *req, void *arg), void *arg);
/* The image whose roles are taken over, a reference; NULL before the first. What Metadata tells is
 * in force here already. Any thread. */
struct image *wiring_image(struct wiring *w);
/* The index of the image whose roles are taken over, -1 before the first; any thread. */
int64_t wiring_index(const struct wiring *w);

/* Whether this broker was fenced so lately that Metadata still lists it; any thread. */
bool wiring_left_lately(struct wiring *w, int32_t node_id);

/* For replicas_callbacks.propose_isr; any thread. */
void wiring_propose_isr(struct wiring *w, const struct isr_proposal *proposal);
/* For replicas_callbacks.replica_failed; any thread. */
void wiring_replica_failed(struct wiring *w, struct uuid topic_id, int32_t partition, bool serves);
