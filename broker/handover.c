/* Draining. */
#include "broker/handover.h"

#include <unistd.h>

#include "broker/node.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define DRAIN_MS 1000
#define LOOK_US  1000

bool handover_began(const struct node *n)
{
    return atomic_load(&n->handing_over);
}

static bool has_successor(struct node *n)
{
    struct image *img = quorum_image(n->quorum);
    bool found = false;
    for (int i = 0; img != NULL && i < img->brokers_count; i++)
        found = found || (img->brokers[i]->node_id != n->id && !img->brokers[i]->fenced);
    image_unref(img);
    return found;
}

/* Whoever found the flag not set is done appending when its partition was looked at. */
static void count_open(void *arg, struct replica *r)
{
    int *open = arg;
    mutex_lock(&r->lock);
    *open += r->partition != NULL && !partition_is_replicated(r->partition);
    mutex_unlock(&r->lock);
}

void handover_begin(struct node *n)
{
    if (!node_has_lease(n) || !has_successor(n))
        return;
    int64_t began_ms = clock_monotonic_ms();
    atomic_store(&n->handing_over, true);
    for (;;) {
        int open = 0;
        replicas_each(n->replicas, count_open, &open);
        if (open == 0)
            break;
        if (clock_monotonic_ms() - began_ms >= DRAIN_MS) {
            LOG_WARN("followers have not fetched all in time, handing over anyway",
                     "partitions=%d waited_ms=%d", open, DRAIN_MS);
            break;
        }
        usleep(LOOK_US);
    }
    LOG_INFO("followers have all, handing over", "waited_ms=%ld",
             (long)(clock_monotonic_ms() - began_ms));
}
