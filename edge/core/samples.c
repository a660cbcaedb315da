/* Counts of a FRAME's payload. */
#include "core.h"

void core_unpack_u12(const uint8_t *payload, int32_t n, uint16_t *counts) {
    for (int32_t i = 0; i + 1 < n; i += 2, payload += 3) {
        counts[i] = (uint16_t)(payload[0] | (payload[1] & 0x0F) << 8);
        counts[i + 1] = (uint16_t)(payload[1] >> 4 | payload[2] << 4);
    }
    if (n % 2) counts[n - 1] = (uint16_t)(payload[0] | (payload[1] & 0x0F) << 8);
}
