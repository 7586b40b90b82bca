/* The folder's lock and its marker file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "coord/quorum_internal.h"
#include "proto/base/logging.h"

#define MARKER "quorum.properties"

static int read_failed(const char *path, int err)
{
    LOG_ERROR("cannot read the marker of the quorum folder", "path=%s error=\"%s\"", path,
              strerror(err));
    return -err;
}

int marker_read(const char *dir, struct quorum_marker *out)
{
    char path[4096], line[512];
    *out = (struct quorum_marker){.node_id = -1};
    snprintf(path, sizeof(path), "%s/" MARKER, dir);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? 0 : read_failed(path, errno);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        char *value = strchr(line, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        if (strcmp(line, "node.id") == 0)
            out->node_id = (int32_t)strtol(value, NULL, 10);
        else if (strcmp(line, "raft.id") == 0)
            out->raft_id = strtoull(value, NULL, 10);
        else if (strcmp(line, "cluster.id") == 0)
            snprintf(out->cluster_id, sizeof(out->cluster_id), "%s", value);
    }
    int err = ferror(file) ? EIO : 0;
    fclose(file);
    return err ? read_failed(path, err) : 0;
}

/* Written beside and renamed; the folder is synced, because a lost marker means a vote given twice.
 */
static int write_file(const char *dir, const struct quorum_marker *m)
{
    char path[4096], temporary[4096];
    snprintf(path, sizeof(path), "%s/" MARKER, dir);
    snprintf(temporary, sizeof(temporary), "%s/" MARKER ".new", dir);
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return -errno;
    fprintf(file, "node.id=%d\nraft.id=%llu\ncluster.id=%s\n", m->node_id, m->raft_id,
            m->cluster_id);
    bool ok = fflush(file) == 0 && fsync(fileno(file)) == 0;
    ok = fclose(file) == 0 && ok;
    if (!ok || rename(temporary, path) != 0)
        return -EIO;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

void marker_write(const char *dir, const struct quorum_marker *marker)
{
    int err = write_file(dir, marker);
    if (err != 0) {
        LOG_ERROR("cannot write the marker of the quorum folder, stopping", "dir=%s error=\"%s\"",
                  dir, strerror(-err));
        abort();
    }
}

int marker_lock(const char *dir)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int err = errno == EWOULDBLOCK ? EBUSY : errno;
        LOG_ERROR("cannot lock the quorum folder", "dir=%s reason=\"%s\"", dir,
                  err == EBUSY ? "in use by another process" : strerror(err));
        if (fd >= 0)
            close(fd);
        return -err;
    }
    return fd;
}

bool marker_folder_empty(const char *dir)
{
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return true;
    bool empty = true;
    const struct dirent *entry;
    while (empty && (entry = readdir(folder)) != NULL)
        empty = strncmp(entry->d_name, "metadata", 8) != 0 &&
                strncmp(entry->d_name, "open-", 5) != 0 &&
                strncmp(entry->d_name, "snapshot-", 9) != 0 && entry->d_name[0] != '0';
    closedir(folder);
    return empty;
}
