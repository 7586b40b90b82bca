/* Reading and checking the configuration. */
#include "broker/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/logging.h"

enum config_type { TYPE_NUMBER, TYPE_BOOLEAN, TYPE_TEXT };

struct config_entry {
    const char *name;
    enum config_type type;
    int64_t initial, min, max;
    const char *text;
};

static const struct config_entry ENTRIES[CONFIG_COUNT] = {
#define INT(id, key, first, low, high)                                                             \
    [CONFIG_##id] = {.name = key, .type = TYPE_NUMBER, .initial = first, .min = low, .max = high},
#define BOOL(id, key, first) [CONFIG_##id] = {.name = key, .type = TYPE_BOOLEAN, .initial = first},
#define TEXT(id, key, first) [CONFIG_##id] = {.name = key, .type = TYPE_TEXT, .text = first},
#include "broker/config.def"
};

const char *config_name(enum config_key key)
{
    return ENTRIES[key].name;
}

int config_type(enum config_key key)
{
    return ENTRIES[key].type;
}

void config_value_text(const struct config *c, enum config_key key, char *text, size_t size)
{
    if (ENTRIES[key].type == TYPE_TEXT)
        snprintf(text, size, "%s", c->texts[key] ? c->texts[key] : "");
    else if (ENTRIES[key].type == TYPE_BOOLEAN)
        snprintf(text, size, "%s", c->numbers[key] ? "true" : "false");
    else
        snprintf(text, size, "%" PRId64, c->numbers[key]);
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    for (int i = 0; i < CONFIG_COUNT; i++) {
        c->numbers[i] = ENTRIES[i].initial;
        c->texts[i] = ENTRIES[i].text ? mem_strdup(ENTRIES[i].text) : NULL;
    }
}

void config_deinit(struct config *c)
{
    for (int i = 0; i < CONFIG_COUNT; i++)
        free(c->texts[i]);
    *c = (struct config){0};
}

static int entry_find(const char *name)
{
    if (strcmp(name, "log.dir") == 0)
        return CONFIG_LOG_DIRS;
    if (strcmp(name, "broker.id") == 0)
        return CONFIG_NODE_ID;
    for (int i = 0; i < CONFIG_COUNT; i++)
        if (strcmp(ENTRIES[i].name, name) == 0)
            return i;
    return -1;
}

/* Kafka's other units for the same setting. */
static const struct {
    const char *name;
    enum config_key key;
    int64_t factor;
} COARSE[CONFIG_COARSE_COUNT] = {{"log.retention.hours", CONFIG_RETENTION_MS, 3600000},
                                 {"log.retention.minutes", CONFIG_RETENTION_MS, 60000},
                                 {"log.roll.hours", CONFIG_ROLL_MS, 3600000},
                                 {"log.roll.jitter.hours", CONFIG_ROLL_JITTER_MS, 3600000}};

static int coarse_find(const char *name)
{
    for (int i = 0; i < CONFIG_COARSE_COUNT; i++)
        if (strcmp(COARSE[i].name, name) == 0)
            return i;
    return -1;
}

static bool set_by_unit(struct config *c, const char *name, int64_t value)
{
    int i = coarse_find(name);
    if (i < 0)
        return false;
    snprintf(c->shown_coarse[i], sizeof(c->shown_coarse[i]), "%" PRId64, value);
    if (!c->is_set[COARSE[i].key]) /* the finer unit wins */
        c->numbers[COARSE[i].key] = value < 0 ? -1 : value * COARSE[i].factor;
    return true;
}

bool config_is_int(enum config_key key)
{
    return ENTRIES[key].max <= INT32_MAX;
}

struct slice config_initial_text(enum config_key key, struct arena *arena)
{
    const struct config_entry *e = &ENTRIES[key];
    if (e->type == TYPE_TEXT)
        return slice_from_text(e->text);
    if (e->type == TYPE_BOOLEAN)
        return e->initial ? SLICE("true") : SLICE("false");
    return arena_printf(arena, "%" PRId64, e->initial);
}

bool config_is_known(struct slice name)
{
    char text[128];
    if (name.size >= sizeof(text))
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    return entry_find(text) >= 0 || coarse_find(text) >= 0;
}

struct slice config_set_text(const struct config *c, const char *name)
{
    int key = entry_find(name);
    if (key >= 0 && c->is_set[key])
        return slice_from_text(ENTRIES[key].type == TYPE_TEXT ? c->texts[key] : c->shown[key]);
    int coarse = coarse_find(name);
    if (coarse >= 0 && c->shown_coarse[coarse][0] != '\0')
        return slice_from_text(c->shown_coarse[coarse]);
    return SLICE_NULL;
}

static int set_number(struct config *c, int key, const char *value)
{
    const struct config_entry *e = &ENTRIES[key];
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < e->min || number > e->max) {
        LOG_ERROR("bad configuration value",
                  "key=%s value=\"%s\" right=\"a number from %" PRId64 " to %" PRId64 "\"", e->name,
                  value, e->min, e->max);
        return -EINVAL;
    }
    c->numbers[key] = number;
    config_value_text(c, (enum config_key)key, c->shown[key], sizeof(c->shown[key]));
    return 0;
}

