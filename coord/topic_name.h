/* What a topic may be called. */
#pragma once

#include "coord/image.h"
#include "proto/base/check.h"

/* Letters, digits, '.', '_', '-'; 1 to 249 of them; not "." or "..".
 * ERR_INVALID_TOPIC_EXCEPTION with a sentence in reason; ERR_INVALID_REQUEST for
 * __cluster_metadata. */
enum error_code topic_name_check(struct slice name, char reason[200]) MUST_CHECK;

/* The topic whose name differs only in '.' against '_' (their metrics would be one), or NULL. */
const struct image_topic *topic_name_find_colliding(const struct image *img, struct slice name);
