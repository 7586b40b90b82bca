/* Leader hints. */
#include "broker/leader_hint.h"

#include "broker/node.h"

/* The request may have waited through the failover: answer from the newest image, not its own. */
static void image_renew(struct request *req)
{
    struct image *newest = quorum_image(req->node->quorum);
    if (newest == NULL)
        return;
    image_unref(req->image);
    req->image = newest;
}

bool leader_hint_find(struct request *req, struct uuid topic_id, int32_t index, int32_t *leader_id,
                      int32_t *leader_epoch)
{
    *leader_id = *leader_epoch = -1;
    image_renew(req);
    if (req->image == NULL)
        return false;
    const struct image_topic *now = image_find_topic_by_id(req->image, topic_id);
    const struct image_partition *p = now ? image_find_partition(now, index) : NULL;
    if (p == NULL || p->leader < 0)
        return false;
    *leader_id = p->leader;
    *leader_epoch = p->leader_epoch;
    return true;
}
