/* ListTransactions (KIP-664, 994, 1152): what this node coordinates, filtered. */
#include <regex.h>
#include <stdlib.h>

#include "broker/node.h"
#include "broker/txns.h"
#include "coord/txn.h"

struct filters {
    const struct list_transactions_request *in;
    bool states[TXN_COMPLETE_ABORT + 1]; /* wanted; all when none was named */
    bool by_state;
    bool by_pattern;
    regex_t pattern;
    int64_t now_ms;
};

static void states_read(struct request *req, struct filters *f,
                        struct list_transactions_response *out)
{
    const struct list_transactions_request *in = f->in;
    f->by_state = in->state_filters_count > 0;
    out->unknown_state_filters =
        arena_need(&req->arena, ((size_t)MAX(in->state_filters_count, 0) + 1) *
                                    sizeof(*out->unknown_state_filters));
    FOR_EACH (name, in->state_filters, in->state_filters_count) {
        bool known = slice_equals_text(*name, "Dead") ||
                     slice_equals_text(*name, "PrepareEpochFence"); /* never to be seen here */
        for (int s = TXN_EMPTY; s <= TXN_COMPLETE_ABORT; s++)
            if (slice_equals_text(*name, txn_state_name((enum txn_state)s)))
                known = f->states[s] = true;
        if (!known)
            out->unknown_state_filters[out->unknown_state_filters_count++] = *name;
    }
}

/* The whole id has to match. */
static enum error_code pattern_read(struct request *req, struct filters *f)
{
    struct slice pattern = f->in->transactional_id_pattern;
    f->by_pattern = pattern.size > 0;
    if (!f->by_pattern)
        return ERR_NONE;
    struct slice whole = arena_printf(&req->arena, "^(" SLICE_FMT ")$", SLICE_ARG(pattern));
    char *text = slice_to_text(whole);
    int rc = regcomp(&f->pattern, text, REG_EXTENDED | REG_NOSUB);
    free(text);
    f->by_pattern = rc == 0;
    return rc == 0 ? ERR_NONE : ERR_INVALID_REGULAR_EXPRESSION;
}

static bool id_matches(const struct filters *f, struct slice id)
{
    if (!f->by_pattern)
        return true;
    char *text = slice_to_text(id);
    bool matches = regexec(&f->pattern, text, 0, NULL, 0) == 0;
    free(text);
    return matches;
}

static bool is_wanted(const struct request *req, const struct filters *f, const struct txn *t)
{
    const struct list_transactions_request *in = f->in;
    if (req->image->slots[image_slot_of(t->id)].node_id != req->node->id)
        return false;
    if (f->by_state && !f->states[t->state])
        return false;
    bool by_producer = in->producer_id_filters_count <= 0;
    FOR_EACH (id, in->producer_id_filters, in->producer_id_filters_count)
        by_producer = by_producer || *id == t->producer_id;
    bool runs = t->state == TXN_ONGOING || txn_is_ending(t->state);
    if (in->duration_filter >= 0 && (!runs || f->now_ms - t->start_ms <= in->duration_filter))
        return false;
    return by_producer && id_matches(f, t->id);
}

static void list(struct request *req, const struct filters *f,
                 struct list_transactions_response *out)
{
    struct stored_txn *all;
    int count;
    if (quorum_list_txns(req->node->quorum, TXN_EMPTY, TXN_COMPLETE_ABORT, &req->arena, &all,
                         &count) < 0) {
        out->error_code = ERR_COORDINATOR_NOT_AVAILABLE;
        return;
    }
    out->transaction_states =
        arena_need(&req->arena, ((size_t)count + 1) * sizeof(*out->transaction_states));
    FOR_EACH (stored, all, count) {
        struct txn *t;
        if (txn_decode(stored->id, stored->value, &t) != 0)
            continue;
        if (is_wanted(req, f, t)) {
            struct list_transactions_response_transaction_state *o =
                &out->transaction_states[out->transaction_states_count++];
            o->transactional_id = stored->id;
            o->producer_id = t->producer_id;
            o->transaction_state = slice_from_text(txn_state_name(t->state));
        }
        txn_free(t);
    }
}

HANDLER(list_transactions)
{
    thread_assert(&NET);
    struct filters f = {.in = in, .now_ms = txns_clock_ms(req->node)};
    if (req->image == NULL) {
        out->error_code = ERR_COORDINATOR_NOT_AVAILABLE;
        request_reply(req);
        return;
    }
    states_read(req, &f, out);
    out->error_code = (int16_t)pattern_read(req, &f);
    if (out->error_code == ERR_NONE)
        list(req, &f, out);
    if (f.by_pattern)
        regfree(&f.pattern);
    request_reply(req);
}
