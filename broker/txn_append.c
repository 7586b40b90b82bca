/* Batches that wait for their transaction. */
#include "broker/txn_append.h"

#include <stdlib.h>

#include "broker/node.h"
#include "broker/txns.h"
#include "coord/command.h"
#include "proto/base/clock.h"
#include "proto/base/vec.h"
#include "replication/log_txn.h"

#define VERSION_ABORTABLE 11 /* knows TRANSACTION_ABORTABLE */
#define VERSION_ADDS      12 /* transactions version 2 */

struct txn_appends {
    struct request *req;
    struct slice transactional_id;
    void (*append)(struct request *req, struct txn_append *a);
    void (*done)(struct request *req);
    VEC(struct txn_append *) firsts; /* asked about; emptied with the answer */
    int open;                        /* the answer, and those that wait behind others */
};

static bool is_open(struct partition *p, const struct batch_header *h)
{
    return log_txn_is_open(partition_log(p), h->producer_id, h->producer_epoch);
}

static bool is_unchanged(struct partition *p, const struct txn_guard *guard)
{
    return guard->verified && partition_leader_epoch(p) == guard->leader_epoch &&
           log_txn_marker(partition_log(p), guard->header->producer_id) == guard->marker_offset;
}

/* PRODUCER_OK unless the sequences and epochs decide alone. */
static enum log_producer_check check_sequence(struct partition *p, const struct batch_header *h,
                                              enum error_code *err)
{
    int64_t base_offset, append_time_ms;
    return log_check_producer(partition_log(p), h, clock_wall_ms(), err, &base_offset,
                              &append_time_ms);
}

enum error_code txn_append_check(void *arg, struct partition *p)
{
    const struct txn_guard *guard = arg;
    const struct batch_header *h = guard->header;
    enum error_code err = ERR_NONE;
    if (!batch_has_producer(h) || partition_role(p) != PARTITION_LEADER ||
        check_sequence(p, h, &err) != PRODUCER_OK)
        return ERR_NONE; /* the append itself will say so */
    bool fits = is_open(p, h) || is_unchanged(p, guard);
    return fits == batch_is_transactional(h) ? ERR_NONE : ERR_INVALID_TXN_STATE;
}

/* The batch that this one has to wait for. */
static struct txn_append *first_of(struct request *req, const struct replica *r,
                                   const struct batch_header *h)
{
    thread_assert(&NET);
    struct list *kept = txns_kept(req->node, req->thread);
    LIST_FOR_EACH (a, kept, struct txn_append, link)
        if (a->r->index == r->index && uuid_equal(a->r->topic_id, r->topic_id) &&
            a->header.producer_id == h->producer_id &&
            a->header.producer_epoch == h->producer_epoch)
            return a;
    return NULL;
}

bool txn_append_must_wait(struct request *req, struct replica *r, struct txn_guard *guard)
{
    const struct batch_header *h = guard->header;
    enum error_code err;
    guard->verified = false;
    if (!batch_is_transactional(h))
        return false;
    if (first_of(req, r, h) != NULL)
        return true;
    mutex_lock(&r->lock);
    struct partition *p = r->partition;
    bool waits = p != NULL && partition_role(p) == PARTITION_LEADER && !is_open(p, h) &&
                 check_sequence(p, h, &err) == PRODUCER_OK;
    if (waits) {
        guard->marker_offset = log_txn_marker(partition_log(p), h->producer_id);
        guard->leader_epoch = partition_leader_epoch(p);
    }
    mutex_unlock(&r->lock);
    return waits;
}

struct txn_appends *txn_appends_new(struct request *req, struct slice transactional_id,
                                    void (*append)(struct request *req, struct txn_append *a),
                                    void (*done)(struct request *req))
{
    struct txn_appends *ts = arena_need(&req->arena, sizeof(*ts));
    *ts = (struct txn_appends){
        .req = req, .transactional_id = transactional_id, .append = append, .done = done};
    return ts;
}

