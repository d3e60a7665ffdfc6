#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

inline bool is_json_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// A bit for each of 16 bytes that is no digit.
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

/// Whether `[p, end)` is a number as JSON writes it, with nothing behind it but white space, that a double can hold.
bool is_json_number(const uint8_t *p, const uint8_t *end);

/// Whether `[p, end)`, whose `first` byte is a digit, is such a number of at most 15 digits with or without a point, as nearly
/// every one is. 16 bytes must be readable, whatever they are.
inline bool is_common_json_number(uint8_t first, const uint8_t *p, const uint8_t *end) {
    size_t length = size_t(end - p);
    if (length > 15) { return false; }
    // The first one that is no digit is the point or the end, the second one the end.
    uint32_t others = other_than_digits(p) | 1u << length;
    size_t whole = size_t(__builtin_ctz(others));
    if (first == '0' && whole != 1) { return false; }
    if (whole == length) { return true; }
    // With a point there is the end's bit left.
    return p[whole] == '.' && size_t(__builtin_ctz(others & (others - 1))) == length && whole + 1 != length;
}

/// The double that is nearest to a number of which the above is true.
double any_json_number(const uint8_t *p, const uint8_t *end);

/// The same, faster for what is short, and behind the number there must be something that is not of it.
double common_json_number(const uint8_t *p, const uint8_t *end);
