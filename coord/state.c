/* Opening the database and writing one entry's changes to it. */
#include "coord/state_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "coord/image_resources.h"
#include "coord/txn.h"
#include "proto/base/logging.h"

#define ROOM_WAIT_MS 100 /* between two looks at a full disk */

static const char *const statements[STATE_STATEMENTS] = {
    [STATE_BEGIN] = "BEGIN IMMEDIATE",
    [STATE_COMMIT] = "COMMIT",
    [STATE_PUT_CLUSTER] = "INSERT OR REPLACE INTO cluster VALUES(?,?)",
    [STATE_PUT_BROKER] = "INSERT OR REPLACE INTO brokers VALUES(?,?,?,?,?,?)",
    [STATE_DELETE_BROKER] = "DELETE FROM brokers WHERE node_id=?",
    [STATE_PUT_ENDPOINT] = "INSERT INTO endpoints VALUES(?,?,?,?,?,?)",
    [STATE_DELETE_ENDPOINTS] = "DELETE FROM endpoints WHERE node_id=?",
    [STATE_PUT_TOPIC] = "INSERT OR REPLACE INTO topics VALUES(?,?)",
    [STATE_DELETE_TOPIC] = "DELETE FROM topics WHERE topic_id=?",
    [STATE_PUT_PARTITION] = "INSERT OR REPLACE INTO partitions VALUES(?,?,?,?,?,?,?,?,?,?)",
    [STATE_DELETE_PARTITIONS] = "DELETE FROM partitions WHERE topic_id=?",
    [STATE_PUT_CONFIG] = "INSERT OR REPLACE INTO configs VALUES(?,?,?)",
    [STATE_DELETE_CONFIGS] = "DELETE FROM configs WHERE topic_id=?",
    [STATE_PUT_RESOURCE] = "INSERT INTO resource_configs VALUES(?,?,?,?)",
    [STATE_DELETE_RESOURCE] = "DELETE FROM resource_configs WHERE kind=? AND resource=?",
    [STATE_PUT_GROUP] = "INSERT OR REPLACE INTO \"groups\" VALUES(?,?)",
    [STATE_DELETE_GROUP] = "DELETE FROM \"groups\" WHERE group_id=?",
    [STATE_PUT_OFFSET] = "INSERT OR REPLACE INTO group_offsets VALUES(?,?,?,?,?,?,?,?)",
    [STATE_DELETE_OFFSET] =
        "DELETE FROM group_offsets WHERE group_id=? AND topic=? AND partition=?",
    [STATE_DELETE_OFFSETS] = "DELETE FROM group_offsets WHERE group_id=?",
    [STATE_DELETE_TOPIC_OFFSETS] = "DELETE FROM group_offsets WHERE topic=?",
    [STATE_PUT_TXN] = "INSERT OR REPLACE INTO transactions VALUES(?,?,?,?,?,?,?)",
    [STATE_DELETE_TXN] = "DELETE FROM transactions WHERE transactional_id=?",
    [STATE_PUT_TXN_OFFSET] = "INSERT OR REPLACE INTO txn_offsets VALUES(?,?,?,?,?,?,?,?,?)",
    [STATE_COMMIT_TXN_OFFSETS] =
        "INSERT OR REPLACE INTO group_offsets SELECT group_id, topic, partition, committed_offset,"
        " leader_epoch, metadata, commit_time_ms, expire_time_ms FROM txn_offsets"
        " WHERE producer_id=? ORDER BY group_id, topic, partition",
    [STATE_DELETE_TXN_OFFSETS] = "DELETE FROM txn_offsets WHERE producer_id=?",
    [STATE_PUT_SLOT] = "INSERT OR REPLACE INTO slots VALUES(?,?,?)",
    [STATE_PUT_STREAM] = "INSERT OR REPLACE INTO streams VALUES(?,?,?,?)",
    [STATE_DELETE_STREAM] = "DELETE FROM streams WHERE node_id=? AND incarnation=?",
};

void state_fail(sqlite3 *db, const char *what)
{
    LOG_ERROR("cannot keep the metadata database, stopping", "during=\"%s\" error=\"%s\" code=%d",
              what, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
    abort();
}

sqlite3_stmt *state_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        state_fail(db, sql);
    return statement;
}

