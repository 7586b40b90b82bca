/* Partitions: reconsidered when brokers change, altered by their leaders, elections on demand. */
#include "coord/elect.h"
#include "coord/metadata_internal.h"
#include "proto/base/mutant.h"
#include "proto/wire.h"

static void partition_changed(struct apply *a, struct uuid topic_id, int32_t index)
{
    apply_changed(
        a, (struct change){.kind = CHANGE_PARTITION, .topic_id = topic_id, .partition = index});
}

/* Pointers into the image are void afterwards. */
static void store(struct apply *a, const struct election *e, struct uuid topic_id, int32_t index)
{
    struct image_topic *topic = image_edit_topic(apply_image(a), topic_id);
    election_store(e, &topic->partitions[index]);
    partition_changed(a, topic_id, index);
}

static void store_changed(struct apply *a, const struct election *e, struct uuid topic_id,
                          int32_t index)
{
    if (election_changed(e))
        store(a, e, topic_id, index);
}

/* Whether all is well: an active leader in sync, and nobody in the ISR who is not active. */
static bool settled(const struct image *img, const struct image_partition *p, int32_t unclean)
{
    if (!image_broker_active(img, p->leader))
        return false;
    if (ids_contain(p->elr, p->elr_count, unclean))
        return false;
    for (int i = 0; i < p->isr_count; i++) {
        if (!image_broker_active(img, p->isr[i]))
            return false;
    }
    return true;
}

static void reconsider_topic(struct apply *a, const struct image_topic *topic, int32_t unclean)
{
    struct uuid id = topic->id;
    int32_t count = topic->partitions_count;
    for (int32_t i = 0; i < count; i++) {
        topic = image_find_topic_by_id(a->m->img, id);
        if (settled(a->m->img, &topic->partitions[i], unclean))
            continue;
        struct election e;
        election_init(&e, a->m->img, topic, i);
        if (unclean >= 0)
            election_unclean(&e, unclean);
        election_run(&e);
        store_changed(a, &e, id, i);
    }
}

void partitions_reconsider(struct apply *a, int32_t unclean)
{
    int32_t count = a->m->img->topics_count;
    for (int32_t i = 0; i < count; i++)
        reconsider_topic(a, a->m->img->topics[i], unclean);
}

/* Fewer members may be enough now: then nobody has to be remembered as eligible; a topic that
 * allows it now may get an unclean leader. */
void topic_reconsider(struct apply *a, struct uuid topic_id)
{
    int32_t count = image_find_topic_by_id(a->m->img, topic_id)->partitions_count;
    for (int32_t i = 0; i < count; i++) {
        const struct image_topic *topic = image_find_topic_by_id(a->m->img, topic_id);
        const struct image_partition *p = &topic->partitions[i];
        if (p->elr_count == 0 && p->leader >= 0)
            continue;
        struct election e;
        election_init(&e, a->m->img, topic, i);
        election_set_isr(&e, p->isr, p->isr_count);
        election_run(&e);
        store_changed(a, &e, topic_id, i);
    }
}

static enum error_code check_epochs(const struct image *img, const struct alter_partition *c,
                                    const struct image_partition *p, char reason[REASON_SIZE])
{
    const struct image_broker *leader = image_find_broker(img, c->node_id);
    if (leader == NULL || leader->epoch != c->broker_epoch)
        return refuse(reason, ERR_STALE_BROKER_EPOCH, "Another registration is current");
    if (c->leader_epoch > p->leader_epoch || c->partition_epoch > p->partition_epoch)
        return refuse(reason, ERR_NOT_CONTROLLER, "The proposal knows newer epochs than we");
    if (c->leader_epoch < p->leader_epoch)
        return refuse(reason, ERR_FENCED_LEADER_EPOCH, "Leader epoch is %d", p->leader_epoch);
    if (c->node_id != p->leader)
        return refuse(reason, ERR_INVALID_REQUEST, "Broker %d does not lead", c->node_id);
    if (c->partition_epoch < p->partition_epoch && !MUTANT(MUTANT_ISR_WITHOUT_CAS))
        return refuse(reason, ERR_INVALID_UPDATE_VERSION, "Partition epoch is %d",
                      p->partition_epoch);
    return ERR_NONE;
}

