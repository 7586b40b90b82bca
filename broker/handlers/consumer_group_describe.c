/* ConsumerGroupDescribe (KIP-848): groups of the consumer protocol with all that members have. */
#include "broker/features.h"
#include "broker/groups.h"

#define OPERATIONS_ALL     3400 /* what can be done to a group; there are no ACLs */
#define OPERATIONS_UNASKED INT32_MIN
#define MEMBER_CLASSIC     0
#define MEMBER_CONSUMER    1

/* By topic; those that are gone have no name to be shown by. */
static void fill_assignment(struct request *req, const struct partition_set *set,
                            struct consumer_group_describe_response_assignment *out)
{
    out->topic_partitions =
        consumer_group_describe_response_topic_partitions_array(&req->arena, (int32_t)set->count);
    for (size_t i = 0, end; i < set->count; i = end) {
        const struct image_topic *topic = image_find_topic_by_id(req->image, set->items[i].topic);
        end = partition_set_topic_end(set, i);
        if (topic == NULL)
            continue;
        struct consumer_group_describe_response_topic_partitions *o =
            &out->topic_partitions[out->topic_partitions_count++];
        o->topic_id = topic->id;
        o->topic_name = topic->name;
        o->partitions = arena_need(&req->arena, (end - i) * sizeof(*o->partitions));
        for (size_t k = i; k < end; k++)
            o->partitions[o->partitions_count++] = set->items[k].index;
    }
}

static void fill_member(struct request *req, const struct consumer_view_member *m,
                        struct consumer_group_describe_response_group_member *out)
{
    out->member_id = m->id;
    out->instance_id = m->instance_id;
    out->rack_id = m->rack;
    out->member_epoch = m->epoch;
    out->client_id = m->client_id;
    out->client_host = m->client_host;
    out->subscribed_topic_names = m->topics;
    out->subscribed_topic_names_count = m->topics_count;
    out->subscribed_topic_regex = m->regex;
    out->member_type = m->is_classic ? MEMBER_CLASSIC : MEMBER_CONSUMER;
    fill_assignment(req, &m->assigned, &out->assignment);
    fill_assignment(req, &m->target, &out->target_assignment);
}

static void describe(struct request *req, struct slice id, bool operations,
                     struct consumer_group_describe_response_group *out)
{
    struct consumer_view view = groups_describe_consumer(req->node, id, &req->arena);
    out->group_id = id;
    out->error_code = (int16_t)view.err;
    out->authorized_operations =
        operations && view.err == ERR_NONE ? OPERATIONS_ALL : OPERATIONS_UNASKED;
    out->group_state = slice_from_text(view.state);
    out->assignor_name = view.assignor;
    out->group_epoch = view.epoch;
    out->assignment_epoch = view.assignment_epoch;
    if (view.err == ERR_GROUP_ID_NOT_FOUND)
        out->error_message =
            arena_printf(&req->arena, "Group " SLICE_FMT " not found.", SLICE_ARG(id));
    out->members =
        consumer_group_describe_response_group_member_array(&req->arena, view.members_count);
    out->members_count = view.members_count;
    for (int32_t i = 0; i < view.members_count; i++)
        fill_member(req, &view.members[i], &out->members[i]);
}

static void refuse(struct slice id, enum error_code err,
                   struct consumer_group_describe_response_group *out)
{
    out->group_id = id;
    out->error_code = (int16_t)err;
    out->authorized_operations = OPERATIONS_UNASKED;
    out->group_state = out->assignor_name = SLICE("");
}

HANDLER(consumer_group_describe)
{
    thread_assert(&NET);
    bool off = feature_level(req->image, feature_find(SLICE("group.version"))) < 1;
    out->groups = consumer_group_describe_response_group_array(&req->arena, in->group_ids_count);
    out->groups_count = in->group_ids_count;
    for (int32_t i = 0; i < in->group_ids_count; i++) {
        if (off)
            refuse(in->group_ids[i], ERR_UNSUPPORTED_VERSION, &out->groups[i]);
        else if (in->group_ids[i].size == 0)
            refuse(in->group_ids[i], ERR_INVALID_GROUP_ID, &out->groups[i]);
        else
            describe(req, in->group_ids[i], in->include_authorized_operations, &out->groups[i]);
    }
    request_reply(req);
}
