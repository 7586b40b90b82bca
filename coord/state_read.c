/*
 * Reads of group state from any thread. A connection is borrowed for one read and given back; what
 * does not fit into the pool is closed. WAL readers never wait for the writer.
 */
#include <errno.h>
#include <stdlib.h>

#include "coord/state_internal.h"
#include "proto/base/logging.h"

#define OFFSET_COLUMNS                                                                             \
    "topic, partition, committed_offset, leader_epoch, metadata, commit_time_ms, expire_time_ms"

sqlite3 *state_connect(struct state *s)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(s->path, &db, flags, NULL) != SQLITE_OK) {
        LOG_WARN("could not open the metadata database for reading", "path=%s error=\"%s\"",
                 s->path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, 5000);
    return db;
}

static void reader_free(struct state_reader *r)
{
    sqlite3_finalize(r->offset);
    sqlite3_finalize(r->offsets);
    sqlite3_finalize(r->group);
    sqlite3_finalize(r->groups);
    sqlite3_finalize(r->txn);
    sqlite3_finalize(r->txns);
    sqlite3_finalize(r->pending);
    sqlite3_close(r->db);
    free(r);
}

static bool reader_prepare(struct state_reader *r)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } list[] = {
        {&r->offset, "SELECT " OFFSET_COLUMNS " FROM group_offsets"
                     " WHERE group_id=? AND topic=? AND partition=?"},
        {&r->offsets, "SELECT " OFFSET_COLUMNS " FROM group_offsets WHERE group_id=?"
                      " ORDER BY topic, partition"},
        {&r->group, "SELECT value FROM \"groups\" WHERE group_id=?"},
        {&r->groups, "SELECT group_id FROM \"groups\" UNION SELECT DISTINCT group_id"
                     " FROM group_offsets ORDER BY 1"},
        {&r->txn, "SELECT value FROM transactions WHERE transactional_id=?"},
        {&r->txns, "SELECT transactional_id, value FROM transactions"
                   " WHERE state BETWEEN ? AND ? ORDER BY transactional_id"},
        {&r->pending, "SELECT " OFFSET_COLUMNS " FROM txn_offsets WHERE group_id=?"
                      " ORDER BY topic, partition"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        if (sqlite3_prepare_v3(r->db, list[i].sql, -1, SQLITE_PREPARE_PERSISTENT, list[i].statement,
                               NULL) != SQLITE_OK) {
            LOG_WARN("could not read the metadata database", "error=\"%s\"", sqlite3_errmsg(r->db));
            return false;
        }
    }
    return true;
}

static struct state_reader *reader_borrow(struct state *s)
{
    struct state_reader *r = NULL;
    mutex_lock(&s->lock);
    if (s->readers_count > 0)
        r = s->readers[--s->readers_count];
    mutex_unlock(&s->lock);
    if (r != NULL)
        return r;
    r = mem_zalloc(sizeof(*r));
    r->db = state_connect(s);
    if (r->db != NULL && reader_prepare(r))
        return r;
    reader_free(r);
    return NULL;
}

/* 0 or -EIO by how the statement ended. */
static int reader_return(struct state *s, struct state_reader *r, sqlite3_stmt *st, int rc)
{
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        LOG_WARN("could not read the metadata database", "error=\"%s\"", sqlite3_errmsg(r->db));
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    mutex_lock(&s->lock);
    bool keep = s->readers_count < STATE_READERS_KEPT;
    if (keep)
        s->readers[s->readers_count++] = r;
    mutex_unlock(&s->lock);
    if (!keep)
        reader_free(r);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -EIO;
}

void state_readers_free(struct state *s)
{
    for (int i = 0; i < s->readers_count; i++)
        reader_free(s->readers[i]);
    s->readers_count = 0;
}

static struct committed_offset offset_row(sqlite3_stmt *st, struct arena *arena)
{
    return (struct committed_offset){.topic = arena_copy(arena, state_column(st, 0)),
                                     .partition = sqlite3_column_int(st, 1),
                                     .offset = sqlite3_column_int64(st, 2),
                                     .leader_epoch = sqlite3_column_int(st, 3),
                                     .metadata = arena_copy(arena, state_column(st, 4)),
                                     .commit_time_ms = sqlite3_column_int64(st, 5),
                                     .expire_time_ms = sqlite3_column_int64(st, 6)};
}

