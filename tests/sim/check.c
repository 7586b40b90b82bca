/* The invariants; names in brackets are those of the catalogue of faults. */
#include <stdlib.h>

#include "proto/records.h"
#include "tests/sim/sim.h"

/* --- Reading a log --- */

struct copy {
    int64_t start, end, watermark;
    int64_t *ids; /* by offset */
    int32_t *epochs;
};

static int64_t take_batches(struct copy *c, struct slice bytes, int64_t at)
{
    struct slice batch;
    struct batch_header h;
    while (batch_next(&bytes, &batch, &h) == 1) {
        c->ids[h.base_offset] = h.base_timestamp;
        c->epochs[h.base_offset] = h.leader_epoch;
        at = batch_next_offset(&h);
    }
    return at;
}

static bool read_from(struct node *node, int64_t offset, int64_t end, struct buffer *bytes)
{
    struct log_read_limits limits = {end, 1 << 20, true};
    struct log_read read;
    bytes->size = 0;
    if (log_read(partition_log(node->partition), offset, &limits, &read) != ERR_NONE ||
        read.range.size <= 0)
        return false;
    size_t size = (size_t)read.range.size;
    struct fs_file file = {read.range.fd};
    uint8_t *to = buffer_reserve(bytes, size);
    int64_t n = node->fs.read(node->fs.arg, file, to, size, read.range.position);
    bytes->size = n > 0 ? (size_t)n : 0;
    read.range.release(read.range.owner);
    return n > 0;
}

static struct copy copy_of(struct node *node)
{
    struct log *log = partition_log(node->partition);
    struct copy c = {.start = log_start_offset(log),
                     .end = log_end_offset(log),
                     .watermark = partition_high_watermark(node->partition)};
    size_t count = (size_t)c.end + 1;
    struct buffer bytes = {0};
    c.ids = mem_alloc(count * sizeof(*c.ids));
    c.epochs = mem_alloc(count * sizeof(*c.epochs));
    memset(c.ids, 0xff, count * sizeof(*c.ids));
    memset(c.epochs, 0xff, count * sizeof(*c.epochs));
    for (int64_t at = c.start; at < c.end && read_from(node, at, c.end, &bytes);)
        at = take_batches(&c, buffer_slice(&bytes), at);
    buffer_deinit(&bytes);
    return c;
}

static void copy_free(struct copy *c)
{
    free(c->ids);
    free(c->epochs);
}

/* --- What is true for ever --- */

/* [C2] One record an offset, in all that was acknowledged or read. */
static void learn(struct sim *s, int64_t offset, int64_t id, const char *by)
{
    while ((int64_t)s->truth.count <= offset)
        vec_push(&s->truth, -1);
    int64_t *known = &s->truth.items[offset];
    if (*known >= 0 && *known != id)
        fail(s, "offset %lld was record %lld, and is %lld when %s", (long long)offset,
             (long long)*known, (long long)id, by);
    *known = id;
}

void check_acked(struct sim *s, int64_t id, int64_t offset)
{
    int64_t *at = &s->acked.items[id];
    if (*at >= 0 && *at != offset)
        fail(s, "record %lld acknowledged at %lld and at %lld", (long long)id, (long long)*at,
             (long long)offset);
    s->seen.acked += *at < 0;
    *at = offset;
    s->acked_ms = s->now_ms;
    s->acked_end = MAX(s->acked_end, offset + 1);
    learn(s, offset, id, "acknowledged");
}

/* A consumer's fetch. */
void check_read(struct sim *s, int n)
{
    struct node *node = &s->nodes[n];
    if (!node->up || node->paused || partition_role(node->partition) != PARTITION_LEADER)
        return;
    int64_t end = partition_high_watermark(node->partition);
    int64_t start = log_start_offset(partition_log(node->partition));
    if (s->read_offset < start || s->read_offset >= end)
        s->read_offset = MAX(start, end - 1 - (int64_t)rng_below(&s->load, 20));
    struct copy c = {0};
    struct buffer bytes = {0};
    if (end > start && read_from(node, s->read_offset, end, &bytes)) {
        size_t count = (size_t)log_end_offset(partition_log(node->partition)) + 1;
        c.ids = mem_alloc(count * sizeof(*c.ids));
        c.epochs = mem_alloc(count * sizeof(*c.epochs));
        memset(c.ids, 0xff, count * sizeof(*c.ids));
        int64_t next = take_batches(&c, buffer_slice(&bytes), s->read_offset);
        for (int64_t i = s->read_offset; i < next; i++)
            if (c.ids[i] >= 0)
                learn(s, i, c.ids[i], "read");
        s->read_offset = next;
        s->seen.reads++;
    }
    buffer_deinit(&bytes);
    copy_free(&c);
}

