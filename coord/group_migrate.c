/*
 * A live group from one protocol to the other (KIP-848): a classic group when the first member of
 * the consumer protocol joins, and back when the last one is gone.
 */
#include <errno.h>

#include "coord/group_consumer_internal.h"
#include "coord/group_embedded.h"
#include "proto/wire.h"

/* --- Classic to consumer --- */

/* Of the chosen protocol; of the first one while none is chosen. */
static struct slice subscription_of(const struct group_classic *classic,
                                    const struct group_member *m)
{
    struct slice chosen = group_member_metadata(classic, m);
    return chosen.size > 0 || m->protocols_count == 0 ? chosen : m->protocols[0].metadata;
}

/* What it was given, and what it says to have: during a rebalance it may be told nothing yet. */
static int partitions_fill(const struct group_member *from, const struct image *img,
                           const struct embedded_subscription *sub,
                           const struct partition_set *taken, struct partition_set *out)
{
    bool custom = false;
    if (embedded_assignment_decode(from->assignment, img, out, &custom) < 0 || custom)
        return -EBADMSG;
    partition_set_sort(out);
    partition_set_add(out, &sub->owned);
    partition_set_drop(out, taken);
    return 0;
}

static int member_upgrade(struct group_consumer *g, const struct group_classic *classic,
                          const struct group_member *from, const struct consumer_event *event,
                          struct partition_set *taken)
{
    struct arena arena;
    struct embedded_subscription sub;
    arena_init(&arena, 0);
    int rc = embedded_subscription_decode(subscription_of(classic, from), event->img, &arena, &sub);
    if (rc == 0) {
        struct consumer_member *m = consumer_member_create(g, from->id);
        m->instance_id = group_slice_copy(from->instance_id);
        m->rack = group_slice_copy(sub.rack);
        group_slice_set(&m->client_id, from->client_id);
        group_slice_set(&m->client_host, from->client_host);
        m->rebalance_timeout_ms = from->rebalance_timeout_ms;
        m->epoch = m->previous_epoch = classic->generation;
        consumer_names_set(&m->topics, sub.topics, sub.topics_count);
        consumer_classic_set(m, from->session_timeout_ms, from->protocols, from->protocols_count);
        m->session_deadline_ms = event->now_ms + from->session_timeout_ms;
        rc = partitions_fill(from, event->img, &sub, taken, &m->assigned);
        partition_set_copy(&m->target, &m->assigned);
        partition_set_add(taken, &m->assigned);
        partition_set_deinit(&sub.owned);
    }
    arena_deinit(&arena);
    return rc;
}

int group_consumer_from_classic(struct group_consumer *g, struct group_classic *classic,
                                const struct consumer_event *event, struct group_effects *fx)
{
    struct partition_set taken = {0};
    int rc = slice_equals_text(classic->protocol_type, "consumer") ? 0 : -EBADMSG;
    GROUP_MEMBERS(from, classic)
    {
        if (rc == 0)
            rc = member_upgrade(g, classic, from, event, &taken);
    }
    partition_set_deinit(&taken);
    if (rc < 0)
        return rc;
    g->epoch = g->assignment_epoch = classic->generation;
    g->writes = classic->writes;
    g->writes_ended = classic->writes_ended;
    g->unwritten = true;
    /* Who waits joins again, now as a member of this group. */
    group_classic_abandon(classic, ERR_REBALANCE_IN_PROGRESS, fx);
    return 0;
}

/* --- Consumer to classic --- */

bool group_consumer_is_classic_only(const struct group_consumer *g)
{
    return g->members_count > 0 && consumer_classic_count(g) == g->members_count;
}

static void member_downgrade(struct group_classic *classic, const struct consumer_member *from)
{
    struct group_join in = {.instance_id = from->instance_id,
                            .client_id = from->client_id,
                            .client_host = from->client_host,
                            .session_timeout_ms = from->classic.session_ms,
                            .rebalance_timeout_ms = from->rebalance_timeout_ms,
                            .protocols = from->classic.protocols,
                            .protocols_count = from->classic.protocols_count};
    struct group_member *m = group_member_new(from->id, &in);
    m->is_new = false;
    m->synced = true;
    m->deadline_ms = from->session_deadline_ms;
    group_member_add(classic, m);
}

static void assignment_downgrade(struct group_classic *classic, const struct consumer_member *from,
                                 const struct image *img)
{
    struct group_member *m = group_member_find(classic, from->id);
    struct wire_reader r;
    struct buffer assignment = {0};
    wire_reader_init(&r, group_member_metadata(classic, m), NULL);
    embedded_assignment_encode(&from->target, img, wire_get_i16(&r), &assignment);
    group_slice_set(&m->assignment, buffer_slice(&assignment));
    buffer_deinit(&assignment);
}

void group_consumer_to_classic(struct group_consumer *g, struct group_classic *classic,
                               const struct consumer_event *event, struct group_effects *fx)
{
    CHECK(group_consumer_is_classic_only(g) && classic->members_count == 0);
    CONSUMER_MEMBERS(from, g)
    member_downgrade(classic, from);
    group_slice_set(&classic->protocol_type, SLICE("consumer"));
    group_slice_set(&classic->protocol_name, group_protocol_select(classic));
    CONSUMER_MEMBERS(from, g)
    assignment_downgrade(classic, from, event->img);
    classic->state = GROUP_STABLE;
    classic->generation = g->epoch;
    classic->writes = g->writes;
    classic->writes_ended = g->writes_ended;
    consumer_answers_end(g, fx);
    group_persist(classic, fx);
    group_rebalance(classic, event->now_ms, fx);
}
