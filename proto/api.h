/*
 * The table of all messages that the generated codecs know, for code that handles any of them:
 * dispatch, the peer client, tests, fuzzing. Which of them a broker serves is decided elsewhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

/* One direction of an API. `message` points at the message's struct, of struct_size bytes. */
struct api_message {
    size_t struct_size;
    /* Set the arena's limit to growth times the frame's size: no valid message needs more, and a
     * malformed one that claims more is refused with -ENOMEM. */
    size_t growth;
    void (*init)(void *message);
    int (*decode)(struct wire_reader *r, int16_t version, void *message);
    void (*encode)(struct wire_writer *w, int16_t version, const void *message);
};

struct api_info {
    const char *name;
    int16_t key;
    int16_t version_min;
    int16_t version_max;       /* of those that Kafka calls stable */
    int16_t version_codec_max; /* with one that it does not, yet */
    int16_t flexible_from;     /* INT16_MAX: never */
    struct api_message request;
    struct api_message response;
};

/* In the order of keys. */
extern const struct api_info api_table[];
extern const size_t api_table_count;

/* NULL for a key that is not in the table. */
const struct api_info *api_find(int16_t key);
