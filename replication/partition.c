/*
 * One replica of one partition: see partition.h. ISR and high watermark: isr.c.
 */
#include "replication/partition.h"

#include "proto/base/logging.h"
#include "proto/base/mutant.h"
#include "proto/records.h"
#include "replication/partition_internal.h"

#include <stdlib.h>

struct partition *partition_new(int32_t node_id, struct slice topic, struct uuid topic_id,
                                int32_t index, const struct partition_config *config,
                                struct log *log, int64_t high_watermark)
{
    struct partition *p = mem_zalloc(sizeof(*p));
    p->node_id = node_id;
    p->topic = slice_to_text(topic);
    p->topic_id = topic_id;
    p->index = index;
    p->config = *config;
    p->log = log;
    p->state.leader = -1;
    p->state.leader_epoch = -1;
    p->state.partition_epoch = -1;
    /* After an unclean stop the checkpoint may speak of records that are gone. */
    p->high_watermark = MAX(high_watermark, log_start_offset(log));
    p->high_watermark = MIN(p->high_watermark, log_end_offset(log));
    return p;
}

void partition_free(struct partition *p)
{
    if (p == NULL)
        return;
    if (p->log != NULL)
        log_close(p->log);
    free(p->topic);
    free(p);
}

struct log *partition_take_log(struct partition *p)
{
    struct log *log = p->log;
    p->log = NULL;
    return log;
}

void partition_configure(struct partition *p, const struct partition_config *config)
{
    p->config = *config;
    log_configure(p->log, &config->log);
}

/* --- Roles --- */

static enum error_code become_leader(struct partition *p, int64_t now_ms)
{
    p->epoch_start_offset = log_end_offset(p->log);
    enum error_code err = ERR_NONE;
    if (!MUTANT(MUTANT_NO_EMPTY_EPOCHS))
        err = log_begin_epoch(p->log, p->state.leader_epoch);
    isr_reset(p, now_ms);
    p->proposal_retry_ms = now_ms;
    LOG_INFO("became leader",
             "topic=%s partition=%d leader_epoch=%d start=%lld high_watermark=%lld", p->topic,
             p->index, p->state.leader_epoch, (long long)p->epoch_start_offset,
             (long long)p->high_watermark);
    return err;
}

static enum error_code become_follower(struct partition *p, int64_t now_ms)
{
    p->proposed = false;
    LOG_INFO("became follower", "topic=%s partition=%d leader=%d leader_epoch=%d end=%lld",
             p->topic, p->index, p->state.leader, p->state.leader_epoch,
             (long long)log_end_offset(p->log));
    if (MUTANT(MUTANT_TRUNCATE_TO_WATERMARK) && p->state.leader >= 0)
        return log_truncate(p->log, p->high_watermark, now_ms);
    return ERR_NONE;
}

static bool is_newer(const struct partition *p, const struct partition_state *state)
{
    if (state->leader_epoch != p->state.leader_epoch)
        return state->leader_epoch > p->state.leader_epoch;
    return state->partition_epoch > p->state.partition_epoch;
}

enum error_code partition_apply(struct partition *p, const struct partition_state *state,
                                int64_t now_ms, struct partition_effects *fx)
{
    CHECK(state->replicas_count <= REPLICAS_MAX && state->isr_count <= REPLICAS_MAX);
    p->clock_ms = MAX(p->clock_ms, now_ms);
    if (!is_newer(p, state)) {
        if (state->partition_epoch == p->state.partition_epoch)
            p->state.absent = state->absent;
        return ERR_NONE;
    }

    struct partition_state before = p->state;
    p->state = *state;
    enum partition_role role = state->leader == p->node_id ? PARTITION_LEADER : PARTITION_FOLLOWER;
    enum error_code err = ERR_NONE;
    if (state->leader_epoch > before.leader_epoch) {
        p->role = role;
        fx->role_changed = true;
        err = role == PARTITION_LEADER ? become_leader(p, now_ms) : become_follower(p, now_ms);
    } else if (role == PARTITION_LEADER) {
        isr_update(p, &before);
    }
    if (p->role == PARTITION_LEADER)
        isr_advance_watermark(p, now_ms, fx);
    if (log_flushed_end_offset(p->log) < log_end_offset(p->log))
        fx->appended = true;
    return err;
}

