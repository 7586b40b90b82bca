/*
 * Before this node speaks for coordinator slots that came to it, every other live broker has heard
 * of it.
 *
 * A broker that is fenced has no lease and tells nothing; one that is leaving resigned before it
 * said so. One that only lost a slot, to a broker that joined, still takes itself for the
 * coordinator until it has applied the change, and would tell offsets that are older than what is
 * committed here by then. So this node asks all of them for the image in which the slot came
 * (AwaitImage), again and again while one neither answers nor is fenced.
 */
#pragma once

#include "broker/net.h"
#include "coord/image.h"

struct node;
struct takeover;

/* heard(arg): takeover_heard() may have grown. */
struct takeover *takeover_new(struct node *node, struct net_thread *thread, void (*heard)(void *),
                              void *arg) ON(NET);
void takeover_stop(struct takeover *t) ON(NET);
/* After the network threads ended. */
void takeover_free(struct takeover *t);

/* See to it that all others hear of the image with this index. */
void takeover_ask(struct takeover *t, int64_t index) ON(NET);
/* Up to which image all other live brokers have heard. */
int64_t takeover_heard(const struct takeover *t, const struct image *img) ON(NET);
