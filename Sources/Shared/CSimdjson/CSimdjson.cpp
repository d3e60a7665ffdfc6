// JSON parsing in two stages. The first is simdjson's: it finds the tokens of a text with SIMD, and rejects errors in
// quotes, control characters or UTF-8. The second is here and checks that the tokens form a document. simdjson's own
// second stage converts every number and copies every string into a tape, and a batch needs only a few of them.
//
// simdjson has no public interface to its first stage alone. The internal one used here (create_dom_parser_implementation,
// stage1, structural_indexes, n_structural_indexes) is the same in 3.0 of Debian 12 and in 3.12 of Debian 13.
#include "CSimdjson.h"
#include "JSONNumber.h"
#include "JSONString.h"

#include <cstring>
#include <memory>
#include <new>
#include <simdjson.h>

struct shelly_json_parser {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> scanner;
    std::unique_ptr<uint32_t[]> extents;
    std::unique_ptr<uint8_t[]> strings;
    size_t capacity;
    /// The tokens that opened the containers that are still open.
    std::unique_ptr<uint32_t[]> open;
    size_t maximum_depth;
    shelly_json_document document;
};

namespace {

/// The second stage. `tokens[count]` is the text's end, so that each token has a next one, which bounds it.
struct Walk {
    const uint8_t *text;
    const uint32_t *tokens;
    size_t count;
    uint32_t *extents;
    uint8_t *strings;
    size_t strings_length;
    /// Offset of the first backslash after the last string. Outside strings, a valid text has none.
    size_t backslash;

    uint8_t first(size_t token) const { return text[tokens[token]]; }

    void find_backslash(size_t from) {
        size_t end = tokens[count];
        const void *found = std::memchr(text + from, '\\', end - from);
        backslash = found ? size_t(static_cast<const uint8_t *>(found) - text) : end;
    }

    /// Parses a string or a name.
    __attribute__((always_inline)) bool string(size_t token) {
        size_t open = tokens[token], close = tokens[token + 1] - 1;
        if (__builtin_expect(text[close] != '"' || close <= open || close >= backslash, 0)) { return any_string(token); }
        extents[token] = uint32_t(close - open - 1);
        return true;
    }

    /// The same, for a string with white space after it or escapes in it.
    __attribute__((noinline)) bool any_string(size_t token) {
        size_t open = tokens[token], close = tokens[token + 1] - 1;
        // Only white space is between a string and the next token: anything else would be a token.
        while (close > open && is_json_space(text[close])) { --close; }
        if (close == open || text[close] != '"') { return false; }
        extents[token] = uint32_t(close - open - 1);
        if (close < backslash) { return true; }
        // An unescaped string with its length takes less space than in the text with its quotes and a comma. The last
        // one has no comma after it and takes at most one byte more.
        uint8_t *to = strings + strings_length + sizeof(uint32_t);
        const uint8_t *end = unescape_json_string(text + open + 1, text + close, to);
        if (end == nullptr) { return false; }
        uint32_t length = uint32_t(end - to);
        std::memcpy(to - sizeof length, &length, sizeof length);
        extents[token] = SHELLY_JSON_ESCAPED | uint32_t(strings_length);
        strings_length += sizeof length + length;
        find_backslash(close);
        return true;
    }

    __attribute__((noinline)) bool literal(size_t token, const char *word) const {
        const uint8_t *p = text + tokens[token], *next = text + tokens[token + 1];
        size_t length = std::strlen(word);
        if (size_t(next - p) < length || std::memcmp(p, word, length) != 0) { return false; }
        return p + length == next || is_json_space(p[length]);
    }

    /// Parses a value that begins with `first` and is not an object or array.
    __attribute__((always_inline)) bool scalar(size_t token, uint8_t first) {
        if (first >= '0' && first <= '9'
            && is_common_json_number(first, text + tokens[token], text + tokens[token + 1])) {
            return true;
        }
        switch (first) {
        case '"': return string(token);
        case 't': return literal(token, "true");
        case 'f': return literal(token, "false");
        case 'n': return literal(token, "null");
        default: return is_json_number(text + tokens[token], text + tokens[token + 1]);
        }
    }

