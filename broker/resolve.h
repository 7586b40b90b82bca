/*
 * Host names to addresses without holding up a network thread: an address in figures is parsed at
 * once, a name is looked up by a short-lived thread, the way the system is set up to (hosts, DNS).
 */
#pragma once

#include <sys/socket.h>

#include "broker/net.h"

#define ADDRESSES_MAX 8 /* of one name; what is beyond is not tried */

struct addresses {
    struct sockaddr_storage items[ADDRESSES_MAX];
    socklen_t sizes[ADDRESSES_MAX];
    int count;
};

/* false: the host is a name. */
bool resolve_numeric(const char *host, int32_t port, struct addresses *out) MUST_CHECK;

struct resolve;
/* err: 0 or -errno; once, on the thread that started it, never from inside resolve_start(). */
typedef void resolve_done(void *arg, int err, const struct addresses *found);

struct resolve *resolve_start(struct net_thread *thread, const char *host, int32_t port,
                              resolve_done *done, void *arg) ON(NET);
/* `done` will not be called; NULL is fine. */
void resolve_cancel(struct resolve *r) ON(NET);
