/* Fetching, the pure part. */
#include "replication/fetcher.h"

#include <stdlib.h>

#include "proto/base/list.h"
#include "proto/base/map.h"

#define REQUESTS_OUT_MAX 2
#define EPOCH_NONE       -1
#define EPOCH_OPENS      0
#define NOT_ASKED        INT64_MAX

struct followed {
    struct fetcher_key key;
    struct list link;  /* in the fetcher's `changed`, when something is to be told */
    bool assigned;     /* scratch of fetcher_assign() */
    bool flushing;     /* brought records that are not on disk yet */
    bool unready;      /* backs off because it had no position, maybe for a flush begun elsewhere */
    bool in_session;   /* the leader's session has it */
    int64_t asked_in;  /* the first request with `at`; NOT_ASKED: it has moved on since */
    int64_t resume_ms; /* backing off until then */
    struct fetcher_position at;
};

struct fetcher {
    int64_t backoff_ms;
    struct map partitions; /* struct fetcher_key -> struct followed */
    struct list changed;
    int64_t resume_ms; /* after a failed request */
    int64_t last_number;
    int64_t session_since; /* answers to older requests belong to a session that is over */
    int out;               /* requests */
    int32_t session_id;    /* 0: none */
    int32_t session_epoch; /* of the next request */
    bool opening;          /* a request for a session is out */
    bool refused;          /* the leader gave no session: do without */
};

struct fetcher *fetcher_new(int64_t backoff_ms)
{
    struct fetcher *f = mem_zalloc(sizeof(*f));
    f->backoff_ms = backoff_ms;
    list_init(&f->changed);
    return f;
}

void fetcher_free(struct fetcher *f)
{
    if (f == NULL)
        return;
    MAP_FOR_EACH (entry, &f->partitions)
        free(entry->value);
    map_deinit(&f->partitions);
    free(f);
}

static struct followed *followed_find(const struct fetcher *f, const struct fetcher_key *key)
{
    return map_find(&f->partitions, MAP_KEY(*key));
}

static void changed(struct fetcher *f, struct followed *p)
{
    if (!list_is_linked(&p->link))
        list_push_back(&f->changed, &p->link);
}

/* --- Which partitions --- */

static void removed(struct fetcher *f, struct followed *p)
{
    /* The leader drops it from the session by the metadata, as we do; what it still sends is not
     * taken, and a session that is asked for anew does not have it. */
    list_remove(&p->link);
    map_remove(&f->partitions, MAP_KEY(p->key));
    free(p);
}

static void session_over(struct fetcher *f)
{
    f->session_id = 0;
    f->session_epoch = EPOCH_OPENS;
    f->session_since = f->last_number + 1;
    f->opening = false;
    MAP_FOR_EACH (entry, &f->partitions) {
        struct followed *p = entry->value;
        p->in_session = false;
        p->asked_in = NOT_ASKED;
        changed(f, p);
    }
}

void fetcher_assign(struct fetcher *f, const struct fetcher_key *keys, int count)
{
    MAP_FOR_EACH (entry, &f->partitions)
        ((struct followed *)entry->value)->assigned = false;
    for (int i = 0; i < count; i++) {
        struct followed *p = followed_find(f, &keys[i]);
        if (p == NULL) {
            p = mem_zalloc(sizeof(*p));
            p->key = keys[i];
            p->asked_in = NOT_ASKED;
            map_put(&f->partitions, MAP_KEY(p->key), p);
        }
        p->assigned = true;
        p->resume_ms = 0; /* a new epoch deserves a new try */
        changed(f, p);
    }
    struct list gone;
    list_init(&gone);
    bool session_has_gone = false;
    MAP_FOR_EACH (entry, &f->partitions) {
        struct followed *p = entry->value;
        if (p->assigned)
            continue;
        session_has_gone = session_has_gone || p->in_session;
        list_remove(&p->link);
        list_push_back(&gone, &p->link);
    }
    struct list *link;
    while ((link = list_pop_front(&gone)) != NULL)
        removed(f, CONTAINER_OF(link, struct followed, link));
    if (session_has_gone)
        session_over(f);
}

/* --- The request --- */

static bool position_equal(const struct fetcher_position *a, const struct fetcher_position *b)
{
    return a->fetch_offset == b->fetch_offset && a->leader_epoch == b->leader_epoch &&
           a->last_fetched_epoch == b->last_fetched_epoch &&
           a->log_start_offset == b->log_start_offset;
}

struct building {
    struct fetcher *f;
    struct fetcher_request *out;
    int64_t now_ms;
    fetcher_position_of *position_of;
    void *arg;
    struct list left_out; /* may have to be forgotten */
};

static void ask(struct building *b, struct followed *p, const struct fetcher_position *at)
{
    if (p->in_session && p->asked_in != NOT_ASKED && position_equal(&p->at, at))
        return;
    p->at = *at;
    p->in_session = true;
    p->asked_in = b->out->number;
    b->out->asks[b->out->asks_count++] = (struct fetcher_ask){p->key, *at};
}

/* Look at one partition: ask for it, or leave it out of this request. */
static void look(struct building *b, struct followed *p)
{
    struct fetcher_position at;
    list_remove(&p->link);
    if (p->flushing || p->resume_ms > b->now_ms) {
        list_push_back(&b->left_out, &p->link);
    } else if (!b->position_of(b->arg, &p->key, &at)) {
        p->unready = true;
        p->resume_ms = b->now_ms + b->f->backoff_ms;
        list_push_back(&b->left_out, &p->link);
    } else {
        p->unready = false;
        ask(b, p, &at);
    }
}

