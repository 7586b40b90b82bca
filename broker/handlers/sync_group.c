/* SyncGroup of the classic protocol. */
#include "broker/groups.h"
#include "broker/node.h"

#define VERSION_PROTOCOL 5 /* which the member must name from here on */

static void synced(struct request *req, const struct group_reply *reply)
{
    thread_assert(&NET);
    struct sync_group_response *out = req->out;
    out->error_code = (int16_t)reply->err;
    out->protocol_type = reply->protocol_type;
    out->protocol_name = reply->protocol_name;
    out->assignment = reply->assignment;
    request_reply(req);
}

HANDLER(sync_group)
{
    thread_assert(&NET);
    if (req->header.api_version >= VERSION_PROTOCOL &&
        (slice_is_null(in->protocol_type) || slice_is_null(in->protocol_name))) {
        synced(req, &(struct group_reply){.err = ERR_INCONSISTENT_GROUP_PROTOCOL,
                                          .assignment = SLICE("")});
        return;
    }
    struct group_assignment *assignments =
        arena_need(&req->arena, sizeof(*assignments) * ((size_t)MAX(in->assignments_count, 0) + 1));
    for (int i = 0; i < in->assignments_count; i++)
        assignments[i] =
            (struct group_assignment){in->assignments[i].member_id, in->assignments[i].assignment};
    struct group_sync sync = {
        .member_id = in->member_id,
        .instance_id = in->group_instance_id,
        .generation = in->generation_id,
        .protocol_type = in->protocol_type,
        .protocol_name = in->protocol_name,
        .assignments = assignments,
        .assignments_count = MAX(in->assignments_count, 0),
    };
    groups_sync(req, in->group_id, &sync, synced);
}
