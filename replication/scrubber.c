/* The thread behind log.scrub.bytes.per.second. */
#include "replication/scrubber.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "replication/log_internal.h"
#include "replication/partition_internal.h"
#include "replication/replicas_internal.h"
#include "replication/scrub.h"

#define LOOK_MS  1000 /* between two looks for segments that are due */
#define SLICE_MS 20   /* longest pause without a look at `stopping` */

struct scrubber {
    struct replicas *replicas; /* constant */
    struct scrubber_options options;
    pthread_t thread;
    struct rest rest;
    _Atomic bool stopping;
    /* of the pass under way */
    int64_t segments, bytes, damaged;
};

/* The node stops, or `r` (NULL: none) goes: whoever removes it waits for this thread. */
static bool must_stop(const struct scrubber *s, struct replica *r)
{
    bool removed = false;
    if (r != NULL) {
        mutex_lock(&r->lock);
        removed = ENTRY(r)->removed;
        mutex_unlock(&r->lock);
    }
    return removed || atomic_load(&s->stopping);
}

static void pause_us(const struct scrubber *s, struct replica *r, int64_t us)
{
    int64_t until_us = clock_monotonic_us() + us;
    while (!must_stop(s, r)) {
        int64_t left_us = MIN(until_us - clock_monotonic_us(), SLICE_MS * 1000);
        if (left_us <= 0)
            return;
        struct timespec pause = {.tv_nsec = left_us * 1000};
        nanosleep(&pause, NULL);
    }
}

/* --- One segment --- */

static struct log *log_of(struct replica *r) HOLDS(r->lock)
{
    return r->partition != NULL && !ENTRY(r)->removed ? partition_log(r->partition) : NULL;
}

static bool is_due(const struct scrubber *s, const struct log *log, const struct segment *seg)
{
    return seg->end_offset <= log->flushed_end_offset && seg->size > 0 &&
           (seg->scrubbed_ms == 0 ||
            clock_monotonic_ms() - seg->scrubbed_ms >= s->options.interval_ms);
}

/* The first closed segment that is due; NULL: none, or known damage is to be healed first. */
static struct segment *due_segment(const struct scrubber *s, struct replica *r) HOLDS(r->lock)
{
    const struct log *log = ENTRY(r)->damaged ? NULL : log_of(r);
    for (size_t i = 0; log != NULL && i + 1 < log->segments.count; i++)
        if (is_due(s, log, log->segments.items[i]))
            return log->segments.items[i];
    return NULL;
}

/* Pinned, or NULL. *size: what of it is to be read. */
static struct segment *take_segment(const struct scrubber *s, struct replica *r, int64_t *size)
{
    mutex_lock(&r->lock);
    struct segment *seg = due_segment(s, r);
    if (seg != NULL) {
        seg->scrubbed_ms = clock_monotonic_ms();
        *size = seg->size;
        if (segment_pin(seg) != 0)
            seg = NULL;
    }
    mutex_unlock(&r->lock);
    return seg;
}

static int read_segment(struct scrubber *s, struct replica *r, struct segment *seg, int64_t size,
                        struct scrub_reading *reading)
{
    int64_t started_us = clock_monotonic_us();
    int rc;
    do {
        int64_t before = reading->position;
        rc = scrub_step(seg, reading, size);
        s->bytes += reading->position - before;
        seg->fs->uncache(seg->fs->arg, seg->log.file, before, reading->position - before);
        pause_us(s, r,
                 scrub_pause_us(reading->position, clock_monotonic_us() - started_us,
                                s->options.bytes_per_second));
    } while (rc > 0 && !must_stop(s, r));
    return MIN(rc, 0);
}

/* Lock held: is it the log's still, and as it was? Else what was read says nothing. */
static bool is_current(const struct log *log, const struct segment *seg, int64_t size)
{
    if (log == NULL || seg->size != size)
        return false;
    for (size_t i = 0; i + 1 < log->segments.count; i++)
        if (log->segments.items[i] == seg)
            return true;
    return false;
}

