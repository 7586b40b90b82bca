/* The leader epoch cache of one log and its checkpoint file. */
#include "replication/epochs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/buffer.h"

#define FILE_BYTES_MAX (16 * 1024 * 1024)

void epochs_init(struct epochs *e, const struct fs *fs, const char *path)
{
    *e = (struct epochs){.fs = fs, .path = mem_strdup(path)};
}

void epochs_deinit(struct epochs *e)
{
    free(e->path);
    vec_deinit(&e->entries);
    *e = (struct epochs){0};
}

/* One non-negative number and the character behind it. */
static bool take_number(const char **at, char closing, int64_t *number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *number = strtoll(*at, &end, 10);
    if (errno != 0 || *end != closing)
        return false;
    *at = end + 1;
    return true;
}

static int parse(struct epochs *e, const char *text)
{
    int64_t version, count, epoch, start;
    if (!take_number(&text, '\n', &version) || version != 0 || !take_number(&text, '\n', &count))
        return -EBADMSG;
    for (int64_t i = 0; i < count; i++) {
        if (!take_number(&text, ' ', &epoch) || epoch > INT32_MAX ||
            !take_number(&text, '\n', &start))
            return -EBADMSG;
        const struct epoch_entry *last =
            e->entries.count > 0 ? &e->entries.items[e->entries.count - 1] : NULL;
        if (last != NULL && (epoch <= last->epoch || start < last->start_offset))
            return -EBADMSG;
        struct epoch_entry entry = {(int32_t)epoch, start};
        vec_push(&e->entries, entry);
    }
    return 0;
}

int epochs_load(struct epochs *e)
{
    char *text;
    vec_clear(&e->entries);
    int err = fs_read_text(e->fs, e->path, &text, FILE_BYTES_MAX);
    if (err == -EFBIG)
        err = -EBADMSG;
    if (err == 0)
        err = parse(e, text);
    if (err != 0)
        vec_clear(&e->entries);
    free(text);
    return err;
}

static void print(const struct epochs *e, struct buffer *text)
{
    buffer_printf(text, "0\n%zu\n", e->entries.count);
    FOR_EACH (entry, e->entries.items, (ptrdiff_t)e->entries.count)
        buffer_printf(text, "%" PRId32 " %" PRId64 "\n", entry->epoch, entry->start_offset);
    buffer_append(text, "", 1);
}

int epochs_store(const struct epochs *e)
{
    struct buffer text = {0};
    print(e, &text);
    int err = fs_write_text(e->fs, e->path, (const char *)text.data);
    buffer_deinit(&text);
    return err;
}

int epochs_settle(struct epochs *e)
{
    struct buffer text = {0};
    print(e, &text);
    int err = fs_put_text(e->fs, e->path, (const char *)text.data);
    buffer_deinit(&text);
    e->deferred = e->deferred && err != 0;
    return err;
}

/* Keep a copy of the entries, so that a change that cannot be stored is taken back. */
struct saved {
    struct epoch_entry *items;
    size_t count;
};

static struct saved save(const struct epochs *e)
{
    size_t size = e->entries.count * sizeof(struct epoch_entry);
    struct saved old = {.items = mem_alloc(size + 1), .count = e->entries.count};
    if (size > 0)
        memcpy(old.items, e->entries.items, size);
    return old;
}

static int store_or_restore(struct epochs *e, struct saved old)
{
    int err = e->deferred ? 0 : epochs_store(e);
    if (err != 0) {
        vec_clear(&e->entries);
        FOR_EACH (entry, old.items, (ptrdiff_t)old.count)
            vec_push(&e->entries, *entry);
    }
    free(old.items);
    return err;
}

bool epochs_note(struct epochs *e, int32_t epoch, int64_t start_offset)
{
    if (epoch < 0 || epochs_latest(e, NULL) == epoch)
        return false;
    while (e->entries.count > 0) {
        const struct epoch_entry *last = &e->entries.items[e->entries.count - 1];
        if (last->epoch < epoch && last->start_offset < start_offset)
            break;
        e->entries.count--;
    }
    struct epoch_entry entry = {epoch, start_offset};
    vec_push(&e->entries, entry);
    return true;
}

int epochs_begin(struct epochs *e, int32_t epoch, int64_t start_offset)
{
    if (epochs_latest(e, NULL) == epoch)
        return 0;
    struct saved old = save(e);
    if (epochs_note(e, epoch, start_offset))
        return store_or_restore(e, old);
    free(old.items);
    return 0;
}

int epochs_truncate_end(struct epochs *e, int64_t end_offset)
{
    size_t keep = e->entries.count;
    while (keep > 0 && e->entries.items[keep - 1].start_offset >= end_offset)
        keep--;
    if (keep == e->entries.count)
        return 0;
    struct saved old = save(e);
    e->entries.count = keep;
    return store_or_restore(e, old);
}

int epochs_truncate_start(struct epochs *e, int64_t start_offset)
{
    size_t covering = 0; /* the last entry that starts at or below start_offset */
    while (covering + 1 < e->entries.count &&
           e->entries.items[covering + 1].start_offset <= start_offset)
        covering++;
    if (e->entries.count == 0 || e->entries.items[covering].start_offset >= start_offset)
        return 0;
    struct saved old = save(e);
    for (size_t i = 0; i < covering; i++)
        vec_remove(&e->entries, 0);
    e->entries.items[0].start_offset = start_offset;
    return store_or_restore(e, old);
}

int epochs_clear(struct epochs *e)
{
    if (e->entries.count == 0)
        return 0;
    struct saved old = save(e);
    vec_clear(&e->entries);
    return store_or_restore(e, old);
}

int32_t epochs_latest(const struct epochs *e, int64_t *start_offset)
{
    const struct epoch_entry *last =
        e->entries.count > 0 ? &e->entries.items[e->entries.count - 1] : NULL;
    if (start_offset != NULL)
        *start_offset = last ? last->start_offset : -1;
    return last ? last->epoch : -1;
}

int32_t epochs_at(const struct epochs *e, int64_t offset)
{
    for (size_t i = e->entries.count; i > 0; i--)
        if (e->entries.items[i - 1].start_offset <= offset)
            return e->entries.items[i - 1].epoch;
    return -1;
}

void epochs_end(const struct epochs *e, int32_t asked, int64_t log_end_offset, int32_t *epoch,
                int64_t *end_offset)
{
    *epoch = -1;
    *end_offset = -1;
    for (size_t i = e->entries.count; i > 0; i--) {
        if (e->entries.items[i - 1].epoch > asked)
            continue;
        *epoch = e->entries.items[i - 1].epoch;
        *end_offset = i < e->entries.count ? e->entries.items[i].start_offset : log_end_offset;
        return;
    }
}