/* --- Leader --- */

static enum error_code check_append(const struct partition *p, int16_t acks)
{
    if (p->role != PARTITION_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (acks == -1 && partition_is_under_min_isr(p))
        return ERR_NOT_ENOUGH_REPLICAS;
    return ERR_NONE;
}

/* The result of an idempotent batch that is here already: it waits for its own old end, not for
 * ours. */
static void result_duplicate(const struct batch_header *header, int64_t base_offset,
                             int64_t append_time_ms, struct partition_append_result *out)
{
    out->duplicate = true;
    out->base_offset = base_offset;
    out->end_offset = base_offset + header->last_offset_delta + 1;
    out->log_append_time_ms = batch_is_log_append_time(header) ? append_time_ms : -1;
}

enum error_code partition_append(struct partition *p, uint8_t *batch, size_t size,
                                 const struct batch_header *header, int16_t acks, int64_t now_ms,
                                 struct partition_append_result *out, struct partition_effects *fx)
{
    *out = (struct partition_append_result){
        .base_offset = -1, .log_append_time_ms = -1, .log_start_offset = log_start_offset(p->log)};
    enum error_code err = check_append(p, acks);
    if (err != ERR_NONE)
        return err;

    if (batch_has_producer(header) && !MUTANT(MUTANT_DEDUPLICATION_OFF)) {
        int64_t base_offset = -1, append_time_ms = -1;
        switch (log_check_producer(p->log, header, now_ms, &err, &base_offset, &append_time_ms)) {
        case PRODUCER_OK:
            break;
        case PRODUCER_DUPLICATE:
            result_duplicate(header, base_offset, append_time_ms, out);
            return ERR_NONE;
        case PRODUCER_REFUSED:
            out->gap_of_before =
                err == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER &&
                log_producer_last_offset(p->log, header->producer_id) < p->epoch_start_offset;
            return err;
        }
    }

