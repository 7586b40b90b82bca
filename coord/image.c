/* The immutable metadata view: lookups, counted sharing, and the builder's copies. */
#include "coord/image.h"

#include <stdlib.h>

#include "coord/image_internal.h"
#include "coord/image_resources.h"
#include "proto/base/check.h"
#include "proto/base/map.h"
#include "proto/base/thread.h"
#include "proto/base/vec.h"

/* All but the count, their first member, which others change meanwhile. */
#define COPY_BEHIND_REFS(to, from)                                                                 \
    memcpy((char *)(to) + sizeof((to)->refs), (const char *)(from) + sizeof((from)->refs),         \
           sizeof(*(to)) - sizeof((to)->refs))

struct slice slice_dup(struct slice s)
{
    if (slice_is_null(s))
        return SLICE_NULL;
    uint8_t *copy = mem_alloc(s.size);
    if (s.size > 0)
        memcpy(copy, s.data, s.size);
    return slice_of(copy, s.size);
}

void slice_free(struct slice s)
{
    free((void *)s.data);
}

bool ids_contain(const int32_t *ids, int count, int32_t id)
{
    for (int i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Whether the holder of one reference is the only one. Others can only give references back. */
static bool refs_exclusive(atomic_int *refs)
{
    return atomic_load_explicit(refs, memory_order_acquire) == 1;
}

static bool refs_drop(atomic_int *refs)
{
    int before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    return before == 1;
}

static void refs_take(atomic_int *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* Settings */

/* Where `name` is, or where it belongs. */
static int configs_position(const struct image_config *configs, int count, struct slice name)
{
    int low = 0;
    int high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (slice_compare(configs[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct slice configs_find(const struct image_config *configs, int count, struct slice name)
{
    int at = configs_position(configs, count, name);
    return at < count && slice_equal(configs[at].name, name) ? configs[at].value : SLICE_NULL;
}

void configs_put(struct image_config **configs, int *count, struct slice name, struct slice value)
{
    int at = configs_position(*configs, *count, name);
    struct image_config *list = *configs;
    bool found = at < *count && slice_equal(list[at].name, name);
    if (found && slice_is_null(value)) {
        slice_free(list[at].name);
        slice_free(list[at].value);
        memmove(list + at, list + at + 1, (size_t)(*count - at - 1) * sizeof(*list));
        (*count)--;
    } else if (found) {
        struct slice old = list[at].value;
        list[at].value = slice_dup(value);
        slice_free(old);
    } else if (!slice_is_null(value)) {
        list = mem_realloc(list, (size_t)(*count + 1) * sizeof(*list));
        memmove(list + at + 1, list + at, (size_t)(*count - at) * sizeof(*list));
        list[at] = (struct image_config){slice_dup(name), slice_dup(value)};
        (*count)++;
        *configs = list;
    }
}

struct image_config *configs_copy(const struct image_config *configs, int count)
{
    if (count == 0)
        return NULL;
    struct image_config *copy = mem_alloc((size_t)count * sizeof(*copy));
    for (int i = 0; i < count; i++)
        copy[i] = (struct image_config){slice_dup(configs[i].name), slice_dup(configs[i].value)};
    return copy;
}

void configs_free(struct image_config *configs, int count)
{
    FOR_EACH (config, configs, count) {
        slice_free(config->name);
        slice_free(config->value);
    }
    free(configs);
}

/* Brokers */

struct image_broker *image_broker_copy(const struct image_broker *b)
{
    struct image_broker *copy = mem_alloc(sizeof(*copy));
    COPY_BEHIND_REFS(copy, b);
    atomic_init(&copy->refs, 1);
    copy->rack = slice_dup(b->rack);
    size_t size = (size_t)b->endpoints_count * sizeof(*b->endpoints);
    copy->endpoints = mem_alloc(size);
    for (int i = 0; i < b->endpoints_count; i++) {
        copy->endpoints[i] = b->endpoints[i];
        copy->endpoints[i].listener = slice_dup(b->endpoints[i].listener);
        copy->endpoints[i].host = slice_dup(b->endpoints[i].host);
    }
    return copy;
}

void image_broker_unref(struct image_broker *b)
{
    if (!refs_drop(&b->refs))
        return;
    FOR_EACH (endpoint, b->endpoints, b->endpoints_count) {
        slice_free(endpoint->listener);
        slice_free(endpoint->host);
    }
    free(b->endpoints);
    slice_free(b->rack);
    free(b);
}

/* Topics */

struct image_topic *image_topic_new(struct slice name, struct uuid id, int32_t partitions_count)
{
    struct image_topic *topic = mem_zalloc(sizeof(*topic));
    atomic_init(&topic->refs, 1);
    topic->name = slice_dup(name);
    topic->id = id;
    image_topic_grow(topic, partitions_count);
    return topic;
}

void image_topic_grow(struct image_topic *topic, int32_t count)
{
    CHECK(count >= topic->partitions_count);
    topic->partitions = mem_realloc(topic->partitions, (size_t)count * sizeof(*topic->partitions));
    memset(topic->partitions + topic->partitions_count, 0,
           (size_t)(count - topic->partitions_count) * sizeof(*topic->partitions));
    topic->partitions_count = count;
}

void image_partition_init(struct image_partition *p, const int32_t *replicas, int count)
{
    int32_t *room = mem_zalloc((size_t)count * 5 * sizeof(*room));
    *p = (struct image_partition){.leader = -1,
                                  .replicas = room,
                                  .replicas_count = count,
                                  .isr = room + count,
                                  .elr = room + 2 * count,
                                  .adding = room + 3 * count,
                                  .removing = room + 4 * count};
    if (count > 0)
        memcpy(room, replicas, (size_t)count * sizeof(*room));
}

/* Those of `from` that are replicas. */
static void members_copy(const struct image_partition *p, int32_t *to, int *to_count,
                         const int32_t *from, int count)
{
    *to_count = 0;
    for (int i = 0; i < count; i++) {
        if (ids_contain(p->replicas, p->replicas_count, from[i]))
            to[(*to_count)++] = from[i];
    }
}

void image_partition_assign(struct image_partition *p, const int32_t *replicas, int count)
{
    struct image_partition old = *p;
    image_partition_init(p, replicas, count);
    p->leader = old.leader;
    p->leader_epoch = old.leader_epoch;
    p->partition_epoch = old.partition_epoch;
    members_copy(p, p->isr, &p->isr_count, old.isr, old.isr_count);
    members_copy(p, p->elr, &p->elr_count, old.elr, old.elr_count);
    free(old.replicas);
}

static void partition_copy(struct image_partition *to, const struct image_partition *from)
{
    image_partition_init(to, from->replicas, from->replicas_count);
    to->leader = from->leader;
    to->leader_epoch = from->leader_epoch;
    to->partition_epoch = from->partition_epoch;
    members_copy(to, to->isr, &to->isr_count, from->isr, from->isr_count);
    members_copy(to, to->elr, &to->elr_count, from->elr, from->elr_count);
    members_copy(to, to->adding, &to->adding_count, from->adding, from->adding_count);
    members_copy(to, to->removing, &to->removing_count, from->removing, from->removing_count);
}

struct image_topic *image_topic_copy(const struct image_topic *topic)
{
    struct image_topic *copy = image_topic_new(topic->name, topic->id, topic->partitions_count);
    for (int32_t i = 0; i < topic->partitions_count; i++)
        partition_copy(&copy->partitions[i], &topic->partitions[i]);
    copy->configs = configs_copy(topic->configs, topic->configs_count);
    copy->configs_count = topic->configs_count;
    return copy;
}

void image_topic_unref(struct image_topic *topic)
{
    if (!refs_drop(&topic->refs))
        return;
    FOR_EACH (p, topic->partitions, topic->partitions_count)
        free(p->replicas);
    free(topic->partitions);
    configs_free(topic->configs, topic->configs_count);
    slice_free(topic->name);
    free(topic);
}

/* Images */

struct image *image_new(void)
{
    struct image *img = mem_zalloc(sizeof(*img));
    atomic_init(&img->refs, 1);
    FOR_EACH (slot, img->slots, COORDINATOR_SLOTS)
        slot->node_id = -1;
    return img;
}

static void *array_copy(const void *items, size_t count, size_t item_size)
{
    void *copy = mem_alloc(count * item_size);
    if (count > 0)
        memcpy(copy, items, count * item_size);
    return copy;
}

struct image *image_copy(const struct image *img)
{
    struct image *copy = mem_alloc(sizeof(*copy));
    COPY_BEHIND_REFS(copy, img);
    atomic_init(&copy->refs, 1);
    copy->cluster_id = slice_dup(img->cluster_id);
    copy->brokers = array_copy(img->brokers, (size_t)img->brokers_count, sizeof(*img->brokers));
    FOR_EACH (b, copy->brokers, copy->brokers_count)
        refs_take(&(*b)->refs);
    size_t topics = (size_t)img->topics_count;
    copy->topics = array_copy(img->topics, topics, sizeof(*img->topics));
    copy->topics_by_id = array_copy(img->topics_by_id, topics, sizeof(*img->topics_by_id));
    FOR_EACH (topic, copy->topics, copy->topics_count)
        refs_take(&(*topic)->refs);
    copy->broker_configs = configs_copy(img->broker_configs, img->broker_configs_count);
    copy->resources = image_resources_ref(img->resources);
    return copy;
}

struct image *image_own(struct image *img)
{
    if (refs_exclusive(&img->refs))
        return img;
    struct image *copy = image_copy(img);
    image_unref(img);
    return copy;
}

struct image *image_ref(struct image *img)
{
    refs_take(&img->refs);
    return img;
}

void image_unref(struct image *img)
{
    if (img == NULL || !refs_drop(&img->refs))
        return;
    FOR_EACH (b, img->brokers, img->brokers_count)
        image_broker_unref(*b);
    FOR_EACH (topic, img->topics, img->topics_count)
        image_topic_unref(*topic);
    free(img->brokers);
    free(img->topics);
    free(img->topics_by_id);
    configs_free(img->broker_configs, img->broker_configs_count);
    image_resources_unref(img->resources);
    slice_free(img->cluster_id);
    free(img);
}

static int broker_position(const struct image *img, int32_t node_id)
{
    int at = 0;
    while (at < img->brokers_count && img->brokers[at]->node_id < node_id)
        at++;
    return at;
}

static int32_t topic_position(const struct image *img, struct slice name)
{
    int32_t low = 0;
    int32_t high = img->topics_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (slice_compare(img->topics[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t topic_id_position(const struct image *img, struct uuid id)
{
    int32_t low = 0;
    int32_t high = img->topics_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (memcmp(img->topics_by_id[middle]->id.bytes, id.bytes, sizeof(id.bytes)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void image_put_broker(struct image *img, struct image_broker *b)
{
    int at = broker_position(img, b->node_id);
    if (at < img->brokers_count && img->brokers[at]->node_id == b->node_id) {
        image_broker_unref(img->brokers[at]);
    } else {
        size_t count = (size_t)img->brokers_count;
        img->brokers = mem_realloc(img->brokers, (count + 1) * sizeof(*img->brokers));
        memmove(img->brokers + at + 1, img->brokers + at,
                (count - (size_t)at) * sizeof(*img->brokers));
        img->brokers_count++;
    }
    img->brokers[at] = b;
}

void image_remove_broker(struct image *img, int32_t node_id)
{
    int at = broker_position(img, node_id);
    if (at == img->brokers_count || img->brokers[at]->node_id != node_id)
        return;
    image_broker_unref(img->brokers[at]);
    img->brokers_count--;
    memmove(img->brokers + at, img->brokers + at + 1,
            (size_t)(img->brokers_count - at) * sizeof(*img->brokers));
}

static void topics_insert(struct image_topic ***topics, int32_t count, int32_t at,
                          struct image_topic *topic)
{
    struct image_topic **list = mem_realloc(*topics, (size_t)(count + 1) * sizeof(*list));
    memmove(list + at + 1, list + at, (size_t)(count - at) * sizeof(*list));
    list[at] = topic;
    *topics = list;
}

void image_put_topic(struct image *img, struct image_topic *topic)
{
    int32_t by_name = topic_position(img, topic->name);
    int32_t by_id = topic_id_position(img, topic->id);
    if (by_id < img->topics_count && uuid_equal(img->topics_by_id[by_id]->id, topic->id)) {
        CHECK(img->topics[by_name] == img->topics_by_id[by_id]);
        image_topic_unref(img->topics[by_name]);
        img->topics[by_name] = topic;
        img->topics_by_id[by_id] = topic;
        return;
    }
    topics_insert(&img->topics, img->topics_count, by_name, topic);
    topics_insert(&img->topics_by_id, img->topics_count, by_id, topic);
    img->topics_count++;
}

void image_remove_topic(struct image *img, struct uuid id)
{
    int32_t by_id = topic_id_position(img, id);
    CHECK(by_id < img->topics_count && uuid_equal(img->topics_by_id[by_id]->id, id));
    struct image_topic *topic = img->topics_by_id[by_id];
    int32_t by_name = topic_position(img, topic->name);
    img->topics_count--;
    memmove(img->topics_by_id + by_id, img->topics_by_id + by_id + 1,
            (size_t)(img->topics_count - by_id) * sizeof(*img->topics));
    memmove(img->topics + by_name, img->topics + by_name + 1,
            (size_t)(img->topics_count - by_name) * sizeof(*img->topics));
    image_topic_unref(topic);
}

struct image_topic *image_edit_topic(struct image *img, struct uuid id)
{
    int32_t by_id = topic_id_position(img, id);
    CHECK(by_id < img->topics_count && uuid_equal(img->topics_by_id[by_id]->id, id));
    struct image_topic *topic = img->topics_by_id[by_id];
    if (refs_exclusive(&topic->refs))
        return topic;
    struct image_topic *copy = image_topic_copy(topic);
    image_put_topic(img, copy);
    return copy;
}

struct image_broker *image_edit_broker(struct image *img, int32_t node_id)
{
    int at = broker_position(img, node_id);
    CHECK(at < img->brokers_count && img->brokers[at]->node_id == node_id);
    if (!refs_exclusive(&img->brokers[at]->refs))
        image_put_broker(img, image_broker_copy(img->brokers[at]));
    return img->brokers[at];
}

/* Lookups */

const struct image_topic *image_find_topic(const struct image *img, struct slice name)
{
    int32_t at = topic_position(img, name);
    return at < img->topics_count && slice_equal(img->topics[at]->name, name) ? img->topics[at]
                                                                              : NULL;
}

const struct image_topic *image_find_topic_by_id(const struct image *img, struct uuid id)
{
    int32_t at = topic_id_position(img, id);
    return at < img->topics_count && uuid_equal(img->topics_by_id[at]->id, id)
               ? img->topics_by_id[at]
               : NULL;
}

const struct image_partition *image_find_partition(const struct image_topic *topic, int32_t index)
{
    return index >= 0 && index < topic->partitions_count ? &topic->partitions[index] : NULL;
}

const struct image_broker *image_find_broker(const struct image *img, int32_t node_id)
{
    int at = broker_position(img, node_id);
    return at < img->brokers_count && img->brokers[at]->node_id == node_id ? img->brokers[at]
                                                                           : NULL;
}

bool image_broker_active(const struct image *img, int32_t node_id)
{
    const struct image_broker *b = image_find_broker(img, node_id);
    return b != NULL && !b->fenced && !b->shutting_down;
}

const struct image_endpoint *image_find_endpoint(const struct image_broker *b,
                                                 struct slice listener)
{
    FOR_EACH (endpoint, b->endpoints, b->endpoints_count) {
        if (slice_equal(endpoint->listener, listener))
            return endpoint;
    }
    return NULL;
}

struct slice image_topic_config(const struct image_topic *topic, struct slice name)
{
    return configs_find(topic->configs, topic->configs_count, name);
}

struct slice image_cluster_config(const struct image *img, struct slice name)
{
    return configs_find(img->broker_configs, img->broker_configs_count, name);
}

int image_slot_of(struct slice id)
{
    return (int)(hash_bytes(id) % COORDINATOR_SLOTS);
}

/* The cell: a lock around the pointer and its reference count, held for a few instructions. */

struct image_cell {
    struct mutex lock;
    struct image *img; /* guarded by lock */
};

struct image_cell *image_cell_new(void)
{
    struct image_cell *cell = mem_zalloc(sizeof(*cell));
    mutex_init(&cell->lock);
    return cell;
}

void image_cell_free(struct image_cell *cell)
{
    if (cell == NULL)
        return;
    image_unref(cell->img);
    mutex_deinit(&cell->lock);
    free(cell);
}

struct image *image_cell_get(struct image_cell *cell)
{
    mutex_lock(&cell->lock);
    struct image *img = cell->img != NULL ? image_ref(cell->img) : NULL;
    mutex_unlock(&cell->lock);
    return img;
}

void image_cell_set(struct image_cell *cell, struct image *img)
{
    mutex_lock(&cell->lock);
    struct image *old = cell->img;
    cell->img = img;
    mutex_unlock(&cell->lock);
    image_unref(old);
}