bool state_step(sqlite3 *db, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE)
        state_fail(db, sqlite3_sql(statement));
    sqlite3_reset(statement);
    return false;
}

void state_bind_text(sqlite3_stmt *statement, int at, struct slice text)
{
    if (slice_is_null(text))
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_text(statement, at, (const char *)text.data, (int)text.size, SQLITE_STATIC);
}

void state_bind_blob(sqlite3_stmt *statement, int at, struct slice blob)
{
    if (slice_is_null(blob))
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_blob(statement, at, blob.data, (int)blob.size, SQLITE_STATIC);
}

struct slice state_column(sqlite3_stmt *statement, int at)
{
    if (sqlite3_column_type(statement, at) == SQLITE_NULL)
        return SLICE_NULL;
    const void *data = sqlite3_column_blob(statement, at);
    size_t size = (size_t)sqlite3_column_bytes(statement, at);
    return slice_of(data ? data : "", size);
}

static void remove_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char name[4096];
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

int state_open(const char *path, void (*disk_full)(void *arg), void *arg, struct state **out)
{
    static const char settings[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                                   "PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;"
                                   /* Only a commit writes, so only a commit meets a full disk. */
                                   "PRAGMA cache_spill=OFF;";
    *out = NULL;
    remove_files(path);
    struct state *s = mem_zalloc(sizeof(*s));
    s->path = mem_strdup(path);
    s->disk_full = disk_full;
    s->disk_full_arg = arg;
    mutex_init(&s->lock);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, settings, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, state_schema, NULL, NULL, NULL) != SQLITE_OK) {
        LOG_ERROR("cannot make the metadata database", "path=%s error=\"%s\"", path,
                  sqlite3_errmsg(s->db));
        state_close(s);
        return -EIO;
    }
    sqlite3_busy_timeout(s->db, 5000);
    for (int i = 0; i < STATE_STATEMENTS; i++)
        s->statements[i] = state_prepare(s->db, statements[i]);
    *out = s;
    return 0;
}

void state_close(struct state *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < STATE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    state_readers_free(s);
    sqlite3_close(s->db);
    mutex_deinit(&s->lock);
    free(s->path);
    free(s);
}

static void run(struct state *s, enum state_statement which)
{
    CHECK(!state_step(s->db, s->statements[which]));
}

static void put_cluster(struct state *s, const char *key, struct slice text, int64_t number)
{
    sqlite3_stmt *st = s->statements[STATE_PUT_CLUSTER];
    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    if (slice_is_null(text))
        sqlite3_bind_int64(st, 2, number);
    else
        state_bind_text(st, 2, text);
    run(s, STATE_PUT_CLUSTER);
}

static void put_broker(struct state *s, const struct image *img, int32_t node_id)
{
    sqlite3_bind_int(s->statements[STATE_DELETE_ENDPOINTS], 1, node_id);
    run(s, STATE_DELETE_ENDPOINTS);
    const struct image_broker *b = image_find_broker(img, node_id);
    if (b == NULL) {
        sqlite3_bind_int(s->statements[STATE_DELETE_BROKER], 1, node_id);
        run(s, STATE_DELETE_BROKER);
        return;
    }
    sqlite3_stmt *st = s->statements[STATE_PUT_BROKER];
    sqlite3_bind_int(st, 1, node_id);
    state_bind_blob(st, 2, MAP_KEY(b->incarnation));
    sqlite3_bind_int64(st, 3, b->epoch);
    sqlite3_bind_int(st, 4, b->fenced);
    sqlite3_bind_int(st, 5, b->shutting_down);
    state_bind_text(st, 6, b->rack);
    run(s, STATE_PUT_BROKER);
    for (int i = 0; i < b->endpoints_count; i++) {
        const struct image_endpoint *e = &b->endpoints[i];
        st = s->statements[STATE_PUT_ENDPOINT];
        sqlite3_bind_int(st, 1, node_id);
        sqlite3_bind_int(st, 2, i);
        state_bind_text(st, 3, e->listener);
        state_bind_text(st, 4, e->host);
        sqlite3_bind_int(st, 5, e->port);
        sqlite3_bind_int(st, 6, e->security_protocol);
        run(s, STATE_PUT_ENDPOINT);
    }
}

