/* The state machine's frame: entries, batches, dispatch, repeats, loading, digest. */
#include "coord/metadata.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "coord/image_resources.h"
#include "coord/metadata_internal.h"
#include "proto/wire.h"

struct metadata *metadata_new(void)
{
    struct metadata *m = mem_zalloc(sizeof(*m));
    m->img = image_new();
    return m;
}

void metadata_free(struct metadata *m)
{
    if (m == NULL)
        return;
    FOR_EACH (stream, m->streams.items, m->streams.count)
        slice_free(stream->results);
    vec_deinit(&m->streams);
    metadata_txns_free(m);
    image_unref(m->img);
    free(m);
}

struct image *metadata_image(struct metadata *m)
{
    return image_ref(m->img);
}

int64_t metadata_next_producer_id(const struct metadata *m)
{
    return m->next_producer_id;
}

/* For the files of the state machine */

struct image *apply_image(struct apply *a)
{
    a->m->img = image_own(a->m->img);
    a->m->img->index = a->index;
    return a->m->img;
}

void apply_changed(struct apply *a, struct change change)
{
    vec_push(&a->changes->list, change);
}

void apply_answer_int64(struct apply *a, int64_t value)
{
    uint8_t *bytes = arena_need(a->arena, 8);
    wire_store(bytes, (uint64_t)value, 8);
    a->value = slice_of(bytes, 8);
}

enum error_code refuse(char reason[REASON_SIZE], enum error_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, REASON_SIZE, fmt, args);
    va_end(args);
    return code;
}

/* Entries */

static struct command_result apply_command(struct apply *a, struct slice bytes)
{
    struct command c;
    CHECK(command_decode(bytes, a->arena, &c) == 0);
    a->value = SLICE_NULL;
    a->reason[0] = '\0';
    struct command_result result = {.error_code = ERR_NONE};
    switch (c.kind) {
#define COMMAND_APPLY(KIND, number, name, type)                                                    \
    case COMMAND_##KIND:                                                                           \
        result.error_code = apply_##name(a, &c.name);                                              \
        break;
        COMMANDS(COMMAND_APPLY)
#undef COMMAND_APPLY
    }
    result.value = a->value;
    if (result.error_code != ERR_NONE && a->reason[0] != '\0')
        result.value = arena_text(a->arena, a->reason);
    return result;
}

static struct stream *stream_find(struct metadata *m, int32_t node_id, struct uuid incarnation)
{
    FOR_EACH (stream, m->streams.items, m->streams.count) {
        if (stream->node_id == node_id && uuid_equal(stream->incarnation, incarnation))
            return stream;
    }
    return NULL;
}

static struct stream *stream_get(struct metadata *m, int32_t node_id, struct uuid incarnation)
{
    struct stream *found = stream_find(m, node_id, incarnation);
    if (found != NULL)
        return found;
    size_t at = 0;
    for (; at < m->streams.count; at++) {
        const struct stream *s = &m->streams.items[at];
        if (s->node_id > node_id ||
            (s->node_id == node_id && memcmp(s->incarnation.bytes, incarnation.bytes, 16) > 0))
            break;
    }
    vec_push(&m->streams, (struct stream){0});
    memmove(m->streams.items + at + 1, m->streams.items + at,
            (m->streams.count - 1 - at) * sizeof(*m->streams.items));
    m->streams.items[at] =
        (struct stream){.node_id = node_id, .incarnation = incarnation, .sequence = -1};
    return &m->streams.items[at];
}

/* The least used stream of a node that has too many. */
static void stream_forget(struct apply *a, int32_t node_id)
{
    struct metadata *m = a->m;
    size_t count = 0, oldest = SIZE_MAX;
    for (size_t i = 0; i < m->streams.count; i++) {
        const struct stream *s = &m->streams.items[i];
        if (s->node_id != node_id)
            continue;
        count++;
        if (oldest == SIZE_MAX || s->used_index < m->streams.items[oldest].used_index)
            oldest = i;
    }
    if (count <= STREAMS_PER_NODE)
        return;
    struct stream *s = &m->streams.items[oldest];
    apply_changed(a, (struct change){.kind = CHANGE_STREAM,
                                     .node_id = node_id,
                                     .incarnation = s->incarnation,
                                     .value = SLICE_NULL});
    slice_free(s->results);
    vec_remove(&m->streams, oldest);
}

static void results_push(struct command_results *results, enum error_code err, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        vec_push(&results->list, (struct command_result){.error_code = err});
}

/* Exactly `count` results, even where the sender repeats a sequence with another number of
 * commands. */
static void replay_results(const struct stream *stream, struct apply *a, int32_t count,
                           struct command_results *results)
{
    struct command_results stored = {0};
    CHECK(command_results_decode(arena_copy(a->arena, stream->results), &stored) == 0);
    int32_t known = (int32_t)MIN(stored.list.count, (size_t)count);
    FOR_EACH (result, stored.list.items, known)
        vec_push(&results->list, *result);
    results_push(results, ERR_INVALID_REQUEST, count - known);
    vec_deinit(&stored.list);
}

