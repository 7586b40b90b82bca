/*
 * DescribeQuorum (KIP-595, 836): who votes, who leads, and how far everyone is. Any node answers:
 * it asks all others where they are (AwaitImage for an index that all have).
 */
#include <stdlib.h>

#include "broker/barrier.h"
#include "broker/client.h"
#include "broker/node.h"
#include "broker/request.h"
#include "proto/base/clock.h"

#define TOPIC           SLICE("__cluster_metadata")
#define KEY_AWAIT_IMAGE 20003
#define WAIT_MS_MAX     1000

struct member {
    struct survey *survey;
    int32_t node_id;
    bool is_voter;
    int64_t end_offset; /* -1: it did not answer */
};

struct survey {
    struct request *req;
    int open;
    int count;
    struct member *members; /* by node id, one for each broker */
};

/* "id@host:port,…" as configured; the rest of the text behind the entry, NULL at the end. */
static const char *voter_next(const char *list, int32_t *id, struct slice *host, int32_t *port)
{
    const char *at = list != NULL ? strchr(list, '@') : NULL;
    if (at == NULL)
        return NULL;
    size_t size = strcspn(at + 1, ",");
    size_t host_size = size;
    while (host_size > 0 && at[host_size] != ':')
        host_size--;
    *id = (int32_t)strtol(list, NULL, 10);
    *host = slice_of(at + 1, host_size > 0 ? host_size - 1 : 0);
    *port = (int32_t)strtol(at + 1 + host_size, NULL, 10);
    const char *rest = at + 1 + size;
    return *rest == ',' ? rest + 1 : rest;
}

static bool is_configured_voter(const struct node *node, int32_t node_id)
{
    const char *list = config_text(&node->config, CONFIG_QUORUM_VOTERS);
    int32_t id, port;
    struct slice host;
    while ((list = voter_next(list, &id, &host, &port)) != NULL)
        if (id == node_id)
            return true;
    return false;
}

static void nodes_fill(struct request *req, struct describe_quorum_response *out)
{
    const char *list = config_text(&req->node->config, CONFIG_QUORUM_VOTERS);
    int32_t id, port;
    struct slice host;
    int most = 1;
    for (const char *c = list; c != NULL && *c != '\0'; c++)
        most += *c == ',';
    out->nodes = describe_quorum_response_node_array(&req->arena, most);
    while ((list = voter_next(list, &id, &host, &port)) != NULL) {
        struct describe_quorum_response_node *o = &out->nodes[out->nodes_count++];
        o->node_id = id;
        o->listeners = describe_quorum_response_node_listener_array(&req->arena, 1);
        o->listeners_count = 1;
        o->listeners[0].name = slice_from_text(req->node->config.controller.name);
        if (o->listeners[0].name.size == 0)
            o->listeners[0].name = SLICE("CONTROLLER");
        o->listeners[0].host = host;
        o->listeners[0].port = (uint16_t)port;
    }
}

static int64_t end_of(const struct survey *s, int32_t node_id)
{
    int64_t end = -1;
    for (int i = 0; i < s->count; i++)
        if (s->members[i].node_id == node_id)
            end = s->members[i].end_offset;
    return end;
}

static void state_fill(const struct member *m, int64_t leader_end,
                       struct describe_quorum_response_replica_state *o)
{
    int64_t now_ms = clock_wall_ms();
    o->replica_id = m->node_id;
    o->log_end_offset = MIN(m->end_offset, leader_end);
    if (m->end_offset < 0)
        return;
    o->last_fetch_timestamp = now_ms;
    o->last_caught_up_timestamp = m->end_offset >= leader_end ? now_ms : -1;
}

