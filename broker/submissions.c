/* Commands of one request, answered together. */
#include "broker/submissions.h"

#include "broker/barrier.h"

struct submissions {
    int open;
    bool any; /* something changed */
    int64_t timeout_ms;
    void (*ready)(struct request *req);
};

struct submission {
    struct submissions *all;
    request_submitted *done;
    void *arg;
    int16_t *error_code;
    struct slice *message;
};

struct submissions *submissions_new(struct request *req, int64_t timeout_ms,
                                    void (*ready)(struct request *req))
{
    struct submissions *s = arena_need(&req->arena, sizeof(*s));
    *s = (struct submissions){.open = 1, .timeout_ms = timeout_ms, .ready = ready};
    return s;
}

static void settle(struct request *req, struct submissions *s)
{
    thread_assert(&NET);
    if (--s->open > 0)
        return;
    if (s->any)
        request_when_everywhere(req, s->ready);
    else
        s->ready(req);
}

static void submitted(struct request *req, void *arg, enum error_code err, struct slice value)
{
    struct submission *one = arg;
    one->all->any = one->all->any || err == ERR_NONE;
    if (one->done != NULL) {
        one->done(req, one->arg, err, value);
    } else {
        *one->error_code = (int16_t)err;
        *one->message = err == ERR_NONE ? SLICE_NULL : value;
    }
    settle(req, one->all);
}

static void submit(struct request *req, struct submission *one, struct buffer *command)
{
    thread_assert(&NET);
    one->all->open++;
    request_submit(req, buffer_slice(command), one->all->timeout_ms, submitted, one);
    buffer_deinit(command);
}

void submissions_add(struct request *req, struct submissions *s, struct buffer *command,
                     int16_t *error_code, struct slice *message)
{
    struct submission *one = arena_need(&req->arena, sizeof(*one));
    *one = (struct submission){.all = s, .error_code = error_code, .message = message};
    submit(req, one, command);
}

void submissions_add_custom(struct request *req, struct submissions *s, struct buffer *command,
                            request_submitted *done, void *arg)
{
    struct submission *one = arena_need(&req->arena, sizeof(*one));
    *one = (struct submission){.all = s, .done = done, .arg = arg};
    submit(req, one, command);
}

void submissions_end(struct request *req, struct submissions *s)
{
    settle(req, s);
}
