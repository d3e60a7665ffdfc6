// Prints digests of what the C and C++ parts compute, which must be the same on every processor. arm64.sh compares them.
//
//     check FILE...    texts, one per line
extern "C" {
#include "CCrc32c.h"
}
#include "CSimdjson.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace {

/// FNV-1a of 64 bits.
struct Digest {
    uint64_t value = 0xcbf29ce484222325;
    void add(const void *bytes, size_t length) {
        for (size_t i = 0; i < length; ++i) { value = (value ^ static_cast<const uint8_t *>(bytes)[i]) * 0x100000001b3; }
    }
    void add(uint64_t number) { add(&number, sizeof number); }
};

/// A generator with a fixed seed.
struct Numbers {
    uint64_t state = 1;
    uint32_t below(uint32_t bound) {
        state = state * 6364136223846793005 + 1442695040888963407;
        return uint32_t(state >> 33) % bound;
    }
};

/// The checksum with the processor's instructions and by the table, at all alignments and around the three stretches that it takes
/// at a time.
void checksums(Numbers &numbers) {
    std::vector<uint8_t> bytes(70000);
    for (auto &byte : bytes) { byte = uint8_t(numbers.below(256)); }
    std::vector<size_t> lengths;
    for (size_t length = 0; length <= 300; ++length) { lengths.push_back(length); }
    for (size_t stretches : {1, 2, 3, 6, 9, 15}) {
        for (size_t near = 0; near <= 16; ++near) { lengths.push_back(stretches * 4096 - 8 + near); }
    }
    Digest digest;
    for (size_t length : lengths) {
        for (size_t at = 0; at < 9; ++at) {
            uint32_t start = numbers.below(UINT32_MAX), sum = shelly_crc32c(start, &bytes[at], length);
            if (sum != shelly_crc32c_portable(start, &bytes[at], length)) {
                std::printf("checksum of %zu bytes at %zu differs from the table's\n", length, at);
                std::exit(1);
            }
            digest.add(sum);
        }
    }
    // RFC 3720, B.4, and the usual check value.
    uint8_t zeros[32] = {};
    if (shelly_crc32c(0, zeros, 32) != 0x8a9136aa || shelly_crc32c(0, "123456789", 9) != 0xe3069283) {
        std::printf("the checksum is not CRC-32C\n");
        std::exit(1);
    }
    std::printf("checksums %016" PRIx64 "\n", digest.value);
}

/// Adds the value that begins at `token`, and returns the token behind it.
size_t add(const shelly_json_document &document, size_t token, Digest &digest) {
    const uint8_t *start = document.text + document.tokens[token];
    digest.add(document.tokens[token]);
    switch (*start) {
    case '{':
    case '[': {
        size_t end = document.extents[token];
        // Names, colons, values and commas.
        for (++token; token < end;) {
            uint8_t c = document.text[document.tokens[token]];
            if (c == ',' || c == ':') {
                ++token;
            } else {
                token = add(document, token, digest);
            }
        }
        break;
    }
    case '"': {
        uint32_t extent = document.extents[token], length = extent;
        const uint8_t *text = start + 1;
        if (extent & SHELLY_JSON_ESCAPED) {
            const uint8_t *stored = document.strings + (extent ^ SHELLY_JSON_ESCAPED);
            std::memcpy(&length, stored, sizeof length);
            text = stored + sizeof length;
        }
        digest.add(text, length);
        break;
    }
    case 't':
    case 'f':
    case 'n': break;
    default: {
        double number = shelly_json_number(&document, token);
        digest.add(&number, sizeof number);
    }
    }
    return token + 1;
}

struct Parser {
    shelly_json_parser *handle = shelly_json_parser_create(64);
    Digest digest;
    size_t valid = 0, texts = 0;
    std::vector<uint8_t> padded;

    void parse(const std::string &text) {
        padded.assign(text.begin(), text.end());
        padded.resize(text.size() + shelly_json_padding, '1');
        const shelly_json_document *document = nullptr;
        bool isValid = !text.empty() && shelly_json_parse(handle, padded.data(), text.size(), &document) == SHELLY_JSON_OK;
        digest.add(isValid);
        if (isValid) { add(*document, 0, digest); }
        valid += isValid;
        ++texts;
    }
};

/// Each text as it is, and with some of its bytes replaced, removed or repeated.
void documents(Numbers &numbers, const std::vector<std::string> &lines) {
    static const char pieces[32][10] = {
        "{",    "}",      "[",       "]",       ",",   ":",   "\"", "\\", "\\n",      "\\u00e9", "\\ud83d", "\\ude00", "0",
        "1.50", "-0",     "e5",      "E-3",     ".",   "9",   "-",  " ",  "\t",       "true",    "null",    "false",   "\xc3\xa9",
        "\xff", "\x01",   "1e308",   "5e-324",  "17976931", "\\/"};
    Parser parser;
    for (const auto &line : lines) { parser.parse(line); }
    for (int round = 0; round < 200000; ++round) {
        const auto &line = lines[numbers.below(uint32_t(lines.size()))];
        size_t length = 1 + numbers.below(120), at = numbers.below(uint32_t(line.size()));
        std::string text = round % 20 == 0 ? line : "[" + line.substr(at, length) + "]";
        for (uint32_t changes = numbers.below(4); changes > 0; --changes) {
            size_t place = numbers.below(uint32_t(text.size()));
            text.replace(place, numbers.below(3), pieces[numbers.below(32)]);
            if (text.empty()) { text = "0"; }
        }
        parser.parse(text);
    }
    // Texts of tokens, of which more are valid.
    for (int round = 0; round < 300000; ++round) {
        std::string text = "[";
        for (uint32_t count = numbers.below(5); count > 0; --count) {
            switch (numbers.below(4)) {
            case 0: text += std::to_string(numbers.below(1000000)) + "." + std::to_string(numbers.below(100000)); break;
            case 1: text += std::to_string(numbers.below(1000)) + "e" + std::to_string(int(numbers.below(600)) - 300); break;
            case 2: text += std::string("\"") + pieces[numbers.below(32)] + pieces[numbers.below(32)] + "\""; break;
            default: text += "{\"a\":[]}";
            }
            text += count > 1 ? "," : "";
        }
        parser.parse(text + "]");
    }
    std::printf("documents %016" PRIx64 ", %zu of %zu texts are JSON\n", parser.digest.value, parser.valid, parser.texts);
}

} // namespace

int main(int count, char **files) {
    std::vector<std::string> lines;
    for (int i = 1; i < count; ++i) {
        std::ifstream file(files[i]);
        for (std::string line; std::getline(file, line);) {
            if (!line.empty()) { lines.push_back(line); }
        }
    }
    if (lines.empty()) {
        std::fprintf(stderr, "usage: check FILE...\n");
        return 64;
    }
#if defined(__aarch64__)
    // Bit 7, HWCAP_CRC32. Without it both checksums would be the table's.
    if ((getauxval(AT_HWCAP) & 1 << 7) == 0) {
        std::printf("this processor has no instructions for the checksum\n");
        return 1;
    }
#endif
    Numbers numbers;
    checksums(numbers);
    documents(numbers, lines);
}
