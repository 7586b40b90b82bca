/* Transactions as seen by one pass of the cleaner. */
#include "replication/compact_txns.h"

#include <stdlib.h>

struct compact_aborted {
    struct aborted_txn txn;
    bool met; /* a batch of it was seen in this pass */
};

static int by_first_offset(const void *a, const void *b)
{
    const struct aborted_txn *x = a, *y = b;
    return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

void compact_txns_init(struct compact_txns *t, const struct aborted_txn *aborted, size_t count,
                       int64_t from)
{
    *t = (struct compact_txns){0};
    FOR_EACH (txn, aborted, (ptrdiff_t)count)
        if (txn->last_offset >= from)
            vec_push(&t->aborted, *txn);
    if (t->aborted.count > 0)
        qsort(t->aborted.items, t->aborted.count, sizeof(*t->aborted.items), by_first_offset);
}

void compact_txns_deinit(struct compact_txns *t)
{
    MAP_FOR_EACH (entry, &t->ongoing_aborted)
        free(entry->value);
    map_deinit(&t->ongoing_aborted);
    map_deinit(&t->ongoing_committed);
    vec_deinit(&t->aborted);
}

static void meet_up_to(struct compact_txns *t, int64_t offset)
{
    for (; t->next < t->aborted.count && t->aborted.items[t->next].first_offset <= offset;
         t->next++) {
        struct aborted_txn txn = t->aborted.items[t->next];
        if (map_find(&t->ongoing_aborted, MAP_KEY(txn.producer_id)) != NULL)
            continue;
        struct compact_aborted *ongoing = mem_zalloc(sizeof(*ongoing));
        ongoing->txn = txn;
        map_put(&t->ongoing_aborted, MAP_KEY(txn.producer_id), ongoing);
    }
}

bool compact_txns_data(struct compact_txns *t, const struct batch_header *h)
{
    int64_t id = h->producer_id;
    meet_up_to(t, batch_last_offset(h));
    if (!batch_is_transactional(h))
        return false;
    struct compact_aborted *ongoing = map_find(&t->ongoing_aborted, MAP_KEY(id));
    if (ongoing != NULL)
        ongoing->met = true;
    else
        map_put(&t->ongoing_committed, MAP_KEY(id), t);
    return ongoing != NULL;
}

bool compact_txns_control(struct compact_txns *t, const struct batch_header *h, struct slice batch,
                          struct aborted_txn *retained)
{
    int64_t id = h->producer_id;
    struct control_record marker;
    *retained = (struct aborted_txn){.producer_id = -1};
    meet_up_to(t, batch_last_offset(h));
    if (h->records_count == 0)
        return true; /* cleaned before */
    if (batch_control_decode(batch, &marker) != 0)
        return false;
    if (marker.type == CONTROL_COMMIT)
        return map_remove(&t->ongoing_committed, MAP_KEY(id)) == NULL;
    if (marker.type != CONTROL_ABORT)
        return false;
    struct compact_aborted *ongoing = map_remove(&t->ongoing_aborted, MAP_KEY(id));
    bool met = ongoing != NULL && ongoing->met;
    if (met)
        *retained = ongoing->txn;
    free(ongoing);
    return !met;
}
