/* Finding what has to end, and when. */
#include "broker/txns.h"

#include <stdlib.h>

#include "broker/node.h"
#include "broker/txn_markers.h"
#include "coord/command.h"
#include "coord/txn.h"
#include "proto/base/clock.h"
#include "proto/base/logging.h"

#define TICK_BUSY_MS   20
#define TICK_IDLE_MS   500
#define SCAN_MS        1000
#define FORGET_SCAN_MS 600000
#define COMMAND_MS     10000
#define END_WAIT_MS    400 /* how long an answer waits for the markers */

struct txns {
    struct node *node;
    struct list *kept; /* one list a network thread, its own */
    struct net_thread *thread;
    int64_t wall_offset_ms; /* constant: wall clock - monotonic clock, at the start */
    /* NET only, that thread */
    struct event *timer;
    struct txn_markers *markers;
    struct image_slot slots[COORDINATOR_SLOTS]; /* as of the last scan */
    int64_t scan_ms;
    int64_t forget_ms;
};

/* A command of our own, and what happens to its transaction then. */
struct order {
    struct txns *ts;
    struct slice id; /* owned */
};

/* A request that wants to wait, on its way to our thread. */
struct awaiting {
    struct txns *ts;
    struct slice id; /* owned */
    struct request *req;
    void (*next)(struct request *req, void *arg);
    void *arg;
};

static struct slice copy_of(struct slice s)
{
    return slice_of(slice_to_text(s), s.size);
}

