/*
 * Metadata commands: what a node asks the replicated state machine to do.
 *
 * Encoded with the schema generator (proto/schema/commands.msg, worker's choice of layout), so that fields can be
 * added later as tagged ones. One Raft entry holds the batches of several nodes:
 *
 *     entry = [batch count] batch*        batch = {node id, incarnation, sequence, commands[]}
 *
 * A node submits one batch at a time with growing sequence; a repeated sequence is answered from the stored results
 * (raft.md §8).
 */
#pragma once

#include "proto/base/buffer.h"
#include "proto/base/vec.h"
#include "proto/errors.h"

enum command_kind {
    COMMAND_FORM_CLUSTER = 1, /* cluster id, time: the first entry of a new cluster */
    COMMAND_REGISTER_BROKER, /* incarnation, endpoints, rack, previous broker epoch of a clean shutdown (-1) */
    COMMAND_FENCE_BROKER, /* node id, broker epoch: leaves every ISR and leadership at once */
    COMMAND_UNFENCE_BROKER,
    COMMAND_SHUTDOWN_BROKER, /* controlled shutdown: leaderships and ISR places go elsewhere */
    COMMAND_UNREGISTER_BROKER,
    COMMAND_CREATE_TOPIC,
    COMMAND_DELETE_TOPIC,
    COMMAND_CREATE_PARTITIONS,
    COMMAND_ALTER_CONFIGS,         /* topic or cluster-wide broker defaults; incremental or full */
    COMMAND_ALTER_PARTITION,       /* ISR compare-and-set (KIP-497, 841, 903) */
    COMMAND_ELECT_LEADERS,         /* preferred, of given or all partitions */
    COMMAND_ALLOCATE_PRODUCER_IDS, /* value: first id of a block of 1000 */
    COMMAND_PUT_GROUP,             /* slot, slot epoch, group id, blob (null deletes) */
    COMMAND_COMMIT_OFFSETS,        /* slot, slot epoch, group id, rows */
    COMMAND_DELETE_OFFSETS
};

struct command_result {
    enum error_code error_code;
    struct slice value; /* what the kind says; null otherwise */
};

struct command_results {
    VEC(struct command_result) list;
};
