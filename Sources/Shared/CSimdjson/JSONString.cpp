#include "JSONString.h"

#include <cstring>

namespace {

/// The value of a hex digit, or 16.
uint32_t hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    uint8_t letter = c | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10u : 16;
}

/// Reads four hex digits and moves `text` behind them. Returns false without four.
bool code_unit(const uint8_t *&text, const uint8_t *end, uint32_t &unit) {
    if (end - text < 4) { return false; }
    unit = 0;
    for (int i = 0; i < 4; ++i) {
        uint32_t digit = hex_digit(*text++);
        if (digit > 15) { return false; }
        unit = unit << 4 | digit;
    }
    return true;
}

/// Reads what follows `\u`: a code unit, or two of a surrogate pair.
bool scalar(const uint8_t *&text, const uint8_t *end, uint32_t &value) {
    if (!code_unit(text, end, value)) { return false; }
    if (value < 0xD800 || value > 0xDFFF) { return true; }
    uint32_t low;
    if (value > 0xDBFF || end - text < 2 || text[0] != '\\' || text[1] != 'u') { return false; }
    text += 2;
    if (!code_unit(text, end, low) || low < 0xDC00 || low > 0xDFFF) { return false; }
    value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

uint8_t *append_utf8(uint32_t scalar, uint8_t *to) {
    if (scalar < 0x80) {
        *to++ = uint8_t(scalar);
        return to;
    }
    int more = scalar < 0x800 ? 1 : scalar < 0x10000 ? 2 : 3;
    *to++ = uint8_t((0xFF00 >> (more + 1)) & 0xFF) | uint8_t(scalar >> (6 * more));
    while (more-- > 0) { *to++ = uint8_t(0x80 | (scalar >> (6 * more) & 0x3F)); }
    return to;
}

} // namespace

uint8_t *unescape_json_string(const uint8_t *text, const uint8_t *end, uint8_t *to) {
    while (text < end) {
        auto backslash = static_cast<const uint8_t *>(std::memchr(text, '\\', size_t(end - text)));
        size_t plain = size_t((backslash ? backslash : end) - text);
        std::memcpy(to, text, plain);
        to += plain;
        if (backslash == nullptr) { break; }
        text = backslash + 1;
        if (text == end) { return nullptr; }
        switch (*text++) {
        case '"': *to++ = '"'; break;
        case '\\': *to++ = '\\'; break;
        case '/': *to++ = '/'; break;
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u': {
            uint32_t value;
            if (!scalar(text, end, value)) { return nullptr; }
            to = append_utf8(value, to);
            break;
        }
        default: return nullptr;
        }
    }
    return to;
}
