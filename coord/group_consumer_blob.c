/*
 * The durable state of a group of the consumer protocol:
 *
 *   [version 2] [time] [epoch] [assignment epoch] [hash of the topics] [members] [tags]
 *
 * in Kafka's flexible encoding; partitions stand by topic, and what makes a member a classic one in
 * a tag. Version 1 is a classic group (group_blob.c). Sessions begin anew for who reads it.
 */
#include <errno.h>

#include "coord/group_consumer_internal.h"
#include "proto/wire.h"

#define BLOB_VERSION       2
#define MEMBER_WIRE_MIN    30
#define TOPIC_WIRE_MIN     17
#define NAME_WIRE_MIN      1
#define PARTITION_WIRE_MIN 2
#define PROTOCOL_WIRE_MIN  2
#define TAG_CLASSIC        0 /* of a member of the classic protocol */

bool group_consumer_is_blob(struct slice blob)
{
    return blob.size > 0 && blob.data[0] == BLOB_VERSION;
}

/* --- Encoding --- */

static void put_partitions(struct wire_writer *w, const struct partition_set *set)
{
    int32_t topics = 0;
    for (size_t i = 0; i < set->count; i = partition_set_topic_end(set, i))
        topics++;
    wire_put_count(w, true, false, topics);
    for (size_t i = 0, end; i < set->count; i = end) {
        end = partition_set_topic_end(set, i);
        wire_put_uuid(w, set->items[i].topic);
        wire_put_count(w, true, false, (int32_t)(end - i));
        for (size_t k = i; k < end; k++) {
            wire_put_uvarint(w, (uint32_t)set->items[k].index);
            wire_put_uvarint(w, (uint32_t)set->items[k].epoch);
        }
    }
}

static void put_classic(struct wire_writer *w, const struct consumer_classic *c)
{
    size_t begin = wire_tag_begin(w, TAG_CLASSIC);
    wire_put_i32(w, c->session_ms);
    wire_put_count(w, true, false, c->protocols_count);
    FOR_EACH (p, c->protocols, c->protocols_count) {
        wire_put_string(w, true, false, p->name);
        wire_put_bytes(w, true, false, p->metadata);
    }
    wire_tag_end(w, begin);
}

static void put_member(struct wire_writer *w, const struct consumer_member *m)
{
    wire_put_string(w, true, false, m->id);
    wire_put_string(w, true, true, m->instance_id);
    wire_put_string(w, true, true, m->rack);
    wire_put_string(w, true, false, m->client_id);
    wire_put_string(w, true, false, m->client_host);
    wire_put_string(w, true, true, m->assignor);
    wire_put_string(w, true, false, m->regex);
    wire_put_count(w, true, false, m->topics.count);
    FOR_EACH (name, m->topics.items, m->topics.count)
        wire_put_string(w, true, false, *name);
    wire_put_i32(w, m->rebalance_timeout_ms);
    wire_put_i32(w, m->epoch);
    wire_put_i32(w, m->previous_epoch);
    wire_put_i8(w, (int8_t)m->state);
    put_partitions(w, &m->assigned);
    put_partitions(w, &m->revoking);
    put_partitions(w, &m->target);
    wire_put_uvarint(w, m->is_classic);
    if (m->is_classic)
        put_classic(w, &m->classic);
}

void group_consumer_encode(const struct group_consumer *g, int64_t time_ms, struct buffer *out)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_i8(&w, BLOB_VERSION);
    wire_put_i64(&w, time_ms);
    wire_put_i32(&w, g->epoch);
    wire_put_i32(&w, g->assignment_epoch);
    wire_put_i64(&w, (int64_t)g->topics_hash);
    wire_put_count(&w, true, false, g->members_count);
    CONSUMER_MEMBERS(m, g)
    put_member(&w, m);
    wire_put_uvarint(&w, 0);
    wire_writer_deinit(&w);
}

/* --- Decoding --- */

static void get_partitions(struct wire_reader *r, struct partition_set *set)
{
    struct wire_item topic = {TOPIC_WIRE_MIN, 1}, partition = {PARTITION_WIRE_MIN, 1};
    int32_t topics = 0;
    (void)wire_get_array(r, true, false, topic, &topics);
    for (int32_t i = 0; i < topics && r->err == 0; i++) {
        struct uuid id = wire_get_uuid(r);
        int32_t count = 0;
        (void)wire_get_array(r, true, false, partition, &count);
        for (int32_t k = 0; k < count && r->err == 0; k++) {
            int32_t index = (int32_t)wire_get_uvarint(r);
            partition_set_push(set, id, index, (int32_t)wire_get_uvarint(r));
        }
    }
    partition_set_sort(set);
}

