/*
 * Transactions in the state machine: finds the transactional id, lets txn.c decide, and notes the
 * rows that changed. Every id is kept in memory (struct metadata.txns), offsets that wait for their
 * transaction are rows of the database only.
 */
#include <stdlib.h>

#include "coord/metadata_internal.h"
#include "coord/txn.h"
#include "proto/wire.h"

static struct txn *find(struct apply *a, struct slice id)
{
    return map_find(&a->m->txns, id);
}

static void store(struct apply *a, const struct txn *t)
{
    struct buffer bytes = {0};
    txn_encode(t, &bytes);
    apply_changed(a, (struct change){.kind = CHANGE_TXN,
                                     .key = arena_copy(a->arena, t->id),
                                     .value = arena_copy(a->arena, buffer_slice(&bytes))});
    buffer_deinit(&bytes);
}

static void answer(struct apply *a, const struct txn_answer *answer)
{
    uint8_t *bytes = arena_need(a->arena, 10);
    wire_store(bytes, (uint64_t)answer->producer_id, 8);
    wire_store(bytes + 8, (uint64_t)answer->epoch, 2);
    a->value = slice_of(bytes, 10);
}

/* What txn.c decided about a transaction that was of this producer before. */
static enum error_code settle(struct apply *a, const struct txn *t, int64_t producer_id,
                              const struct txn_answer *out)
{
    if (out->changed)
        store(a, t);
    if (out->offsets != TXN_OFFSETS_KEEP)
        apply_changed(a, (struct change){.kind = CHANGE_TXN_OFFSETS_END,
                                         .number = producer_id,
                                         .offset = out->offsets == TXN_OFFSETS_COMMIT});
    if (out->error_code != ERR_NONE && !out->changed)
        return out->error_code;
    answer(a, out);
    return ERR_NONE;
}

static void note_producer_ids(struct apply *a, int64_t before)
{
    if (a->m->next_producer_id != before)
        apply_changed(
            a, (struct change){.kind = CHANGE_PRODUCER_IDS, .number = a->m->next_producer_id});
}

enum error_code apply_init_txn_producer(struct apply *a, const struct init_txn_producer *c)
{
    int64_t ids_before = a->m->next_producer_id;
    struct txn *t = find(a, c->transactional_id);
    if (c->transactional_id.size == 0)
        return ERR_INVALID_REQUEST;
    bool fresh = t == NULL;
    if (fresh)
        t = txn_new(c->transactional_id);
    struct txn_init in = {.timeout_ms = c->timeout_ms,
                          .producer_id = c->producer_id,
                          .epoch = c->epoch,
                          .now_ms = c->now_ms};
    struct txn_answer out = {0};
    int64_t producer_id = t->producer_id;
    txn_init_producer(t, &in, &a->m->next_producer_id, &out);
    note_producer_ids(a, ids_before);
    enum error_code err = settle(a, t, producer_id, &out);
    if (fresh && err == ERR_NONE)
        map_put(&a->m->txns, t->id, t);
    else if (fresh)
        txn_free(t);
    return err;
}

/* The transaction, if this producer may write in it now. */
static enum error_code find_for(struct apply *a, const struct command_txn_producer *producer,
                                struct txn **t)
{
    *t = find(a, producer->transactional_id);
    if (*t == NULL)
        return ERR_INVALID_PRODUCER_ID_MAPPING;
    return txn_check(*t, (struct txn_producer){producer->producer_id, producer->epoch});
}

static struct txn_partition partition_of(const struct command_txn_partition *p)
{
    return (struct txn_partition){p->topic_id, p->partition};
}

static void verify(struct apply *a, const struct txn *t, const struct add_to_txn *c)
{
    size_t size = 2 * (size_t)MAX(c->partitions_count, 0);
    uint8_t *bytes = arena_need(a->arena, size + 1);
    for (int32_t i = 0; i < c->partitions_count; i++) {
        bool has = txn_has_partition(t, partition_of(&c->partitions[i]));
        wire_store(bytes + 2 * (size_t)i, has ? ERR_NONE : ERR_TRANSACTION_ABORTABLE, 2);
    }
    a->value = slice_of(bytes, size);
}

