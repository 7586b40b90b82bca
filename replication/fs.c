/* The operating system's files behind the table of fs.h, and whole small files over any such
 * table. */
#include "replication/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/base/vec.h"

#define PARTS_MAX 64 /* most pieces of one write */

static int real_open(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file)
{
    static const int flags[] = {
        [FS_READ] = O_RDONLY,
        [FS_WRITE] = O_RDWR,
        [FS_CREATE] = O_RDWR | O_CREAT,
        [FS_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
    };
    (void)arg;
    *file = FS_FILE_NONE;
    int fd = open(path, flags[mode] | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    file->fd = fd;
    return 0;
}

static void real_close(void *arg, struct fs_file file)
{
    (void)arg;
    if (file.fd >= 0)
        close(file.fd);
}

static int64_t real_read(void *arg, struct fs_file file, void *out, size_t size, int64_t position)
{
    (void)arg;
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(file.fd, (char *)out + done, size - done, position + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int real_write(void *arg, struct fs_file file, const struct iovec *parts, int count,
                      int64_t position)
{
    (void)arg;
    CHECK(count <= PARTS_MAX);
    struct iovec left[PARTS_MAX];
    memcpy(left, parts, (size_t)count * sizeof(*parts));
    int at = 0;
    while (at < count) {
        ssize_t n = pwritev(file.fd, left + at, count - at, position);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        position += n;
        while (at < count && (size_t)n >= left[at].iov_len)
            n -= (ssize_t)left[at++].iov_len;
        if (at < count) {
            left[at].iov_base = (char *)left[at].iov_base + n;
            left[at].iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int real_truncate(void *arg, struct fs_file file, int64_t size)
{
    (void)arg;
    return ftruncate(file.fd, size) == 0 ? 0 : -errno;
}

static void real_uncache(void *arg, struct fs_file file, int64_t position, int64_t size)
{
    (void)arg;
    (void)posix_fadvise(file.fd, position, size, POSIX_FADV_DONTNEED);
}

static int real_reserve(void *arg, struct fs_file file, int64_t size)
{
    (void)arg;
    return fallocate(file.fd, FALLOC_FL_KEEP_SIZE, 0, size) == 0 ? 0 : -errno;
}

static int real_sync(void *arg, struct fs_file file)
{
    (void)arg;
    return fdatasync(file.fd) == 0 ? 0 : -errno;
}

static int64_t real_size(void *arg, struct fs_file file)
{
    struct stat st;
    (void)arg;
    return fstat(file.fd, &st) == 0 ? st.st_size : -errno;
}

static int real_rename(void *arg, const char *from, const char *to)
{
    (void)arg;
    return rename(from, to) == 0 ? 0 : -errno;
}

static int real_remove(void *arg, const char *path)
{
    (void)arg;
    return remove(path) == 0 ? 0 : -errno;
}

static int real_make_dir(void *arg, const char *path)
{
    (void)arg;
    if (mkdir(path, 0755) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    struct stat st;
    if (stat(path, &st) != 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int real_sync_dir(void *arg, const char *path)
{
    (void)arg;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int real_list(void *arg, const char *path, int (*each)(void *each_arg, const char *name),
                     void *each_arg)
{
    VEC(char *) names = {0};
    (void)arg;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -errno;

    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            vec_push(&names, mem_strdup(entry->d_name));
    int err = -errno;
    closedir(dir);

    if (names.count > 0)
        qsort(names.items, names.count, sizeof(char *), name_compare);
    for (size_t i = 0; i < names.count; i++) {
        if (err == 0)
            err = each(each_arg, names.items[i]);
        free(names.items[i]);
    }
    vec_deinit(&names);
    return err;
}

static int64_t real_free_bytes(void *arg, const char *path)
{
    struct statvfs st;
    (void)arg;
    return statvfs(path, &st) == 0 ? (int64_t)st.f_bavail * (int64_t)st.f_frsize : -errno;
}

const struct fs fs_real = {
    .open = real_open,
    .close = real_close,
    .read = real_read,
    .write = real_write,
    .uncache = real_uncache,
    .reserve = real_reserve,
    .truncate = real_truncate,
    .sync = real_sync,
    .size = real_size,
    .rename = real_rename,
    .remove = real_remove,
    .make_dir = real_make_dir,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .free_bytes = real_free_bytes,
};

int fs_read_text(const struct fs *fs, const char *path, char **text, size_t size_max)
{
    struct fs_file file;
    *text = NULL;
    int err = fs->open(fs->arg, path, FS_READ, &file);
    if (err != 0)
        return err;

    char *content = NULL;
    int64_t size = fs->size(fs->arg, file);
    if (size < 0) {
        err = (int)size;
    } else if ((uint64_t)size > size_max) {
        err = -EFBIG;
    } else {
        content = mem_alloc((size_t)size + 1);
        int64_t got = fs->read(fs->arg, file, content, (size_t)size, 0);
        if (got < 0)
            err = (int)got;
        else
            content[got] = '\0';
    }
    fs->close(fs->arg, file);
    if (err != 0) {
        free(content);
        return err;
    }
    *text = content;
    return 0;
}

static int write_whole(const struct fs *fs, const char *path, const char *text, bool synced)
{
    struct fs_file file;
    int err = fs->open(fs->arg, path, FS_CREATE, &file);
    if (err != 0)
        return err;
    struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
    err = fs->truncate(fs->arg, file, 0);
    if (err == 0 && part.iov_len > 0)
        err = fs->write(fs->arg, file, &part, 1, 0);
    if (err == 0 && synced)
        err = fs->sync(fs->arg, file);
    fs->close(fs->arg, file);
    return err;
}

int fs_put_text(const struct fs *fs, const char *path, const char *text)
{
    return write_whole(fs, path, text, false);
}

int fs_sync_path(const struct fs *fs, const char *path)
{
    struct fs_file file;
    int err = fs->open(fs->arg, path, FS_WRITE, &file);
    if (err != 0)
        return err;
    err = fs->sync(fs->arg, file);
    fs->close(fs->arg, file);
    return err;
}

int fs_write_text(const struct fs *fs, const char *path, const char *text)
{
    char temporary[FS_PATH_MAX];
    char folder[FS_PATH_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return -ENAMETOOLONG;
    fs_folder_of(path, folder);

    int err = write_whole(fs, temporary, text, true);
    if (err == 0)
        err = fs->rename(fs->arg, temporary, path);
    if (err == 0)
        return fs->sync_dir(fs->arg, folder);
    (void)fs->remove(fs->arg, temporary); /* the old content is still there */
    return err;
}

void fs_folder_of(const char *path, char folder[FS_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(folder, FS_PATH_MAX, ".");
    else
        snprintf(folder, FS_PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

int fs_write_at(const struct fs *fs, struct fs_file file, const void *data, size_t size,
                int64_t position)
{
    struct iovec part = {.iov_base = (void *)data, .iov_len = size};
    return fs->write(fs->arg, file, &part, 1, position);
}
