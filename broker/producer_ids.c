/* Handing out producer ids. */
#include "broker/producer_ids.h"

#include <stdlib.h>

#include "broker/node.h"
#include "coord/command.h"

struct producer_ids {
    struct mutex lock;
    int64_t next; /* guarded by lock */
    int64_t end;  /* guarded by lock */
};

struct producer_id_wait {
    producer_id_done *done;
};

struct producer_ids *producer_ids_new(void)
{
    struct producer_ids *ids = mem_zalloc(sizeof(*ids));
    mutex_init(&ids->lock);
    return ids;
}

void producer_ids_free(struct producer_ids *ids)
{
    if (ids == NULL)
        return;
    mutex_deinit(&ids->lock);
    free(ids);
}

static void allocated(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct producer_id_wait *wait = arg;
    struct producer_ids *ids = req->node->producer_ids;
    int64_t first = err == ERR_NONE ? command_value_int64(value) : -1;
    if (err != ERR_NONE || first < 0) {
        wait->done(req, err == ERR_NONE ? ERR_UNKNOWN_SERVER_ERROR : err, -1);
        return;
    }
    mutex_lock(&ids->lock);
    ids->next = first + 1; /* the rest of an older block is dropped */
    ids->end = first + PRODUCER_ID_BLOCK;
    mutex_unlock(&ids->lock);
    wait->done(req, ERR_NONE, first);
}

void producer_ids_next(struct request *req, int64_t timeout_ms, producer_id_done *done)
{
    struct producer_ids *ids = req->node->producer_ids;
    mutex_lock(&ids->lock);
    int64_t id = ids->next < ids->end ? ids->next++ : -1;
    mutex_unlock(&ids->lock);
    if (id >= 0) {
        done(req, ERR_NONE, id);
        return;
    }
    struct producer_id_wait *wait = arena_need(&req->arena, sizeof(*wait));
    wait->done = done;
    struct allocate_producer_ids c = {.node_id = req->node->id};
    struct buffer command = {0};
    command_encode_allocate_producer_ids(&command, &c);
    request_submit(req, buffer_slice(&command), timeout_ms, allocated, wait);
    buffer_deinit(&command);
}
