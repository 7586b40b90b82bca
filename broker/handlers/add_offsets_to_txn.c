/* AddOffsetsToTxn: the transaction will commit offsets of a group. */
#include "broker/node.h"
#include "broker/txns.h"
#include "coord/command.h"

#define VERSION_FENCED 2 /* knows PRODUCER_FENCED */

static void added(struct request *req, void *arg, enum error_code err, struct slice value)
{
    (void)arg, (void)value;
    thread_assert(&NET);
    struct add_offsets_to_txn_response *out = req->out;
    out->error_code = txns_error(err, req->header.api_version >= VERSION_FENCED);
    request_reply(req);
}

HANDLER(add_offsets_to_txn)
{
    thread_assert(&NET);
    enum error_code err = txns_check(req, in->transactional_id);
    if (err != ERR_NONE) {
        out->error_code = (int16_t)err;
        request_reply(req);
        return;
    }
    struct add_to_txn c = {
        .producer = {in->transactional_id, in->producer_id, in->producer_epoch},
        .group = in->group_id,
        .now_ms = txns_clock_ms(req->node),
    };
    struct buffer command = {0};
    command_encode_add_to_txn(&command, &c);
    request_submit(req, buffer_slice(&command),
                   config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), added, NULL);
    buffer_deinit(&command);
}
