/*
 * The durable state of a classic group:
 *
 *   [version 1] [time] [generation] [protocol type, name, leader] [members] [tags]
 *
 * in Kafka's flexible encoding. It is a finished generation: with members the group is Stable,
 * without it is Empty.
 */
#include <errno.h>

#include "coord/group_internal.h"
#include "proto/wire.h"

#define BLOB_VERSION      1
#define MEMBER_WIRE_MIN   14
#define PROTOCOL_WIRE_MIN 2

static void member_encode(struct wire_writer *w, const struct group_member *m)
{
    wire_put_string(w, true, false, m->id);
    wire_put_string(w, true, true, m->instance_id);
    wire_put_string(w, true, false, m->client_id);
    wire_put_string(w, true, false, m->client_host);
    wire_put_i32(w, m->session_timeout_ms);
    wire_put_i32(w, m->rebalance_timeout_ms);
    wire_put_count(w, true, false, m->protocols_count);
    FOR_EACH (p, m->protocols, m->protocols_count) {
        wire_put_string(w, true, false, p->name);
        wire_put_bytes(w, true, false, p->metadata);
    }
    wire_put_bytes(w, true, false, m->assignment);
    wire_put_uvarint(w, 0);
}

void group_classic_encode(const struct group_classic *g, int64_t time_ms, struct buffer *out)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_i8(&w, BLOB_VERSION);
    wire_put_i64(&w, time_ms);
    wire_put_i32(&w, g->generation);
    wire_put_string(&w, true, true, g->protocol_type);
    wire_put_string(&w, true, true, g->protocol_name);
    wire_put_string(&w, true, true, g->leader);
    wire_put_count(&w, true, false, g->members_count);
    GROUP_MEMBERS(m, g)
    member_encode(&w, m);
    wire_put_uvarint(&w, 0);
    wire_writer_deinit(&w);
}

static void member_decode(struct wire_reader *r, struct group_classic *g, int64_t now_ms)
{
    struct group_join in = {0};
    struct slice id = wire_get_string(r, true, false);
    in.instance_id = wire_get_string(r, true, true);
    in.client_id = wire_get_string(r, true, false);
    in.client_host = wire_get_string(r, true, false);
    in.session_timeout_ms = wire_get_i32(r);
    in.rebalance_timeout_ms = wire_get_i32(r);
    struct wire_item item = {PROTOCOL_WIRE_MIN, sizeof(struct group_protocol)};
    struct group_protocol *protocols = wire_get_array(r, true, false, item, &in.protocols_count);
    for (int32_t i = 0; i < in.protocols_count; i++) {
        protocols[i].name = wire_get_string(r, true, false);
        protocols[i].metadata = wire_get_bytes(r, true, false);
    }
    in.protocols = protocols;
    struct slice assignment = wire_get_bytes(r, true, false);
    wire_skip_tags(r);
    if (r->err != 0)
        return;
    struct group_member *m = group_member_new(id, &in);
    group_slice_set(&m->assignment, assignment);
    m->is_new = false;
    m->synced = true;
    m->deadline_ms = now_ms + m->session_timeout_ms;
    group_member_add(g, m);
}

int group_classic_decode(struct group_classic *g, struct slice blob, int64_t now_ms,
                         int64_t *time_ms)
{
    struct arena arena;
    struct wire_reader r;
    arena_init(&arena, 0);
    wire_reader_init(&r, blob, &arena);
    bool known = wire_get_i8(&r) == BLOB_VERSION;
    *time_ms = wire_get_i64(&r);
    g->generation = wire_get_i32(&r);
    g->protocol_type = group_slice_copy(wire_get_string(&r, true, true));
    g->protocol_name = group_slice_copy(wire_get_string(&r, true, true));
    g->leader = group_slice_copy(wire_get_string(&r, true, true));
    struct wire_item item = {MEMBER_WIRE_MIN, 1};
    int32_t count = 0;
    (void)wire_get_array(&r, true, false, item, &count);
    for (int32_t i = 0; i < count && r.err == 0; i++)
        member_decode(&r, g, now_ms);
    wire_skip_tags(&r);
    g->state = g->members_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
    bool good = known && r.err == 0 && wire_remaining(&r) == 0;
    arena_deinit(&arena);
    if (good)
        return 0;
    struct group_config config = g->config;
    group_classic_deinit(g);
    group_classic_init(g, &config);
    *time_ms = 0;
    return -EBADMSG;
}