static void note_damage(struct scrubber *s, struct replica *r, const struct segment *seg,
                        int64_t size, const struct scrub_reading *reading, int err)
{
    mutex_lock(&r->lock);
    bool damaged = is_current(log_of(r), seg, size);
    if (damaged)
        ENTRY(r)->damaged = true;
    mutex_unlock(&r->lock);
    if (!damaged)
        return;
    s->damaged++;
    LOG_ERROR("a cold segment is damaged",
              "segment=%s position=%" PRId64 " offset=%" PRId64
              " reason=\"%s\" next=\"fetched anew when another replica has it\"",
              seg->path, reading->position, reading->expected_offset, strerror(-err));
}

/* --- One replica --- */

/* A damaged replica leaves the ISR as soon as it may. */
static void leave_isr(struct replica *r)
{
    struct replica_entry *e = ENTRY(r);
    const struct replicas_callbacks *up = &e->owner->options.callbacks;
    int64_t now_ms = clock_monotonic_ms();
    mutex_lock(&r->lock);
    const struct partition *p = r->partition;
    bool leave = false;
    if (e->damaged && p != NULL && !e->removed) {
        struct scrub_view view = {.node_id = p->node_id,
                                  .leader = p->state.leader,
                                  .isr = p->state.isr,
                                  .isr_count = p->state.isr_count,
                                  .replicas_count = p->state.replicas_count,
                                  .min_insync_replicas = p->config.min_insync_replicas,
                                  .since_report_ms =
                                      e->reported_ms == 0 ? INT64_MAX : now_ms - e->reported_ms};
        leave = scrub_may_leave(&view);
    }
    if (leave)
        e->reported_ms = now_ms;
    mutex_unlock(&r->lock);
    if (leave && up->replica_failed != NULL)
        up->replica_failed(up->arg, r->topic_id, r->index, true);
}

static void scrub_replica(struct scrubber *s, struct replica *r)
{
    struct scrub_reading reading = {0};
    struct segment *seg;
    int64_t size;
    while (!must_stop(s, r) && (seg = take_segment(s, r, &size)) != NULL) {
        reading.position = 0;
        reading.expected_offset = seg->base_offset;
        int err = read_segment(s, r, seg, size, &reading);
        s->segments++;
        if (err == -EBADMSG || err == -EIO)
            note_damage(s, r, seg, size, &reading, err);
        segment_unpin(seg);
    }
    buffer_deinit(&reading.chunk);
    leave_isr(r);
}

/* --- All of them --- */

struct due {
    const struct scrubber *scrubber;
    VEC(struct replica_key) keys; /* no references: whoever removes a replica waits for them */
};

static void consider(void *arg, struct replica *r)
{
    struct due *due = arg;
    mutex_lock(&r->lock);
    bool is = ENTRY(r)->damaged || due_segment(due->scrubber, r) != NULL;
    mutex_unlock(&r->lock);
    if (is)
        vec_push(&due->keys, replica_key(r->topic_id, r->index));
}

static void scrub_all(struct scrubber *s)
{
    struct due due = {.scrubber = s};
    int64_t started_ms = clock_monotonic_ms();
    s->segments = s->bytes = s->damaged = 0;
    replicas_each(s->replicas, consider, &due);
    FOR_EACH (key, due.keys.items, (ptrdiff_t)due.keys.count) {
        struct replica *r = replicas_find(s->replicas, key->topic_id, key->index);
        if (r != NULL)
            scrub_replica(s, r);
        replica_unref(r);
    }
    vec_deinit(&due.keys);
    if (s->segments > 0)
        LOG_INFO("scrubbed",
                 "segments=%" PRId64 " bytes=%" PRId64 " damaged=%" PRId64 " ms=%" PRId64,
                 s->segments, s->bytes, s->damaged, clock_monotonic_ms() - started_ms);
}

static void scrubber_run(void *arg)
{
    struct scrubber *s = arg;
    do
        scrub_all(s);
    while (!rest_for(&s->rest, LOOK_MS));
}

struct scrubber *scrubber_start(struct replicas *rs, const struct scrubber_options *options)
{
    if (options->bytes_per_second <= 0)
        return NULL;
    struct scrubber *s = mem_zalloc(sizeof(*s));
    s->replicas = rs;
    s->options = *options;
    rest_init(&s->rest);
    CHECK(thread_start(&s->thread, &BACKGROUND, "scrubber", scrubber_run, s) == 0);
    return s;
}

void scrubber_stop(struct scrubber *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    rest_end(&s->rest);
    pthread_join(s->thread, NULL);
    rest_deinit(&s->rest);
    free(s);
}
