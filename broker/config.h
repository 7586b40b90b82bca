/*
 * The server's configuration: Kafka's server.properties, keys and defaults in config.def.
 *
 * Order of precedence: `--set key=value`, then environment (KAFKA_NODE_ID=1 is node.id=1; `_` `__`
 * `___` are `.` `_` `-`, as in the Kafka images), then the file, then the default. An unknown key
 * is a warning; a bad value stops the start with the key, the value, and what would be right.
 *
 * Constant after config_check(): any thread may read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/base/check.h"
#include "proto/base/slice.h"

enum config_key {
#define INT(id, name, initial, min, max) CONFIG_##id,
#define BOOL(id, name, initial)          CONFIG_##id,
#define TEXT(id, name, initial)          CONFIG_##id,
#include "broker/config.def"
    CONFIG_COUNT
};

struct listener_address {
    char name[64];
    char host[256]; /* "" where none was given: all addresses */
    int32_t port;
    int16_t security_protocol;
};

#define LISTENERS_MAX       16
#define CONFIG_COARSE_COUNT 4 /* log.retention.hours and the like */

struct config {
    int64_t numbers[CONFIG_COUNT];
    char *texts[CONFIG_COUNT]; /* owned; NULL: not set */
    bool is_set[CONFIG_COUNT];
    char shown[CONFIG_COUNT][24];               /* numbers and booleans that were set, as text */
    char shown_coarse[CONFIG_COARSE_COUNT][24]; /* the same for names of other units */
    /* derived by config_check() */
    struct listener_address listeners[LISTENERS_MAX]; /* for clients and brokers */
    int listeners_count;
    struct listener_address advertised[LISTENERS_MAX];
    int advertised_count;
    struct listener_address controller; /* port 0: none configured */
    char inter_broker_listener[64];
    bool is_controller;
};

void config_init(struct config *c);
void config_deinit(struct config *c);

/* Each returns 0, or -EINVAL after it logged what is wrong and what would be right. */
int config_read_file(struct config *c, const char *path) MUST_CHECK;
int config_read_environment(struct config *c, char **environment) MUST_CHECK;
int config_set(struct config *c, const char *assignment) MUST_CHECK; /* "key=value" */
int config_check(struct config *c) MUST_CHECK;

static inline int64_t config_number(const struct config *c, enum config_key key)
{
    return c->numbers[key];
}

static inline const char *config_text(const struct config *c, enum config_key key)
{
    return c->texts[key];
}

/* The table, for DescribeConfigs: name, value as text (into text), whether it was set. */
const char *config_name(enum config_key key);
void config_value_text(const struct config *c, enum config_key key, char *text, size_t size);
/* 0: number, 1: boolean, 2: text. */
int config_type(enum config_key key);
/* 32 or 64 bits, by the largest value. */
bool config_is_int(enum config_key key);
/* The default, in the arena; null slice for a text without one. */
struct slice config_initial_text(enum config_key key, struct arena *arena);
/* Whether the server has a setting of this name. */
bool config_is_known(struct slice name);
/* What was set under this name, as text; null slice: nothing. */
struct slice config_set_text(const struct config *c, const char *name);
