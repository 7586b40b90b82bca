/* Sets of partitions as sorted arrays: every operation is one walk over both. */
#include "coord/partition_set.h"

static int compare(const struct set_partition *a, const struct set_partition *b)
{
    int order = memcmp(a->topic.bytes, b->topic.bytes, sizeof(a->topic.bytes));
    if (order != 0)
        return order;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int compare_items(const void *a, const void *b)
{
    return compare(a, b);
}

void partition_set_deinit(struct partition_set *set)
{
    vec_deinit(set);
}

void partition_set_push(struct partition_set *set, struct uuid topic, int32_t index, int32_t epoch)
{
    vec_push(set, ((struct set_partition){topic, index, epoch}));
}

void partition_set_sort(struct partition_set *set)
{
    size_t count = 0;
    if (set->count == 0)
        return;
    qsort(set->items, set->count, sizeof(*set->items), compare_items);
    for (size_t i = 0; i < set->count; i++)
        if (i == 0 || compare(&set->items[i], &set->items[count - 1]) != 0)
            set->items[count++] = set->items[i];
    set->count = count;
}

const struct set_partition *partition_set_find(const struct partition_set *set, struct uuid topic,
                                               int32_t index)
{
    struct set_partition key = {topic, index, 0};
    if (set->count == 0)
        return NULL;
    return bsearch(&key, set->items, set->count, sizeof(key), compare_items);
}

size_t partition_set_topic_end(const struct partition_set *set, size_t from)
{
    size_t end = from;
    while (end < set->count && uuid_equal(set->items[end].topic, set->items[from].topic))
        end++;
    return end;
}

bool partition_set_equal(const struct partition_set *a, const struct partition_set *b)
{
    return a->count == b->count && partition_set_contains(a, b);
}

bool partition_set_contains(const struct partition_set *set, const struct partition_set *part)
{
    size_t i = 0;
    FOR_EACH (p, part->items, part->count) {
        while (i < set->count && compare(&set->items[i], p) < 0)
            i++;
        if (i == set->count || compare(&set->items[i], p) != 0)
            return false;
    }
    return true;
}

bool partition_set_intersects(const struct partition_set *a, const struct partition_set *b)
{
    size_t i = 0;
    FOR_EACH (p, b->items, b->count) {
        while (i < a->count && compare(&a->items[i], p) < 0)
            i++;
        if (i < a->count && compare(&a->items[i], p) == 0)
            return true;
    }
    return false;
}

void partition_set_copy(struct partition_set *to, const struct partition_set *from)
{
    vec_clear(to);
    FOR_EACH (p, from->items, from->count)
        vec_push(to, *p);
}

static void filter(struct partition_set *set, const struct partition_set *by, bool keep)
{
    size_t i = 0, count = 0;
    FOR_EACH (p, set->items, set->count) {
        while (i < by->count && compare(&by->items[i], p) < 0)
            i++;
        bool found = i < by->count && compare(&by->items[i], p) == 0;
        if (found == keep)
            set->items[count++] = *p;
    }
    set->count = count;
}

void partition_set_keep(struct partition_set *set, const struct partition_set *only)
{
    filter(set, only, true);
}

void partition_set_drop(struct partition_set *set, const struct partition_set *what)
{
    filter(set, what, false);
}

void partition_set_add(struct partition_set *set, const struct partition_set *more)
{
    struct partition_set all = {0};
    size_t i = 0;
    FOR_EACH (p, more->items, more->count) {
        while (i < set->count && compare(&set->items[i], p) < 0)
            vec_push(&all, set->items[i++]);
        if (i == set->count || compare(&set->items[i], p) != 0)
            vec_push(&all, *p);
    }
    while (i < set->count)
        vec_push(&all, set->items[i++]);
    partition_set_move(set, &all);
}

void partition_set_move(struct partition_set *to, struct partition_set *from)
{
    vec_deinit(to);
    *to = *from;
    *from = (struct partition_set){0};
}
