/* From texts to the structs that the log, the partition and the validation take. */
#include "broker/topic_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "coord/image_resources.h"

/* The broker-wide name of a topic setting where it is not the same (KafkaConfig's synonyms). */
static const char *broker_name(const char *name)
{
    static const char *const NAMES[][2] = {
        {"cleanup.policy", "log.cleanup.policy"},
        {"retention.ms", "log.retention.ms"},
        {"retention.bytes", "log.retention.bytes"},
        {"segment.bytes", "log.segment.bytes"},
        {"segment.ms", "log.roll.ms"},
        {"segment.jitter.ms", "log.roll.jitter.ms"},
        {"preallocate", "log.preallocate"},
        {"flush.messages", "log.flush.interval.messages"},
        {"flush.ms", "log.flush.interval.ms"},
        {"max.message.bytes", "message.max.bytes"},
        {"message.timestamp.type", "log.message.timestamp.type"},
        {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"},
        {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"},
        {"file.delete.delay.ms", "log.segment.delete.delay.ms"},
        {"delete.retention.ms", "log.cleaner.delete.retention.ms"},
        {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"},
        {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"},
        {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"},
        {"index.interval.bytes", "log.index.interval.bytes"},
        {"segment.index.bytes", "log.index.size.max.bytes"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        if (strcmp(NAMES[i][0], name) == 0)
            return NAMES[i][1];
    return name;
}

static struct slice topic_setting(const struct config *c, const struct image *img,
                                  const struct image_topic *topic, const char *name)
{
    struct slice own = topic ? image_topic_config(topic, slice_from_text(name)) : SLICE_NULL;
    if (!slice_is_null(own) || img == NULL)
        return own;
    const char *wide = broker_name(name);
    int32_t node_id = (int32_t)config_number(c, CONFIG_NODE_ID);
    struct slice here = image_broker_config(img, node_id, slice_from_text(wide));
    if (!slice_is_null(here))
        return here;
    for (int i = 0; i < img->broker_configs_count; i++)
        if (slice_equals_text(img->broker_configs[i].name, wide))
            return img->broker_configs[i].value;
    return SLICE_NULL;
}

static int64_t topic_setting_number(const struct config *c, const struct image *img,
                                    const struct image_topic *topic, const char *name,
                                    int64_t fallback)
{
    struct slice value = topic_setting(c, img, topic, name);
    char text[32];
    if (slice_is_null(value) || value.size >= sizeof(text))
        return fallback;
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return strtoll(text, NULL, 10);
}

static bool topic_setting_true(const struct config *c, const struct image *img,
                               const struct image_topic *topic, const char *name,
                               enum config_key key)
{
    struct slice value = topic_setting(c, img, topic, name);
    return slice_is_null(value) ? config_number(c, key) != 0 : slice_equals_text(value, "true");
}

static bool contains(struct slice text, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= text.size; i++)
        if (memcmp(text.data + i, word, size) == 0)
            return true;
    return false;
}

static struct slice text_or(const struct config *c, const struct image *img,
                            const struct image_topic *topic, const char *name, enum config_key key)
{
    struct slice value = topic_setting(c, img, topic, name);
    return slice_is_null(value) ? slice_from_text(config_text(c, key)) : value;
}

void topic_partition_config(const struct config *c, const struct image *img,
                            const struct image_topic *topic, struct partition_config *out)
{
#define NUMBER(name, key) topic_setting_number(c, img, topic, name, config_number(c, CONFIG_##key))
    struct slice policy = text_or(c, img, topic, "cleanup.policy", CONFIG_CLEANUP_POLICY);
    *out = (struct partition_config){
        .log = log_config_default(),
        .min_insync_replicas = (int32_t)NUMBER("min.insync.replicas", MIN_INSYNC),
        .write_caching = topic_setting_true(c, img, topic, "write.caching", CONFIG_WRITE_CACHING),
        .replica_lag_time_max_ms = config_number(c, CONFIG_REPLICA_LAG_MS),
    };
    out->log.segment_bytes = (int32_t)NUMBER("segment.bytes", SEGMENT_BYTES);
    out->log.segment_ms = NUMBER("segment.ms", ROLL_MS);
    out->log.segment_jitter_ms = NUMBER("segment.jitter.ms", ROLL_JITTER_MS);
    out->log.preallocate = topic_setting_true(c, img, topic, "preallocate", CONFIG_PREALLOCATE);
    out->log.flush_messages = NUMBER("flush.messages", FLUSH_MESSAGES);
    out->log.flush_ms = NUMBER("flush.ms", FLUSH_MS);
    out->log.index_interval_bytes = (int32_t)NUMBER("index.interval.bytes", INDEX_INTERVAL);
    out->log.index_bytes_max = (int32_t)NUMBER("segment.index.bytes", INDEX_BYTES);
    out->log.retention_ms = NUMBER("retention.ms", RETENTION_MS);
    out->log.retention_bytes = NUMBER("retention.bytes", RETENTION_BYTES);
    out->log.file_delete_delay_ms = NUMBER("file.delete.delay.ms", DELETE_DELAY_MS);
    out->log.producer_id_expiration_ms = config_number(c, CONFIG_PRODUCER_EXPIRATION_MS);
    out->log.delete_retention_ms = NUMBER("delete.retention.ms", CLEANER_DELETE_MS);
    out->log.min_compaction_lag_ms = NUMBER("min.compaction.lag.ms", CLEANER_LAG_MIN_MS);
    out->log.max_compaction_lag_ms = NUMBER("max.compaction.lag.ms", CLEANER_LAG_MAX_MS);
    char *ratio =
        slice_to_text(text_or(c, img, topic, "min.cleanable.dirty.ratio", CONFIG_CLEANER_RATIO));
    out->log.min_cleanable_dirty_ratio = strtod(ratio, NULL);
    free(ratio);
    out->log.delete_enabled = contains(policy, "delete");
    out->log.compact_enabled = contains(policy, "compact");
#undef NUMBER
}

static int8_t codec_of(struct slice name)
{
    static const struct {
        const char *name;
        int8_t codec;
    } CODECS[] = {{"uncompressed", CODEC_NONE},
                  {"gzip", CODEC_GZIP},
                  {"snappy", CODEC_SNAPPY},
                  {"lz4", CODEC_LZ4},
                  {"zstd", CODEC_ZSTD}};
    for (size_t i = 0; i < ARRAY_COUNT(CODECS); i++)
        if (slice_equals_text(name, CODECS[i].name))
            return CODECS[i].codec;
    return CODEC_PRODUCER;
}

void topic_validate_rules(const struct config *c, const struct image *img,
                          const struct image_topic *topic, int16_t produce_version,
                          struct validate_rules *out)
{
#define NUMBER(name, key) topic_setting_number(c, img, topic, name, config_number(c, CONFIG_##key))
    validate_rules_init(out);
    out->produce_version = produce_version;
    out->message_bytes_max = (int32_t)NUMBER("max.message.bytes", MESSAGE_MAX);
    out->timestamp_before_max_ms = NUMBER("message.timestamp.before.max.ms", TIMESTAMP_BEFORE_MS);
    out->timestamp_after_max_ms = NUMBER("message.timestamp.after.max.ms", TIMESTAMP_AFTER_MS);
    out->decompressed_message_bytes_max =
        (int32_t)NUMBER("max.decompressed.message.bytes", DECOMPRESSED_MAX);
    out->compacted =
        contains(text_or(c, img, topic, "cleanup.policy", CONFIG_CLEANUP_POLICY), "compact");
    out->log_append_time = slice_equals_text(
        text_or(c, img, topic, "message.timestamp.type", CONFIG_TIMESTAMP_TYPE), "LogAppendTime");
    out->codec = codec_of(text_or(c, img, topic, "compression.type", CONFIG_COMPRESSION_TYPE));
    char level[48];
    snprintf(level, sizeof(level), "compression.%s.level",
             out->codec > CODEC_NONE ? codec_name(out->codec) : "no");
    out->level = (int)topic_setting_number(c, img, topic, level, CODEC_LEVEL_DEFAULT);
#undef NUMBER
}

static struct slice static_value(void *arg, const char *server_name)
{
    return config_set_text(arg, server_name);
}

struct config_node topic_config_node(const struct config *c)
{
    return (struct config_node){.node_id = (int32_t)config_number(c, CONFIG_NODE_ID),
                                .static_value = static_value,
                                .arg = (void *)c};
}
