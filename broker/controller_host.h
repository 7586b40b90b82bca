/*
 * The active controller's sessions, hosted: coord/controller.h under a lock, with its clock tick,
 * its proposals handed to the quorum, and its probes of brokers whose connection broke.
 */
#pragma once

#include "broker/request.h"
#include "coord/quorum.h"

struct node;
struct controller_host;
struct controller_hello;
struct controller_answer;

int controller_host_start(struct node *node) MUST_CHECK;
void controller_host_stop(struct node *node);

/* For quorum_callbacks.status_changed; any thread. */
void controller_host_status(struct node *node, const struct quorum_status *status);

/* A broker's hello, on any NET thread. ERR_NOT_CONTROLLER in the answer when this node does not
 * lead. */
void controller_host_hello(struct node *node, const struct controller_hello *hello,
                           struct controller_answer *answer);
/* The connection that hellos came on is gone; any NET thread. */
void controller_host_connection_lost(struct node *node, uint64_t connection);
