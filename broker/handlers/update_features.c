/* UpdateFeatures (KIP-584, 778): all of the updates, or none. */
#include <stdio.h>

#include "broker/features.h"
#include "broker/node.h"
#include "broker/request.h"
#include "broker/submissions.h"
#include "coord/command.h"
#include "coord/image_resources.h"

enum upgrade_type { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

static int8_t type_of(const struct request *req,
                      const struct update_features_request_feature_update *u)
{
    if (req->header.api_version > 0)
        return u->upgrade_type;
    return u->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;
}

static enum error_code refuse(char reason[200],
                              const struct update_features_request_feature_update *u,
                              const char *why)
{
    snprintf(reason, 200, "Invalid update version %d for feature %.*s. %s", u->max_version_level,
             (int)MIN(u->feature.size, 80), (const char *)u->feature.data, why);
    return ERR_INVALID_UPDATE_VERSION;
}

static enum error_code check(struct request *req, int index, char reason[200])
{
    const struct update_features_request *in = req->in;
    const struct update_features_request_feature_update *u = &in->feature_updates[index];
    const struct feature *f = feature_find(u->feature);
    int8_t type = type_of(req, u);
    for (int i = 0; i < index; i++)
        if (slice_equal(in->feature_updates[i].feature, u->feature)) {
            snprintf(reason, 200, "A feature is named twice");
            return ERR_INVALID_REQUEST;
        }
    if (f == NULL)
        return refuse(reason, u, "This cluster does not support the feature.");
    if (u->max_version_level < f->min || u->max_version_level > f->max) {
        char range[64];
        snprintf(range, sizeof(range), "This cluster only supports versions %d-%d", f->min, f->max);
        return refuse(reason, u, range);
    }
    int16_t now = feature_level(req->image, f);
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
        return refuse(reason, u, "The upgrade type is not known.");
    if (u->max_version_level < now && type == UPGRADE)
        return refuse(reason, u, "A downgrade needs the upgrade type of a downgrade.");
    if (u->max_version_level > now && type != UPGRADE)
        return refuse(reason, u, "A downgrade does not go to a newer version.");
    return ERR_NONE;
}

/* What every feature was answered, in versions that have it; later ones only know the whole. */
static void results_fill(struct request *req)
{
    const struct update_features_request *in = req->in;
    struct update_features_response *out = req->out;
    if (req->header.api_version > 1)
        return;
    bool whole_failed = out->error_code != ERR_NONE;
    out->results = update_features_response_result_array(&req->arena, in->feature_updates_count);
    out->results_count = whole_failed ? 0 : in->feature_updates_count;
    for (int i = 0; i < out->results_count; i++)
        out->results[i].feature = in->feature_updates[i].feature;
}

static void finish(struct request *req)
{
    thread_assert(&NET);
    results_fill(req);
    request_reply(req);
}

static void submit(struct request *req, const struct update_features_request *in,
                   struct update_features_response *out)
{
    thread_assert(&NET);
    int32_t count = in->feature_updates_count;
    struct alter_resource c = {.kind = RESOURCE_FEATURE,
                               .name = FEATURES_RESOURCE,
                               .ops = arena_need(&req->arena, sizeof(*c.ops) * (size_t)count),
                               .ops_count = count};
    for (int i = 0; i < count; i++)
        c.ops[i] = (struct command_config_op){
            in->feature_updates[i].feature, CONFIG_SET,
            arena_printf(&req->arena, "%d", in->feature_updates[i].max_version_level)};
    struct submissions *all = submissions_new(req, in->timeout_ms, finish);
    struct buffer command = {0};
    command_encode_alter_resource(&command, &c);
    submissions_add(req, all, &command, &out->error_code, &out->error_message);
    submissions_end(req, all);
}

HANDLER(update_features)
{
    thread_assert(&NET);
    char reason[200] = "";
    enum error_code err = req->image == NULL ? ERR_NOT_CONTROLLER : ERR_NONE;
    for (int i = 0; err == ERR_NONE && i < in->feature_updates_count; i++)
        err = check(req, i, reason);
    if (err == ERR_NONE && !in->validate_only && in->feature_updates_count > 0) {
        submit(req, in, out);
        return;
    }
    out->error_code = (int16_t)err;
    if (err != ERR_NONE)
        out->error_message = arena_printf(
            &req->arena,
            "The update failed for all features since the following feature had an error: %s",
            reason);
    finish(req);
}
