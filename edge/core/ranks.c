/* Ranks of a frame. */
#include "core.h"

#include <string.h>

#ifndef CORE_SOURCES
#define CORE_SOURCES 0
#endif
#define KEY_BITS 32
#define DIGIT_BITS 10
#define BINS (1 << DIGIT_BITS)
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
    uint32_t *from = keys, *to = keys + n, differ = 0;
    for (int32_t i = 0; i < n; i++) {
        from[i] = key_of(values[i]);
        differ |= from[i] ^ from[0];
    }
    int shift = 0;
    while (differ >> shift && !(differ >> shift & 1)) shift++; /* counts have the same low bits */
    int32_t half = n / 2;
    for (; shift < KEY_BITS && differ >> shift; shift += DIGIT_BITS) {
        uint32_t counts[2][BINS] = {{0}}, *low = counts[0], *high = counts[1], begin = 0;
        for (int32_t i = 0; i < half; i++) {
            low[from[i] >> shift & (BINS - 1)]++;
            high[from[half + i] >> shift & (BINS - 1)]++;
        }
        if (n % 2) high[from[n - 1] >> shift & (BINS - 1)]++;
        for (int bin = 0; bin < BINS; bin++) {
            uint32_t of_low = low[bin], of_high = high[bin];
            low[bin] = begin;
            high[bin] = begin += of_low;
            begin += of_high;
        }
        /* both halves at a time: many keys are the same, and each waits for the one before it */
        for (int32_t i = 0; i < half; i++) {
            uint32_t one = from[i], other = from[half + i];
            to[low[one >> shift & (BINS - 1)]++] = one;
            to[high[other >> shift & (BINS - 1)]++] = other;
        }
        if (n % 2) to[high[from[n - 1] >> shift & (BINS - 1)]] = from[n - 1];
        uint32_t *swap = from;
        from = to, to = swap;
    }
    for (int32_t i = 0; i < n; i++) ordered[i] = value_of(from[i]);
}
