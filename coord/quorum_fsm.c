/*
 * libraft's state machine: apply an entry to memory and database, publish the image, answer;
 * snapshots. Nothing here may fail softly: a follower that skipped an entry would go on with
 * another state.
 */
#include <stdlib.h>

#include "coord/quorum_internal.h"
#include "proto/base/crc32c.h"
#include "proto/base/logging.h"

static void publish(struct quorum *q)
{
    struct image *before = image_cell_get(q->cell);
    struct image *img = metadata_image(q->metadata);
    bool changed = img != before;
    image_unref(before);
    if (!changed) {
        image_unref(img);
        return;
    }
    image_cell_set(q->cell, image_ref(img));
    if (!slice_is_null(img->cluster_id))
        quorum_set_cluster_id(q, img->cluster_id);
    if (q->options.callbacks.published != NULL)
        q->options.callbacks.published(q->options.callbacks.arg, img);
    image_unref(img);
}

static void own_stream(struct quorum *q, const struct changes *changes)
{
    FOR_EACH (c, changes->list.items, changes->list.count) {
        if (c->kind == CHANGE_STREAM && c->node_id == q->options.node_id &&
            uuid_equal(c->incarnation, q->options.incarnation) && c->value.size >= STREAM_PREFIX)
            submit_applied(q, c->number,
                           slice_of(c->value.data + STREAM_PREFIX, c->value.size - STREAM_PREFIX));
    }
}

/* libraft hands out a copy of the entry, so that its address says nothing; and an index alone could
 * be that of another leader's entry. */
static bool is_in_flight(const struct quorum *q, int64_t index, const struct raft_buffer *buf)
{
    const struct in_flight *f = &q->in_flight;
    return f->active && (int64_t)f->req.index == index && f->size == buf->len &&
           f->crc == crc32c(0, buf->base, buf->len);
}

static int on_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct quorum *q = fsm->data;
    thread_assert(&QUORUM);
    int64_t index = (int64_t)raft_last_applied(&q->raft) + 1;
    CHECK(index > q->applied_index);
    struct arena arena;
    struct changes changes = {0};
    struct command_results results = {0};
    arena_init(&arena, 0);
    metadata_apply(q->metadata, index, slice_of(buf->base, buf->len), &arena, &changes, &results);
    struct image *img = metadata_image(q->metadata);
    state_apply(q->state, index, &changes, img);
    image_unref(img);
    q->applied_index = index;
    q->log_bytes += (int64_t)buf->len;
    if (is_in_flight(q, index, buf)) {
        q->in_flight.index = index;
        command_results_encode(&q->in_flight.results, results.list.items,
                               (int32_t)results.list.count);
    }
    publish(q);
    own_stream(q, &changes);
    submit_progress(q);
    vec_deinit(&changes.list);
    vec_deinit(&results.list);
    arena_deinit(&arena);
    *result = NULL;
    return 0;
}

static int on_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct quorum *q = fsm->data;
    thread_assert(&QUORUM);
    if (state_restore(q->state, slice_of(buf->base, buf->len)) != 0) {
        LOG_ERROR("cannot restore the snapshot, stopping", "size=%zu", buf->len);
        abort();
    }
    raft_free(buf->base);
    metadata_free(q->metadata);
    q->metadata = state_load(q->state);
    q->log_bytes = 0;
    publish(q);
    struct arena arena;
    struct slice results;
    arena_init(&arena, 0);
    int64_t sequence =
        state_find_stream(q->state, q->options.node_id, q->options.incarnation, &arena, &results);
    if (sequence >= 0 && results.size >= STREAM_PREFIX)
        submit_applied(q, sequence,
                       slice_of(results.data + STREAM_PREFIX, results.size - STREAM_PREFIX));
    arena_deinit(&arena);
    LOG_INFO("metadata restored from a snapshot", "sequence=%lld", (long long)sequence);
    return 0;
}

/* --- Snapshots: pinned here, encoded in the thread pool by the wrapped snapshot_put --- */

static int on_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct quorum *q = fsm->data;
    thread_assert(&QUORUM);
    CHECK(!q->snapshot.active);
    q->snapshot = (struct snapshot_job){.active = true, .pin = state_pin(q->state)};
    *bufs = raft_malloc(sizeof(**bufs));
    CHECK(*bufs != NULL);
    (*bufs)[0] = (struct raft_buffer){NULL, 0};
    *n_bufs = 1;
    q->snapshot.bufs = *bufs;
    q->log_bytes = 0;
    raft_set_snapshot_threshold(&q->raft, (unsigned)q->options.snapshot_threshold);
    return 0;
}

static int on_finalize(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct quorum *q = fsm->data;
    thread_assert(&QUORUM);
    if (*bufs != NULL) {
        for (unsigned i = 0; i < *n_bufs; i++)
            raft_free((*bufs)[i].base);
        raft_free(*bufs);
    }
    *bufs = NULL;
    *n_bufs = 0;
    state_pin_free(q->snapshot.pin);
    q->snapshot = (struct snapshot_job){0};
    return 0;
}

static void encode_work(uv_work_t *work)
{
    struct snapshot_job *job = CONTAINER_OF(work, struct snapshot_job, work);
    state_pin_encode(job->pin, &job->data, &job->size);
}

static void encode_done(uv_work_t *work, int status)
{
    (void)status;
    struct snapshot_job *job = CONTAINER_OF(work, struct snapshot_job, work);
    struct quorum *q = CONTAINER_OF(job, struct quorum, snapshot);
    thread_assert(&QUORUM);
    job->working = false;
    job->bufs[0] = (struct raft_buffer){job->data, job->size};
    state_pin_free(job->pin);
    job->pin = NULL;
    LOG_INFO("metadata snapshot", "index=%llu size=%zu", job->snapshot->index, job->size);
    int rv = q->io_snapshot_put(job->io, job->trailing, job->req, job->snapshot, job->cb);
    if (rv != 0) {
        LOG_ERROR("cannot store a snapshot, stopping", "error=\"%s\"", raft_strerror(rv));
        abort();
    }
}

int fsm_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                     const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct quorum *q = ((struct raft *)io->data)->data;
    struct snapshot_job *job = &q->snapshot;
    if (trailing == 0 || !job->active || snapshot->bufs != job->bufs)
        return q->io_snapshot_put(io, trailing, req, snapshot, cb); /* the leader's: it is whole */
    job->io = io;
    job->trailing = trailing;
    job->req = req;
    job->snapshot = snapshot;
    job->cb = cb;
    job->working = true;
    CHECK(uv_queue_work(&q->loop, &job->work, encode_work, encode_done) == 0);
    return 0;
}

void fsm_init(struct quorum *q)
{
    q->metadata = metadata_new();
    q->fsm = (struct raft_fsm){.version = 2,
                               .data = q,
                               .apply = on_apply,
                               .snapshot = on_snapshot,
                               .restore = on_restore,
                               .snapshot_finalize = on_finalize};
}
