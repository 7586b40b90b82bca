/* Faults, and the turn of the clock. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEALTHY_MS      700 /* so long all is well, then the run is over */
#define AFTER_FAULTS_MS 1200

bool trace_enabled;

void fail(struct sim *s, const char *fmt, ...)
{
    va_list args;
    if (s->failure[0] != 0)
        return;
    va_start(args, fmt);
    int n = snprintf(s->failure, sizeof(s->failure), "t=%lld ms: ", (long long)s->now_ms);
    vsnprintf(s->failure + n, sizeof(s->failure) - (size_t)n, fmt, args);
    va_end(args);
}

void trace(const struct sim *s, const char *fmt, ...)
{
    va_list args;
    if (!trace_enabled)
        return;
    va_start(args, fmt);
    printf("%6lld ", (long long)s->now_ms);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
}

/* --- Faults --- */

static bool due(struct sim *s, enum fault kind)
{
    int every_ms = s->plan.every_ms[kind];
    return every_ms > 0 && rng_below(&s->faults, (uint64_t)every_ms) == 0;
}

static int any_node(struct sim *s)
{
    return (int)rng_below(&s->faults, (uint64_t)s->plan.nodes);
}

/* See plan.c. */
static bool may_lose(const struct sim *s, int n)
{
    for (int i = 0; i < s->plan.nodes; i++)
        if (i != n && s->nodes[i].lossy)
            return false;
    return committed_partition(s) != NULL;
}

bool may_crash(const struct sim *s, int n)
{
    return (!s->plan.write_caching && s->plan.every_ms[FAULT_WIPE] == 0) || may_lose(s, n);
}

static void crash_step(struct sim *s)
{
    int n = any_node(s);
    if (due(s, FAULT_CRASH) && may_crash(s, n))
        node_crash(s, n, false);
    n = any_node(s);
    if (due(s, FAULT_CRASH_INSIDE) && s->nodes[n].up && may_crash(s, n)) {
        s->nodes[n].lossy = true; /* from now on it is not another one's turn */
        disk_stop_after(s->nodes[n].disk, (int)rng_below(&s->faults, 12));
    }
    n = any_node(s);
    if (due(s, FAULT_WIPE) && may_lose(s, n))
        node_crash(s, n, true);
    if (due(s, FAULT_POWER)) {
        s->seen.power_losses++;
        for (int i = 0; i < s->plan.nodes; i++)
            node_crash(s, i, false);
    }
    n = any_node(s);
    if (due(s, FAULT_STOP) && s->nodes[n].up) {
        s->nodes[n].stopping = true;
        s->nodes[n].stop_by_ms = s->now_ms + 1500;
    }
}

static void pause_step(struct sim *s)
{
    struct node *node = &s->nodes[any_node(s)];
    if (due(s, FAULT_PAUSE) && node->up) {
        node->paused = true;
        node->resume_ms = s->now_ms + 50 + (int64_t)rng_below(&s->faults, 2000);
        trace(s, "node %d pauses until %lld", (int)(node - s->nodes), (long long)node->resume_ms);
    }
    node = &s->nodes[any_node(s)];
    if (due(s, FAULT_FULL)) {
        s->seen.full_disks++;
        node->full = true;
        node->full_until_ms = s->now_ms + 50 + (int64_t)rng_below(&s->faults, 1500);
        trace(s, "node %d: disk full until %lld", (int)(node - s->nodes),
              (long long)node->full_until_ms);
        disk_set_full(node->disk, true);
    }
    node = &s->nodes[any_node(s)];
    if (due(s, FAULT_SYNC))
        disk_fail_sync(node->disk);
}

static void cut(struct sim *s, int from, int to, int64_t until_ms)
{
    trace(s, "link %d -> %d is cut until %lld", from, to, (long long)until_ms);
    s->cut_until[from + 2][to + 2] = until_ms;
}

static void net_step(struct sim *s)
{
    int n = any_node(s), other = (int)rng_below(&s->faults, (uint64_t)s->plan.nodes + 1) - 1;
    int64_t until_ms = s->now_ms + 80 + (int64_t)rng_below(&s->faults, 2500);
    int ways = (int)rng_below(&s->faults, 4);
    if (due(s, FAULT_CUT) && n != other) {
        if (ways != 1)
            cut(s, n, other, until_ms);
        if (ways != 2)
            cut(s, other, n, until_ms);
        for (int i = CONTROLLER; ways == 3 && i < s->plan.nodes; i++) { /* from all others */
            s->cut_until[n + 2][i + 2] = s->cut_until[i + 2][n + 2] = until_ms;
        }
    }
    int from = (int)rng_below(&s->faults, (uint64_t)s->plan.nodes + 2) - 2;
    if (due(s, FAULT_STALL) && from != n) {
        trace(s, "link %d -> %d stalls until %lld", from, n, (long long)until_ms);
        s->stalled_until[from + 2][n + 2] = until_ms;
    }
}

