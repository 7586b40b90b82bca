/*
 * Groups and committed offsets: rows for the database, not kept in memory here. What makes them
 * safe is the slot's epoch: a coordinator that was replaced is refused, however late its command
 * comes.
 */
#include "coord/metadata_internal.h"
#include "proto/base/mutant.h"

enum error_code check_slot(struct apply *a, int32_t slot, int32_t epoch, struct slice group)
{
    if (slot < 0 || slot >= COORDINATOR_SLOTS || slot != image_slot_of(group))
        return refuse(a->reason, ERR_INVALID_REQUEST, "Slot %d does not coordinate this group",
                      slot);
    if (MUTANT(MUTANT_SLOT_EPOCH_IGNORED))
        return ERR_NONE;
    if (a->m->img->slots[slot].epoch != epoch || a->m->img->slots[slot].node_id < 0)
        return ERR_NOT_COORDINATOR;
    return ERR_NONE;
}

enum error_code apply_put_group(struct apply *a, const struct put_group *c)
{
    enum error_code err = check_slot(a, c->slot, c->slot_epoch, c->group);
    if (err == ERR_NONE)
        apply_changed(a, (struct change){.kind = CHANGE_GROUP, .key = c->group, .value = c->value});
    return err;
}

enum error_code apply_commit_offsets(struct apply *a, const struct commit_offsets *c)
{
    enum error_code err = check_slot(a, c->slot, c->slot_epoch, c->group);
    if (err != ERR_NONE)
        return err;
    FOR_EACH (row, c->offsets, c->offsets_count) {
        if (row->partition < 0 || row->offset < 0)
            return refuse(a->reason, ERR_INVALID_REQUEST, "An offset below 0");
    }
    FOR_EACH (row, c->offsets, c->offsets_count)
        apply_changed(a, (struct change){.kind = CHANGE_OFFSET,
                                         .key = c->group,
                                         .topic = row->topic,
                                         .partition = row->partition,
                                         .offset = row->offset,
                                         .leader_epoch = row->leader_epoch,
                                         .value = row->metadata,
                                         .commit_time_ms = row->commit_time_ms,
                                         .expire_time_ms = row->expire_time_ms});
    return ERR_NONE;
}

enum error_code apply_delete_offsets(struct apply *a, const struct delete_offsets *c)
{
    enum error_code err = check_slot(a, c->slot, c->slot_epoch, c->group);
    if (err != ERR_NONE)
        return err;
    if (c->partitions_count < 0)
        apply_changed(a, (struct change){.kind = CHANGE_OFFSET,
                                         .key = c->group,
                                         .topic = SLICE_NULL,
                                         .partition = -1,
                                         .offset = -1});
    FOR_EACH (row, c->partitions, c->partitions_count)
        apply_changed(a, (struct change){.kind = CHANGE_OFFSET,
                                         .key = c->group,
                                         .topic = row->topic,
                                         .partition = row->partition,
                                         .offset = -1});
    return ERR_NONE;
}