enum error_code txn_appends_keep(struct txn_appends *ts, struct replica *r, struct slice batch,
                                 const struct txn_guard *guard, void *out)
{
    struct request *req = ts->req;
    bool in_frame = batch.data >= req->frame && batch.data < req->frame + req->frame_size;
    struct txn_append *first = first_of(req, r, guard->header);
    r = replicas_find(req->node->replicas, r->topic_id, r->index);
    if (r == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION; /* it was removed this moment */
    struct txn_append *a = mem_zalloc(sizeof(*a));
    *a = (struct txn_append){
        .req = req, .r = r, .batch = batch, .header = *guard->header, .guard = *guard, .out = out};
    list_init(&a->behind);
    if (!in_frame) {
        a->copy = mem_alloc(batch.size);
        memcpy(a->copy, batch.data, batch.size);
        a->batch.data = a->copy;
    }
    if (first != NULL) {
        list_push_back(&first->behind, &a->link);
        ts->open++;
        request_hold(req);
    } else {
        list_push_back(txns_kept(req->node, req->thread), &a->link);
        vec_push(&ts->firsts, a);
    }
    return ERR_NONE;
}

static enum error_code error_of(const struct request *req, enum error_code err)
{
    switch (err) {
    case ERR_PRODUCER_FENCED:
        return ERR_INVALID_PRODUCER_EPOCH;
    case ERR_TRANSACTION_ABORTABLE:
        return req->header.api_version >= VERSION_ABORTABLE ? err : ERR_INVALID_TXN_STATE;
    case ERR_CONCURRENT_TRANSACTIONS:   /* the one before is ending */
    case ERR_REQUEST_TIMED_OUT:         /* the metadata log is not to be had */
        return ERR_NOT_ENOUGH_REPLICAS; /* what makes every client send it again */
    default:
        return err;
    }
}

static void one_over(struct request *req, void *arg)
{
    (void)arg;
    thread_assert(&NET);
    struct txn_appends *ts = req->state;
    if (--ts->open == 0)
        ts->done(req);
}

/* Append it, if its transaction was found; frees it. */
static void settle(struct txn_append *a)
{
    const struct txn_appends *ts = a->req->state;
    a->guard.header = &a->header;
    a->guard.verified = a->err == ERR_NONE;
    ts->append(a->req, a);
    list_remove(&a->link);
    replica_unref(a->r);
    free(a->copy);
    free(a);
}

/* In the order in which they came, with the first one's outcome and its guard. */
static void settle_with_followers(struct txn_append *first)
{
    struct list behind;
    struct txn_guard guard = first->guard;
    enum error_code err = first->err;
    list_init(&behind);
    list_splice(&behind, &first->behind);
    settle(first);
    while (!list_is_empty(&behind)) {
        struct txn_append *a = CONTAINER_OF(behind.next, struct txn_append, link);
        struct request *req = a->req;
        a->guard = guard;
        a->err = err;
        settle(a);
        request_resume(req, one_over, NULL);
    }
}

static void answered(struct request *req, void *arg, enum error_code err, struct slice value)
{
    thread_assert(&NET);
    struct txn_appends *ts = arg;
    bool adds = req->header.api_version >= VERSION_ADDS;
    int32_t asked = 0;
    for (size_t i = 0; i < ts->firsts.count; i++) {
        struct txn_append *a = ts->firsts.items[i];
        if (a->err == ERR_NONE) {
            a->err = err;
            if (err == ERR_NONE && !adds)
                a->err = command_value_error(value, asked);
            asked++;
        }
        a->err = error_of(req, a->err);
        settle_with_followers(a);
    }
    vec_deinit(&ts->firsts);
    one_over(req, NULL);
}

/* Fill the command's partitions: one producer a request, others are refused. */
static void partitions_fill(struct txn_appends *ts, struct add_to_txn *c)
{
    const struct batch_header *first = &ts->firsts.items[0]->header;
    c->partitions = arena_need(&ts->req->arena, ts->firsts.count * sizeof(*c->partitions));
    for (size_t i = 0; i < ts->firsts.count; i++) {
        struct txn_append *a = ts->firsts.items[i];
        if (a->header.producer_id != first->producer_id ||
            a->header.producer_epoch != first->producer_epoch)
            a->err = ERR_INVALID_PRODUCER_ID_MAPPING;
        else
            c->partitions[c->partitions_count++] =
                (struct command_txn_partition){a->r->topic_id, a->r->index};
    }
}

void txn_appends_submit(struct txn_appends *ts)
{
    struct request *req = ts->req;
    if (ts->firsts.count == 0) {
        if (ts->open == 0)
            ts->done(req); /* may free the request, and `ts` with it */
        return;
    }
    const struct batch_header *first = &ts->firsts.items[0]->header;
    struct add_to_txn c = {
        .producer = {ts->transactional_id, first->producer_id, first->producer_epoch},
        .verify_only = req->header.api_version < VERSION_ADDS,
        .now_ms = txns_clock_ms(req->node),
    };
    struct buffer command = {0};
    partitions_fill(ts, &c);
    command_encode_add_to_txn(&command, &c);
    ts->open++;
    request_submit(req, buffer_slice(&command),
                   config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), answered, ts);
    buffer_deinit(&command);
}
