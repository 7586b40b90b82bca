/* Who seems dead since when. */
#include "broker/suspects.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "proto/base/thread.h"
#include "proto/base/vec.h"

struct suspect {
    int32_t node_id;
    int64_t noted_ms;
};

struct suspects {
    struct mutex lock;
    VEC(struct suspect) list; /* guarded by lock */
    _Atomic size_t count;     /* of the list */
};

struct suspects *suspects_new(void)
{
    struct suspects *s = mem_zalloc(sizeof(*s));
    mutex_init(&s->lock);
    return s;
}

void suspects_free(struct suspects *s)
{
    if (s == NULL)
        return;
    vec_deinit(&s->list);
    mutex_deinit(&s->lock);
    free(s);
}

static void drop(struct suspects *s, int32_t node_id)
{
    for (size_t i = s->list.count; i-- > 0;) {
        if (s->list.items[i].node_id == node_id)
            vec_remove(&s->list, i);
    }
}

void suspects_note(struct suspects *s, int32_t node_id, int64_t now_ms)
{
    mutex_lock(&s->lock);
    drop(s, node_id);
    vec_push(&s->list, ((struct suspect){node_id, now_ms}));
    atomic_store(&s->count, s->list.count);
    mutex_unlock(&s->lock);
}

void suspects_clear(struct suspects *s, int32_t node_id)
{
    if (atomic_load(&s->count) == 0)
        return;
    mutex_lock(&s->lock);
    drop(s, node_id);
    atomic_store(&s->count, s->list.count);
    mutex_unlock(&s->lock);
}

void suspects_list(struct suspects *s, int64_t now_ms, struct suspected *out)
{
    out->count = 0;
    if (atomic_load(&s->count) == 0)
        return;
    mutex_lock(&s->lock);
    FOR_EACH (one, s->list.items, s->list.count)
        if (now_ms - one->noted_ms < SUSPECT_MS && out->count < SUSPECTS_MAX)
            out->ids[out->count++] = one->node_id;
    mutex_unlock(&s->lock);
}
