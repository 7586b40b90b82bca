/* The settings of brokers, groups, clients and features in an image. */
#include "coord/image_resources.h"

#include <stdio.h>
#include <stdlib.h>

#include "coord/image_internal.h"
#include "proto/base/check.h"
#include "proto/base/vec.h"

struct image_resources *image_resources_ref(struct image_resources *rs)
{
    if (rs != NULL)
        atomic_fetch_add_explicit(&rs->refs, 1, memory_order_relaxed);
    return rs;
}

static void resource_deinit(struct image_resource *r)
{
    slice_free(r->name);
    configs_free(r->configs, r->configs_count);
}

void image_resources_unref(struct image_resources *rs)
{
    if (rs == NULL || atomic_fetch_sub_explicit(&rs->refs, 1, memory_order_acq_rel) > 1)
        return;
    FOR_EACH (r, rs->items, rs->count)
        resource_deinit(r);
    free(rs->items);
    free(rs);
}

/* Where it is, or where it belongs. */
static int position(const struct image_resources *rs, int8_t kind, struct slice name)
{
    int low = 0;
    int high = rs != NULL ? rs->count : 0;
    while (low < high) {
        int middle = (low + high) / 2;
        const struct image_resource *r = &rs->items[middle];
        if (r->kind < kind || (r->kind == kind && slice_compare(r->name, name) < 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct image_resources *rs, int at, int8_t kind, struct slice name)
{
    return rs != NULL && at < rs->count && rs->items[at].kind == kind &&
           slice_equal(rs->items[at].name, name);
}

const struct image_resource *image_find_resource(const struct image *img, int8_t kind,
                                                 struct slice name)
{
    int at = position(img->resources, kind, name);
    return is_at(img->resources, at, kind, name) ? &img->resources->items[at] : NULL;
}

struct slice image_resource_config(const struct image *img, int8_t kind, struct slice name,
                                   struct slice config)
{
    const struct image_resource *r = image_find_resource(img, kind, name);
    return r != NULL ? configs_find(r->configs, r->configs_count, config) : SLICE_NULL;
}

struct slice image_broker_config(const struct image *img, int32_t node_id, struct slice config)
{
    char name[16];
    if (img->resources == NULL)
        return SLICE_NULL;
    snprintf(name, sizeof(name), "%d", node_id);
    return image_resource_config(img, RESOURCE_BROKER, slice_from_text(name), config);
}

/* A list that only this image holds. */
static struct image_resources *own(struct image *img)
{
    struct image_resources *old = img->resources;
    if (old != NULL && atomic_load_explicit(&old->refs, memory_order_acquire) == 1)
        return old;
    struct image_resources *copy = mem_zalloc(sizeof(*copy));
    atomic_init(&copy->refs, 1);
    int count = old != NULL ? old->count : 0;
    copy->items = mem_alloc((size_t)(count + 1) * sizeof(*copy->items));
    copy->count = count;
    for (int i = 0; i < count; i++) {
        const struct image_resource *from = &old->items[i];
        copy->items[i] = (struct image_resource){
            .kind = from->kind,
            .name = slice_dup(from->name),
            .configs = configs_copy(from->configs, from->configs_count),
            .configs_count = from->configs_count,
        };
    }
    image_resources_unref(old);
    img->resources = copy;
    return copy;
}

static void insert(struct image_resources *rs, int at, struct image_resource r)
{
    rs->items = mem_realloc(rs->items, (size_t)(rs->count + 1) * sizeof(*rs->items));
    memmove(rs->items + at + 1, rs->items + at, (size_t)(rs->count - at) * sizeof(*rs->items));
    rs->items[at] = r;
    rs->count++;
}

void image_put_resource(struct image *img, int8_t kind, struct slice name,
                        struct image_config *configs, int configs_count)
{
    struct image_resources *rs = own(img);
    int at = position(rs, kind, name);
    bool there = is_at(rs, at, kind, name);
    if (configs_count > 0) {
        struct image_resource r = {kind, slice_dup(name), configs, configs_count};
        if (!there) {
            insert(rs, at, r);
            return;
        }
        resource_deinit(&rs->items[at]);
        rs->items[at] = r;
        return;
    }
    configs_free(configs, configs_count);
    if (!there)
        return;
    resource_deinit(&rs->items[at]);
    rs->count--;
    memmove(rs->items + at, rs->items + at + 1, (size_t)(rs->count - at) * sizeof(*rs->items));
}
