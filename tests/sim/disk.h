/*
 * A simulated disk: struct fs in memory. What was written but not synced is lost at a crash, except
 * for a random part of the last write (a torn tail). Creations, renames and removals are durable at
 * once. It can be full, fail a sync, or stand still in the middle of an event.
 */
#pragma once

#include "proto/base/rng.h"
#include "replication/fs.h"

struct disk;

struct disk *disk_new(void);
void disk_free(struct disk *d);
struct fs disk_fs(struct disk *d);
/* Writes are refused, after a part of one went through. */
void disk_set_full(struct disk *d, bool full);
/* The next sync fails. As the kernel does, later ones succeed, but what was dirty then is lost. */
void disk_fail_sync(struct disk *d);
/* After so many more operations that change something, nothing changes any more: every one answers
 * -EIO. The caller ends the node's life then. */
void disk_stop_after(struct disk *d, int operations);
bool disk_stopped(const struct disk *d);
/* A failed sync is to come, or the disk stands still or is full. */
bool disk_is_faulty(const struct disk *d);
/* Power loss; the disk works again. Returns the bytes that were lost. */
int64_t disk_crash(struct disk *d, struct rng *rng);