static int set_value(struct config *c, const char *name, const char *value)
{
    int key = entry_find(name);
    if (key < 0) {
        if (!set_by_unit(c, name, strtoll(value, NULL, 10)))
            LOG_WARN("unknown configuration key, ignored", "key=%s", name);
        return 0;
    }
    c->is_set[key] = true;
    if (ENTRIES[key].type == TYPE_NUMBER)
        return set_number(c, key, value);
    if (ENTRIES[key].type == TYPE_TEXT) {
        free(c->texts[key]);
        c->texts[key] = mem_strdup(value);
        return 0;
    }
    bool yes = strcasecmp(value, "true") == 0;
    if (!yes && strcasecmp(value, "false") != 0) {
        LOG_ERROR("bad configuration value", "key=%s value=\"%s\" right=\"true or false\"", name,
                  value);
        return -EINVAL;
    }
    c->numbers[key] = yes;
    config_value_text(c, (enum config_key)key, c->shown[key], sizeof(c->shown[key]));
    return 0;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

int config_set(struct config *c, const char *assignment)
{
    char *copy = mem_strdup(assignment);
    char *equals = strchr(copy, '=');
    int rc = -EINVAL;
    if (equals == NULL) {
        LOG_ERROR("bad setting", "setting=\"%s\" right=\"key=value\"", assignment);
    } else {
        *equals = '\0';
        rc = set_value(c, trim(copy), trim(equals + 1));
    }
    free(copy);
    return rc;
}

int config_read_file(struct config *c, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        LOG_ERROR("cannot read the configuration", "file=%s error=\"%s\"", path, strerror(errno));
        return -EINVAL;
    }
    char *line = NULL;
    size_t capacity = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &capacity, file) >= 0) {
        char *text = trim(line);
        if (*text != '\0' && *text != '#' && *text != '!')
            rc = config_set(c, text);
    }
    free(line);
    fclose(file);
    return rc;
}

/* KAFKA_LOG_DIRS -> log.dirs; two underscores are one, three are a dash. */
static void environment_name(const char *variable, size_t size, char *name)
{
    for (size_t i = 0; i < size; i++) {
        if (variable[i] != '_') {
            *name++ = (char)tolower((unsigned char)variable[i]);
            continue;
        }
        size_t run = 1;
        while (i + run < size && variable[i + run] == '_' && run < 3)
            run++;
        *name++ = run == 1 ? '.' : run == 2 ? '_' : '-';
        i += run - 1;
    }
    *name = '\0';
}

int config_read_environment(struct config *c, char **environment)
{
    static const char PREFIX[] = "KAFKA_";
    for (; *environment != NULL; environment++) {
        const char *variable = *environment;
        const char *equals = strchr(variable, '=');
        size_t size = equals ? (size_t)(equals - variable) : 0;
        if (size < sizeof(PREFIX) || size > 200 ||
            strncmp(variable, PREFIX, sizeof(PREFIX) - 1) != 0)
            continue;
        char name[256];
        environment_name(variable + sizeof(PREFIX) - 1, size - (sizeof(PREFIX) - 1), name);
        if (entry_find(name) < 0)
            continue; /* images set variables of their own (KAFKA_HEAP_OPTS) */
        int rc = set_value(c, name, equals + 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}