static enum error_code check_isr(const struct image *img, const struct alter_partition *c,
                                 const struct image_partition *p, int32_t *isr,
                                 char reason[REASON_SIZE])
{
    if (c->isr_count < 1 || c->isr_count > p->replicas_count)
        return refuse(reason, ERR_INVALID_REQUEST, "An ISR has 1 to %d members", p->replicas_count);
    for (int32_t i = 0; i < c->isr_count; i++) {
        isr[i] = c->isr[i].node_id;
        if (!ids_contain(p->replicas, p->replicas_count, isr[i]) || ids_contain(isr, i, isr[i]))
            return refuse(reason, ERR_INVALID_REQUEST, "%d is no replica or named twice", isr[i]);
    }
    if (!ids_contain(isr, c->isr_count, c->node_id))
        return refuse(reason, ERR_INVALID_REQUEST, "The leader is missing");
    FOR_EACH (member, c->isr, c->isr_count) {
        const struct image_broker *b = image_find_broker(img, member->node_id);
        /* A leader that is about to stop stays until somebody can take over (elect.c). */
        bool able = b != NULL && !b->fenced && (!b->shutting_down || b->node_id == c->node_id);
        if (!able || (member->broker_epoch != -1 && member->broker_epoch != b->epoch))
            return refuse(reason, ERR_INELIGIBLE_REPLICA, "Broker %d may not join an ISR now",
                          member->node_id);
    }
    return ERR_NONE;
}

enum error_code apply_alter_partition(struct apply *a, const struct alter_partition *c)
{
    const struct image *img = a->m->img;
    const struct image_topic *topic = image_find_topic_by_id(img, c->topic_id);
    if (topic == NULL)
        return refuse(a->reason, ERR_UNKNOWN_TOPIC_ID, "No topic has this id");
    const struct image_partition *p = image_find_partition(topic, c->partition);
    if (p == NULL)
        return refuse(a->reason, ERR_UNKNOWN_TOPIC_OR_PARTITION, "No such partition");
    int32_t isr[IMAGE_REPLICAS_MAX];
    enum error_code err = check_epochs(img, c, p, a->reason);
    if (err == ERR_NONE)
        err = check_isr(img, c, p, isr, a->reason);
    if (err != ERR_NONE)
        return err;
    struct election e;
    election_init(&e, img, topic, c->partition);
    election_set_isr(&e, isr, c->isr_count);
    election_run(&e);
    /* Stored even if equal: the leader waits for a newer partition epoch. */
    store(a, &e, c->topic_id, c->partition);
    reassignment_settle(a, c->topic_id, c->partition);
    return ERR_NONE;
}

static enum error_code elect_preferred(struct election *e)
{
    int32_t preferred = e->p->replicas[0];
    if (e->p->leader == preferred)
        return ERR_ELECTION_NOT_NEEDED;
    if (!image_broker_active(e->img, preferred) || !ids_contain(e->isr, e->isr_count, preferred))
        return ERR_PREFERRED_LEADER_NOT_AVAILABLE;
    election_force(e, preferred);
    election_run(e);
    return ERR_NONE;
}

static enum error_code elect_unclean(struct election *e)
{
    if (image_broker_active(e->img, e->p->leader))
        return ERR_ELECTION_NOT_NEEDED;
    e->unclean_allowed = true;
    election_run(e);
    return e->leader >= 0 ? ERR_NONE : ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE;
}

static enum error_code elect(struct apply *a, bool unclean, struct uuid topic_id, int32_t index)
{
    const struct image_topic *topic = image_find_topic_by_id(a->m->img, topic_id);
    struct election e;
    election_init(&e, a->m->img, topic, index);
    enum error_code err = unclean ? elect_unclean(&e) : elect_preferred(&e);
    if (err == ERR_NONE)
        store_changed(a, &e, topic_id, index);
    return err;
}

static enum error_code elect_named(struct apply *a, bool unclean,
                                   const struct command_partition *named)
{
    const struct image_topic *topic = image_find_topic(a->m->img, named->topic);
    if (topic == NULL || image_find_partition(topic, named->partition) == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    return elect(a, unclean, topic->id, named->partition);
}

static void elect_all(struct apply *a, bool unclean)
{
    int32_t topics = a->m->img->topics_count;
    for (int32_t i = 0; i < topics; i++) {
        struct uuid id = a->m->img->topics[i]->id;
        int32_t partitions = a->m->img->topics[i]->partitions_count;
        for (int32_t j = 0; j < partitions; j++)
            (void)elect(a, unclean, id, j);
    }
}

enum error_code apply_elect_leaders(struct apply *a, const struct elect_leaders *c)
{
    if (c->partitions_count < 0) {
        elect_all(a, c->unclean);
        return ERR_NONE;
    }
    uint8_t *codes = arena_need(a->arena, (size_t)c->partitions_count * 2);
    for (int32_t i = 0; i < c->partitions_count; i++) {
        enum error_code err = elect_named(a, c->unclean, &c->partitions[i]);
        wire_store(codes + 2 * (size_t)i, (uint64_t)err, 2);
    }
    a->value = slice_of(codes, (size_t)c->partitions_count * 2);
    return ERR_NONE;
}
