/* ConsumerGroupHeartbeat (KIP-848): a member of the consumer protocol lives, comes and goes. */
#include <ctype.h>

#include "broker/features.h"
#include "broker/groups.h"
#include "broker/node.h"
#include "coord/assignor.h"
#include "proto/base/rng.h"

#define VERSION_OWN_ID 1 /* the member makes its id itself */

static void replied(struct request *req, const struct group_reply *reply)
{
    thread_assert(&NET);
    struct consumer_group_heartbeat_response *out = req->out;
    const struct group_reply_heartbeat *beat = &reply->beat;
    out->error_code = (int16_t)reply->err;
    out->error_message = beat->message;
    out->member_id = reply->err == ERR_NONE ? reply->member_id : SLICE_NULL;
    out->member_epoch = beat->epoch;
    out->heartbeat_interval_ms = beat->interval_ms;
    if (beat->has_assignment) {
        struct consumer_group_heartbeat_response_assignment *a =
            arena_need(&req->arena, sizeof(*a));
        a->topic_partitions = consumer_group_heartbeat_response_topic_partitions_array(
            &req->arena, (int32_t)beat->partitions_count);
        int32_t *indexes = arena_need(&req->arena, (beat->partitions_count + 1) * sizeof(int32_t));
        for (size_t i = 0; i < beat->partitions_count; i++) {
            const struct set_partition *p = &beat->partitions[i];
            if (i == 0 || !uuid_equal(p->topic, p[-1].topic)) {
                a->topic_partitions[a->topic_partitions_count].topic_id = p->topic;
                a->topic_partitions[a->topic_partitions_count++].partitions = &indexes[i];
            }
            indexes[i] = p->index;
            a->topic_partitions[a->topic_partitions_count - 1].partitions_count++;
        }
        out->assignment = a;
    }
    request_reply(req);
}

static void refuse(struct request *req, enum error_code err, const char *text)
{
    struct group_reply reply = {.err = err, .beat.message = slice_from_text(text)};
    replied(req, &reply);
}

/* Blanks count as nothing. */
static bool is_blank(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (!isspace(s.data[i]))
            return false;
    return !slice_is_null(s);
}

static const char *check_join(const struct consumer_group_heartbeat_request *in)
{
    if (in->rebalance_timeout_ms < 0)
        return "RebalanceTimeoutMs must be provided in first request.";
    if (in->topic_partitions_count != 0)
        return "TopicPartitions must be empty when (re-)joining.";
    if (in->subscribed_topic_names_count < 0 && slice_is_null(in->subscribed_topic_regex))
        return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
               "(re-)joining.";
    return NULL;
}

/* NULL: nothing is wrong with it. */
static const char *check(const struct request *req,
                         const struct consumer_group_heartbeat_request *in)
{
    bool needs_id = req->header.api_version >= VERSION_OWN_ID || in->member_epoch != 0;
    if (needs_id && is_blank(in->member_id))
        return "MemberId can't be empty.";
    if (is_blank(in->group_id))
        return "GroupId can't be empty.";
    if (is_blank(in->instance_id))
        return "InstanceId can't be empty.";
    if (is_blank(in->rack_id))
        return "RackId can't be empty.";
    if (in->member_epoch == 0)
        return check_join(in);
    if (in->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC && slice_is_null(in->instance_id))
        return "InstanceId can't be null.";
    if (in->member_epoch < CONSUMER_EPOCH_LEAVE_STATIC)
        return "MemberEpoch is invalid.";
    return NULL;
}

static bool assignor_allowed(const struct request *req, struct slice name)
{
    const char *list = config_text(&req->node->config, CONFIG_CONSUMER_ASSIGNORS);
    if (slice_is_null(name))
        return true;
    for (; *list != '\0'; list += strspn(list, ",")) {
        size_t size = strcspn(list, ",");
        if (slice_equal(slice_of(list, size), name))
            return true;
        list += size;
    }
    return false;
}

static void owned_fill(const struct consumer_group_heartbeat_request *in,
                       struct partition_set *owned)
{
    FOR_EACH (t, in->topic_partitions, in->topic_partitions_count) {
        FOR_EACH (index, t->partitions, t->partitions_count)
            partition_set_push(owned, t->topic_id, *index, 0);
    }
    partition_set_sort(owned);
}

HANDLER(consumer_group_heartbeat)
{
    thread_assert(&NET);
    const char *wrong = check(req, in);
    if (feature_level(req->image, feature_find(SLICE("group.version"))) < 1) {
        refuse(req, ERR_UNSUPPORTED_VERSION, NULL);
        return;
    }
    if (wrong != NULL) {
        refuse(req, ERR_INVALID_REQUEST, wrong);
        return;
    }
    if (!assignor_allowed(req, in->server_assignor)) {
        refuse(req, ERR_UNSUPPORTED_ASSIGNOR, "The server assignor is not supported.");
        return;
    }
    struct consumer_heartbeat beat = {
        .member_id = in->member_id,
        .epoch = in->member_epoch,
        .instance_id = in->instance_id,
        .rack = in->rack_id,
        .client_id = slice_is_null(req->header.client_id) ? SLICE("") : req->header.client_id,
        .client_host = request_client_host(req),
        .rebalance_timeout_ms = in->rebalance_timeout_ms,
        .topics = in->subscribed_topic_names,
        .topics_count = in->subscribed_topic_names_count,
        .regex = in->subscribed_topic_regex,
        .assignor = in->server_assignor,
        .has_owned = in->topic_partitions_count >= 0,
        .unique = rng_system_uuid(),
    };
    owned_fill(in, &beat.owned);
    groups_consumer_heartbeat(req, in->group_id, &beat, replied);
    partition_set_deinit(&beat.owned);
}
