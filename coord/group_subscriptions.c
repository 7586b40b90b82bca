/*
 * What the members of a consumer group subscribe to, as their metadata tells it (Kafka's
 * ConsumerProtocolSubscription: version, topics, and more that is not read here).
 */
#include "coord/group_internal.h"
#include "proto/wire.h"

/* -1: the metadata has another form. */
static int member_subscribes(struct slice metadata, struct slice topic)
{
    struct wire_reader r;
    wire_reader_init(&r, metadata, NULL);
    (void)wire_get_i16(&r);
    int32_t count = wire_get_i32(&r);
    int found = 0;
    for (int32_t i = 0; i < count && r.err == 0; i++)
        found = slice_equal(wire_get_string(&r, false, false), topic) ? 1 : found;
    return r.err != 0 ? -1 : found;
}

bool group_classic_subscribes(const struct group_classic *g, struct slice topic)
{
    if (g->members_count == 0 || !slice_equals_text(g->protocol_type, "consumer"))
        return false;
    if (slice_is_null(g->protocol_name))
        return true; /* nobody knows yet */
    GROUP_MEMBERS(m, g)
    {
        if (member_subscribes(group_member_metadata(g, m), topic) != 0)
            return true;
    }
    return false;
}

bool group_offset_expired(const struct group_classic *g, int64_t since_ms,
                          const struct group_offset_age *offset, int64_t now_ms,
                          int64_t retention_ms)
{
    int64_t from_ms = offset->commit_time_ms;
    if (g != NULL && g->state == GROUP_EMPTY && !slice_is_null(g->protocol_type))
        from_ms = MAX(from_ms, since_ms);
    else if (g != NULL && g->state != GROUP_EMPTY && g->state != GROUP_STABLE)
        return false;
    else if (g != NULL && g->state == GROUP_STABLE &&
             (!slice_equals_text(g->protocol_type, "consumer") ||
              group_classic_subscribes(g, offset->topic)))
        return false;
    if (offset->expire_time_ms >= 0)
        return now_ms >= offset->expire_time_ms;
    return now_ms - from_ms >= retention_ms;
}
