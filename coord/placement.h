/*
 * Which brokers get the replicas of new partitions: pure, a function of the image only.
 *
 * The first replica goes to the active broker that leads least, the others to those with the fewest
 * replicas, on racks that the partition does not have yet; brokers that are not active only when
 * there are too few others. Ties go round, so that neighbours do not always sit together.
 */
#pragma once

#include "coord/image.h"
#include "proto/base/arena.h"
#include "proto/base/check.h"

/* replicas: partitions_count rows of replication_factor node ids.
 *   ERR_INVALID_REPLICATION_FACTOR  more replicas than brokers, or no broker is active */
enum error_code placement_choose(const struct image *img, int32_t partitions_count,
                                 int replication_factor, struct arena *arena,
                                 int32_t **replicas) MUST_CHECK;
