/* DeleteTopics, by name or id. */
#include "broker/barrier.h"
#include "broker/named.h"
#include "broker/node.h"
#include "broker/request.h"
#include "coord/command.h"

#define VERSION_BY_ID 6

enum { KEY_ID, KEY_NAME };

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

struct asked {
    struct slice name; /* null: by id */
    struct uuid id;
};

static struct asked asked_for(const struct request *req, int index)
{
    const struct delete_topics_request *in = req->in;
    if (req->header.api_version < VERSION_BY_ID)
        return (struct asked){in->topic_names[index], UUID_ZERO};
    return (struct asked){in->topics[index].name, in->topics[index].topic_id};
}

/* By the id where there is one: a topic that is named in both ways is named twice. */
static struct slice key_of(struct request *req, const struct asked *t)
{
    if (slice_is_null(t->name))
        return named_key(&req->arena, KEY_ID, slice_of(&t->id, sizeof(t->id)));
    const struct image_topic *topic = req->image ? image_find_topic(req->image, t->name) : NULL;
    return topic != NULL ? named_key(&req->arena, KEY_ID, slice_of(&topic->id, sizeof(topic->id)))
                         : named_key(&req->arena, KEY_NAME, t->name);
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

static void delete_one(struct request *req, struct deleting *all, const struct asked *t,
                       const struct map *named, struct delete_topics_response_response *o)
{
    thread_assert(&NET);
    const struct delete_topics_request *in = req->in;
    const struct image_topic *topic = NULL;
    o->name = t->name;
    o->topic_id = t->id;
    o->error_code =
        (int16_t)(named_twice(named, key_of(req, t)) ? ERR_INVALID_REQUEST
                                                     : find(req, t->name, t->id, &topic));
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
    bool by_struct = req->header.api_version >= VERSION_BY_ID;
    int32_t count = MAX(by_struct ? in->topics_count : in->topic_names_count, 0);
    struct deleting *all = arena_need(&req->arena, sizeof(*all));
    struct map named = {0};
    all->open = 1;
    out->responses = delete_topics_response_response_array(&req->arena, count);
    out->responses_count = count;
    for (int i = 0; i < count; i++) {
        struct asked t = asked_for(req, i);
        named_note(&named, key_of(req, &t));
    }
    for (int i = 0; i < count; i++) {
        struct asked t = asked_for(req, i);
        delete_one(req, all, &t, &named, &out->responses[i]);
    }
    map_deinit(&named);
    if (--all->open == 0)
        all_done(req, all);
}
