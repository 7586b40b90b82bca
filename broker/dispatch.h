/*
 * From a frame to its handler: header, key, version, decoding; the table of what this broker
 * serves.
 */
#pragma once

#include "broker/request.h"

enum handler_flags {
    HANDLER_PUBLIC = 0,
    HANDLER_INTERNAL = 1 /* between brokers only: not advertised */
};

struct handler {
    int16_t key;
    int flags;
    void (*handle)(struct request *req);
};

/* Decode and start a request; it is answered, parked or refused when this returns. */
void dispatch(struct request *req) ON(NET);

/* NULL: this broker does not serve the key. */
const struct handler *handler_find(int16_t key);

/* What ApiVersions says of a key: Produce is advertised from 0 though v0-2 are refused, or old
 * librdkafka would stop compressing (wire.md T01). */
int16_t handler_advertised_min(const struct api_info *api);
