/* Topic names are folder names and metric names, hence the rules. */
#include "coord/topic_name.h"

#include <stdio.h>

#include "proto/base/vec.h"

#define TOPIC_NAME_SIZE_MAX 249

static bool character_allowed(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

enum error_code topic_name_check(struct slice name, char reason[200])
{
    if (name.size == 0) {
        snprintf(reason, 200, "Topic name is invalid: it is empty");
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    if (slice_equals_text(name, ".") || slice_equals_text(name, "..")) {
        snprintf(reason, 200, "Topic name is invalid: it cannot be \".\" or \"..\"");
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    if (name.size > TOPIC_NAME_SIZE_MAX) {
        snprintf(reason, 200, "Topic name is invalid: it is longer than %d characters",
                 TOPIC_NAME_SIZE_MAX);
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    FOR_EACH (c, name.data, name.size) {
        if (!character_allowed(*c)) {
            snprintf(reason, 200,
                     "Topic name is invalid: it may have letters, digits, '.', '_' "
                     "and '-' only");
            return ERR_INVALID_TOPIC_EXCEPTION;
        }
    }
    if (slice_equals_text(name, "__cluster_metadata")) {
        snprintf(reason, 200, "Creation of internal topic __cluster_metadata is prohibited");
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

static uint8_t folded(uint8_t c)
{
    return c == '.' ? '_' : c;
}

static bool collide(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (folded(a.data[i]) != folded(b.data[i]))
            return false;
    }
    return true;
}

const struct image_topic *topic_name_find_colliding(const struct image *img, struct slice name)
{
    if (name.size == 0 ||
        (memchr(name.data, '.', name.size) == NULL && memchr(name.data, '_', name.size) == NULL))
        return NULL;
    FOR_EACH (topic, img->topics, img->topics_count) {
        if (collide((*topic)->name, name) && !slice_equal((*topic)->name, name))
            return *topic;
    }
    return NULL;
}
