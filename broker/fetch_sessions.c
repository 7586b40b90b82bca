/* Fetch sessions: a map of sessions, each an ordered set of partitions. */
#include "broker/fetch_sessions.h"

#include <stdlib.h>

#include "proto/base/buffer.h"
#include "proto/base/list.h"
#include "proto/base/map.h"
#include "proto/base/rng.h"

#define EPOCH_NONE     -1
#define EPOCH_OPENS    0
#define PARTITIONS_MAX 100000 /* in one session; above it the client gets none */
#define BY_ID_VERSION  13

struct remembered {
    struct list link; /* in its session's order */
    struct fetch_want want;
    int64_t high_watermark; /* as last answered, -1: to be told again */
    int64_t log_start_offset;
    char topic[]; /* want.topic points here */
};

struct fetch_session {
    int32_t id;
    int32_t epoch; /* that the next request must carry */
    bool by_id;
    bool follower;
    int64_t created_ms;
    int64_t used_ms;
    struct list order;
    struct map partitions; /* key_of() -> struct remembered */
};

struct fetch_sessions {
    struct fetch_sessions_options options;
    struct rng rng;
    struct map sessions; /* id -> struct fetch_session */
};

struct fetch_sessions *fetch_sessions_new(const struct fetch_sessions_options *options)
{
    struct fetch_sessions *fs = mem_zalloc(sizeof(*fs));
    fs->options = *options;
    rng_init(&fs->rng, options->seed);
    return fs;
}

int fetch_sessions_count(const struct fetch_sessions *fs)
{
    return (int)fs->sessions.count;
}

/* --- One session --- */

/* The partition's index first, then its topic: id and name cannot be mixed up within a session. */
static struct slice key_of(struct buffer *scratch, struct slice topic, struct uuid id, bool by_id,
                           int32_t partition)
{
    scratch->size = 0;
    buffer_append(scratch, &partition, sizeof(partition));
    if (by_id)
        buffer_append(scratch, &id, sizeof(id));
    else
        buffer_append_slice(scratch, topic);
    return buffer_slice(scratch);
}

static void session_set(struct fetch_session *s, struct buffer *scratch,
                        const struct fetch_want *want)
{
    struct slice key = key_of(scratch, want->topic, want->topic_id, s->by_id, want->partition);
    struct remembered *r = map_find(&s->partitions, key);
    if (r == NULL) {
        size_t size = s->by_id ? 0 : want->topic.size;
        r = mem_zalloc(sizeof(*r) + size);
        if (size > 0)
            memcpy(r->topic, want->topic.data, size);
        r->high_watermark = r->log_start_offset = -1;
        list_push_back(&s->order, &r->link);
        map_put(&s->partitions, key, r);
    }
    r->want = *want;
    r->want.topic = s->by_id ? SLICE_NULL : slice_of(r->topic, want->topic.size);
}

static void session_forget(struct fetch_session *s, struct slice key)
{
    struct remembered *r = map_remove(&s->partitions, key);
    if (r == NULL)
        return;
    list_remove(&r->link);
    free(r);
}

static void session_free(struct fetch_session *s)
{
    struct list *link;
    while ((link = list_pop_front(&s->order)) != NULL)
        free(CONTAINER_OF(link, struct remembered, link));
    map_deinit(&s->partitions);
    free(s);
}

static void session_remove(struct fetch_sessions *fs, int32_t id)
{
    struct fetch_session *s = map_remove(&fs->sessions, MAP_KEY(id));
    if (s != NULL)
        session_free(s);
}

void fetch_sessions_free(struct fetch_sessions *fs)
{
    if (fs == NULL)
        return;
    MAP_FOR_EACH (entry, &fs->sessions)
        session_free(entry->value);
    map_deinit(&fs->sessions);
    free(fs);
}

