/*
 * The file partition.metadata of a partition's folder: whose data is it?
 *
 *   version: 0
 *   topic_id: 6x-Xc0SbQnG3lTzVqWq5mA
 *
 * It is written when the folder is made and synced with the first flush. So a folder where it is
 * missing or torn is half made: no batch in it ever counted, and after a power cut they may even be
 * those of an earlier topic of the same name.
 */
#pragma once

#include "proto/wire.h"
#include "replication/fs.h"

/* 0; -ENOENT: missing; -EBADMSG: torn; -errno. */
int partition_metadata_read(const struct fs *fs, const char *dir, struct uuid *topic_id) MUST_CHECK;
/* Not synced. 0 or -errno. */
int partition_metadata_put(const struct fs *fs, const char *dir, struct uuid topic_id) MUST_CHECK;
/* Whether a folder has more than its making puts there, as batches: 1, 0, -errno. */
int partition_folder_has_content(const struct fs *fs, const char *dir) MUST_CHECK;
/* Rename it to <dir>.<topic id>-stray, durably; an earlier one of that name is removed. `aside`
 * says where it is. 0 or -errno. */
int partition_folder_set_aside(const struct fs *fs, const char *dir, struct uuid topic_id,
                               char aside[FS_PATH_MAX]) MUST_CHECK;
