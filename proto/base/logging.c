/* One line an event, formatted on the stack and written with one call. */
#include "proto/base/logging.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static _Atomic int level_now = LOG_LEVEL_INFO;
static const char *const LEVEL_NAMES[] = {"DEBUG", "INFO", "WARN", "ERROR"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

int log_level_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&level_now, memory_order_relaxed);
}

static int stamp(char *line, size_t size)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return (int)used + snprintf(line + used, size - used, ".%03ldZ", ts.tv_nsec / 1000000);
}

/* A fact that came from a peer must not forge a second line. */
static void mask_control_bytes(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20)
            *text = '?';
}

void log_write(enum log_level level, const char *file, const char *event, const char *fmt, ...)
{
    if (!log_level_enabled(level))
        return;
    const char *slash = strrchr(file, '/');
    const char *component = slash ? slash + 1 : file;
    int component_size = (int)strcspn(component, ".");

    char line[LINE_MAX_BYTES];
    int used = stamp(line, sizeof(line));
    used += snprintf(line + used, sizeof(line) - (size_t)used, " %s %.*s: %s ", LEVEL_NAMES[level],
                     component_size, component, event);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + used, sizeof(line) - (size_t)used - 1, fmt, args);
    va_end(args);
    mask_control_bytes(line);
    size_t size = strlen(line);
    line[size++] = '\n';
    /* Nothing sensible can be done when standard error is gone. */
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written;
}