/* Without a session every request names everything. */
static void look_at_all(struct building *b)
{
    MAP_FOR_EACH (entry, &b->f->partitions) {
        struct followed *p = entry->value;
        p->in_session = false;
        look(b, p);
    }
}

static void look_at_changed(struct building *b)
{
    struct list todo;
    list_init(&todo);
    list_splice(&todo, &b->f->changed);
    while (!list_is_empty(&todo))
        look(b, CONTAINER_OF(todo.next, struct followed, link));
}

/* Those left out go back to the changed; with `told`, the leader is told to forget them. A request
 * that only forgets is never sent: they keep their place, for they will be asked for soon. */
static void left_out_keep(struct building *b, bool told)
{
    LIST_FOR_EACH (p, &b->left_out, struct followed, link) {
        if (told && p->in_session) {
            b->out->forgotten[b->out->forgotten_count++] = p->key;
            p->in_session = false;
            p->asked_in = NOT_ASKED;
        }
        list_remove(&p->link);
        list_push_back(&b->f->changed, &p->link);
    }
}

static bool any_fetchable(const struct fetcher *f, int64_t now_ms)
{
    MAP_FOR_EACH (entry, &f->partitions) {
        const struct followed *p = entry->value;
        if (p->in_session && !p->flushing && p->resume_ms <= now_ms)
            return true;
    }
    return false;
}

bool fetcher_next(struct fetcher *f, int64_t now_ms, fetcher_position_of *position_of, void *arg,
                  struct arena *arena, struct fetcher_request *out)
{
    size_t count = f->partitions.count;
    *out = (struct fetcher_request){.number = f->last_number + 1};
    if (f->out >= REQUESTS_OUT_MAX || f->opening || now_ms < f->resume_ms || count == 0)
        return false;
    if (f->out > 0 && list_is_empty(&f->changed))
        return false;
    out->asks = arena_need(arena, count * sizeof(*out->asks));
    out->forgotten = arena_need(arena, count * sizeof(*out->forgotten));
    struct building b = {f, out, now_ms, position_of, arg, {0}};
    bool session = f->session_id != 0;
    list_init(&b.left_out);
    if (session)
        look_at_changed(&b);
    else
        look_at_all(&b);
    /* A request that waits at the leader is left alone unless there is something to add to it. */
    bool send = f->out > 0 ? out->asks_count > 0 : any_fetchable(f, now_ms);
    left_out_keep(&b, send && session);
    if (!send)
        return false;
    out->session_id = f->session_id;
    out->session_epoch = session ? f->session_epoch : f->refused ? EPOCH_NONE : EPOCH_OPENS;
    out->wait = session || f->refused; /* the answer to the first brings the session: at once */
    f->opening = out->session_epoch == EPOCH_OPENS;
    if (session)
        f->session_epoch = f->session_epoch == INT32_MAX ? 1 : f->session_epoch + 1;
    f->last_number++;
    f->out++;
    return true;
}

int64_t fetcher_pause_ms(const struct fetcher *f, int64_t now_ms)
{
    int64_t first = INT64_MAX;
    LIST_FOR_EACH (p, &f->changed, struct followed, link)
        if (!p->flushing && p->resume_ms > now_ms)
            first = MIN(first, p->resume_ms);
    if (f->resume_ms > now_ms)
        first = f->resume_ms;
    return first == INT64_MAX ? -1 : first - now_ms;
}

/* --- The answer --- */

bool fetcher_answered(struct fetcher *f, int64_t number, enum error_code err, int32_t session_id,
                      int64_t now_ms)
{
    f->out--;
    if (number < f->session_since)
        return false; /* its session is over: what it says may be of a former state */
    bool opened = f->opening;
    f->opening = false;
    if (err != ERR_NONE) {
        session_over(f);
        f->refused = false;
        f->resume_ms = now_ms + f->backoff_ms;
        return false;
    }
    if (opened) {
        f->session_id = session_id;
        f->session_epoch = EPOCH_OPENS + 1;
        f->refused = session_id == 0;
    } else if (f->session_id != 0 && session_id != f->session_id) {
        session_over(f);
    }
    return true;
}

bool fetcher_takes(const struct fetcher *f, int64_t number, const struct fetcher_key *key,
                   int32_t *leader_epoch)
{
    const struct followed *p = followed_find(f, key);
    *leader_epoch = p ? p->at.leader_epoch : -1;
    return p != NULL && p->asked_in <= number;
}

void fetcher_taken(struct fetcher *f, const struct fetcher_key *key, enum fetcher_outcome outcome,
                   int64_t now_ms)
{
    struct followed *p = followed_find(f, key);
    if (p == NULL)
        return;
    p->flushing = p->flushing || outcome == FETCHED_FLUSHING;
    if (outcome == FETCHED_FAILED)
        p->resume_ms = now_ms + f->backoff_ms;
    if (outcome != FETCHED_NEWS)
        p->asked_in = NOT_ASKED;
    changed(f, p);
}

void fetcher_flushed(struct fetcher *f, const struct fetcher_key *key)
{
    struct followed *p = followed_find(f, key);
    if (p == NULL || (!p->flushing && !p->unready))
        return;
    p->flushing = false;
    if (p->unready)
        p->resume_ms = 0;
    changed(f, p);
}
