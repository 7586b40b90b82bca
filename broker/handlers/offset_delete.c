/* OffsetDelete (KIP-496): offsets of topics that the group's members do not read. */
#include "broker/groups.h"

struct deleting {
    int16_t *errors;   /* of those asked for and known, in order */
    int16_t **results; /* where they go */
    int count;
};

static void deleted(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct offset_delete_response *out = req->out;
    const struct deleting *all = req->state;
    (void)arg, (void)value;
    thread_assert(&NET);
    if (err == ERR_REQUEST_TIMED_OUT)
        err = ERR_COORDINATOR_NOT_AVAILABLE;
    out->error_code = (int16_t)err;
    if (err != ERR_NONE)
        out->topics_count = 0;
    for (int i = 0; i < all->count; i++)
        *all->results[i] = all->errors[i];
    request_reply(req);
}

static void add_topic(struct request *req, const struct offset_delete_request_topic *t,
                      struct offset_delete_response_topic *o, struct delete_offsets *c)
{
    struct deleting *all = req->state;
    const struct image_topic *topic = req->image ? image_find_topic(req->image, t->name) : NULL;
    o->name = t->name;
    o->partitions = offset_delete_response_topic_partition_array(&req->arena, t->partitions_count);
    o->partitions_count = t->partitions_count;
    for (int i = 0; i < t->partitions_count; i++) {
        int32_t index = t->partitions[i].partition_index;
        o->partitions[i].partition_index = index;
        if (topic == NULL || image_find_partition(topic, index) == NULL) {
            o->partitions[i].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        all->results[all->count++] = &o->partitions[i].error_code;
        c->partitions[c->partitions_count++] = (struct command_partition){t->name, index};
    }
}

HANDLER(offset_delete)
{
    thread_assert(&NET);
    struct deleting *all = arena_need(&req->arena, sizeof(*all));
    struct delete_offsets c = {.group = in->group_id};
    size_t count = 1;
    FOR_EACH (t, in->topics, in->topics_count)
        count += (size_t)MAX(t->partitions_count, 0);
    req->state = all;
    all->results = arena_need(&req->arena, count * sizeof(int16_t *));
    all->errors = arena_need(&req->arena, count * sizeof(int16_t));
    c.partitions = arena_need(&req->arena, count * sizeof(*c.partitions));
    out->topics = offset_delete_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++)
        add_topic(req, &in->topics[i], &out->topics[i], &c);
    groups_delete_offsets(req, &c, all->errors, deleted);
}
