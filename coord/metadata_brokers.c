/* Brokers: registration, fencing, shutdown; the cluster's identity; blocks of producer ids. */
#include "coord/balance.h"
#include "coord/metadata_internal.h"
#include "proto/base/mutant.h"

#define ENDPOINTS_MAX 16

enum error_code apply_form_cluster(struct apply *a, const struct form_cluster *c)
{
    if (!slice_is_null(a->m->img->cluster_id)) {
        a->value = arena_copy(a->arena, a->m->img->cluster_id);
        return ERR_INVALID_REQUEST;
    }
    struct image *img = apply_image(a);
    img->cluster_id = slice_dup(c->cluster_id);
    apply_changed(a, (struct change){.kind = CHANGE_CLUSTER});
    FOR_EACH (config, c->configs, c->configs_count)
        configs_put(&img->broker_configs, &img->broker_configs_count, config->name, config->value);
    if (c->configs_count > 0)
        apply_changed(a, (struct change){.kind = CHANGE_CONFIG});
    return ERR_NONE;
}

static void broker_changed(struct apply *a, int32_t node_id)
{
    apply_changed(a, (struct change){.kind = CHANGE_BROKER, .node_id = node_id});
}

static enum error_code check_registration(struct apply *a, const struct register_broker *c,
                                          const struct image_broker *old)
{
    if (c->node_id < 0 || uuid_is_zero(c->incarnation) || c->endpoints_count <= 0 ||
        c->endpoints_count > ENDPOINTS_MAX)
        return refuse(a->reason, ERR_INVALID_REQUEST,
                      "A broker registers with its id and 1 to %d "
                      "listeners",
                      ENDPOINTS_MAX);
    FOR_EACH (endpoint, c->endpoints, c->endpoints_count) {
        if (endpoint->host.size == 0 || endpoint->port < 1 || endpoint->port > 65535)
            return refuse(a->reason, ERR_INVALID_REQUEST, "A listener has no host or port");
    }
    if (old == NULL && drain_is_wanted(a->m->img, c->node_id))
        return refuse(a->reason, ERR_BROKER_ID_NOT_REGISTERED,
                      "Broker %d was drained: it does not come back before that is canceled",
                      c->node_id);
    if (old != NULL && !old->fenced)
        return refuse(a->reason, ERR_DUPLICATE_BROKER_REGISTRATION,
                      "Another process with node id %d is alive", c->node_id);
    return ERR_NONE;
}

enum error_code apply_register_broker(struct apply *a, const struct register_broker *c)
{
    const struct image_broker *old = image_find_broker(a->m->img, c->node_id);
    if (old != NULL && uuid_equal(old->incarnation, c->incarnation)) {
        apply_answer_int64(a, old->epoch);
        return ERR_NONE;
    }
    enum error_code err = check_registration(a, c, old);
    if (err != ERR_NONE)
        return err;
    /* Unknown, yet perhaps named in partitions: it was unregistered, and comes with who knows which
     * disk. */
    bool unclean = old == NULL || c->clean_epoch != old->epoch;
    struct image_broker values = {.node_id = c->node_id,
                                  .incarnation = c->incarnation,
                                  .epoch = old != NULL ? MAX(a->index, old->epoch + 1) : a->index,
                                  .fenced = true,
                                  .rack = c->rack,
                                  .endpoints = c->endpoints,
                                  .endpoints_count = c->endpoints_count};
    image_put_broker(apply_image(a), image_broker_copy(&values));
    broker_changed(a, c->node_id);
    if (unclean)
        partitions_reconsider(a, c->node_id);
    apply_answer_int64(a, values.epoch);
    return ERR_NONE;
}

static enum error_code check_change(struct apply *a, const struct broker_change *c)
{
    const struct image_broker *b = image_find_broker(a->m->img, c->node_id);
    if (b == NULL)
        return refuse(a->reason, ERR_BROKER_ID_NOT_REGISTERED, "Broker %d is not registered",
                      c->node_id);
    if (c->broker_epoch != -1 && c->broker_epoch != b->epoch)
        return refuse(a->reason, ERR_STALE_BROKER_EPOCH, "Broker %d has epoch %lld", c->node_id,
                      (long long)b->epoch);
    return ERR_NONE;
}

static enum error_code set_state(struct apply *a, const struct broker_change *c, bool fenced,
                                 bool shutting_down)
{
    enum error_code err = check_change(a, c);
    if (err != ERR_NONE)
        return err;
    const struct image_broker *b = image_find_broker(a->m->img, c->node_id);
    if (b->fenced == fenced && b->shutting_down == shutting_down)
        return ERR_NONE;
    struct image_broker *edited = image_edit_broker(apply_image(a), c->node_id);
    edited->fenced = fenced;
    edited->shutting_down = shutting_down;
    broker_changed(a, c->node_id);
    partitions_reconsider(a, -1);
    slots_assign(a);
    return ERR_NONE;
}

/* A fenced broker keeps `shutting_down`, so that it is not unfenced again by a late message. */
enum error_code apply_fence_broker(struct apply *a, const struct broker_change *c)
{
    const struct image_broker *b = image_find_broker(a->m->img, c->node_id);
    return set_state(a, c, true, b != NULL && b->shutting_down);
}

enum error_code apply_unfence_broker(struct apply *a, const struct broker_change *c)
{
    const struct image_broker *b = image_find_broker(a->m->img, c->node_id);
    if (b != NULL && b->shutting_down)
        return refuse(a->reason, ERR_INVALID_REQUEST, "Broker %d is shutting down", c->node_id);
    return set_state(a, c, false, false);
}

enum error_code apply_shutdown_broker(struct apply *a, const struct broker_change *c)
{
    const struct image_broker *b = image_find_broker(a->m->img, c->node_id);
    return set_state(a, c, b != NULL && b->fenced, true);
}

enum error_code apply_unregister_broker(struct apply *a, const struct broker_change *c)
{
    enum error_code err = check_change(a, c);
    if (err != ERR_NONE)
        return err;
    image_remove_broker(apply_image(a), c->node_id);
    broker_changed(a, c->node_id);
    partitions_reconsider(a, -1);
    slots_assign(a);
    return ERR_NONE;
}

enum error_code apply_allocate_producer_ids(struct apply *a, const struct allocate_producer_ids *c)
{
    (void)c;
    int64_t first = a->m->next_producer_id;
    if (first > INT64_MAX - PRODUCER_ID_BLOCK)
        return ERR_UNKNOWN_SERVER_ERROR;
    if (!MUTANT(MUTANT_PRODUCER_IDS_REPEAT))
        a->m->next_producer_id = first + PRODUCER_ID_BLOCK;
    apply_changed(a,
                  (struct change){.kind = CHANGE_PRODUCER_IDS, .number = a->m->next_producer_id});
    apply_answer_int64(a, first);
    return ERR_NONE;
}
