/* Topics: creation, more partitions, deletion. */
#include "coord/metadata_internal.h"
#include "coord/placement.h"
#include "coord/topic_config.h"
#include "coord/topic_name.h"

#define PARTITIONS_MAX 10000 /* of one request, as in Kafka */

/* A cluster-wide default, else what Kafka begins with. */
static int64_t cluster_default(const struct image *img, const char *name)
{
    struct slice value =
        configs_find(img->broker_configs, img->broker_configs_count, slice_from_text(name));
    int64_t number = 0;
    FOR_EACH (c, value.data, MIN(value.size, (size_t)9)) {
        if (*c < '0' || *c > '9')
            return 1;
        number = number * 10 + *c - '0';
    }
    return number > 0 ? number : 1;
}

static int32_t wanted_partitions(const struct image *img, const struct create_topic *c)
{
    if (c->assignments_count > 0)
        return c->assignments_count;
    return c->partitions == -1 ? (int32_t)cluster_default(img, "num.partitions") : c->partitions;
}

static int wanted_replicas(const struct image *img, const struct create_topic *c)
{
    if (c->replication_factor == -1)
        return (int)MIN(cluster_default(img, "default.replication.factor"), INT16_MAX);
    return c->replication_factor;
}

static enum error_code check_replicas(const struct image *img, const struct command_assignment *as,
                                      int32_t expected, char reason[REASON_SIZE])
{
    if (as->broker_ids_count != expected || expected < 1 || expected > IMAGE_REPLICAS_MAX)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "Partition %d has %d replicas where others have %d, or not 1 to %d",
                      as->partition_index, as->broker_ids_count, expected, IMAGE_REPLICAS_MAX);
    bool active = false;
    for (int32_t i = 0; i < as->broker_ids_count; i++) {
        int32_t id = as->broker_ids[i];
        if (image_find_broker(img, id) == NULL)
            return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "The assignment names broker %d, which is not registered", id);
        if (ids_contain(as->broker_ids, i, id))
            return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "The assignment names broker %d twice", id);
        active = active || image_broker_active(img, id);
    }
    if (!active)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "All brokers of partition %d are fenced or shutting down",
                      as->partition_index);
    return ERR_NONE;
}

static const struct command_assignment *assignment_of(const struct create_topic *c, int32_t index)
{
    FOR_EACH (assignment, c->assignments, c->assignments_count) {
        if (assignment->partition_index == index)
            return assignment;
    }
    return NULL;
}

