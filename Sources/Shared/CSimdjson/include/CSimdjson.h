#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parser with its buffers. One thread at a time may use it, for any number of documents.
typedef struct shelly_json_parser shelly_json_parser;

/// The result of a parse.
typedef enum {
    SHELLY_JSON_OK = 0,
    /// The text is not JSON, is nested too deeply, or has a number that a double cannot hold.
    SHELLY_JSON_INVALID = 1,
    SHELLY_JSON_MEMORY = 2,
} shelly_json_status;

/// A valid document: its text and the positions in it. It copies no text, so it is valid as long as the text is, until
/// the parser's next parse.
///
/// Tokens are brackets, commas, colons and the beginnings of values and names, in order. Token 0 is the document's
/// value:
///
///     {"a": [1, "\n"]}    token   0 1  2 3 4 5 6   7 8   extents[0] = 8, [1] = 1, [3] = 7, [6] = ESCAPED | 0
///     ││  │ │││ │   ││    begins { "a : [ 1 , "\n  ] }   strings = 01 00 00 00 0A
typedef struct {
    const uint8_t *text;
    /// Offset of each token. The text's length follows the last one.
    const uint32_t *tokens;
    /// For an object or array, the token that closes it. For a string, its number of bytes between the quotes, or, if
    /// it has escapes, `SHELLY_JSON_ESCAPED` and an offset in `strings`. Unused for other tokens.
    const uint32_t *extents;
    /// Unescaped strings, each a 32-bit length in the machine's byte order and its bytes.
    const uint8_t *strings;
} shelly_json_document;

#define SHELLY_JSON_ESCAPED 0x80000000u

/// Number of bytes that must be readable after a document. Their values do not matter.
extern const size_t shelly_json_padding;

/// Creates a parser that rejects documents nested deeper than `maximum_depth`, or returns NULL if memory is exhausted.
shelly_json_parser *shelly_json_parser_create(size_t maximum_depth);

void shelly_json_parser_destroy(shelly_json_parser *parser);

/// The longest document, in bytes, that fits in the parser's present buffers. They grow as needed and never shrink.
size_t shelly_json_parser_capacity(const shelly_json_parser *parser);

/// Parses and fully validates `length` bytes, after which `shelly_json_padding` more must be readable.
shelly_json_status shelly_json_parse(
    shelly_json_parser *parser, const uint8_t *text, size_t length, const shelly_json_document **result);

/// The nearest double to the number at `token`.
double shelly_json_number(const shelly_json_document *document, size_t token);

#ifdef __cplusplus
}
#endif
