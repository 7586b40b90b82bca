/*
 * A log folder that died takes its replicas down, and nothing else.
 *
 * Whoever meets an error there makes it suspect, and so does the background thread when a file in
 * it cannot be opened for writing any more; the background thread then tries to write. When
 * that fails as well, the folder has failed until the process starts again: its replicas go offline
 * at once, idle ones too, so that others lead them before anybody asks.
 */
#include <errno.h>
#include <stdio.h>

#include "proto/base/logging.h"
#include "replication/replicas_internal.h"

#define PROBE_NAME ".millrace-probe"

static int probe(const struct replicas *rs, const struct log_dir *dir)
{
    char path[FS_PATH_MAX];
    snprintf(path, sizeof(path), "%s/" PROBE_NAME, dir->path);
    int err = fs_write_text(rs->fs, path, "it works\n");
    if (err == 0)
        err = rs->fs->remove(rs->fs->arg, path);
    return err == -ENOSPC || err == -EDQUOT ? 0 : err;
}

/* Without touching the disk: a read-only or shut down file system refuses to open for writing. */
static int glance(const struct replicas *rs, const struct log_dir *dir)
{
    char path[FS_PATH_MAX];
    struct fs_file file;
    snprintf(path, sizeof(path), "%s/meta.properties", dir->path);
    int err = rs->fs->open(rs->fs->arg, path, FS_WRITE, &file);
    if (err == 0)
        rs->fs->close(rs->fs->arg, file);
    return err == -EMFILE || err == -ENFILE ? 0 : err;
}

struct failing {
    int log_dir;
};

static void take_offline(void *arg, struct replica *r)
{
    const struct failing *failing = arg;
    struct replica_entry *e = ENTRY(r);
    if (e->log_dir != failing->log_dir)
        return;
    mutex_lock(&r->lock);
    if (r->partition != NULL)
        replica_offline(e, "its log folder failed");
    mutex_unlock(&r->lock);
}

static void check(struct replicas *rs, int index)
{
    struct log_dir *dir = &rs->dirs[index];
    struct failing failing = {index};
    int err = probe(rs, dir);
    if (err == 0)
        return;
    LOG_ERROR("a log folder failed", "dir=%s error=\"%s\" next=\"its replicas go offline\"",
              dir->path, strerror(-err));
    dir->failed = true;
    replicas_each(rs, take_offline, &failing);
}

void dirs_suspect(struct replicas *rs, int dir, int err)
{
    if (err != -ENOSPC && err != -EDQUOT)
        atomic_store(&rs->dirs[dir].suspect, true);
}

void dirs_glance(struct replicas *rs)
{
    for (int i = 0; i < rs->dirs_count; i++) {
        int err = rs->dirs[i].failed ? 0 : glance(rs, &rs->dirs[i]);
        if (err != 0)
            dirs_suspect(rs, i, err);
    }
}

void dirs_check(struct replicas *rs)
{
    for (int i = 0; i < rs->dirs_count; i++)
        if (atomic_exchange(&rs->dirs[i].suspect, false) && !rs->dirs[i].failed)
            check(rs, i);
}
