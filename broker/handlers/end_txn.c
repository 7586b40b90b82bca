/*
 * EndTxn: commit or abort. The outcome is fixed, and the offsets of a commit are there, when the
 * command is applied; the answer waits a little for the markers as well, so that the client's next
 * transaction and its readers need not.
 */
#include "broker/node.h"
#include "broker/txns.h"
#include "coord/command.h"

#define VERSION_FENCED 2 /* knows PRODUCER_FENCED */
#define VERSION_BUMP   5 /* transactions version 2: the epoch grows */

static void complete(struct request *req, void *arg)
{
    (void)arg;
    thread_assert(&NET);
    request_reply(req);
}

static void ended(struct request *req, void *arg, enum error_code err, struct slice value)
{
    (void)arg;
    thread_assert(&NET);
    const struct end_txn_request *in = req->in;
    struct end_txn_response *out = req->out;
    out->error_code = txns_error(err, req->header.api_version >= VERSION_FENCED);
    if (err != ERR_NONE) {
        request_reply(req);
        return;
    }
    struct command_txn_value producer = command_value_txn(value);
    out->producer_id = producer.producer_id;
    out->producer_epoch = producer.epoch;
    txns_await_end(req, in->transactional_id, complete, NULL);
}

HANDLER(end_txn)
{
    thread_assert(&NET);
    out->producer_id = -1;
    out->producer_epoch = -1;
    enum error_code err = txns_check(req, in->transactional_id);
    if (err != ERR_NONE) {
        out->error_code = (int16_t)err;
        request_reply(req);
        return;
    }
    struct end_txn c = {
        .producer = {in->transactional_id, in->producer_id, in->producer_epoch},
        .commit = in->committed,
        .version = req->header.api_version >= VERSION_BUMP ? 2 : 1,
        .now_ms = txns_clock_ms(req->node),
    };
    struct buffer command = {0};
    command_encode_end_txn(&command, &c);
    request_submit(req, buffer_slice(&command),
                   config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), ended, NULL);
    buffer_deinit(&command);
}