    err = log_append(p->log, batch, size, p->state.leader_epoch, now_ms, &out->base_offset);
    if (err != ERR_NONE)
        return err;
    out->end_offset = log_end_offset(p->log);
    if (batch_is_log_append_time(header))
        out->log_append_time_ms = header->max_timestamp;
    fx->appended = true;
    isr_advance_watermark(p, p->clock_ms, fx);
    return ERR_NONE;
}

void partition_flushed(struct partition *p, int64_t now_ms, struct partition_effects *fx)
{
    p->clock_ms = MAX(p->clock_ms, now_ms);
    if (p->role == PARTITION_LEADER)
        isr_advance_watermark(p, now_ms, fx);
}

/* Does the history of someone who has `epoch` up to `offset` leave ours? true: where ours ended. */
static bool diverges(const struct partition *p, int32_t epoch, int64_t offset, int32_t *our_epoch,
                     int64_t *our_end_offset)
{
    if (epoch < 0)
        return false;
    log_epoch_end(p->log, epoch, our_epoch, our_end_offset);
    if (*our_end_offset < 0)
        return false;
    if (MUTANT(MUTANT_LOOKUP_WITHOUT_EPOCH))
        return *our_end_offset < offset;
    return *our_epoch < epoch || *our_end_offset < offset;
}

enum error_code partition_follower_fetched(struct partition *p, const struct follower_fetch *fetch,
                                           int64_t now_ms, struct partition_effects *fx)
{
    p->clock_ms = MAX(p->clock_ms, now_ms);
    enum error_code err = partition_check_leader(p, fetch->leader_epoch);
    if (err != ERR_NONE)
        return err;
    struct follower *f = isr_find_follower(p, fetch->replica);
    if (f == NULL || fetch->replica == p->node_id)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (f->broker_epoch > fetch->broker_epoch && fetch->broker_epoch >= 0)
        return ERR_STALE_BROKER_EPOCH;

    int32_t our_epoch;
    int64_t our_end_offset;
    if (diverges(p, fetch->last_fetched_epoch, fetch->fetch_offset, &our_epoch, &our_end_offset))
        return ERR_NONE;
    if (fetch->fetch_offset < log_start_offset(p->log) ||
        fetch->fetch_offset > log_end_offset(p->log))
        return ERR_OFFSET_OUT_OF_RANGE;

    f->broker_epoch = MAX(f->broker_epoch, fetch->broker_epoch);
    f->log_start_offset = fetch->log_start_offset;
    isr_note_fetch(p, f, fetch->fetch_offset, now_ms);
    isr_advance_watermark(p, now_ms, fx);
    isr_expand(p, f, now_ms, fx);
    return ERR_NONE;
}

void partition_tick(struct partition *p, int64_t now_ms, struct partition_effects *fx)
{
    p->clock_ms = MAX(p->clock_ms, now_ms);
    if (p->role != PARTITION_LEADER)
        return;
    isr_retry(p, now_ms, fx);
    isr_shrink(p, now_ms, fx);
    isr_advance_watermark(p, now_ms, fx);
    for (int i = 0; i < p->state.replicas_count && !p->proposed; i++) {
        const struct follower *f = &p->followers[i];
        if (f->node_id != p->node_id && now_ms - f->fetch_ms <= ISR_JOINING_WAIT_MS)
            isr_expand(p, f, now_ms, fx);
    }
}

/* --- Reading --- */

static enum error_code check_epoch(const struct partition *p, int32_t current_leader_epoch)
{
    if (current_leader_epoch < 0 || MUTANT(MUTANT_FETCH_OF_ANY_EPOCH))
        return ERR_NONE;
    if (current_leader_epoch < p->state.leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    return current_leader_epoch > p->state.leader_epoch ? ERR_UNKNOWN_LEADER_EPOCH : ERR_NONE;
}

enum error_code partition_check_leader(const struct partition *p, int32_t current_leader_epoch)
{
    enum error_code err = check_epoch(p, current_leader_epoch);
    if (err != ERR_NONE)
        return err;
    return p->role == PARTITION_LEADER ? ERR_NONE : ERR_NOT_LEADER_OR_FOLLOWER;
}

enum error_code partition_check_readable(const struct partition *p, int32_t current_leader_epoch)
{
    enum error_code err = check_epoch(p, current_leader_epoch);
    if (err != ERR_NONE)
        return err;
    return p->role != PARTITION_NONE ? ERR_NONE : ERR_NOT_LEADER_OR_FOLLOWER;
}

int32_t partition_preferred_replica(const struct partition *p, int64_t offset, const int32_t *near,
                                    int near_count)
{
    const struct follower *best = NULL;
    if (p->role != PARTITION_LEADER || node_in(near, near_count, p->node_id))
        return p->node_id;
    for (int i = 0; i < p->state.replicas_count; i++) {
        const struct follower *f = &p->followers[i];
        if (!node_in(near, near_count, f->node_id) ||
            !node_in(p->state.isr, p->state.isr_count, f->node_id) || f->end_offset < offset ||
            f->log_start_offset < 0 || f->log_start_offset > offset)
            continue;
        if (best == NULL || f->end_offset > best->end_offset)
            best = f;
    }
    return best != NULL ? best->node_id : p->node_id;
}

static int64_t read_end(const struct partition *p, enum partition_read_upto upto)
{
    if (upto == READ_TO_LAST_STABLE)
        return log_last_stable_offset(p->log, p->high_watermark);
    return upto == READ_TO_LOG_END ? log_end_offset(p->log) : p->high_watermark;
}

enum error_code partition_read(struct partition *p, int64_t offset, int32_t last_fetched_epoch,
                               enum partition_read_upto upto, int32_t bytes_max, bool at_least_one,
                               struct partition_read *out)
{
    *out = (struct partition_read){.high_watermark = p->high_watermark,
                                   .last_stable_offset =
                                       log_last_stable_offset(p->log, p->high_watermark),
                                   .log_start_offset = log_start_offset(p->log),
                                   .diverging_epoch = -1,
                                   .diverging_end_offset = -1};
    if (diverges(p, last_fetched_epoch, offset, &out->diverging_epoch,
                 &out->diverging_end_offset)) {
        out->diverging = true;
        return ERR_NONE;
    }
    out->diverging_epoch = -1;
    out->diverging_end_offset = -1;

