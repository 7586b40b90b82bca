/* Who left when. */
#include "broker/departures.h"

#include <stdlib.h>

#include "proto/base/thread.h"
#include "proto/base/vec.h"

struct departure {
    int32_t node_id;
    bool active;     /* in the last image */
    bool left;       /* was active before, and has not been since */
    int64_t left_ms; /* when that was seen */
};

struct departures {
    struct mutex lock;
    VEC(struct departure) list; /* guarded by lock */
};

struct departures *departures_new(void)
{
    struct departures *d = mem_zalloc(sizeof(*d));
    mutex_init(&d->lock);
    return d;
}

void departures_free(struct departures *d)
{
    if (d == NULL)
        return;
    vec_deinit(&d->list);
    mutex_deinit(&d->lock);
    free(d);
}

static struct departure *find(struct departures *d, int32_t node_id)
{
    FOR_EACH (one, d->list.items, d->list.count)
        if (one->node_id == node_id)
            return one;
    return NULL;
}

void departures_note(struct departures *d, const struct image *img, int64_t now_ms)
{
    mutex_lock(&d->lock);
    for (int i = 0; i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        struct departure *one = find(d, b->node_id);
        if (one == NULL) {
            vec_push(&d->list, ((struct departure){.node_id = b->node_id}));
            one = &d->list.items[d->list.count - 1];
        }
        if (one->active && b->fenced) {
            one->left = true;
            one->left_ms = now_ms;
        }
        one->left = one->left && b->fenced;
        one->active = !b->fenced;
    }
    mutex_unlock(&d->lock);
}

bool departures_recent(struct departures *d, int32_t node_id, int64_t now_ms)
{
    mutex_lock(&d->lock);
    const struct departure *one = find(d, node_id);
    bool recent = one != NULL && one->left && now_ms - one->left_ms < DEPARTURE_LISTED_MS;
    mutex_unlock(&d->lock);
    return recent;
}
