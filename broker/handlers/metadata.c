/* Metadata: brokers, topics, leaders, by the newest image this node has; auto creation. */
#include "broker/barrier.h"
#include "broker/node.h"
#include "broker/operations.h"
#include "broker/request.h"
#include "broker/suspects.h"
#include "broker/topic_create.h"
#include "broker/wiring.h"
#include "proto/base/clock.h"
#include "proto/base/map.h"

#define VERSION_ID_FIELD 10
#define VERSION_BY_ID    12
#define HOLD_MS_MAX      400 /* an answer waits so long for the end of a dead leader */
#define HOLD_LOOK_MS     5

static void brokers_fill(struct request *req, struct metadata_response *out)
{
    const struct image *img = req->image;
    out->brokers = metadata_response_broker_array(&req->arena, img->brokers_count);
    CHECK(out->brokers != NULL);
    for (int i = 0; i < img->brokers_count; i++) {
        const struct image_broker *b = img->brokers[i];
        struct metadata_response_broker *o = &out->brokers[out->brokers_count];
        bool listed = !b->fenced || wiring_left_lately(req->node->wiring, b->node_id);
        if (!listed || !request_endpoint(req, b, &o->host, &o->port))
            continue;
        o->node_id = b->node_id;
        o->rack = b->rack;
        out->brokers_count++;
    }
}

static bool alive(const struct image *img, int32_t node_id)
{
    const struct image_broker *b = image_find_broker(img, node_id);
    return b != NULL && !b->fenced;
}

static void partition_fill(struct request *req, const struct image_partition *p, int32_t index,
                           struct metadata_response_topic_partition *o)
{
    o->partition_index = index;
    o->leader_id = p->leader;
    o->leader_epoch = p->leader_epoch;
    o->replica_nodes = p->replicas;
    o->replica_nodes_count = p->replicas_count;
    o->isr_nodes = p->isr;
    o->isr_nodes_count = p->isr_count;
    o->offline_replicas = arena_need(&req->arena, sizeof(int32_t) * (size_t)p->replicas_count);
    for (int i = 0; i < p->replicas_count; i++)
        if (!alive(req->image, p->replicas[i]))
            o->offline_replicas[o->offline_replicas_count++] = p->replicas[i];
    if (p->leader < 0)
        o->error_code = ERR_LEADER_NOT_AVAILABLE;
}

static int32_t topic_operations(const struct request *req)
{
    const struct metadata_request *in = req->in;
    return in->include_topic_authorized_operations ? OPERATIONS_OF_TOPIC : OPERATIONS_NOT_ASKED;
}

/* Topics in which Apache Kafka keeps what is in the metadata log here. */
static bool is_internal(struct slice name)
{
    return slice_equals_text(name, "__consumer_offsets") ||
           slice_equals_text(name, "__transaction_state");
}

static void topic_fill(struct request *req, const struct image_topic *t,
                       struct metadata_response_topic *o)
{
    o->error_code = ERR_NONE;
    o->name = t->name;
    o->topic_id = t->id;
    o->is_internal = is_internal(t->name);
    o->topic_authorized_operations = topic_operations(req);
    o->partitions = metadata_response_topic_partition_array(&req->arena, t->partitions_count);
    CHECK(o->partitions != NULL || t->partitions_count == 0);
    o->partitions_count = t->partitions_count;
    for (int32_t i = 0; i < t->partitions_count; i++)
        partition_fill(req, &t->partitions[i], i, &o->partitions[i]);
}

static void all_topics_fill(struct request *req, struct metadata_response *out)
{
    out->topics = metadata_response_topic_array(&req->arena, req->image->topics_count);
    out->topics_count = req->image->topics_count;
    for (int i = 0; i < out->topics_count; i++)
        topic_fill(req, req->image->topics[i], &out->topics[i]);
}

/* Kafka's client sends an empty name beside an id, not null. */
static bool is_by_id(const struct metadata_request_topic *t)
{
    return slice_is_null(t->name) || !uuid_is_zero(t->topic_id);
}

static void wanted_fill(struct request *req, const struct metadata_request_topic *in,
                        struct metadata_response_topic *o)
{
    bool by_id = is_by_id(in);
    const struct image_topic *t = by_id ? image_find_topic_by_id(req->image, in->topic_id)
                                        : image_find_topic(req->image, in->name);
    if (t != NULL) {
        topic_fill(req, t, o);
        return;
    }
    o->name = by_id ? SLICE_NULL : in->name;
    o->topic_id = in->topic_id;
    o->topic_authorized_operations = OPERATIONS_NOT_ASKED;
    o->error_code = by_id ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!by_id && !topic_name_valid(in->name))
        o->error_code = ERR_INVALID_TOPIC_EXCEPTION;
}

/* Whatever is asked for twice is answered once. */
static void wanted_topics_fill(struct request *req, const struct metadata_request *in,
                               struct metadata_response *out)
{
    struct map seen = {0};
    for (int i = 0; i < in->topics_count; i++) {
        const struct metadata_request_topic *t = &in->topics[i];
        struct slice key = is_by_id(t) ? MAP_KEY(t->topic_id) : t->name;
        if (map_put(&seen, key, out) == NULL)
            wanted_fill(req, t, &out->topics[out->topics_count++]);
    }
    map_deinit(&seen);
}

