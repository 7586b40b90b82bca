/* The states of a transactional id. */
#include "coord/txn.h"

#include <stdlib.h>

#include "proto/wire.h"

#define EPOCH_LAST (INT16_MAX - 1) /* the last one a producer gets: one more is for fencing it */
#define TXN_FORMAT 0

static struct slice copy_of(struct slice s)
{
    uint8_t *bytes = mem_alloc(s.size + 1);
    if (s.size > 0)
        memcpy(bytes, s.data, s.size);
    return slice_of(bytes, s.size);
}

struct txn *txn_new(struct slice id)
{
    struct txn *t = mem_zalloc(sizeof(*t));
    t->id = copy_of(id);
    t->producer_id = t->previous_producer_id = t->next_producer_id = -1;
    t->start_ms = -1;
    t->epoch = t->last_epoch = -1;
    t->version = 1;
    return t;
}

static void members_clear(struct txn *t)
{
    FOR_EACH (group, t->groups.items, (ptrdiff_t)t->groups.count)
        free((void *)(uintptr_t)group->data);
    vec_clear(&t->groups);
    vec_clear(&t->partitions);
}

void txn_free(struct txn *t)
{
    if (t == NULL)
        return;
    members_clear(t);
    vec_deinit(&t->groups);
    vec_deinit(&t->partitions);
    free((void *)(uintptr_t)t->id.data);
    free(t);
}

/* --- Stored --- */

void txn_encode(const struct txn *t, struct buffer *out)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_i8(&w, TXN_FORMAT);
    wire_put_i8(&w, (int8_t)t->state);
    wire_put_i8(&w, t->version);
    wire_put_i64(&w, t->producer_id);
    wire_put_i64(&w, t->previous_producer_id);
    wire_put_i64(&w, t->next_producer_id);
    wire_put_i16(&w, t->epoch);
    wire_put_i16(&w, t->last_epoch);
    wire_put_i32(&w, t->timeout_ms);
    wire_put_i64(&w, t->start_ms);
    wire_put_i64(&w, t->updated_ms);
    wire_put_count(&w, true, false, (int32_t)t->partitions.count);
    FOR_EACH (p, t->partitions.items, (ptrdiff_t)t->partitions.count) {
        wire_put_uuid(&w, p->topic_id);
        wire_put_i32(&w, p->partition);
    }
    wire_put_count(&w, true, false, (int32_t)t->groups.count);
    FOR_EACH (group, t->groups.items, (ptrdiff_t)t->groups.count)
        wire_put_bytes(&w, true, false, *group);
    wire_put_uvarint(&w, 0);
    wire_writer_deinit(&w);
}

static void members_decode(struct txn *t, struct wire_reader *r)
{
    uint32_t count = wire_get_uvarint(r);
    for (uint32_t i = 1; i < count && r->err == 0; i++) {
        struct txn_partition p = {.topic_id = wire_get_uuid(r)};
        p.partition = wire_get_i32(r);
        vec_push(&t->partitions, p);
    }
    count = wire_get_uvarint(r);
    for (uint32_t i = 1; i < count && r->err == 0; i++) {
        struct slice group = wire_get_bytes(r, true, false);
        if (r->err == 0)
            vec_push(&t->groups, copy_of(group));
    }
}

int txn_decode(struct slice id, struct slice bytes, struct txn **out)
{
    struct wire_reader r;
    struct txn *t = txn_new(id);
    *out = NULL;
    wire_reader_init(&r, bytes, NULL);
    int8_t format = wire_get_i8(&r);
    int8_t state = wire_get_i8(&r);
    t->version = wire_get_i8(&r);
    t->producer_id = wire_get_i64(&r);
    t->previous_producer_id = wire_get_i64(&r);
    t->next_producer_id = wire_get_i64(&r);
    t->epoch = wire_get_i16(&r);
    t->last_epoch = wire_get_i16(&r);
    t->timeout_ms = wire_get_i32(&r);
    t->start_ms = wire_get_i64(&r);
    t->updated_ms = wire_get_i64(&r);
    members_decode(t, &r);
    wire_skip_tags(&r);
    if (format != TXN_FORMAT || state < TXN_EMPTY || state > TXN_COMPLETE_ABORT)
        wire_fail(&r, -EBADMSG);
    if (r.err != 0) {
        txn_free(t);
        return -EBADMSG;
    }
    t->state = (enum txn_state)state;
    *out = t;
    return 0;
}

const char *txn_state_name(enum txn_state state)
{
    static const char *const names[] = {"Empty",        "Ongoing",        "PrepareCommit",
                                        "PrepareAbort", "CompleteCommit", "CompleteAbort"};
    return names[state];
}

/* --- Producers --- */

static bool epoch_is_last(int16_t epoch)
{
    return epoch >= EPOCH_LAST;
}

static void refuse_txn(struct txn_answer *out, enum error_code err)
{
    out->error_code = err;
    out->producer_id = -1;
    out->epoch = -1;
}

