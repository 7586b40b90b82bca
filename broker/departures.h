/*
 * Brokers that were fenced a moment ago. Metadata goes on to list them for some seconds: librdkafka
 * takes down its connection to a broker that is no longer listed, and with it the partitions that
 * it was just about to move to their new leaders; it finds those again a second later only. Apache
 * Kafka lists a killed broker for its whole session timeout, so clients are used to it.
 */
#pragma once

#include "coord/image.h"

#define DEPARTURE_LISTED_MS 5000

struct departures;

struct departures *departures_new(void);
void departures_free(struct departures *d);
/* A new image; in their order. */
void departures_note(struct departures *d, const struct image *img, int64_t now_ms);
/* Whether this broker was fenced within the last DEPARTURE_LISTED_MS. Any thread. */
bool departures_recent(struct departures *d, int32_t node_id, int64_t now_ms);
