/* Leader hints. */
#include "broker/leader_hint.h"

#include "broker/node.h"

static void image_renew(struct request *req)
{
    struct image *newest = quorum_image(req->node->quorum);
    if (newest == NULL)
        return;
    image_unref(req->image);
    req->image = newest;
}

static void note(struct leader_hints *hints, int32_t leader_id)
{
    for (int i = 0; i < hints->count; i++)
        if (hints->leaders[i] == leader_id)
            return;
    if (hints->count < LEADER_HINTS_MAX)
        hints->leaders[hints->count++] = leader_id;
}

void leader_hints_find(struct leader_hints *hints, struct request *req, struct slice topic,
                       struct uuid topic_id, int32_t index, int32_t *leader_id,
                       int32_t *leader_epoch)
{
    *leader_id = *leader_epoch = -1;
    image_renew(req);
    if (req->image == NULL)
        return;
    const struct image_topic *now = uuid_is_zero(topic_id)
                                        ? image_find_topic(req->image, topic)
                                        : image_find_topic_by_id(req->image, topic_id);
    const struct image_partition *p = now ? image_find_partition(now, index) : NULL;
    if (p == NULL || p->leader < 0)
        return;
    *leader_id = p->leader;
    *leader_epoch = p->leader_epoch;
    note(hints, p->leader);
}

bool leader_hint_endpoint(const struct request *req, int32_t leader_id, struct slice *host,
                          int32_t *port, struct slice *rack)
{
    const struct image_broker *b = image_find_broker(req->image, leader_id);
    if (b == NULL || !request_endpoint(req, b, host, port))
        return false;
    *rack = b->rack;
    return true;
}
