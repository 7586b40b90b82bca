/*
 * What is asked of a group of either kind. A group begins as a classic one; the first member of the
 * consumer protocol makes it one of those while nobody is in it, and the other way round.
 */
#include <stdlib.h>

#include "broker/config_groups.h"
#include "broker/groups_internal.h"
#include "broker/topic_settings.h"
#include "coord/image_resources.h"
#include "coord/resource_config.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

struct group *group_new(struct groups *gs)
{
    const struct config *c = &gs->node->config;
    struct group_config config = {
        .initial_delay_ms = (int32_t)config_number(c, CONFIG_GROUP_DELAY_MS),
        .session_min_ms = (int32_t)config_number(c, CONFIG_GROUP_SESSION_MIN_MS),
        .session_max_ms = (int32_t)config_number(c, CONFIG_GROUP_SESSION_MAX_MS),
        .size_max = (int32_t)config_number(c, CONFIG_GROUP_SIZE_MAX),
    };
    struct group *g = mem_zalloc(sizeof(*g));
    group_classic_init(&g->classic, &config);
    g->since_ms = clock_wall_ms();
    g->due_ms = GROUP_NEVER;
    return g;
}

static void consumer_free(struct group *g)
{
    if (g->consumer != NULL)
        group_consumer_deinit(g->consumer);
    free(g->consumer);
    g->consumer = NULL;
}

void group_free(struct group *g)
{
    if (g == NULL)
        return;
    consumer_free(g);
    group_classic_deinit(&g->classic);
    free(g);
}

void group_reset(struct group *g)
{
    struct group_config config = g->classic.config;
    uint64_t writes = g->consumer ? g->consumer->writes : g->classic.writes;
    uint64_t ended = g->consumer ? g->consumer->writes_ended : g->classic.writes_ended;
    consumer_free(g);
    group_classic_deinit(&g->classic);
    group_classic_init(&g->classic, &config);
    g->classic.writes = writes; /* what is on its way still comes back */
    g->classic.writes_ended = ended;
    g->since_ms = clock_wall_ms();
}

/* --- Settings --- */

/* What is set for the group, within the bounds of this broker; else what the broker says. */
static int32_t setting(struct groups *gs, struct slice id, const struct image *img,
                       const char *name)
{
    const struct config *c = &gs->node->config;
    const struct config_bounded *b = config_bounded_find(slice_from_text(name));
    struct slice own = image_resource_config(img, RESOURCE_GROUP, id, slice_from_text(b->name));
    if (slice_is_null(own))
        return (int32_t)config_number(c, b->key);
    struct config_node node = topic_config_node(c);
    int64_t value = group_config_number(img, id, b->name, &node);
    return (int32_t)MIN(MAX(value, config_number(c, b->min)), config_number(c, b->max));
}

void group_configure(struct groups *gs, struct slice id, struct group *g, const struct image *img)
{
    struct config_node node = topic_config_node(&gs->node->config);
    struct consumer_config *config = &g->consumer->config;
    config->session_ms = setting(gs, id, img, "consumer.session.timeout.ms");
    config->heartbeat_ms = setting(gs, id, img, "consumer.heartbeat.interval.ms");
    config->assignment_interval_ms =
        (int32_t)group_config_number(img, id, "consumer.assignment.interval.ms", &node);
    config->size_max = (int32_t)config_number(&gs->node->config, CONFIG_CONSUMER_SIZE_MAX);
}

static struct slice first_assignor(const struct groups *gs)
{
    const char *names = config_text(&gs->node->config, CONFIG_CONSUMER_ASSIGNORS);
    return slice_of(names, strcspn(names, ","));
}

/* Without members, as new. */
static void consumer_new(struct groups *gs, struct slice id, struct group *g)
{
    struct consumer_config config = {.assignor = first_assignor(gs)};
    struct image *img = quorum_image(gs->node->quorum);
    g->consumer = mem_zalloc(sizeof(*g->consumer));
    group_consumer_init(g->consumer, &config);
    CHECK(img != NULL); /* the slot was found in one */
    group_configure(gs, id, g, img);
    image_unref(img);
}

