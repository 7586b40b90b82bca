/* Questions about producers and their transactions. */
#include "replication/log_txn.h"

#include "replication/log_internal.h"

static const struct producer *find(const struct log *log, int64_t producer_id)
{
    return map_find(&log->producers.by_id, MAP_KEY(producer_id));
}

void log_each_producer(struct log *log, void (*each)(void *arg, const struct log_producer *p),
                       void *arg)
{
    MAP_FOR_EACH (entry, &log->producers.by_id) {
        const struct producer *p = entry->value;
        const struct producer_batch *last =
            p->batches_count > 0 ? &p->batches[p->batches_count - 1] : NULL;
        struct log_producer out = {
            .id = p->id,
            .last_timestamp = last != NULL ? last->timestamp : -1,
            .txn_first_offset = p->txn_first_offset,
            .last_sequence = last != NULL ? last->last_sequence : -1,
            .coordinator_epoch = p->coordinator_epoch,
            .epoch = p->epoch,
        };
        each(arg, &out);
    }
}

bool log_txn_is_open(const struct log *log, int64_t producer_id, int16_t epoch)
{
    const struct producer *p = find(log, producer_id);
    return p != NULL && p->epoch == epoch && p->txn_first_offset >= 0;
}

int64_t log_txn_marker(const struct log *log, int64_t producer_id)
{
    const struct producer *p = find(log, producer_id);
    return p != NULL ? p->marker_offset : -1;
}

enum error_code log_check_marker(const struct log *log, const struct batch_header *batch,
                                 int32_t coordinator_epoch, bool strict)
{
    const struct producer *p = find(log, batch->producer_id);
    if (p == NULL)
        return ERR_NONE;
    if (batch->producer_epoch < p->epoch ||
        (strict && p->txn_first_offset >= 0 && batch->producer_epoch == p->epoch))
        return ERR_INVALID_PRODUCER_EPOCH;
    if (coordinator_epoch < p->coordinator_epoch)
        return ERR_TRANSACTION_COORDINATOR_FENCED;
    return ERR_NONE;
}

int64_t log_read_bound(const struct log_read *read)
{
    const struct segment *seg = read->range.size > 0 ? read->range.owner : NULL;
    return seg != NULL ? seg->end_offset : read->first_offset;
}
