/*
 * CRC-32C (Castagnoli), as record batches use it: RFC 3720, polynomial 0x1EDC6F41.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to start) over size bytes. Uses the SSE 4.2 instruction where the CPU has
 * it. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