static void drop(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

int64_t txns_clock_ms(const struct node *node)
{
    return node->txns->wall_offset_ms + clock_monotonic_ms();
}

struct list *txns_kept(const struct node *node, const struct net_thread *thread)
{
    return &node->txns->kept[thread->index];
}

enum error_code txns_check(const struct request *req, struct slice id)
{
    if (id.size == 0)
        return ERR_INVALID_REQUEST;
    if (req->image == NULL || !node_has_lease(req->node))
        return ERR_COORDINATOR_NOT_AVAILABLE;
    return req->image->slots[image_slot_of(id)].node_id == req->node->id ? ERR_NONE
                                                                         : ERR_NOT_COORDINATOR;
}

int16_t txns_error(enum error_code err, bool fencing_known)
{
    if (err == ERR_PRODUCER_FENCED && !fencing_known)
        return ERR_INVALID_PRODUCER_EPOCH;
    /* The metadata log is not to be had just now. */
    if (err == ERR_REQUEST_TIMED_OUT || err == ERR_NOT_CONTROLLER)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    return (int16_t)err;
}

/* --- Ending --- */

/* Read what is stored, and end it if it is ending. */
static bool take_up(struct txns *ts, struct slice id)
{
    thread_assert(&NET);
    struct arena arena;
    struct slice value;
    if (txn_markers_has(ts->markers, id))
        return true;
    arena_init(&arena, 0);
    bool ends = quorum_read_txn(ts->node->quorum, id, &arena, &value) == 0 &&
                !slice_is_null(value) && txn_markers_add(ts->markers, id, value);
    arena_deinit(&arena);
    return ends;
}

static void tick_soon(struct txns *ts, int64_t after_ms)
{
    struct timeval after = {.tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000};
    if (ts->timer != NULL)
        event_add(ts->timer, &after);
}

static void await_run(void *arg)
{
    thread_assert(&NET);
    struct awaiting *a = arg;
    if (take_up(a->ts, a->id)) {
        txn_markers_await(a->ts->markers, a->id, clock_monotonic_ms() + END_WAIT_MS, a->req,
                          a->next, a->arg);
        tick_soon(a->ts, TICK_BUSY_MS);
    } else {
        request_resume(a->req, a->next, a->arg);
    }
    drop(a->id);
    free(a);
}

void txns_await_end(struct request *req, struct slice id,
                    void (*next)(struct request *req, void *arg), void *arg)
{
    struct txns *ts = req->node->txns;
    struct awaiting *a = mem_zalloc(sizeof(*a));
    *a = (struct awaiting){.ts = ts, .id = copy_of(id), .req = req, .next = next, .arg = arg};
    request_hold(req);
    net_call(ts->thread, await_run, a);
}

/* --- Looking for more to end --- */

static void order_run(void *arg)
{
    thread_assert(&NET);
    struct order *o = arg;
    if (take_up(o->ts, o->id))
        tick_soon(o->ts, TICK_BUSY_MS);
    drop(o->id);
    free(o);
}

static void ordered(void *arg, enum error_code err, struct slice value)
{
    (void)err, (void)value; /* what it came to is read from the database */
    struct order *o = arg;
    net_call(o->ts->thread, order_run, o);
}

/* Takes the command. */
static void submit(struct txns *ts, struct slice id, struct buffer *command)
{
    struct order *o = mem_zalloc(sizeof(*o));
    *o = (struct order){.ts = ts, .id = copy_of(id)};
    quorum_submit(ts->node->quorum, buffer_slice(command), COMMAND_MS, ordered, o);
    buffer_deinit(command);
}

static void time_out(struct txns *ts, const struct txn *t, int64_t now_ms)
{
    struct buffer command = {0};
    if (now_ms - t->start_ms < t->timeout_ms)
        return;
    LOG_INFO("aborting a transaction that took too long",
             "id=" SLICE_FMT " producer_id=%lld timeout_ms=%d", SLICE_ARG(t->id),
             (long long)t->producer_id, t->timeout_ms);
    command_encode_time_out_txn(&command, &(struct time_out_txn){t->id, t->start_ms, now_ms});
    submit(ts, t->id, &command);
}

static void forget(struct txns *ts, const struct txn *t, int64_t now_ms)
{
    struct buffer command = {0};
    if (now_ms - t->updated_ms < config_number(&ts->node->config, CONFIG_TXN_ID_EXPIRATION_MS))
        return;
    command_encode_forget_txn(&command, &(struct forget_txn){t->id, t->updated_ms});
    submit(ts, t->id, &command);
}

static void look_at(struct txns *ts, const struct stored_txn *stored, int64_t now_ms)
{
    thread_assert(&NET);
    struct txn *t;
    if (ts->slots[image_slot_of(stored->id)].node_id != ts->node->id ||
        txn_decode(stored->id, stored->value, &t) != 0)
        return;
    if (txn_is_ending(t->state))
        txn_markers_add(ts->markers, stored->id, stored->value);
    else if (t->state == TXN_ONGOING)
        time_out(ts, t, now_ms);
    else
        forget(ts, t, now_ms);
    txn_free(t);
}

static void scan(struct txns *ts, enum txn_state first, enum txn_state last)
{
    struct arena arena;
    struct stored_txn *list;
    int count;
    arena_init(&arena, 0);
    if (quorum_list_txns(ts->node->quorum, first, last, &arena, &list, &count) == 0)
        FOR_EACH (stored, list, count)
            look_at(ts, stored, txns_clock_ms(ts->node));
    arena_deinit(&arena);
}

static bool slots_changed(struct txns *ts)
{
    struct image *img = quorum_image(ts->node->quorum);
    bool changed = img != NULL && memcmp(img->slots, ts->slots, sizeof(ts->slots)) != 0;
    if (changed)
        memcpy(ts->slots, img->slots, sizeof(ts->slots));
    image_unref(img);
    return changed;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    thread_assert(&NET);
    struct txns *ts = arg;
    int64_t now_ms = clock_monotonic_ms();
    if (node_has_lease(ts->node) && (slots_changed(ts) || ts->scan_ms <= now_ms)) {
        scan(ts, TXN_ONGOING, TXN_PREPARE_ABORT);
        ts->scan_ms = now_ms + SCAN_MS;
    }
    if (node_has_lease(ts->node) && ts->forget_ms <= now_ms) {
        scan(ts, TXN_EMPTY, TXN_EMPTY);
        scan(ts, TXN_COMPLETE_COMMIT, TXN_COMPLETE_ABORT);
        ts->forget_ms = now_ms + FORGET_SCAN_MS;
    }
    tick_soon(ts, txn_markers_tick(ts->markers, now_ms) ? TICK_BUSY_MS : TICK_IDLE_MS);
}

/* --- Starting, stopping --- */

static void start_run(void *arg)
{
    thread_assert(&NET);
    struct txns *ts = arg;
    ts->markers = txn_markers_new(ts->node, ts->thread);
    ts->timer = evtimer_new(ts->thread->base, on_timer, ts);
    CHECK(ts->timer != NULL);
    ts->forget_ms = clock_monotonic_ms() + FORGET_SCAN_MS;
    tick_soon(ts, TICK_IDLE_MS);
}

int txns_start(struct node *node)
{
    struct txns *ts = mem_zalloc(sizeof(*ts));
    ts->node = node;
    ts->thread = &node->net.threads[0];
    ts->wall_offset_ms = clock_wall_ms() - clock_monotonic_ms();
    ts->kept = mem_zalloc((size_t)node->net.count * sizeof(*ts->kept));
    for (int i = 0; i < node->net.count; i++)
        list_init(&ts->kept[i]);
    node->txns = ts;
    net_call_wait(ts->thread, start_run, ts);
    return 0;
}

static void stop_run(void *arg)
{
    thread_assert(&NET);
    struct txns *ts = arg;
    event_free(ts->timer);
    ts->timer = NULL;
    txn_markers_stop(ts->markers);
}

void txns_stop(struct node *node)
{
    if (node->txns != NULL)
        net_call_wait(node->txns->thread, stop_run, node->txns);
}

void txns_free(struct txns *ts)
{
    if (ts == NULL)
        return;
    txn_markers_free(ts->markers);
    free(ts->kept);
    free(ts);
}