static enum error_code check_manual(const struct image *img, const struct create_topic *c,
                                    char reason[REASON_SIZE])
{
    if (c->replication_factor != -1)
        return refuse(reason, ERR_INVALID_REQUEST,
                      "A manual assignment comes with replication factor -1");
    if (c->partitions != -1)
        return refuse(reason, ERR_INVALID_REQUEST,
                      "A manual assignment comes with -1 as number of partitions");
    if (c->assignments_count > PARTITIONS_MAX)
        return refuse(reason, ERR_POLICY_VIOLATION, "More than %d partitions in one request",
                      PARTITIONS_MAX);
    int32_t expected = c->assignments[0].broker_ids_count;
    for (int32_t i = 0; i < c->assignments_count; i++) {
        const struct command_assignment *assignment = assignment_of(c, i);
        if (assignment == NULL)
            return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "Partitions have to be numbered from 0 without gaps, %d is missing", i);
        enum error_code err = check_replicas(img, assignment, expected, reason);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

static enum error_code check_factor(const struct image *img, int factor, char reason[REASON_SIZE])
{
    if (factor < 1 || factor > IMAGE_REPLICAS_MAX)
        return refuse(reason, ERR_INVALID_REPLICATION_FACTOR,
                      "Replication factor must be 1 to %d, or -1 for the default",
                      IMAGE_REPLICAS_MAX);
    if (factor > img->brokers_count)
        return refuse(reason, ERR_INVALID_REPLICATION_FACTOR,
                      "The target replication factor of %d cannot be reached because only %d "
                      "broker(s) are registered.",
                      factor, img->brokers_count);
    FOR_EACH (b, img->brokers, img->brokers_count) {
        if (image_broker_active(img, (*b)->node_id))
            return ERR_NONE;
    }
    return refuse(reason, ERR_INVALID_REPLICATION_FACTOR, "All brokers are fenced now");
}

static enum error_code check_automatic(const struct image *img, const struct create_topic *c,
                                       char reason[REASON_SIZE])
{
    int32_t partitions = wanted_partitions(img, c);
    if (partitions < 1)
        return refuse(reason, ERR_INVALID_PARTITIONS,
                      "Number of partitions must be larger than 0, or -1 for the default");
    if (partitions > PARTITIONS_MAX)
        return refuse(reason, ERR_POLICY_VIOLATION, "More than %d partitions in one request",
                      PARTITIONS_MAX);
    return check_factor(img, wanted_replicas(img, c), reason);
}

enum error_code metadata_check_create_topic(const struct image *img, const struct create_topic *c,
                                            char reason[200])
{
    enum error_code err = topic_name_check(c->name, reason);
    if (err != ERR_NONE)
        return err;
    if (image_find_topic(img, c->name) != NULL)
        return refuse(reason, ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
                      (int)MIN(c->name.size, 150), (const char *)c->name.data);
    const struct image_topic *other = topic_name_find_colliding(img, c->name);
    if (other != NULL)
        return refuse(reason, ERR_INVALID_TOPIC_EXCEPTION,
                      "Topic name collides with existing topic: %.*s",
                      (int)MIN(other->name.size, 150), (const char *)other->name.data);
    err = c->assignments_count > 0 ? check_manual(img, c, reason) : check_automatic(img, c, reason);
    if (err != ERR_NONE)
        return err;
    FOR_EACH (config, c->configs, c->configs_count) {
        err = topic_config_check_named(config->name, config->value, reason);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

/* A new partition: in sync is who is active; the first of them in order leads. */
static void partition_start(const struct image *img, struct image_partition *p,
                            const int32_t *replicas, int count)
{
    image_partition_init(p, replicas, count);
    for (int i = 0; i < count; i++) {
        if (image_broker_active(img, replicas[i]))
            p->isr[p->isr_count++] = replicas[i];
    }
    CHECK(p->isr_count > 0);
    p->leader = p->isr[0];
}

static void topic_changed(struct apply *a, struct uuid id)
{
    apply_changed(a, (struct change){.kind = CHANGE_TOPIC, .topic_id = id});
}

enum error_code apply_create_topic(struct apply *a, const struct create_topic *c)
{
    enum error_code err = metadata_check_create_topic(a->m->img, c, a->reason);
    if (err != ERR_NONE)
        return err;
    if (uuid_is_zero(c->topic_id) || image_find_topic_by_id(a->m->img, c->topic_id) != NULL)
        return refuse(a->reason, ERR_INVALID_REQUEST, "The topic id is zero or taken");
    int32_t count = wanted_partitions(a->m->img, c);
    int factor = wanted_replicas(a->m->img, c);
    int32_t *rows = NULL;
    if (c->assignments_count <= 0)
        err = placement_choose(a->m->img, count, factor, a->arena, &rows);
    if (err != ERR_NONE)
        return err;
    struct image_topic *topic = image_topic_new(c->name, c->topic_id, count);
    for (int32_t i = 0; i < count; i++) {
        const struct command_assignment *as = rows == NULL ? assignment_of(c, i) : NULL;
        partition_start(a->m->img, &topic->partitions[i],
                        as != NULL ? as->broker_ids : rows + (size_t)i * (size_t)factor,
                        as != NULL ? as->broker_ids_count : factor);
    }
    FOR_EACH (config, c->configs, c->configs_count)
        configs_put(&topic->configs, &topic->configs_count, config->name, config->value);
    image_put_topic(apply_image(a), topic);
    topic_changed(a, c->topic_id);
    return ERR_NONE;
}

enum error_code apply_delete_topic(struct apply *a, const struct delete_topic *c)
{
    const struct image_topic *topic = image_find_topic_by_id(a->m->img, c->topic_id);
    if (topic == NULL)
        return refuse(a->reason, ERR_UNKNOWN_TOPIC_ID, "No topic has this id");
    struct slice name = arena_copy(a->arena, topic->name);
    image_remove_topic(apply_image(a), c->topic_id);
    topic_changed(a, c->topic_id);
    /* Another topic of this name must not begin where groups left this one. */
    apply_changed(
        a, (struct change){.kind = CHANGE_OFFSET, .key = SLICE_NULL, .topic = name, .offset = -1});
    return ERR_NONE;
}

enum error_code metadata_check_create_partitions(const struct image *img,
                                                 const struct create_partitions *c,
                                                 char reason[200])
{
    const struct image_topic *topic = image_find_topic(img, c->topic);
    if (topic == NULL)
        return refuse(reason, ERR_UNKNOWN_TOPIC_OR_PARTITION, "No such topic");
    if (c->count <= topic->partitions_count)
        return refuse(reason, ERR_INVALID_PARTITIONS,
                      "Topic currently has %d partitions, which is not fewer than the requested %d",
                      topic->partitions_count, c->count);
    int32_t added = c->count - topic->partitions_count;
    if (added > PARTITIONS_MAX)
        return refuse(reason, ERR_POLICY_VIOLATION, "More than %d partitions in one request",
                      PARTITIONS_MAX);
    int factor = topic->partitions[0].replicas_count;
    if (c->assignments_count < 0)
        return check_factor(img, factor, reason);
    if (c->assignments_count != added)
        return refuse(reason, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "%d partitions are added, but %d are assigned", added, c->assignments_count);
    FOR_EACH (assignment, c->assignments, c->assignments_count) {
        enum error_code err = check_replicas(img, assignment, factor, reason);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

enum error_code apply_create_partitions(struct apply *a, const struct create_partitions *c)
{
    enum error_code err = metadata_check_create_partitions(a->m->img, c, a->reason);
    if (err != ERR_NONE)
        return err;
    const struct image_topic *old = image_find_topic(a->m->img, c->topic);
    int32_t first = old->partitions_count;
    int factor = old->partitions[0].replicas_count;
    int32_t *rows = NULL;
    if (c->assignments_count < 0)
        err = placement_choose(a->m->img, c->count - first, factor, a->arena, &rows);
    if (err != ERR_NONE)
        return err;
    struct image_topic *topic = image_edit_topic(apply_image(a), old->id);
    image_topic_grow(topic, c->count);
    for (int32_t i = 0; i < c->count - first; i++)
        partition_start(a->m->img, &topic->partitions[first + i],
                        rows == NULL ? c->assignments[i].broker_ids
                                     : rows + (size_t)i * (size_t)factor,
                        factor);
    topic_changed(a, topic->id);
    return ERR_NONE;
}