enum error_code apply_add_to_txn(struct apply *a, const struct add_to_txn *c)
{
    struct txn *t;
    enum error_code err = find_for(a, &c->producer, &t);
    if (err != ERR_NONE)
        return err;
    if (c->verify_only) {
        verify(a, t, c);
        return ERR_NONE;
    }
    FOR_EACH (p, c->partitions, c->partitions_count) {
        const struct image_topic *topic = image_find_topic_by_id(a->m->img, p->topic_id);
        if (topic == NULL || image_find_partition(topic, p->partition) == NULL)
            return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    bool changed = t->state != TXN_ONGOING;
    txn_begin(t, c->now_ms);
    FOR_EACH (p, c->partitions, c->partitions_count)
        changed = txn_add_partition(t, partition_of(p)) || changed;
    if (!slice_is_null(c->group))
        changed = txn_add_group(t, c->group) || changed;
    if (changed)
        store(a, t);
    return ERR_NONE;
}

static void put_pending(struct apply *a, const struct commit_txn_offsets *c)
{
    FOR_EACH (row, c->commit.offsets, c->commit.offsets_count)
        apply_changed(a, (struct change){.kind = CHANGE_TXN_OFFSET,
                                         .number = c->producer.producer_id,
                                         .key = c->commit.group,
                                         .topic = row->topic,
                                         .partition = row->partition,
                                         .offset = row->offset,
                                         .leader_epoch = row->leader_epoch,
                                         .value = row->metadata,
                                         .commit_time_ms = row->commit_time_ms,
                                         .expire_time_ms = row->expire_time_ms});
}

enum error_code apply_commit_txn_offsets(struct apply *a, const struct commit_txn_offsets *c)
{
    struct txn *t;
    enum error_code err = check_slot(a, c->commit.slot, c->commit.slot_epoch, c->commit.group);
    if (err == ERR_NONE)
        err = find_for(a, &c->producer, &t);
    if (err != ERR_NONE)
        return err;
    FOR_EACH (row, c->commit.offsets, c->commit.offsets_count) {
        if (row->partition < 0 || row->offset < 0)
            return refuse(a->reason, ERR_INVALID_REQUEST, "An offset below 0");
    }
    bool has = txn_has_group(t, c->commit.group);
    if (!has && !c->add)
        return ERR_INVALID_TXN_STATE;
    if (!has) {
        txn_begin(t, c->now_ms);
        txn_add_group(t, c->commit.group);
        store(a, t);
    }
    put_pending(a, c);
    return ERR_NONE;
}

enum error_code apply_end_txn(struct apply *a, const struct end_txn *c)
{
    int64_t ids_before = a->m->next_producer_id;
    struct txn *t = find(a, c->producer.transactional_id);
    if (t == NULL)
        return ERR_INVALID_PRODUCER_ID_MAPPING;
    struct txn_end in = {.producer = {c->producer.producer_id, c->producer.epoch},
                         .commit = c->commit,
                         .version = c->version,
                         .now_ms = c->now_ms};
    struct txn_answer out = {0};
    txn_end(t, &in, &a->m->next_producer_id, &out);
    note_producer_ids(a, ids_before);
    return settle(a, t, c->producer.producer_id, &out);
}

enum error_code apply_time_out_txn(struct apply *a, const struct time_out_txn *c)
{
    struct txn *t = find(a, c->transactional_id);
    if (t == NULL)
        return ERR_INVALID_PRODUCER_ID_MAPPING;
    struct txn_answer out = {0};
    int64_t producer_id = t->producer_id;
    txn_time_out(t, c->start_ms, c->now_ms, &out);
    return settle(a, t, producer_id, &out);
}

enum error_code apply_complete_txn(struct apply *a, const struct complete_txn *c)
{
    struct txn *t = find(a, c->producer.transactional_id);
    if (t == NULL)
        return ERR_INVALID_PRODUCER_ID_MAPPING;
    struct txn_answer out = {0};
    txn_complete(t, (struct txn_producer){c->producer.producer_id, c->producer.epoch}, c->now_ms,
                 &out);
    return settle(a, t, c->producer.producer_id, &out);
}

enum error_code apply_forget_txn(struct apply *a, const struct forget_txn *c)
{
    struct txn *t = find(a, c->transactional_id);
    if (t == NULL)
        return ERR_INVALID_PRODUCER_ID_MAPPING;
    if (t->state == TXN_ONGOING || txn_is_ending(t->state) || t->updated_ms != c->updated_ms)
        return ERR_INVALID_TXN_STATE;
    apply_changed(a, (struct change){.kind = CHANGE_TXN, .key = c->transactional_id});
    map_remove(&a->m->txns, c->transactional_id);
    txn_free(t);
    return ERR_NONE;
}

void metadata_txns_free(struct metadata *m)
{
    MAP_FOR_EACH (entry, &m->txns)
        txn_free(entry->value);
    map_deinit(&m->txns);
}

void metadata_load_txn(struct metadata *m, struct slice id, struct slice value)
{
    struct txn *t;
    CHECK(txn_decode(id, value, &t) == 0);
    txn_free(map_put(&m->txns, t->id, t));
}

static int by_id(const void *a, const void *b)
{
    const struct txn *const *x = a, *const *y = b;
    return slice_compare((*x)->id, (*y)->id);
}

void metadata_txns_digest(const struct metadata *m, struct wire_writer *w)
{
    VEC(const struct txn *) all = {0};
    MAP_FOR_EACH (entry, &m->txns)
        vec_push(&all, entry->value);
    if (all.count > 0)
        qsort(all.items, all.count, sizeof(*all.items), by_id);
    FOR_EACH (t, all.items, (ptrdiff_t)all.count) {
        wire_put_bytes(w, true, true, (*t)->id);
        txn_encode(*t, w->out);
    }
    vec_deinit(&all);
}