static struct slice stream_blob(const struct stream *stream, struct arena *arena)
{
    uint8_t *bytes = arena_need(arena, STREAM_PREFIX + stream->results.size);
    wire_store(bytes, (uint64_t)stream->used_index, STREAM_PREFIX);
    memcpy(bytes + STREAM_PREFIX, stream->results.data, stream->results.size);
    return slice_of(bytes, STREAM_PREFIX + stream->results.size);
}

static void stream_store(struct apply *a, const struct command_batch *batch,
                         const struct command_result *results)
{
    struct stream *stream = stream_get(a->m, batch->node_id, batch->incarnation);
    stream->sequence = batch->sequence;
    stream->used_index = a->index;
    struct buffer encoded = {0};
    command_results_encode(&encoded, results, batch->commands_count);
    slice_free(stream->results);
    stream->results = buffer_slice(&encoded);
    apply_changed(a, (struct change){.kind = CHANGE_STREAM,
                                     .node_id = stream->node_id,
                                     .incarnation = stream->incarnation,
                                     .number = stream->sequence,
                                     .value = stream_blob(stream, a->arena)});
    stream_forget(a, batch->node_id);
}

static void apply_batch(struct apply *a, struct slice bytes, struct command_results *results)
{
    struct command_batch batch;
    CHECK(command_batch_decode(bytes, a->arena, &batch) == 0);
    const struct stream *stream = stream_find(a->m, batch.node_id, batch.incarnation);
    if (stream != NULL && batch.sequence == stream->sequence) {
        replay_results(stream, a, batch.commands_count, results);
        return;
    }
    if (stream != NULL && batch.sequence < stream->sequence) {
        results_push(results, ERR_INVALID_REQUEST, batch.commands_count);
        return;
    }
    size_t first = results->list.count;
    FOR_EACH (command, batch.commands, batch.commands_count) {
        struct command_result result = apply_command(a, *command);
        vec_push(&results->list, result);
    }
    stream_store(a, &batch, results->list.items + first);
}

void metadata_apply(struct metadata *m, int64_t index, struct slice entry, struct arena *arena,
                    struct changes *changes, struct command_results *results)
{
    struct apply a = {.m = m, .index = index, .arena = arena, .changes = changes};
    struct slice *batches;
    int32_t count;
    CHECK(command_entry_decode(entry, arena, &batches, &count) == 0);
    FOR_EACH (batch, batches, count)
        apply_batch(&a, *batch, results);
}

/* Loading */

void metadata_load_cluster(struct metadata *m, struct slice cluster_id, int64_t index,
                           int64_t next_producer_id)
{
    m->img = image_own(m->img);
    slice_free(m->img->cluster_id);
    m->img->cluster_id = slice_dup(cluster_id);
    m->img->index = index;
    m->next_producer_id = next_producer_id;
}

void metadata_load_broker(struct metadata *m, const struct image_broker *broker)
{
    m->img = image_own(m->img);
    image_put_broker(m->img, image_broker_copy(broker));
}

void metadata_load_topic(struct metadata *m, const struct image_topic *topic)
{
    m->img = image_own(m->img);
    image_put_topic(m->img, image_topic_copy(topic));
}

void metadata_load_slot(struct metadata *m, int slot, const struct image_slot *value)
{
    CHECK(slot >= 0 && slot < COORDINATOR_SLOTS);
    m->img = image_own(m->img);
    m->img->slots[slot] = *value;
}

void metadata_load_broker_config(struct metadata *m, struct slice name, struct slice value)
{
    m->img = image_own(m->img);
    configs_put(&m->img->broker_configs, &m->img->broker_configs_count, name, value);
}

void metadata_load_resource(struct metadata *m, int8_t kind, struct slice name,
                            struct image_config config)
{
    m->img = image_own(m->img);
    const struct image_resource *r = image_find_resource(m->img, kind, name);
    int count = r != NULL ? r->configs_count : 0;
    struct image_config *configs = r != NULL ? configs_copy(r->configs, count) : NULL;
    configs_put(&configs, &count, config.name, config.value);
    image_put_resource(m->img, kind, name, configs, count);
}

void metadata_load_stream(struct metadata *m, int32_t node_id, struct uuid incarnation,
                          int64_t sequence, struct slice results)
{
    CHECK(results.size >= STREAM_PREFIX);
    struct stream *stream = stream_get(m, node_id, incarnation);
    stream->sequence = sequence;
    stream->used_index = (int64_t)wire_load(results.data, STREAM_PREFIX);
    slice_free(stream->results);
    stream->results =
        slice_dup(slice_of(results.data + STREAM_PREFIX, results.size - STREAM_PREFIX));
}

void metadata_load_done(struct metadata *m)
{
    FOR_EACH (topic, m->img->topics, m->img->topics_count) {
        FOR_EACH (p, (*topic)->partitions, (*topic)->partitions_count)
            CHECK(p->replicas_count > 0);
    }
}
