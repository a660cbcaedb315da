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

static uint32_t digit_of(uint32_t key, int shift) { return key >> shift & (BINS - 1); }

/* Keys in order of one digit, those with the same one as they were. Each half has its own counters: many keys are the
 * same, and each of those waits for the one before it. */
static void order_by_digit(const uint32_t *from, uint32_t *to, int32_t n, int shift) {
    uint32_t low[BINS] = {0}, high[BINS] = {0}, begin = 0;
    int32_t half = n / 2;
    for (int32_t i = 0; i < half; i++) {
        low[digit_of(from[i], shift)]++;
        high[digit_of(from[half + i], shift)]++;
    }
    if (n % 2) high[digit_of(from[n - 1], shift)]++;
    for (int bin = 0; bin < BINS; bin++) {
        uint32_t of_low = low[bin], of_high = high[bin];
        low[bin] = begin;
        high[bin] = begin + of_low;
        begin += of_low + of_high;
    }
    for (int32_t i = 0; i < half; i++) {
        to[low[digit_of(from[i], shift)]++] = from[i];
        to[high[digit_of(from[half + i], shift)]++] = from[half + i];
    }
    if (n % 2) to[high[digit_of(from[n - 1], shift)]] = from[n - 1];
}

void core_sort(const float *values, int32_t n, float *ordered, uint32_t *keys) {
    uint32_t *from = keys, *to = keys + n, differ = 0, first = n ? key_of(values[0]) : 0;
    for (int32_t i = 0; i < n; i++) {
        uint32_t key = key_of(values[i]);
        from[i] = key;
        differ |= key ^ first;
    }
    int shift = 0;
    while (differ >> shift && !(differ >> shift & 1)) shift++; /* counts all have the same low bits */
    for (; shift < KEY_BITS && differ >> shift; shift += DIGIT_BITS) {
        order_by_digit(from, to, n, shift);
        uint32_t *swap = from;
        from = to, to = swap;
    }
    for (int32_t i = 0; i < n; i++) ordered[i] = value_of(from[i]);
}
