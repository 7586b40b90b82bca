/* Topic settings: checking values, and finding the one in force. */
#include "coord/topic_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coord/image_internal.h"
#include "coord/image_resources.h"

const struct topic_config *topic_config_find(struct slice name)
{
    int low = 0;
    int high = topic_configs_count;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = slice_compare(slice_from_text(topic_configs[middle].name), name);
        if (order == 0)
            return &topic_configs[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The next word of a list separated by `separator`; false at its end. Words are trimmed. */
static bool next_word(struct slice *rest, char separator, struct slice *word)
{
    if (slice_is_null(*rest))
        return false;
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    size_t size = end != NULL ? (size_t)(end - rest->data) : rest->size;
    *word = slice_of(rest->data, size);
    *rest = end != NULL ? slice_of(end + 1, rest->size - size - 1) : SLICE_NULL;
    while (word->size > 0 && word->data[0] == ' ')
        *word = slice_of(word->data + 1, word->size - 1);
    while (word->size > 0 && word->data[word->size - 1] == ' ')
        word->size--;
    return true;
}

static bool words_contain(const char *words, struct slice wanted)
{
    struct slice rest = slice_from_text(words);
    struct slice word;
    while (next_word(&rest, ' ', &word)) {
        if (slice_equal(word, wanted))
            return true;
    }
    return false;
}

/* One of server_names: its name, and milliseconds per unit where it has another one. */
static bool next_server_name(struct slice *rest, struct slice *name, int64_t *unit)
{
    if (!next_word(rest, ' ', name))
        return false;
    *unit = 1;
    const uint8_t *star = memchr(name->data, '*', name->size);
    if (star != NULL) {
        *unit = strtoll((const char *)star + 1, NULL, 10);
        name->size = (size_t)(star - name->data);
    }
    return true;
}

const struct topic_config *topic_config_find_server(struct slice server_name, int64_t *unit)
{
    for (int i = 0; i < topic_configs_count; i++) {
        struct slice rest = slice_from_text(topic_configs[i].server_names);
        struct slice name;
        while (next_server_name(&rest, &name, unit)) {
            if (slice_equal(name, server_name))
                return &topic_configs[i];
        }
    }
    return NULL;
}

/* Whole decimal number; false for anything else. */
static bool parse_number(struct slice value, int64_t *number)
{
    char text[32];
    if (value.size == 0 || value.size >= sizeof(text))
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    if (text[0] != '-' && text[0] != '+' && (text[0] < '0' || text[0] > '9'))
        return false;
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && end[-1] >= '0' && end[-1] <= '9';
}

static bool parse_double(struct slice value, double *number)
{
    char text[32];
    if (value.size == 0 || value.size >= sizeof(text))
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    if (strspn(text, "0123456789.eE+-") != value.size)
        return false;
    char *end;
    *number = strtod(text, &end);
    return *end == '\0';
}

static bool equals_ignoring_case(struct slice value, const char *word)
{
    if (value.size != strlen(word))
        return false;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
            return false;
    }
    return true;
}

static bool number_allowed(const struct topic_config *config, int64_t number)
{
    if (config->type == CONFIG_INT && (number > INT32_MAX || number < INT32_MIN))
        return false;
    if (number < config->min || number > config->max)
        return false;
    return number != 0 || strcmp(config->name, "compression.gzip.level") != 0;
}

/* "*" or pairs like 0:1,1:2. */
static bool throttle_allowed(struct slice value)
{
    struct slice word;
    struct slice rest = value;
    if (value.size == 0 || slice_equals_text(value, "*"))
        return true;
    while (next_word(&rest, ',', &word)) {
        const uint8_t *colon = word.size > 0 ? memchr(word.data, ':', word.size) : NULL;
        int64_t number;
        if (colon == NULL)
            return false;
        size_t before = (size_t)(colon - word.data);
        if (!parse_number(slice_of(word.data, before), &number) ||
            !parse_number(slice_of(colon + 1, word.size - before - 1), &number))
            return false;
    }
    return true;
}

static bool list_allowed(const struct topic_config *config, struct slice value)
{
    struct slice rest = value;
    struct slice word;
    if (strstr(config->name, "throttled.replicas") != NULL)
        return throttle_allowed(value);
    if (value.size == 0 || config->values == NULL)
        return true;
    while (next_word(&rest, ',', &word)) {
        if (!words_contain(config->values, word))
            return false;
    }
    return true;
}

static bool value_allowed(const struct topic_config *config, struct slice value)
{
    int64_t number;
    double real;
    switch (config->type) {
    case CONFIG_BOOLEAN:
        return equals_ignoring_case(value, "true") || equals_ignoring_case(value, "false");
    case CONFIG_INT:
    case CONFIG_LONG:
        return parse_number(value, &number) && number_allowed(config, number);
    case CONFIG_DOUBLE:
        return parse_double(value, &real) && real >= (double)config->min &&
               real <= (double)config->max;
    case CONFIG_LIST:
        return list_allowed(config, value);
    case CONFIG_STRING:
        return config->values == NULL || words_contain(config->values, value);
    }
    return false;
}

static void describe_range(const struct topic_config *config, char *out, size_t size)
{
    if (config->type == CONFIG_BOOLEAN)
        snprintf(out, size, "true or false");
    else if (config->values != NULL)
        snprintf(out, size, "one of %s", config->values);
    else if (config->type == CONFIG_LIST)
        snprintf(out, size, "partition:broker pairs, or *");
    else
        snprintf(out, size, "a number from %lld to %lld", (long long)config->min,
                 (long long)config->max);
}

enum error_code topic_config_check(const struct topic_config *config, struct slice value,
                                   char reason[200])
{
    if (!slice_is_null(value) && value_allowed(config, value))
        return ERR_NONE;
    char range[100];
    describe_range(config, range, sizeof(range));
    if (slice_is_null(value))
        snprintf(reason, 200, "Null value not supported for %s; it has to be %s", config->name,
                 range);
    else
        snprintf(reason, 200, "Invalid value %.*s for configuration %s: it has to be %s",
                 (int)MIN(value.size, 40), (const char *)value.data, config->name, range);
    return ERR_INVALID_CONFIG;
}

enum error_code topic_config_check_named(struct slice name, struct slice value, char reason[200])
{
    const struct topic_config *config = topic_config_find(name);
    if (config != NULL)
        return topic_config_check(config, value, reason);
    snprintf(reason, 200, "Unknown topic config name: %.*s", (int)MIN(name.size, 100),
             (const char *)name.data);
    return ERR_INVALID_CONFIG;
}

enum error_code server_config_check_named(struct slice name, struct slice value, char reason[200])
{
    int64_t unit;
    const struct topic_config *config = topic_config_find_server(name, &unit);
    int64_t number;
    if (slice_is_null(value)) {
        snprintf(reason, 200, "Null value not supported for %.*s", (int)MIN(name.size, 100),
                 (const char *)name.data);
        return ERR_INVALID_CONFIG;
    }
    if (config == NULL)
        return ERR_NONE;
    if (unit == 1)
        return topic_config_check(config, value, reason);
    if (parse_number(value, &number) && number >= -1 && number <= INT64_MAX / unit)
        return ERR_NONE;
    snprintf(reason, 200, "Invalid value %.*s for configuration %.*s", (int)MIN(value.size, 40),
             (const char *)value.data, (int)MIN(name.size, 100), (const char *)name.data);
    return ERR_INVALID_CONFIG;
}

/* The value in milliseconds, where the layer has another unit. */
static struct slice converted(struct slice value, int64_t unit, char text[24])
{
    int64_t number;
    if (unit == 1 || !parse_number(value, &number))
        return value;
    if (number < 0)
        return SLICE("-1");
    int64_t product;
    if (__builtin_mul_overflow(number, unit, &product))
        product = INT64_MAX;
    snprintf(text, 24, "%lld", (long long)product);
    return slice_from_text(text);
}

static void layer_set(struct topic_config_layer *layer, struct slice name, struct slice value,
                      int64_t unit, enum config_source source)
{
    layer->name = (const char *)name.data;
    layer->name_size = name.size;
    layer->source = source;
    layer->value = converted(value, unit, layer->text);
}

int topic_config_layers(const struct image *img, const struct image_topic *topic,
                        const struct topic_config *config, const struct config_node *node,
                        struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX])
{
    int count = 0;
    struct slice name = slice_from_text(config->name);
    struct slice value = topic != NULL ? image_topic_config(topic, name) : SLICE_NULL;
    if (!slice_is_null(value))
        layer_set(&layers[count++], name, value, 1, CONFIG_SOURCE_TOPIC);

    struct slice rest = node != NULL ? slice_from_text(config->server_names) : SLICE_NULL;
    int64_t unit;
    while (next_server_name(&rest, &name, &unit)) {
        value = image_broker_config(img, node->node_id, name);
        if (!slice_is_null(value))
            layer_set(&layers[count++], name, value, unit, CONFIG_SOURCE_DYNAMIC_BROKER);
    }
    rest = slice_from_text(config->server_names);
    while (next_server_name(&rest, &name, &unit)) {
        value = configs_find(img->broker_configs, img->broker_configs_count, name);
        if (!slice_is_null(value))
            layer_set(&layers[count++], name, value, unit, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
    }
    rest = node != NULL && node->static_value != NULL ? slice_from_text(config->server_names)
                                                      : SLICE_NULL;
    while (next_server_name(&rest, &name, &unit)) {
        char text[64];
        snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(name));
        value = node->static_value(node->arg, text);
        if (!slice_is_null(value) && count < TOPIC_CONFIG_LAYERS_MAX - 1)
            layer_set(&layers[count++], name, value, unit, CONFIG_SOURCE_STATIC_BROKER);
    }
    rest = slice_from_text(config->server_names ? config->server_names : config->name);
    if (next_server_name(&rest, &name, &unit))
        layer_set(&layers[count++], name, slice_from_text(config->default_value), 1,
                  CONFIG_SOURCE_DEFAULT);
    return count;
}

