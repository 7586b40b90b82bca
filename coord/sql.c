/* The metadata database, read with SQL. */
#include "coord/sql.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "proto/base/slice.h"

/* Sixteen bytes are an id (of topics, of incarnations); other bytes come as hex. */
static void print_blob(const uint8_t *bytes, int size, FILE *out)
{
    if (size == (int)sizeof(struct uuid)) {
        struct uuid id;
        char text[UUID_TEXT_SIZE];
        memcpy(&id, bytes, sizeof(id));
        uuid_to_text(id, text);
        fputs(text, out);
        return;
    }
    for (int i = 0; i < size; i++)
        fprintf(out, "%02x", bytes[i]);
}

static void print_row(sqlite3_stmt *row, FILE *out)
{
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        if (i > 0)
            fputc('\t', out);
        if (sqlite3_column_type(row, i) == SQLITE_BLOB)
            print_blob(sqlite3_column_blob(row, i), sqlite3_column_bytes(row, i), out);
        else if (sqlite3_column_type(row, i) != SQLITE_NULL)
            fputs((const char *)sqlite3_column_text(row, i), out);
    }
    fputc('\n', out);
}

static int print_all(sqlite3 *db, const char *query, FILE *out)
{
    sqlite3_stmt *row = NULL;
    int rc = sqlite3_prepare_v2(db, query, -1, &row, NULL);
    if (rc == SQLITE_OK && row == NULL)
        return 0; /* nothing but white space or a comment */
    for (int i = 0; rc == SQLITE_OK && i < sqlite3_column_count(row); i++)
        fprintf(out, "%s%s", sqlite3_column_name(row, i),
                i + 1 < sqlite3_column_count(row) ? "\t" : "\n");
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(row);
        if (rc == SQLITE_ROW)
            print_row(row, out);
    }
    sqlite3_finalize(row);
    if (rc == SQLITE_DONE)
        return 0;
    fprintf(stderr, "millrace: %s\n", sqlite3_errmsg(db));
    return -EINVAL;
}

int sql_run(const char *quorum_dir, const char *query, FILE *out)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/metadata.db", quorum_dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    sqlite3 *db = NULL;
    int result = -ENOENT;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(db, 5000) == SQLITE_OK)
        result = print_all(db, query, out);
    else
        fprintf(stderr, "millrace: cannot open %s: %s\n", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    return result;
}
