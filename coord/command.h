/*
 * Metadata commands: what a node asks the replicated state machine (metadata.h) to do.
 *
 * One Raft entry holds the batches of several nodes:
 *
 *     entry = [batch count] batch*        batch = {node id, incarnation, sequence, commands[]}
 *
 * A node submits one batch at a time with growing sequence; a repeated sequence is answered from
 * the stored results. A command is one byte of kind, its fields in Kafka's flexible encoding, and
 * tagged fields, so that a later version can add some. Padding with fewer than 8 zero bytes may
 * follow an entry.
 *
 * Slices of a decoded command borrow the bytes it was decoded from; arrays lie in the arena.
 */
#pragma once

#include "coord/image.h"
#include "proto/base/arena.h"
#include "proto/base/buffer.h"
#include "proto/base/vec.h"
#include "proto/errors.h"

/* X(KIND, number, name, struct) */
#define COMMANDS(X)                                                                                \
    X(FORM_CLUSTER, 1, form_cluster, form_cluster)                                                 \
    X(REGISTER_BROKER, 2, register_broker, register_broker)                                        \
    X(FENCE_BROKER, 3, fence_broker, broker_change)                                                \
    X(UNFENCE_BROKER, 4, unfence_broker, broker_change)                                            \
    X(SHUTDOWN_BROKER, 5, shutdown_broker, broker_change)                                          \
    X(UNREGISTER_BROKER, 6, unregister_broker, broker_change)                                      \
    X(CREATE_TOPIC, 7, create_topic, create_topic)                                                 \
    X(DELETE_TOPIC, 8, delete_topic, delete_topic)                                                 \
    X(CREATE_PARTITIONS, 9, create_partitions, create_partitions)                                  \
    X(ALTER_CONFIGS, 10, alter_configs, alter_configs)                                             \
    X(ALTER_PARTITION, 11, alter_partition, alter_partition)                                       \
    X(ELECT_LEADERS, 12, elect_leaders, elect_leaders)                                             \
    X(ALLOCATE_PRODUCER_IDS, 13, allocate_producer_ids, allocate_producer_ids)                     \
    X(PUT_GROUP, 14, put_group, put_group)                                                         \
    X(COMMIT_OFFSETS, 15, commit_offsets, commit_offsets)                                          \
    X(DELETE_OFFSETS, 16, delete_offsets, delete_offsets)                                          \
    X(ALTER_RESOURCE, 20, alter_resource, alter_resource)                                          \
    X(ALTER_REASSIGNMENT, 21, alter_reassignment, alter_reassignment)                              \
    X(REPLICA_FAILED, 22, replica_failed, replica_failed)                                          \
    X(INIT_TXN_PRODUCER, 30, init_txn_producer, init_txn_producer)                                 \
    X(ADD_TO_TXN, 31, add_to_txn, add_to_txn)                                                      \
    X(COMMIT_TXN_OFFSETS, 32, commit_txn_offsets, commit_txn_offsets)                              \
    X(END_TXN, 33, end_txn, end_txn)                                                               \
    X(TIME_OUT_TXN, 34, time_out_txn, time_out_txn)                                                \
    X(COMPLETE_TXN, 35, complete_txn, complete_txn)                                                \
    X(FORGET_TXN, 36, forget_txn, forget_txn)

enum command_kind {
#define COMMAND_KIND(KIND, number, name, type) COMMAND_##KIND = number,
    COMMANDS(COMMAND_KIND)
#undef COMMAND_KIND
};

/* A refused command answers with its error code and, as value, a text for the client (may be null).
 */

/* The first entry of a new cluster. configs: cluster-wide settings to begin with (may be none).
 * ERR_INVALID_REQUEST with the existing cluster id as value when there is one already. */
struct form_cluster {
    struct slice cluster_id;
    int64_t time_ms;
    struct image_config *configs;
    int32_t configs_count;
};

/* Value: the new broker epoch (command_value_int64). The same incarnation again answers its epoch.
 * clean_epoch: the broker epoch under which this broker last stopped cleanly, -1: it did not.
 * ERR_DUPLICATE_BROKER_REGISTRATION while another incarnation is unfenced. */
struct register_broker {
    int32_t node_id;
    struct uuid incarnation;
    int64_t clean_epoch;
    struct slice rack; /* nullable */
    struct image_endpoint *endpoints;
    int32_t endpoints_count;
};

/* Fence: it leaves every ISR and leadership at once. Unfence. Shut down: leaderships and ISR places
 * go elsewhere, the broker stays reachable. Unregister: forget it. ERR_STALE_BROKER_EPOCH when
 * broker_epoch is not -1 and not the current one. */