/* The replicas in another order, and an election of the preferred one. */
static void operator_elect(struct sim *s)
{
    int32_t ids[REPLICAS] = {0, 1, 2};
    int k = (int)rng_below(&s->faults, REPLICAS);
    ids[0] = k;
    ids[k] = 0;
    struct buffer move = {0}, command = {0};
    struct alter_reassignment to = {.topic = SLICE(TOPIC),
                                    .replicas = ids,
                                    .replicas_count = REPLICAS,
                                    .allow_factor_change = true};
    struct command_partition which = {SLICE(TOPIC), 0};
    struct elect_leaders elect = {.partitions = &which, .partitions_count = 1};
    command_encode_alter_reassignment(&move, &to);
    quorum_command(s, &move);
    command_encode_elect_leaders(&command, &elect);
    quorum_command(s, &command);
}

static void operator_min_isr(struct sim *s)
{
    struct buffer command = {0};
    struct command_config_op op = {SLICE("min.insync.replicas"), CONFIG_SET,
                                   rng_below(&s->faults, 2) ? SLICE("2") : SLICE("1")};
    struct alter_configs c = {.topic = SLICE(TOPIC), .ops = &op, .ops_count = 1};
    command_encode_alter_configs(&command, &c);
    quorum_command(s, &command);
}

static void operator_delete(struct sim *s)
{
    const struct image_partition *p = committed_partition(s);
    struct node *node = p->leader >= 0 ? &s->nodes[p->leader] : NULL;
    if (node == NULL || !node->up || node->paused || node->full ||
        partition_leader_epoch(node->partition) != p->leader_epoch)
        return;
    int64_t start = log_start_offset(partition_log(node->partition)), now_start;
    int64_t watermark = partition_high_watermark(node->partition);
    int64_t offset = start + (int64_t)rng_below(&s->faults, (uint64_t)(watermark - start) + 1);
    if (partition_delete_records(node->partition, offset, &now_start) == ERR_NONE) {
        s->delete_offset = MAX(s->delete_offset, offset);
        s->seen.deletes++;
        trace(s, "records below %lld are deleted", (long long)offset);
    }
}

static void operator_step(struct sim *s)
{
    if (committed_partition(s) == NULL)
        return;
    if (due(s, FAULT_ELECT))
        operator_elect(s);
    if (due(s, FAULT_MIN_ISR))
        operator_min_isr(s);
    if (due(s, FAULT_DELETE))
        operator_delete(s);
    if (due(s, FAULT_CONTROLLER))
        quorum_replace_controller(s);
}

void provoke(struct sim *s, int n, int other)
{
    if (s->healing || (int)rng_below(&s->faults, 100) >= s->plan.provoke_percent)
        return;
    vec_push(&s->provoked, n);
    vec_push(&s->provoked, other);
}

static const enum fault provoked_kinds[] = {FAULT_CRASH, FAULT_WIPE,       FAULT_PAUSE, FAULT_CUT,
                                            FAULT_STALL, FAULT_CONTROLLER, FAULT_ELECT};

static void stall(struct sim *s, int from, int to, int64_t until_ms)
{
    trace(s, "link %d -> %d stalls until %lld", from, to, (long long)until_ms);
    s->stalled_until[from + 2][to + 2] = until_ms;
}

static void provoked_crash(struct sim *s, int victim, int other, bool wipe, int64_t until_ms)
{
    if (wipe ? !may_lose(s, victim) : !may_crash(s, victim))
        return;
    node_crash(s, victim, wipe);
    if (s->plan.every_ms[FAULT_STALL] > 0 && rng_below(&s->faults, 2) == 0)
        stall(s, victim, other, until_ms);
}

/* One of the faults that this seed has, on one of the two, seldom on a third. */
static void provoked_fault(struct sim *s, int n, int other)
{
    bool swap = rng_below(&s->faults, 3) == 0;
    int victim = swap ? n : other, witness = swap ? other : n;
    enum fault kind = provoked_kinds[rng_below(&s->faults, ARRAY_COUNT(provoked_kinds))];
    int64_t until_ms = s->now_ms + 50 + (int64_t)rng_below(&s->faults, 1500);
    if (rng_below(&s->faults, 5) == 0)
        victim = (int)rng_below(&s->faults, REPLICAS);
    struct node *node = &s->nodes[victim];
    if (s->plan.every_ms[kind] == 0 || !node->up)
        return;
    trace(s, "provoked: fault %d on node %d", kind, victim);
    if (kind == FAULT_CRASH || kind == FAULT_WIPE) {
        provoked_crash(s, victim, witness, kind == FAULT_WIPE, until_ms);
    } else if (kind == FAULT_PAUSE) {
        node->paused = true;
        node->resume_ms = until_ms;
    } else if (kind == FAULT_CUT) {
        cut(s, victim, CONTROLLER, until_ms);
        if (rng_below(&s->faults, 2) == 0)
            cut(s, CONTROLLER, victim, until_ms);
    } else if (kind == FAULT_STALL) {
        stall(s, rng_below(&s->faults, 2) ? witness : CONTROLLER, victim, until_ms);
    } else if (kind == FAULT_CONTROLLER) {
        quorum_replace_controller(s);
    } else {
        operator_elect(s);
    }
}