void group_turn_consumer(struct groups *gs, struct slice id, struct group *g)
{
    CHECK(group_is_empty(g));
    consumer_new(gs, id, g);
    g->consumer->writes = g->classic.writes;
    g->consumer->writes_ended = g->classic.writes_ended;
    struct group_config config = g->classic.config;
    group_classic_deinit(&g->classic);
    group_classic_init(&g->classic, &config);
}

/* --- The database's form --- */

bool group_decode(struct groups *gs, struct slice id, struct slice blob, struct group *g)
{
    if (!group_consumer_is_blob(blob))
        return group_classic_decode(&g->classic, blob, clock_monotonic_ms(), &g->since_ms) == 0;
    consumer_new(gs, id, g);
    if (group_consumer_decode(g->consumer, blob, clock_monotonic_ms(), &g->since_ms) == 0)
        return true;
    group_reset(g);
    return false;
}

void group_encode(const struct group *g, struct buffer *out)
{
    if (g->consumer != NULL)
        group_consumer_encode(g->consumer, g->since_ms, out);
    else
        group_classic_encode(&g->classic, g->since_ms, out);
}

/* --- Questions --- */

bool group_is_idle(const struct group *g)
{
    return g->consumer ? group_consumer_is_idle(g->consumer) : group_classic_is_idle(&g->classic);
}

bool group_is_empty(const struct group *g)
{
    return g->consumer ? g->consumer->members_count == 0 : g->classic.state == GROUP_EMPTY;
}

bool group_subscribes(const struct group *g, struct slice topic)
{
    return g->consumer ? group_consumer_subscribes(g->consumer, topic)
                       : group_classic_subscribes(&g->classic, topic);
}

int64_t group_deadline(const struct group *g)
{
    return g->consumer ? group_consumer_deadline(g->consumer) : group_classic_deadline(&g->classic);
}

/* --- Time --- */

static void consumer_tick(struct groups *gs, struct slice id, struct group *g, int64_t now_ms,
                          struct group_effects *fx)
{
    struct image *img = quorum_image(gs->node->quorum);
    struct consumer_event event = {.img = img, .now_ms = now_ms};
    group_configure(gs, id, g, img);
    int out = group_consumer_tick(g->consumer, &event, fx);
    if (out > 0)
        LOG_INFO("members of a group went silent or did not give partitions up",
                 "group=" SLICE_FMT " members=%d out=%d epoch=%d", SLICE_ARG(id),
                 g->consumer->members_count, out, g->consumer->epoch);
    image_unref(img);
}

void group_tick(struct groups *gs, struct slice id, struct group *g, int64_t now_ms,
                struct group_effects *fx)
{
    if (g->consumer != NULL) {
        consumer_tick(gs, id, g, now_ms, fx);
        return;
    }
    int32_t members = g->classic.members_count;
    group_classic_tick(&g->classic, now_ms, fx);
    if (g->classic.members_count < members)
        LOG_INFO("members of a group did not come or went silent",
                 "group=" SLICE_FMT " members=%d before=%d generation=%d state=%s", SLICE_ARG(id),
                 g->classic.members_count, members, g->classic.generation,
                 group_state_name(g->classic.state));
}

void group_revive(struct group *g, int64_t now_ms)
{
    if (g->consumer != NULL)
        group_consumer_revive(g->consumer, now_ms);
    else
        group_classic_revive(&g->classic, now_ms);
}

void group_abandon(struct group *g, enum error_code err, struct group_effects *fx)
{
    if (g->consumer != NULL)
        group_consumer_abandon(g->consumer, err, fx);
    else
        group_classic_abandon(&g->classic, err, fx);
}
