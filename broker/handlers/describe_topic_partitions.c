/*
 * DescribeTopicPartitions (KIP-966): topics in order of their names, a bounded number of partitions
 * an answer; the cursor says where the next request goes on.
 */
#include <stdlib.h>

#include "broker/request.h"
#include "broker/topic_create.h"

#define PARTITIONS_MAX 2000 /* max.request.partition.size.limit */

struct walk {
    struct request *req;
    struct describe_topic_partitions_response *out;
    int32_t left; /* partitions that still fit */
    bool full;
};

static bool alive(const struct image *img, int32_t node_id)
{
    const struct image_broker *b = image_find_broker(img, node_id);
    return b != NULL && !b->fenced;
}

static void partition_fill(struct request *req, const struct image_partition *p, int32_t index,
                           struct describe_topic_partitions_response_topic_partition *o)
{
    o->partition_index = index;
    o->leader_id = p->leader;
    o->leader_epoch = p->leader_epoch;
    o->replica_nodes = p->replicas;
    o->replica_nodes_count = p->replicas_count;
    o->isr_nodes = p->isr;
    o->isr_nodes_count = p->isr_count;
    o->eligible_leader_replicas = p->elr;
    o->eligible_leader_replicas_count = p->elr_count;
    o->last_known_elr = p->elr; /* none is remembered beside the eligible ones */
    o->last_known_elr_count = 0;
    o->offline_replicas = arena_need(&req->arena, sizeof(int32_t) * (size_t)p->replicas_count);
    for (int i = 0; i < p->replicas_count; i++)
        if (!alive(req->image, p->replicas[i]))
            o->offline_replicas[o->offline_replicas_count++] = p->replicas[i];
    if (p->leader < 0)
        o->error_code = ERR_LEADER_NOT_AVAILABLE;
}

static void stop_at(struct walk *w, struct slice topic, int32_t partition)
{
    w->full = true;
    w->out->next_cursor = arena_need(&w->req->arena, sizeof(*w->out->next_cursor));
    w->out->next_cursor->topic_name = topic;
    w->out->next_cursor->partition_index = partition;
}

static void topic_fill(struct walk *w, const struct image_topic *t, int32_t first)
{
    int32_t count = MIN(t->partitions_count - first, w->left);
    if (count <= 0 && first < t->partitions_count) {
        stop_at(w, t->name, first);
        return;
    }
    struct describe_topic_partitions_response_topic *o = &w->out->topics[w->out->topics_count++];
    o->name = t->name;
    o->topic_id = t->id;
    o->is_internal = slice_equals_text(t->name, "__consumer_offsets") ||
                     slice_equals_text(t->name, "__transaction_state");
    count = MAX(count, 0);
    o->partitions = describe_topic_partitions_response_topic_partition_array(&w->req->arena, count);
    o->partitions_count = count;
    for (int32_t i = 0; i < count; i++)
        partition_fill(w->req, &t->partitions[first + i], first + i, &o->partitions[i]);
    w->left -= count;
    if (first + count < t->partitions_count)
        stop_at(w, t->name, first + count);
}

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The names asked for, or all, sorted; without repeats. */
static struct slice *names_of(struct request *req, int32_t *count)
{
    const struct describe_topic_partitions_request *in = req->in;
    bool all = in->topics_count <= 0;
    int32_t most = all ? req->image->topics_count : in->topics_count;
    struct slice *names = arena_need(&req->arena, sizeof(*names) * (size_t)most);
    for (int32_t i = 0; i < most; i++)
        names[i] = all ? req->image->topics[i]->name : in->topics[i].name;
    if (!all)
        qsort(names, (size_t)most, sizeof(*names), compare_names);
    *count = 0;
    for (int32_t i = 0; i < most; i++)
        if (*count == 0 || !slice_equal(names[i], names[*count - 1]))
            names[(*count)++] = names[i];
    return names;
}

static void one_fill(struct walk *w, struct slice name)
{
    const struct describe_topic_partitions_request *in = w->req->in;
    int order = in->cursor ? slice_compare(name, in->cursor->topic_name) : 1;
    if (order < 0)
        return;
    const struct image_topic *t = image_find_topic(w->req->image, name);
    if (t != NULL) {
        topic_fill(w, t, order == 0 ? MIN(in->cursor->partition_index, t->partitions_count) : 0);
        return;
    }
    struct describe_topic_partitions_response_topic *o = &w->out->topics[w->out->topics_count++];
    o->name = name;
    o->error_code =
        topic_name_valid(name) ? ERR_UNKNOWN_TOPIC_OR_PARTITION : ERR_INVALID_TOPIC_EXCEPTION;
}

/* It points into the topics asked for. */
static bool cursor_valid(const struct describe_topic_partitions_request *in)
{
    if (in->cursor == NULL)
        return true;
    bool named = in->topics_count <= 0;
    for (int i = 0; i < in->topics_count; i++)
        named = named || slice_equal(in->topics[i].name, in->cursor->topic_name);
    return named && in->cursor->partition_index >= 0;
}

/* The answer has no place for an error of the whole request. */
static void refuse_all(const struct describe_topic_partitions_request *in,
                       struct describe_topic_partitions_response *out, struct request *req)
{
    out->topics = describe_topic_partitions_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        out->topics[i].name = in->topics[i].name;
        out->topics[i].error_code = ERR_INVALID_REQUEST;
    }
}

HANDLER(describe_topic_partitions)
{
    thread_assert(&NET);
    if (req->image == NULL) {
        request_reply(req);
        return;
    }
    if (!cursor_valid(in)) {
        refuse_all(in, out, req);
        request_reply(req);
        return;
    }
    int32_t count;
    struct slice *names = names_of(req, &count);
    struct walk w = {
        .req = req, .out = out, .left = MAX(MIN(in->response_partition_limit, PARTITIONS_MAX), 1)};
    out->topics = describe_topic_partitions_response_topic_array(&req->arena, count);
    for (int32_t i = 0; i < count && !w.full; i++)
        one_fill(&w, names[i]);
    request_reply(req);
}
