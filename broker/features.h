/*
 * Feature levels (KIP-584): what this software has, and what the cluster was told to use.
 */
#pragma once

#include "coord/image.h"
#include "proto/base/check.h"

#define FEATURES_RESOURCE SLICE("cluster") /* where levels that were set are kept */

struct feature {
    const char *name;
    int16_t min;
    int16_t max;
    int16_t initial; /* the level of a new cluster */
};

extern const struct feature features[];
extern const int features_count;

/* NULL: this software does not have it. */
const struct feature *feature_find(struct slice name);
/* The level in force; 0: switched off. img may be NULL. */
int16_t feature_level(const struct image *img, const struct feature *f);
