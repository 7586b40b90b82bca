/* LeaveGroup: one member up to version 2, then many at once, whose group rebalances once
 * (KIP-345). */
#include "broker/groups.h"

#define VERSION_BATCH 3

HANDLER(leave_group)
{
    thread_assert(&NET);
    if (req->header.api_version < VERSION_BATCH) {
        struct group_leaving one = {.member_id = in->member_id, .instance_id = SLICE_NULL};
        enum error_code err = groups_leave(req->node, in->group_id, &one, 1);
        out->error_code = (int16_t)(err != ERR_NONE ? err : one.err);
        request_reply(req);
        return;
    }
    struct group_leaving *members =
        arena_need(&req->arena, sizeof(*members) * ((size_t)MAX(in->members_count, 0) + 1));
    for (int i = 0; i < in->members_count; i++)
        members[i] = (struct group_leaving){.member_id = in->members[i].member_id,
                                            .instance_id = in->members[i].group_instance_id};
    out->error_code =
        (int16_t)groups_leave(req->node, in->group_id, members, MAX(in->members_count, 0));
    if (out->error_code == ERR_NONE) {
        out->members = leave_group_response_member_array(&req->arena, in->members_count);
        out->members_count = in->members_count;
        for (int i = 0; i < in->members_count; i++) {
            out->members[i].member_id = members[i].member_id;
            out->members[i].group_instance_id = members[i].instance_id;
            out->members[i].error_code = (int16_t)members[i].err;
        }
    }
    request_reply(req);
}
