/* DeleteTopics, by name or id. */
#include "broker/barrier.h"
#include "broker/node.h"
#include "broker/request.h"
#include "coord/command.h"

struct deleting {
    int open;
    bool any; /* something was deleted */
    struct delete_topics_response_response *results;
};

struct deleting_one {
    struct deleting *all;
    struct delete_topics_response_response *out;
};

static void all_done(struct request *req, const struct deleting *all)
{
    thread_assert(&NET);
    if (all->any)
        request_when_everywhere(req, request_reply);
    else
        request_reply(req);
}

static void deleted(struct request *req, void *arg, enum error_code err, struct slice value)
{
    thread_assert(&NET);
    struct deleting_one *one = arg;
    one->out->error_code = (int16_t)err;
    one->out->error_message = err == ERR_NONE ? SLICE_NULL : value;
    one->all->any = one->all->any || err == ERR_NONE;
    if (--one->all->open == 0)
        all_done(req, one->all);
}

/* By the same name or the same id; in both ways is found when it is gone. */
static bool named_twice(const struct request *req, int index)
{
    const struct delete_topics_request *in = req->in;
    if (req->header.api_version < 6) {
        for (int i = 0; i < in->topic_names_count; i++)
            if (i != index && slice_equal(in->topic_names[i], in->topic_names[index]))
                return true;
        return false;
    }
    const struct delete_topics_request_topic *t = &in->topics[index];
    for (int i = 0; i < in->topics_count; i++) {
        const struct delete_topics_request_topic *o = &in->topics[i];
        bool same_name =
            !slice_is_null(t->name) && !slice_is_null(o->name) && slice_equal(t->name, o->name);
        if (i != index &&
            (same_name || (!uuid_is_zero(t->topic_id) && uuid_equal(t->topic_id, o->topic_id))))
            return true;
    }
    return false;
}

static enum error_code find(struct request *req, struct slice name, struct uuid id,
                            const struct image_topic **topic)
{
    *topic = NULL;
    if (slice_is_null(name) == uuid_is_zero(id))
        return ERR_INVALID_REQUEST;
    if (req->image == NULL)
        return ERR_NOT_CONTROLLER;
    if (!config_number(&req->node->config, CONFIG_DELETE_TOPICS))
        return ERR_TOPIC_DELETION_DISABLED;
    *topic = slice_is_null(name) ? image_find_topic_by_id(req->image, id)
                                 : image_find_topic(req->image, name);
    if (*topic == NULL)
        return slice_is_null(name) ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    return ERR_NONE;
}

static void delete_one(struct request *req, struct deleting *all, struct slice name, struct uuid id,
                       struct delete_topics_response_response *o)
{
    thread_assert(&NET);
    const struct delete_topics_request *in = req->in;
    const struct image_topic *topic;
    o->name = name;
    o->topic_id = id;
    o->error_code = (int16_t)find(req, name, id, &topic);
    if (o->error_code != ERR_NONE)
        return;
    o->name = topic->name;
    o->topic_id = topic->id;
    struct deleting_one *one = arena_need(&req->arena, sizeof(*one));
    *one = (struct deleting_one){all, o};
    struct delete_topic c = {.topic_id = topic->id};
    struct buffer command = {0};
    command_encode_delete_topic(&command, &c);
    all->open++;
    request_submit(req, buffer_slice(&command), in->timeout_ms, deleted, one);
    buffer_deinit(&command);
}

HANDLER(delete_topics)
{
    thread_assert(&NET);
    bool by_struct = req->header.api_version >= 6;
    int32_t count = MAX(by_struct ? in->topics_count : in->topic_names_count, 0);
    struct deleting *all = arena_need(&req->arena, sizeof(*all));
    all->open = 1;
    out->responses = delete_topics_response_response_array(&req->arena, count);
    out->responses_count = count;
    for (int i = 0; i < count; i++) {
        struct slice name = by_struct ? in->topics[i].name : in->topic_names[i];
        struct uuid id = by_struct ? in->topics[i].topic_id : UUID_ZERO;
        if (named_twice(req, i)) {
            out->responses[i].name = name;
            out->responses[i].topic_id = id;
            out->responses[i].error_code = ERR_INVALID_REQUEST;
            continue;
        }
        delete_one(req, all, name, id, &out->responses[i]);
    }
    if (--all->open == 0)
        all_done(req, all);
}
