/*
 * What is asked of a group of either kind. A group begins as a classic one; the first member of the
 * consumer protocol makes it one of those while nobody is in it, and the other way round.
 */
#include <stdlib.h>
#include <strings.h>

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
    struct config_node node = topic_config_node(c);
    int64_t value = group_config_number(img, id, b->name, &node);
    if (slice_is_null(image_resource_config(img, RESOURCE_GROUP, id, slice_from_text(b->name))))
        return (int32_t)value;
    return (int32_t)MIN(MAX(value, config_number(c, b->min)), config_number(c, b->max));
}

void group_configure(struct groups *gs, struct slice id, struct group *g, const struct image *img)
{
    struct consumer_config *config = &g->consumer->config;
    config->session_ms = setting(gs, id, img, "consumer.session.timeout.ms");
    config->heartbeat_ms = setting(gs, id, img, "consumer.heartbeat.interval.ms");
    config->assignment_interval_ms = setting(gs, id, img, "consumer.assignment.interval.ms");
    config->classic_session_min_ms = g->classic.config.session_min_ms;
    config->classic_session_max_ms = g->classic.config.session_max_ms;
    config->size_max = (int32_t)config_number(&gs->node->config, CONFIG_CONSUMER_SIZE_MAX);
}

static struct slice first_assignor(const struct groups *gs)
{
    const char *names = config_text(&gs->node->config, CONFIG_CONSUMER_ASSIGNORS);
    return slice_of(names, strcspn(names, ","));
}

/* Without members, as new. */
static struct group_consumer *consumer_new(struct groups *gs)
{
    struct consumer_config config = {.assignor = first_assignor(gs)};
    struct group_consumer *consumer = mem_zalloc(sizeof(*consumer));
    group_consumer_init(consumer, &config);
    return consumer;
}

static void classic_clear(struct group *g)
{
    struct group_config config = g->classic.config;
    group_classic_deinit(&g->classic);
    group_classic_init(&g->classic, &config);
}

/* --- From one protocol to the other --- */

struct consumer_event group_event(struct groups *gs)
{
    struct image *img = quorum_image(gs->node->quorum);
    CHECK(img != NULL); /* the group's slot was found in one */
    return (struct consumer_event){.img = img, .now_ms = clock_monotonic_ms()};
}

void group_event_end(struct consumer_event *event)
{
    image_unref((struct image *)event->img);
    event->img = NULL;
}

void group_turn_consumer(struct groups *gs, struct slice id, struct group *g,
                         const struct image *img)
{
    CHECK(group_is_empty(g));
    g->consumer = consumer_new(gs);
    group_configure(gs, id, g, img);
    g->consumer->writes = g->classic.writes;
    g->consumer->writes_ended = g->classic.writes_ended;
    classic_clear(g);
}

static bool policy_allows(const struct groups *gs, const char *direction)
{
    const char *policy = config_text(&gs->node->config, CONFIG_CONSUMER_MIGRATION);
    return strcasecmp(policy, "bidirectional") == 0 || strcasecmp(policy, direction) == 0;
}

bool group_upgrade(struct groups *gs, struct slice id, struct group *g,
                   const struct consumer_event *event, struct group_effects *fx)
{
    if (!policy_allows(gs, "upgrade") ||
        g->classic.members_count > config_number(&gs->node->config, CONFIG_CONSUMER_SIZE_MAX))
        return false;
    struct group_consumer *consumer = consumer_new(gs);
    if (group_consumer_from_classic(consumer, &g->classic, event, fx) < 0) {
        LOG_WARN("cannot move a group to the consumer protocol, its members are no plain consumers",
                 "group=" SLICE_FMT " protocol=" SLICE_FMT, SLICE_ARG(id),
                 SLICE_ARG(g->classic.protocol_name));
        group_consumer_deinit(consumer);
        free(consumer);
        return false;
    }
    LOG_INFO("a group moves to the consumer protocol", "group=" SLICE_FMT " members=%d epoch=%d",
             SLICE_ARG(id), consumer->members_count, consumer->epoch);
    g->consumer = consumer;
    group_configure(gs, id, g, event->img);
    classic_clear(g);
    return true;
}

void group_downgrade(struct groups *gs, struct slice id, struct group *g,
                     const struct consumer_event *event, struct group_effects *fx)
{
    struct group_consumer *consumer = g->consumer;
    if (consumer == NULL || !group_consumer_is_classic_only(consumer) ||
        !policy_allows(gs, "downgrade") ||
        consumer->members_count > config_number(&gs->node->config, CONFIG_GROUP_SIZE_MAX))
        return;
    LOG_INFO("a group moves to the classic protocol", "group=" SLICE_FMT " members=%d epoch=%d",
             SLICE_ARG(id), consumer->members_count, consumer->epoch);
    group_consumer_to_classic(consumer, &g->classic, event, fx);
    consumer_free(g);
}

/* --- The database's form --- */

bool group_decode(struct groups *gs, struct slice id, struct slice blob, struct group *g)
{
    if (!group_consumer_is_blob(blob))
        return group_classic_decode(&g->classic, blob, clock_monotonic_ms(), &g->since_ms) == 0;
    struct consumer_event event = group_event(gs);
    g->consumer = consumer_new(gs);
    group_configure(gs, id, g, event.img);
    group_event_end(&event);
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
    struct consumer_event event = group_event(gs);
    event.now_ms = now_ms;
    group_configure(gs, id, g, event.img);
    int out = group_consumer_tick(g->consumer, &event, fx);
    if (out > 0)
        LOG_INFO("members of a group went silent or did not give partitions up",
                 "group=" SLICE_FMT " members=%d out=%d epoch=%d", SLICE_ARG(id),
                 g->consumer->members_count, out, g->consumer->epoch);
    group_downgrade(gs, id, g, &event, fx);
    group_event_end(&event);
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
