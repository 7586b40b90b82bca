/*
 * Moving a partition to other replicas (KIP-455).
 *
 *   asked for:  replicas = target + removing     adding = target - old     removing = old - target
 *   all of `adding` in sync:  replicas = target, `removing` out of ISR and ELR, a new leader
 *                             epoch, so that whoever was removed cannot count any more
 *   cancelled:  replicas = replicas - adding
 */
#include "coord/elect.h"
#include "coord/metadata_internal.h"

struct ids {
    int32_t items[IMAGE_REPLICAS_MAX * 2];
    int count;
};

static struct ids ids_without(const int32_t *from, int count, const int32_t *without,
                              int without_count)
{
    struct ids out = {0};
    for (int i = 0; i < count; i++) {
        if (!ids_contain(without, without_count, from[i]))
            out.items[out.count++] = from[i];
    }
    return out;
}

static bool moves(const struct image_partition *p)
{
    return p->adding_count > 0 || p->removing_count > 0;
}

static enum error_code check_brokers(const struct image *img, const struct alter_reassignment *c,
                                     char reason[REASON_SIZE])
{
    if (c->replicas_count == 0)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "The manual partition assignment includes an empty replica list.");
    if (c->replicas_count > IMAGE_REPLICAS_MAX)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT, "A partition has at most %d replicas",
                      IMAGE_REPLICAS_MAX);
    for (int32_t i = 0; i < c->replicas_count; i++) {
        int32_t id = c->replicas[i];
        if (ids_contain(c->replicas, i, id))
            return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "The manual partition assignment includes the broker %d more than once.",
                          id);
        if (image_find_broker(img, id) == NULL)
            return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "The manual partition assignment includes broker %d, but no such broker "
                          "is registered.",
                          id);
    }
    return ERR_NONE;
}

static enum error_code check_factor(const struct image_partition *p,
                                    const struct alter_reassignment *c, char reason[REASON_SIZE])
{
    int now = p->replicas_count - p->removing_count;
    if (c->allow_factor_change || c->replicas_count == now)
        return ERR_NONE;
    return refuse(reason, ERR_INVALID_REPLICATION_FACTOR,
                  "The replication factor is changed from %d to %d", now, c->replicas_count);
}

static enum error_code check_target(const struct image *img, const struct image_partition *p,
                                    const struct alter_reassignment *c, char reason[REASON_SIZE])
{
    enum error_code err = check_brokers(img, c, reason);
    if (err == ERR_NONE)
        err = check_factor(p, c, reason);
    struct ids removing =
        ids_without(p->replicas, p->replicas_count, c->replicas, MAX(c->replicas_count, 0));
    if (err == ERR_NONE && c->replicas_count + removing.count > IMAGE_REPLICAS_MAX)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "A partition has at most %d replicas while it moves", IMAGE_REPLICAS_MAX);
    return err;
}

static enum error_code check_cancel(const struct image_partition *p, char reason[REASON_SIZE])
{
    if (!moves(p))
        return refuse(reason, ERR_NO_REASSIGNMENT_IN_PROGRESS, "%s", "");
    struct ids kept = ids_without(p->isr, p->isr_count, p->adding, p->adding_count);
    if (kept.count == 0)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "None of the old replicas is in sync: they cannot take over again");
    return ERR_NONE;
}

enum error_code metadata_check_alter_reassignment(const struct image *img,
                                                  const struct alter_reassignment *c,
                                                  char reason[200])
{
    const struct image_topic *topic = image_find_topic(img, c->topic);
    const struct image_partition *p = topic ? image_find_partition(topic, c->partition) : NULL;
    if (p == NULL)
        return refuse(reason, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                      "The partition %d of the topic does not exist.", c->partition);
    return c->replicas_count < 0 ? check_cancel(p, reason) : check_target(img, p, c, reason);
}

/* Other replicas, and whoever leads among them. Pointers into the image are void afterwards. */
static void replicas_set(struct apply *a, struct uuid topic_id, int32_t index,
                         const struct ids *replicas)
{
    struct image_topic *topic = image_edit_topic(apply_image(a), topic_id);
    struct image_partition *p = &topic->partitions[index];
    struct ids removed =
        ids_without(p->replicas, p->replicas_count, replicas->items, replicas->count);
    image_partition_assign(p, replicas->items, replicas->count);
    struct election e;
    election_init(&e, a->m->img, topic, index);
    election_set_isr(&e, p->isr, p->isr_count);
    e.bump_leader_epoch = removed.count > 0;
    election_run(&e);
    election_store(&e, p);
    apply_changed(
        a, (struct change){.kind = CHANGE_PARTITION, .topic_id = topic_id, .partition = index});
}

static bool can_settle(const struct image_partition *p)
{
    if (!moves(p))
        return false;
    for (int i = 0; i < p->adding_count; i++) {
        if (!ids_contain(p->isr, p->isr_count, p->adding[i]))
            return false;
    }
    return ids_without(p->isr, p->isr_count, p->removing, p->removing_count).count > 0;
}

void reassignment_settle(struct apply *a, struct uuid topic_id, int32_t index)
{
    const struct image_topic *topic = image_find_topic_by_id(a->m->img, topic_id);
    const struct image_partition *p = &topic->partitions[index];
    if (!can_settle(p))
        return;
    struct ids target = ids_without(p->replicas, p->replicas_count, p->removing, p->removing_count);
    replicas_set(a, topic_id, index, &target);
}

static void begin(struct apply *a, struct uuid topic_id, const struct alter_reassignment *c)
{
    const struct image_topic *topic = image_find_topic_by_id(a->m->img, topic_id);
    const struct image_partition *p = &topic->partitions[c->partition];
    struct ids adding = ids_without(c->replicas, c->replicas_count, p->replicas, p->replicas_count);
    struct ids removing =
        ids_without(p->replicas, p->replicas_count, c->replicas, c->replicas_count);
    struct ids all = ids_without(c->replicas, c->replicas_count, NULL, 0);
    for (int i = 0; i < removing.count; i++)
        all.items[all.count++] = removing.items[i];
    replicas_set(a, topic_id, c->partition, &all);

    struct image_partition *edited =
        &image_edit_topic(apply_image(a), topic_id)->partitions[c->partition];
    edited->adding_count = adding.count;
    memcpy(edited->adding, adding.items, (size_t)adding.count * sizeof(*edited->adding));
    edited->removing_count = removing.count;
    memcpy(edited->removing, removing.items, (size_t)removing.count * sizeof(*edited->removing));
}

enum error_code apply_alter_reassignment(struct apply *a, const struct alter_reassignment *c)
{
    enum error_code err = metadata_check_alter_reassignment(a->m->img, c, a->reason);
    if (err != ERR_NONE)
        return err;
    const struct image_topic *topic = image_find_topic(a->m->img, c->topic);
    const struct image_partition *p = &topic->partitions[c->partition];
    struct uuid id = topic->id;
    if (c->replicas_count < 0) {
        struct ids old = ids_without(p->replicas, p->replicas_count, p->adding, p->adding_count);
        replicas_set(a, id, c->partition, &old);
        return ERR_NONE;
    }
    begin(a, id, c);
    reassignment_settle(a, id, c->partition);
    return ERR_NONE;
}
