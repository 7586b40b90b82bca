/*
 * Who is in sync: high watermark, and proposals to shrink or expand the ISR.
 *
 * A proposal has no effect until it comes back committed. Meanwhile the high watermark waits for
 * the union of the committed and the proposed ISR (the maximal ISR, KIP-497): whichever of the two
 * is true at the controller, its members have everything below it. The same proposal, not another,
 * is sent again until the controller refuses it or any newer partition epoch arrives: either
 * outcome settles it.
 */
#include "proto/base/logging.h"
#include "proto/base/mutant.h"
#include "replication/partition_internal.h"

#include <stdio.h>

bool node_in(const int32_t *nodes, int count, int32_t node_id)
{
    for (int i = 0; i < count; i++) {
        if (nodes[i] == node_id)
            return true;
    }
    return false;
}

static bool in_isr(const struct partition *p, int32_t node_id)
{
    return node_in(p->state.isr, p->state.isr_count, node_id);
}

static bool in_maximal_isr(const struct partition *p, int32_t node_id)
{
    if (in_isr(p, node_id))
        return true;
    if (MUTANT(MUTANT_COMMITTED_ISR_ONLY))
        return false;
    return p->proposed && node_in(p->proposal.isr, p->proposal.isr_count, node_id);
}

/* The controller would refuse it: nobody waits for it, and nobody proposes it. */
static bool is_absent(const struct partition *p, int32_t node_id)
{
    for (int i = 0; i < p->state.replicas_count; i++) {
        if (p->state.replicas[i] == node_id)
            return (p->state.absent >> i & 1) != 0;
    }
    return false;
}

static void follower_init(struct follower *f, int32_t node_id)
{
    *f = (struct follower){.node_id = node_id,
                           .broker_epoch = -1,
                           .end_offset = -1,
                           .log_start_offset = -1,
                           .caught_up_ms = FOLLOWER_NEVER,
                           .fetch_ms = FOLLOWER_NEVER,
                           .fetch_leader_end = INT64_MAX};
}

void isr_reset(struct partition *p, int64_t now_ms)
{
    p->proposed = false;
    for (int i = 0; i < p->state.replicas_count; i++) {
        struct follower *f = &p->followers[i];
        follower_init(f, p->state.replicas[i]);
        /* Members get the full time to fetch from their new leader. */
        if (in_isr(p, f->node_id))
            f->caught_up_ms = now_ms;
    }
}

void isr_update(struct partition *p, const struct partition_state *before)
{
    struct follower old[REPLICAS_MAX];
    memcpy(old, p->followers, sizeof(old));
    p->proposed = false;
    for (int i = 0; i < p->state.replicas_count; i++) {
        struct follower *f = &p->followers[i];
        int32_t node_id = p->state.replicas[i];
        follower_init(f, node_id);
        for (int k = 0; k < before->replicas_count; k++) {
            if (old[k].node_id == node_id)
                *f = old[k];
        }
        /* Whoever has left is not waited for until it fetches and catches up again. */
        if (node_in(before->isr, before->isr_count, node_id) && !in_isr(p, node_id)) {
            f->caught_up_ms = FOLLOWER_NEVER;
            f->fetch_ms = FOLLOWER_NEVER;
            f->fetch_leader_end = INT64_MAX;
        }
    }
}

struct follower *isr_find_follower(struct partition *p, int32_t node_id)
{
    for (int i = 0; i < p->state.replicas_count; i++) {
        if (p->followers[i].node_id == node_id)
            return &p->followers[i];
    }
    return NULL;
}

/* Caught up as Apache Kafka counts it: at the time of this fetch if it asks for our end, else at
 * the time of the fetch before if it has by now what we had then. */
