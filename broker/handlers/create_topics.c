/* CreateTopics: each topic its own command, all of them answered together. */
#include <stdlib.h>

#include "broker/barrier.h"
#include "broker/named.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/topic_settings.h"
#include "coord/command.h"
#include "coord/metadata.h"
#include "proto/base/rng.h"

struct creating {
    int open;
    bool any; /* something was created */
};

struct creating_one {
    struct creating *all;
    struct create_topics_response_topic *out;
    struct uuid id;
};

/* All settings of the new topic, with where each comes from (KIP-525). */
static void configs_fill(struct request *req, const struct image *img, const struct image_topic *t,
                         struct create_topics_response_topic *o)
{
    struct config_node node = topic_config_node(&req->node->config);
    o->configs = create_topics_response_topic_config_array(&req->arena, topic_configs_count);
    o->configs_count = topic_configs_count;
    for (int i = 0; i < topic_configs_count; i++) {
        struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
        topic_config_layers(img, t, &topic_configs[i], &node, layers);
        o->configs[i].name = slice_from_text(topic_configs[i].name);
        o->configs[i].value = arena_copy(&req->arena, layers[0].value);
        o->configs[i].config_source = (int8_t)layers[0].source;
    }
}

static int compare_configs(const void *a, const void *b)
{
    return slice_compare(((const struct image_config *)a)->name,
                         ((const struct image_config *)b)->name);
}

/* Of a topic that is only tried. */
static void configs_fill_tried(struct request *req, const struct create_topic *c,
                               struct create_topics_response_topic *o)
{
    size_t size = sizeof(*c->configs) * (size_t)c->configs_count;
    struct image_topic tried = {.name = c->name,
                                .configs = arena_need(&req->arena, size),
                                .configs_count = c->configs_count};
    if (size > 0) {
        memcpy(tried.configs, c->configs, size);
        qsort(tried.configs, (size_t)c->configs_count, sizeof(*c->configs), compare_configs);
    }
    configs_fill(req, req->image, &tried, o);
}

static void finish(struct request *req)
{
    thread_assert(&NET);
    struct create_topics_response *out = req->out;
    struct image *newest = quorum_image(req->node->quorum);
    for (int i = 0; i < out->topics_count && newest != NULL; i++) {
        struct create_topics_response_topic *o = &out->topics[i];
        const struct image_topic *t =
            o->error_code == ERR_NONE ? image_find_topic(newest, o->name) : NULL;
        if (t == NULL)
            continue;
        o->topic_id = t->id;
        o->num_partitions = t->partitions_count;
        o->replication_factor = (int16_t)t->partitions[0].replicas_count;
        configs_fill(req, newest, t, o);
    }
    image_unref(newest);
    request_reply(req);
}

static void all_done(struct request *req, const struct creating *all)
{
    thread_assert(&NET);
    if (all->any)
        request_when_everywhere(req, finish);
    else
        finish(req);
}

static void created(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct creating_one *one = arg;
    one->out->error_code = (int16_t)err;
    one->out->error_message = err == ERR_NONE ? SLICE_NULL : value;
    one->all->any = one->all->any || err == ERR_NONE;
    if (--one->all->open == 0)
        all_done(req, one->all);
}

static void command_fill(struct request *req, const struct create_topics_request_topic *in,
                         struct create_topic *c)
{
    const struct config *config = &req->node->config;
    *c = (struct create_topic){.name = in->name,
                               .topic_id = rng_system_uuid(),
                               .partitions = in->num_partitions,
                               .replication_factor = in->replication_factor};
    if (in->assignments_count <= 0) {
        if (c->partitions == -1)
            c->partitions = (int32_t)config_number(config, CONFIG_NUM_PARTITIONS);
        if (c->replication_factor == -1)
            c->replication_factor = (int16_t)config_number(config, CONFIG_REPLICATION_FACTOR);
    }
    c->assignments =
        arena_need(&req->arena, sizeof(*c->assignments) * (size_t)MAX(in->assignments_count, 0));
    c->assignments_count = MAX(in->assignments_count, 0);
    for (int i = 0; i < c->assignments_count; i++)
        c->assignments[i] = (struct command_assignment){in->assignments[i].partition_index,
                                                        in->assignments[i].broker_ids,
                                                        in->assignments[i].broker_ids_count};
    c->configs = arena_need(&req->arena, sizeof(*c->configs) * (size_t)MAX(in->configs_count, 0));
    c->configs_count = MAX(in->configs_count, 0);
    for (int i = 0; i < c->configs_count; i++)
        c->configs[i] = (struct image_config){in->configs[i].name, in->configs[i].value};
}

/* Answer at once what needs no command. false: a command was submitted. */
static bool settle_early(struct request *req, const struct map *named, const struct create_topic *c,
                         struct create_topics_response_topic *o)
{
    const struct create_topics_request *in = req->in;
    if (named_twice(named, c->name)) {
        o->error_code = ERR_INVALID_REQUEST;
        o->error_message = SLICE("the topic is named twice in the request");
        return true;
    }
    if (!in->validate_only)
        return false;
    char reason[200] = "";
    o->error_code = (int16_t)metadata_check_create_topic(req->image, c, reason);
    if (o->error_code != ERR_NONE)
        o->error_message = arena_text(&req->arena, reason);
    else
        configs_fill_tried(req, c, o);
    o->num_partitions = c->partitions;
    o->replication_factor = c->replication_factor;
    return true;
}

HANDLER(create_topics)
{
    thread_assert(&NET);
    struct creating *all = arena_need(&req->arena, sizeof(*all));
    all->open = 1;
    out->topics = create_topics_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    struct map named = {0};
    FOR_EACH (t, in->topics, in->topics_count)
        named_note(&named, t->name);
    for (int i = 0; i < in->topics_count; i++) {
        struct create_topics_response_topic *o = &out->topics[i];
        struct create_topic c;
        o->name = in->topics[i].name;
        o->num_partitions = -1;
        o->replication_factor = -1;
        if (req->image == NULL) {
            o->error_code = ERR_NOT_CONTROLLER;
            continue;
        }
        command_fill(req, &in->topics[i], &c);
        if (settle_early(req, &named, &c, o))
            continue;
        struct creating_one *one = arena_need(&req->arena, sizeof(*one));
        *one = (struct creating_one){all, o, c.topic_id};
        struct buffer command = {0};
        command_encode_create_topic(&command, &c);
        all->open++;
        request_submit(req, buffer_slice(&command), in->timeout_ms, created, one);
        buffer_deinit(&command);
    }
    map_deinit(&named);
    if (--all->open == 0)
        all_done(req, all);
}
