/*
 * Read your writes (design 5): the answer to a change of the metadata goes out when every live
 * broker has taken the change over, so that the client's next request to any of them sees it.
 */
#pragma once

#include "broker/request.h"

struct node;
struct barrier;
struct client;

int barrier_start(struct node *node) MUST_CHECK;
void barrier_stop(struct node *node);

/* The thread's connection to another broker, at the address that it is registered with now; NULL:
 * none can be. */
struct client *barrier_peer(struct node *node, struct net_thread *thread,
                            const struct image_broker *b) ON(NET);
/* The same for a question of this request. */
struct client *barrier_client(struct request *req, const struct image_broker *b) ON(NET);

/* Call `ready` once all unfenced brokers, this one included, have the newest image of this node
 * in force: their partitions have the roles it gives them. A broker that does not answer holds
 * it up for a bounded time only. The request must not be parked otherwise. */
void request_when_everywhere(struct request *req, void (*ready)(struct request *req)) ON(NET);
