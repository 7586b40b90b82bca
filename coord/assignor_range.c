/* The range assignor: static members first, so that a restart under a new id changes nothing. */
#include "coord/assignor.h"

assignor *assignor_find(struct slice name)
{
    if (slice_equals_text(name, "uniform"))
        return assign_uniform;
    return slice_equals_text(name, "range") ? assign_range : NULL;
}

static int compare_members(const void *a, const void *b)
{
    const struct assignor_member *x = *(struct assignor_member *const *)a;
    const struct assignor_member *y = *(struct assignor_member *const *)b;
    bool x_static = !slice_is_null(x->instance_id), y_static = !slice_is_null(y->instance_id);
    if (x_static != y_static)
        return x_static ? -1 : 1;
    return x_static ? slice_compare(x->instance_id, y->instance_id) : slice_compare(x->id, y->id);
}

void assign_range(struct assignor_group *g)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct assignor_member **order =
        arena_need(&arena, ((size_t)g->members_count + 1) * sizeof(struct assignor_member *));
    int32_t *takers = arena_need(&arena, ((size_t)g->topics_count + 1) * sizeof(*takers));
    int32_t *next = arena_need(&arena, ((size_t)g->topics_count + 1) * sizeof(*next));
    int32_t *served = arena_need(&arena, ((size_t)g->topics_count + 1) * sizeof(*served));
    for (int32_t i = 0; i < g->members_count; i++)
        order[i] = &g->members[i];
    qsort(order, (size_t)g->members_count, sizeof(struct assignor_member *), compare_members);
    FOR_EACH (m, g->members, g->members_count) {
        FOR_EACH (t, m->topics, m->topics_count)
            takers[*t]++;
    }
    for (int32_t i = 0; i < g->members_count; i++) {
        struct assignor_member *m = order[i];
        FOR_EACH (t, m->topics, m->topics_count) {
            const struct image_topic *topic = g->topics[*t];
            int32_t size = topic->partitions_count / takers[*t] +
                           (served[*t]++ < topic->partitions_count % takers[*t]);
            for (int32_t p = 0; p < size; p++)
                partition_set_push(&m->out, topic->id, next[*t]++, 0);
        }
        partition_set_sort(&m->out);
    }
    arena_deinit(&arena);
}
