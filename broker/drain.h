/*
 * millrace cluster drain: ask a node of the cluster (the one whose configuration this is) to have a
 * broker give everything away, and watch until it is unregistered.
 */
#pragma once

#include "broker/config.h"

/* Prints how far it is. 0, or -errno with a line on standard error. The controller goes on with
 * what was begun when this process ends; a second call watches again. */
int drain_run(const struct config *c, int32_t node_id, bool cancel) MUST_CHECK;
