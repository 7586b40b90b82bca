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
