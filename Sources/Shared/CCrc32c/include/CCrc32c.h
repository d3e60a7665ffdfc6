#pragma once

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continued from `crc`; begin with 0.
///
/// Uses the processor's instruction (SSE 4.2, ARMv8 CRC) if there is one, otherwise a table.
uint32_t shelly_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The table version, for tests that compare the two.
uint32_t shelly_crc32c_portable(uint32_t crc, const void *bytes, size_t length);