/* The strongest layer whose value is right: a wrong one (an older version let it in) counts as
 * absent. */
static struct topic_config_layer *in_force(const struct image *img, const struct image_topic *topic,
                                           const struct topic_config *config,
                                           const struct config_node *node,
                                           struct topic_config_layer *layers)
{
    CHECK(config != NULL);
    int count = topic_config_layers(img, topic, config, node, layers);
    int i = 0;
    while (i < count - 1 && !value_allowed(config, layers[i].value))
        i++;
    return &layers[i];
}

int64_t topic_config_number(const struct image *img, const struct image_topic *topic,
                            const char *name, const struct config_node *node)
{
    const struct topic_config *config = topic_config_find(slice_from_text(name));
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    struct slice value = in_force(img, topic, config, node, layers)->value;
    if (config->type == CONFIG_BOOLEAN)
        return equals_ignoring_case(value, "true");
    int64_t number = 0;
    CHECK(parse_number(value, &number));
    return number;
}

double topic_config_double(const struct image *img, const struct image_topic *topic,
                           const char *name, const struct config_node *node)
{
    const struct topic_config *config = topic_config_find(slice_from_text(name));
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    struct slice value = in_force(img, topic, config, node, layers)->value;
    double number = 0;
    CHECK(parse_double(value, &number));
    return number;
}

void topic_config_text(const struct image *img, const struct image_topic *topic, const char *name,
                       const struct config_node *node, char out[200])
{
    const struct topic_config *config = topic_config_find(slice_from_text(name));
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    struct slice value = in_force(img, topic, config, node, layers)->value;
    snprintf(out, 200, SLICE_FMT, SLICE_ARG(value));
}

bool topic_config_list_has(const struct image *img, const struct image_topic *topic,
                           const char *name, const char *word, const struct config_node *node)
{
    const struct topic_config *config = topic_config_find(slice_from_text(name));
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    struct slice rest = in_force(img, topic, config, node, layers)->value;
    struct slice item;
    while (next_word(&rest, ',', &item)) {
        if (slice_equals_text(item, word))
            return true;
    }
    return false;
}
