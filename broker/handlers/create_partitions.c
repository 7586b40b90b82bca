/* CreatePartitions: more partitions for topics that exist. */
#include "broker/named.h"
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/command.h"
#include "coord/metadata.h"

static void command_fill(struct request *req, const struct create_partitions_request_topic *in,
                         struct create_partitions *c)
{
    int32_t count = in->assignments_count;
    *c = (struct create_partitions){
        .topic = in->name,
        .count = in->count,
        .assignments = arena_need(&req->arena, sizeof(*c->assignments) * (size_t)MAX(count, 0)),
        .assignments_count = count,
    };
    for (int i = 0; i < count; i++)
        c->assignments[i] = (struct command_assignment){
            .broker_ids = in->assignments[i].broker_ids,
            .broker_ids_count = MAX(in->assignments[i].broker_ids_count, 0),
        };
}

/* Answer at once what needs no command. false: it has to be submitted. */
static bool settle_early(struct request *req, const struct map *named,
                         const struct create_partitions *c,
                         struct create_partitions_response_result *o)
{
    const struct create_partitions_request *in = req->in;
    char reason[200] = "";
    if (named_twice(named, c->topic)) {
        o->error_code = ERR_INVALID_REQUEST;
        o->error_message = SLICE("Duplicate topic name.");
        return true;
    }
    enum error_code err = req->image == NULL
                              ? ERR_NOT_CONTROLLER
                              : metadata_check_create_partitions(req->image, c, reason);
    o->error_code = (int16_t)err;
    if (reason[0] != '\0')
        o->error_message = arena_text(&req->arena, reason);
    return err != ERR_NONE || in->validate_only;
}

HANDLER(create_partitions)
{
    thread_assert(&NET);
    struct submissions *all = submissions_new(req, in->timeout_ms, request_reply);
    out->results = create_partitions_response_result_array(&req->arena, in->topics_count);
    out->results_count = in->topics_count;
    struct map named = {0};
    FOR_EACH (t, in->topics, in->topics_count)
        named_note(&named, t->name);
    for (int i = 0; i < in->topics_count; i++) {
        struct create_partitions_response_result *o = &out->results[i];
        struct create_partitions c;
        o->name = in->topics[i].name;
        command_fill(req, &in->topics[i], &c);
        if (settle_early(req, &named, &c, o))
            continue;
        struct buffer command = {0};
        command_encode_create_partitions(&command, &c);
        submissions_add(req, all, &command, &o->error_code, &o->error_message);
    }
    map_deinit(&named);
    submissions_end(req, all);
}
