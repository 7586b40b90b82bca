/*
 * Invariants that stay checked in release builds, and small helpers that every file needs.
 */
#pragma once

#include <stddef.h>

#define MUST_CHECK       __attribute__((warn_unused_result))
#define PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define ARRAY_COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#undef MIN /* sys/param.h has the same */
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Stop the process, loudly, when the program's own state is wrong. Never for bytes from the
 * network or a disk: those are errors. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(#cond, __FILE__, __LINE__);                                               \
    } while (0)

/* Log the broken invariant and abort. */
void check_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

/* malloc/calloc/realloc/strdup that never return NULL: small allocations abort on failure; large or
 * peer-controlled ones must ask a budget (budget.h) before they come here. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
