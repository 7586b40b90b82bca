/* DeleteGroups: groups without members, with their offsets. */
#include "broker/groups.h"

struct deleting {
    int open;
};

static void settle(struct request *req)
{
    thread_assert(&NET);
    struct deleting *all = req->state;
    if (--all->open == 0)
        request_reply(req);
}

static void deleted(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct delete_groups_response_result *o = arg;
    (void)value;
    thread_assert(&NET);
    o->error_code = (int16_t)err;
    if (err == ERR_GROUP_ID_NOT_FOUND)
        o->error_message =
            arena_printf(&req->arena, "Group " SLICE_FMT " not found.", SLICE_ARG(o->group_id));
    settle(req);
}

HANDLER(delete_groups)
{
    thread_assert(&NET);
    struct deleting *all = arena_need(&req->arena, sizeof(*all));
    all->open = 1;
    req->state = all;
    out->results = delete_groups_response_result_array(&req->arena, in->groups_names_count);
    out->results_count = in->groups_names_count;
    for (int i = 0; i < in->groups_names_count; i++) {
        out->results[i].group_id = in->groups_names[i];
        all->open++;
        groups_delete(req, in->groups_names[i], deleted, &out->results[i]);
    }
    settle(req);
}
