/* SubmitCommands: another node's batch of metadata commands, for the active controller. */
#include "broker/node.h"
#include "broker/request.h"
#include "coord/command.h"

struct submitted {
    struct request *req;
    enum error_code err;
    int64_t index;
    struct buffer results; /* encoded, since the QUORUM thread's memory is gone by then */
};

static void reply(struct request *req, void *arg)
{
    thread_assert(&NET);
    struct submitted *s = arg;
    struct submit_commands_response *out = req->out;
    struct command_results results = {0};
    out->error_code = (int16_t)s->err;
    out->index = s->index;
    if (s->err == ERR_NONE)
        CHECK(command_results_decode(buffer_slice(&s->results), &results) == 0);
    out->results = submit_commands_response_result_array(&req->arena, (int32_t)results.list.count);
    out->results_count = (int32_t)results.list.count;
    for (int i = 0; i < out->results_count; i++) {
        out->results[i].error_code = (int16_t)results.list.items[i].error_code;
        out->results[i].value = results.list.items[i].value;
    }
    request_reply(req); /* encodes: the results may go */
    vec_deinit(&results.list);
    buffer_deinit(&s->results);
    free(s);
}

static void batch_done(void *arg, enum error_code err, int64_t index,
                       const struct command_results *results)
{
    struct submitted *s = arg;
    s->err = err;
    s->index = index;
    if (err == ERR_NONE)
        command_results_encode(&s->results, results->list.items, (int32_t)results->list.count);
    request_resume(s->req, reply, s);
}

HANDLER(submit_commands)
{
    thread_assert(&NET);
    struct quorum_status status;
    quorum_status(req->node->quorum, &status);
    out->leader_id = status.leader_id;
    enum error_code err = ERR_NONE;
    if (!status.leader)
        err = ERR_NOT_CONTROLLER;
    else if (in->commands_count != 1) /* the batch travels whole, as its node encoded it */
        err = ERR_INVALID_REQUEST;
    else
        err = command_batch_check(in->commands[0].bytes);
    if (err != ERR_NONE) {
        out->error_code = (int16_t)err;
        request_reply(req);
        return;
    }
    struct submitted *s = mem_zalloc(sizeof(*s));
    s->req = req;
    request_hold(req);
    quorum_submit_batch(req->node->quorum, in->commands[0].bytes, batch_done, s);
}
