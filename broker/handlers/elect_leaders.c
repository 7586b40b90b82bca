/* ElectLeaders: preferred leaders back in place, or an unclean one where no other is left. */
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/command.h"
#include "proto/base/vec.h"

#define ELECTION_PREFERRED 0
#define ELECTION_UNCLEAN   1

struct electing {
    struct command_partition *partitions;
    int16_t **codes; /* of the answer, in the same order */
    struct slice **messages;
    int32_t count;
};

static struct slice message_of(struct request *req, enum error_code err,
                               const struct command_partition *p)
{
    const char *words = NULL;
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION)
        words = "No such partition as";
    else if (err == ERR_ELECTION_NOT_NEEDED)
        words = "Leader election not needed for topic partition:";
    else if (err == ERR_PREFERRED_LEADER_NOT_AVAILABLE)
        words = "The preferred leader was not available for";
    else if (err == ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE)
        words = "No replica of it is alive:";
    if (words == NULL)
        return SLICE_NULL;
    return arena_printf(&req->arena, "%s %.*s-%d", words, (int)p->topic.size,
                        (const char *)p->topic.data, p->partition);
}

static void elected(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct electing *e = arg;
    for (int32_t i = 0; i < e->count; i++) {
        enum error_code one = err == ERR_NONE ? command_value_error(value, i) : err;
        *e->codes[i] = (int16_t)one;
        *e->messages[i] = message_of(req, one, &e->partitions[i]);
    }
}

/* Asked for all: every topic is in the answer, and of its partitions what wants an election. */
static bool wants_election(int8_t type, const struct image_partition *p)
{
    return type == ELECTION_UNCLEAN ? p->leader < 0 : p->leader != p->replicas[0];
}

static int32_t all_of_topic(struct request *req, const struct image_topic *t,
                            struct elect_leaders_response_replica_election_result *o)
{
    const struct elect_leaders_request *in = req->in;
    o->topic = t->name;
    o->partition_result = elect_leaders_response_replica_election_result_partition_result_array(
        &req->arena, t->partitions_count);
    for (int32_t i = 0; i < t->partitions_count; i++)
        if (wants_election(in->election_type, &t->partitions[i]))
            o->partition_result[o->partition_result_count++].partition_id = i;
    return o->partition_result_count;
}

static int32_t all_topics(struct request *req, struct elect_leaders_response *out)
{
    const struct image *img = req->image;
    int32_t count = 0;
    out->replica_election_results =
        elect_leaders_response_replica_election_result_array(&req->arena, img->topics_count);
    for (int i = 0; i < img->topics_count; i++) {
        int at = out->replica_election_results_count++;
        count += all_of_topic(req, img->topics[i], &out->replica_election_results[at]);
    }
    return count;
}

static int32_t named_topics(struct request *req, struct elect_leaders_response *out)
{
    const struct elect_leaders_request *in = req->in;
    int32_t count = 0;
    out->replica_election_results = elect_leaders_response_replica_election_result_array(
        &req->arena, in->topic_partitions_count);
    out->replica_election_results_count = in->topic_partitions_count;
    for (int i = 0; i < in->topic_partitions_count; i++) {
        const struct elect_leaders_request_topic_partition *t = &in->topic_partitions[i];
        struct elect_leaders_response_replica_election_result *o =
            &out->replica_election_results[i];
        o->topic = t->topic;
        o->partition_result = elect_leaders_response_replica_election_result_partition_result_array(
            &req->arena, t->partitions_count);
        o->partition_result_count = t->partitions_count;
        for (int k = 0; k < t->partitions_count; k++)
            o->partition_result[k].partition_id = t->partitions[k];
        count += MAX(t->partitions_count, 0);
    }
    return count;
}

static struct electing *electing_new(struct request *req, struct elect_leaders_response *out,
                                     int32_t count)
{
    struct electing *e = arena_need(&req->arena, sizeof(*e));
    *e = (struct electing){
        .partitions = arena_need(&req->arena, sizeof(*e->partitions) * (size_t)count),
        .codes = arena_need(&req->arena, sizeof(*e->codes) * (size_t)count),
        .messages = arena_need(&req->arena, sizeof(*e->messages) * (size_t)count),
    };
    for (int i = 0; i < out->replica_election_results_count; i++) {
        struct elect_leaders_response_replica_election_result *o =
            &out->replica_election_results[i];
        for (int k = 0; k < o->partition_result_count; k++) {
            e->partitions[e->count] =
                (struct command_partition){o->topic, o->partition_result[k].partition_id};
            e->codes[e->count] = &o->partition_result[k].error_code;
            e->messages[e->count++] = &o->partition_result[k].error_message;
        }
    }
    return e;
}

static enum error_code check(const struct request *req, const struct elect_leaders_request *in)
{
    if (req->image == NULL)
        return ERR_NOT_CONTROLLER;
    bool known = in->election_type == ELECTION_PREFERRED || in->election_type == ELECTION_UNCLEAN;
    return known ? ERR_NONE : ERR_INVALID_REQUEST;
}

static void refuse_all(struct request *req, struct elect_leaders_response *out)
{
    const struct elect_leaders_request *in = req->in;
    if (in->topic_partitions_count >= 0)
        named_topics(req, out);
    for (int i = 0; i < out->replica_election_results_count; i++)
        for (int k = 0; k < out->replica_election_results[i].partition_result_count; k++)
            out->replica_election_results[i].partition_result[k].error_code = out->error_code;
}

HANDLER(elect_leaders)
{
    thread_assert(&NET);
    struct submissions *all = submissions_new(req, in->timeout_ms, request_reply);
    out->error_code = (int16_t)check(req, in);
    if (out->error_code != ERR_NONE) {
        refuse_all(req, out);
        request_reply(req);
        return;
    }
    int32_t count = in->topic_partitions_count < 0 ? all_topics(req, out) : named_topics(req, out);
    struct electing *e = electing_new(req, out, count);
    if (count > 0) {
        struct elect_leaders c = {.unclean = in->election_type == ELECTION_UNCLEAN,
                                  .partitions = e->partitions,
                                  .partitions_count = count};
        struct buffer command = {0};
        command_encode_elect_leaders(&command, &c);
        submissions_add_custom(req, all, &command, elected, e);
    }
    submissions_end(req, all);
}
