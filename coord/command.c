/*
 * Commands to bytes and back. Each command's fields are listed once, in a function that reads or
 * writes depending on which end it was given: so both directions cannot disagree.
 */
#include "coord/command.h"

#include "proto/wire.h"

/* Exactly one of the two is set. */
struct codec {
    struct wire_reader *r;
    struct wire_writer *w;
};

#define CODEC_FIELD(name, type)                                                                    \
    static void codec_##name(const struct codec *k, type *value)                                   \
    {                                                                                              \
        if (k->w != NULL)                                                                          \
            wire_put_##name(k->w, *value);                                                         \
        else                                                                                       \
            *value = wire_get_##name(k->r);                                                        \
    }
CODEC_FIELD(i8, int8_t)
CODEC_FIELD(i16, int16_t)
CODEC_FIELD(i32, int32_t)
CODEC_FIELD(i64, int64_t)
CODEC_FIELD(bool, bool)
CODEC_FIELD(uuid, struct uuid)
#undef CODEC_FIELD

static void codec_slice(const struct codec *k, struct slice *value)
{
    if (k->w != NULL)
        wire_put_bytes(k->w, true, false, *value);
    else
        *value = wire_get_bytes(k->r, true, false);
}

static void codec_nullable(const struct codec *k, struct slice *value)
{
    if (k->w != NULL)
        wire_put_bytes(k->w, true, true, *value);
    else
        *value = wire_get_bytes(k->r, true, true);
}

/* The count, and when reading the memory, of an array; -1 is kept where it has a meaning. */
static void *codec_array(const struct codec *k, void *items, int32_t *count, struct wire_item item)
{
    if (k->w == NULL)
        return wire_get_array(k->r, true, true, item, count);
    wire_put_count(k->w, true, true, *count);
    return items;
}

#define CODEC_ARRAY(k, items, count, wire_size_min)                                                \
    ((items) = codec_array(k, items, count, (struct wire_item){wire_size_min, sizeof(*(items))}))

static void codec_configs(const struct codec *k, struct image_config **configs, int32_t *count)
{
    CODEC_ARRAY(k, *configs, count, 2);
    FOR_EACH (config, *configs, *count) {
        codec_slice(k, &config->name);
        codec_nullable(k, &config->value);
    }
}

static void codec_assignments(const struct codec *k, struct command_assignment **assignments,
                              int32_t *count)
{
    CODEC_ARRAY(k, *assignments, count, 5);
    FOR_EACH (assignment, *assignments, *count) {
        codec_i32(k, &assignment->partition_index);
        CODEC_ARRAY(k, assignment->broker_ids, &assignment->broker_ids_count, 4);
        FOR_EACH (id, assignment->broker_ids, assignment->broker_ids_count)
            codec_i32(k, id);
    }
}

static void codec_partitions(const struct codec *k, struct command_partition **partitions,
                             int32_t *count)
{
    CODEC_ARRAY(k, *partitions, count, 5);
    FOR_EACH (partition, *partitions, *count) {
        codec_slice(k, &partition->topic);
        codec_i32(k, &partition->partition);
    }
}

static void fields_form_cluster(const struct codec *k, struct form_cluster *c)
{
    codec_slice(k, &c->cluster_id);
    codec_i64(k, &c->time_ms);
    codec_configs(k, &c->configs, &c->configs_count);
}

static void fields_register_broker(const struct codec *k, struct register_broker *c)
{
    codec_i32(k, &c->node_id);
    codec_uuid(k, &c->incarnation);
    codec_i64(k, &c->clean_epoch);
    codec_nullable(k, &c->rack);
    CODEC_ARRAY(k, c->endpoints, &c->endpoints_count, 8);
    FOR_EACH (endpoint, c->endpoints, c->endpoints_count) {
        codec_slice(k, &endpoint->listener);
        codec_slice(k, &endpoint->host);
        codec_i32(k, &endpoint->port);
        codec_i16(k, &endpoint->security_protocol);
    }
}

static void fields_broker_change(const struct codec *k, struct broker_change *c)
{
    codec_i32(k, &c->node_id);
    codec_i64(k, &c->broker_epoch);
}

