/* Settings of the consumer protocol: what must fit together, on a broker and on a group. */
#include "broker/config_groups.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "coord/assignor.h"
#include "coord/topic_config.h"
#include "proto/base/logging.h"

static const struct config_bounded BOUNDED[] = {
    {"consumer.session.timeout.ms", CONFIG_CONSUMER_SESSION_MS, CONFIG_CONSUMER_SESSION_MIN_MS,
     CONFIG_CONSUMER_SESSION_MAX_MS},
    {"consumer.heartbeat.interval.ms", CONFIG_CONSUMER_HEARTBEAT_MS,
     CONFIG_CONSUMER_HEARTBEAT_MIN_MS, CONFIG_CONSUMER_HEARTBEAT_MAX_MS},
    {"consumer.assignment.interval.ms", CONFIG_CONSUMER_ASSIGNMENT_MS,
     CONFIG_CONSUMER_ASSIGNMENT_MIN_MS, CONFIG_CONSUMER_ASSIGNMENT_MAX_MS},
};

const struct config_bounded *config_bounded_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(BOUNDED); i++)
        if (slice_equals_text(name, BOUNDED[i].name))
            return &BOUNDED[i];
    return NULL;
}

static int refuse(enum config_key key, int64_t value, const char *right)
{
    LOG_ERROR("bad configuration value", "key=%s value=\"%lld\" right=\"%s\"", config_name(key),
              (long long)value, right);
    return -EINVAL;
}

static int check_assignors(const struct config *c)
{
    const char *names = config_text(c, CONFIG_CONSUMER_ASSIGNORS);
    for (const char *at = names;; at++) {
        size_t size = strcspn(at, ",");
        if (assignor_find(slice_of(at, size)) == NULL) {
            LOG_ERROR("bad configuration value", "key=%s value=\"%s\" right=\"%s\"",
                      config_name(CONFIG_CONSUMER_ASSIGNORS), names,
                      "uniform,range or one of them");
            return -EINVAL;
        }
        at += size;
        if (*at == '\0')
            return 0;
    }
}

static int check_migration(const struct config *c)
{
    static const char *const POLICIES[] = {"bidirectional", "upgrade", "downgrade", "disabled"};
    const char *policy = config_text(c, CONFIG_CONSUMER_MIGRATION);
    for (size_t i = 0; i < ARRAY_COUNT(POLICIES); i++)
        if (strcasecmp(policy, POLICIES[i]) == 0)
            return 0;
    LOG_ERROR("bad configuration value", "key=%s value=\"%s\" right=\"%s\"",
              config_name(CONFIG_CONSUMER_MIGRATION), policy,
              "bidirectional, upgrade, downgrade or disabled");
    return -EINVAL;
}

int config_check_groups(const struct config *c)
{
    for (size_t i = 0; i < ARRAY_COUNT(BOUNDED); i++) {
        const struct config_bounded *b = &BOUNDED[i];
        int64_t value = config_number(c, b->key);
        if (value < config_number(c, b->min) || value > config_number(c, b->max))
            return refuse(b->key, value, "between its smallest and its largest, by their own keys");
    }
    int64_t heartbeat_ms = config_number(c, CONFIG_CONSUMER_HEARTBEAT_MS);
    if (heartbeat_ms >= config_number(c, CONFIG_CONSUMER_SESSION_MS))
        return refuse(CONFIG_CONSUMER_HEARTBEAT_MS, heartbeat_ms,
                      "less than group.consumer.session.timeout.ms");
    return check_assignors(c) < 0 ? -EINVAL : check_migration(c);
}

enum error_code config_check_group(const struct config *c, struct slice name, struct slice value,
                                   char reason[200])
{
    const struct config_bounded *b = config_bounded_find(name);
    char text[24] = "";
    if (b == NULL || slice_is_null(value))
        return ERR_NONE;
    memcpy(text, value.data, MIN(value.size, sizeof(text) - 1));
    int64_t number = strtoll(text, NULL, 10);
    bool small = number < config_number(c, b->min);
    if (!small && number <= config_number(c, b->max))
        return ERR_NONE;
    snprintf(reason, 200, "%s must be %s than or equal to %s", b->name, small ? "greater" : "less",
             config_name(small ? b->min : b->max));
    return ERR_INVALID_CONFIG;
}