int state_read_offset(struct state *s, struct slice group, struct slice topic, int32_t partition,
                      struct arena *arena, struct committed_offset *out)
{
    *out = (struct committed_offset){
        .topic = topic, .partition = partition, .offset = -1, .leader_epoch = -1};
    struct state_reader *r = reader_borrow(s);
    if (r == NULL)
        return -EIO;
    state_bind_text(r->offset, 1, group);
    state_bind_text(r->offset, 2, topic);
    sqlite3_bind_int(r->offset, 3, partition);
    int rc = sqlite3_step(r->offset);
    if (rc == SQLITE_ROW)
        *out = offset_row(r->offset, arena);
    return reader_return(s, r, r->offset, rc);
}

static int read_offsets(struct state *s, struct state_reader *r, sqlite3_stmt *st,
                        struct slice group, struct arena *arena, struct committed_offset **out,
                        int *count)
{
    VEC(struct committed_offset) list = {0};
    state_bind_text(st, 1, group);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        vec_push(&list, offset_row(st, arena));
    if (list.count > 0) {
        *out = arena_need(arena, list.count * sizeof(*list.items));
        memcpy(*out, list.items, list.count * sizeof(*list.items));
    }
    *count = (int)list.count;
    vec_deinit(&list);
    return reader_return(s, r, st, rc);
}

int state_read_offsets(struct state *s, struct slice group, struct arena *arena,
                       struct committed_offset **out, int *count)
{
    *out = NULL;
    *count = 0;
    struct state_reader *r = reader_borrow(s);
    return r == NULL ? -EIO : read_offsets(s, r, r->offsets, group, arena, out, count);
}

int state_read_pending_offsets(struct state *s, struct slice group, struct arena *arena,
                               struct committed_offset **out, int *count)
{
    *out = NULL;
    *count = 0;
    struct state_reader *r = reader_borrow(s);
    return r == NULL ? -EIO : read_offsets(s, r, r->pending, group, arena, out, count);
}

int state_read_txn(struct state *s, struct slice id, struct arena *arena, struct slice *blob)
{
    *blob = SLICE_NULL;
    struct state_reader *r = reader_borrow(s);
    if (r == NULL)
        return -EIO;
    state_bind_text(r->txn, 1, id);
    int rc = sqlite3_step(r->txn);
    if (rc == SQLITE_ROW)
        *blob = arena_copy(arena, state_column(r->txn, 0));
    return reader_return(s, r, r->txn, rc);
}

int state_list_txns(struct state *s, int state_min, int state_max, struct arena *arena,
                    struct stored_txn **out, int *count)
{
    *out = NULL;
    *count = 0;
    struct state_reader *r = reader_borrow(s);
    if (r == NULL)
        return -EIO;
    VEC(struct stored_txn) list = {0};
    sqlite3_bind_int(r->txns, 1, state_min);
    sqlite3_bind_int(r->txns, 2, state_max);
    int rc;
    while ((rc = sqlite3_step(r->txns)) == SQLITE_ROW) {
        struct stored_txn txn = {arena_copy(arena, state_column(r->txns, 0)),
                                 arena_copy(arena, state_column(r->txns, 1))};
        vec_push(&list, txn);
    }
    if (list.count > 0) {
        *out = arena_need(arena, list.count * sizeof(*list.items));
        memcpy(*out, list.items, list.count * sizeof(*list.items));
    }
    *count = (int)list.count;
    vec_deinit(&list);
    return reader_return(s, r, r->txns, rc);
}

int state_read_group(struct state *s, struct slice group, struct arena *arena, struct slice *blob)
{
    *blob = SLICE_NULL;
    struct state_reader *r = reader_borrow(s);
    if (r == NULL)
        return -EIO;
    state_bind_text(r->group, 1, group);
    int rc = sqlite3_step(r->group);
    if (rc == SQLITE_ROW)
        *blob = arena_copy(arena, state_column(r->group, 0));
    return reader_return(s, r, r->group, rc);
}

int state_list_groups(struct state *s, struct arena *arena, struct slice **ids, int *count)
{
    *ids = NULL;
    *count = 0;
    struct state_reader *r = reader_borrow(s);
    if (r == NULL)
        return -EIO;
    VEC(struct slice) list = {0};
    int rc;
    while ((rc = sqlite3_step(r->groups)) == SQLITE_ROW)
        vec_push(&list, arena_copy(arena, state_column(r->groups, 0)));
    if (list.count > 0) {
        *ids = arena_need(arena, list.count * sizeof(*list.items));
        memcpy(*ids, list.items, list.count * sizeof(*list.items));
    }
    *count = (int)list.count;
    vec_deinit(&list);
    return reader_return(s, r, r->groups, rc);
}
