/* Looking up host names. */
#include "broker/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Owned by two: the looking thread and the one that waits for it; the last one frees it. A look-up
 * may take many seconds, so a node that stops does not wait for it. */
struct resolve {
    struct mutex lock;
    int refs;                  /* guarded by lock */
    struct net_thread *thread; /* guarded by lock; NULL: cancelled */
    char *host;
    int32_t port;
    resolve_done *done;
    void *arg;
    int err;
    struct addresses found;
};

static void collect(const struct addrinfo *list, struct addresses *out)
{
    out->count = 0;
    for (const struct addrinfo *ai = list; ai != NULL && out->count < ADDRESSES_MAX;
         ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof(out->items[0]))
            continue;
        memcpy(&out->items[out->count], ai->ai_addr, ai->ai_addrlen);
        out->sizes[out->count++] = ai->ai_addrlen;
    }
}

static int look_up(const char *host, int32_t port, int flags, struct addresses *out)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    out->count = 0;
    if (getaddrinfo(host, text, &hints, &list) != 0)
        return -EHOSTUNREACH;
    collect(list, out);
    freeaddrinfo(list);
    return out->count > 0 ? 0 : -EHOSTUNREACH;
}

bool resolve_numeric(const char *host, int32_t port, struct addresses *out)
{
    return look_up(host, port, AI_NUMERICHOST, out) == 0;
}

static void resolve_unref(struct resolve *r)
{
    mutex_lock(&r->lock);
    bool last = --r->refs == 0;
    mutex_unlock(&r->lock);
    if (!last)
        return;
    mutex_deinit(&r->lock);
    free(r->host);
    free(r);
}

static void found(void *arg)
{
    thread_assert(&NET);
    struct resolve *r = arg;
    mutex_lock(&r->lock);
    bool cancelled = r->thread == NULL;
    mutex_unlock(&r->lock);
    if (!cancelled) {
        r->done(r->arg, r->err, &r->found);
        resolve_unref(r); /* the waiting one's */
    }
    resolve_unref(r);
}

static void look_up_run(void *arg)
{
    struct resolve *r = arg;
    r->err = look_up(r->host, r->port, AI_ADDRCONFIG, &r->found);
    mutex_lock(&r->lock);
    bool cancelled = r->thread == NULL;
    if (!cancelled)
        net_call(r->thread, found, r); /* its thread runs as long as nobody cancelled */
    mutex_unlock(&r->lock);
    if (cancelled)
        resolve_unref(r);
}

struct resolve *resolve_start(struct net_thread *thread, const char *host, int32_t port,
                              resolve_done *done, void *arg)
{
    struct resolve *r = mem_zalloc(sizeof(*r));
    *r = (struct resolve){.refs = 2,
                          .thread = thread,
                          .host = mem_strdup(host),
                          .port = port,
                          .done = done,
                          .arg = arg};
    mutex_init(&r->lock);
    pthread_t looking;
    int rc = thread_start(&looking, &BACKGROUND, "resolve", look_up_run, r);
    if (rc == 0) {
        pthread_detach(looking);
    } else {
        r->err = rc;
        net_call(thread, found, r);
    }
    return r;
}

void resolve_cancel(struct resolve *r)
{
    if (r == NULL)
        return;
    mutex_lock(&r->lock);
    r->thread = NULL;
    mutex_unlock(&r->lock);
    resolve_unref(r);
}
