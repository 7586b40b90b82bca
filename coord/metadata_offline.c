/*
 * A replica whose disk failed while its broker lives on (Kafka: AssignReplicasToDirs, KIP-858), or
 * in which a scrub found damage.
 *
 * It leaves ISR and ELR, and whoever else is in sync leads. As the last one in sync it stays there,
 * without a leader: the partition comes back with that disk, or where the topic allows an unclean
 * election. One that is only damaged goes on serving then.
 */
#include "coord/elect.h"
#include "coord/metadata_internal.h"

static void give_up(struct election *e, int32_t node_id)
{
    if (e->leader == node_id)
        e->leader = -1;
    election_unclean(e, node_id);
    if (ids_contain(e->isr, e->isr_count, node_id)) {
        election_without(e, node_id);
        return;
    }
    e->unclean_allowed = false; /* it could choose this very replica */
    election_run(e);
}

enum error_code apply_replica_failed(struct apply *a, const struct replica_failed *c)
{
    const struct image *img = a->m->img;
    const struct image_broker *b = image_find_broker(img, c->node_id);
    if (b == NULL || b->epoch != c->broker_epoch)
        return refuse(a->reason, ERR_STALE_BROKER_EPOCH, "The broker was registered again since");
    const struct image_topic *topic = image_find_topic_by_id(img, c->topic_id);
    if (topic == NULL)
        return refuse(a->reason, ERR_UNKNOWN_TOPIC_ID, "No topic has this id");
    const struct image_partition *p = image_find_partition(topic, c->partition);
    if (p == NULL)
        return refuse(a->reason, ERR_UNKNOWN_TOPIC_OR_PARTITION, "No such partition");
    if (c->serves && p->isr_count == 1 && p->isr[0] == c->node_id)
        return refuse(a->reason, ERR_INELIGIBLE_REPLICA, "No other replica is in sync");
    struct election e;
    election_init(&e, img, topic, c->partition);
    give_up(&e, c->node_id);
    if (!election_changed(&e))
        return ERR_NONE;
    struct image_topic *edited = image_edit_topic(apply_image(a), c->topic_id);
    election_store(&e, &edited->partitions[c->partition]);
    apply_changed(a, (struct change){.kind = CHANGE_PARTITION,
                                     .topic_id = c->topic_id,
                                     .partition = c->partition});
    return ERR_NONE;
}
