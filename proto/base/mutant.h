/*
 * Hooks for the simulation's self-test: tests/sim compiles replication/ and coord/ with
 * MILLRACE_MUTANTS and breaks one rule at a time, to prove that it would notice. Everywhere else
 * they are constant false.
 */
#pragma once

#if defined(MILLRACE_MUTANTS)
extern int mutant_active; /* 0: none; the numbers are those of the mutants in tests/sim/README.md */
#define MUTANT(n) (mutant_active == (n))
#else
#define MUTANT(n) 0
#endif

enum mutant {
    MUTANT_TRUNCATE_TO_WATERMARK = 1,   /* on becoming follower, as before KIP-101 */
    MUTANT_LOOKUP_WITHOUT_EPOCH = 2,    /* leader compares end offsets only (before KIP-279) */
    MUTANT_FETCH_OF_ANY_EPOCH = 3,      /* the leader does not look at a fetch's leader epoch */
    MUTANT_ANSWER_OF_ANY_EPOCH = 4,     /* the follower does not look at an answer's */
    MUTANT_EXPAND_BELOW_EPOCH = 5,      /* ISR expansion before the leader epoch's start */
    MUTANT_COMMITTED_ISR_ONLY = 6,      /* high watermark ignores the proposed ISR */
    MUTANT_WATERMARK_FIRST = 7,         /* follower takes the high watermark before truncating */
    MUTANT_KEEP_EPOCHS_AT_END = 8,      /* epoch cache not cut when no byte is cut */
    MUTANT_NO_EMPTY_EPOCHS = 9,         /* an epoch is noted with its first record only */
    MUTANT_DEDUPLICATION_OFF = 10,      /* producer state is not asked */
    MUTANT_PRODUCER_IDS_REPEAT = 11,    /* a block of producer ids is given out again */
    MUTANT_COMMIT_ANSWERED_EARLY = 13,  /* offset commit acknowledged before it is in the log */
    MUTANT_COUNT_UNSYNCED = 15,         /* offsets count before they are on disk */
    MUTANT_TRUST_STALE_MARKER = 16,     /* clean-shutdown marker trusted after a crash */
    MUTANT_BROKER_EPOCH_IGNORED = 17,   /* ISR expansion does not name broker epochs */
    MUTANT_UNCLEAN_KEEPS_EPOCH = 18,    /* unclean registration does not begin a leader epoch */
    MUTANT_MIN_ISR_AT_APPEND_ONLY = 27, /* high watermark passes with |isr| < min.insync.replicas */
    MUTANT_SYNC_ERROR_IGNORED = 29,     /* what a failed sync was for counts as durable */
    /* Of our own. */
    MUTANT_ISR_WITHOUT_CAS = 31,       /* ISR change accepted on an old partition epoch */
    MUTANT_UNCLEAN_STAYS = 32,         /* unclean registration keeps ISR and ELR */
    MUTANT_SLOT_EPOCH_IGNORED = 33,    /* commands of a replaced coordinator are applied */
    MUTANT_ANY_REFUSAL_SETTLES = 34,   /* a refusal of an older proposal settles the newer one */
    MUTANT_OLD_IMAGE_GIVES_ROLES = 35, /* roles from images before the own registration */
    MUTANT_FETCH_BEFORE_FLUSH = 36,    /* a follower asks for more before what it has is on disk */
};
