/*
 * Creating topics: what CreateTopics and auto creation share.
 */
#pragma once

#include "broker/request.h"

/* Kafka's rules for a topic's name by itself: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". */
bool topic_name_valid(struct slice name);

/* Submit a topic with num.partitions and default.replication.factor, as far as brokers are
 * there. */
void topic_create_default(struct request *req, struct slice name, request_submitted *done,
                          void *arg);