struct broker_change {
    int32_t node_id;
    int64_t broker_epoch;
};

struct command_assignment {
    int32_t partition_index;
    int32_t *broker_ids;
    int32_t broker_ids_count;
};

/* partitions, replication_factor: -1 means the cluster-wide default, and must be so with
 * assignments. */
struct create_topic {
    struct slice name;
    struct uuid topic_id; /* made by the submitter */
    int32_t partitions;
    int16_t replication_factor;
    struct command_assignment *assignments;
    int32_t assignments_count;
    struct image_config *configs; /* value null: refused */
    int32_t configs_count;
};

struct delete_topic {
    struct uuid topic_id;
};

struct create_partitions {
    struct slice topic;
    int32_t count; /* in all, afterwards */
    struct command_assignment
        *assignments; /* of the new partitions, in order; count -1: none given */
    int32_t assignments_count;
};

enum config_operation { CONFIG_SET, CONFIG_DELETE, CONFIG_APPEND, CONFIG_SUBTRACT };

struct command_config_op {
    struct slice name;
    int8_t operation;   /* enum config_operation */
    struct slice value; /* nullable */
};

struct alter_configs {
    struct slice topic; /* null: the cluster-wide broker defaults */
    bool replace_all;   /* AlterConfigs: what is not SET here is deleted */
    struct command_config_op *ops;
    int32_t ops_count;
};

/* Settings of what is neither a topic nor cluster-wide: see image_resources.h for the kinds. What a
 * broker is told is checked as cluster-wide settings are; the rest is the submitter's business. */
struct alter_resource {
    int8_t kind; /* enum image_resource_kind */
    struct slice name;
    bool replace_all;
    struct command_config_op *ops;
    int32_t ops_count;
};

/* One partition's new replicas (KIP-455), in order of preference; -1: back to what they were.
 *   ERR_INVALID_REPLICA_ASSIGNMENT, ERR_NO_REASSIGNMENT_IN_PROGRESS,
 *   ERR_INVALID_REPLICATION_FACTOR when their number changes and may not */
struct alter_reassignment {
    struct slice topic;
    int32_t partition;
    int32_t *replicas;
    int32_t replicas_count;
    bool allow_factor_change;
};

struct command_isr_member {
    int32_t node_id;
    int64_t broker_epoch; /* -1: not checked */
};

/* A leader's proposal for its ISR (KIP-497, 841, 903): compare and set. */
struct alter_partition {
    int32_t node_id;      /* the leader */
    int64_t broker_epoch; /* of the leader */
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch;
    int32_t partition_epoch;
    struct command_isr_member *isr;
    int32_t isr_count;
};

/* The disk under a replica of this broker failed: it can neither lead nor follow. Nothing changes
 * when that is known. With `serves` it is only damaged: ERR_INELIGIBLE_REPLICA when it is the last
 * one in sync. ERR_STALE_BROKER_EPOCH after the broker started again. */
struct replica_failed {
    int32_t node_id;
    int64_t broker_epoch;
    struct uuid topic_id;
    int32_t partition;
    bool serves;
};

struct command_partition {
    struct slice topic;
    int32_t partition;
};

/* Value: the error code of each given partition, in order (command_value_error). */
struct elect_leaders {
    bool unclean; /* else: preferred */
    struct command_partition *partitions;
    int32_t partitions_count; /* -1: all */
};

#define PRODUCER_ID_BLOCK 1000

/* Value: the first producer id of a block of PRODUCER_ID_BLOCK (command_value_int64). */
struct allocate_producer_ids {
    int32_t node_id;
};

/* All group commands: ERR_NOT_COORDINATOR unless slot_epoch is the slot's current one. */
struct put_group {
    int32_t slot;
    int32_t slot_epoch;
    struct slice group;
    struct slice value; /* the group's state; null deletes it */
};

struct command_offset {
    struct slice topic;
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch;
    struct slice metadata; /* nullable */
    int64_t commit_time_ms;
    int64_t expire_time_ms; /* -1: by offsets.retention.minutes */
};

struct commit_offsets {
    int32_t slot;
    int32_t slot_epoch;
    struct slice group;
    struct command_offset *offsets;
    int32_t offsets_count;
};

struct delete_offsets {
    int32_t slot;
    int32_t slot_epoch;
    struct slice group;
    struct command_partition *partitions;
    int32_t partitions_count; /* -1: all of the group */
};

