/*
 * Quotas on what clients send and receive (KIP-13, KIP-124's order of precedence, KIP-219): a
 * client that is over its rate gets its answer at once, with the time for which its connection is
 * then not read from. Rates are those of one node, as in Apache Kafka.
 *
 * Any thread.
 */
#pragma once

#include "broker/request.h"

struct quotas;

enum quota_kind { QUOTA_PRODUCE, QUOTA_FETCH, QUOTA_KINDS_COUNT };

struct quotas *quotas_new(void);
void quotas_free(struct quotas *qs);

/* Count bytes of this request's client; the ms to throttle it for, 0: none. */
int32_t quotas_record(struct request *req, enum quota_kind kind, int64_t bytes);
/* They were not sent after all. */
void quotas_take_back(struct request *req, enum quota_kind kind, int64_t bytes);
/* The most that the client may get in one answer: what its quota gives in ten seconds. INT64_MAX:
 * it has none. */
int64_t quotas_most(struct request *req, enum quota_kind kind);
