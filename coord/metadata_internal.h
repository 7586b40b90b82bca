/* What the files of the state machine (metadata*.c, slots.c, elect.c) share. */
#pragma once

#include "coord/image_internal.h"
#include "coord/metadata.h"
#include "proto/base/buffer.h"
#include "proto/base/map.h"

#define REASON_SIZE 200

/* The last batch of one process. Several processes of a node are remembered, for a batch of one
 * that is gone may come late, even as its first. */
struct stream {
    int32_t node_id;
    struct uuid incarnation;
    int64_t sequence;
    int64_t used_index;   /* of the last batch; the least used one is forgotten */
    struct slice results; /* encoded; owned */
};

#define STREAMS_PER_NODE 4

struct metadata {
    struct image *img; /* the state; shared with readers once it was given out */
    int64_t next_producer_id;
    VEC(struct stream) streams; /* by node id, incarnation */
    struct map txns;            /* transactional id -> struct txn */
};

/* One command being applied: where it stands, and where its effects go. */
struct apply {
    struct metadata *m;
    int64_t index;
    struct arena *arena;
    struct changes *changes;
    struct slice value;       /* of the result, in the arena */
    char reason[REASON_SIZE]; /* why it was refused, "" for none */
};

/* The image to change. Any pointer into the image from before is void. */
struct image *apply_image(struct apply *a);
void apply_changed(struct apply *a, struct change change);
/* For a result that is one number. */
void apply_answer_int64(struct apply *a, int64_t value);

/* Set reason, return code. */
enum error_code refuse(char reason[REASON_SIZE], enum error_code code, const char *fmt, ...)
    PRINTF(3, 4);

/* metadata_brokers.c */
enum error_code apply_form_cluster(struct apply *a, const struct form_cluster *c);
enum error_code apply_register_broker(struct apply *a, const struct register_broker *c);
enum error_code apply_fence_broker(struct apply *a, const struct broker_change *c);
enum error_code apply_unfence_broker(struct apply *a, const struct broker_change *c);
enum error_code apply_shutdown_broker(struct apply *a, const struct broker_change *c);
enum error_code apply_unregister_broker(struct apply *a, const struct broker_change *c);
enum error_code apply_allocate_producer_ids(struct apply *a, const struct allocate_producer_ids *c);

/* metadata_topics.c */
enum error_code apply_create_topic(struct apply *a, const struct create_topic *c);
enum error_code apply_delete_topic(struct apply *a, const struct delete_topic *c);
enum error_code apply_create_partitions(struct apply *a, const struct create_partitions *c);

/* metadata_configs.c */
enum error_code apply_alter_configs(struct apply *a, const struct alter_configs *c);
enum error_code apply_alter_resource(struct apply *a, const struct alter_resource *c);

/* metadata_partitions.c */
enum error_code apply_alter_partition(struct apply *a, const struct alter_partition *c);
enum error_code apply_elect_leaders(struct apply *a, const struct elect_leaders *c);
/* Look at every partition again after brokers became active or inactive. `unclean`: that broker may
 * have lost data (-1: none). */
void partitions_reconsider(struct apply *a, int32_t unclean);
/* Look at one topic's partitions again after its settings changed. */
void topic_reconsider(struct apply *a, struct uuid topic_id);

/* metadata_reassign.c */
enum error_code apply_alter_reassignment(struct apply *a, const struct alter_reassignment *c);
/* End the partition's move if whoever is added is in sync now. */
void reassignment_settle(struct apply *a, struct uuid topic_id, int32_t index);

/* metadata_offline.c */
enum error_code apply_replica_failed(struct apply *a, const struct replica_failed *c);

/* metadata_groups.c */
enum error_code apply_put_group(struct apply *a, const struct put_group *c);
enum error_code apply_commit_offsets(struct apply *a, const struct commit_offsets *c);
enum error_code apply_delete_offsets(struct apply *a, const struct delete_offsets *c);

/* The slot's present coordinator asks, and the group belongs there. */
enum error_code check_slot(struct apply *a, int32_t slot, int32_t epoch, struct slice group);

/* metadata_txns.c */
enum error_code apply_init_txn_producer(struct apply *a, const struct init_txn_producer *c);
enum error_code apply_add_to_txn(struct apply *a, const struct add_to_txn *c);
enum error_code apply_commit_txn_offsets(struct apply *a, const struct commit_txn_offsets *c);
enum error_code apply_end_txn(struct apply *a, const struct end_txn *c);
enum error_code apply_time_out_txn(struct apply *a, const struct time_out_txn *c);
enum error_code apply_complete_txn(struct apply *a, const struct complete_txn *c);
enum error_code apply_forget_txn(struct apply *a, const struct forget_txn *c);
void metadata_txns_free(struct metadata *m);
/* Every id and its state, in one order. */
struct wire_writer;
void metadata_txns_digest(const struct metadata *m, struct wire_writer *w);

/* slots.c: give slots without an active owner away, then even out by moving as few as possible. */
void slots_assign(struct apply *a);
