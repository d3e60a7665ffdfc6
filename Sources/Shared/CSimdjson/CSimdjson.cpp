// The only C++ of the project: simdjson's DOM parser behind C functions. It hands out the tape itself, so that walking
// a document costs no call across the language border.
#include "CSimdjson.h"

#include <new>
#include <simdjson.h>

using simdjson::dom::parser;

struct shelly_json_parser {
    parser dom;
    size_t maximum_depth;
};

const size_t shelly_json_padding = simdjson::SIMDJSON_PADDING;

shelly_json_parser *shelly_json_parser_create(size_t maximum_depth) {
    return new (std::nothrow) shelly_json_parser{parser(), maximum_depth};
}

void shelly_json_parser_destroy(shelly_json_parser *self) { delete self; }

size_t shelly_json_parser_capacity(const shelly_json_parser *self) { return self->dom.capacity(); }

shelly_json_status shelly_json_parse(
    shelly_json_parser *self, const uint8_t *document, size_t length, shelly_json_tape *result) {
    // simdjson takes the depth with the capacity, so it is set before the parse would grow the buffers by itself.
    if (length > self->dom.capacity() || self->dom.max_depth() != self->maximum_depth) {
        if (self->dom.allocate(length, self->maximum_depth)) { return SHELLY_JSON_MEMORY; }
    }
    simdjson::dom::element root;
    switch (self->dom.parse(document, length, false).get(root)) {
    case simdjson::SUCCESS:
        result->tape = self->dom.doc.tape.get();
        result->strings = self->dom.doc.string_buf.get();
        return SHELLY_JSON_OK;
    case simdjson::DEPTH_ERROR: return SHELLY_JSON_DEPTH;
    case simdjson::NUMBER_ERROR: return SHELLY_JSON_NUMBER;
    case simdjson::STRING_ERROR: return SHELLY_JSON_STRING;
    case simdjson::UTF8_ERROR: return SHELLY_JSON_UTF8;
    case simdjson::MEMALLOC: return SHELLY_JSON_MEMORY;
    default: return SHELLY_JSON_SYNTAX;
    }
}
