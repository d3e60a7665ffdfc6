#pragma once

#include <cstdint>

/// Unescapes the text between a string's quotes, which simdjson has found to be UTF-8 without control characters (RFC 8259,
/// section 7). The result is not longer than the text.
///
/// Returns the end of what was written to `to`, or null for an unknown escape or a lone surrogate.
uint8_t *unescape_json_string(const uint8_t *text, const uint8_t *end, uint8_t *to);