void isr_note_fetch(struct partition *p, struct follower *f, int64_t fetch_offset, int64_t now_ms)
{
    int64_t leader_end = log_end_offset(p->log);
    if (fetch_offset >= leader_end)
        f->caught_up_ms = MAX(f->caught_up_ms, now_ms);
    else if (fetch_offset >= f->fetch_leader_end)
        f->caught_up_ms = MAX(f->caught_up_ms, f->fetch_ms);
    f->end_offset = fetch_offset;
    f->fetch_ms = now_ms;
    f->fetch_leader_end = leader_end;
}

static bool is_caught_up(const struct partition *p, const struct follower *f, int64_t now_ms)
{
    return f->caught_up_ms != FOLLOWER_NEVER &&
           now_ms - f->caught_up_ms <= p->config.replica_lag_time_max_ms;
}

/* Without this wait, a follower that flushes before it fetches would chase a moving high
 * watermark. */
static bool is_joining(const struct partition *p, const struct follower *f, int64_t now_ms)
{
    return is_caught_up(p, f, now_ms) && now_ms - f->fetch_ms <= ISR_JOINING_WAIT_MS &&
           !is_absent(p, f->node_id);
}

void isr_advance_watermark(struct partition *p, int64_t now_ms, struct partition_effects *fx)
{
    if (partition_is_under_min_isr(p) && !MUTANT(MUTANT_MIN_ISR_AT_APPEND_ONLY))
        return;

    int64_t end = partition_durable_end_offset(p);
    for (int i = 0; i < p->state.replicas_count; i++) {
        const struct follower *f = &p->followers[i];
        if (f->node_id == p->node_id)
            continue;
        if (in_maximal_isr(p, f->node_id) || is_joining(p, f, now_ms))
            end = MIN(end, f->end_offset);
    }
    if (end > p->high_watermark) {
        p->high_watermark = end;
        fx->watermark_advanced = true;
    }
}

bool partition_is_replicated(const struct partition *p)
{
    if (p->role != PARTITION_LEADER)
        return true;
    int64_t end = log_end_offset(p->log);
    for (int i = 0; i < p->state.replicas_count; i++) {
        const struct follower *f = &p->followers[i];
        if (f->node_id != p->node_id && f->end_offset < end &&
            node_in(p->state.isr, p->state.isr_count, f->node_id))
            return false;
    }
    return true;
}

static void log_isr(const struct partition *p, const char *event, const struct isr_proposal *to)
{
    char from_text[REPLICAS_MAX * 12] = "", to_text[REPLICAS_MAX * 12] = "";
    for (int i = 0, at = 0; i < p->state.isr_count; i++)
        at += snprintf(from_text + at, sizeof(from_text) - (size_t)at, "%s%d", i ? "," : "",
                       p->state.isr[i]);
    for (int i = 0, at = 0; i < to->isr_count; i++)
        at +=
            snprintf(to_text + at, sizeof(to_text) - (size_t)at, "%s%d", i ? "," : "", to->isr[i]);
    LOG_INFO(event, "topic=%s partition=%d isr=%s to=%s leader_epoch=%d partition_epoch=%d",
             p->topic, p->index, from_text, to_text, to->leader_epoch, to->partition_epoch);
}

static void proposal_init(struct partition *p)
{
    p->proposal = (struct isr_proposal){.topic_id = p->topic_id,
                                        .partition = p->index,
                                        .leader_epoch = p->state.leader_epoch,
                                        .partition_epoch = p->state.partition_epoch};
}

static void proposal_add(struct partition *p, int32_t node_id)
{
    const struct follower *f = isr_find_follower(p, node_id);
    int i = p->proposal.isr_count++;
    bool known = f != NULL && node_id != p->node_id && !MUTANT(MUTANT_BROKER_EPOCH_IGNORED);
    p->proposal.isr[i] = node_id;
    p->proposal.broker_epochs[i] = known ? f->broker_epoch : -1;
}

static void proposal_send(struct partition *p, int64_t now_ms, struct partition_effects *fx)
{
    p->proposed = true;
    p->proposal_retry_ms = now_ms + 4 * ISR_PROPOSAL_RETRY_MS; /* if no answer comes at all */
    fx->propose = true;
    fx->proposal = p->proposal;
}

