/*
 * Hooks for the simulation's self-test: tests/sim compiles this folder with MILLRACE_MUTANTS and
 * breaks one rule at a time, to prove that it would notice. Everywhere else they are constant
 * false.
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
    MUTANT_NO_EPOCH_CHECK = 3,          /* fetches and answers of any leader epoch count */
    MUTANT_EXPAND_BELOW_EPOCH = 5,      /* ISR expansion before the leader epoch's start */
    MUTANT_COMMITTED_ISR_ONLY = 6,      /* high watermark ignores the proposed ISR */
    MUTANT_WATERMARK_FIRST = 7,         /* follower takes the high watermark before truncating */
    MUTANT_KEEP_EPOCHS_AT_END = 8,      /* epoch cache not cut when no byte is cut */
    MUTANT_DEDUPLICATION_OFF = 10,      /* producer state is not asked */
    MUTANT_COUNT_UNSYNCED = 15,         /* offsets count before they are on disk */
    MUTANT_BROKER_EPOCH_IGNORED = 17,   /* ISR expansion does not name broker epochs */
    MUTANT_MIN_ISR_AT_APPEND_ONLY = 27, /* high watermark passes with |isr| < min.insync.replicas */
};
