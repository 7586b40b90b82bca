/*
 * Follower fetching: for every broker that leads a partition we follow, one outgoing connection
 * that long-polls it. What to ask and what to do with an answer is replication/fetcher.h's;
 * sockets, threads and flush completions are here.
 */
#pragma once

#include "coord/image.h"
#include "proto/base/check.h"

struct node;
struct fetchers;

int fetchers_start(struct node *node) MUST_CHECK;
void fetchers_stop(struct node *node);

/* A new image: follow its leaders. BACKGROUND (wiring), after the replicas took their roles. */
void fetchers_update(struct node *node, const struct image *img);
/* For replicas_callbacks.follower_flushed; any thread. */
void fetchers_flushed(struct node *node, struct uuid topic_id, int32_t partition);