/* KIP-320's rule: a follower may return when it has everything below the high watermark, and the
 * high watermark of a new leader is only trusted from the start of its own epoch on. */
static bool is_in_sync(const struct partition *p, const struct follower *f)
{
    if (f->end_offset < 0 || f->end_offset < p->high_watermark)
        return false;
    /* It must not show deleted records if it leads next. */
    if (f->log_start_offset < log_start_offset(p->log))
        return false;
    return MUTANT(MUTANT_EXPAND_BELOW_EPOCH) || f->end_offset >= p->epoch_start_offset;
}

void isr_expand(struct partition *p, const struct follower *f, int64_t now_ms,
                struct partition_effects *fx)
{
    if (p->proposed || in_isr(p, f->node_id) || !is_in_sync(p, f) || is_absent(p, f->node_id) ||
        now_ms < p->proposal_retry_ms)
        return;
    proposal_init(p);
    for (int i = 0; i < p->state.isr_count; i++)
        proposal_add(p, p->state.isr[i]);
    proposal_add(p, f->node_id);
    log_isr(p, "isr expansion proposed", &p->proposal);
    proposal_send(p, now_ms, fx);
}

void isr_shrink(struct partition *p, int64_t now_ms, struct partition_effects *fx)
{
    if (p->proposed || now_ms < p->proposal_retry_ms)
        return;
    proposal_init(p);
    for (int i = 0; i < p->state.isr_count; i++) {
        const struct follower *f = isr_find_follower(p, p->state.isr[i]);
        if (p->state.isr[i] == p->node_id || f == NULL || is_caught_up(p, f, now_ms) ||
            f->end_offset == log_end_offset(p->log))
            proposal_add(p, p->state.isr[i]);
    }
    if (p->proposal.isr_count == p->state.isr_count)
        return;
    log_isr(p, "isr shrink proposed", &p->proposal);
    proposal_send(p, now_ms, fx);
}

void isr_retry(struct partition *p, int64_t now_ms, struct partition_effects *fx)
{
    if (p->proposed && now_ms >= p->proposal_retry_ms)
        proposal_send(p, now_ms, fx);
}

static bool same_proposal(const struct isr_proposal *a, const struct isr_proposal *b)
{
    return a->leader_epoch == b->leader_epoch && a->partition_epoch == b->partition_epoch &&
           a->isr_count == b->isr_count &&
           memcmp(a->isr, b->isr, (size_t)a->isr_count * sizeof(*a->isr)) == 0 &&
           memcmp(a->broker_epochs, b->broker_epochs,
                  (size_t)a->isr_count * sizeof(*a->broker_epochs)) == 0;
}

void partition_proposal_failed(struct partition *p, const struct isr_proposal *proposal,
                               enum error_code err, int64_t now_ms)
{
    /* A proposal that was repeated is answered twice: the second time another one may be out. */
    if (!p->proposed ||
        (!same_proposal(&p->proposal, proposal) && !MUTANT(MUTANT_ANY_REFUSAL_SETTLES)))
        return;
    LOG_INFO("isr proposal refused", "topic=%s partition=%d error=%s", p->topic, p->index,
             error_name(err));
    p->proposal_retry_ms = now_ms + ISR_PROPOSAL_RETRY_MS;
    if (err != ERR_INELIGIBLE_REPLICA && err != ERR_OPERATION_NOT_ATTEMPTED)
        return; /* it may have been accepted: it stays in the maximal ISR until that is known */

    p->proposed = false;
    for (int i = 0; i < p->proposal.isr_count; i++) {
        struct follower *f = isr_find_follower(p, p->proposal.isr[i]);
        if (f != NULL && !in_isr(p, f->node_id))
            f->caught_up_ms = FOLLOWER_NEVER; /* fenced: the high watermark does not wait for it */
    }
}
