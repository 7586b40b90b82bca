/*
 * Leader hints (KIP-951): who leads a partition now, and where, in the answer that refused the
 * request, so that a failover costs the client no metadata round trip.
 */
#pragma once

#include "broker/request.h"

/* Leader and epoch in the newest image (-1, -1 when there is none); returns true when there is a
 * leader. */
bool leader_hint_find(struct request *req, struct uuid topic_id, int32_t index, int32_t *leader_id,
                      int32_t *leader_epoch);
