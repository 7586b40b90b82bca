/*
 * Log lines:  2026-01-31T12:00:00.123Z INFO partition: isr shrank topic=t partition=0 isr=1,2 …
 *
 *   LOG_WARN("isr shrank", "topic=%s partition=%d", topic, index);
 *
 * The event is fixed words, lower case, no full stop; facts follow as key=value. The component is
 * the file's name. Lines go to standard error, one write each; any thread may log.
 */
#pragma once

#include "proto/base/check.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_OFF };

#define LOG_AT(level, event, ...) log_write(level, __FILE__, event, __VA_ARGS__)
#define LOG_DEBUG(event, ...)                                                                      \
    do {                                                                                           \
        if (log_level_enabled(LOG_LEVEL_DEBUG))                                                    \
            LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                                           \
    } while (0)
#define LOG_INFO(event, ...)  LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_WARN(event, ...)  LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)

void log_set_level(enum log_level level);
int log_level_enabled(enum log_level level);
void log_write(enum log_level level, const char *file, const char *event, const char *fmt, ...)
    PRINTF(4, 5);