static int32_t epoch_after(int32_t epoch)
{
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

/* --- The request --- */

static struct fetch_want want_of(const struct fetch_request_topic *t,
                                 const struct fetch_request_topic_partition *p, bool by_id)
{
    return (struct fetch_want){.topic = by_id ? SLICE_NULL : t->topic,
                               .topic_id = by_id ? t->topic_id : UUID_ZERO,
                               .partition = p->partition,
                               .current_leader_epoch = p->current_leader_epoch,
                               .fetch_offset = p->fetch_offset,
                               .last_fetched_epoch = p->last_fetched_epoch,
                               .log_start_offset = p->log_start_offset,
                               .bytes_max = p->partition_max_bytes,
                               .told_high_watermark = -1};
}

static void plan_from_request(const struct fetch_request *in, struct arena *arena,
                              struct fetch_plan *plan)
{
    int count = 0;
    for (int i = 0; i < in->topics_count; i++)
        count += MAX(in->topics[i].partitions_count, 0);
    plan->wants = arena_need(arena, sizeof(*plan->wants) * (size_t)count);
    for (int i = 0; i < in->topics_count; i++)
        for (int k = 0; k < in->topics[i].partitions_count; k++)
            plan->wants[plan->count++] =
                want_of(&in->topics[i], &in->topics[i].partitions[k], plan->by_id);
}

static void plan_from_session(const struct fetch_session *s, struct arena *arena,
                              struct fetch_plan *plan)
{
    plan->wants = arena_need(arena, sizeof(*plan->wants) * s->partitions.count);
    struct slice last = SLICE_NULL;
    LIST_FOR_EACH (r, &s->order, struct remembered, link) {
        struct fetch_want *want = &plan->wants[plan->count++];
        *want = r->want;
        want->told_high_watermark = r->high_watermark;
        if (s->by_id)
            continue;
        if (slice_is_null(last) || !slice_equal(last, r->want.topic))
            last = arena_copy(arena, r->want.topic);
        want->topic = last;
    }
}

static void session_update(struct fetch_session *s, const struct fetch_request *in)
{
    struct buffer scratch = {0};
    for (int i = 0; i < in->topics_count; i++)
        for (int k = 0; k < in->topics[i].partitions_count; k++) {
            struct fetch_want want =
                want_of(&in->topics[i], &in->topics[i].partitions[k], s->by_id);
            session_set(s, &scratch, &want);
        }
    for (int i = 0; i < in->forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topics_data *t = &in->forgotten_topics_data[i];
        for (int k = 0; k < t->partitions_count; k++)
            session_forget(s, key_of(&scratch, t->topic, t->topic_id, s->by_id, t->partitions[k]));
    }
    buffer_deinit(&scratch);
}

enum error_code fetch_sessions_begin(struct fetch_sessions *fs, const struct fetch_request *in,
                                     int16_t version, int64_t now_ms, struct arena *arena,
                                     struct fetch_plan *plan)
{
    *plan = (struct fetch_plan){.kind = FETCH_SESSIONLESS, .by_id = version >= BY_ID_VERSION};
    if (in->session_epoch == EPOCH_NONE || in->session_epoch == EPOCH_OPENS) {
        session_remove(fs, in->session_id); /* the client is done with that one */
        plan->kind = in->session_epoch == EPOCH_OPENS ? FETCH_OPENS : FETCH_SESSIONLESS;
        plan_from_request(in, arena, plan);
        return ERR_NONE;
    }
    struct fetch_session *s = map_find(&fs->sessions, MAP_KEY(in->session_id));
    if (s == NULL)
        return ERR_FETCH_SESSION_ID_NOT_FOUND;
    if (s->epoch != in->session_epoch)
        return ERR_INVALID_FETCH_SESSION_EPOCH;
    if (s->by_id != plan->by_id)
        return ERR_FETCH_SESSION_TOPIC_ID_ERROR;
    session_update(s, in);
    if (s->partitions.count > PARTITIONS_MAX) {
        session_remove(fs, s->id);
        return ERR_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (s->partitions.count == 0) {
        session_remove(fs, s->id);
        return ERR_NONE; /* nothing to read, and no session to say it in */
    }
    s->epoch = epoch_after(s->epoch);
    s->used_ms = now_ms;
    plan->kind = FETCH_INCREMENTAL;
    plan->session_id = s->id;
    plan->epoch = s->epoch;
    plan_from_session(s, arena, plan);
    return ERR_NONE;
}

/* --- The answer --- */

/* Is `a` less worth keeping than `b`? */
static bool less_worth(const struct fetch_session *a, const struct fetch_session *b)
{
    if (a->follower != b->follower)
        return b->follower;
    return a->partitions.count < b->partitions.count;
}

/* Make room for a session of `size` partitions. false: what is there is worth more. */
static bool make_room(struct fetch_sessions *fs, bool follower, size_t size, int64_t now_ms)
{
    if ((int)fs->sessions.count < fs->options.slots_max)
        return true;
    struct fetch_session *oldest = NULL, *least = NULL;
    MAP_FOR_EACH (entry, &fs->sessions) {
        struct fetch_session *s = entry->value;
        bool settled = now_ms - s->created_ms > fs->options.eviction_ms;
        if (oldest == NULL || s->used_ms < oldest->used_ms)
            oldest = s;
        /* A young session is left alone, unless a follower needs the room of a consumer. */
        if ((settled || (follower && !s->follower)) && (least == NULL || less_worth(s, least)))
            least = s;
    }
    struct fetch_session fresh = {.follower = follower, .partitions.count = size};
    if (oldest != NULL && now_ms - oldest->used_ms > fs->options.eviction_ms)
        session_remove(fs, oldest->id);
    else if (least != NULL && less_worth(least, &fresh))
        session_remove(fs, least->id);
    else
        return false;
    return true;
}

static int32_t session_open(struct fetch_sessions *fs, const struct fetch_plan *plan, bool follower,
                            int64_t now_ms)
{
    if (plan->count > PARTITIONS_MAX || fs->options.slots_max <= 0 ||
        !make_room(fs, follower, (size_t)plan->count, now_ms))
        return 0;
    struct fetch_session *s = mem_zalloc(sizeof(*s));
    s->epoch = EPOCH_OPENS + 1;
    s->by_id = plan->by_id;
    s->follower = follower;
    s->created_ms = s->used_ms = now_ms;
    list_init(&s->order);
    do
        s->id = (int32_t)rng_below(&fs->rng, INT32_MAX) + 1;
    while (map_find(&fs->sessions, MAP_KEY(s->id)) != NULL);
    struct buffer scratch = {0};
    for (int i = 0; i < plan->count; i++)
        session_set(s, &scratch, &plan->wants[i]);
    buffer_deinit(&scratch);
    map_put(&fs->sessions, MAP_KEY(s->id), s);
    return s->id;
}

/* What the client will know after this answer; is there anything in it for the client? */
static bool note(struct remembered *r, const struct fetch_news *n)
{
    bool told = n->records || n->must_tell || n->error_code != ERR_NONE ||
                n->high_watermark != r->high_watermark ||
                n->log_start_offset != r->log_start_offset;
    /* After an error the next answer without one is news, too. */
    r->high_watermark = n->error_code == ERR_NONE ? n->high_watermark : -1;
    r->log_start_offset = n->log_start_offset;
    return told;
}

static void news_note(struct fetch_session *s, const struct fetch_plan *plan,
                      struct fetch_news *news)
{
    struct buffer scratch = {0};
    for (int i = 0; i < plan->count; i++) {
        const struct fetch_want *want = &plan->wants[i];
        struct slice key = key_of(&scratch, want->topic, want->topic_id, s->by_id, want->partition);
        struct remembered *r = map_find(&s->partitions, key);
        news[i].include = r == NULL || note(r, &news[i]);
        if (r != NULL && news[i].records) {
            list_remove(&r->link);
            list_push_back(&s->order, &r->link);
        }
    }
    buffer_deinit(&scratch);
}

enum error_code fetch_sessions_end(struct fetch_sessions *fs, const struct fetch_plan *plan,
                                   struct fetch_news *news, bool follower, int64_t now_ms,
                                   int32_t *session_id)
{
    *session_id = plan->kind == FETCH_INCREMENTAL ? plan->session_id : 0;
    if (plan->kind == FETCH_OPENS)
        *session_id = session_open(fs, plan, follower, now_ms);
    struct fetch_session *s =
        *session_id != 0 ? map_find(&fs->sessions, MAP_KEY(*session_id)) : NULL;
    if (plan->kind == FETCH_INCREMENTAL && s == NULL)
        return ERR_FETCH_SESSION_ID_NOT_FOUND;
    if (plan->kind == FETCH_INCREMENTAL && s->epoch != plan->epoch)
        return ERR_INVALID_FETCH_SESSION_EPOCH;
    if (s != NULL)
        news_note(s, plan, news);
    for (int i = 0; i < plan->count; i++)
        news[i].include = news[i].include || plan->kind != FETCH_INCREMENTAL;
    return ERR_NONE;
}
