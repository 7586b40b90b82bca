/* What the files of the database (state*.c, snapshot.c) share. */
#pragma once

#include <sqlite3.h>

#include "coord/state.h"
#include "proto/base/map.h"

enum state_statement {
    STATE_BEGIN,
    STATE_COMMIT,
    STATE_PUT_CLUSTER,
    STATE_PUT_BROKER,
    STATE_DELETE_BROKER,
    STATE_PUT_ENDPOINT,
    STATE_DELETE_ENDPOINTS,
    STATE_PUT_TOPIC,
    STATE_DELETE_TOPIC,
    STATE_PUT_PARTITION,
    STATE_DELETE_PARTITIONS,
    STATE_PUT_CONFIG,
    STATE_DELETE_CONFIGS,
    STATE_PUT_RESOURCE,
    STATE_DELETE_RESOURCE,
    STATE_PUT_GROUP,
    STATE_DELETE_GROUP,
    STATE_PUT_OFFSET,
    STATE_DELETE_OFFSET,
    STATE_DELETE_OFFSETS,
    STATE_DELETE_TOPIC_OFFSETS,
    STATE_PUT_TXN,
    STATE_DELETE_TXN,
    STATE_PUT_TXN_OFFSET,
    STATE_COMMIT_TXN_OFFSETS,
    STATE_DELETE_TXN_OFFSETS,
    STATE_PUT_SLOT,
    STATE_PUT_STREAM,
    STATE_DELETE_STREAM,
    STATE_STATEMENTS
};

#define STATE_READERS_KEPT 8

struct state_reader {
    sqlite3 *db;
    sqlite3_stmt *offset, *offsets, *group, *groups, *txn, *txns, *pending;
};

struct state {
    char *path;                                 /* constant after open */
    sqlite3 *db;                                /* QUORUM only */
    sqlite3_stmt *statements[STATE_STATEMENTS]; /* QUORUM only */
    void (*disk_full)(void *arg);               /* constant; NULL: none */
    void *disk_full_arg;
    _Atomic bool given_up;
    struct mutex lock;
    struct state_reader *readers[STATE_READERS_KEPT]; /* idle ones; guarded by lock */
    int readers_count;                                /* guarded by lock */
};

/* Stop the process: the database must not miss anything. */
void state_fail(sqlite3 *db, const char *what) __attribute__((noreturn));
/* CHECKed prepare and step of own statements on own data. */
sqlite3_stmt *state_prepare(sqlite3 *db, const char *sql);
bool state_step(sqlite3 *db, sqlite3_stmt *statement);
void state_bind_text(sqlite3_stmt *statement, int at, struct slice text);
void state_bind_blob(sqlite3_stmt *statement, int at, struct slice blob);
/* Null where the column is NULL; valid until the next step. */
struct slice state_column(sqlite3_stmt *statement, int at);
/* A read-only connection, or NULL, logged. */
sqlite3 *state_connect(struct state *s);
void state_readers_free(struct state *s);
