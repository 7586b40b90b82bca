/* Whose quota it is, and how much of it was used. */
#include "broker/quotas.h"

#include <stdlib.h>

#include "broker/node.h"
#include "broker/quota_entity.h"
#include "broker/quota_rate.h"
#include "coord/image_resources.h"
#include "proto/base/buffer.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"
#include "proto/base/map.h"
#include "proto/base/vec.h"

#define ANONYMOUS    SLICE("ANONYMOUS") /* everybody, as long as nobody has to say who he is */
#define CLIENTS_MAX  10000              /* remembered before the idle ones are forgotten */
#define LOG_EVERY_MS 60000

static const char *const KEYS[QUOTA_KINDS_COUNT] = {"producer_byte_rate", "consumer_byte_rate"};

/* All that share one quota: a user, a client id, or both. */
struct bucket {
    struct quota_rate rate;
    int64_t logged_ms;
};

struct quotas {
    struct mutex lock;
    struct map buckets; /* by kind and who; guarded by lock */
    size_t sweep_at;    /* guarded by lock */
};

struct quotas *quotas_new(void)
{
    struct quotas *qs = mem_zalloc(sizeof(*qs));
    mutex_init(&qs->lock);
    qs->sweep_at = CLIENTS_MAX;
    return qs;
}

void quotas_free(struct quotas *qs)
{
    if (qs == NULL)
        return;
    MAP_FOR_EACH (entry, &qs->buckets)
        free(entry->value);
    map_deinit(&qs->buckets);
    mutex_deinit(&qs->lock);
    free(qs);
}

/* --- Whose --- */

static bool any_quota(const struct image *img)
{
    const struct image_resources *rs = img != NULL ? img->resources : NULL;
    for (int i = rs != NULL ? rs->count - 1 : -1; i >= 0 && rs->items[i].kind >= RESOURCE_QUOTA;
         i--)
        if (rs->items[i].kind == RESOURCE_QUOTA)
            return true;
    return false;
}

static struct slice entity_name(struct request *req, const struct slice *client_id,
                                const struct slice *user)
{
    struct quota_entity e = {0};
    char reason[200];
    if (client_id != NULL && quota_entity_add(&e, SLICE("client-id"), *client_id, reason) != 0)
        return SLICE_NULL;
    if (user != NULL && quota_entity_add(&e, SLICE("user"), *user, reason) != 0)
        return SLICE_NULL;
    return quota_entity_encode(&e, &req->arena);
}

static double rate_of(struct request *req, struct slice entity, enum quota_kind kind)
{
    if (slice_is_null(entity))
        return 0;
    return quota_value_parse(
        image_resource_config(req->image, RESOURCE_QUOTA, entity, slice_from_text(KEYS[kind])));
}

/* The most specific quota counts, users before client ids; a default counts for each one that it
 * stands for by itself. */
struct quota_limit quota_limit_find(struct request *req, enum quota_kind kind)
{
    const struct slice user = ANONYMOUS, any = SLICE_NULL;
    const struct slice client = req->header.client_id;
    bool named = !slice_is_null(client) && client.size > 0;
    const struct {
        const struct slice *client_id, *user;
    } order[] = {{&client, &user}, {&any, &user}, {NULL, &user},   {&client, &any},
                 {&any, &any},     {NULL, &any},  {&client, NULL}, {&any, NULL}};
    struct quota_limit limit = {.kind = kind};
    if (!any_quota(req->image))
        return limit;
    for (size_t i = 0; i < ARRAY_COUNT(order) && limit.rate <= 0; i++) {
        if (order[i].client_id == &client && !named)
            continue;
        limit.rate = rate_of(req, entity_name(req, order[i].client_id, order[i].user), kind);
        const struct slice *each = named ? &client : &any;
        limit.who = entity_name(req, order[i].client_id != NULL ? each : NULL,
                                order[i].user != NULL ? &user : NULL);
    }
    return limit;
}

int64_t quota_limit_most(const struct quota_limit *limit)
{
    double most = limit->rate * (QUOTA_WINDOWS - 1);
    return most <= 0 || most > 1e18 ? INT64_MAX : MAX((int64_t)most, (int64_t)1);
}

/* --- How much --- */

/* Lock held. */
static void sweep(struct quotas *qs, int64_t now_ms)
{
    VEC(struct slice) idle = {0};
    MAP_FOR_EACH (entry, &qs->buckets)
        if (quota_rate_is_idle(&((struct bucket *)entry->value)->rate, now_ms))
            vec_push(&idle, entry->key);
    for (size_t i = 0; i < idle.count; i++)
        free(map_remove(&qs->buckets, idle.items[i]));
    vec_deinit(&idle);
    qs->sweep_at = MAX(2 * qs->buckets.count, (size_t)CLIENTS_MAX);
}

/* Lock held. */
static struct bucket *bucket_get(struct quotas *qs, enum quota_kind kind, struct slice who,
                                 int64_t now_ms)
{
    struct buffer key = {0};
    buffer_printf(&key, "%d " SLICE_FMT, kind, SLICE_ARG(who));
    struct bucket *b = map_find(&qs->buckets, buffer_slice(&key));
    if (b == NULL) {
        if (qs->buckets.count >= qs->sweep_at)
            sweep(qs, now_ms);
        b = mem_zalloc(sizeof(*b));
        b->logged_ms = -LOG_EVERY_MS;
        map_put(&qs->buckets, buffer_slice(&key), b);
    }
    buffer_deinit(&key);
    return b;
}

static bool to_be_logged(struct bucket *b, int64_t now_ms)
{
    if (now_ms - b->logged_ms < LOG_EVERY_MS)
        return false;
    b->logged_ms = now_ms;
    return true;
}

static int32_t record(struct quotas *qs, const struct quota_limit *limit, int64_t bytes, bool *hold)
{
    int64_t now_ms = clock_monotonic_ms();
    if (limit->rate <= 0)
        return 0;
    mutex_lock(&qs->lock);
    struct bucket *b = bucket_get(qs, limit->kind, limit->who, now_ms);
    int64_t before_ms = quota_rate_throttle_ms(&b->rate, limit->rate, now_ms);
    quota_rate_record(&b->rate, (double)bytes, now_ms);
    int64_t throttle_ms = quota_rate_throttle_ms(&b->rate, limit->rate, now_ms);
    if (hold != NULL) {
        *hold = throttle_ms > 0 && (before_ms > 0 || bytes <= quota_limit_most(limit));
        quota_rate_record(&b->rate, *hold ? -(double)bytes : 0, now_ms);
    }
    bool log = throttle_ms > 0 && to_be_logged(b, now_ms);
    mutex_unlock(&qs->lock);
    if (log)
        LOG_INFO("a client is over its quota, throttling it",
                 "who=" SLICE_FMT " quota=%s limit=%.0f throttle_ms=%lld", SLICE_ARG(limit->who),
                 KEYS[limit->kind], limit->rate, (long long)throttle_ms);
    return (int32_t)MIN(throttle_ms, (int64_t)QUOTA_WINDOWS * QUOTA_WINDOW_MS);
}

int32_t quotas_record(struct quotas *qs, const struct quota_limit *limit, int64_t bytes)
{
    return record(qs, limit, bytes, NULL);
}

int32_t quotas_record_or_hold(struct quotas *qs, const struct quota_limit *limit, int64_t bytes,
                              bool *hold)
{
    *hold = false;
    return record(qs, limit, bytes, hold);
}
