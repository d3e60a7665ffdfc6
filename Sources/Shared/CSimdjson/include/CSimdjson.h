#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parser with its buffers, to be used by one thread at a time and again for any number of documents.
typedef struct shelly_json_parser shelly_json_parser;

/// What a parse came to.
typedef enum {
    SHELLY_JSON_OK = 0,
    /// The text is not JSON, is nested too deeply, or has a number that no double holds.
    SHELLY_JSON_INVALID = 1,
    SHELLY_JSON_MEMORY = 2,
} shelly_json_status;

/// A valid document: its text and where things lie in it. Nothing is copied, so it is good as long as the text is, until
/// the parser's next parse.
///
/// Tokens are brackets, commas, colons and the beginnings of values and names, in order; the document's value is token 0:
///
///     {"a": [1, "\n"]}    token   0 1  2 3 4 5 6   7 8   extents[0] = 8, [1] = 1, [3] = 7, [6] = ESCAPED | 0
///     ││  │ │││ │   ││    begins { "a : [ 1 , "\n  ] }   strings = 01 00 00 00 0A
typedef struct {
    const uint8_t *text;
    /// Where each token begins; behind the last one comes the text's length.
    const uint32_t *tokens;
    /// Of an object or array the token that closes it. Of a string its bytes between the quotes, or, when there are
    /// escapes among these, `SHELLY_JSON_ESCAPED` and an offset in `strings`. Of other tokens nothing.
    const uint32_t *extents;
    /// Unescaped strings, each a 32-bit length in the machine's byte order and its bytes.
    const uint8_t *strings;
} shelly_json_document;

#define SHELLY_JSON_ESCAPED 0x80000000u

/// The bytes that must be readable behind a document (their value does not matter).
extern const size_t shelly_json_padding;

/// Makes a parser that refuses documents nested deeper than `maximum_depth`; NULL when there is no memory.
shelly_json_parser *shelly_json_parser_create(size_t maximum_depth);

void shelly_json_parser_destroy(shelly_json_parser *parser);

/// The longest document, in bytes, that the parser's present buffers hold; they grow as needed and never shrink.
size_t shelly_json_parser_capacity(const shelly_json_parser *parser);

/// Parses and fully validates `length` bytes, behind which `shelly_json_padding` more must be readable.
shelly_json_status shelly_json_parse(
    shelly_json_parser *parser, const uint8_t *text, size_t length, const shelly_json_document **result);

/// The double that is nearest to the number at `token`.
double shelly_json_number(const shelly_json_document *document, size_t token);

#ifdef __cplusplus
}
#endif
