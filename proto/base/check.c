/* Invariant failures and allocations that cannot fail. */
#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/logging.h"

void check_failed(const char *condition, const char *file, int line)
{
    LOG_ERROR("broken invariant, stopping the process", "condition=\"%s\" at=%s:%d", condition,
              file, line);
    abort();
}

void *mem_alloc(size_t size)
{
    void *memory = malloc(size ? size : 1);
    CHECK(memory != NULL);
    return memory;
}

void *mem_zalloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    CHECK(memory != NULL);
    return memory;
}

void *mem_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    CHECK(memory != NULL);
    return memory;
}

char *mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}
