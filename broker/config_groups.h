/* Settings of the consumer protocol: what must fit together, on a broker and on a group. */
#pragma once

#include "broker/config.h"
#include "proto/errors.h"

/* A group's own setting, the broker's key for groups without one, and the bounds. */
struct config_bounded {
    const char *name;
    enum config_key key, min, max;
};

/* NULL: the setting has no bounds of a broker. */
const struct config_bounded *config_bounded_find(struct slice name);

/* Part of config_check(). */
int config_check_groups(const struct config *c) MUST_CHECK;
/* A group's setting, whose form is checked elsewhere, against this broker's bounds. */
enum error_code config_check_group(const struct config *c, struct slice name, struct slice value,
                                   char reason[200]) MUST_CHECK;
