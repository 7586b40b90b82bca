/*
 * Which replicas to move so that all active brokers carry alike: pure, a function of the image
 * only.
 *
 * One move takes a replica from a broker that has many to one that has few, in the same place of
 * the list, so that a preferred leadership moves with it; it never puts two replicas on a rack
 * where there was one. When the numbers of replicas are even, preferred leaderships are made so,
 * which copies nothing. Even means: the most and the fewest differ by one, or by a tenth of the
 * mean.
 */
#pragma once

#include "coord/image.h"
#include "proto/base/vec.h"

struct balance_move {
    struct slice topic; /* borrowed from the image */
    int32_t partition;
    int32_t from; /* the broker that loses a replica, or the preferred leadership */
    int32_t to;
    int32_t replicas[IMAGE_REPLICAS_MAX];
    int replicas_count;
};

struct balance_moves {
    VEC(struct balance_move) list;
};

/* The next moves, so many that at most moves_max partitions copy at a time, those on their way
 * included. None while a registered broker is not active: it may come back with all it had. True
 * when nothing moves and nothing is left to move. */
bool balance_next(const struct image *img, int moves_max, struct balance_moves *out);

/* An active broker has no replica at all while another has several: it is new here. */
bool balance_has_new_broker(const struct image *img);

/*
 * Draining: a broker of which everything is to be moved off, so that it can go for good. It is a
 * setting of the broker in the metadata (BROKER_DRAIN), so that it outlives everybody who leads.
 * Nothing is placed on such a broker, and once it has nothing more it may be unregistered; while
 * the setting is there, it does not come back.
 */
#define BROKER_DRAIN SLICE("broker.drain")
bool drain_is_wanted(const struct image *img, int32_t node_id);
/* Could the others carry what it has? Else why not. */
enum error_code drain_check(const struct image *img, int32_t node_id, char reason[200]) MUST_CHECK;
/* How many replicas it has, those on their way to it or off it included. */
int32_t drain_left(const struct image *img, int32_t node_id);
/* The next moves off every broker that is drained, so many that at most moves_max copy at a
 * time. */
void drain_next(const struct image *img, int moves_max, struct balance_moves *out);
