#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

inline bool is_json_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// A mask for 16 bytes, with one bit set for each byte that is not a digit.
inline uint32_t other_than_digits(const uint8_t *p) {
    typedef uint8_t bytes __attribute__((ext_vector_type(16)));
    typedef bool bits __attribute__((ext_vector_type(16)));
    bytes text;
    memcpy(&text, p, sizeof text);
    bits others = __builtin_convertvector(text - uint8_t('0') > uint8_t(9), bits);
    uint16_t mask;
    memcpy(&mask, &others, sizeof mask);
    return mask;
}

/// Whether `[p, end)` is a JSON number that a double can hold, with only white space after it.
bool is_json_number(const uint8_t *p, const uint8_t *end);

/// Whether `[p, end)` is such a number of at most 15 digits, with or without a point, as nearly every one is. The
/// `first` byte must be a digit. 16 bytes must be readable, with any value.
inline bool is_common_json_number(uint8_t first, const uint8_t *p, const uint8_t *end) {
    size_t length = size_t(end - p);
    if (length > 15) { return false; }
    // The first byte that is not a digit is the point or the end, and the second is the end.
    uint32_t others = other_than_digits(p) | 1u << length;
    size_t whole = size_t(__builtin_ctz(others));
    if (first == '0' && whole != 1) { return false; }
    if (whole == length) { return true; }
    // If there is a point, the bit of the end remains.
    return p[whole] == '.' && size_t(__builtin_ctz(others & (others - 1))) == length && whole + 1 != length;
}

/// The nearest double to a number that `is_json_number` accepts.
double any_json_number(const uint8_t *p, const uint8_t *end);

/// The same, but faster for short numbers. The byte after the number must not belong to it.
double common_json_number(const uint8_t *p, const uint8_t *end);
