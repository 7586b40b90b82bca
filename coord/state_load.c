/* From the rows of a restored database back to the state machine in memory. */
#include <stdlib.h>

#include "coord/state_internal.h"

static struct slice copy_column(sqlite3_stmt *st, int at, struct arena *arena)
{
    return arena_copy(arena, state_column(st, at));
}

static struct uuid column_uuid(sqlite3_stmt *st, int at)
{
    struct uuid id = UUID_ZERO;
    struct slice bytes = state_column(st, at);
    if (bytes.size == sizeof(id.bytes))
        memcpy(id.bytes, bytes.data, sizeof(id.bytes));
    return id;
}

static int32_t *column_brokers(sqlite3_stmt *st, int at, struct arena *arena, int *count)
{
    const char *text = (const char *)sqlite3_column_text(st, at);
    int32_t *ids = arena_need(arena, (strlen(text) + 1) * sizeof(*ids));
    *count = 0;
    while (*text != '\0') {
        char *end;
        ids[(*count)++] = (int32_t)strtol(text, &end, 10);
        text = *end == ',' ? end + 1 : "";
    }
    return ids;
}

static int count_rows(sqlite3 *db, const char *sql, struct slice key)
{
    sqlite3_stmt *st = state_prepare(db, sql);
    state_bind_blob(st, 1, key);
    int count = state_step(db, st) ? sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    return count;
}

