/* Settings of topics, of the cluster's brokers, and of other resources, set anew or one by one. */
#include "coord/image_resources.h"
#include "coord/metadata_internal.h"
#include "coord/resource_config.h"
#include "coord/topic_config.h"

#define CONFIG_NAME_MAX  249
#define CONFIG_VALUE_MAX 32767

#define RESOURCES_MAX         100000
#define RESOURCE_NAME_MAX     2000
#define RESOURCE_SETTINGS_MAX 1000

/* Whose rules a setting follows. */
enum scope { SCOPE_TOPIC, SCOPE_SERVER, SCOPE_OTHER };

/* What is asked for, whatever the command. */
struct wish {
    enum scope scope;
    int8_t kind; /* of a resource */
    const struct command_config_op *ops;
    int32_t ops_count;
};

/* The settings as they would be: a list of our own, so that a refusal leaves no trace. */
struct settings {
    struct image_config *configs;
    int count;
};

/* NULL: not one of ours. */
static const struct topic_config *config_of(struct slice name, enum scope scope)
{
    int64_t unit;
    if (scope == SCOPE_OTHER)
        return NULL;
    return scope == SCOPE_TOPIC ? topic_config_find(name) : topic_config_find_server(name, &unit);
}

/* The list behind a server's name of it, too. */
static bool is_list(struct slice name, enum scope scope)
{
    const struct topic_config *config = config_of(name, scope);
    return scope == SCOPE_OTHER || (config != NULL && config->type == CONFIG_LIST);
}

static bool list_next(struct slice *rest, struct slice *word)
{
    if (slice_is_null(*rest))
        return false;
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, ',', rest->size) : NULL;
    size_t size = end != NULL ? (size_t)(end - rest->data) : rest->size;
    *word = slice_of(rest->data, size);
    *rest = end != NULL ? slice_of(end + 1, rest->size - size - 1) : SLICE_NULL;
    return true;
}

static bool list_has(struct slice list, struct slice wanted)
{
    struct slice word;
    while (list_next(&list, &word)) {
        if (slice_equal(word, wanted))
            return true;
    }
    return false;
}

/* Words of `from` that are not in `without` nor in out yet. */
static void list_add(struct buffer *out, struct slice from, struct slice without)
{
    struct slice word;
    while (list_next(&from, &word)) {
        if (word.size == 0 || list_has(without, word) || list_has(buffer_slice(out), word))
            continue;
        if (out->size > 0)
            buffer_append(out, ",", 1);
        buffer_append_slice(out, word);
    }
}

/* APPEND and SUBTRACT work on the value in force, as in Kafka: the topic's own, else the default.
 */
static struct slice value_now(const struct image *img, const struct settings *s, struct slice name,
                              enum scope scope, struct topic_config_layer *layers)
{
    struct slice value = configs_find(s->configs, s->count, name);
    const struct topic_config *config = config_of(name, scope);
    if (!slice_is_null(value) || config == NULL)
        return value;
    topic_config_layers(img, NULL, config, NULL, layers);
    return layers[0].value;
}

static void combine(const struct image *img, struct settings *s, const struct command_config_op *op,
                    enum scope scope)
{
    struct topic_config_layer layers[TOPIC_CONFIG_LAYERS_MAX];
    struct slice now = value_now(img, s, op->name, scope, layers);
    struct buffer next = {0};
    list_add(&next, now, op->operation == CONFIG_SUBTRACT ? op->value : SLICE_NULL);
    if (op->operation == CONFIG_APPEND)
        list_add(&next, op->value, SLICE_NULL);
    configs_put(&s->configs, &s->count, op->name, buffer_slice(&next));
    buffer_deinit(&next);
}

static enum error_code operate(const struct image *img, struct settings *s,
                               const struct command_config_op *op, enum scope scope,
                               char reason[REASON_SIZE])
{
    if (op->name.size == 0 || op->name.size > CONFIG_NAME_MAX || op->value.size > CONFIG_VALUE_MAX)
        return refuse(reason, ERR_INVALID_CONFIG, "Name or value of a configuration is too long");
    if (scope == SCOPE_TOPIC && topic_config_find(op->name) == NULL &&
        op->operation != CONFIG_DELETE)
        return topic_config_check_named(op->name, op->value, reason);
    switch (op->operation) {
    case CONFIG_DELETE:
        configs_put(&s->configs, &s->count, op->name, SLICE_NULL);
        return ERR_NONE;
    case CONFIG_APPEND:
    case CONFIG_SUBTRACT:
        if (!is_list(op->name, scope))
            return refuse(reason, ERR_INVALID_CONFIG,
                          "Can't append to or subtract from key %.*s: it is not a list",
                          (int)op->name.size, (const char *)op->name.data);
        if (slice_is_null(op->value))
            break;
        combine(img, s, op, scope);
        return ERR_NONE;
    case CONFIG_SET:
        if (slice_is_null(op->value))
            break;
        configs_put(&s->configs, &s->count, op->name, op->value);
        return ERR_NONE;
    default:
        return refuse(reason, ERR_INVALID_REQUEST, "Unknown operation %d", op->operation);
    }
    return refuse(reason, ERR_INVALID_CONFIG, "Null value not supported for %.*s",
                  (int)MIN(op->name.size, (size_t)150), (const char *)op->name.data);
}

static enum error_code check_names(const struct wish *w, char reason[REASON_SIZE])
{
    for (int32_t i = 0; i < w->ops_count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (slice_equal(w->ops[i].name, w->ops[j].name))
                return refuse(reason, ERR_INVALID_REQUEST, "A configuration is named twice");
        }
    }
    return ERR_NONE;
}