static void fields_create_topic(const struct codec *k, struct create_topic *c)
{
    codec_slice(k, &c->name);
    codec_uuid(k, &c->topic_id);
    codec_i32(k, &c->partitions);
    codec_i16(k, &c->replication_factor);
    codec_assignments(k, &c->assignments, &c->assignments_count);
    codec_configs(k, &c->configs, &c->configs_count);
}

static void fields_delete_topic(const struct codec *k, struct delete_topic *c)
{
    codec_uuid(k, &c->topic_id);
}

static void fields_create_partitions(const struct codec *k, struct create_partitions *c)
{
    codec_slice(k, &c->topic);
    codec_i32(k, &c->count);
    codec_assignments(k, &c->assignments, &c->assignments_count);
}

static void codec_config_ops(const struct codec *k, struct command_config_op **ops, int32_t *count)
{
    CODEC_ARRAY(k, *ops, count, 3);
    FOR_EACH (op, *ops, *count) {
        codec_slice(k, &op->name);
        codec_i8(k, &op->operation);
        codec_nullable(k, &op->value);
    }
}

static void fields_alter_configs(const struct codec *k, struct alter_configs *c)
{
    codec_nullable(k, &c->topic);
    codec_bool(k, &c->replace_all);
    codec_config_ops(k, &c->ops, &c->ops_count);
}

static void fields_alter_resource(const struct codec *k, struct alter_resource *c)
{
    codec_i8(k, &c->kind);
    codec_slice(k, &c->name);
    codec_bool(k, &c->replace_all);
    codec_config_ops(k, &c->ops, &c->ops_count);
}

static void fields_alter_reassignment(const struct codec *k, struct alter_reassignment *c)
{
    codec_slice(k, &c->topic);
    codec_i32(k, &c->partition);
    CODEC_ARRAY(k, c->replicas, &c->replicas_count, 4);
    FOR_EACH (id, c->replicas, c->replicas_count)
        codec_i32(k, id);
    codec_bool(k, &c->allow_factor_change);
}

static void fields_replica_failed(const struct codec *k, struct replica_failed *c)
{
    codec_i32(k, &c->node_id);
    codec_i64(k, &c->broker_epoch);
    codec_uuid(k, &c->topic_id);
    codec_i32(k, &c->partition);
    codec_bool(k, &c->serves);
}

static void fields_alter_partition(const struct codec *k, struct alter_partition *c)
{
    codec_i32(k, &c->node_id);
    codec_i64(k, &c->broker_epoch);
    codec_uuid(k, &c->topic_id);
    codec_i32(k, &c->partition);
    codec_i32(k, &c->leader_epoch);
    codec_i32(k, &c->partition_epoch);
    CODEC_ARRAY(k, c->isr, &c->isr_count, 12);
    FOR_EACH (member, c->isr, c->isr_count) {
        codec_i32(k, &member->node_id);
        codec_i64(k, &member->broker_epoch);
    }
}

static void fields_elect_leaders(const struct codec *k, struct elect_leaders *c)
{
    codec_bool(k, &c->unclean);
    codec_partitions(k, &c->partitions, &c->partitions_count);
}

static void fields_allocate_producer_ids(const struct codec *k, struct allocate_producer_ids *c)
{
    codec_i32(k, &c->node_id);
}

static void fields_put_group(const struct codec *k, struct put_group *c)
{
    codec_i32(k, &c->slot);
    codec_i32(k, &c->slot_epoch);
    codec_slice(k, &c->group);
    codec_nullable(k, &c->value);
}

static void fields_commit_offsets(const struct codec *k, struct commit_offsets *c)
{
    codec_i32(k, &c->slot);
    codec_i32(k, &c->slot_epoch);
    codec_slice(k, &c->group);
    CODEC_ARRAY(k, c->offsets, &c->offsets_count, 34);
    FOR_EACH (offset, c->offsets, c->offsets_count) {
        codec_slice(k, &offset->topic);
        codec_i32(k, &offset->partition);
        codec_i64(k, &offset->offset);
        codec_i32(k, &offset->leader_epoch);
        codec_nullable(k, &offset->metadata);
        codec_i64(k, &offset->commit_time_ms);
        codec_i64(k, &offset->expire_time_ms);
    }
}

