/* ListGroups: the groups that this node coordinates, by state and type where asked. */
#include <strings.h>

#include "broker/groups.h"

static bool wanted(const struct slice *filter, int32_t count, const char *word)
{
    if (count <= 0)
        return true;
    FOR_EACH (f, filter, count) {
        if (f->size == strlen(word) && strncasecmp((const char *)f->data, word, f->size) == 0)
            return true;
    }
    return false;
}

HANDLER(list_groups)
{
    thread_assert(&NET);
    struct group_view *views;
    int count;
    out->error_code = (int16_t)groups_list(req->node, &req->arena, &views, &count);
    out->groups = list_groups_response_group_array(&req->arena, count);
    for (int i = 0; i < count; i++) {
        const char *type = views[i].is_consumer ? "consumer" : "classic";
        if (!wanted(in->states_filter, in->states_filter_count, views[i].state) ||
            !wanted(in->types_filter, in->types_filter_count, type))
            continue;
        struct list_groups_response_group *o = &out->groups[out->groups_count++];
        o->group_id = views[i].id;
        o->protocol_type = views[i].protocol_type;
        o->group_state = slice_from_text(views[i].state);
        o->group_type = slice_from_text(type);
    }
    request_reply(req);
}
