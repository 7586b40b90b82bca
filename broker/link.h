/*
 * This node's line to the active controller: the hello (registration and heartbeat in one), and the
 * batches of metadata commands that the quorum asks to have carried there.
 *
 * All on network thread 0; status changes and forwards come from the QUORUM thread through its
 * inbox.
 */
#pragma once

#include "coord/quorum.h"

struct node;
struct link;

struct link *link_start(struct node *node);
void link_stop(struct link *l);

/* For quorum_callbacks; any thread. */
void link_status_changed(struct link *l);
void link_forward(struct link *l, int64_t sequence, struct slice batch);

/* Ask for controlled shutdown; true: the controller let us go. False: timeout_ms passed, or no
 * controller answered for a while. Not on NET. */
bool link_controlled_shutdown(struct link *l, int64_t timeout_ms) MUST_CHECK;
