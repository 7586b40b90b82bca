/*
 * Frames: a length, a header, a message.
 *
 *   request    int32 length | key version correlation-id client-id [tags] | message
 *   response   int32 length | correlation-id [tags]                       | message
 *
 * Tags stand where the version of the message is flexible. One exception: the header of an
 * ApiVersions answer never has them, because a client reads it before it knows what the broker
 * speaks.
 */
#pragma once

#include "proto/api.h"
#include "proto/wire.h"

#define FRAME_LENGTH_SIZE 4

struct request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct slice client_id; /* nullable; borrows the frame */
};

/* 2 where the header has tags, else 1. For a key that is not in the table: 1. */
int request_header_version(int16_t api_key, int16_t api_version);
/* 1 where the header has tags, else 0. */
int response_header_version(int16_t api_key, int16_t api_version);

/* r stands behind the length and is left at the message. An unknown key or version is no error
 * here. 0 or -EBADMSG. */
int request_header_decode(struct wire_reader *r, struct request_header *out) MUST_CHECK;
void request_header_encode(struct wire_writer *w, const struct request_header *in);

int response_header_decode(struct wire_reader *r, int16_t api_key, int16_t api_version,
                           int32_t *correlation_id) MUST_CHECK;
void response_header_encode(struct wire_writer *w, int16_t api_key, int16_t api_version,
                            int32_t correlation_id);

/* Room for the length; what is written until frame_end() is the frame. Spliced bytes count. */
struct frame_mark {
    size_t offset;  /* of the length, in the buffer */
    size_t written; /* behind the length */
};
struct frame_mark frame_begin(struct wire_writer *w);
void frame_end(struct wire_writer *w, struct frame_mark mark);

/* A whole frame. The key must be in the table; `message` is its struct. */
void request_frame_encode(struct wire_writer *w, const struct request_header *header,
                          const void *message);
void response_frame_encode(struct wire_writer *w, const struct request_header *header,
                           const void *message);
