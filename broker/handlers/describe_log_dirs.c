/* DescribeLogDirs: what lies in which log folder of this node, and how much room is left. */
#include <stdlib.h>
#include <sys/statvfs.h>

#include "broker/node.h"
#include "broker/request.h"

struct found {
    int dir;
    struct slice topic;
    int32_t index;
    int64_t size;
    int64_t lag;
};

struct search {
    struct request *req;
    VEC(struct found) list;
};

static bool asked_for(const struct describe_log_dirs_request *in, const struct replica *r)
{
    for (int i = 0; i < in->topics_count; i++) {
        const struct describe_log_dirs_request_topic *t = &in->topics[i];
        if (!slice_equal(t->topic, r->topic))
            continue;
        for (int k = 0; k < t->partitions_count; k++)
            if (t->partitions[k] == r->index)
                return true;
    }
    return in->topics_count < 0;
}

static void look_at(void *arg, struct replica *r)
{
    struct search *s = arg;
    if (!asked_for(s->req->in, r))
        return;
    struct found f = {.dir = replica_dir(r), .index = r->index};
    mutex_lock(&r->lock);
    bool online = r->partition != NULL;
    if (online) {
        struct log *log = partition_log(r->partition);
        f.size = log_size_bytes(log);
        f.lag = MAX(partition_high_watermark(r->partition) - log_end_offset(log), (int64_t)0);
    }
    mutex_unlock(&r->lock);
    if (!online)
        return;
    f.topic = arena_copy(&s->req->arena, r->topic); /* the replica may go before the answer does */
    vec_push(&s->list, f);
}

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    int order = slice_compare(x->topic, y->topic);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static void topics_fill(const struct search *s, int dir,
                        struct describe_log_dirs_response_result *o)
{
    struct arena *arena = &s->req->arena;
    int32_t count = (int32_t)s->list.count;
    struct describe_log_dirs_response_result_topic *t = NULL;
    o->topics = describe_log_dirs_response_result_topic_array(arena, count);
    for (int32_t i = 0; i < count; i++) {
        const struct found *f = &s->list.items[i];
        if (f->dir != dir)
            continue;
        if (t == NULL || !slice_equal(t->name, f->topic)) {
            t = &o->topics[o->topics_count++];
            t->name = f->topic;
            int32_t same = 1;
            while (i + same < count && slice_equal(s->list.items[i + same].topic, f->topic))
                same++;
            t->partitions = describe_log_dirs_response_result_topic_partition_array(arena, same);
        }
        struct describe_log_dirs_response_result_topic_partition *p =
            &t->partitions[t->partitions_count++];
        p->partition_index = f->index;
        p->partition_size = f->size;
        p->offset_lag = f->lag;
    }
}

static void dir_fill(struct search *s, int dir, struct describe_log_dirs_response_result *o)
{
    struct replicas *replicas = s->req->node->replicas;
    const char *path = replicas_dir_path(replicas, dir);
    struct statvfs disk;
    o->log_dir = slice_from_text(path);
    if (replicas_dir_failed(replicas, dir)) {
        o->error_code = ERR_KAFKA_STORAGE_ERROR;
        return;
    }
    if (statvfs(path, &disk) == 0) {
        o->total_bytes = (int64_t)(disk.f_blocks * disk.f_frsize);
        o->usable_bytes = (int64_t)(disk.f_bavail * disk.f_frsize);
    }
    topics_fill(s, dir, o);
}

HANDLER(describe_log_dirs)
{
    thread_assert(&NET);
    struct search s = {.req = req};
    replicas_each(req->node->replicas, look_at, &s);
    if (s.list.count > 0)
        qsort(s.list.items, s.list.count, sizeof(*s.list.items), compare_found);
    int count = replicas_dirs_count(req->node->replicas);
    out->results = describe_log_dirs_response_result_array(&req->arena, count);
    out->results_count = count;
    for (int i = 0; i < count; i++)
        dir_fill(&s, i, &out->results[i]);
    vec_deinit(&s.list);
    request_reply(req);
}
