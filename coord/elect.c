/* Leader election and the upkeep of ISR and ELR. */
#include "coord/elect.h"

#include "coord/image_internal.h"
#include "coord/topic_config.h"
#include "proto/base/check.h"
#include "proto/base/mutant.h"

void election_init(struct election *e, const struct image *img, const struct image_topic *topic,
                   int32_t partition)
{
    const struct image_partition *p = &topic->partitions[partition];
    int64_t min_isr = topic_config_number(img, topic, "min.insync.replicas", NULL);
    *e = (struct election){.img = img,
                           .p = p,
                           .min_isr = (int)MIN(min_isr, p->replicas_count),
                           .leader = p->leader,
                           .isr_count = p->isr_count,
                           .elr_count = p->elr_count};
    e->unclean_allowed =
        topic_config_number(img, topic, "unclean.leader.election.enable", NULL) != 0;
    for (int i = 0; i < p->isr_count; i++)
        e->isr[i] = p->isr[i];
    for (int i = 0; i < p->elr_count; i++)
        e->elr[i] = p->elr[i];
}

static void ids_remove(int32_t *ids, int *count, int32_t id)
{
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (ids[i] != id)
            ids[kept++] = ids[i];
    }
    *count = kept;
}

static void ids_add(int32_t *ids, int *count, int32_t id)
{
    if (!ids_contain(ids, *count, id))
        ids[(*count)++] = id;
}

/* ELR: empty with enough members, else whoever left, and none that came back. */
static void settle_elr(struct election *e, const int32_t *left, int left_count)
{
    if (e->isr_count >= e->min_isr) {
        e->elr_count = 0;
        return;
    }
    for (int i = 0; i < left_count; i++)
        ids_add(e->elr, &e->elr_count, left[i]);
    for (int i = 0; i < e->isr_count; i++)
        ids_remove(e->elr, &e->elr_count, e->isr[i]);
}

void election_set_isr(struct election *e, const int32_t *isr, int count)
{
    int32_t left[IMAGE_REPLICAS_MAX];
    int left_count = 0;
    for (int i = 0; i < e->isr_count; i++) {
        if (!ids_contain(isr, count, e->isr[i]))
            left[left_count++] = e->isr[i];
    }
    for (int i = 0; i < count; i++)
        e->isr[i] = isr[i];
    e->isr_count = count;
    settle_elr(e, left, left_count);
}

void election_unclean(struct election *e, int32_t node_id)
{
    bool in_isr = ids_contain(e->isr, e->isr_count, node_id);
    if ((!in_isr && !ids_contain(e->elr, e->elr_count, node_id)) || MUTANT(MUTANT_UNCLEAN_STAYS))
        return;
    e->bump_leader_epoch = !MUTANT(MUTANT_UNCLEAN_KEEPS_EPOCH);
    ids_remove(e->elr, &e->elr_count, node_id);
    if (!in_isr || e->isr_count + e->elr_count == 1)
        return;
    ids_remove(e->isr, &e->isr_count, node_id);
    if (e->isr_count > 0)
        return;
    /* The eligible ones have all that was committed: they are what is in sync now. */
    memcpy(e->isr, e->elr, sizeof(e->elr));
    e->isr_count = e->elr_count;
    e->elr_count = 0;
}

static bool active(const struct election *e, int32_t node_id)
{
    return node_id >= 0 && image_broker_active(e->img, node_id);
}

static int32_t first_active(const struct election *e, const int32_t *among, int count)
{
    for (int i = 0; i < e->p->replicas_count; i++) {
        int32_t id = e->p->replicas[i];
        if (active(e, id) && ids_contain(among, count, id))
            return id;
    }
    return -1;
}

/* A broker that is about to stop serves until it does where nobody else can. */
static bool leaving_leader(const struct election *e)
{
    const struct image_broker *b = image_find_broker(e->img, e->p->leader);
    return b != NULL && !b->fenced && ids_contain(e->isr, e->isr_count, e->p->leader);
}

static void prune_isr(struct election *e)
{
    int32_t kept[IMAGE_REPLICAS_MAX];
    int count = 0;
    for (int i = 0; i < e->isr_count; i++) {
        if (active(e, e->isr[i]))
            kept[count++] = e->isr[i];
    }
    election_set_isr(e, kept, count);
}

void election_force(struct election *e, int32_t node_id)
{
    bool in_isr = ids_contain(e->isr, e->isr_count, node_id);
    bool eligible = ids_contain(e->elr, e->elr_count, node_id);
    e->leader = node_id;
    if (in_isr)
        return;
    election_set_isr(e, &node_id, 1);
    if (!eligible)
        e->elr_count = 0; /* unclean: what the others have and the leader has not is given up */
}

void election_without(struct election *e, int32_t node_id)
{
    for (int i = 0; e->unclean_allowed && i < e->p->replicas_count; i++) {
        if (e->p->replicas[i] == node_id || !active(e, e->p->replicas[i]))
            continue;
        election_force(e, e->p->replicas[i]);
        return;
    }
}

void election_run(struct election *e)
{
    int32_t chosen = e->leader;
    if (!active(e, chosen) || !ids_contain(e->isr, e->isr_count, chosen))
        chosen = first_active(e, e->isr, e->isr_count);
    if (chosen < 0)
        chosen = first_active(e, e->elr, e->elr_count);
    if (chosen < 0 && leaving_leader(e)) {
        e->leader = e->p->leader;
        return;
    }
    if (chosen < 0 && e->unclean_allowed)
        chosen = first_active(e, e->p->replicas, e->p->replicas_count);
    if (chosen < 0) {
        e->leader = -1;
        return;
    }
    election_force(e, chosen);
    prune_isr(e);
}

bool election_changed(const struct election *e)
{
    const struct image_partition *p = e->p;
    return e->bump_leader_epoch || e->leader != p->leader || e->isr_count != p->isr_count ||
           e->elr_count != p->elr_count ||
           memcmp(e->isr, p->isr, (size_t)p->isr_count * sizeof(*p->isr)) != 0 ||
           memcmp(e->elr, p->elr, (size_t)p->elr_count * sizeof(*p->elr)) != 0;
}

void election_store(const struct election *e, struct image_partition *p)
{
    if (e->leader != p->leader || e->bump_leader_epoch)
        p->leader_epoch++;
    p->partition_epoch++;
    p->leader = e->leader;
    p->isr_count = e->isr_count;
    p->elr_count = e->elr_count;
    memcpy(p->isr, e->isr, (size_t)e->isr_count * sizeof(*e->isr));
    memcpy(p->elr, e->elr, (size_t)e->elr_count * sizeof(*e->elr));
}
