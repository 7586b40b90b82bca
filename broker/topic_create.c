/* Topic names and auto creation. */
#include "broker/topic_create.h"

#include <ctype.h>

#include "broker/node.h"
#include "coord/command.h"
#include "proto/base/rng.h"

#define TOPIC_NAME_MAX 249

bool topic_name_valid(struct slice name)
{
    if (name.size == 0 || name.size > TOPIC_NAME_MAX || slice_equals_text(name, ".") ||
        slice_equals_text(name, ".."))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum(name.data[i]) && name.data[i] != '.' && name.data[i] != '_' &&
            name.data[i] != '-')
            return false;
    return true;
}

void topic_create_default(struct request *req, struct slice name, request_submitted *done,
                          void *arg)
{
    thread_assert(&NET);
    struct create_topic c = {
        .name = name,
        .topic_id = rng_system_uuid(),
        .partitions = (int32_t)config_number(&req->node->config, CONFIG_NUM_PARTITIONS),
        .replication_factor = (int16_t)config_number(&req->node->config, CONFIG_REPLICATION_FACTOR),
    };
    struct buffer command = {0};
    command_encode_create_topic(&command, &c);
    request_submit(req, buffer_slice(&command),
                   config_number(&req->node->config, CONFIG_REQUEST_TIMEOUT_MS), done, arg);
    buffer_deinit(&command);
}
