/* The table of features. */
#include "broker/features.h"

#include <stdlib.h>

#include "coord/image_resources.h"

/* metadata.version: clients and tools look at it, our own metadata has no versions of Kafka's.
 * A feature appears here once what it stands for works. */
const struct feature features[] = {
    {"eligible.leader.replicas.version", 1, 1, 1}, /* always on */
    {"group.version", 0, 1, 1},
    {"metadata.version", 7, 33, 33}, /* 3.3-IV3 to 4.4-IV2 */
    {"transaction.version", 0, 2, 2},
};
const int features_count = (int)ARRAY_COUNT(features);

const struct feature *feature_find(struct slice name)
{
    for (int i = 0; i < features_count; i++)
        if (slice_equals_text(name, features[i].name))
            return &features[i];
    return NULL;
}

int16_t feature_level(const struct image *img, const struct feature *f)
{
    struct slice set = SLICE_NULL;
    char text[8] = "";
    if (img != NULL)
        set = image_resource_config(img, RESOURCE_FEATURE, FEATURES_RESOURCE,
                                    slice_from_text(f->name));
    if (slice_is_null(set))
        return f->initial;
    memcpy(text, set.data, MIN(set.size, sizeof(text) - 1));
    return (int16_t)strtol(text, NULL, 10);
}
