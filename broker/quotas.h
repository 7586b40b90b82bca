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

/* The quota that applies to a client; rate 0: none does. */
struct quota_limit {
    enum quota_kind kind;
    double rate;      /* bytes a second */
    struct slice who; /* all that share it; in the request's arena */
};

struct quota_limit quota_limit_find(struct request *req, enum quota_kind kind);
/* The most that one answer should have: what the quota gives in ten seconds. INT64_MAX: all. */
int64_t quota_limit_most(const struct quota_limit *limit);

/* Count bytes; the ms to throttle the client for, 0: none. */
int32_t quotas_record(struct quotas *qs, const struct quota_limit *limit, int64_t bytes);
/* The same for bytes that are not sent when the client is over its rate: then they do not count.
 * More than quota_limit_most(), as one large batch is, may go when nothing else did. */
int32_t quotas_record_or_hold(struct quotas *qs, const struct quota_limit *limit, int64_t bytes,
                              bool *hold);