static bool wants_all(const struct request *req, const struct metadata_request *in)
{
    return in->topics_count < 0 || (req->header.api_version == 0 && in->topics_count == 0);
}

/* A leader or an ISR that is told must be in force here: the image that the roles were taken
 * from. */
static void image_in_force(struct request *req)
{
    struct image *img = wiring_image(req->node->wiring);
    if (img == NULL)
        return;
    image_unref(req->image);
    req->image = img;
}

/* --- Leaders that seem dead --- */

static bool led_by(const struct image_topic *t, const struct suspected *who)
{
    for (int32_t i = 0; t != NULL && i < t->partitions_count; i++)
        for (int k = 0; k < who->count; k++)
            if (t->partitions[i].leader == who->ids[k])
                return true;
    return false;
}

static bool names_suspect(const struct request *req, const struct metadata_request *in)
{
    const struct image *img = req->image;
    struct suspected who;
    suspects_list(req->node->suspects, clock_monotonic_ms(), &who);
    if (img == NULL || who.count == 0)
        return false;
    for (int i = 0; wants_all(req, in) && i < img->topics_count; i++)
        if (led_by(img->topics[i], &who))
            return true;
    for (int i = 0; i < in->topics_count; i++) {
        const struct metadata_request_topic *t = &in->topics[i];
        const struct image_topic *topic =
            is_by_id(t) ? image_find_topic_by_id(img, t->topic_id) : image_find_topic(img, t->name);
        if (led_by(topic, &who))
            return true;
    }
    return false;
}

static void finish(struct request *req)
{
    thread_assert(&NET);
    image_in_force(req);
    const struct metadata_request *in = req->in;
    if (names_suspect(req, in) && clock_monotonic_us() - req->start_us < HOLD_MS_MAX * 1000) {
        request_when_any(req, HOLD_LOOK_MS, finish);
        return;
    }
    struct metadata_response *out = req->out;
    out->controller_id = -1;
    out->cluster_authorized_operations =
        in->include_cluster_authorized_operations ? OPERATIONS_OF_CLUSTER : OPERATIONS_NOT_ASKED;
    if (req->image != NULL) {
        struct quorum_status status;
        quorum_status(req->node->quorum, &status);
        out->cluster_id = req->image->cluster_id;
        out->controller_id = alive(req->image, status.leader_id) ? status.leader_id : req->node->id;
        brokers_fill(req, out);
    }
    if (req->image != NULL && wants_all(req, in)) {
        all_topics_fill(req, out);
    } else if (req->image != NULL && in->topics_count > 0) {
        out->topics = metadata_response_topic_array(&req->arena, in->topics_count);
        wanted_topics_fill(req, in, out);
    }
    request_reply(req);
}

/* --- Auto creation: once per request, then answer from the newer image. --- */

struct creating {
    int open;
};

static void created(struct request *req, void *arg, enum error_code err, struct slice value)
{
    (void)err, (void)value; /* what became of it shows in the image */
    thread_assert(&NET);
    struct creating *c = arg;
    if (--c->open == 0)
        request_when_everywhere(req, finish);
}

static bool create_missing(struct request *req, const struct metadata_request *in)
{
    struct creating *c = arena_need(&req->arena, sizeof(*c));
    c->open = 1;
    for (int i = 0; i < in->topics_count; i++) {
        struct slice name = in->topics[i].name;
        /* A tool that reads offsets from Kafka's own topic hears that there is none, instead of
         * waiting at an empty one. */
        if (is_by_id(&in->topics[i]) || !topic_name_valid(name) || is_internal(name) ||
            image_find_topic(req->image, name))
            continue;
        c->open++;
        topic_create_default(req, name, created, c);
    }
    return --c->open > 0;
}

/* Versions 10 and 11 have a field for the id, and do not take one. */
static bool ids_refused(const struct request *req, const struct metadata_request *in)
{
    if (req->header.api_version < VERSION_ID_FIELD || req->header.api_version >= VERSION_BY_ID)
        return false;
    FOR_EACH (t, in->topics, in->topics_count)
        if (slice_is_null(t->name) || !uuid_is_zero(t->topic_id))
            return true;
    return false;
}

static void refuse_all(struct request *req, const struct metadata_request *in,
                       struct metadata_response *out)
{
    thread_assert(&NET);
    out->topics = metadata_response_topic_array(&req->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int i = 0; i < in->topics_count; i++) {
        out->topics[i].error_code = ERR_INVALID_REQUEST;
        out->topics[i].name = slice_is_null(in->topics[i].name) ? SLICE("") : in->topics[i].name;
        out->topics[i].topic_id = in->topics[i].topic_id;
        out->topics[i].topic_authorized_operations = OPERATIONS_NOT_ASKED;
    }
    request_reply(req);
}

HANDLER(metadata)
{
    thread_assert(&NET);
    if (ids_refused(req, in)) {
        refuse_all(req, in, out);
        return;
    }
    bool create = config_number(&req->node->config, CONFIG_AUTO_CREATE) &&
                  (in->allow_auto_topic_creation || req->header.api_version < 4) &&
                  req->image != NULL && in->topics_count > 0;
    if (create && create_missing(req, in))
        return;
    finish(req);
}
