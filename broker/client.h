/*
 * An outgoing Kafka connection to another broker: requests pipelined, answers matched in order.
 *
 * Lives on one NET thread. It connects at the first send, and again at the first send after it
 * broke.
 */
#pragma once

#include "broker/net.h"
#include "proto/api.h"

struct client;

/* response: NULL when err != 0 (-errno; -ECONNREFUSED: nobody listens there; -ETIMEDOUT). Borrowed
 * for the call. */
typedef void client_answered(void *arg, int err, const void *response);

struct client *client_new(struct net_thread *thread, const char *host, int32_t port,
                          const char *client_id) ON(NET);
/* Outstanding callbacks get -ECANCELED. */
void client_free(struct client *c) ON(NET);
/* lost(): a connection without outstanding requests broke. */
void client_on_lost(struct client *c, void (*lost)(void *arg), void *arg) ON(NET);
bool client_is(const struct client *c, const char *host, int32_t port);

/* Encode and send; `answered` is called once, on this thread, never from inside this call. */
void client_send(struct client *c, int16_t api_key, int16_t version, const void *message,
                 int64_t timeout_ms, client_answered *answered, void *arg) ON(NET);
