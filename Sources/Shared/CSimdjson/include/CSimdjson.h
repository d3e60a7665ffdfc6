#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A simdjson DOM parser with its buffers, to be used by one thread at a time and again for any number of documents.
typedef struct shelly_json_parser shelly_json_parser;

/// What a parse came to. Codes that the caller tells apart; every other one is `SHELLY_JSON_SYNTAX`.
typedef enum {
    SHELLY_JSON_OK = 0,
    SHELLY_JSON_SYNTAX = 1,
    SHELLY_JSON_DEPTH = 2,
    SHELLY_JSON_NUMBER = 3,
    SHELLY_JSON_STRING = 4,
    SHELLY_JSON_UTF8 = 5,
    SHELLY_JSON_MEMORY = 6,
} shelly_json_status;

/// A parsed document as simdjson's tape: 64-bit words, type character in the top byte, payload below. `strings` holds
/// each string as a 32-bit length in the machine's byte order, the unescaped UTF-8 bytes and a NUL. Both stay valid
/// until the parser's next parse. The layout is simdjson's documented `doc/tape.md`.
typedef struct {
    const uint64_t *tape;
    const uint8_t *strings;
} shelly_json_tape;

/// The bytes that must be readable behind a document (their value does not matter).
extern const size_t shelly_json_padding;

/// Makes a parser that refuses documents nested deeper than `maximum_depth`; NULL when there is no memory.
shelly_json_parser *shelly_json_parser_create(size_t maximum_depth);

void shelly_json_parser_destroy(shelly_json_parser *parser);

/// The longest document, in bytes, that the parser's present buffers hold; they grow as needed and never shrink.
size_t shelly_json_parser_capacity(const shelly_json_parser *parser);

/// Parses and fully validates `length` bytes, behind which `shelly_json_padding` more must be readable.
shelly_json_status shelly_json_parse(
    shelly_json_parser *parser, const uint8_t *document, size_t length, shelly_json_tape *result);

#ifdef __cplusplus
}
#endif
