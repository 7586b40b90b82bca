/*
 * What a client is allowed to do, where it asks: everything, as long as there is no authorizer.
 * Bits are Kafka's AclOperation numbers.
 */
#pragma once

#include <stdint.h>

#define OPERATIONS_NOT_ASKED INT32_MIN
/* create, alter, describe, cluster action, describe and alter configs, idempotent write, and
 * tokens of others */
#define OPERATIONS_OF_CLUSTER 8096
/* read, write, create, delete, alter, describe, describe and alter configs */
#define OPERATIONS_OF_TOPIC 3576