static void answer_producer(const struct txn *t, struct txn_answer *out)
{
    bool moves = t->next_producer_id >= 0;
    out->producer_id = moves ? t->next_producer_id : t->producer_id;
    out->epoch = moves ? 0 : t->epoch;
}

/* The step after which the outcome is fixed. `bump`: nobody has the next epoch yet. */
static void prepare(struct txn *t, bool commit, bool bump, int64_t now_ms, struct txn_answer *out)
{
    t->version = bump ? 2 : 1;
    if (bump)
        t->last_epoch = t->epoch++;
    t->state = commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT;
    t->updated_ms = now_ms;
    out->changed = true;
    out->offsets = commit ? TXN_OFFSETS_COMMIT : TXN_OFFSETS_DROP;
}

static bool may_continue(const struct txn *t, const struct txn_init *in)
{
    return in->producer_id < 0 || t->epoch < 0 || in->producer_id == t->producer_id ||
           (in->producer_id == t->previous_producer_id && epoch_is_last(in->epoch));
}

/* A new producer id, because the old one has no epochs left. */
static void rotate(struct txn *t, const struct txn_init *in, int64_t *next_producer_id)
{
    t->previous_producer_id = t->producer_id;
    t->producer_id = (*next_producer_id)++;
    t->last_epoch = (int16_t)(in->producer_id >= 0 ? t->epoch : -1);
    t->epoch = 0;
}

static enum error_code bump_for(struct txn *t, const struct txn_init *in, int64_t *next_producer_id)
{
    bool expects = in->producer_id >= 0;
    bool current = !expects || t->epoch < 0 || in->epoch == t->epoch;
    if (t->producer_id < 0)
        t->producer_id = (*next_producer_id)++;
    if (current && epoch_is_last(t->epoch)) {
        rotate(t, in, next_producer_id);
        return ERR_NONE;
    }
    if (current) {
        t->last_epoch = (int16_t)(expects ? t->epoch : -1);
        t->epoch++;
        return ERR_NONE;
    }
    /* Asked again, because the answer was lost: the owner of the epoch before is the only one who
     * knows it, unless somebody else came in between, which forgets it. */
    return in->epoch == t->last_epoch ? ERR_NONE : ERR_PRODUCER_FENCED;
}

void txn_init_producer(struct txn *t, const struct txn_init *in, int64_t *next_producer_id,
                       struct txn_answer *out)
{
    if (!may_continue(t, in)) {
        refuse_txn(out, ERR_PRODUCER_FENCED);
        return;
    }
    if (txn_is_ending(t->state)) {
        refuse_txn(out, ERR_CONCURRENT_TRANSACTIONS);
        return;
    }
    if (t->state == TXN_ONGOING) {
        prepare(t, false, true, in->now_ms, out);
        t->last_epoch = -1; /* whoever has it is fenced */
        refuse_txn(out, ERR_CONCURRENT_TRANSACTIONS);
        return;
    }
    enum error_code err = bump_for(t, in, next_producer_id);
    if (err != ERR_NONE) {
        refuse_txn(out, err);
        return;
    }
    t->state = TXN_EMPTY;
    t->version = 1;
    t->timeout_ms = in->timeout_ms;
    t->start_ms = -1;
    t->updated_ms = in->now_ms;
    members_clear(t);
    out->changed = true;
    answer_producer(t, out);
}

/* --- Within a transaction --- */

enum error_code txn_check(const struct txn *t, struct txn_producer producer)
{
    if (t->producer_id != producer.id)
        return ERR_INVALID_PRODUCER_ID_MAPPING;
    if (t->epoch != producer.epoch)
        return ERR_PRODUCER_FENCED;
    return txn_is_ending(t->state) ? ERR_CONCURRENT_TRANSACTIONS : ERR_NONE;
}

static int partition_compare(struct txn_partition a, struct txn_partition b)
{
    int order = memcmp(a.topic_id.bytes, b.topic_id.bytes, sizeof(a.topic_id.bytes));
    return order != 0 ? order : (a.partition > b.partition) - (a.partition < b.partition);
}