static void put_configs(struct state *s, struct slice owner, const struct image_config *configs,
                        int count)
{
    state_bind_blob(s->statements[STATE_DELETE_CONFIGS], 1, owner);
    run(s, STATE_DELETE_CONFIGS);
    for (int i = 0; i < count; i++) {
        sqlite3_stmt *st = s->statements[STATE_PUT_CONFIG];
        state_bind_blob(st, 1, owner);
        state_bind_text(st, 2, configs[i].name);
        state_bind_text(st, 3, configs[i].value);
        run(s, STATE_PUT_CONFIG);
    }
}

static void bind_brokers(sqlite3_stmt *st, int at, const int32_t *ids, int count)
{
    struct buffer text = {0};
    for (int i = 0; i < count; i++)
        buffer_printf(&text, "%s%d", i > 0 ? "," : "", ids[i]);
    struct slice bytes = buffer_slice(&text);
    sqlite3_bind_text(st, at, (const char *)bytes.data, (int)bytes.size, SQLITE_TRANSIENT);
    buffer_deinit(&text);
}

static void put_partition(struct state *s, const struct image_topic *t, int32_t index)
{
    const struct image_partition *p = image_find_partition(t, index);
    CHECK(p != NULL);
    sqlite3_stmt *st = s->statements[STATE_PUT_PARTITION];
    state_bind_blob(st, 1, MAP_KEY(t->id));
    sqlite3_bind_int(st, 2, index);
    sqlite3_bind_int(st, 3, p->leader);
    sqlite3_bind_int(st, 4, p->leader_epoch);
    sqlite3_bind_int(st, 5, p->partition_epoch);
    bind_brokers(st, 6, p->replicas, p->replicas_count);
    bind_brokers(st, 7, p->isr, p->isr_count);
    bind_brokers(st, 8, p->elr, p->elr_count);
    bind_brokers(st, 9, p->adding, p->adding_count);
    bind_brokers(st, 10, p->removing, p->removing_count);
    run(s, STATE_PUT_PARTITION);
}

static void put_topic(struct state *s, const struct image *img, struct uuid id)
{
    const struct image_topic *t = image_find_topic_by_id(img, id);
    state_bind_blob(s->statements[STATE_DELETE_PARTITIONS], 1, MAP_KEY(id));
    run(s, STATE_DELETE_PARTITIONS);
    put_configs(s, MAP_KEY(id), t ? t->configs : NULL, t ? t->configs_count : 0);
    if (t == NULL) {
        state_bind_blob(s->statements[STATE_DELETE_TOPIC], 1, MAP_KEY(id));
        run(s, STATE_DELETE_TOPIC);
        return;
    }
    state_bind_blob(s->statements[STATE_PUT_TOPIC], 1, MAP_KEY(id));
    state_bind_text(s->statements[STATE_PUT_TOPIC], 2, t->name);
    run(s, STATE_PUT_TOPIC);
    for (int32_t i = 0; i < t->partitions_count; i++)
        put_partition(s, t, i);
}

static void put_resource(struct state *s, const struct image *img, const struct change *c)
{
    sqlite3_stmt *st = s->statements[STATE_DELETE_RESOURCE];
    sqlite3_bind_int64(st, 1, c->number);
    state_bind_text(st, 2, c->key);
    run(s, STATE_DELETE_RESOURCE);
    const struct image_resource *r = image_find_resource(img, (int8_t)c->number, c->key);
    for (int i = 0; r != NULL && i < r->configs_count; i++) {
        st = s->statements[STATE_PUT_RESOURCE];
        sqlite3_bind_int64(st, 1, c->number);
        state_bind_text(st, 2, c->key);
        state_bind_text(st, 3, r->configs[i].name);
        state_bind_text(st, 4, r->configs[i].value);
        run(s, STATE_PUT_RESOURCE);
    }
}

static void put_group(struct state *s, const struct change *c)
{
    enum state_statement which = slice_is_null(c->value) ? STATE_DELETE_GROUP : STATE_PUT_GROUP;
    state_bind_text(s->statements[which], 1, c->key);
    if (which == STATE_PUT_GROUP)
        state_bind_blob(s->statements[which], 2, c->value);
    run(s, which);
}