    /// Whether the tokens form a document: simdjson's grammar, as a state machine with a stack of open containers.
    bool document(uint32_t *opened, size_t maximum_depth) {
        size_t token = 0;
        size_t depth = 0;
        uint8_t c = first(0);
        if (c != '{' && c != '[') { return count == 1 && scalar(0, c); }
        // In ASCII, a closing bracket is two after its opening one. If the last token is a closing bracket, every other
        // token has a next one. So the end is checked only after closing brackets.
        if (first(count - 1) != c + 2) { return false; }

    open:
        if (first(token + 1) == c + 2) {
            extents[token] = uint32_t(token + 1);
            token += 2;
            goto closed;
        }
        if (depth == maximum_depth) { return false; }
        opened[depth++] = uint32_t(token++);
        if (c == '[') { goto element; }

    member:
        if (first(token) != '"' || !string(token) || first(token + 1) != ':') { return false; }
        token += 2;
        c = first(token);
        if (c == '{' || c == '[') { goto open; }
        if (!scalar(token++, c)) { return false; }
    behind_member:
        c = first(token);
        if (__builtin_expect(c == ',', 1)) {
            ++token;
            goto member;
        }
        if (c != '}') { return false; }
        goto close;

    element:
        c = first(token);
        if (c == '{' || c == '[') { goto open; }
        if (!scalar(token++, c)) { return false; }
    behind_element:
        c = first(token);
        if (__builtin_expect(c == ',', 1)) {
            ++token;
            goto element;
        }
        if (c != ']') { return false; }

    close:
        extents[opened[--depth]] = uint32_t(token++);
    closed:
        if (token == count || depth == 0) { return token == count && depth == 0; }
        if (first(opened[depth - 1]) == '{') { goto behind_member; }
        goto behind_element;
    }
};

bool grow(shelly_json_parser *self, size_t length) {
    if (length <= self->capacity) { return true; }
    self->capacity = 0;
    self->extents.reset();
    self->strings.reset();
    // The depth is used only by simdjson's own second stage.
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(length, 1, self->scanner)) { return false; }
    // There is at most one token per byte.
    self->extents.reset(new (std::nothrow) uint32_t[length]);
    self->strings.reset(new (std::nothrow) uint8_t[length + 1 + sizeof(uint32_t)]);
    if (!self->extents || !self->strings) { return false; }
    self->capacity = length;
    return true;
}

} // namespace

const size_t shelly_json_padding = simdjson::SIMDJSON_PADDING;

shelly_json_parser *shelly_json_parser_create(size_t maximum_depth) {
    std::unique_ptr<shelly_json_parser> self(new (std::nothrow) shelly_json_parser{});
    if (!self) { return nullptr; }
    self->maximum_depth = maximum_depth;
    self->open.reset(new (std::nothrow) uint32_t[maximum_depth]);
    return self->open ? self.release() : nullptr;
}

void shelly_json_parser_destroy(shelly_json_parser *self) { delete self; }

size_t shelly_json_parser_capacity(const shelly_json_parser *self) { return self->capacity; }

shelly_json_status shelly_json_parse(
    shelly_json_parser *self, const uint8_t *text, size_t length, const shelly_json_document **result) {
    // Extents have 31 bits.
    if (length >= SHELLY_JSON_ESCAPED || !grow(self, length)) { return SHELLY_JSON_MEMORY; }
    auto &scanner = *self->scanner;
    if (scanner.stage1(text, length, simdjson::stage1_mode::regular)) { return SHELLY_JSON_INVALID; }
    Walk walk{
        text, scanner.structural_indexes.get(), scanner.n_structural_indexes,
        self->extents.get(), self->strings.get(), 0, 0};
    walk.find_backslash(0);
    if (!walk.document(self->open.get(), self->maximum_depth)) { return SHELLY_JSON_INVALID; }
    self->document = {text, walk.tokens, walk.extents, walk.strings};
    *result = &self->document;
    return SHELLY_JSON_OK;
}

double shelly_json_number(const shelly_json_document *document, size_t token) {
    const uint8_t *start = document->text + document->tokens[token], *end = document->text + document->tokens[token + 1];
    // In an object or array, another token follows each number. After a document that is a single number, there may be
    // more digits that are not part of it.
    return token == 0 ? any_json_number(start, end) : common_json_number(start, end);
}
