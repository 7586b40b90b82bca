/* One number over the whole state, in one canonical order. */
#include "coord/metadata.h"

#include "coord/image_resources.h"
#include "coord/metadata_internal.h"
#include "proto/wire.h"

static void digest_configs(struct wire_writer *w, const struct image_config *configs, int count)
{
    wire_put_count(w, true, true, count);
    FOR_EACH (config, configs, count) {
        wire_put_bytes(w, true, true, config->name);
        wire_put_bytes(w, true, true, config->value);
    }
}

static void digest_ids(struct wire_writer *w, const int32_t *ids, int count)
{
    wire_put_count(w, true, true, count);
    FOR_EACH (id, ids, count)
        wire_put_i32(w, *id);
}

static void digest_broker(struct wire_writer *w, const struct image_broker *b)
{
    wire_put_i32(w, b->node_id);
    wire_put_uuid(w, b->incarnation);
    wire_put_i64(w, b->epoch);
    wire_put_bool(w, b->fenced);
    wire_put_bool(w, b->shutting_down);
    wire_put_bytes(w, true, true, b->rack);
    wire_put_count(w, true, true, b->endpoints_count);
    FOR_EACH (endpoint, b->endpoints, b->endpoints_count) {
        wire_put_bytes(w, true, true, endpoint->listener);
        wire_put_bytes(w, true, true, endpoint->host);
        wire_put_i32(w, endpoint->port);
        wire_put_i16(w, endpoint->security_protocol);
    }
}

static void digest_topic(struct wire_writer *w, const struct image_topic *topic)
{
    wire_put_bytes(w, true, true, topic->name);
    wire_put_uuid(w, topic->id);
    wire_put_count(w, true, true, topic->partitions_count);
    FOR_EACH (p, topic->partitions, topic->partitions_count) {
        wire_put_i32(w, p->leader);
        wire_put_i32(w, p->leader_epoch);
        wire_put_i32(w, p->partition_epoch);
        digest_ids(w, p->replicas, p->replicas_count);
        digest_ids(w, p->isr, p->isr_count);
        digest_ids(w, p->elr, p->elr_count);
        digest_ids(w, p->adding, p->adding_count);
        digest_ids(w, p->removing, p->removing_count);
    }
    digest_configs(w, topic->configs, topic->configs_count);
}

static void digest_image(struct wire_writer *w, const struct image *img)
{
    wire_put_bytes(w, true, true, img->cluster_id);
    FOR_EACH (b, img->brokers, img->brokers_count)
        digest_broker(w, *b);
    FOR_EACH (topic, img->topics, img->topics_count)
        digest_topic(w, *topic);
    FOR_EACH (slot, img->slots, COORDINATOR_SLOTS) {
        wire_put_i32(w, slot->node_id);
        wire_put_i32(w, slot->epoch);
    }
    digest_configs(w, img->broker_configs, img->broker_configs_count);
    const struct image_resources *rs = img->resources;
    for (int i = 0; rs != NULL && i < rs->count; i++) {
        wire_put_i8(w, rs->items[i].kind);
        wire_put_bytes(w, true, true, rs->items[i].name);
        digest_configs(w, rs->items[i].configs, rs->items[i].configs_count);
    }
}

uint64_t metadata_digest(const struct metadata *m)
{
    struct buffer bytes = {0};
    struct wire_writer w;
    wire_writer_init(&w, &bytes);
    digest_image(&w, m->img);
    wire_put_i64(&w, m->next_producer_id);
    FOR_EACH (stream, m->streams.items, m->streams.count) {
        wire_put_i32(&w, stream->node_id);
        wire_put_uuid(&w, stream->incarnation);
        wire_put_i64(&w, stream->used_index);
        wire_put_i64(&w, stream->sequence);
        wire_put_bytes(&w, true, true, stream->results);
    }
    metadata_txns_digest(m, &w);
    wire_writer_deinit(&w);
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 0x100000001b3u;
    buffer_deinit(&bytes);
    return hash;
}