static void put_offset(struct state *s, const struct change *c)
{
    enum state_statement which = STATE_PUT_OFFSET;
    if (slice_is_null(c->key)) {
        state_bind_text(s->statements[STATE_DELETE_TOPIC_OFFSETS], 1, c->topic);
        run(s, STATE_DELETE_TOPIC_OFFSETS);
        return;
    }
    if (slice_is_null(c->topic))
        which = STATE_DELETE_OFFSETS;
    else if (c->offset < 0)
        which = STATE_DELETE_OFFSET;
    sqlite3_stmt *st = s->statements[which];
    state_bind_text(st, 1, c->key);
    if (which != STATE_DELETE_OFFSETS) {
        state_bind_text(st, 2, c->topic);
        sqlite3_bind_int(st, 3, c->partition);
    }
    if (which == STATE_PUT_OFFSET) {
        sqlite3_bind_int64(st, 4, c->offset);
        sqlite3_bind_int(st, 5, c->leader_epoch);
        state_bind_text(st, 6, c->value);
        sqlite3_bind_int64(st, 7, c->commit_time_ms);
        sqlite3_bind_int64(st, 8, c->expire_time_ms);
    }
    run(s, which);
}

static void put_txn(struct state *s, const struct change *c)
{
    struct txn *t;
    if (slice_is_null(c->value)) {
        state_bind_text(s->statements[STATE_DELETE_TXN], 1, c->key);
        run(s, STATE_DELETE_TXN);
        return;
    }
    CHECK(txn_decode(c->key, c->value, &t) == 0);
    sqlite3_stmt *st = s->statements[STATE_PUT_TXN];
    state_bind_text(st, 1, c->key);
    sqlite3_bind_int(st, 2, (int)t->state);
    sqlite3_bind_int64(st, 3, t->producer_id);
    sqlite3_bind_int(st, 4, t->epoch);
    sqlite3_bind_int64(st, 5, t->start_ms);
    sqlite3_bind_int64(st, 6, t->updated_ms);
    state_bind_blob(st, 7, c->value);
    run(s, STATE_PUT_TXN);
    txn_free(t);
}

static void put_txn_offset(struct state *s, const struct change *c)
{
    sqlite3_stmt *st = s->statements[STATE_PUT_TXN_OFFSET];
    sqlite3_bind_int64(st, 1, c->number);
    state_bind_text(st, 2, c->key);
    state_bind_text(st, 3, c->topic);
    sqlite3_bind_int(st, 4, c->partition);
    sqlite3_bind_int64(st, 5, c->offset);
    sqlite3_bind_int(st, 6, c->leader_epoch);
    state_bind_text(st, 7, c->value);
    sqlite3_bind_int64(st, 8, c->commit_time_ms);
    sqlite3_bind_int64(st, 9, c->expire_time_ms);
    run(s, STATE_PUT_TXN_OFFSET);
}

static void end_txn_offsets(struct state *s, const struct change *c)
{
    if (c->offset > 0) {
        sqlite3_bind_int64(s->statements[STATE_COMMIT_TXN_OFFSETS], 1, c->number);
        run(s, STATE_COMMIT_TXN_OFFSETS);
    }
    sqlite3_bind_int64(s->statements[STATE_DELETE_TXN_OFFSETS], 1, c->number);
    run(s, STATE_DELETE_TXN_OFFSETS);
}

static void put_slot(struct state *s, const struct image *img, int64_t slot)
{
    CHECK(slot >= 0 && slot < COORDINATOR_SLOTS);
    sqlite3_stmt *st = s->statements[STATE_PUT_SLOT];
    sqlite3_bind_int64(st, 1, slot);
    sqlite3_bind_int(st, 2, img->slots[slot].node_id);
    sqlite3_bind_int(st, 3, img->slots[slot].epoch);
    run(s, STATE_PUT_SLOT);
}