static void partition_fill(const struct survey *s,
                           struct describe_quorum_response_topic_partition *o)
{
    struct arena *arena = &s->req->arena;
    struct quorum_status status;
    quorum_status(s->req->node->quorum, &status);
    int64_t leader_end = end_of(s, status.leader_id);
    if (leader_end < 0) {
        o->error_code = ERR_NOT_LEADER_OR_FOLLOWER;
        return;
    }
    o->leader_id = status.leader_id;
    o->leader_epoch = (int32_t)status.term;
    o->high_watermark = leader_end;
    o->current_voters = describe_quorum_response_replica_state_array(arena, s->count);
    o->observers = describe_quorum_response_replica_state_array(arena, s->count);
    for (int i = 0; i < s->count; i++) {
        const struct member *m = &s->members[i];
        if (m->is_voter)
            state_fill(m, leader_end, &o->current_voters[o->current_voters_count++]);
        else
            state_fill(m, leader_end, &o->observers[o->observers_count++]);
    }
}

static void finish(const struct survey *s)
{
    thread_assert(&NET);
    struct request *req = s->req;
    struct describe_quorum_response *out = req->out;
    partition_fill(s, &out->topics[0].partitions[0]);
    nodes_fill(req, out);
    request_reply(req);
}

static void one_done(struct request *req, void *arg)
{
    (void)req;
    struct survey *s = arg;
    if (--s->open == 0)
        finish(s);
}

static void answered(void *arg, int err, const void *response)
{
    struct member *m = arg;
    const struct await_image_response *in = response;
    if (err == 0) {
        m->end_offset = in->applied_index + 1;
        m->is_voter = m->is_voter || in->is_voter;
    }
    request_resume(m->survey->req, one_done, m->survey);
}

static void ask(struct request *req, struct survey *s, const struct image_broker *b)
{
    thread_assert(&NET);
    struct member *m = &s->members[s->count++];
    *m = (struct member){.survey = s,
                         .node_id = b->node_id,
                         .is_voter = is_configured_voter(req->node, b->node_id),
                         .end_offset = -1};
    if (b->node_id == req->node->id) {
        struct quorum_status status;
        quorum_status(req->node->quorum, &status);
        m->end_offset = status.applied_index + 1;
        m->is_voter = req->node->config.is_controller;
        return;
    }
    struct client *client = b->fenced ? NULL : barrier_client(req, b);
    if (client == NULL)
        return;
    struct await_image_request question;
    await_image_request_init(&question);
    question.index = -1;
    s->open++;
    request_hold(req);
    client_send(client, KEY_AWAIT_IMAGE, 0, &question, WAIT_MS_MAX, answered, m);
}

/* The one partition there is; anything else is unknown, and then so is the request. */
static bool topics_fill(struct request *req, const struct describe_quorum_request *in,
                        struct describe_quorum_response *out)
{
    bool known = in->topics_count == 1 && slice_equal(in->topics[0].topic_name, TOPIC) &&
                 in->topics[0].partitions_count == 1 &&
                 in->topics[0].partitions[0].partition_index == 0;
    out->topics = describe_quorum_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        struct describe_quorum_response_topic *o = &out->topics[i];
        int32_t count = in->topics[i].partitions_count;
        o->topic_name = in->topics[i].topic_name;
        o->partitions = describe_quorum_response_topic_partition_array(&req->arena, count);
        o->partitions_count = count;
        for (int k = 0; k < count; k++) {
            o->partitions[k].partition_index = in->topics[i].partitions[k].partition_index;
            o->partitions[k].error_code = known ? ERR_NONE : ERR_UNKNOWN_TOPIC_OR_PARTITION;
        }
    }
    return known;
}

HANDLER(describe_quorum)
{
    thread_assert(&NET);
    if (!topics_fill(req, in, out) || req->image == NULL) {
        request_reply(req);
        return;
    }
    struct survey *s = arena_need(&req->arena, sizeof(*s));
    int count = req->image->brokers_count;
    *s = (struct survey){.req = req,
                         .open = 1,
                         .members =
                             arena_need(&req->arena, sizeof(*s->members) * (size_t)(count + 1))};
    for (int i = 0; i < count; i++)
        ask(req, s, req->image->brokers[i]);
    if (--s->open == 0)
        finish(s);
}
