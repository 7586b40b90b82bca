/*
 * Tables of metadata.db. Ids are the 16 bytes of a UUID; lists of brokers are text ("1,2,3").
 * Ordered by primary key, without row ids, so that equal content gives equal walks.
 */
#include "coord/state.h"

const char state_schema[] =
    "CREATE TABLE cluster(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE brokers(node_id INTEGER PRIMARY KEY, incarnation BLOB NOT NULL,"
    " epoch INTEGER NOT NULL, fenced INTEGER NOT NULL, shutting_down INTEGER NOT NULL, rack TEXT);"
    "CREATE TABLE endpoints(node_id INTEGER, position INTEGER, listener TEXT, host TEXT, port "
    "INTEGER,"
    " security_protocol INTEGER, PRIMARY KEY(node_id, position)) WITHOUT ROWID;"
    "CREATE TABLE topics(topic_id BLOB PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE partitions(topic_id BLOB, partition INTEGER, leader INTEGER NOT NULL,"
    " leader_epoch INTEGER NOT NULL, partition_epoch INTEGER NOT NULL, replicas TEXT NOT NULL,"
    " isr TEXT NOT NULL, elr TEXT NOT NULL, adding TEXT NOT NULL, removing TEXT NOT NULL,"
    " PRIMARY KEY(topic_id, partition)) WITHOUT ROWID;"
    /* topic_id x'' holds the cluster-wide defaults of brokers. */
    "CREATE TABLE configs(topic_id BLOB, name TEXT, value TEXT, PRIMARY KEY(topic_id, name))"
    " WITHOUT ROWID;"
    /* Other settings, by image_resource_kind: brokers, groups, client metrics, quotas, features. */
    "CREATE TABLE resource_configs(kind INTEGER, resource TEXT, name TEXT, value TEXT,"
    " PRIMARY KEY(kind, resource, name)) WITHOUT ROWID;"
    "CREATE TABLE \"groups\"(group_id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE group_offsets(group_id TEXT, topic TEXT, partition INTEGER,"
    " committed_offset INTEGER NOT NULL, leader_epoch INTEGER NOT NULL, metadata TEXT,"
    " commit_time_ms INTEGER NOT NULL, expire_time_ms INTEGER NOT NULL,"
    " PRIMARY KEY(group_id, topic, partition)) WITHOUT ROWID;"
    /* state: 0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4, 5 Complete... */
    "CREATE TABLE transactions(transactional_id TEXT PRIMARY KEY, state INTEGER NOT NULL,"
    " producer_id INTEGER NOT NULL, producer_epoch INTEGER NOT NULL, start_ms INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX transactions_state ON transactions(state);"
    /* Offsets in group_offsets once their producer's transaction commits. */
    "CREATE TABLE txn_offsets(producer_id INTEGER, group_id TEXT, topic TEXT, partition INTEGER,"
    " committed_offset INTEGER NOT NULL, leader_epoch INTEGER NOT NULL, metadata TEXT,"
    " commit_time_ms INTEGER NOT NULL, expire_time_ms INTEGER NOT NULL,"
    " PRIMARY KEY(producer_id, group_id, topic, partition)) WITHOUT ROWID;"
    "CREATE INDEX txn_offsets_group ON txn_offsets(group_id);"
    "CREATE TABLE slots(slot INTEGER PRIMARY KEY, node_id INTEGER NOT NULL, epoch INTEGER NOT "
    "NULL);"
    "CREATE TABLE streams(node_id INTEGER, incarnation BLOB, sequence INTEGER NOT NULL,"
    " results BLOB NOT NULL, PRIMARY KEY(node_id, incarnation)) WITHOUT ROWID;";