    /* An epoch older than all we know: retention took it, and the asker's place with it. */
    int32_t epoch = -1;
    int64_t epoch_end = -1;
    if (last_fetched_epoch >= 0)
        log_epoch_end(p->log, last_fetched_epoch, &epoch, &epoch_end);
    if (offset < out->log_start_offset || offset > log_end_offset(p->log) ||
        (last_fetched_epoch >= 0 && epoch_end < 0 && offset > out->log_start_offset))
        return ERR_OFFSET_OUT_OF_RANGE;

    int64_t end_offset = read_end(p, upto);
    if (offset >= end_offset || bytes_max < 0 || (bytes_max == 0 && !at_least_one))
        return ERR_NONE;
    struct log_read_limits limits = {
        .end_offset = end_offset, .bytes_max = bytes_max, .at_least_one = at_least_one};
    return log_read(p->log, offset, &limits, &out->log);
}

static enum error_code list_latest(const struct partition *p, enum partition_read_upto upto,
                                   int64_t *offset)
{
    if (upto != READ_TO_LOG_END && !partition_watermark_is_known(p))
        return ERR_OFFSET_NOT_AVAILABLE;
    *offset = read_end(p, upto);
    return ERR_NONE;
}

static enum error_code list_by_time(struct partition *p, int64_t timestamp,
                                    enum partition_read_upto upto, int64_t *offset,
                                    int64_t *record_timestamp, int32_t *leader_epoch)
{
    enum error_code err = log_find_timestamp(p->log, timestamp, read_end(p, upto), offset,
                                             record_timestamp, leader_epoch);
    if (err == ERR_NONE && *offset < 0 && upto != READ_TO_LOG_END &&
        !partition_watermark_is_known(p))
        return ERR_OFFSET_NOT_AVAILABLE; /* it may be above what we know to be committed */
    return err;
}

enum error_code partition_list_offset(struct partition *p, int64_t timestamp,
                                      enum partition_read_upto upto, int64_t *offset,
                                      int64_t *record_timestamp, int32_t *leader_epoch)
{
    *offset = -1;
    *record_timestamp = -1;
    *leader_epoch = -1;
    switch (timestamp) {
    case -1:
        *leader_epoch = p->state.leader_epoch;
        return list_latest(p, upto, offset);
    case -2:
    case -4:
        *offset = log_start_offset(p->log);
        *leader_epoch = log_epoch_at(p->log, *offset);
        return ERR_NONE;
    case -3:
        *record_timestamp = log_max_timestamp(p->log, offset);
        if (*offset >= read_end(p, upto))
            return list_by_time(p, *record_timestamp, upto, offset, record_timestamp, leader_epoch);
        if (*offset >= 0)
            *leader_epoch = log_epoch_at(p->log, *offset);
        return ERR_NONE;
    default:
        if (timestamp < 0)
            return timestamp == -5 ? ERR_NONE : ERR_UNSUPPORTED_VERSION; /* nothing is tiered */
        return list_by_time(p, timestamp, upto, offset, record_timestamp, leader_epoch);
    }
}

enum error_code partition_epoch_end(struct partition *p, int32_t asked, int32_t *epoch,
                                    int64_t *end_offset)
{
    *epoch = -1;
    *end_offset = -1;
    if (p->role == PARTITION_NONE)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (asked > p->state.leader_epoch)
        return ERR_NONE; /* it never was, as far as we know */
    log_epoch_end(p->log, asked, epoch, end_offset);
    return ERR_NONE;
}

enum error_code partition_delete_records(struct partition *p, int64_t offset, int64_t *log_start)
{
    *log_start = log_start_offset(p->log);
    if (p->role != PARTITION_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (offset == -1)
        offset = p->high_watermark;
    if (offset < 0 || offset > p->high_watermark)
        return ERR_OFFSET_OUT_OF_RANGE;
    enum error_code err = ERR_NONE;
    if (offset > *log_start)
        err = log_raise_start(p->log, offset);
    *log_start = log_start_offset(p->log);
    return err;
}

int64_t partition_low_watermark(const struct partition *p)
{
    int64_t low = log_start_offset(p->log);
    bool all = partition_is_under_min_isr(p); /* one that left may be eligible, and lead next */
    for (int i = 0; i < p->state.replicas_count; i++) {
        const struct follower *f = &p->followers[i];
        if (f->node_id != p->node_id &&
            (all || node_in(p->state.isr, p->state.isr_count, f->node_id)))
            low = MIN(low, f->log_start_offset);
    }
    return low;
}

/* --- Follower --- */

bool partition_fetch_position(const struct partition *p, int64_t *fetch_offset,
                              int32_t *last_fetched_epoch, int32_t *leader_epoch)
{
    *fetch_offset = log_end_offset(p->log);
    *last_fetched_epoch = log_latest_epoch(p->log, &(int64_t){0});
    *leader_epoch = p->state.leader_epoch;
    if (p->role != PARTITION_FOLLOWER || p->state.leader < 0)
        return false;
    /* The leader counts what we ask for as being on our disk. */
    return partition_durable_end_offset(p) >= *fetch_offset || MUTANT(MUTANT_FETCH_BEFORE_FLUSH);
}

static enum error_code truncate_to(struct partition *p, int64_t offset, int64_t now_ms,
                                   const char *reason, struct partition_effects *fx)
{
    int64_t end = log_end_offset(p->log);
    if (offset < p->high_watermark)
        LOG_WARN("truncating below high watermark",
                 "topic=%s partition=%d offset=%lld high_watermark=%lld reason=%s", p->topic,
                 p->index, (long long)offset, (long long)p->high_watermark, reason);
    else
        LOG_INFO("truncating", "topic=%s partition=%d offset=%lld end=%lld reason=%s", p->topic,
                 p->index, (long long)offset, (long long)end, reason);
    if (MUTANT(MUTANT_KEEP_EPOCHS_AT_END) && offset == end)
        return ERR_NONE;
    fx->cut = true;
    fx->cut_to = offset;
    enum error_code err = log_truncate(p->log, offset, now_ms);
    p->high_watermark = MIN(p->high_watermark, log_end_offset(p->log));
    return err;
}

/* The leader's history ends at (epoch, end_offset) where ours goes on. We cut at the smaller end of
 * that epoch; if we do not have that epoch, at the end of our largest one below it, and ask again
 * (KIP-279). */
static enum error_code truncate_diverging(struct partition *p, const struct fetched *answer,
                                          int64_t now_ms, struct partition_effects *fx)
{
    int32_t epoch;
    int64_t end_offset;
    log_epoch_end(p->log, answer->diverging_epoch, &epoch, &end_offset);
    int64_t offset = epoch == answer->diverging_epoch
                         ? MIN(end_offset, answer->diverging_end_offset)
                         : end_offset;
    if (end_offset < 0)
        offset = 0; /* all that we have is of later epochs, and none of it is the leader's */
    offset = MAX(offset, log_start_offset(p->log));
    return truncate_to(p, MIN(offset, log_end_offset(p->log)), now_ms, "diverging_epoch", fx);
}

/* Never fatal (F61): either the leader has nothing as old as our end, or we are ahead of it without
 * an epoch to compare. Old leaders' answers without offsets change nothing; the fetcher backs
 * off. */
static enum error_code recover_out_of_range(struct partition *p, const struct fetched *answer,
                                            int64_t now_ms, struct partition_effects *fx)
{
    if (answer->log_start_offset < 0 || answer->high_watermark < 0)
        return ERR_NONE;
    int64_t end = log_end_offset(p->log);
    /* Within the leader's range and refused all the same: no epoch of ours is known to it. */
    if (answer->log_start_offset > end || answer->high_watermark >= end) {
        LOG_WARN("starting over at the leader's log start",
                 "topic=%s partition=%d end=%lld leader_start=%lld", p->topic, p->index,
                 (long long)end, (long long)answer->log_start_offset);
        fx->cut = true;
        fx->cut_to = 0;
        enum error_code err = log_truncate_fully(p->log, answer->log_start_offset);
        if (err == ERR_NONE)
            p->high_watermark = answer->log_start_offset;
        return err;
    }
    return truncate_to(p, MAX(MIN(end, answer->high_watermark), log_start_offset(p->log)), now_ms,
                       "out_of_range", fx);
}

static enum error_code append_fetched(struct partition *p, struct slice records, int64_t now_ms,
                                      struct partition_effects *fx)
{
    int64_t end = log_end_offset(p->log);
    struct batch_header header;
    if (records.size < BATCH_HEADER_SIZE)
        return ERR_NONE; /* a part of a batch: ask again */
    if (batch_header_decode(records, &header) != 0)
        return ERR_CORRUPT_MESSAGE;
    if (header.base_offset < end)
        return ERR_NONE; /* an answer to an earlier position */
    enum error_code err = log_append_as_follower(p->log, records, now_ms);
    if (log_end_offset(p->log) > end)
        fx->appended = true;
    return err;
}

static void take_watermark(struct partition *p, int64_t high_watermark,
                           struct partition_effects *fx)
{
    int64_t to = MIN(high_watermark, log_end_offset(p->log));
    if (to > p->high_watermark) {
        p->high_watermark = to;
        fx->watermark_advanced = true;
    }
}

enum error_code partition_fetched(struct partition *p, const struct fetched *answer, int64_t now_ms,
                                  struct partition_effects *fx)
{
    if (p->role != PARTITION_FOLLOWER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (answer->leader_epoch != p->state.leader_epoch && !MUTANT(MUTANT_ANSWER_OF_ANY_EPOCH))
        return ERR_NONE;
    if (answer->error_code == ERR_OFFSET_OUT_OF_RANGE)
        return recover_out_of_range(p, answer, now_ms, fx);
    if (answer->error_code != ERR_NONE)
        return answer->error_code;
    if (answer->diverging_epoch >= 0) {
        if (MUTANT(MUTANT_WATERMARK_FIRST) && !p->watermark_taken_early) {
            p->watermark_taken_early = true;
            take_watermark(p, answer->high_watermark, fx);
            return ERR_NONE;
        }
        p->watermark_taken_early = false;
        return truncate_diverging(p, answer, now_ms, fx);
    }

    enum error_code err = append_fetched(p, answer->records, now_ms, fx);
    if (err != ERR_NONE)
        return err;
    take_watermark(p, answer->high_watermark, fx);
    int64_t start = MIN(answer->log_start_offset, p->high_watermark);
    if (start > log_start_offset(p->log))
        err = log_raise_start(p->log, start);
    return err;
}

/* --- Facts --- */

bool partition_is_under_min_isr(const struct partition *p)
{
    return p->state.isr_count < MIN(p->config.min_insync_replicas, p->state.replicas_count);
}

int64_t partition_durable_end_offset(const struct partition *p)
{
    if (p->config.write_caching || MUTANT(MUTANT_COUNT_UNSYNCED))
        return log_end_offset(p->log);
    return log_flushed_end_offset(p->log);
}

bool partition_watermark_is_known(const struct partition *p)
{
    return p->role != PARTITION_LEADER || p->high_watermark >= p->epoch_start_offset;
}

int partition_isr(const struct partition *p, int32_t isr[REPLICAS_MAX])
{
    memcpy(isr, p->state.isr, sizeof(p->state.isr));
    return p->state.isr_count;
}

enum partition_role partition_role(const struct partition *p)
{
    return p->role;
}

int32_t partition_leader(const struct partition *p)
{
    return p->state.leader;
}

int32_t partition_leader_epoch(const struct partition *p)
{
    return p->state.leader_epoch;
}

int64_t partition_high_watermark(const struct partition *p)
{
    return p->high_watermark;
}

struct log *partition_log(struct partition *p)
{
    return p->log;
}
