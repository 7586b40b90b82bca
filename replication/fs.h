/*
 * The table of file operations that everything in this folder uses: the real one here, a simulated
 * one (unsynced data dropped at a crash, torn writes, full and failing disks) in tests/sim.
 *
 * Paths are absolute or relative to the process. All functions return 0 (or a count) or -errno, and
 * may be called on any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/check.h"

#define FS_PATH_MAX  4096 /* of a path with its closing NUL */
#define FS_FILE_NONE ((struct fs_file){-1})

/* An open file. `fd` is a real descriptor, usable with sendfile, or a number of the simulator's
 * own. */
struct fs_file {
    int fd;
};

enum fs_open_mode {
    FS_READ,      /* must exist */
    FS_WRITE,     /* must exist; read and write */
    FS_CREATE,    /* created when missing; read and write */
    FS_CREATE_NEW /* -EEXIST when there */
};

struct file_cache;

struct fs {
    void *arg;
    struct file_cache *files; /* of all log files opened through this table; NULL: no bound */
    int (*open)(void *arg, const char *path, enum fs_open_mode mode, struct fs_file *file);
    void (*close)(void *arg, struct fs_file file);
    /* Bytes read; short only at the end of the file. */
    int64_t (*read)(void *arg, struct fs_file file, void *out, size_t size, int64_t position);
    /* All of it, or -errno (a part may have been written then). */
    int (*write)(void *arg, struct fs_file file, const struct iovec *parts, int count,
                 int64_t position);
    /* Bytes that will not be read again soon: the page cache need not keep them. */
    void (*uncache)(void *arg, struct fs_file file, int64_t position, int64_t size);
    /* Take the blocks of [0, size) on disk; the file's size stays, and truncating to it gives back
     * what lies behind. */
    int (*reserve)(void *arg, struct fs_file file, int64_t size);
    int (*truncate)(void *arg, struct fs_file file, int64_t size);
    /* fdatasync; an error means the file's unsynced bytes may be gone: never retry and go on. */
    int (*sync)(void *arg, struct fs_file file);
    int64_t (*size)(void *arg, struct fs_file file);
    int (*rename)(void *arg, const char *from, const char *to);
    int (*remove)(void *arg, const char *path);   /* a file, or an empty folder */
    int (*make_dir)(void *arg, const char *path); /* 0 when it exists already */
    /* Make creations, renames and removals in the folder durable. */
    int (*sync_dir)(void *arg, const char *path);
    /* Call `each` with every name but . and .. (in byte order); stops at the first non-zero. */
    int (*list)(void *arg, const char *path, int (*each)(void *each_arg, const char *name),
                void *each_arg);
    int64_t (*free_bytes)(void *arg, const char *path);
};

/* The operating system's files. */
extern const struct fs fs_real;

/* Whole small files (checkpoints): read (-EFBIG above size_max) into a NUL-terminated heap copy
 * owned by the caller; write by a temporary file, sync and rename, so that a crash leaves the old
 * or the new content. */
int fs_read_text(const struct fs *fs, const char *path, char **text, size_t size_max) MUST_CHECK;
int fs_write_text(const struct fs *fs, const char *path, const char *text) MUST_CHECK;
/* The same in place and without a sync: after a power cut it may be missing, empty or torn. */
int fs_put_text(const struct fs *fs, const char *path, const char *text) MUST_CHECK;
/* Make a file's content durable by its name. */
int fs_sync_path(const struct fs *fs, const char *path) MUST_CHECK;

/* The folder of a path ("." when it names none). */
void fs_folder_of(const char *path, char folder[FS_PATH_MAX]);
/* One piece; as fs->write. */
int fs_write_at(const struct fs *fs, struct fs_file file, const void *data, size_t size,
                int64_t position) MUST_CHECK;
