/*
 * 20,000 partitions under a limit of 4,096 descriptors: all take a record, all are read, and again
 * after a restart.   many [PARTITIONS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "replication/log_internal.h"
#include "replication/replicas.h"

#define PARTITIONS      20000
#define DESCRIPTORS     4096
#define READS_HELD      500
#define START_TIMESTAMP INT64_C(1700000000000)

static const struct uuid topic_id = {{9}};
static char folder[64];

static struct replicas *start(void)
{
    struct replicas *rs;
    const char *dirs[] = {folder};
    struct replicas_options options = {
        .node_id = 1,
        .log_dirs = dirs,
        .log_dirs_count = 1,
        .flush_threads = 2,
        .checkpoint_interval_ms = 2000,
        .retention_check_interval_ms = 3600000,
    };
    CHECK(replicas_open(&options, &fs_real, &rs) == ERR_NONE);
    return rs;
}

static void create(struct replicas *rs, int32_t i)
{
    struct partition_state state = {.leader = 1,
                                    .leader_epoch = 1,
                                    .partition_epoch = 1,
                                    .replicas = {1},
                                    .replicas_count = 1,
                                    .isr = {1},
                                    .isr_count = 1};
    struct partition_config config = {
        .log = log_config_default(), .min_insync_replicas = 1, .replica_lag_time_max_ms = 30000};
    CHECK(replicas_apply(rs, SLICE("many"), topic_id, i, &state, &config) == ERR_NONE);
}

static void append(struct replicas *rs, int32_t i, struct slice batch)
{
    struct replica *r = replicas_find(rs, topic_id, i);
    struct partition_append_result out;
    struct batch_header h;
    uint8_t *copy = mem_alloc(batch.size);
    memcpy(copy, batch.data, batch.size);
    CHECK(r != NULL && batch_header_decode(batch, &h) == 0);
    CHECK(replica_append(rs, r, copy, batch.size, &h, 1, &out) == ERR_NONE);
    free(copy);
    replica_unref(r);
}

static void give_back(struct log_read *read)
{
    if (read->range.size > 0)
        read->range.release(read->range.owner);
}

/* Every partition is read to its end; the newest READS_HELD reads are kept, as by slow clients. */
static void read_all(struct replicas *rs, int partitions, int64_t records)
{
    static struct log_read held[READS_HELD];
    memset(held, 0, sizeof(held));
    for (int32_t i = 0; i < partitions; i++) {
        struct replica *r = replicas_find(rs, topic_id, i);
        struct log_read_limits limits = {.end_offset = records, .bytes_max = 100000};
        struct log_read *read = &held[i % READS_HELD];
        uint8_t byte;
        CHECK(r != NULL);
        give_back(read);
        mutex_lock(&r->lock);
        CHECK(r->partition != NULL);
        struct log *log = partition_log(r->partition);
        CHECK(log_end_offset(log) == records);
        CHECK(log_read(log, 0, &limits, read) == ERR_NONE && read->range.size > 0);
        mutex_unlock(&r->lock);
        CHECK(pread(read->range.fd, &byte, 1, read->range.position + read->range.size - 1) == 1);
        replica_unref(r);
    }
    for (int i = 0; i < READS_HELD; i++)
        give_back(&held[i]);
}

static void tell(const char *what, int64_t since_ms)
{
    printf("%s: %" PRId64 " ms\n", what, clock_monotonic_ms() - since_ms);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int partitions = argc > 1 ? atoi(argv[1]) : PARTITIONS;
    struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    log_set_level(LOG_LEVEL_WARN);
    /* In memory where there is such a folder: 20,000 new logs are 60,000 syncs. */
    snprintf(folder, sizeof(folder), "%s/millrace-many-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder) != NULL);

    struct batch_builder b;
    struct buffer batch = {0};
    batch_builder_init(&b);
    batch_builder_append(&b, START_TIMESTAMP, SLICE_NULL, SLICE("one of many"), SLICE_NULL, 0);
    CHECK(batch_builder_finish(&b, CODEC_NONE, CODEC_LEVEL_DEFAULT, &batch) == 0);
    batch_builder_deinit(&b);

    int64_t since_ms = clock_monotonic_ms();
    struct replicas *rs = start();
    for (int32_t i = 0; i < partitions; i++) {
        create(rs, i);
        append(rs, i, buffer_slice(&batch));
    }
    tell("create", since_ms);
    since_ms = clock_monotonic_ms();
    read_all(rs, partitions, 1);
    tell("read", since_ms);
    since_ms = clock_monotonic_ms();
    replicas_close(rs);
    tell("stop", since_ms);
    since_ms = clock_monotonic_ms();
    rs = start();
    tell("start", since_ms);
    for (int32_t i = 0; i < partitions; i++) {
        create(rs, i);
        append(rs, i, buffer_slice(&batch));
    }
    read_all(rs, partitions, 2);
    replicas_close(rs);
    buffer_deinit(&batch);

    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : 1;
}