/* --- Committed state --- */

/* [I-EP] One leader an epoch. */
void check_leads(struct sim *s, int n, int32_t leader_epoch)
{
    CHECK(leader_epoch < LEADER_EPOCHS);
    int32_t *leader = &s->leader_of_epoch[leader_epoch];
    if (*leader >= 0 && *leader != n)
        fail(s, "two leaders in epoch %d", leader_epoch);
    *leader = n;
}

static bool among(int n, const int32_t *ids, int count)
{
    for (int i = 0; i < count; i++)
        if (ids[i] == n)
            return true;
    return false;
}

static const struct image_partition *partition_in(const struct image *img)
{
    const struct image_topic *t = image_find_topic(img, SLICE(TOPIC));
    return t != NULL ? image_find_partition(t, 0) : NULL;
}

/* [I-EP] Epochs only grow; the leader is in sync; the ISR is never empty. */
void check_image(struct sim *s, const struct image *before)
{
    const struct image_partition *old = partition_in(before), *p = partition_in(s->img);
    if (old == NULL || p == NULL || old == p || old->partition_epoch == p->partition_epoch)
        return;
    if (p->leader_epoch < old->leader_epoch || p->partition_epoch < old->partition_epoch)
        fail(s, "epochs go back to %d/%d", p->leader_epoch, p->partition_epoch);
    if (p->leader != old->leader && p->leader_epoch == old->leader_epoch)
        fail(s, "another leader in epoch %d", p->leader_epoch);
    if (p->isr_count == 0 || (p->leader >= 0 && !among(p->leader, p->isr, p->isr_count)))
        fail(s, "the leader %d is not in sync", p->leader);
    s->seen.shrinks += p->isr_count < old->isr_count;
    s->seen.expansions += p->isr_count > old->isr_count;
    s->seen.elections += p->leader_epoch > old->leader_epoch;
    s->seen.eligible_leaders +=
        p->leader >= 0 && p->leader != old->leader && !among(p->leader, old->isr, old->isr_count);
    trace(s, "committed: leader=%d epoch=%d/%d isr=%d,%d,%d of %d elr=%d,%d of %d", p->leader,
          p->leader_epoch, p->partition_epoch, p->isr[0], p->isr_count > 1 ? p->isr[1] : -1,
          p->isr_count > 2 ? p->isr[2] : -1, p->isr_count, p->elr_count > 0 ? p->elr[0] : -1,
          p->elr_count > 1 ? p->elr[1] : -1, p->elr_count);
}

bool node_registered(const struct sim *s, int n, const struct image *img);

/* [I-HW, C9] The leader of the committed epoch serves a high watermark that never goes back, and
 * nothing below it is missing. A deleted record does not come back. */
void check_always(struct sim *s)
{
    const struct image_partition *p = committed_partition(s);
    if (p == NULL || p->leader < 0)
        return;
    struct node *node = &s->nodes[p->leader];
    if (!node->up || node->paused || partition_role(node->partition) != PARTITION_LEADER ||
        partition_leader_epoch(node->partition) != p->leader_epoch ||
        !partition_watermark_is_known(node->partition))
        return;
    int64_t watermark = partition_high_watermark(node->partition);
    if (watermark < s->served_watermark)
        fail(s, "node %d serves high watermark %lld after %lld", p->leader, (long long)watermark,
             (long long)s->served_watermark);
    s->served_watermark = watermark;
    int64_t start = log_start_offset(partition_log(node->partition));
    if (start < s->deleted_to)
        fail(s, "node %d begins at %lld, but records up to %lld were deleted", p->leader,
             (long long)start, (long long)s->deleted_to);
    if (s->delete_offset > s->deleted_to &&
        partition_low_watermark(node->partition) >= s->delete_offset)
        s->deleted_to = s->delete_offset;
}

/* --- All replicas --- */

