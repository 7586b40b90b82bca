/* DescribeGroups: state and members of classic groups. */
#include "broker/groups.h"

#define VERSION_NOT_FOUND  6    /* an unknown group is an error (KIP-1043) */
#define OPERATIONS_ALL     3400 /* what can be done to a group; there are no ACLs */
#define OPERATIONS_UNASKED INT32_MIN

static void describe(struct request *req, struct slice id, bool operations,
                     struct describe_groups_response_group *o)
{
    struct group_view view = groups_describe(req->node, id, &req->arena);
    if (view.is_consumer) {
        /* Not a classic group: as if there were none (ConsumerGroupDescribe shows it). */
        view.exists = false;
        view.state = "Dead";
        view.protocol_type = SLICE("");
    }
    o->group_id = id;
    o->error_code = (int16_t)view.err;
    o->group_state = view.err == ERR_NONE ? slice_from_text(view.state) : SLICE("");
    o->protocol_type = view.protocol_type;
    o->protocol_data = view.protocol_name;
    o->authorized_operations =
        operations && view.err == ERR_NONE ? OPERATIONS_ALL : OPERATIONS_UNASKED;
    if (view.err == ERR_NONE && !view.exists && req->header.api_version >= VERSION_NOT_FOUND) {
        o->error_code = ERR_GROUP_ID_NOT_FOUND;
        o->error_message =
            arena_printf(&req->arena, "Group " SLICE_FMT " not found.", SLICE_ARG(id));
    }
    o->members = describe_groups_response_group_member_array(&req->arena, view.members_count);
    o->members_count = view.members_count;
    for (int i = 0; i < view.members_count; i++) {
        const struct group_view_member *m = &view.members[i];
        o->members[i].member_id = m->id;
        o->members[i].group_instance_id = m->instance_id;
        o->members[i].client_id = m->client_id;
        o->members[i].client_host = m->client_host;
        o->members[i].member_metadata = m->metadata;
        o->members[i].member_assignment = m->assignment;
    }
}

HANDLER(describe_groups)
{
    thread_assert(&NET);
    out->groups = describe_groups_response_group_array(&req->arena, in->groups_count);
    out->groups_count = in->groups_count;
    for (int i = 0; i < in->groups_count; i++)
        describe(req, in->groups[i], in->include_authorized_operations, &out->groups[i]);
    request_reply(req);
}
