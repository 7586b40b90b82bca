/*
 * Subscriptions by regular expression: each expression that a member has is matched when it comes,
 * and when topics came or went.
 */
#include <stdio.h>
#include <stdlib.h>

#include "coord/group_consumer_internal.h"
#include "coord/topic_regex.h"

struct consumer_regex {
    struct list link;
    struct slice pattern;
    struct topic_regex *compiled; /* NULL: it could not be; it matches nothing */
    struct consumer_names topics;
    bool used;
};

#define REGEXES(re, g) LIST_FOR_EACH (re, &(g)->regexes, struct consumer_regex, link)

static struct consumer_regex *regex_find(const struct group_consumer *g, struct slice pattern)
{
    REGEXES(re, g)
    {
        if (slice_equal(re->pattern, pattern))
            return re;
    }
    return NULL;
}

static void regex_free(struct consumer_regex *re)
{
    list_remove(&re->link);
    group_slice_free(&re->pattern);
    topic_regex_free(re->compiled);
    consumer_names_free(&re->topics);
    free(re);
}

void consumer_regexes_free(struct group_consumer *g)
{
    REGEXES(re, g)
    regex_free(re);
}

const struct consumer_names *consumer_regex_topics(const struct group_consumer *g,
                                                   const struct consumer_member *m)
{
    static const struct consumer_names NONE = {0};
    const struct consumer_regex *re = m->regex.size > 0 ? regex_find(g, m->regex) : NULL;
    return re != NULL ? &re->topics : &NONE;
}

bool consumer_regex_is_resolved(const struct group_consumer *g, const struct consumer_member *m)
{
    return m->regex.size == 0 || regex_find(g, m->regex) != NULL;
}

enum error_code consumer_regex_check(const struct group_consumer *g, struct slice pattern,
                                     char text[240])
{
    char reason[160] = "";
    struct topic_regex *re;
    if (pattern.size == 0 || regex_find(g, pattern) != NULL)
        return ERR_NONE;
    if (topic_regex_new(pattern, &re, reason) < 0) {
        snprintf(text, 240, "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
                 (int)MIN(pattern.size, 40), (const char *)pattern.data, reason);
        return ERR_INVALID_REGULAR_EXPRESSION;
    }
    topic_regex_free(re);
    return ERR_NONE;
}

static void resolve(struct consumer_regex *re, const struct image *img)
{
    VEC(struct slice) found = {0};
    for (int32_t i = 0; re->compiled != NULL && i < img->topics_count; i++)
        if (topic_regex_matches(re->compiled, img->topics[i]->name))
            vec_push(&found, img->topics[i]->name);
    consumer_names_set(&re->topics, found.items, (int32_t)found.count);
    vec_deinit(&found);
}

static struct consumer_regex *regex_add(struct group_consumer *g, struct slice pattern)
{
    char reason[160];
    struct consumer_regex *re = mem_zalloc(sizeof(*re));
    re->pattern = group_slice_copy(pattern);
    if (topic_regex_new(pattern, &re->compiled, reason) < 0)
        re->compiled = NULL;
    list_push_back(&g->regexes, &re->link);
    return re;
}

static uint64_t topics_key(const struct image *img)
{
    uint64_t hash = 14695981039346656037u;
    for (int32_t i = 0; i < img->topics_count; i++)
        hash = consumer_hash(hash, img->topics_by_id[i]->id.bytes, sizeof(struct uuid));
    return hash;
}

void consumer_regexes_follow(struct group_consumer *g, const struct image *img)
{
    bool any = !list_is_empty(&g->regexes);
    CONSUMER_MEMBERS(m, g)
    any = any || m->regex.size > 0;
    if (!any)
        return;
    uint64_t key = topics_key(img);
    REGEXES(re, g)
    re->used = false;
    CONSUMER_MEMBERS(m, g)
    {
        if (m->regex.size == 0)
            continue;
        struct consumer_regex *re = regex_find(g, m->regex);
        bool fresh = re == NULL;
        if (fresh)
            re = regex_add(g, m->regex);
        if (!re->used && (fresh || key != g->regexes_key))
            resolve(re, img);
        re->used = true;
    }
    g->regexes_key = key;
    REGEXES(re, g)
    {
        if (!re->used)
            regex_free(re);
    }
}
