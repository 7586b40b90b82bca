/*
 * What is stored of groups and what their clients put into them: the durable states of both
 * protocols, the consumers' own metadata and assignments, and expressions for topics. The first
 * byte chooses. What can be read of a state is written, and read again, the same.
 */
#include <stdlib.h>

#include "coord/group_consumer.h"
#include "coord/group_embedded.h"
#include "coord/metadata.h"
#include "coord/topic_regex.h"
#include "proto/base/check.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

enum kind { KIND_CLASSIC, KIND_CONSUMER, KIND_SUBSCRIPTION, KIND_ASSIGNMENT, KIND_REGEX, KINDS };

static void read_classic(struct slice in)
{
    struct group_config config = {.session_max_ms = 1000, .size_max = 10};
    struct group_classic g, again;
    struct buffer out = {0}, twice = {0};
    int64_t time_ms;
    group_classic_init(&g, &config);
    group_classic_init(&again, &config);
    if (group_classic_decode(&g, in, 0, &time_ms) == 0) {
        group_classic_encode(&g, time_ms, &out);
        CHECK(group_classic_decode(&again, buffer_slice(&out), 0, &time_ms) == 0);
        group_classic_encode(&again, time_ms, &twice);
        CHECK(slice_equal(buffer_slice(&out), buffer_slice(&twice)));
    }
    group_classic_deinit(&g);
    group_classic_deinit(&again);
    buffer_deinit(&out);
    buffer_deinit(&twice);
}

static void read_consumer(struct slice in)
{
    struct consumer_config config = {.assignor = SLICE("uniform")};
    struct group_consumer g, again;
    struct buffer out = {0}, twice = {0};
    int64_t time_ms;
    group_consumer_init(&g, &config);
    group_consumer_init(&again, &config);
    if (group_consumer_decode(&g, in, 0, &time_ms) == 0) {
        group_consumer_encode(&g, time_ms, &out);
        CHECK(group_consumer_decode(&again, buffer_slice(&out), 0, &time_ms) == 0);
        group_consumer_encode(&again, time_ms, &twice);
        CHECK(slice_equal(buffer_slice(&out), buffer_slice(&twice)));
    }
    group_consumer_deinit(&g);
    group_consumer_deinit(&again);
    buffer_deinit(&out);
    buffer_deinit(&twice);
}

static void read_embedded(struct slice in, bool subscription)
{
    struct metadata *metadata = metadata_new();
    struct image *img = metadata_image(metadata);
    struct arena arena;
    struct embedded_subscription sub = {0};
    struct partition_set set = {0};
    bool custom;
    arena_init(&arena, 1u << 20);
    if (subscription) {
        if (embedded_subscription_decode(in, img, &arena, &sub) == 0)
            CHECK(sub.topics_count >= 0);
        partition_set_deinit(&sub.owned);
    } else if (embedded_assignment_decode(in, img, &set, &custom) == 0) {
        CHECK(set.count == 0); /* there are no topics */
    }
    partition_set_deinit(&set);
    arena_deinit(&arena);
    image_unref(img);
    metadata_free(metadata);
}

static void read_regex(struct slice in)
{
    char reason[160];
    struct topic_regex *re;
    if (topic_regex_new(in, &re, reason) < 0)
        return;
    (void)topic_regex_matches(re, SLICE("orders.v2"));
    (void)topic_regex_matches(re,
                              SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    topic_regex_free(re);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    switch (data[0] % KINDS) {
    case KIND_CLASSIC:
        read_classic(in);
        break;
    case KIND_CONSUMER:
        read_consumer(in);
        break;
    case KIND_SUBSCRIPTION:
    case KIND_ASSIGNMENT:
        read_embedded(in, data[0] % KINDS == KIND_SUBSCRIPTION);
        break;
    default:
        read_regex(in);
    }
    return 0;
}

/* --- Inputs --- */

static void make_consumer(struct buffer *out)
{
    struct consumer_config config = {.assignor = SLICE("uniform"), .size_max = 10};
    struct metadata *metadata = metadata_new();
    struct image *img = metadata_image(metadata);
    struct consumer_event event = {.img = img, .now_ms = 1};
    struct group_consumer g;
    struct group_effects fx;
    struct slice topics[] = {SLICE("a"), SLICE("b")};
    struct consumer_heartbeat beat = {.member_id = SLICE("member"),
                                      .instance_id = SLICE("i"),
                                      .rack = SLICE("r"),
                                      .client_id = SLICE("c"),
                                      .client_host = SLICE("/h"),
                                      .rebalance_timeout_ms = 1000,
                                      .topics = topics,
                                      .topics_count = 2,
                                      .regex = SLICE("x.*"),
                                      .assignor = SLICE("range"),
                                      .has_owned = true};
    group_consumer_init(&g, &config);
    group_effects_init(&fx);
    group_consumer_heartbeat(&g, &beat, &event, &fx);
    group_effects_deinit(&fx);
    group_consumer_encode(&g, 1, out);
    group_consumer_deinit(&g);
    image_unref(img);
    metadata_free(metadata);
}

static void make_classic(struct buffer *out)
{
    struct group_config config = {.session_max_ms = 10000, .size_max = 10};
    struct group_protocol protocol = {SLICE("range"), SLICE("metadata")};
    struct group_join join = {.token = &config,
                              .member_id = SLICE(""),
                              .client_id = SLICE("c"),
                              .client_host = SLICE("/h"),
                              .session_timeout_ms = 1000,
                              .rebalance_timeout_ms = 1000,
                              .protocol_type = SLICE("consumer"),
                              .protocols = &protocol,
                              .protocols_count = 1};
    struct group_classic g;
    struct group_effects fx;
    group_classic_init(&g, &config);
    group_effects_init(&fx);
    group_classic_join(&g, &join, 1, &fx);
    group_effects_deinit(&fx);
    group_classic_encode(&g, 1, out);
    group_classic_deinit(&g);
}

static void make_embedded(struct buffer *out, bool subscription)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_i16(&w, 3);
    if (subscription) {
        wire_put_i32(&w, 1);
        wire_put_string(&w, false, false, SLICE("topic"));
        wire_put_bytes(&w, false, true, SLICE("data"));
    }
    wire_put_i32(&w, 1);
    wire_put_string(&w, false, false, SLICE("topic"));
    wire_put_i32(&w, 2);
    wire_put_i32(&w, 0);
    wire_put_i32(&w, 7);
    if (subscription) {
        wire_put_i32(&w, 5);
        wire_put_string(&w, false, true, SLICE("rack"));
    } else {
        wire_put_bytes(&w, false, true, SLICE_NULL);
    }
    wire_writer_deinit(&w);
}

void fuzz_generate(struct rng *rng, struct buffer *out)
{
    static const char *const PATTERNS[] = {"(?i)a{2,5}|[[:alpha:]x-z]+\\.v\\d",
                                           "\\Qa.b\\E(?P<n>.*)+?", "(a|b|)*\\pL[^]a]$"};
    uint8_t kind = (uint8_t)rng_below(rng, KINDS);
    buffer_append(out, &kind, 1);
    if (kind == KIND_CLASSIC)
        make_classic(out);
    else if (kind == KIND_CONSUMER)
        make_consumer(out);
    else if (kind == KIND_REGEX)
        buffer_append_slice(out, slice_from_text(PATTERNS[rng_below(rng, 3)]));
    else
        make_embedded(out, kind == KIND_SUBSCRIPTION);
}
