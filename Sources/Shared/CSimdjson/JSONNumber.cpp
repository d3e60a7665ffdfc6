// Numbers are validated in place, and converted only when a caller needs them.
#include "JSONNumber.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace {

/// A number with at most this many digits cannot overflow a double. A longer one is converted to check.
const size_t plain_bytes = 300;

inline bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end) {
    while (p < end && is_digit(*p)) { ++p; }
    return p;
}

} // namespace

double any_json_number(const uint8_t *start, const uint8_t *end) {
    double value = 0;
    auto found = std::from_chars(reinterpret_cast<const char *>(start), reinterpret_cast<const char *>(end), value);
    // An integer has no negative zero.
    if (value == 0 && (end - start == 2 || is_json_space(start[2]))) { return 0; }
    if (found.ec != std::errc::result_out_of_range) { return value; }
    // from_chars does not report the direction: find the power of ten of the first nonzero digit.
    const uint8_t *p = start + (*start == '-');
    const uint8_t *point = skip_digits(p, end);
    int64_t power = point - p;
    if (*p == '0') {
        p = point + 1;
        while (p < end && *p == '0') { ++p; }
        power = point + 1 - p;
    }
    while (p < end && (is_digit(*p) || *p == '.')) { ++p; }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p += 1;
        bool is_negative = *p == '-';
        p += is_negative || *p == '+';
        int64_t exponent = 0;
        for (; p < end && is_digit(*p); ++p) {
            if (exponent < 1'000'000'000'000) { exponent = 10 * exponent + (*p - '0'); }
        }
        power += is_negative ? -exponent : exponent;
    }
    return std::copysign(power > 0 ? INFINITY : 0, *start == '-' ? -1.0 : 1.0);
}

bool is_json_number(const uint8_t *start, const uint8_t *end) {
    const uint8_t *p = start + (*start == '-');
    const uint8_t *digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p != digits + 1)) { return false; }
    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits) { return false; }
    }
    bool has_exponent = p < end && (*p == 'e' || *p == 'E');
    if (has_exponent) {
        ++p;
        if (p < end && (*p == '+' || *p == '-')) { ++p; }
        digits = p;
        p = skip_digits(p, end);
        if (p == digits) { return false; }
    }
    if (p < end && !is_json_space(*p)) { return false; }
    return (!has_exponent && size_t(p - start) <= plain_bytes) || std::isfinite(any_json_number(start, p));
}

double common_json_number(const uint8_t *start, const uint8_t *end) {
    // Clinger: digits below 2^53 and powers of ten up to 10^22 are exact doubles, so their quotient is rounded once.
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const uint8_t *p = start + (*start == '-');
    if (end - p > 16) { return any_json_number(start, end); }
    uint64_t digits = 0;
    uint8_t digit;
    for (; (digit = uint8_t(*p - '0')) <= 9; ++p) { digits = 10 * digits + digit; }
    const uint8_t *point = p;
    if (*p == '.') {
        while ((digit = uint8_t(*++p - '0')) <= 9) { digits = 10 * digits + digit; }
    }
    if (*p == 'e' || *p == 'E' || digits > uint64_t(1) << 53) { return any_json_number(start, end); }
    double value = p == point ? double(digits) : double(digits) / powers[p - point - 1];
    // An integer has no negative zero.
    return *start == '-' && (p != point || digits > 0) ? -value : value;
}
