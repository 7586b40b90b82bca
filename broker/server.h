/*
 * The listeners of this node and the sockets they accept.
 */
#pragma once

#include "broker/conn.h"

struct listener;
struct server;

/* Bind every client listener. 0, or -errno with the reason logged (port taken). */
int server_bind(struct node *node) MUST_CHECK;
/* Begin to accept: once the node can serve. */
void server_accept(struct node *node);
/* Stop accepting and close every connection. */
void server_stop(struct node *node);
/* A socket that the quorum's port accepted for us (Kafka's protocol on the CONTROLLER listener).
 * Any thread. */
void server_adopt(struct node *node, int fd);

const char *listener_name(const struct listener *l);
/* The port that the listener is bound to (differs from the configuration when that said 0). */
int32_t listener_port(const struct listener *l);
/* The advertised address, or NULL when none is set. */
const struct listener_address *listener_advertised(const struct node *node, const char *name);
const struct listener *server_listener(const struct node *node, int index);
