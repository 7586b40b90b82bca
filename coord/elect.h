/*
 * Who may lead a partition, and what becomes of its in-sync (ISR) and eligible (ELR) replicas:
 * pure.
 *
 * The rules (KIP-966): a member that leaves while the ISR is below min.insync.replicas becomes
 * eligible, because the high watermark stands still until the ISR is back at that size, so it has
 * everything that was committed. The ISR is never empty: its last member stays, even fenced. A
 * leader is the first replica in order that is active and in the ISR; else active and eligible;
 * else (where the topic allows it) any active one.
 */
#pragma once

#include "coord/image.h"

/* A partition's next state. */
struct election {
    const struct image *img;
    const struct image_partition *p; /* the state now */
    int min_isr;
    bool unclean_allowed;
    int32_t leader;
    bool bump_leader_epoch; /* besides a change of the leader */
    int32_t isr[IMAGE_REPLICAS_MAX];
    int isr_count;
    int32_t elr[IMAGE_REPLICAS_MAX];
    int elr_count;
};

void election_init(struct election *e, const struct image *img, const struct image_topic *topic,
                   int32_t partition);
/* This replica may have lost data: it leaves ISR and ELR, except as the last member of both. */
void election_unclean(struct election *e, int32_t node_id);
/* Where unclean elections are allowed: any active replica but this one leads. */
void election_without(struct election *e, int32_t node_id);
/* Replace the ISR; leaving members become eligible where the rule says so. */
void election_set_isr(struct election *e, const int32_t *isr, int count);
/* Keep or choose the leader; members that are not active leave when an active leader remains. */
void election_run(struct election *e);
/* Make this replica the leader. An unclean one is alone in the ISR afterwards. */
void election_force(struct election *e, int32_t node_id);
bool election_changed(const struct election *e);
/* Store it in p (which may be the edited copy of e->p), epochs included. */
void election_store(const struct election *e, struct image_partition *p);