static void put_stream(struct state *s, const struct change *c)
{
    bool forgotten = slice_is_null(c->value);
    sqlite3_stmt *st = s->statements[forgotten ? STATE_DELETE_STREAM : STATE_PUT_STREAM];
    sqlite3_bind_int(st, 1, c->node_id);
    state_bind_blob(st, 2, MAP_KEY(c->incarnation));
    if (forgotten) {
        run(s, STATE_DELETE_STREAM);
        return;
    }
    sqlite3_bind_int64(st, 3, c->number);
    state_bind_blob(st, 4, c->value);
    run(s, STATE_PUT_STREAM);
}

static void put_partition_row(struct state *s, const struct change *c, const struct image *img)
{
    const struct image_topic *t = image_find_topic_by_id(img, c->topic_id);
    if (t != NULL && c->partition < t->partitions_count)
        put_partition(s, t, c->partition);
    /* else: the topic went away later in the same entry; its own change removes the rows. */
}

static void put(struct state *s, const struct change *c, const struct image *img)
{
    switch (c->kind) {
    case CHANGE_CLUSTER:
        put_cluster(s, "cluster_id", img->cluster_id, 0);
        break;
    case CHANGE_BROKER:
        put_broker(s, img, c->node_id);
        break;
    case CHANGE_TOPIC:
        put_topic(s, img, c->topic_id);
        break;
    case CHANGE_PARTITION:
        put_partition_row(s, c, img);
        break;
    case CHANGE_SLOT:
        put_slot(s, img, c->number);
        break;
    case CHANGE_CONFIG:
        put_configs(s, SLICE(""), img->broker_configs, img->broker_configs_count);
        break;
    case CHANGE_RESOURCE:
        put_resource(s, img, c);
        break;
    case CHANGE_PRODUCER_IDS:
        put_cluster(s, "next_producer_id", SLICE_NULL, c->number);
        break;
    case CHANGE_STREAM:
        put_stream(s, c);
        break;
    case CHANGE_GROUP:
        put_group(s, c);
        break;
    case CHANGE_OFFSET:
        put_offset(s, c);
        break;
    case CHANGE_TXN:
        put_txn(s, c);
        break;
    case CHANGE_TXN_OFFSET:
        put_txn_offset(s, c);
        break;
    case CHANGE_TXN_OFFSETS_END:
        end_txn_offsets(s, c);
        break;
    }
}

/* false: the disk is full, and nothing of the transaction is there. */
static bool commit(struct state *s)
{
    int rc = sqlite3_step(s->statements[STATE_COMMIT]);
    if (rc != SQLITE_DONE && (rc & 0xff) != SQLITE_FULL)
        state_fail(s->db, "COMMIT");
    sqlite3_reset(s->statements[STATE_COMMIT]);
    if (rc != SQLITE_DONE && sqlite3_get_autocommit(s->db) == 0 &&
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        state_fail(s->db, "ROLLBACK");
    return rc == SQLITE_DONE;
}

static void await_room(struct state *s, bool *told)
{
    struct timespec pause = {.tv_nsec = ROOM_WAIT_MS * 1000000};
    if (atomic_load(&s->given_up))
        state_fail(s->db, "waiting for room on the disk");
    if (!*told)
        LOG_ERROR("the metadata's disk is full, waiting for room", "path=%s", s->path);
    if (s->disk_full != NULL)
        s->disk_full(s->disk_full_arg);
    nanosleep(&pause, NULL);
    *told = true;
}

void state_give_up(struct state *s)
{
    if (s != NULL)
        atomic_store(&s->given_up, true);
}

static bool apply_once(struct state *s, int64_t index, const struct changes *changes,
                       const struct image *img)
{
    run(s, STATE_BEGIN);
    FOR_EACH (change, changes->list.items, changes->list.count)
        put(s, change, img);
    put_cluster(s, "applied_index", SLICE_NULL, index);
    put_cluster(s, "image_index", SLICE_NULL, img->index);
    return commit(s);
}

void state_apply(struct state *s, int64_t index, const struct changes *changes,
                 const struct image *img)
{
    bool told = false;
    while (changes->list.count > 0 && !apply_once(s, index, changes, img))
        await_room(s, &told);
    if (told)
        LOG_INFO("the metadata's disk has room again", "path=%s", s->path);
}
