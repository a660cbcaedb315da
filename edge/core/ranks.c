/* Ranks of a frame. */
#include "core.h"

#include <string.h>

#ifndef CORE_SOURCES
#define CORE_SOURCES 0
#endif
#define DIGITS 4
#define BINS 256
#define SIGN 0x80000000u

uint32_t core_sources(void) { return CORE_SOURCES; }

int32_t core_rank(int32_t n, int32_t percent) { return (int32_t)((int64_t)(n - 1) * percent / 100); }

/* An integer that is ordered as the floats are. */
static uint32_t key_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & SIGN ? ~bits : bits | SIGN;
}

static float value_of(uint32_t key) {
    uint32_t bits = key & SIGN ? key ^ SIGN : ~key;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void core_sort(const float *values, int32_t n, float *ordered, uint32_t *keys) {
    uint32_t counts[DIGITS][BINS] = {{0}};
    uint32_t *from = keys, *to = keys + n;
    for (int32_t i = 0; i < n; i++) {
        uint32_t key = from[i] = key_of(values[i]);
        for (int digit = 0; digit < DIGITS; digit++) counts[digit][key >> 8 * digit & 0xff]++;
    }
    for (int digit = 0; digit < DIGITS; digit++) {
        uint32_t *count = counts[digit], begin = 0;
        int shift = 8 * digit;
        if (n == 0 || count[from[0] >> shift & 0xff] == (uint32_t)n) continue; /* the same digit everywhere */
        for (int bin = 0; bin < BINS; bin++) {
            uint32_t many = count[bin];
            count[bin] = begin;
            begin += many;
        }
        for (int32_t i = 0; i < n; i++) to[count[from[i] >> shift & 0xff]++] = from[i];
        uint32_t *swap = from;
        from = to, to = swap;
    }
    for (int32_t i = 0; i < n; i++) ordered[i] = value_of(from[i]);
}
