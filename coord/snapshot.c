/*
 * Snapshots: the serialized database, compressed.
 *
 *     "MRS1" | version int32 | raw size int64 | packed size int64 | LZ4 block | zero padding to 8
 */
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <raft.h>
#include <stdlib.h>

#include "coord/state_internal.h"
#include "proto/base/logging.h"
#include "proto/wire.h"

#define SNAPSHOT_HEADER  24
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_RAW_MAX (1LL << 30)
/* Offsets in a database file: the format for writing and for reading; 1 is no WAL. */
#define SNAPSHOT_FORMAT_1 18
#define SNAPSHOT_FORMAT_2 19

struct state_pin {
    sqlite3 *db;
};

struct state_pin *state_pin(struct state *s)
{
    struct state_pin *pin = mem_zalloc(sizeof(*pin));
    pin->db = state_connect(s);
    if (pin->db == NULL)
        state_fail(s->db, "pin");
    /* A read transaction holds what it first read until it ends. */
    if (sqlite3_exec(pin->db, "BEGIN; SELECT count(*) FROM cluster", NULL, NULL, NULL) != SQLITE_OK)
        state_fail(pin->db, "pin");
    return pin;
}

void state_pin_free(struct state_pin *pin)
{
    if (pin == NULL)
        return;
    sqlite3_close(pin->db);
    free(pin);
}

void state_pin_encode(struct state_pin *pin, void **data, size_t *size)
{
    sqlite3_int64 raw_size = 0;
    unsigned char *raw = sqlite3_serialize(pin->db, "main", &raw_size, 0);
    if (raw == NULL || raw_size < 512 || raw_size > SNAPSHOT_RAW_MAX)
        state_fail(pin->db, "serialize");
    /* The image of a WAL database cannot be opened from memory unless it says that it is none. */
    raw[SNAPSHOT_FORMAT_1] = raw[SNAPSHOT_FORMAT_2] = 1;

    int bound = LZ4_compressBound((int)raw_size);
    size_t capacity = SNAPSHOT_HEADER + (size_t)bound + 8;
    uint8_t *out = raft_malloc(capacity);
    CHECK(out != NULL);
    int packed = LZ4_compress_default((const char *)raw, (char *)out + SNAPSHOT_HEADER,
                                      (int)raw_size, bound);
    CHECK(packed > 0);
    memcpy(out, "MRS1", 4);
    wire_store(out + 4, SNAPSHOT_VERSION, 4);
    wire_store(out + 8, (uint64_t)raw_size, 8);
    wire_store(out + 16, (uint64_t)packed, 8);
    size_t used = SNAPSHOT_HEADER + (size_t)packed;
    size_t padded = (used + 7) & ~(size_t)7;
    memset(out + used, 0, padded - used);
    sqlite3_free(raw);
    *data = out;
    *size = padded;
}

static unsigned char *unpack(struct slice bytes, sqlite3_int64 *raw_size)
{
    if (bytes.size < SNAPSHOT_HEADER || memcmp(bytes.data, "MRS1", 4) != 0 ||
        wire_load(bytes.data + 4, 4) != SNAPSHOT_VERSION)
        return NULL;
    uint64_t size = wire_load(bytes.data + 8, 8), packed = wire_load(bytes.data + 16, 8);
    if (size < 512 || size > SNAPSHOT_RAW_MAX || packed > bytes.size - SNAPSHOT_HEADER)
        return NULL;
    unsigned char *raw = sqlite3_malloc64(size);
    CHECK(raw != NULL);
    int got = LZ4_decompress_safe((const char *)bytes.data + SNAPSHOT_HEADER, (char *)raw,
                                  (int)packed, (int)size);
    if (got < 0 || (uint64_t)got != size) {
        sqlite3_free(raw);
        return NULL;
    }
    *raw_size = (sqlite3_int64)size;
    return raw;
}

static bool copy_database(sqlite3 *to, sqlite3 *from)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL)
        return false;
    int rc = sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE;
}

int state_restore(struct state *s, struct slice snapshot)
{
    sqlite3_int64 size;
    unsigned char *raw = unpack(snapshot, &size);
    if (raw == NULL) {
        LOG_ERROR("cannot read the snapshot", "size=%zu reason=malformed", snapshot.size);
        return -EBADMSG;
    }
    sqlite3 *memory;
    if (sqlite3_open(":memory:", &memory) != SQLITE_OK)
        state_fail(memory, "restore");
    if (sqlite3_deserialize(memory, "main", raw, size, size,
                            SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY) !=
        SQLITE_OK)
        state_fail(memory, "deserialize");
    if (!copy_database(s->db, memory))
        state_fail(s->db, "restore");
    sqlite3_close(memory);
    return 0;
}