static void fields_delete_offsets(const struct codec *k, struct delete_offsets *c)
{
    codec_i32(k, &c->slot);
    codec_i32(k, &c->slot_epoch);
    codec_slice(k, &c->group);
    codec_partitions(k, &c->partitions, &c->partitions_count);
}

static void fields_init_txn_producer(const struct codec *k, struct init_txn_producer *c)
{
    codec_slice(k, &c->transactional_id);
    codec_i32(k, &c->timeout_ms);
    codec_i64(k, &c->producer_id);
    codec_i16(k, &c->epoch);
    codec_i64(k, &c->now_ms);
}

static void codec_txn_producer(const struct codec *k, struct command_txn_producer *p)
{
    codec_slice(k, &p->transactional_id);
    codec_i64(k, &p->producer_id);
    codec_i16(k, &p->epoch);
}

static void fields_add_to_txn(const struct codec *k, struct add_to_txn *c)
{
    codec_txn_producer(k, &c->producer);
    codec_bool(k, &c->verify_only);
    codec_nullable(k, &c->group);
    CODEC_ARRAY(k, c->partitions, &c->partitions_count, 20);
    FOR_EACH (partition, c->partitions, c->partitions_count) {
        codec_uuid(k, &partition->topic_id);
        codec_i32(k, &partition->partition);
    }
    codec_i64(k, &c->now_ms);
}

static void fields_commit_txn_offsets(const struct codec *k, struct commit_txn_offsets *c)
{
    codec_txn_producer(k, &c->producer);
    codec_bool(k, &c->add);
    codec_i64(k, &c->now_ms);
    fields_commit_offsets(k, &c->commit);
}

static void fields_end_txn(const struct codec *k, struct end_txn *c)
{
    codec_txn_producer(k, &c->producer);
    codec_bool(k, &c->commit);
    codec_i8(k, &c->version);
    codec_i64(k, &c->now_ms);
}

static void fields_time_out_txn(const struct codec *k, struct time_out_txn *c)
{
    codec_slice(k, &c->transactional_id);
    codec_i64(k, &c->start_ms);
    codec_i64(k, &c->now_ms);
}

static void fields_complete_txn(const struct codec *k, struct complete_txn *c)
{
    codec_txn_producer(k, &c->producer);
    codec_i64(k, &c->now_ms);
}

static void fields_forget_txn(const struct codec *k, struct forget_txn *c)
{
    codec_slice(k, &c->transactional_id);
    codec_i64(k, &c->updated_ms);
}

/* The copy is shallow: writing does not change what a field points to. */
#define COMMAND_ENCODE(KIND, number, name, type)                                                   \
    void command_encode_##name(struct buffer *out, const struct type *c)                           \
    {                                                                                              \
        struct wire_writer w;                                                                      \
        wire_writer_init(&w, out);                                                                 \
        struct type copy = *c;                                                                     \
        wire_put_i8(&w, number);                                                                   \
        fields_##type(&(struct codec){.w = &w}, &copy);                                            \
        wire_put_uvarint(&w, 0);                                                                   \
        wire_writer_deinit(&w);                                                                    \
    }
COMMANDS(COMMAND_ENCODE)
#undef COMMAND_ENCODE

static int finish(struct wire_reader *r)
{
    wire_skip_tags(r);
    if (r->err == 0 && wire_remaining(r) != 0)
        wire_fail(r, -EBADMSG);
    return r->err;
}

int command_decode(struct slice bytes, struct arena *arena, struct command *out)
{
    *out = (struct command){0};
    struct wire_reader r;
    wire_reader_init(&r, bytes, arena);
    struct codec k = {.r = &r};
    int8_t kind = wire_get_i8(&r);
    switch (kind) {
#define COMMAND_DECODE(KIND, number, name, type)                                                   \
    case number:                                                                                   \
        fields_##type(&k, &out->name);                                                             \
        break;
        COMMANDS(COMMAND_DECODE)
#undef COMMAND_DECODE
    default:
        return -EBADMSG;
    }
    out->kind = (enum command_kind)kind;
    return finish(&r);
}

const char *command_name(enum command_kind kind)
{
    switch (kind) {
#define COMMAND_NAME(KIND, number, name, type)                                                     \
    case COMMAND_##KIND:                                                                           \
        return #name;
        COMMANDS(COMMAND_NAME)
#undef COMMAND_NAME
    }
    return "unknown";
}

