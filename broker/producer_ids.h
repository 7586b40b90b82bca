/*
 * Producer ids: blocks from the metadata log, handed out one by one. An id is never given twice,
 * over restarts and nodes: what is left of a block at a crash is lost, on purpose.
 */
#pragma once

#include "broker/request.h"

struct producer_ids;
struct producer_ids *producer_ids_new(void);
void producer_ids_free(struct producer_ids *ids);

/* done(req, arg, err, id) on the request's NET thread, perhaps at once. */
typedef void producer_id_done(struct request *req, enum error_code err, int64_t id);
void producer_ids_next(struct request *req, int64_t timeout_ms, producer_id_done *done) ON(NET);
