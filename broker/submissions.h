/*
 * The metadata commands of one request: submitted together, answered together, once every live
 * broker has what they changed (barrier.h).
 *
 *   s = submissions_new(req, timeout_ms, request_reply);
 *   submissions_add(req, s, &command, &o->error_code, &o->error_message);   for each
 *   submissions_end(req, s);                                                answers at once if none
 */
#pragma once

#include "broker/request.h"
#include "proto/base/buffer.h"

struct submissions;

/* In the request's arena. ready() answers it. */
struct submissions *submissions_new(struct request *req, int64_t timeout_ms,
                                    void (*ready)(struct request *req));
/* Takes the command's bytes. Its outcome goes to *error_code and *message (null when it is done),
 * which must not move. */
void submissions_add(struct request *req, struct submissions *s, struct buffer *command,
                     int16_t *error_code, struct slice *message) ON(NET);
/* The same, with the outcome to done(), whose value lives in the request's arena. */
void submissions_add_custom(struct request *req, struct submissions *s, struct buffer *command,
                            request_submitted *done, void *arg) ON(NET);
/* No more of them. */
void submissions_end(struct request *req, struct submissions *s) ON(NET);
