/* Heartbeat of the classic protocol. */
#include "broker/groups.h"

HANDLER(heartbeat)
{
    thread_assert(&NET);
    out->error_code = (int16_t)groups_heartbeat(req->node, in->group_id, in->member_id,
                                                in->group_instance_id, in->generation_id);
    request_reply(req);
}
