/* InitProducerId: for idempotent producers (KIP-98, 360) and transactional ones. */
#include "broker/node.h"
#include "broker/producer_ids.h"
#include "broker/txns.h"
#include "coord/command.h"

#define VERSION_FENCED 4 /* knows PRODUCER_FENCED */
#define ATTEMPTS_MAX   3

struct initializing {
    int attempts;
};

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

static void initialize(struct request *req) ON(NET);

static void again(struct request *req, void *arg)
{
    (void)arg;
    thread_assert(&NET);
    initialize(req);
}

static void initialized(struct request *req, void *arg, enum error_code err, struct slice value)
{
    (void)arg;
    thread_assert(&NET);
    const struct init_producer_id_request *in = req->in;
    struct init_producer_id_response *out = req->out;
    struct initializing *st = req->state;
    struct command_txn_value producer = command_value_txn(value);
    if (err == ERR_NONE && producer.epoch < 0)
        err = ERR_CONCURRENT_TRANSACTIONS; /* what was open is being aborted */
    if (err == ERR_CONCURRENT_TRANSACTIONS && ++st->attempts < ATTEMPTS_MAX) {
        txns_await_end(req, in->transactional_id, again, NULL);
        return;
    }
    out->error_code = txns_error(err, req->header.api_version >= VERSION_FENCED);
    if (err == ERR_NONE) {
        out->producer_id = producer.producer_id;
        out->producer_epoch = producer.epoch;
    }
    request_reply(req);
}

static void initialize(struct request *req)
{
    const struct init_producer_id_request *in = req->in;
    struct buffer command = {0};
    struct init_txn_producer c = {
        .transactional_id = in->transactional_id,
        .timeout_ms = in->transaction_timeout_ms,
        .producer_id = in->producer_id,
        .epoch = in->producer_epoch,
        .now_ms = txns_clock_ms(req->node),
    };
    command_encode_init_txn_producer(&command, &c);
    request_submit(req, buffer_slice(&command),
                   config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), initialized, NULL);
    buffer_deinit(&command);
}

static enum error_code check(const struct request *req, const struct init_producer_id_request *in)
{
    enum error_code err = txns_check(req, in->transactional_id);
    if (err != ERR_NONE)
        return err;
    if (in->transaction_timeout_ms <= 0 ||
        in->transaction_timeout_ms > config_number(&req->node->config, CONFIG_TXN_TIMEOUT_MAX_MS))
        return ERR_INVALID_TRANSACTION_TIMEOUT;
    return ERR_NONE;
}

HANDLER(init_producer_id)
{
    thread_assert(&NET);
    out->producer_id = -1;
    out->producer_epoch = -1;
    if ((in->producer_id < 0) != (in->producer_epoch < 0)) {
        out->error_code = ERR_INVALID_REQUEST;
        request_reply(req);
        return;
    }
    if (slice_is_null(in->transactional_id)) {
        /* An idempotent producer that asks for a new epoch gets a new id instead: as good
         * (KIP-360). */
        producer_ids_next(req, config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS),
                          allocated);
        return;
    }
    enum error_code err = check(req, in);
    if (err != ERR_NONE) {
        out->error_code = (int16_t)err;
        request_reply(req);
        return;
    }
    req->state = arena_need(&req->arena, sizeof(struct initializing));
    initialize(req);
}