static void fields_batch(const struct codec *k, struct command_batch *batch)
{
    codec_i32(k, &batch->node_id);
    codec_uuid(k, &batch->incarnation);
    codec_i64(k, &batch->sequence);
    CODEC_ARRAY(k, batch->commands, &batch->commands_count, 1);
    FOR_EACH (command, batch->commands, batch->commands_count)
        codec_slice(k, command);
}

void command_batch_encode(struct buffer *out, const struct command_batch *batch)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    struct command_batch copy = *batch;
    fields_batch(&(struct codec){.w = &w}, &copy);
    wire_put_uvarint(&w, 0);
    wire_writer_deinit(&w);
}

int command_batch_decode(struct slice bytes, struct arena *arena, struct command_batch *out)
{
    *out = (struct command_batch){0};
    struct wire_reader r;
    wire_reader_init(&r, bytes, arena);
    fields_batch(&(struct codec){.r = &r}, out);
    return finish(&r);
}

/* More than any well-formed batch of this size takes: 16 bytes for 1 on the wire, in two layers. */
static size_t decoded_limit(size_t size)
{
    return size * 40 + 4096;
}

enum error_code command_batch_check(struct slice bytes)
{
    struct arena arena;
    arena_init(&arena, decoded_limit(bytes.size));
    struct command_batch batch;
    int err = command_batch_decode(bytes, &arena, &batch);
    for (int32_t i = 0; err == 0 && i < batch.commands_count; i++) {
        struct command command;
        err = command_decode(batch.commands[i], &arena, &command);
    }
    arena_deinit(&arena);
    return err == 0 ? ERR_NONE : ERR_INVALID_REQUEST;
}

void command_entry_encode(struct buffer *out, const struct slice *batches, int32_t count)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_uvarint(&w, (uint32_t)count);
    FOR_EACH (batch, batches, count)
        wire_put_bytes(&w, true, false, *batch);
    wire_writer_deinit(&w);
}

int command_entry_decode(struct slice entry, struct arena *arena, struct slice **batches,
                         int32_t *count)
{
    *batches = NULL;
    *count = 0;
    struct wire_reader r;
    wire_reader_init(&r, entry, arena);
    uint32_t declared = wire_get_uvarint(&r);
    if (declared > wire_remaining(&r))
        return -EBADMSG;
    *batches = arena_alloc_array(arena, declared, sizeof(**batches));
    if (*batches == NULL)
        return -ENOMEM;
    *count = (int32_t)declared;
    FOR_EACH (batch, *batches, *count)
        *batch = wire_get_bytes(&r, true, false);
    return r.err;
}

void command_results_encode(struct buffer *out, const struct command_result *results, int32_t count)
{
    struct wire_writer w;
    wire_writer_init(&w, out);
    wire_put_uvarint(&w, (uint32_t)count);
    FOR_EACH (result, results, count) {
        wire_put_i16(&w, (int16_t)result->error_code);
        wire_put_bytes(&w, true, true, result->value);
    }
    wire_writer_deinit(&w);
}

int command_results_decode(struct slice bytes, struct command_results *out)
{
    struct wire_reader r;
    wire_reader_init(&r, bytes, NULL);
    uint32_t count = wire_get_uvarint(&r);
    if (count > wire_remaining(&r) / 3)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        struct command_result result = {.error_code = (enum error_code)wire_get_i16(&r)};
        result.value = wire_get_bytes(&r, true, true);
        vec_push(&out->list, result);
    }
    return r.err;
}

int64_t command_value_int64(struct slice value)
{
    return value.size == 8 ? (int64_t)wire_load(value.data, 8) : -1;
}

struct command_txn_value command_value_txn(struct slice value)
{
    if (value.size != 10)
        return (struct command_txn_value){-1, -1};
    return (struct command_txn_value){(int64_t)wire_load(value.data, 8),
                                      (int16_t)wire_load(value.data + 8, 2)};
}

enum error_code command_value_error(struct slice value, int32_t i)
{
    if (i < 0 || (size_t)i >= value.size / 2)
        return ERR_UNKNOWN_SERVER_ERROR;
    return (enum error_code)(int16_t)wire_load(value.data + 2 * (size_t)i, 2);
}
