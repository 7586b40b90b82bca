/*
 *   subscription  [version] [topics] [data] 1+ [owned partitions] 2+ [generation] 3+ [rack]
 *   assignment    [version] [partitions by topic] [data]
 *
 * in Kafka's older encoding; what a newer version has behind is not read.
 */
#include "coord/group_embedded.h"

#include <errno.h>

#include "proto/wire.h"

#define STRING_WIRE_MIN     2
#define TOPIC_WIRE_MIN      6
#define PARTITION_WIRE_SIZE 4
#define VERSION_OWNED       1
#define VERSION_GENERATION  2
#define VERSION_RACK        3

static void get_partitions(struct wire_reader *r, const struct image *img,
                           struct partition_set *out)
{
    struct wire_item topic_item = {TOPIC_WIRE_MIN, 1}, item = {PARTITION_WIRE_SIZE, 1};
    int32_t topics = 0;
    (void)wire_get_array(r, false, false, topic_item, &topics);
    for (int32_t i = 0; i < topics && r->err == 0; i++) {
        const struct image_topic *topic = image_find_topic(img, wire_get_string(r, false, false));
        int32_t count = 0;
        (void)wire_get_array(r, false, false, item, &count);
        for (int32_t k = 0; k < count && r->err == 0; k++) {
            int32_t index = wire_get_i32(r);
            if (topic != NULL && index >= 0)
                partition_set_push(out, topic->id, index, 0);
        }
    }
}

int embedded_subscription_decode(struct slice metadata, const struct image *img,
                                 struct arena *arena, struct embedded_subscription *out)
{
    struct wire_reader r;
    struct wire_item item = {STRING_WIRE_MIN, sizeof(struct slice)};
    *out = (struct embedded_subscription){.rack = SLICE_NULL};
    wire_reader_init(&r, metadata, arena);
    out->version = wire_get_i16(&r);
    out->topics = wire_get_array(&r, false, false, item, &out->topics_count);
    for (int32_t i = 0; i < out->topics_count; i++)
        out->topics[i] = wire_get_string(&r, false, false);
    (void)wire_get_bytes(&r, false, true);
    if (out->version >= VERSION_OWNED)
        get_partitions(&r, img, &out->owned);
    if (out->version >= VERSION_GENERATION)
        (void)wire_get_i32(&r);
    if (out->version >= VERSION_RACK)
        out->rack = wire_get_string(&r, false, true);
    partition_set_sort(&out->owned);
    if (r.err == 0 && out->version >= 0)
        return 0;
    partition_set_deinit(&out->owned);
    *out = (struct embedded_subscription){.rack = SLICE_NULL};
    return -EBADMSG;
}

int embedded_assignment_decode(struct slice assignment, const struct image *img,
                               struct partition_set *out, bool *custom)
{
    struct arena arena;
    struct wire_reader r;
    *custom = false;
    if (assignment.size == 0)
        return 0; /* none was given out yet */
    arena_init(&arena, 0);
    wire_reader_init(&r, assignment, &arena);
    int16_t version = wire_get_i16(&r);
    get_partitions(&r, img, out);
    *custom = wire_get_bytes(&r, false, true).size > 0;
    arena_deinit(&arena);
    return r.err == 0 && version >= 0 ? 0 : -EBADMSG;
}

void embedded_assignment_encode(const struct partition_set *set, const struct image *img,
                                int16_t version, struct buffer *out)
{
    struct wire_writer w;
    int32_t topics = 0;
    for (size_t i = 0; i < set->count; i = partition_set_topic_end(set, i))
        topics += image_find_topic_by_id(img, set->items[i].topic) != NULL;
    wire_writer_init(&w, out);
    wire_put_i16(&w, version);
    wire_put_i32(&w, topics);
    for (size_t i = 0, end; i < set->count; i = end) {
        const struct image_topic *topic = image_find_topic_by_id(img, set->items[i].topic);
        end = partition_set_topic_end(set, i);
        if (topic == NULL)
            continue;
        wire_put_string(&w, false, false, topic->name);
        wire_put_i32(&w, (int32_t)(end - i));
        for (size_t k = i; k < end; k++)
            wire_put_i32(&w, set->items[k].index);
    }
    wire_put_bytes(&w, false, true, SLICE_NULL);
    wire_writer_deinit(&w);
}