/* The first place whose partition is not smaller. */
static size_t partition_place(const struct txn *t, struct txn_partition partition)
{
    size_t low = 0, high = t->partitions.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (partition_compare(t->partitions.items[middle], partition) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool partition_is_at(const struct txn *t, size_t at, struct txn_partition partition)
{
    return at < t->partitions.count && partition_compare(t->partitions.items[at], partition) == 0;
}

bool txn_has_partition(const struct txn *t, struct txn_partition partition)
{
    return t->state == TXN_ONGOING && partition_is_at(t, partition_place(t, partition), partition);
}

bool txn_has_group(const struct txn *t, struct slice group)
{
    FOR_EACH (one, t->groups.items, (ptrdiff_t)t->groups.count)
        if (slice_equal(*one, group))
            return t->state == TXN_ONGOING;
    return false;
}

void txn_begin(struct txn *t, int64_t now_ms)
{
    t->updated_ms = now_ms;
    if (t->state == TXN_ONGOING)
        return;
    members_clear(t);
    t->state = TXN_ONGOING;
    t->start_ms = now_ms;
}

bool txn_add_partition(struct txn *t, struct txn_partition partition)
{
    size_t at = partition_place(t, partition);
    if (partition_is_at(t, at, partition))
        return false;
    vec_push(&t->partitions, partition);
    memmove(t->partitions.items + at + 1, t->partitions.items + at,
            (t->partitions.count - 1 - at) * sizeof(partition));
    t->partitions.items[at] = partition;
    return true;
}

bool txn_add_group(struct txn *t, struct slice group)
{
    FOR_EACH (one, t->groups.items, (ptrdiff_t)t->groups.count)
        if (slice_equal(*one, group))
            return false;
    vec_push(&t->groups, copy_of(group));
    return true;
}

/* --- The end --- */

/* The same end as the last one: the client did not get the answer. */
static bool is_repeat(const struct txn *t, const struct txn_end *in)
{
    if (in->version < 2 || t->version < 2 || t->state == TXN_EMPTY)
        return false;
    if (t->producer_id == in->producer.id)
        return t->epoch == in->producer.epoch + 1;
    return t->previous_producer_id == in->producer.id && in->producer.epoch == EPOCH_LAST &&
           t->epoch == 0;
}

static bool ended_as(const struct txn *t, bool commit)
{
    return t->state == (commit ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT) ||
           t->state == (commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT);
}

/* The client ends what is open; its next transaction has the next epoch. */
static void end_open(struct txn *t, const struct txn_end *in, int64_t *next_producer_id,
                     struct txn_answer *out)
{
    bool bump = in->version >= 2;
    if (bump && epoch_is_last(t->epoch))
        t->next_producer_id = (*next_producer_id)++;
    prepare(t, in->commit, bump, in->now_ms, out);
    answer_producer(t, out);
}

static void complete(struct txn *t, int64_t now_ms)
{
    t->state = t->state == TXN_PREPARE_COMMIT ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT;
    t->updated_ms = now_ms;
    members_clear(t);
    if (t->next_producer_id < 0)
        return;
    t->previous_producer_id = t->producer_id;
    t->producer_id = t->next_producer_id;
    t->next_producer_id = -1;
    t->last_epoch = t->epoch;
    t->epoch = 0;
}

/* Nothing was written in it: there are no markers to wait for. */
static void abort_nothing(struct txn *t, const struct txn_end *in, int64_t *next_producer_id,
                          struct txn_answer *out)
{
    end_open(t, in, next_producer_id, out);
    complete(t, in->now_ms);
}

static void end_checked(struct txn *t, const struct txn_end *in, bool repeat,
                        int64_t *next_producer_id, struct txn_answer *out)
{
    bool raises = in->version >= 2;
    if (t->state == TXN_ONGOING) {
        if (repeat)
            refuse_txn(out, ERR_PRODUCER_FENCED); /* its next transaction is open already */
        else
            end_open(t, in, next_producer_id, out);
        return;
    }
    if (txn_is_ending(t->state)) {
        bool fits = ended_as(t, in->commit) || (raises && !repeat);
        refuse_txn(out, fits ? ERR_CONCURRENT_TRANSACTIONS : ERR_INVALID_TXN_STATE);
        return;
    }
    if (raises && !repeat && !in->commit)
        abort_nothing(t, in, next_producer_id, out);
    else if ((raises && !repeat) || !ended_as(t, in->commit))
        refuse_txn(out, ERR_INVALID_TXN_STATE);
    else
        answer_producer(t, out);
}

void txn_end(struct txn *t, const struct txn_end *in, int64_t *next_producer_id,
             struct txn_answer *out)
{
    bool repeat = is_repeat(t, in);
    if (!repeat && t->producer_id != in->producer.id)
        refuse_txn(out, ERR_INVALID_PRODUCER_ID_MAPPING);
    else if (!repeat && t->epoch != in->producer.epoch)
        refuse_txn(out, ERR_PRODUCER_FENCED);
    else
        end_checked(t, in, repeat, next_producer_id, out);
}

void txn_time_out(struct txn *t, int64_t start_ms, int64_t now_ms, struct txn_answer *out)
{
    if (t->state != TXN_ONGOING || t->start_ms != start_ms || now_ms - start_ms < t->timeout_ms) {
        refuse_txn(out, ERR_INVALID_TXN_STATE);
        return;
    }
    prepare(t, false, true, now_ms, out);
    answer_producer(t, out);
}

void txn_complete(struct txn *t, struct txn_producer producer, int64_t now_ms,
                  struct txn_answer *out)
{
    if (!txn_is_ending(t->state) || t->producer_id != producer.id || t->epoch != producer.epoch) {
        refuse_txn(out, ERR_INVALID_TXN_STATE);
        return;
    }
    complete(t, now_ms);
    out->changed = true;
    answer_producer(t, out);
}
