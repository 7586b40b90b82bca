/* JoinGroup of the classic protocol. */
#include "broker/groups.h"
#include "broker/node.h"
#include "proto/base/rng.h"

#define PROTOCOLS_MAX             1000 /* clients have a handful; each is sought at each member */
#define VERSION_REBALANCE_TIMEOUT 1
#define VERSION_MEMBER_ID         4 /* a dynamic member asks twice (KIP-394) */
#define VERSION_SKIP_ASSIGNMENT   9

static void joined(struct request *req, const struct group_reply *reply)
{
    thread_assert(&NET);
    struct join_group_response *out = req->out;
    out->error_code = (int16_t)reply->err;
    out->generation_id = reply->generation;
    out->protocol_type = reply->protocol_type;
    out->protocol_name = reply->protocol_name;
    if (slice_is_null(out->protocol_name) && req->header.api_version < 7)
        out->protocol_name = SLICE("");
    out->leader = reply->leader;
    out->skip_assignment = reply->skip_assignment;
    out->member_id = reply->member_id;
    out->members = join_group_response_member_array(&req->arena, reply->members_count);
    out->members_count = reply->members_count;
    for (int i = 0; i < reply->members_count; i++) {
        out->members[i].member_id = reply->members[i].id;
        out->members[i].group_instance_id = reply->members[i].instance_id;
        out->members[i].metadata = reply->members[i].metadata;
    }
    request_reply(req);
}

HANDLER(join_group)
{
    thread_assert(&NET);
    if (in->protocols_count > PROTOCOLS_MAX) {
        joined(req, &(struct group_reply){.err = ERR_INVALID_REQUEST,
                                          .generation = -1,
                                          .leader = SLICE(""),
                                          .member_id = in->member_id});
        return;
    }
    struct group_protocol *protocols =
        arena_need(&req->arena, sizeof(*protocols) * ((size_t)MAX(in->protocols_count, 0) + 1));
    for (int i = 0; i < in->protocols_count; i++)
        protocols[i] = (struct group_protocol){in->protocols[i].name, in->protocols[i].metadata};
    struct group_join join = {
        .member_id = in->member_id,
        .instance_id = in->group_instance_id,
        .client_id = slice_is_null(req->header.client_id) ? SLICE("") : req->header.client_id,
        .client_host = request_client_host(req),
        .session_timeout_ms = in->session_timeout_ms,
        .rebalance_timeout_ms = in->rebalance_timeout_ms,
        .protocol_type = in->protocol_type,
        .protocols = protocols,
        .protocols_count = MAX(in->protocols_count, 0),
        .unique = rng_system_uuid(),
        .needs_known_id = req->header.api_version >= VERSION_MEMBER_ID,
        .can_skip_assignment = req->header.api_version >= VERSION_SKIP_ASSIGNMENT,
    };
    if (req->header.api_version < VERSION_REBALANCE_TIMEOUT || join.rebalance_timeout_ms < 0)
        join.rebalance_timeout_ms = in->session_timeout_ms;
    groups_join(req, in->group_id, &join, joined);
}
