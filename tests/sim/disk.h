/*
 * A simulated disk: struct fs in memory. What was written but not synced is lost at a crash, except
 * for a random part of the last write (a torn tail). Creations, renames and removals are durable at
 * once.
 */
#pragma once

#include "proto/base/rng.h"
#include "replication/fs.h"

struct disk;

struct disk *disk_new(void);
void disk_free(struct disk *d);
struct fs disk_fs(struct disk *d);
/* Power loss. Returns the bytes that were lost. */
int64_t disk_crash(struct disk *d, struct rng *rng);
