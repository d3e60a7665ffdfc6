// Swift has no intrinsic for the CRC instructions, so this is in C.
#include "CCrc32c.h"

#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

// 16 entries, one nibble at a time: the slow path is rare, and a table this small is a constant in the source.
static const uint32_t nibbles[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t shelly_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    crc = ~crc;
    while (length--) {
        crc ^= *p++;
        crc = (crc >> 4) ^ nibbles[crc & 15];
        crc = (crc >> 4) ^ nibbles[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2")))
#define TAKE_BYTE(crc, byte) __builtin_ia32_crc32qi(crc, byte)
#define TAKE_WORD(crc, word) (uint32_t)__builtin_ia32_crc32di(crc, word)
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
#define HARDWARE __attribute__((target("crc")))
#define TAKE_BYTE(crc, byte) __builtin_arm_crc32cb(crc, byte)
#define TAKE_WORD(crc, word) __builtin_arm_crc32cd(crc, word)
static int has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#endif

#ifdef HARDWARE
enum { stretch = 4096 };

// The checksum after a stretch of zeros: its product with x^(8 * stretch), whose remainder is 0x35d73a62. Both are
// modulo the polynomial, and the highest bit is that of x^0.
static uint32_t behind_stretch(uint32_t crc) {
    uint32_t power = 0x35d73a62, product = 0;
    for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
        if (crc & bit) product ^= power;
        power = (power >> 1) ^ (power & 1 ? 0x82f63b78 : 0);
    }
    return product;
}

HARDWARE static uint32_t take_word(uint32_t crc, const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return TAKE_WORD(crc, word);
}

HARDWARE static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *p, size_t length) {
    crc = ~crc;
    // Three stretches at a time: the instruction can start in each cycle, and completes three cycles later.
    for (; length >= 3 * stretch; p += 3 * stretch, length -= 3 * stretch) {
        uint32_t second = 0, third = 0;
        for (size_t at = 0; at < stretch; at += 8) {
            crc = take_word(crc, p + at);
            second = take_word(second, p + at + stretch);
            third = take_word(third, p + at + 2 * stretch);
        }
        crc = behind_stretch(behind_stretch(crc) ^ second) ^ third;
    }
    for (; length >= 8; p += 8, length -= 8) crc = take_word(crc, p);
    while (length--) crc = TAKE_BYTE(crc, *p++);
    return ~crc;
}
#endif

uint32_t shelly_crc32c(uint32_t crc, const void *bytes, size_t length) {
#ifdef HARDWARE
    if (has_hardware()) { return crc32c_hardware(crc, bytes, length); }
#endif
    return shelly_crc32c_portable(crc, bytes, length);
}