/* [I-LM] Equal records below the smaller high watermark. */
static void check_equal(struct sim *s, const struct copy *copies, int a, int b)
{
    const struct copy *x = &copies[a], *y = &copies[b];
    int64_t end = MIN(x->watermark, y->watermark);
    for (int64_t i = MAX(x->start, y->start); i < end; i++)
        if (x->ids[i] != y->ids[i] || x->epochs[i] != y->epochs[i])
            fail(s, "nodes %d (%lld/%d) and %d (%lld/%d) differ at offset %lld below %lld", a,
                 (long long)x->ids[i], x->epochs[i], b, (long long)y->ids[i], y->epochs[i],
                 (long long)i, (long long)end);
}

/* Epochs in a log grow. */
static void check_epochs(struct sim *s, const struct copy *c, int n)
{
    int32_t last = -1;
    for (int64_t i = c->start; i < c->end; i++) {
        if (c->epochs[i] < last)
            fail(s, "node %d: epoch %d at offset %lld follows %d", n, c->epochs[i], (long long)i,
                 last);
        last = c->epochs[i];
    }
}

/* [I-LCC, I-LC] Every member of ISR and ELR that runs has all that was acknowledged or read. */
static void check_complete(struct sim *s, const struct copy *c, int n)
{
    const struct image_partition *p = committed_partition(s);
    if (p == NULL || !node_registered(s, n, s->img) ||
        (!among(n, p->isr, p->isr_count) && !among(n, p->elr, p->elr_count)))
        return;
    for (int64_t i = c->start; i < (int64_t)s->truth.count; i++) {
        if (s->truth.items[i] < 0)
            continue;
        if (i >= c->end)
            fail(s, "node %d is %s but ends at %lld, record %lld is at %lld", n,
                 among(n, p->isr, p->isr_count) ? "in sync" : "eligible", (long long)c->end,
                 (long long)s->truth.items[i], (long long)i);
        else if (c->ids[i] != s->truth.items[i])
            fail(s, "node %d has record %lld instead of %lld at %lld", n, (long long)c->ids[i],
                 (long long)s->truth.items[i], (long long)i);
    }
}

void check_replicas(struct sim *s)
{
    struct copy copies[REPLICAS] = {0};
    for (int n = 0; n < REPLICAS; n++) {
        if (!s->nodes[n].up)
            continue;
        copies[n] = copy_of(&s->nodes[n]);
        check_epochs(s, &copies[n], n);
        check_complete(s, &copies[n], n);
        for (int b = 0; b < n; b++)
            if (copies[b].ids != NULL)
                check_equal(s, copies, n, b);
    }
    for (int n = 0; n < REPLICAS; n++)
        copy_free(&copies[n]);
}

/* --- The end --- */

static bool ill(struct sim *s, const char *what)
{
    s->ill = what;
    return false;
}

bool is_healthy(struct sim *s)
{
    const struct image_partition *p = committed_partition(s);
    if (p == NULL || p->leader < 0 || p->isr_count != REPLICAS || s->controller_down)
        return ill(s, "isr");
    if (s->now_ms - s->acked_ms > 500)
        return ill(s, "nothing acknowledged");
    if (s->now_ms - s->commit_acked_ms > 1000)
        return ill(s, "no offset committed");
    for (int n = 0; n < s->plan.nodes; n++) {
        const struct image_broker *b = image_find_broker(s->img, n);
        if (!s->nodes[n].up || b == NULL || b->fenced)
            return ill(s, "a node is missing");
    }
    return partition_role(s->nodes[p->leader].partition) == PARTITION_LEADER || ill(s, "leader");
}

/* [C1, C4] Every acknowledged record is at its offset, and no record is there twice. */
void check_end(struct sim *s)
{
    check_replicas(s);
    const struct image_partition *p = committed_partition(s);
    struct copy c = copy_of(&s->nodes[p->leader]);
    int64_t *times = mem_zalloc(((size_t)s->next_record + 1) * sizeof(*times));
    for (int64_t i = c.start; i < c.watermark; i++)
        if (c.ids[i] >= 0 && c.ids[i] < s->next_record && times[c.ids[i]]++ > 0)
            fail(s, "record %lld is there twice", (long long)c.ids[i]);
    for (size_t id = 0; id < s->acked.count; id++) {
        int64_t offset = s->acked.items[id];
        if (offset >= c.start && (offset >= c.watermark || c.ids[offset] != (int64_t)id))
            fail(s, "acknowledged record %zu at offset %lld is lost", id, (long long)offset);
    }
    free(times);
    copy_free(&c);
}
