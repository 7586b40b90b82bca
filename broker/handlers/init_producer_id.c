/* InitProducerId for idempotent producers (KIP-98, 360). */
#include "broker/node.h"
#include "broker/producer_ids.h"

static void allocated(struct request *req, enum error_code err, int64_t id)
{
    thread_assert(&NET);
    struct init_producer_id_response *out = req->out;
    /* The metadata log is not to be had just now: the client tries again. */
    out->error_code = (int16_t)(err == ERR_NONE ? ERR_NONE : ERR_COORDINATOR_LOAD_IN_PROGRESS);
    out->producer_id = id;
    out->producer_epoch = err == ERR_NONE ? 0 : -1;
    request_reply(req);
}

HANDLER(init_producer_id)
{
    thread_assert(&NET);
    out->producer_id = -1;
    out->producer_epoch = -1;
    if (!slice_is_null(in->transactional_id)) {
        /* An empty id is none of a transaction; transactions themselves are not served yet. */
        out->error_code = in->transactional_id.size == 0
                              ? ERR_INVALID_REQUEST
                              : ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        request_reply(req);
        return;
    }
    /* An idempotent producer that asks for a new epoch gets a new id instead: as good (KIP-360). */
    producer_ids_next(req, config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), allocated);
}
