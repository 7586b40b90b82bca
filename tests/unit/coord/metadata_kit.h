/*
 * What the tests of the state machine share: a cluster in a few calls.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coord/image_internal.h"
#include "coord/metadata.h"

struct kit {
    struct metadata *m;
    struct arena arena; /* of the last apply */
    struct changes changes;
    struct command_results results;
    int64_t index;
    int64_t sequence;
};

static inline void kit_init(struct kit *k)
{
    *k = (struct kit){.m = metadata_new()};
    arena_init(&k->arena, 0);
}

static inline void kit_deinit(struct kit *k)
{
    metadata_free(k->m);
    arena_deinit(&k->arena);
    vec_deinit(&k->changes.list);
    vec_deinit(&k->results.list);
}

static inline struct uuid kit_uuid(uint8_t kind, int32_t n)
{
    struct uuid id = {{kind}};
    memcpy(id.bytes + 12, &n, 4);
    return id;
}

/* Apply one entry made of one batch. */
static inline void kit_batch(struct kit *k, const struct command_batch *batch)
{
    struct buffer bytes = {0};
    struct buffer entry = {0};
    command_batch_encode(&bytes, batch);
    struct slice slice = buffer_slice(&bytes);
    assert_int_equal(command_batch_check(slice), ERR_NONE);
    command_entry_encode(&entry, &slice, 1);
    arena_deinit(&k->arena);
    vec_clear(&k->changes.list);
    vec_clear(&k->results.list);
    struct slice kept = arena_copy(&k->arena, buffer_slice(&entry));
    metadata_apply(k->m, ++k->index, kept, &k->arena, &k->changes, &k->results);
    assert_int_equal(k->results.list.count, batch->commands_count);
    buffer_deinit(&bytes);
    buffer_deinit(&entry);
}

/* Takes the command's bytes; returns its error code. The result's value: kit_value(). */
static inline enum error_code kit_run(struct kit *k, struct buffer *command)
{
    struct slice one = buffer_slice(command);
    struct command_batch batch = {.node_id = 99,
                                  .incarnation = kit_uuid('t', 1),
                                  .sequence = k->sequence++,
                                  .commands = &one,
                                  .commands_count = 1};
    kit_batch(k, &batch);
    buffer_deinit(command);
    return k->results.list.items[0].error_code;
}

#define KIT_RUN(k, name, ...)                                                                      \
    ({                                                                                             \
        struct buffer bytes_ = {0};                                                                \
        command_encode_##name(&bytes_, __VA_ARGS__);                                               \
        kit_run(k, &bytes_);                                                                       \
    })

static inline struct slice kit_value(const struct kit *k)
{
    return k->results.list.items[0].value;
}

static inline const struct image *kit_image(struct kit *k)
{
    struct image *img = metadata_image(k->m);
    image_unref(img); /* the state machine keeps it until the next apply */
    return img;
}

static inline enum error_code kit_register(struct kit *k, int32_t node_id, int32_t life,
                                           int64_t clean_epoch, const char *rack)
{
    struct image_endpoint endpoint = {SLICE("PLAINTEXT"), SLICE("localhost"), 9090 + node_id, 0};
    struct register_broker r = {.node_id = node_id,
                                .incarnation = kit_uuid('b', life * 1000 + node_id),
                                .clean_epoch = clean_epoch,
                                .rack = slice_from_text(rack),
                                .endpoints = &endpoint,
                                .endpoints_count = 1};
    return KIT_RUN(k, register_broker, &r);
}

static inline struct broker_change kit_broker(int32_t node_id)
{
    return (struct broker_change){.node_id = node_id, .broker_epoch = -1};
}

#define KIT_FENCE(k, id)    KIT_RUN(k, fence_broker, &(struct broker_change){id, -1})
#define KIT_UNFENCE(k, id)  KIT_RUN(k, unfence_broker, &(struct broker_change){id, -1})
#define KIT_SHUTDOWN(k, id) KIT_RUN(k, shutdown_broker, &(struct broker_change){id, -1})

/* Brokers 1..count, registered and unfenced. */
static inline void kit_brokers(struct kit *k, int32_t count)
{
    for (int32_t id = 1; id <= count; id++) {
        assert_int_equal(kit_register(k, id, 1, -1, NULL), ERR_NONE);
        assert_int_equal(KIT_UNFENCE(k, id), ERR_NONE);
    }
}

static inline enum error_code kit_topic(struct kit *k, const char *name, int32_t partitions,
                                        int16_t factor)
{
    struct create_topic c = {.name = slice_from_text(name),
                             .topic_id = kit_uuid('T', (int32_t)k->index + 1),
                             .partitions = partitions,
                             .replication_factor = factor};
    return KIT_RUN(k, create_topic, &c);
}

/* Partition 0 of `name` on these replicas, with this min.insync.replicas. */
static inline enum error_code kit_topic_on(struct kit *k, const char *name, const char *min_isr,
                                           const int32_t *replicas, int count)
{
    int32_t ids[8];
    memcpy(ids, replicas, (size_t)count * sizeof(*ids));
    struct command_assignment assignment = {0, ids, count};
    struct image_config config = {SLICE("min.insync.replicas"), slice_from_text(min_isr)};
    struct create_topic c = {.name = slice_from_text(name),
                             .topic_id = kit_uuid('T', (int32_t)k->index + 1),
                             .partitions = -1,
                             .replication_factor = -1,
                             .assignments = &assignment,
                             .assignments_count = 1,
                             .configs = &config,
                             .configs_count = 1};
    return KIT_RUN(k, create_topic, &c);
}

static inline const struct image_partition *kit_partition(struct kit *k, const char *topic,
                                                          int32_t index)
{
    const struct image_topic *t = image_find_topic(kit_image(k), slice_from_text(topic));
    assert_non_null(t);
    const struct image_partition *p = image_find_partition(t, index);
    assert_non_null(p);
    return p;
}

/* The leader's proposal with the epochs as they are. */
static inline enum error_code kit_isr(struct kit *k, const char *topic, const int32_t *isr,
                                      int count)
{
    const struct image_topic *t = image_find_topic(kit_image(k), slice_from_text(topic));
    const struct image_partition *p = &t->partitions[0];
    struct command_isr_member members[8];
    for (int i = 0; i < count; i++)
        members[i] = (struct command_isr_member){isr[i], -1};
    const struct image_broker *leader = image_find_broker(kit_image(k), p->leader);
    struct alter_partition c = {.node_id = p->leader,
                                .broker_epoch = leader != NULL ? leader->epoch : -1,
                                .topic_id = t->id,
                                .partition = 0,
                                .leader_epoch = p->leader_epoch,
                                .partition_epoch = p->partition_epoch,
                                .isr = members,
                                .isr_count = count};
    return KIT_RUN(k, alter_partition, &c);
}

#define IDS(...)   ((const int32_t[]){__VA_ARGS__})
#define COUNT(...) ((int)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))
#define assert_ids(ids, count, ...)                                                                \
    do {                                                                                           \
        assert_int_equal(count, COUNT(__VA_ARGS__));                                               \
        for (int i_ = 0; i_ < (count); i_++)                                                       \
            assert_int_equal((ids)[i_], IDS(__VA_ARGS__)[i_]);                                     \
    } while (0)