static void provoked_step(struct sim *s)
{
    while (s->provoked.count > 0) {
        int other = s->provoked.items[--s->provoked.count];
        provoked_fault(s, s->provoked.items[--s->provoked.count], other);
    }
}

static void heal(struct sim *s)
{
    s->healing = true;
    memset(s->cut_until, 0, sizeof(s->cut_until));
    memset(s->stalled_until, 0, sizeof(s->stalled_until));
    trace(s, "faults end");
}

/* --- Turn --- */

bool node_registered(const struct sim *s, int n, const struct image *img);

/* In sync again under its new registration: it has what it lost. */
static void lossy_step(struct sim *s)
{
    const struct image_partition *p = committed_partition(s);
    for (int n = 0; p != NULL && n < s->plan.nodes; n++) {
        struct node *node = &s->nodes[n];
        if (!node->lossy || !node->up || disk_is_faulty(node->disk) ||
            !node_registered(s, n, s->img))
            continue;
        for (int i = 0; i < p->isr_count; i++)
            if (p->isr[i] == n)
                node->lossy = false;
        node->lossy = node->lossy && n < REPLICAS;
    }
}

static void deliver(struct sim *s, struct message *m)
{
    if (m->to == CLIENT) {
        client_take(s, m);
    } else if (m->to != CONTROLLER) {
        if (s->nodes[m->to].up && m->incarnation == s->nodes[m->to].incarnation)
            node_take(s, m->to, m);
    } else if (m->kind == MSG_HELLO) {
        quorum_hello(s, m);
    } else {
        quorum_batch(s, m);
    }
}

static void step(struct sim *s)
{
    struct message *m;
    if (!s->healing && s->now_ms >= FAULTS_UNTIL_MS)
        heal(s);
    if (!s->healing && s->now_ms > 400) {
        crash_step(s);
        pause_step(s);
        net_step(s);
        operator_step(s);
    }
    quorum_step(s);
    for (int n = 0; n < s->plan.nodes; n++)
        node_step(s, n);
    client_step(s);
    while (s->failure[0] == 0 && (m = next_message(s)) != NULL) {
        deliver(s, m);
        message_free(m);
        check_always(s);
        provoked_step(s);
    }
    lossy_step(s);
    if (s->now_ms % 50 == 0)
        check_replicas(s);
}

static void sim_init(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    s->seed = seed;
    plan_draw(&s->plan, seed);
    rng_init(&s->net, seed * 3 + 1);
    rng_init(&s->faults, seed * 3 + 2);
    rng_init(&s->load, seed * 3 + 3);
    memset(s->leader_of_epoch, 0xff, sizeof(s->leader_of_epoch));
    quorum_init(s);
    client_init(s);
    for (int n = 0; n < s->plan.nodes; n++) {
        s->nodes[n].disk = disk_new();
        s->nodes[n].fs = disk_fs(s->nodes[n].disk);
        s->nodes[n].broker_epoch = s->nodes[n].former_epoch = s->nodes[n].clean_file = -1;
        node_start(s, n);
    }
}

static void sim_deinit(struct sim *s)
{
    struct counters seen = s->seen;
    for (int n = 0; n < s->plan.nodes; n++)
        node_crash(s, n, false);
    s->seen = seen;
    for (size_t i = 0; i < s->messages.count; i++)
        message_free(s->messages.items[i]);
    vec_deinit(&s->messages);
    vec_deinit(&s->provoked);
    for (int n = 0; n < s->plan.nodes; n++) {
        disk_free(s->nodes[n].disk);
        vec_deinit(&s->nodes[n].queue);
        vec_deinit(&s->nodes[n].parked);
    }
    quorum_deinit(s);
    vec_deinit(&s->acked);
    vec_deinit(&s->truth);
    vec_deinit(&s->producer_ids);
}

bool sim_run(struct sim *s, uint64_t seed)
{
    bool over = false;
    sim_init(s, seed);
    for (s->now_ms = 1; s->now_ms < END_MS && s->failure[0] == 0 && !over; s->now_ms++) {
        step(s);
        if (!s->healing || !is_healthy(s))
            s->healthy_since_ms = s->now_ms;
        over = s->now_ms > FAULTS_UNTIL_MS + AFTER_FAULTS_MS &&
               s->now_ms - s->healthy_since_ms > HEALTHY_MS;
    }
    if (s->failure[0] == 0 && !over)
        fail(s, "the cluster is not well again: %s", s->ill);
    if (s->failure[0] == 0)
        check_end(s);
    s->seen.simulated_ms = s->now_ms;
    sim_deinit(s);
    return s->failure[0] == 0;
}