static struct consumer_names get_names(struct wire_reader *r)
{
    struct consumer_names names = {0};
    struct wire_item item = {NAME_WIRE_MIN, sizeof(struct slice)};
    int32_t count = 0;
    struct slice *items = wire_get_array(r, true, false, item, &count);
    for (int32_t i = 0; i < count; i++)
        items[i] = wire_get_string(r, true, false);
    consumer_names_set(&names, items, r->err == 0 ? count : 0);
    return names;
}

static void get_classic(struct wire_reader *r, struct consumer_member *m)
{
    struct wire_item item = {PROTOCOL_WIRE_MIN, sizeof(struct group_protocol)};
    int32_t session_ms = wire_get_i32(r), count = 0;
    struct group_protocol *protocols = wire_get_array(r, true, false, item, &count);
    for (int32_t i = 0; i < count; i++) {
        protocols[i].name = wire_get_string(r, true, false);
        protocols[i].metadata = wire_get_bytes(r, true, false);
    }
    if (r->err == 0 && count > 0)
        consumer_classic_set(m, session_ms, protocols, count);
    else
        wire_fail(r, -EBADMSG);
}

static void get_tags(struct wire_reader *r, struct consumer_member *m)
{
    uint32_t count = wire_get_tag_count(r);
    for (uint32_t i = 0; i < count && r->err == 0; i++) {
        struct wire_tag tag = wire_tag_open(r);
        if (tag.id == TAG_CLASSIC)
            get_classic(r, m);
        else
            wire_tag_skip(r);
        wire_tag_close(r, tag);
    }
}

static void get_member(struct wire_reader *r, struct group_consumer *g, int64_t now_ms)
{
    struct consumer_member *m = consumer_member_new(wire_get_string(r, true, false));
    m->instance_id = group_slice_copy(wire_get_string(r, true, true));
    m->rack = group_slice_copy(wire_get_string(r, true, true));
    group_slice_set(&m->client_id, wire_get_string(r, true, false));
    group_slice_set(&m->client_host, wire_get_string(r, true, false));
    m->assignor = group_slice_copy(wire_get_string(r, true, true));
    group_slice_set(&m->regex, wire_get_string(r, true, false));
    m->topics = get_names(r);
    m->rebalance_timeout_ms = wire_get_i32(r);
    m->epoch = wire_get_i32(r);
    m->previous_epoch = wire_get_i32(r);
    int8_t state = wire_get_i8(r);
    get_partitions(r, &m->assigned);
    get_partitions(r, &m->revoking);
    get_partitions(r, &m->target);
    get_tags(r, m);
    if (state < CONSUMER_STABLE || state > CONSUMER_UNRELEASED)
        wire_fail(r, -EBADMSG);
    else
        m->state = (enum consumer_state)state;
    m->session_deadline_ms =
        now_ms + (m->is_classic ? m->classic.session_ms : g->config.session_ms);
    if (!m->is_classic && m->state == CONSUMER_UNREVOKED && m->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
        m->revoke_deadline_ms = now_ms + m->rebalance_timeout_ms;
    consumer_member_add(g, m);
}

int group_consumer_decode(struct group_consumer *g, struct slice blob, int64_t now_ms,
                          int64_t *time_ms)
{
    struct arena arena;
    struct wire_reader r;
    arena_init(&arena, 0);
    wire_reader_init(&r, blob, &arena);
    bool known = wire_get_i8(&r) == BLOB_VERSION;
    *time_ms = wire_get_i64(&r);
    g->epoch = wire_get_i32(&r);
    g->assignment_epoch = wire_get_i32(&r);
    g->topics_hash = (uint64_t)wire_get_i64(&r);
    struct wire_item item = {MEMBER_WIRE_MIN, 1};
    int32_t count = 0;
    (void)wire_get_array(&r, true, false, item, &count);
    for (int32_t i = 0; i < count && r.err == 0; i++)
        get_member(&r, g, now_ms);
    wire_skip_tags(&r);
    g->unwritten = false;
    bool good = known && r.err == 0 && wire_remaining(&r) == 0;
    arena_deinit(&arena);
    if (good)
        return 0;
    struct consumer_config config = g->config;
    group_consumer_deinit(g);
    group_consumer_init(g, &config);
    *time_ms = 0;
    return -EBADMSG;
}