/*
 * Transactions (txn.h). Decided on the committed state when applied, so no slot's epoch is needed:
 * whoever asks, the answer is the same. Errors are those of txn.h; an unknown transactional id is
 * ERR_INVALID_PRODUCER_ID_MAPPING. Values of INIT, END, TIME_OUT and COMPLETE: command_value_txn().
 */
struct init_txn_producer {
    struct slice transactional_id;
    int32_t timeout_ms;
    int64_t producer_id; /* what it has, -1: nothing */
    int16_t epoch;
    int64_t now_ms;
};

struct command_txn_producer {
    struct slice transactional_id;
    int64_t producer_id;
    int16_t epoch;
};

struct command_txn_partition {
    struct uuid topic_id;
    int32_t partition;
};

/* verify_only: value is the error of each partition (command_value_error),
 * ERR_TRANSACTION_ABORTABLE where it does not belong to the open transaction. Else a transaction is
 * begun if none is open. ERR_UNKNOWN_TOPIC_OR_PARTITION: nothing was added. */
struct add_to_txn {
    struct command_txn_producer producer;
    bool verify_only;
    struct slice group; /* null: none */
    struct command_txn_partition *partitions;
    int32_t partitions_count;
    int64_t now_ms;
};

/* Offsets that take effect when the transaction commits. add: the group joins the transaction, too;
 * else it must belong to it (ERR_INVALID_TXN_STATE). ERR_NOT_COORDINATOR as for all group
 * commands. */
struct commit_txn_offsets {
    struct command_txn_producer producer;
    bool add;
    int64_t now_ms;
    struct commit_offsets commit;
};

struct end_txn {
    struct command_txn_producer producer;
    bool commit;
    int8_t version; /* of transactions: 2 raises the epoch */
    int64_t now_ms;
};

struct time_out_txn {
    struct slice transactional_id;
    int64_t start_ms;
    int64_t now_ms;
};

/* The producer is the one of the markers. */
struct complete_txn {
    struct command_txn_producer producer;
    int64_t now_ms;
};

/* Forget a transactional id that was not used since. ERR_INVALID_TXN_STATE: it was. */
struct forget_txn {
    struct slice transactional_id;
    int64_t updated_ms;
};

struct command {
    enum command_kind kind;
    union {
#define COMMAND_MEMBER(KIND, number, name, type) struct type name;
        COMMANDS(COMMAND_MEMBER)
#undef COMMAND_MEMBER
    };
};

/* Append one command: command_encode_create_topic(&buffer, &c), ... */
#define COMMAND_ENCODE(KIND, number, name, type)                                                   \
    void command_encode_##name(struct buffer *out, const struct type *c);
COMMANDS(COMMAND_ENCODE)
#undef COMMAND_ENCODE

/* 0, -EBADMSG, or -ENOMEM at the arena's limit. Checks the form, not the sense. */
int command_decode(struct slice bytes, struct arena *arena, struct command *out) MUST_CHECK;

const char *command_name(enum command_kind kind);

struct command_batch {
    int32_t node_id;
    struct uuid incarnation;
    int64_t sequence;
    struct slice *commands; /* each encoded */
    int32_t commands_count;
};

void command_batch_encode(struct buffer *out, const struct command_batch *batch);
int command_batch_decode(struct slice bytes, struct arena *arena,
                         struct command_batch *out) MUST_CHECK;

/* Whether a batch that came over the wire, and each command in it, is well formed: to be asked
 * before it is proposed. ERR_INVALID_REQUEST. */
enum error_code command_batch_check(struct slice batch) MUST_CHECK;

void command_entry_encode(struct buffer *out, const struct slice *batches, int32_t count);
/* *batches: encoded batches, in the arena. */
int command_entry_decode(struct slice entry, struct arena *arena, struct slice **batches,
                         int32_t *count) MUST_CHECK;

struct command_result {
    enum error_code error_code;
    struct slice value; /* what the kind says; null otherwise */
};

struct command_results {
    VEC(struct command_result) list;
};

void command_results_encode(struct buffer *out, const struct command_result *results,
                            int32_t count);
/* Appends to out; values borrow the bytes. 0 or -EBADMSG. */
int command_results_decode(struct slice bytes, struct command_results *out) MUST_CHECK;

/* Values of results; -1 (UNKNOWN_SERVER_ERROR) for a value of another form. */
int64_t command_value_int64(struct slice value);
/* The producer to go on with; its epoch -1: the transaction before is being aborted, ask again. */
struct command_txn_value {
    int64_t producer_id;
    int16_t epoch;
};
struct command_txn_value command_value_txn(struct slice value);
enum error_code command_value_error(struct slice value, int32_t i);
