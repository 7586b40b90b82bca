/*
 * The replicated state machine: commands in, the next image and the rows that changed out.
 *
 * Pure and deterministic: every node applies the same commands in the same order and must come to
 * the same state, byte for byte. No clock (commands carry times), no randomness (they carry ids),
 * no addresses. Leader election, placement of replicas and coordinator slots happen here, when a
 * command is applied, on the committed state: so there is no decision that a deposed controller
 * could make.
 *
 * A command never fails softly: a refused one changes nothing and yields an error code for its
 * submitter, with a reason as value.
 */
#pragma once

#include "coord/command.h"
#include "coord/image.h"
#include "proto/base/arena.h"
#include "proto/base/vec.h"

struct metadata;

enum change_kind {
    CHANGE_CLUSTER,      /* cluster id */
    CHANGE_BROKER,       /* row of node_id (removed when no longer in the image) */
    CHANGE_TOPIC,        /* topic row, all partitions and configs of topic_id (removed likewise) */
    CHANGE_PARTITION,    /* one partition row of topic_id */
    CHANGE_SLOT,         /* slot number in `number` */
    CHANGE_CONFIG,       /* cluster-wide broker configs */
    CHANGE_RESOURCE,     /* settings of a resource: kind in `number`, name in `key` */
    CHANGE_PRODUCER_IDS, /* next producer id in `number` */
    CHANGE_STREAM, /* a submitter's last batch: node_id, incarnation, sequence in `number`, value */
    CHANGE_GROUP,  /* group row: key group id, value blob (null: deleted) */
    CHANGE_OFFSET, /* committed offset: see struct change */
    CHANGE_TXN,    /* transactional id in `key`, its state in `value` (null: forgotten) */
    CHANGE_TXN_OFFSET,     /* as CHANGE_OFFSET, once the transaction of producer `number` commits */
    CHANGE_TXN_OFFSETS_END /* those of producer `number`: `offset` 1 commits, 0 drops them */
};

struct change {
    enum change_kind kind;
    struct uuid topic_id;
    struct uuid incarnation;
    int32_t node_id;
    int32_t partition;
    int64_t number;
    struct slice key;   /* group id */
    struct slice topic; /* CHANGE_OFFSET: topic name; null with a null value: all of the group; with
                           a null key: all groups' offsets of this topic go */
    struct slice value; /* blob or results, in the arena of the apply */
    int64_t offset;     /* CHANGE_OFFSET; -1 deletes the row */
    int32_t leader_epoch;
    int64_t commit_time_ms;
    int64_t expire_time_ms; /* -1: by offsets.retention.minutes */
};

/* The value of CHANGE_STREAM: so many opaque bytes, then the encoded results. Null: forgotten. */
#define STREAM_PREFIX 8

struct changes {
    VEC(struct change) list;
};

struct metadata *metadata_new(void);
void metadata_free(struct metadata *m);

/* Apply one log entry (batches, see command.h) at `index`. `arena` lives until the caller has used
 * results and changes, and `entry` as long; both lists are appended to. results: one per command,
 * batch after batch. A batch that was applied already (its fate was unknown, so its sender repeats
 * it) answers the stored results; one that is older still, ERR_INVALID_REQUEST. A malformed entry
 * is a broken invariant (it was checked before it was proposed). */
void metadata_apply(struct metadata *m, int64_t index, struct slice entry, struct arena *arena,
                    struct changes *changes, struct command_results *results);

/* The image after the last apply; a new reference. The same one as before when no command changed
 * it (offset commits and groups do not). */
struct image *metadata_image(struct metadata *m);

/* For rebuilding from a snapshot: rows in, in any order, then metadata_load_done(). Takes copies.
 */
void metadata_load_cluster(struct metadata *m, struct slice cluster_id, int64_t index,
                           int64_t next_producer_id);
void metadata_load_broker(struct metadata *m, const struct image_broker *broker);
void metadata_load_topic(struct metadata *m, const struct image_topic *topic);
void metadata_load_slot(struct metadata *m, int slot, const struct image_slot *value);
void metadata_load_broker_config(struct metadata *m, struct slice name, struct slice value);
/* One setting of a resource. */
void metadata_load_resource(struct metadata *m, int8_t kind, struct slice name,
                            struct image_config config);
void metadata_load_stream(struct metadata *m, int32_t node_id, struct uuid incarnation,
                          int64_t sequence, struct slice results);
/* One transactional id (txn.h); bytes that do not decode are a broken invariant. */
void metadata_load_txn(struct metadata *m, struct slice id, struct slice value);
void metadata_load_done(struct metadata *m);

int64_t metadata_next_producer_id(const struct metadata *m);

/* Of everything that has to be equal on all nodes after the same entries (F109). */
uint64_t metadata_digest(const struct metadata *m);

/* What creating this topic would answer, without doing it (validate_only, early refusals). */
enum error_code metadata_check_create_topic(const struct image *img, const struct create_topic *c,
                                            char reason[200]) MUST_CHECK;
/* The same for more partitions. */
enum error_code metadata_check_create_partitions(const struct image *img,
                                                 const struct create_partitions *c,
                                                 char reason[200]) MUST_CHECK;
/* The same for settings; c->topic null: cluster-wide. */
enum error_code metadata_check_alter_configs(const struct image *img, const struct alter_configs *c,
                                             char reason[200]) MUST_CHECK;
enum error_code metadata_check_alter_resource(const struct image *img,
                                              const struct alter_resource *c,
                                              char reason[200]) MUST_CHECK;
enum error_code metadata_check_alter_reassignment(const struct image *img,
                                                  const struct alter_reassignment *c,
                                                  char reason[200]) MUST_CHECK;