static void load_cluster(struct state *s, struct metadata *m, struct arena *arena)
{
    struct slice cluster_id = SLICE_NULL;
    int64_t index = 0, next_producer_id = 0;
    sqlite3_stmt *st = state_prepare(s->db, "SELECT key, value FROM cluster");
    while (state_step(s->db, st)) {
        struct slice key = copy_column(st, 0, arena);
        if (slice_equals_text(key, "cluster_id"))
            cluster_id = copy_column(st, 1, arena);
        else if (slice_equals_text(key, "image_index"))
            index = sqlite3_column_int64(st, 1);
        else if (slice_equals_text(key, "next_producer_id"))
            next_producer_id = sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    metadata_load_cluster(m, cluster_id, index, next_producer_id);
}

static void load_endpoints(struct state *s, struct image_broker *b, struct arena *arena)
{
    sqlite3_stmt *st = state_prepare(s->db, "SELECT listener, host, port, security_protocol "
                                            "FROM endpoints WHERE node_id=? ORDER BY position");
    VEC(struct image_endpoint) list = {0};
    sqlite3_bind_int(st, 1, b->node_id);
    while (state_step(s->db, st)) {
        struct image_endpoint e = {.listener = copy_column(st, 0, arena),
                                   .host = copy_column(st, 1, arena),
                                   .port = sqlite3_column_int(st, 2),
                                   .security_protocol = (int16_t)sqlite3_column_int(st, 3)};
        vec_push(&list, e);
    }
    sqlite3_finalize(st);
    b->endpoints_count = (int)list.count;
    b->endpoints = arena_need(arena, (list.count + 1) * sizeof(*list.items));
    if (list.count > 0)
        memcpy(b->endpoints, list.items, list.count * sizeof(*list.items));
    vec_deinit(&list);
}

static void load_brokers(struct state *s, struct metadata *m, struct arena *arena)
{
    sqlite3_stmt *st =
        state_prepare(s->db, "SELECT node_id, incarnation, epoch, fenced, shutting_down, rack "
                             "FROM brokers ORDER BY node_id");
    while (state_step(s->db, st)) {
        struct image_broker b = {.node_id = sqlite3_column_int(st, 0),
                                 .incarnation = column_uuid(st, 1),
                                 .epoch = sqlite3_column_int64(st, 2),
                                 .fenced = sqlite3_column_int(st, 3) != 0,
                                 .shutting_down = sqlite3_column_int(st, 4) != 0,
                                 .rack = copy_column(st, 5, arena)};
        load_endpoints(s, &b, arena);
        metadata_load_broker(m, &b);
    }
    sqlite3_finalize(st);
}

static struct image_config *load_configs(struct state *s, struct slice owner, struct arena *arena,
                                         int *count)
{
    *count = count_rows(s->db, "SELECT count(*) FROM configs WHERE topic_id=?", owner);
    struct image_config *configs = arena_need(arena, ((size_t)*count + 1) * sizeof(*configs));
    sqlite3_stmt *st = state_prepare(s->db, "SELECT name, value FROM configs WHERE topic_id=? "
                                            "ORDER BY name");
    state_bind_blob(st, 1, owner);
    for (int i = 0; state_step(s->db, st); i++) {
        CHECK(i < *count);
        configs[i].name = copy_column(st, 0, arena);
        configs[i].value = copy_column(st, 1, arena);
    }
    sqlite3_finalize(st);
    return configs;
}

static void load_partitions(struct state *s, struct image_topic *t, struct arena *arena)
{
    t->partitions_count =
        count_rows(s->db, "SELECT count(*) FROM partitions WHERE topic_id=?", MAP_KEY(t->id));
    t->partitions = arena_need(arena, ((size_t)t->partitions_count + 1) * sizeof(*t->partitions));
    sqlite3_stmt *st =
        state_prepare(s->db, "SELECT leader, leader_epoch, partition_epoch, replicas, "
                             "isr, elr, adding, removing FROM partitions WHERE topic_id=? "
                             "ORDER BY partition");
    state_bind_blob(st, 1, MAP_KEY(t->id));
    for (int i = 0; state_step(s->db, st); i++) {
        CHECK(i < t->partitions_count);
        struct image_partition *p = &t->partitions[i];
        p->leader = sqlite3_column_int(st, 0);
        p->leader_epoch = sqlite3_column_int(st, 1);
        p->partition_epoch = sqlite3_column_int(st, 2);
        p->replicas = column_brokers(st, 3, arena, &p->replicas_count);
        p->isr = column_brokers(st, 4, arena, &p->isr_count);
        p->elr = column_brokers(st, 5, arena, &p->elr_count);
        p->adding = column_brokers(st, 6, arena, &p->adding_count);
        p->removing = column_brokers(st, 7, arena, &p->removing_count);
    }
    sqlite3_finalize(st);
}

static void load_topics(struct state *s, struct metadata *m, struct arena *arena)
{
    sqlite3_stmt *st = state_prepare(s->db, "SELECT topic_id, name FROM topics ORDER BY topic_id");
    while (state_step(s->db, st)) {
        struct image_topic t = {.id = column_uuid(st, 0), .name = copy_column(st, 1, arena)};
        load_partitions(s, &t, arena);
        t.configs = load_configs(s, MAP_KEY(t.id), arena, &t.configs_count);
        metadata_load_topic(m, &t);
    }
    sqlite3_finalize(st);
}

static void load_resources(struct state *s, struct metadata *m, struct arena *arena)
{
    sqlite3_stmt *st = state_prepare(s->db, "SELECT kind, resource, name, value "
                                            "FROM resource_configs ORDER BY kind, resource, name");
    while (state_step(s->db, st)) {
        struct image_config config = {copy_column(st, 2, arena), copy_column(st, 3, arena)};
        metadata_load_resource(m, (int8_t)sqlite3_column_int(st, 0), copy_column(st, 1, arena),
                               config);
    }
    sqlite3_finalize(st);
}

static void load_rest(struct state *s, struct metadata *m, struct arena *arena)
{
    int count;
    struct image_config *configs = load_configs(s, SLICE(""), arena, &count);
    for (int i = 0; i < count; i++)
        metadata_load_broker_config(m, configs[i].name, configs[i].value);

    sqlite3_stmt *st = state_prepare(s->db, "SELECT slot, node_id, epoch FROM slots ORDER BY slot");
    while (state_step(s->db, st)) {
        struct image_slot slot = {sqlite3_column_int(st, 1), sqlite3_column_int(st, 2)};
        metadata_load_slot(m, sqlite3_column_int(st, 0), &slot);
    }
    sqlite3_finalize(st);

    st = state_prepare(s->db, "SELECT transactional_id, value FROM transactions "
                              "ORDER BY transactional_id");
    while (state_step(s->db, st))
        metadata_load_txn(m, state_column(st, 0), state_column(st, 1));
    sqlite3_finalize(st);

    st = state_prepare(s->db, "SELECT node_id, incarnation, sequence, results FROM streams "
                              "ORDER BY node_id");
    while (state_step(s->db, st))
        metadata_load_stream(m, sqlite3_column_int(st, 0), column_uuid(st, 1),
                             sqlite3_column_int64(st, 2), state_column(st, 3));
    sqlite3_finalize(st);
}

struct metadata *state_load(struct state *s)
{
    struct metadata *m = metadata_new();
    struct arena arena;
    arena_init(&arena, 0);
    load_cluster(s, m, &arena);
    load_brokers(s, m, &arena);
    load_topics(s, m, &arena);
    load_resources(s, m, &arena);
    load_rest(s, m, &arena);
    metadata_load_done(m);
    arena_deinit(&arena);
    return m;
}

int64_t state_find_stream(struct state *s, int32_t node_id, struct uuid incarnation,
                          struct arena *arena, struct slice *results)
{
    int64_t sequence = -1;
    *results = SLICE_NULL;
    sqlite3_stmt *st = state_prepare(s->db, "SELECT sequence, results FROM streams "
                                            "WHERE node_id=? AND incarnation=?");
    sqlite3_bind_int(st, 1, node_id);
    state_bind_blob(st, 2, MAP_KEY(incarnation));
    if (state_step(s->db, st)) {
        sequence = sqlite3_column_int64(st, 0);
        *results = copy_column(st, 1, arena);
    }
    sqlite3_finalize(st);
    return sequence;
}