static enum error_code check_value(const struct wish *w, const struct image_config *config,
                                   char reason[REASON_SIZE])
{
    switch (w->scope) {
    case SCOPE_TOPIC:
        return topic_config_check_named(config->name, config->value, reason);
    case SCOPE_SERVER:
        return server_config_check_named(config->name, config->value, reason);
    case SCOPE_OTHER:
        return resource_config_check(w->kind, config->name, config->value, reason);
    }
    return ERR_NONE;
}

/* s: the settings now; afterwards those that were asked for. Freed on an error. */
static enum error_code prepare(const struct image *img, const struct wish *w, struct settings *s,
                               char reason[REASON_SIZE])
{
    enum error_code err = w->ops_count > RESOURCE_SETTINGS_MAX
                              ? refuse(reason, ERR_INVALID_REQUEST, "More than %d configurations",
                                       RESOURCE_SETTINGS_MAX)
                              : check_names(w, reason);
    for (int32_t i = 0; err == ERR_NONE && i < w->ops_count; i++)
        err = operate(img, s, &w->ops[i], w->scope, reason);
    for (int i = 0; err == ERR_NONE && i < s->count; i++)
        err = check_value(w, &s->configs[i], reason);
    if (err != ERR_NONE) {
        configs_free(s->configs, s->count);
        *s = (struct settings){0};
    }
    return err;
}

static struct settings settings_now(const struct image *img, const struct alter_configs *c)
{
    const struct image_topic *topic =
        slice_is_null(c->topic) ? NULL : image_find_topic(img, c->topic);
    if (c->replace_all || (topic == NULL && !slice_is_null(c->topic)))
        return (struct settings){0};
    if (topic != NULL)
        return (struct settings){configs_copy(topic->configs, topic->configs_count),
                                 topic->configs_count};
    return (struct settings){configs_copy(img->broker_configs, img->broker_configs_count),
                             img->broker_configs_count};
}

static enum error_code check(const struct image *img, const struct alter_configs *c,
                             struct settings *s, char reason[REASON_SIZE])
{
    *s = (struct settings){0};
    if (!slice_is_null(c->topic) && image_find_topic(img, c->topic) == NULL)
        return refuse(reason, ERR_UNKNOWN_TOPIC_OR_PARTITION, "No such topic");
    *s = settings_now(img, c);
    struct wish wish = {slice_is_null(c->topic) ? SCOPE_SERVER : SCOPE_TOPIC, 0, c->ops,
                        c->ops_count};
    return prepare(img, &wish, s, reason);
}

enum error_code metadata_check_alter_configs(const struct image *img, const struct alter_configs *c,
                                             char reason[200])
{
    struct settings s;
    enum error_code err = check(img, c, &s, reason);
    configs_free(s.configs, s.count);
    return err;
}

enum error_code apply_alter_configs(struct apply *a, const struct alter_configs *c)
{
    struct settings s;
    enum error_code err = check(a->m->img, c, &s, a->reason);
    if (err != ERR_NONE)
        return err;
    struct image *img = apply_image(a);
    if (!slice_is_null(c->topic)) {
        struct image_topic *topic = image_edit_topic(img, image_find_topic(img, c->topic)->id);
        configs_free(topic->configs, topic->configs_count);
        topic->configs = s.configs;
        topic->configs_count = s.count;
        struct uuid id = topic->id;
        apply_changed(a, (struct change){.kind = CHANGE_TOPIC, .topic_id = id});
        topic_reconsider(a, id);
        return ERR_NONE;
    }
    configs_free(img->broker_configs, img->broker_configs_count);
    img->broker_configs = s.configs;
    img->broker_configs_count = s.count;
    apply_changed(a, (struct change){.kind = CHANGE_CONFIG});
    int32_t count = img->topics_count;
    for (int32_t i = 0; i < count; i++)
        topic_reconsider(a, a->m->img->topics[i]->id);
    return ERR_NONE;
}

static enum error_code check_resource(const struct image *img, const struct alter_resource *c,
                                      struct settings *s, char reason[REASON_SIZE])
{
    *s = (struct settings){0};
    const struct image_resource *r = image_find_resource(img, c->kind, c->name);
    if (c->name.size == 0 || c->name.size > RESOURCE_NAME_MAX)
        return refuse(reason, ERR_INVALID_REQUEST, "A resource's name has 1 to %d bytes",
                      RESOURCE_NAME_MAX);
    if (r == NULL && img->resources != NULL && img->resources->count >= RESOURCES_MAX)
        return refuse(reason, ERR_POLICY_VIOLATION, "More than %d resources have settings",
                      RESOURCES_MAX);
    if (r != NULL && !c->replace_all)
        *s = (struct settings){configs_copy(r->configs, r->configs_count), r->configs_count};
    struct wish wish = {c->kind == RESOURCE_BROKER ? SCOPE_SERVER : SCOPE_OTHER, c->kind, c->ops,
                        c->ops_count};
    return prepare(img, &wish, s, reason);
}

enum error_code metadata_check_alter_resource(const struct image *img,
                                              const struct alter_resource *c, char reason[200])
{
    struct settings s;
    enum error_code err = check_resource(img, c, &s, reason);
    configs_free(s.configs, s.count);
    return err;
}

enum error_code apply_alter_resource(struct apply *a, const struct alter_resource *c)
{
    struct settings s;
    enum error_code err = check_resource(a->m->img, c, &s, a->reason);
    if (err != ERR_NONE)
        return err;
    image_put_resource(apply_image(a), c->kind, c->name, s.configs, s.count);
    apply_changed(a, (struct change){.kind = CHANGE_RESOURCE, .number = c->kind, .key = c->name});
    return ERR_NONE;
}
